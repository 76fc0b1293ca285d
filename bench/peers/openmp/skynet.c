/* SPDX-License-Identifier: MIT
 *
 * skynet: a tree of ten children per node down to a million leaves, which are summed; per node.
 */
#include "openmp.h"

#define CHILDREN 10

static long leaves_of_all;

static long visit(long first, long leaves)
{
    long sum[CHILDREN], total = 0;

    if (leaves == 1)
        return first;
    leaves /= CHILDREN;
    for (int i = 0; i < CHILDREN; i++) {
#pragma omp task shared(sum) firstprivate(i, first, leaves)
        sum[i] = visit(first + i * leaves, leaves);
    }
#pragma omp taskwait
    for (int i = 0; i < CHILDREN; i++)
        total += sum[i];
    return total;
}

static void run(const void *arg)
{
    long sum = 0;

    (void)arg;
#pragma omp parallel
#pragma omp single
    sum = visit(0, leaves_of_all);
    bench_require(sum == leaves_of_all * (leaves_of_all - 1) / 2, "the sum of the leaves");
}

int main(void)
{
    leaves_of_all = bench_pick(1000000, 100000);
    return bench_serve(OPENMP_VERSION, "ns/task", (double)(leaves_of_all * CHILDREN / (CHILDREN - 1)), run, NULL);
}
