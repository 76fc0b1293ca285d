/* SPDX-License-Identifier: MIT
 *
 * ready_computing and ready_blocked: a task sleeps for two milliseconds, over and over, while as many tasks as there are workers
 * compute, yielding every 100 µs, or sit in read(2); how late it goes on. The question is the program's argument.
 */
#include <cadre.h>
#include <string.h>

#include "bench.h"

#define MOST_SLEEPS 200
#define PAUSE CADRE_MS(2)
#define SLICE CADRE_US(100)

struct scene {
    cadre_fn *load;
    long sleeps;
    int busy, done, pipe[2];
    double late[MOST_SLEEPS];
};

static int compute(struct cadre_ctx *ctx, void *arg)
{
    struct scene *s = arg;

    (void)ctx;
    __atomic_fetch_add(&s->busy, 1, __ATOMIC_RELAXED);
    while (!__atomic_load_n(&s->done, __ATOMIC_RELAXED)) {
        for (cadre_time end = cadre_now() + SLICE; cadre_now() < end;)
            ;
        cadre_yield();
    }
    return 0;
}

static int sit(struct cadre_ctx *ctx, void *arg)
{
    struct scene *s = arg;
    char byte;

    (void)ctx;
    __atomic_fetch_add(&s->busy, 1, __ATOMIC_RELAXED);
    bench_require(read(s->pipe[0], &byte, 1) == 1, "read");
    return 0;
}

static int sleeper(struct cadre_ctx *ctx, void *arg)
{
    struct scene *s = arg;
    const int workers = cadre_workers();
    int rc = 0;

    while (__atomic_load_n(&s->busy, __ATOMIC_RELAXED) < workers && rc == 0)
        rc = cadre_sleep(ctx, PAUSE);
    for (long i = 0; i < s->sleeps && rc == 0; i++) {
        cadre_time due = cadre_now() + PAUSE;

        rc = cadre_sleep(ctx, PAUSE);
        s->late[i] = (double)(cadre_now() - due);
        bench_require(s->late[i] >= 0, "a sleep that was too short");
    }
    __atomic_store_n(&s->done, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < workers; i++)
        bench_require(write(s->pipe[1], "", 1) == 1, "write");
    return rc;
}

static void run(const void *arg, double *figures)
{
    struct scene s = *(const struct scene *)arg;
    struct cadre_group g = {0};

    bench_require(pipe(s.pipe) == 0, "pipe");
    cadre_go(&g, sleeper, &s);
    for (int i = 0; i < cadre_workers(); i++)
        cadre_go(&g, s.load, &s);
    bench_require(cadre_wait(&g) == 0, "cadre_wait");
    close(s.pipe[0]);
    close(s.pipe[1]);
    figures[1] = bench_quantile(s.late, s.sleeps, 0.99) / 1e3;
    figures[0] = bench_quantile(s.late, s.sleeps, 0.5) / 1e3;
}

int main(int argc, char **argv)
{
    int blocked = argc > 1 && strcmp(argv[1], "ready_blocked") == 0;
    struct scene s = {.load = blocked ? sit : compute, .sleeps = bench_pick(MOST_SLEEPS, 30)};

    return bench_answer(cadre_version(), "us\tp99\tus", run, &s);
}
