/* SPDX-License-Identifier: MIT
 *
 * fib: the 32nd Fibonacci number with a group and a spawn at every call, per spawn.
 */
#include "tbb.h"

#define FIB_32 2178309
#define SPAWNS_32 3524577 /* calls with n >= 2 */

static long fib(int n)
{
    if (n < 2)
        return n;

    tbb::task_group g;
    long first = 0;

    g.run([&first, n] { first = fib(n - 1); });
    long second = fib(n - 2);
    g.wait();
    return first + second;
}

static void run(const void *)
{
    bench_require(fib(32) == FIB_32, "fib(32)");
}

int main()
{
    return tbb_serve("ns/spawn", SPAWNS_32, run, NULL);
}
