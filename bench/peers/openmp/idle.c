/* SPDX-License-Identifier: MIT
 *
 * idle: after some work, nothing happens for two seconds; the CPU time that goes by meanwhile.
 */
#include "empty.h"

static void run(const void *arg, double *figures)
{
    static const struct empty work = {.groups = 100, .tasks = 1000};

    bench_ticks = 0;
    empty_groups(&work, bench_tick);
    bench_require(bench_ticks == work.groups * work.tasks, "tasks that ran");

    double cpu = bench_cpu();

    bench_sleep(*(const double *)arg);
    figures[0] = (bench_cpu() - cpu) / 1e3;
}

int main(void)
{
    const double span = (double)bench_pick(2000, 300) * 1e6;

    return bench_answer(OPENMP_VERSION, "us of CPU", run, &span);
}
