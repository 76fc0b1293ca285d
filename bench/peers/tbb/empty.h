/* SPDX-License-Identifier: MIT
 *
 * Groups of empty tasks: what spawn, small_groups and groups_1000 have in common.
 */
#include "tbb.h"

struct empty {
    long groups, tasks;
};

template <typename Task> static void empty_groups(const struct empty *e, Task task)
{
    for (long i = 0; i < e->groups; i++) {
        tbb::task_group g;

        for (long k = 0; k < e->tasks; k++)
            g.run(task);
        g.wait();
    }
}

static inline void empty_run(const void *arg)
{
    empty_groups(static_cast<const struct empty *>(arg), [] {});
}

static inline int empty_serve(const struct empty *e)
{
    long tasks = e->groups * e->tasks;

    empty_groups(e, bench_tick);
    bench_require(bench_ticks == tasks, "tasks that ran");
    return tbb_serve("ns/task", static_cast<double>(tasks), empty_run, e);
}
