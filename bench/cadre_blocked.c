/* SPDX-License-Identifier: MIT
 *
 * blocked: a million tasks, each blocked on a channel; the time to get there, and the memory that they hold.
 */
#include <cadre.h>

#include "bench.h"

struct scene {
    long tasks;
    double before; /* bytes that were resident when the program started */
    struct cadre_chan gate;
    long blocked, let_go;
};

static int block(struct cadre_ctx *ctx, void *arg)
{
    struct scene *s = arg;

    __atomic_fetch_add(&s->blocked, 1, __ATOMIC_RELAXED);
    if (cadre_recv(ctx, &s->gate, NULL) == -EPIPE)
        __atomic_fetch_add(&s->let_go, 1, __ATOMIC_RELAXED); /* read after the wait, which orders it */
    return 0;
}

static void run(const void *arg, double *figures)
{
    struct scene s = *(const struct scene *)arg;
    struct cadre_group g = {0};
    double begin = bench_now();

    for (long i = 0; i < s.tasks; i++)
        cadre_go(&g, block, &s);
    while (__atomic_load_n(&s.blocked, __ATOMIC_RELAXED) < s.tasks)
        cadre_sleep(NULL, CADRE_MS(1));
    figures[0] = (bench_now() - begin) / (double)s.tasks;
    figures[1] = (bench_resident() - s.before) / (double)s.tasks;
    cadre_chan_close(&s.gate);
    bench_require(cadre_wait(&g) == 0 && s.let_go == s.tasks, "tasks that were let go");
}

int main(void)
{
    struct scene s = {.tasks = bench_pick(1000000, 50000), .before = bench_resident()};

    return bench_answer(cadre_version(), "ns/task\tmemory\tbytes/task", run, &s);
}
