/* SPDX-License-Identifier: MIT
 *
 * spawn: a million empty tasks in one group, then wait.
 */
#include "cadre_empty.h"

int main(void)
{
    const struct empty e = {1, bench_pick(1000000, 100000), 0};

    return empty_serve(&e);
}
