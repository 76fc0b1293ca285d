/* SPDX-License-Identifier: MIT
 * The calls that run several jobs: what each needs and tolerates, which is all that tells them apart. */
#include "combine/jobs.h"

#define NEVER SIZE_MAX

int cadre_all(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options)
{
    return cdr_set_run_jobs(ctx, jobs, n, options, &(struct cdr_plan){ .need = n });
}

int cadre_settle(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options)
{
    return cdr_set_run_jobs(ctx, jobs, n, options, &(struct cdr_plan){ .need = NEVER, .tolerate = NEVER });
}

int cadre_race(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options, size_t *winner)
{
    return cdr_set_run_jobs(ctx, jobs, n, options,
                            &(struct cdr_plan){ .need = 1, .tolerate = n - 1, .order = winner, .keep = 1 });
}

int cadre_take(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, size_t k, const struct cadre_jobs_options *options,
               size_t *order)
{
    if (k == 0)
        return -EINVAL;
    if (k > n)
        k = n;
    return cdr_set_run_jobs(ctx, jobs, n, options, &(struct cdr_plan){ .need = k, .order = order, .keep = k });
}

/* When all succeed, the last to succeed are the last to end. */
int cadre_last(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, size_t k, const struct cadre_jobs_options *options,
               size_t *order)
{
    if (k == 0)
        return -EINVAL;
    if (k > n)
        k = n;
    return cdr_set_run_jobs(ctx, jobs, n, options,
                            &(struct cdr_plan){ .need = n, .order = order, .skip = n - k, .keep = k });
}

int cadre_quorum(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, size_t k, const struct cadre_jobs_options *options,
                 size_t *order)
{
    if (k == 0 || k > n)
        return -EINVAL;
    return cdr_set_run_jobs(ctx, jobs, n, options,
                            &(struct cdr_plan){ .need = k, .tolerate = n - k, .order = order, .keep = k });
}

int cadre_hedge(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, cadre_time delay, const struct cadre_jobs_options *options,
                size_t *winner)
{
    struct cdr_plan plan = { .need = 1, .tolerate = n - 1, .order = winner, .keep = 1, .hedge = true, .delay = delay };

    return cdr_set_run_jobs(ctx, jobs, n, options, &plan);
}
