/* SPDX-License-Identifier: MIT
 *
 * groups_1000: a thousand empty tasks and a wait, a thousand times.
 */
#include "empty.h"

int main(void)
{
    const struct empty e = {bench_pick(1000, 100), 1000};

    return empty_serve(&e);
}
