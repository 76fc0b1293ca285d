/* SPDX-License-Identifier: MIT
 *
 * timers: a million delayed starts at random times within two seconds; the CPU time that they take altogether, and how late they are.
 */
#include <cadre.h>

#include "timers.h"

struct load {
    long timers;
    cadre_time span;
};

struct start {
    cadre_time due;
    double late;
};

static int note(struct cadre_ctx *ctx, void *arg)
{
    struct start *start = arg;

    (void)ctx;
    start->late = (double)(cadre_now() - start->due);
    return 0;
}

static void run(const void *arg, double *figures)
{
    const long n = ((const struct load *)arg)->timers;
    const cadre_time span = ((const struct load *)arg)->span;
    struct start *starts = malloc((size_t)n * sizeof *starts);
    double *late = malloc((size_t)n * sizeof *late), cpu = bench_cpu();
    struct cadre_group g = {0};
    uint64_t random = 1;

    bench_require(starts != NULL && late != NULL, "memory");
    for (long i = 0; i < n; i++) {
        cadre_time delay = timers_delay(&random, span);

        starts[i] = (struct start){.due = cadre_now() + delay, .late = -1};
        cadre_go_after(&g, delay, note, &starts[i], NULL);
    }
    bench_require(cadre_wait(&g) == 0, "cadre_wait");
    cpu = bench_cpu() - cpu;
    for (long i = 0; i < n; i++)
        late[i] = starts[i].late;
    timers_figures(late, n, cpu, figures);
    free(late);
    free(starts);
}

int main(void)
{
    const struct load load = {bench_pick(1000000, 50000), CADRE_MS(bench_pick(2000, 200))};

    return bench_answer(cadre_version(), "CPU s\tlate\tms", run, &load);
}
