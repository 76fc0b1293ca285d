/* SPDX-License-Identifier: MIT
 *
 * growth_1e1 … growth_1e7: empty tasks in groups of 10 up to 10,000,000, a million of them or one group. Should be flat: nothing may cost
 * more because there is much of it. The question is the program's argument.
 */
#include <string.h>

#include "cadre_empty.h"

int main(int argc, char **argv)
{
    const long most = bench_pick(10000000, 1000000), all = bench_pick(1000000, 100000);
    struct empty e = {.groups = 1, .tasks = 1};
    const char *exponent = argc > 1 ? strrchr(argv[1], 'e') : NULL;

    bench_require(exponent != NULL, "one argument, the question");
    for (int i = atoi(exponent + 1); i > 0; i--)
        e.tasks *= 10;
    if (e.tasks > most)
        e.tasks = most;
    if (e.tasks < all)
        e.groups = all / e.tasks;
    return empty_serve(&e);
}
