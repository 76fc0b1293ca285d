/* SPDX-License-Identifier: MIT
 * A desk that takes orders: what the tests of cadre_flight ask, who asks, and how they see that callers wait. Include after
 * test.h. */
#ifndef CADRE_TEST_DESK_H
#define CADRE_TEST_DESK_H

#include "blocked.h"
#include "cadre.h"
#include "tasks.h"

/* What the calls of a test do, and how often. */
struct desk {
    struct cadre_group group;
    struct cadre_flights flights;
    struct cadre_ctx ctx; /* the callers' */
    struct gate gate;
    bool heedless;        /* fn passes the gate even when cancelled */
    int code;             /* fn's, with a message */
    bool panics;
    const char *key;
    atomic_int begun, ended, arrived, shared;
};

/* What a call asks for and gets. */
struct order {
    struct desk *desk;
    int from, to;
};

static inline struct desk *set_up(struct desk *desk)
{
    desk->flights.group = &desk->group;
    if (desk->key == NULL)
        desk->key = "key";
    return desk;
}

static inline int serve(struct cadre_ctx *ctx, void *arg)
{
    struct order *order = arg;
    struct desk *desk = order->desk;
    int code;

    atomic_fetch_add(&desk->begun, 1);
    code = gate_pass(desk->heedless ? NULL : ctx, &desk->gate);
    order->to = order->from + 1;
    atomic_fetch_add(&desk->ended, 1);
    if (code != 0)
        return code;
    if (desk->panics)
        cadre_panic("out of %s", "order");
    return desk->code != 0 ? cadre_fail(ctx, desk->code, "no %s today", "orders") : 0;
}

static inline int ask(struct cadre_ctx *ctx, struct desk *desk, const char *key, int *to)
{
    struct order order = { desk, 41, 0 };
    int shared = -1, code = cadre_flight(ctx, &desk->flights, key, strlen(key), serve, &order, sizeof order, &shared);

    test_check(code == 0 ? order.to == 42 && (shared == 0 || shared == 1) : order.to == 0 && shared == -1);
    if (code == 0)
        atomic_fetch_add(&desk->shared, shared);
    *to = order.to;
    return code;
}

/* A task that asks under the desk's context. */
static inline int asks(struct cadre_ctx *ctx, void *arg)
{
    struct desk *desk = arg;
    int to, code = ask(&desk->ctx, desk, desk->key, &to);

    (void)ctx;
    atomic_fetch_add(&desk->arrived, 1);
    return code;
}

static inline size_t waiting(struct cadre_ctx *ctx) { return blocked_in(&ctx->p_links, &ctx->p_lock); }

static inline void start(struct cadre_group *callers, struct desk *desk, int n)
{
    for (int i = 0; i < n; i++)
        cadre_go(callers, asks, desk);
}

#endif
