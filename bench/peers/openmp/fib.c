/* SPDX-License-Identifier: MIT
 *
 * fib: the 32nd Fibonacci number with a group and a spawn at every call, per spawn.
 */
#include "openmp.h"
#include "../../fib.h"

static long fib(int n)
{
    long first, second;

    if (n < 2)
        return n;
#pragma omp task shared(first) firstprivate(n)
    first = fib(n - 1);
    second = fib(n - 2);
#pragma omp taskwait
    return first + second;
}

static void run(const void *arg)
{
    const struct fib_case *c = arg;
    long result = 0;

#pragma omp parallel
#pragma omp single
    result = fib(c->n);
    bench_require(result == c->result, "fib");
}

int main(void)
{
    const struct fib_case c = fib_pick();

    return bench_serve(OPENMP_VERSION, "ns/spawn", (double)c.spawns, run, &c);
}
