/* SPDX-License-Identifier: MIT
 *
 * skynet: a tree of ten children per node down to a million leaves, which are summed; per node.
 */
#include "tbb.h"

#define CHILDREN 10

static long leaves_of_all;

static long visit(long first, long leaves)
{
    if (leaves == 1)
        return first;

    tbb::task_group g;
    long sum[CHILDREN], total = 0;

    leaves /= CHILDREN;
    for (int i = 0; i < CHILDREN; i++)
        g.run([&sum, i, first, leaves] { sum[i] = visit(first + i * leaves, leaves); });
    g.wait();
    for (long s : sum)
        total += s;
    return total;
}

static void run(const void *)
{
    bench_require(visit(0, leaves_of_all) == leaves_of_all * (leaves_of_all - 1) / 2, "the sum of the leaves");
}

int main()
{
    leaves_of_all = bench_pick(1000000, 100000);
    return tbb_serve("ns/task", (double)(leaves_of_all * CHILDREN / (CHILDREN - 1)), run, NULL);
}
