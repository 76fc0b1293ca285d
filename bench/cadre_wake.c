/* SPDX-License-Identifier: MIT
 *
 * wake: everything has been idle for two milliseconds; main sends the time to a task, until that has it.
 */
#include <cadre.h>

#include "bench.h"

#define MOST_WAKES 500
#define PAUSE 2e6

struct table {
    struct cadre_chan there, back;
};

static int receive(struct cadre_ctx *ctx, void *arg)
{
    struct table *t = arg;
    double sent;
    int rc;

    while ((rc = cadre_recv(ctx, &t->there, &sent)) == 0) {
        double late = bench_now() - sent;

        rc = cadre_send(ctx, &t->back, &late);
        if (rc != 0)
            break;
    }
    return rc == -EPIPE ? 0 : rc;
}

static void run(const void *arg, double *figures)
{
    const long wakes = *(const long *)arg;
    struct table t = {.there = {.size = sizeof(double)}, .back = {.size = sizeof(double)}};
    struct cadre_group g = {0};
    double late[MOST_WAKES];

    cadre_go(&g, receive, &t);
    for (long i = 0; i < wakes; i++) {
        bench_sleep(PAUSE);

        double now = bench_now();

        bench_require(cadre_send(NULL, &t.there, &now) == 0 && cadre_recv(NULL, &t.back, &late[i]) == 0, "what came back");
    }
    cadre_chan_close(&t.there);
    bench_require(cadre_wait(&g) == 0, "cadre_wait");
    figures[1] = bench_quantile(late, wakes, 0.99) / 1e3;
    figures[0] = bench_quantile(late, wakes, 0.5) / 1e3;
}

int main(void)
{
    const long wakes = bench_pick(MOST_WAKES, 50);

    return bench_answer(cadre_version(), "us\tp99\tus", run, &wakes);
}
