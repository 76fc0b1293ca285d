/* SPDX-License-Identifier: MIT
 *
 * skynet: a tree of ten children per node down to a million leaves, which are summed; per node.
 */
#include "tbb.h"

#define CHILDREN 10
#define LEAVES 1000000L
#define NODES 1111111

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
    bench_require(visit(0, LEAVES) == LEAVES * (LEAVES - 1) / 2, "the sum of the leaves");
}

int main()
{
    return tbb_serve("ns/task", NODES, run, NULL);
}
