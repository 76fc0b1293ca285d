/* SPDX-License-Identifier: MIT
 *
 * spawn: a million empty tasks in one group, then wait.
 */
#include "empty.h"

int main(void)
{
    const struct empty e = {1, bench_pick(1000000, 100000)};

    return empty_serve(&e);
}
