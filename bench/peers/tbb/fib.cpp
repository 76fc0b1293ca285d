/* SPDX-License-Identifier: MIT
 *
 * fib: the 32nd Fibonacci number with a group and a spawn at every call, per spawn.
 */
#include "tbb.h"
#include "../../fib.h"

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

static void run(const void *arg)
{
    const struct fib_case *c = static_cast<const struct fib_case *>(arg);

    bench_require(fib(c->n) == c->result, "fib");
}

int main()
{
    const struct fib_case c = fib_pick();

    return tbb_serve("ns/spawn", static_cast<double>(c.spawns), run, &c);
}
