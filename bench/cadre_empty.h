/* SPDX-License-Identifier: MIT
 *
 * Groups of empty tasks: what spawn, small_groups, groups_1000 and limit8 have in common.
 */
#include <cadre.h>

#include "bench.h"

struct empty {
    long groups, tasks;
    int limit;
};

static inline int empty(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    return 0;
}

static inline int tick(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    bench_tick();
    return 0;
}

static inline void empty_groups(const struct empty *e, cadre_fn *fn)
{
    for (long i = 0; i < e->groups; i++) {
        struct cadre_group g = {.limit = e->limit};

        for (long k = 0; k < e->tasks; k++)
            cadre_go(&g, fn, NULL);
        bench_require(cadre_wait(&g) == 0, "cadre_wait");
    }
}

static inline void empty_run(const void *arg)
{
    empty_groups((const struct empty *)arg, empty);
}

static inline int empty_serve(const struct empty *e)
{
    long tasks = e->groups * e->tasks;

    empty_groups(e, tick);
    bench_require(bench_ticks == tasks, "tasks that ran");
    return bench_serve(cadre_version(), "ns/task", (double)tasks, empty_run, e);
}
