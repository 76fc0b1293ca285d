/* SPDX-License-Identifier: MIT
 * Steps, one after the other, on one value. */
#include "combine/jobs.h"

/* How the waterfall ends with a step that did not succeed. */
static int ended_with(struct cadre_ctx *ctx, const struct cdr_call *call)
{
    if (call->fate == CDR_FAILED || call->fate == CDR_NOT_STARTED)
        return cdr_fail(ctx, &call->error, NULL);
    return cdr_fail_ended(ctx, NULL);
}

int cadre_waterfall(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, void *value)
{
    if (!cdr_jobs_are_valid(jobs, n))
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        jobs[i].code = -ECANCELED;
    for (size_t i = 0; i < n; i++) {
        struct cdr_call call = { .fn = jobs[i].fn, .arg = value, .name = "waterfall" };

        cdr_call_run(ctx, &call);
        if (call.fate != CDR_NOT_STARTED)
            jobs[i].code = call.code;
        call.error.index = (uint32_t)i;
        if (call.fate != CDR_SUCCEEDED)
            return ended_with(ctx, &call);
    }
    return 0;
}
