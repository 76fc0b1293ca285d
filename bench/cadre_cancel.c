/* SPDX-License-Identifier: MIT
 *
 * cancel: ten thousand tasks are blocked, one more fails and so cancels them; until the wait returns, which is when all have ended.
 */
#include <cadre.h>

#include "bench.h"

#define TASKS 10000

struct scene {
    struct cadre_chan never, alarm;
    long blocked, cancelled;
};

static int block(struct cadre_ctx *ctx, void *arg)
{
    struct scene *s = arg;

    __atomic_fetch_add(&s->blocked, 1, __ATOMIC_RELAXED);

    int rc = cadre_recv(ctx, &s->never, NULL);

    if (rc == -ECANCELED)
        __atomic_fetch_add(&s->cancelled, 1, __ATOMIC_RELAXED); /* read after the wait, which orders it */
    return rc;
}

static int fail(struct cadre_ctx *ctx, void *arg)
{
    struct scene *s = arg;
    int rc = cadre_recv(ctx, &s->alarm, NULL);

    return rc == 0 ? -EIO : rc;
}

static void run(const void *arg, double *figures)
{
    struct scene s = {0};
    struct cadre_group g = {.flags = CADRE_CANCEL_ON_ERROR};

    (void)arg;
    cadre_go(&g, fail, &s);
    for (int i = 0; i < TASKS; i++)
        cadre_go(&g, block, &s);
    while (__atomic_load_n(&s.blocked, __ATOMIC_RELAXED) < TASKS)
        cadre_sleep(NULL, CADRE_MS(1));
    cadre_sleep(NULL, CADRE_MS(5)); /* for the last of them to get from its count to the channel */

    double begin = bench_now();

    bench_require(cadre_send(NULL, &s.alarm, NULL) == 0, "cadre_send");
    bench_require(cadre_wait(&g) == -EIO, "cadre_wait");
    figures[0] = (bench_now() - begin) / 1e6;
    bench_require(s.cancelled == TASKS, "tasks that were cancelled");
}

int main(void)
{
    return bench_answer(cadre_version(), "ms", run, NULL);
}
