/* SPDX-License-Identifier: MIT
 *
 * delayed: a million delayed starts that lie an hour ahead; the time to make them, and the memory that they hold. Then they are
 * cancelled.
 */
#include <cadre.h>

#include "bench.h"

struct scene {
    long tasks;
    double before; /* bytes that were resident when the program started */
};

static long dropped; /* changed by one thread at a time, and read after the wait */

static void drop(void *arg)
{
    (void)arg;
    dropped++;
}

static int never(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    bench_require(0, "a task that was to be cancelled");
    return 0;
}

static void run(const void *arg, double *figures)
{
    const struct scene *s = arg;
    struct cadre_group g = {.drop = drop};
    double begin = bench_now();

    dropped = 0;
    for (long i = 0; i < s->tasks; i++)
        cadre_go_after(&g, CADRE_SEC(3600) + i, never, &g, NULL);
    figures[0] = (bench_now() - begin) / (double)s->tasks;
    figures[1] = (bench_resident() - s->before) / (double)s->tasks;
    cadre_group_cancel(&g, 0, NULL);
    bench_require(cadre_wait(&g) == 0 && dropped == s->tasks, "tasks that were dropped");
}

int main(void)
{
    struct scene s = {.tasks = bench_pick(1000000, 100000), .before = bench_resident()};

    return bench_answer(cadre_version(), "ns/task\tmemory\tbytes/task", run, &s);
}
