/* SPDX-License-Identifier: MIT
 * Sets whose losers are not waited for. The set runs in a keeper, a task that waits for all of its jobs and is held by the group
 * options->rest, so that waiting for that group waits for them; the caller waits for the result only.
 *
 * Both share a state from malloc that the last to leave frees. The caller takes what is known out of it, under the set's lock,
 * and the keeper sees nothing of the caller's: not its jobs, options or context. So a job does not see the values of the
 * caller's context, but those of the group's. The caller's deadline is handed down; its cancel, by the caller as it leaves.
 *
 * Why the keeper is not a task of the group: cadre_go would wait for a slot under the group's context when the caller's has ended,
 * and a task that is dropped is handed to the user's callback, or to nobody, and the caller would wait for ever. A hold is
 * always counted out. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "combine/jobs.h"

struct state {
    struct cdr_set set;
    struct cadre_ctx scope;    /* of the whole set, in place of the caller's context */
    struct cadre_chan certain; /* closed when there is a result */
    struct cadre_group *rest;
    struct cadre_job *jobs;
    struct cadre_error *errors;
    atomic_int users;
    char name[CADRE_NAME_SIZE];
};

/* The group of all keepers. Nobody waits for it: each keeper is waited for by way of a hold. */
static struct cadre_group keepers = { .name = "cadre: rest" };

static void leave(struct state *state)
{
    /* Acquire: who frees sees all that the other has done. Release: for when the other frees. */
    if (atomic_fetch_sub_explicit(&state->users, 1, memory_order_acq_rel) != 1)
        return;
    cdr_set_finish(&state->set);
    free(state->errors);
    free(state->jobs);
    free(state);
}

static int keep(struct cadre_ctx *ctx, void *arg)
{
    struct state *state = arg;
    struct cadre_group *rest = state->rest;

    (void)ctx;
    cdr_set_run(&state->set);
    cadre_chan_close(&state->certain);
    leave(state);
    cadre_group_release(rest, 0); /* the group may be gone afterwards */
    return 0;
}

/* ---- the caller ---- */

static void copy_name(struct state *state, const char *name)
{
    size_t length = name != NULL ? strnlen(name, sizeof state->name - 1) : 0;

    if (length > 0)
        memcpy(state->name, name, length);
}

/* The state has what the keeper needs. Without memory it is only half made. */
static int fill(struct state *state, struct cadre_ctx *ctx, const struct cadre_job *jobs, size_t n,
                const struct cadre_jobs_options *options, const struct cdr_plan *plan)
{
    struct cadre_jobs_options own = { .limit = options->limit, .stack_size = options->stack_size };
    cadre_time deadline = cadre_ctx_deadline(ctx);

    atomic_init(&state->users, 1);
    state->jobs = cdr_take_memory(n, sizeof *jobs);
    if (options->errors != NULL)
        state->errors = cdr_take_memory(n, sizeof *state->errors);
    if (state->jobs == NULL || (options->errors != NULL && state->errors == NULL))
        return -ENOMEM;
    memcpy(state->jobs, jobs, n * sizeof *jobs);
    copy_name(state, options->name);
    own.name = options->name != NULL ? state->name : NULL;
    own.errors = state->errors;
    state->rest = options->rest;
    state->scope.parent = cadre_group_ctx(options->rest);
    state->scope.deadline = deadline != CADRE_FOREVER ? deadline : 0;
    state->set.certain = &state->certain;
    return cdr_set_init(&state->set, &state->scope, state->jobs, n, &own, plan);
}

/* A hold is not refused by a group that starts nothing more after an error; but it ends a set before it begins. */
static bool has_stopped(struct cadre_group *rest)
{
    return (rest->flags & CADRE_STOP_ON_ERROR) != 0 && cadre_group_error_count(rest) > 0;
}

/* The keeper has its own use of the state, and the group is held, from here on. */
static int start(struct state *state)
{
    int error = cadre_group_hold(state->rest);

    if (error != 0)
        return error;
    if (has_stopped(state->rest))
        cadre_ctx_cancel(&state->scope, 0, "the group has stopped");
    atomic_fetch_add_explicit(&state->users, 1, memory_order_relaxed); /* not shared yet */
    error = cadre_go(&keepers, keep, state);
    if (error == 0)
        return 0;
    leave(state);
    cadre_group_release(state->rest, 0);
    return error;
}

/* Wait until the result is certain, or ctx ends; then the set is told. */
static int await(struct state *state, struct cadre_ctx *ctx)
{
    int error = cadre_recv(ctx, &state->certain, NULL);
    struct cadre_error cause;

    if (error == -EPIPE)
        return 0;
    cause = cadre_ctx_cause(ctx);
    cadre_ctx_cancel(&state->scope, cause.code, cause.message);
    return error;
}

/* What is known now is the caller's, the other jobs count as cancelled. */
static int take_result(struct state *state, struct cadre_ctx *ctx, int waited, struct cadre_job *jobs,
                       const struct cadre_jobs_options *options)
{
    struct cdr_set *set = &state->set;
    int result = waited;

    cdr_set_lock(set);
    for (size_t i = 0; i < set->n; i++)
        jobs[i].code = state->jobs[i].code;
    if (options->errors != NULL)
        memcpy(options->errors, state->errors, set->n * sizeof *options->errors);
    if (waited == 0 || set->decided)
        result = cdr_set_result(set, ctx, options->error);
    else if (cadre_ctx_error(ctx) != 0)
        result = cdr_fail_ended(ctx, options->error);
    cdr_set_unlock(set);
    return result;
}

int cdr_set_run_apart(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options,
                      const struct cdr_plan *plan)
{
    struct state *state = cdr_take_memory(1, sizeof *state);
    int result;

    if (state == NULL)
        return -ENOMEM;
    result = fill(state, ctx, jobs, n, options, plan);
    if (result == 0)
        result = start(state);
    if (result == 0) {
        result = await(state, ctx);
        result = take_result(state, ctx, result, jobs, options);
    }
    leave(state);
    return result;
}
