/* SPDX-License-Identifier: MIT
 *
 * small_groups: ten empty tasks and a wait, a hundred thousand times.
 */
#include "empty.h"

int main(void)
{
    const struct empty e = {bench_pick(100000, 10000), 10};

    return empty_serve(&e);
}
