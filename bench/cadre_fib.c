/* SPDX-License-Identifier: MIT
 *
 * fib: the 32nd Fibonacci number with a group and a spawn at every call, per spawn.
 */
#include <cadre.h>

#include "fib.h"

struct call {
    int n;
    long result;
};

static int fib_task(struct cadre_ctx *ctx, void *arg);

static long fib(int n)
{
    if (n < 2)
        return n;

    struct cadre_group g = {0};
    struct call first = {.n = n - 1};

    cadre_go(&g, fib_task, &first);
    long second = fib(n - 2);
    bench_require(cadre_wait(&g) == 0, "cadre_wait");
    return first.result + second;
}

static int fib_task(struct cadre_ctx *ctx, void *arg)
{
    struct call *call = arg;

    (void)ctx;
    call->result = fib(call->n);
    return 0;
}

static void run(const void *arg)
{
    const struct fib_case *c = arg;
    struct cadre_group g = {0};
    struct call root = {.n = c->n};

    cadre_go(&g, fib_task, &root);
    bench_require(cadre_wait(&g) == 0 && root.result == c->result, "fib");
}

int main(void)
{
    const struct fib_case c = fib_pick();

    return bench_serve(cadre_version(), "ns/spawn", (double)c.spawns, run, &c);
}
