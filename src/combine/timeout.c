/* SPDX-License-Identifier: MIT
 * A function and its time. The task starts under ctx, and only what it is given has the deadline: so it runs even when the time is
 * up from the beginning. */
#include "combine/jobs.h"

int cadre_timeout(struct cadre_ctx *ctx, cadre_time duration, cadre_fn *fn, void *arg)
{
    struct cdr_call call = { .fn = fn, .arg = arg, .name = "timeout" };

    if (fn == NULL)
        return -EINVAL;
    call.deadline = cadre_in(duration);
    cdr_call_run(ctx, &call);
    switch (call.fate) {
    case CDR_SUCCEEDED:
        return 0;
    case CDR_NEVER_RAN:
        return cdr_fail_ended(ctx, NULL);
    case CDR_CUT_SHORT: /* by its time, or by what ended ctx */
        cdr_call_blame_scope(&call);
        break;
    default:
        break;
    }
    return cdr_fail(ctx, &call.error, NULL);
}
