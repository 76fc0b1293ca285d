/* SPDX-License-Identifier: MIT
 * What the tests of groups share: gates that hold tasks up until a test opens them, a count of what runs at once, waiting for
 * a condition, threads. Include after test.h. Only the public header is used. */
#ifndef CADRE_TEST_TASKS_H
#define CADRE_TEST_TASKS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "cadre.h"

/* Wait until the condition holds; one that has not come true after a minute never will. */
#define test_until(condition) \
    do { \
        cadre_time give_up = cadre_in(CADRE_SEC(60)); \
        while (!(condition)) { \
            test_check(cadre_now() < give_up); \
            (void)cadre_sleep(NULL, CADRE_US(50)); \
        } \
    } while (0)

/* A gate is closed at first; opening it lets everybody through, for good. */
struct gate {
    struct cadre_chan chan;
};

static inline void gate_open(struct gate *gate) { cadre_chan_close(&gate->chan); }

/* 0 once the gate is open, or the error of ctx. */
static inline int gate_pass(struct cadre_ctx *ctx, struct gate *gate)
{
    int code = cadre_recv(ctx, &gate->chan, NULL);

    return code == -EPIPE ? 0 : code;
}

/* What a crowd of like tasks does: each counts itself, passes the gate, and returns code. */
struct crowd {
    struct gate gate;
    int code;
    bool heedless; /* passes the gate under no context, so that a cancel does not reach it */
    atomic_int started, running, most, ended, dropped;
};

static inline void crowd_enter(struct crowd *crowd)
{
    int now = atomic_fetch_add(&crowd->running, 1) + 1, most = atomic_load(&crowd->most);

    while (now > most && !atomic_compare_exchange_weak(&crowd->most, &most, now))
        ;
    atomic_fetch_add(&crowd->started, 1);
}

static inline void crowd_leave(struct crowd *crowd)
{
    atomic_fetch_sub(&crowd->running, 1);
    atomic_fetch_add(&crowd->ended, 1);
}

/* A task of a crowd. */
static inline int crowd_task(struct cadre_ctx *ctx, void *arg)
{
    struct crowd *crowd = arg;
    int code;

    crowd_enter(crowd);
    code = gate_pass(crowd->heedless ? NULL : ctx, &crowd->gate);
    crowd_leave(crowd);
    return code != 0 ? code : crowd->code;
}

/* A task of a crowd that does not stop at the gate, but lets others have their turn. */
static inline int crowd_passer(struct cadre_ctx *ctx, void *arg)
{
    struct crowd *crowd = arg;

    (void)ctx;
    crowd_enter(crowd);
    cadre_yield();
    crowd_leave(crowd);
    return crowd->code;
}

/* The drop callback of a crowd's group. */
static inline void crowd_drop(void *arg)
{
    struct crowd *crowd = arg;

    atomic_fetch_add(&crowd->dropped, 1);
}

/* Tasks that only return what their argument points to; NULL: 0. */
static inline int return_code(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return arg != NULL ? *(const int *)arg : 0;
}

/* Counts in an atomic_int. */
static inline int count_task(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static inline void count_drop(void *arg) { atomic_fetch_add((atomic_int *)arg, 1); }

/* Blocks until its context ends, and says how. */
static inline int sleep_for_ever(struct cadre_ctx *ctx, void *arg)
{
    if (arg != NULL)
        atomic_fetch_add((atomic_int *)arg, 1);
    return cadre_sleep(ctx, CADRE_FOREVER);
}

static inline pthread_t thread_start(void *(*body)(void *arg), void *arg)
{
    pthread_t thread;

    test_check(pthread_create(&thread, NULL, body, arg) == 0);
    return thread;
}

static inline void thread_join(pthread_t thread) { test_check(pthread_join(thread, NULL) == 0); }

/* A call of cadre_wait on a thread of its own. */
struct waiting {
    struct cadre_group *group;
    pthread_t thread;
    int code;
    atomic_int begun, returned;
};

static inline void *waiting_body(void *arg)
{
    struct waiting *waiting = arg;

    atomic_store(&waiting->begun, 1);
    waiting->code = cadre_wait(waiting->group);
    atomic_store(&waiting->returned, 1);
    return NULL;
}

static inline void waiting_start(struct waiting *waiting, struct cadre_group *g)
{
    *waiting = (struct waiting){ .group = g };
    waiting->thread = thread_start(waiting_body, waiting);
}

static inline int waiting_join(struct waiting *waiting)
{
    thread_join(waiting->thread);
    return waiting->code;
}

#endif
