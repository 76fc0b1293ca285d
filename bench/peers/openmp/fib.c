/* SPDX-License-Identifier: MIT
 *
 * fib: the 32nd Fibonacci number with a group and a spawn at every call, per spawn.
 */
#include "openmp.h"

#define FIB_32 2178309
#define SPAWNS_32 3524577 /* calls with n >= 2 */

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
    long result = 0;

    (void)arg;
#pragma omp parallel
#pragma omp single
    result = fib(32);
    bench_require(result == FIB_32, "fib(32)");
}

int main(void)
{
    return bench_serve(OPENMP_VERSION, "ns/spawn", SPAWNS_32, run, NULL);
}
