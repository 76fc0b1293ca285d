/* SPDX-License-Identifier: MIT
 * A set of jobs: started in order, accounted for as they end, decided once, joined. jobs.h says how it comes to its result.
 *
 * A task finds its set by a value of its context rather than by its argument, which is the job: so nothing need be allocated for a
 * job. */
#include <stdlib.h>
#include <string.h>

#include "combine/jobs.h"

static const char set_key;

void *cdr_take_memory(size_t n, size_t size)
{
    int saved = errno;
    void *memory = calloc(n, size);

    errno = saved;
    return memory;
}

/* The lock is held for a moment, and no longer when a context has ended: so without one, and then it cannot fail for a task, nor
 * for a thread that has started one. */
void cdr_set_lock(struct cdr_set *set)
{
    if (cadre_mutex_lock(NULL, &set->lock) != 0)
        abort();
}

void cdr_set_unlock(struct cdr_set *set) { (void)cadre_mutex_unlock(&set->lock); }

/* ---- a job ends ---- */

/* The lock is held. */
static bool decide(struct cdr_set *set, const struct cadre_error *error)
{
    if (set->decided)
        return false;
    set->decided = true;
    if (error != NULL)
        set->result = *error;
    return true;
}

/* The lock is held. */
static bool count_success(struct cdr_set *set, size_t index)
{
    size_t place = set->succeeded++ - set->plan.skip; /* huge for those to be skipped */

    if (place < set->plan.keep)
        set->order[place] = index;
    return set->succeeded == set->plan.need && decide(set, NULL);
}

/* The lock is held. True when this was what the result depended on. */
static bool count(struct cdr_set *set, size_t index, struct cdr_call *call)
{
    if (call->fate != CDR_NOT_STARTED)
        set->jobs[index].code = call->code;
    call->error.index = (uint32_t)index;
    if (set->errors != NULL && call->fate == CDR_FAILED)
        set->errors[index] = call->error;
    switch (call->fate) {
    case CDR_SUCCEEDED:
        return count_success(set, index);
    case CDR_FAILED:
        return ++set->failed > set->plan.tolerate && decide(set, &call->error);
    case CDR_NOT_STARTED:
        return decide(set, &call->error);
    default:
        return false;
    }
}

static void account(struct cdr_set *set, size_t index, struct cdr_call *call)
{
    bool decides;

    cdr_set_lock(set);
    decides = count(set, index, call);
    cdr_set_unlock(set);
    /* What decided does not change any more. The set stays as long as this task is there. */
    if (decides) {
        cadre_group_cancel(&set->group, set->result.code, set->result.message);
        cadre_chan_close(set->certain);
    } else if (call->fate == CDR_FAILED && set->plan.hedge) {
        int sent = cadre_try_send(&set->failures, NULL);

        (void)sent; /* -EAGAIN: there is a signal already */
    }
}

static int run_job(struct cadre_ctx *ctx, void *arg)
{
    struct cdr_set *set = cadre_ctx_value(ctx, &set_key);
    struct cadre_job *job = arg;
    struct cdr_call call = { .fn = job->fn, .arg = job->arg, .name = set->group.name, .stack_size = set->stack_size };

    cdr_call_run(ctx, &call);
    account(set, (size_t)(job - set->jobs), &call);
    return 0;
}

/* ---- starting ---- */

/* Have all jobs failed that were started? */
static bool all_failed(struct cdr_set *set, size_t started)
{
    bool all;

    cdr_set_lock(set);
    all = set->failed == started;
    cdr_set_unlock(set);
    return all;
}

/* Hedge: wait until the next job is to be started, or the set has ended. */
static void await_turn(struct cdr_set *set, size_t started)
{
    struct cadre_case cases[] = {
        { .op = CADRE_RECV, .chan = &set->failures },
        { .op = CADRE_UNTIL, .deadline = cadre_in(set->plan.delay) },
    };
    int which = 0;

    while (which == 0 && !all_failed(set, started))
        which = cadre_select(cadre_group_ctx(&set->group), cases, 2);
}

void cdr_set_run(struct cdr_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        if (i > 0 && set->plan.hedge)
            await_turn(set, i);
        if (cadre_go(&set->group, run_job, &set->jobs[i]) != 0)
            break; /* the set has ended, or this has ended it */
    }
    (void)cadre_wait(&set->group);
}

/* ---- from the beginning to the end ---- */

bool cdr_jobs_are_valid(const struct cadre_job *jobs, size_t n)
{
    if (jobs == NULL || n == 0 || n > SIZE_MAX / sizeof *jobs)
        return false;
    for (size_t i = 0; i < n; i++)
        if (jobs[i].fn == NULL)
            return false;
    return true;
}

int cdr_set_init(struct cdr_set *set, struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n,
                 const struct cadre_jobs_options *options, const struct cdr_plan *plan)
{
    set->plan = *plan;
    set->jobs = jobs;
    set->n = n;
    set->errors = options->errors;
    set->stack_size = options->stack_size;
    set->failures.capacity = 1;
    set->ctx = (struct cadre_ctx){ .parent = ctx, .key = &set_key, .value = set };
    set->group.parent = &set->ctx;
    set->group.name = options->name;
    set->group.limit = (size_t)options->limit < n ? options->limit : 0;
    set->group.queue = CADRE_UNBOUNDED;
    set->group.flags = CADRE_CANCEL_ON_ERROR; /* the tasks return 0, so this is about those that cannot be started */
    if (plan->order == NULL)
        set->plan.keep = 0;
    set->order = set->plan.keep > 1 ? cdr_take_memory(set->plan.keep, sizeof *set->order) : &set->winner;
    if (set->order == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        jobs[i].code = -ECANCELED;
    if (set->errors != NULL)
        memset(set->errors, 0, n * sizeof *set->errors);
    return 0;
}

void cdr_set_finish(struct cdr_set *set)
{
    if (set->order != &set->winner)
        free(set->order);
}

int cdr_set_result(struct cdr_set *set, struct cadre_ctx *ctx, struct cadre_error *copy)
{
    struct cadre_error error;

    if (set->decided) {
        if (set->result.code != 0)
            return cdr_fail(ctx, &set->result, copy);
        for (size_t i = 0; i < set->plan.keep; i++)
            set->plan.order[i] = set->order[i];
        return 0;
    }
    error = cadre_group_error(&set->group);
    if (error.code != 0 && error.origin == CADRE_FROM_START)
        return cdr_fail(ctx, &error, copy);
    if (set->succeeded + set->failed == set->n)
        return 0; /* it could not be decided: cadre_settle */
    if (cadre_ctx_error(ctx) != 0)
        return cdr_fail_ended(ctx, copy);
    return cdr_fail_ended(cadre_group_ctx(&set->group), copy);
}

static bool is_valid(const struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options)
{
    return cdr_jobs_are_valid(jobs, n) && options->limit >= 0;
}

int cdr_set_run_jobs(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options,
                     const struct cdr_plan *plan)
{
    const struct cadre_jobs_options none = { 0 };
    struct cdr_set set = { 0 };
    int result;

    if (options == NULL)
        options = &none;
    if (!is_valid(jobs, n, options))
        return -EINVAL;
    if (options->rest != NULL)
        return cdr_set_run_apart(ctx, jobs, n, options, plan);
    result = cdr_set_init(&set, ctx, jobs, n, options, plan);
    if (result == 0) {
        cdr_set_run(&set);
        result = cdr_set_result(&set, ctx, options->error);
    }
    cdr_set_finish(&set);
    return result;
}
