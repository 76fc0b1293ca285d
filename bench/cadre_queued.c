/* SPDX-License-Identifier: MIT
 *
 * queued: a million tasks wait for a slot of a group with eight, which are taken; the time to queue them, and the memory that they
 * hold.
 */
#include <cadre.h>

#include "bench.h"

#define SLOTS 8

struct scene {
    long tasks;
    double before; /* bytes that were resident when the program started */
    struct cadre_chan gate;
    long ran;
};

static int hold_slot(struct cadre_ctx *ctx, void *arg)
{
    struct scene *s = arg;

    return cadre_recv(ctx, &s->gate, NULL) == -EPIPE ? 0 : -EIO;
}

static int count(struct cadre_ctx *ctx, void *arg)
{
    struct scene *s = arg;

    (void)ctx;
    __atomic_fetch_add(&s->ran, 1, __ATOMIC_RELAXED); /* read after the wait, which orders it */
    return 0;
}

static void run(const void *arg, double *figures)
{
    struct scene s = *(const struct scene *)arg;
    struct cadre_group g = {.limit = SLOTS, .queue = CADRE_UNBOUNDED};

    for (int i = 0; i < SLOTS; i++)
        cadre_go(&g, hold_slot, &s);

    double begin = bench_now();

    for (long i = 0; i < s.tasks; i++)
        cadre_go(&g, count, &s);
    figures[0] = (bench_now() - begin) / (double)s.tasks;
    figures[1] = (bench_resident() - s.before) / (double)s.tasks;
    bench_require(__atomic_load_n(&s.ran, __ATOMIC_RELAXED) == 0, "tasks that waited");
    cadre_chan_close(&s.gate);
    bench_require(cadre_wait(&g) == 0 && s.ran == s.tasks, "tasks that ran");
}

int main(void)
{
    struct scene s = {.tasks = bench_pick(1000000, 100000), .before = bench_resident()};

    return bench_answer(cadre_version(), "ns/task\tmemory\tbytes/task", run, &s);
}
