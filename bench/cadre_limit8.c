/* SPDX-License-Identifier: MIT
 *
 * limit8: a million empty tasks through a group that runs at most eight at once.
 */
#include "cadre_empty.h"

int main(void)
{
    const struct empty e = {1, bench_pick(1000000, 100000), 8};

    return empty_serve(&e);
}
