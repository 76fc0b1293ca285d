/* SPDX-License-Identifier: MIT
 *
 * oneTBB's task_group. BENCH_THREADS says how many threads, the calling one included.
 */
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>
#include <oneapi/tbb/version.h>

#include "../../bench.h"

/* As bench_serve and bench_answer. */
static inline int tbb_answer(const char *units, void (*run)(const void *, double *), const void *arg)
{
    const char *threads = getenv("BENCH_THREADS");
    tbb::global_control control(tbb::global_control::max_allowed_parallelism,
                                threads ? strtoul(threads, NULL, 10) : 1);

    return bench_answer(TBB_runtime_version(), units, run, arg);
}

static inline int tbb_serve(const char *unit, double units, void (*run)(const void *), const void *arg)
{
    const struct bench_timed timed = {run, arg, units};

    return tbb_answer(unit, bench_run_timed, &timed);
}
