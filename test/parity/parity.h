/* SPDX-License-Identifier: MIT
 * What the tests of parity share: how often to repeat, tasks that tell how they ended, a cadre_go on a thread of its own, and
 * trials that depend on the passing of time. Only the public header is used. */
#ifndef CADRE_TEST_PARITY_H
#define CADRE_TEST_PARITY_H

#include "test.h"

#include "tasks.h"

#define lengthof(array) (sizeof(array) / sizeof *(array))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(CADRE_VALGRIND) || defined(CADRE_NO_CMOCKA)
#define PARITY_SLOW 10
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PARITY_SLOW 10
#endif
#endif
#ifndef PARITY_SLOW
#define PARITY_SLOW 1
#endif

/* How often to repeat: as a check needs it, or, with CADRE_PARITY_LONG=1 in the environment, as long runs want it. A tenth of
 * that where a tool slows everything down. */
static inline int repeat(int usual, int many)
{
    const char *text = getenv("CADRE_PARITY_LONG");
    int n = text != NULL && atoi(text) != 0 ? many : usual;

    return n > PARITY_SLOW ? n / PARITY_SLOW : 1;
}

/* A task that waits at a gate and tells how its wait ended. Several may share one. */
struct witness {
    struct gate gate;
    atomic_int begun, told, passed;
    atomic_bool noted;
    struct cadre_error cause; /* of the context's end, by the first one who was told */
};

static inline int witness_task(struct cadre_ctx *ctx, void *arg)
{
    struct witness *witness = arg;
    int code;

    atomic_fetch_add(&witness->begun, 1);
    code = gate_pass(ctx, &witness->gate);
    if (code != 0 && !atomic_exchange(&witness->noted, true))
        witness->cause = cadre_ctx_cause(ctx);
    atomic_fetch_add(code != 0 ? &witness->told : &witness->passed, 1);
    return code;
}

/* A cadre_go of one task of a crowd, on a thread of its own: it may have to wait. */
struct goer {
    struct cadre_group *group;
    struct crowd *crowd;
    atomic_int begun, returned;
    int code;
    pthread_t thread;
};

static inline void *goer_body(void *arg)
{
    struct goer *goer = arg;

    atomic_store(&goer->begun, 1);
    goer->code = cadre_go(goer->group, crowd_task, goer->crowd);
    atomic_store(&goer->returned, 1);
    return NULL;
}

static inline void goer_start(struct goer *goer, struct cadre_group *g, struct crowd *crowd)
{
    *goer = (struct goer){ .group = g, .crowd = crowd };
    goer->thread = thread_start(goer_body, goer);
    test_until(goer->begun);
}

/* It does not return as long as one looks. */
static inline void goer_stays(struct goer *goer)
{
    for (int i = 0; i < 20; i++) {
        test_check(!goer->returned);
        (void)cadre_sleep(NULL, CADRE_US(200));
    }
}

static inline int goer_join(struct goer *goer)
{
    thread_join(goer->thread);
    return goer->code;
}

/* A trial of what the passing of time decides: it sleeps for multiples of step, and says whether it came out as it must. On a
 * machine that is too slow for the step it may not, so it is repeated with longer ones, up to a length at which no
 * machine is to blame. */
static inline void with_growing_steps(bool (*trial)(cadre_time step))
{
    cadre_time step = CADRE_MS(10);

    while (!trial(step)) {
        step *= 2;
        test_check(step < CADRE_SEC(3));
    }
}

#endif
