/* SPDX-License-Identifier: MIT
 * Tries of one function, each a task, with growing delays in between; until one succeeds, or it is not worth while any more. */
#include <float.h>

#include "combine/jobs.h"

/* The state of one cadre_retry. */
struct retry {
    const struct cadre_retry_options *options;
    struct cadre_ctx scope; /* ctx with the deadline for everything */
    cadre_time delay;       /* before the next try, without jitter */
    uint64_t random;
    uint32_t tries;
    struct cdr_call call;   /* the last try */
};

static bool is_valid(const struct cadre_retry_options *options)
{
    return options->delay >= 0 && options->max_delay >= 0 && options->try_timeout >= 0 && options->deadline >= 0
           && (options->factor == 0 || (options->factor >= 1 && options->factor <= DBL_MAX));
}

/* ---- delays ---- */

static cadre_time bounded(const struct cadre_retry_options *options, cadre_time delay)
{
    return options->max_delay > 0 && delay > options->max_delay ? options->max_delay : delay;
}

static cadre_time grown(const struct cadre_retry_options *options, cadre_time delay)
{
    double next = (double)delay * options->factor;

    if (options->factor == 0 || options->factor == 1)
        return delay;
    return bounded(options, next < (double)CADRE_FOREVER ? (cadre_time)next : CADRE_FOREVER);
}

/* Sebastiano Vigna's splitmix64 (2015): it need only differ from caller to caller. */
static uint64_t next_random(struct retry *retry)
{
    uint64_t x = retry->random += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* The time to sleep before the next try. */
static cadre_time take_delay(struct retry *retry)
{
    cadre_time delay = retry->delay;

    retry->delay = grown(retry->options, delay);
    if (retry->options->jitter == 0 || delay == 0)
        return delay;
    return (cadre_time)(next_random(retry) % ((uint64_t)delay + 1));
}

/* ---- trying ---- */

static void try_once(struct retry *retry, cadre_fn *fn, void *arg)
{
    struct cdr_call *call = &retry->call;

    *call = (struct cdr_call){ .fn = fn, .arg = arg, .name = "retry", .stack_size = retry->options->stack_size };
    if (retry->options->try_timeout > 0)
        call->deadline = cadre_in(retry->options->try_timeout);
    cdr_call_run(&retry->scope, call);
    if (call->fate != CDR_NEVER_RAN && call->fate != CDR_NOT_STARTED && retry->tries < UINT32_MAX)
        retry->tries++;
    if (call->fate == CDR_CUT_SHORT && cadre_ctx_error(&retry->scope) == 0) { /* only the try's own time is up */
        cdr_call_blame_scope(call);
        call->fate = CDR_FAILED;
    }
}

static bool is_worth_another(const struct retry *retry)
{
    const struct cadre_retry_options *options = retry->options;

    return retry->call.fate == CDR_FAILED && (options->attempts == 0 || retry->tries < options->attempts)
           && (options->again == NULL || options->again(retry->call.code, retry->call.arg));
}

/* Wait for the next try. 0: it may start; 1: it would be too late; or what ended the context. */
static int pause_before_next(struct retry *retry)
{
    cadre_time delay = take_delay(retry);

    if (retry->options->deadline != 0 && cadre_in(delay) >= retry->options->deadline)
        return 1;
    if (delay == 0)
        cadre_yield(); /* tries without delay must not keep others from running */
    return cadre_sleep(&retry->scope, delay);
}

/* ---- the end ---- */

/* Return the error, with the number of tries behind its message. */
static int fail(struct cadre_ctx *ctx, const struct retry *retry, const struct cadre_error *error)
{
    const int most = CADRE_MESSAGE_SIZE - (int)sizeof " (4294967295 tries)";

    if (retry->tries < 2)
        return cdr_fail(ctx, error, NULL);
    return cadre_fail_at(ctx, error->file, error->line, error->code, "%.*s (%lu tries)", most, error->message,
                         (unsigned long)retry->tries);
}

/* `ended` is what ended the pause, if anything did. */
static int finish(struct cadre_ctx *ctx, struct retry *retry, int ended)
{
    struct cadre_error error = retry->call.error;

    if (retry->call.fate == CDR_SUCCEEDED)
        return 0;
    if (retry->call.fate == CDR_NEVER_RAN || retry->call.fate == CDR_CUT_SHORT)
        ended = cadre_ctx_error(&retry->scope);
    if (ended < 0) {
        error = cadre_ctx_cause(&retry->scope);
        error.code = ended;
    }
    if (retry->options->error != NULL)
        *retry->options->error = retry->call.fate == CDR_FAILED ? retry->call.error : error;
    return fail(ctx, retry, &error);
}

int cadre_retry(struct cadre_ctx *ctx, const struct cadre_retry_options *options, cadre_fn *fn, void *arg, uint32_t *tries)
{
    const struct cadre_retry_options none = { 0 };
    struct retry retry = { .options = options != NULL ? options : &none };
    int paused = 0;

    if (fn == NULL || !is_valid(retry.options))
        return -EINVAL;
    retry.scope = (struct cadre_ctx){ .parent = ctx, .deadline = retry.options->deadline };
    retry.delay = bounded(retry.options, retry.options->delay);
    retry.random = (uint64_t)cadre_now() ^ (uint64_t)(uintptr_t)&retry << 20 ^ (uint64_t)(uintptr_t)arg;
    do
        try_once(&retry, fn, arg);
    while (is_worth_another(&retry) && (paused = pause_before_next(&retry)) == 0);
    if (tries != NULL)
        *tries = retry.tries;
    return finish(ctx, &retry, paused);
}
