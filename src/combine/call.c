/* SPDX-License-Identifier: MIT
 * A function as a task that is waited for at once, and how it ended. The task gives fn a context, stack and frame of its own, so
 * that it can fail with a message, defer and panic; the group of one is on the stack and costs no allocation. */
#include "combine/jobs.h"

/* Has the code that fn returned anything to say but that its context had ended? */
static bool is_echo(struct cadre_ctx *ctx, int code)
{
    return (code == -ECANCELED || code == -ETIMEDOUT) && cadre_ctx_error(ctx) != 0;
}

static int run(struct cadre_ctx *ctx, void *arg)
{
    struct cdr_call *call = arg;
    int code;

    call->fate = CDR_FAILED; /* this stands when fn panics */
    call->code = -ENOTRECOVERABLE;
    if (call->deadline != 0) {
        call->scope = (struct cadre_ctx){ .parent = ctx, .deadline = call->deadline };
        call->under = ctx = &call->scope;
    }
    code = call->fn(ctx, call->arg);
    call->code = code;
    if (code == 0)
        call->fate = CDR_SUCCEEDED;
    else if (is_echo(call->under, code))
        call->fate = CDR_CUT_SHORT;
    return code;
}

void cdr_call_run(struct cadre_ctx *ctx, struct cdr_call *call)
{
    struct cadre_group g = { .parent = ctx, .name = call->name, .stack_size = call->stack_size };
    int error;

    call->under = ctx;
    call->fate = CDR_NEVER_RAN;
    call->code = -ECANCELED;
    (void)cadre_go(&g, run, call); /* a refusal is the group's error */
    error = cadre_wait(&g);
    if (error == 0)
        return;
    call->error = cadre_group_error(&g);
    if (call->fate == CDR_NEVER_RAN && call->error.origin == CADRE_FROM_START) {
        call->fate = CDR_NOT_STARTED;
        call->code = call->error.code;
    }
    call->error.code = call->code; /* an echo has the code that fn returned, whatever the context's is */
}

void cdr_call_blame_scope(struct cdr_call *call)
{
    if (call->error.line == 0)
        call->error = cadre_ctx_cause(&call->scope);
    call->error.code = call->code = cadre_ctx_error(&call->scope);
}

int cdr_fail(struct cadre_ctx *ctx, const struct cadre_error *error, struct cadre_error *copy)
{
    if (copy != NULL)
        *copy = *error;
    return cadre_fail_at(ctx, error->file, error->line, error->code, "%s", error->message);
}

int cdr_fail_ended(struct cadre_ctx *ctx, struct cadre_error *copy)
{
    struct cadre_error error = cadre_ctx_cause(ctx);

    error.code = cadre_ctx_error(ctx);
    return cdr_fail(ctx, &error, copy);
}
