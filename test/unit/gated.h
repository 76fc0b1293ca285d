/* SPDX-License-Identifier: MIT
 * Jobs whose ends a test commands: each waits at a gate of its own, and then does what it was told. Include after test.h. */
#ifndef CADRE_TEST_GATED_H
#define CADRE_TEST_GATED_H

#include "tasks.h"

enum deed { SUCCEED, FAIL, ECHO_CANCEL, ECHO_DEADLINE, PANIC, DEEDS };

struct gated {
    struct gate gate;
    enum deed deed;
    int number;    /* in its code and its message */
    bool heedless; /* passes the gate under no context, so that a cancel does not reach it */
    atomic_int *started, *ended;
    struct cadre_ctx *seen; /* the context that it was given */
    int heard;              /* at the gate: 0, or how that ended */
    struct cadre_error cause;
};

static inline int failure_of(int number) { return -1000 - number; }

/* The last thing that a job does, however it ends. */
static inline void gated_end(void *arg)
{
    struct gated *gated = arg;

    if (gated->ended != NULL)
        atomic_fetch_add(gated->ended, 1);
}

static inline int gated_job(struct cadre_ctx *ctx, void *arg)
{
    struct gated *gated = arg;
    int code;

    test_check(cadre_defer(gated_end, gated) == 0);
    gated->seen = ctx;
    if (gated->started != NULL)
        atomic_fetch_add(gated->started, 1);
    code = gate_pass(gated->heedless ? NULL : ctx, &gated->gate);
    gated->heard = code;
    gated->cause = cadre_ctx_cause(ctx);
    if (code != 0)
        return code;
    switch (gated->deed) {
    case FAIL:
        return cadre_fail(ctx, failure_of(gated->number), "job %d", gated->number);
    case ECHO_CANCEL:
        return cadre_fail(ctx, -ECANCELED, "job %d", gated->number);
    case ECHO_DEADLINE:
        return cadre_fail(ctx, -ETIMEDOUT, "job %d", gated->number);
    case PANIC:
        cadre_panic("job %d", gated->number);
    default:
        return 0;
    }
}

/* Jobs, numbered from 0, that do as `deeds` says; all wait at their gates. */
static inline void gated_jobs(struct cadre_job *jobs, struct gated *gated, int n, const enum deed *deeds)
{
    for (int i = 0; i < n; i++) {
        gated[i] = (struct gated){ .deed = deeds[i], .number = i };
        jobs[i] = (struct cadre_job){ .fn = gated_job, .arg = &gated[i], .code = 4711 };
    }
}

/* A cancel that comes from elsewhere once *count has reached `at`; and gates that open then. */
struct trigger {
    atomic_int *count;
    int at;
    struct cadre_ctx *cancel;
    struct gate *open;
};

static inline int trigger_task(struct cadre_ctx *ctx, void *arg)
{
    struct trigger *trigger = arg;

    (void)ctx;
    test_until(atomic_load(trigger->count) >= trigger->at);
    if (trigger->cancel != NULL)
        cadre_ctx_cancel(trigger->cancel, 0, NULL);
    if (trigger->open != NULL)
        gate_open(trigger->open);
    return 0;
}

#endif
