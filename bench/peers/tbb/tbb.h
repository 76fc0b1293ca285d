/* SPDX-License-Identifier: MIT
 *
 * oneTBB's task_group. BENCH_THREADS says how many threads, the calling one included.
 */
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>
#include <oneapi/tbb/version.h>

#include "../../bench.h"

static inline int tbb_serve(const char *unit, double units, void (*run)(const void *), const void *arg)
{
    const char *threads = getenv("BENCH_THREADS");
    tbb::global_control control(tbb::global_control::max_allowed_parallelism,
                                threads ? strtoul(threads, NULL, 10) : 1);

    return bench_serve(TBB_runtime_version(), unit, units, run, arg);
}
