/* SPDX-License-Identifier: MIT
 *
 * Groups of empty tasks: what spawn, small_groups and groups_1000 have in common.
 */
#include "openmp.h"

struct empty {
    long groups, tasks;
};

static void empty(void)
{
}

static void empty_groups(const struct empty *e, void (*volatile fn)(void))
{
#pragma omp parallel
#pragma omp single
    for (long i = 0; i < e->groups; i++) {
        void (*task)(void) = fn;

        for (long k = 0; k < e->tasks; k++) {
#pragma omp task firstprivate(task)
            task();
        }
#pragma omp taskwait
    }
}

static inline void empty_run(const void *arg)
{
    empty_groups((const struct empty *)arg, empty);
}

static inline int empty_serve(const struct empty *e)
{
    long tasks = e->groups * e->tasks;

    empty_groups(e, bench_tick);
    bench_require(bench_ticks == tasks, "tasks that ran");
    return bench_serve(OPENMP_VERSION, "ns/task", (double)tasks, empty_run, e);
}
