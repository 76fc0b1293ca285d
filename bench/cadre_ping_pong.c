/* SPDX-License-Identifier: MIT
 *
 * ping_pong: a number goes back and forth between two tasks over two rendezvous channels, per round trip.
 */
#include <cadre.h>

#include "bench.h"

static long rounds;

struct table {
    struct cadre_chan ping, pong;
};

static int serve(struct cadre_ctx *ctx, void *arg)
{
    struct table *t = arg;

    for (long i = 0; i < rounds; i++) {
        long back = 0;
        int rc = cadre_send(ctx, &t->ping, &i);

        if (rc == 0)
            rc = cadre_recv(ctx, &t->pong, &back);
        if (rc != 0)
            return rc;
        bench_require(back == i + 1, "what came back");
    }
    return 0;
}

static int answer(struct cadre_ctx *ctx, void *arg)
{
    struct table *t = arg;

    for (long i = 0; i < rounds; i++) {
        long ball = 0;
        int rc = cadre_recv(ctx, &t->ping, &ball);

        ball++;
        if (rc == 0)
            rc = cadre_send(ctx, &t->pong, &ball);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void run(const void *arg)
{
    struct table t = {.ping = {.size = sizeof(long)}, .pong = {.size = sizeof(long)}};
    struct cadre_group g = {0};

    (void)arg;
    cadre_go(&g, serve, &t);
    cadre_go(&g, answer, &t);
    bench_require(cadre_wait(&g) == 0, "cadre_wait");
}

int main(void)
{
    rounds = bench_pick(500000, 50000);
    return bench_serve(cadre_version(), "ns/round trip", (double)rounds, run, NULL);
}
