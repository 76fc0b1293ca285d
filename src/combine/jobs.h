/* SPDX-License-Identifier: MIT
 * What the calls that run jobs share: a call of one function as a task, and a set of jobs that runs until its result is certain.
 *
 * A call (call.c) is a group of one task that is waited for at once. It says how the function ended: by itself, or because its
 * context had ended; and a panic is a code like others, with its message.
 *
 * A set (set.c) is a group with a task for each job, which makes the call and accounts for it, under the set's lock. A set knows
 * only two numbers: how many jobs must succeed, and how many may fail. The job that makes the result certain decides it
 * for good and cancels the others:
 *
 *                 all, last     take     race     quorum    settle
 *     need            n           k        1         k      never
 *     tolerate        0           0      n - 1     n - k    any number
 *
 * A job that returns -ECANCELED or -ETIMEDOUT after its context ended has echoed that: it counts neither here nor there. So a set
 * that is still undecided when all its jobs have ended was ended from outside, or could not be started. */
#ifndef CADRE_COMBINE_JOBS_H
#define CADRE_COMBINE_JOBS_H

#include <stdbool.h>

#include "cadre.h"

/* ---- one function as a task (call.c) ---- */

enum cdr_fate {
    CDR_NEVER_RAN,   /* the context had ended before */
    CDR_NOT_STARTED, /* for want of memory: code says so */
    CDR_SUCCEEDED,
    CDR_FAILED,      /* by itself, or by a panic */
    CDR_CUT_SHORT    /* code echoes the end of the context */
};

struct cdr_call {
    cadre_fn *fn;
    void *arg;
    const char *name;
    size_t stack_size;
    cadre_time deadline;     /* of its own; 0: none */
    /* what became of it */
    enum cdr_fate fate;
    int code;                /* what fn returned, -ENOTRECOVERABLE after a panic, -ECANCELED when it never ran */
    struct cadre_error error; /* when it failed or could not be started */
    /* private */
    struct cadre_ctx *under; /* whose end would be echoed */
    struct cadre_ctx scope;  /* that with the deadline */
};

/* Run call->fn under ctx, and under the call's own deadline, and wait for it. */
void cdr_call_run(struct cadre_ctx *ctx, struct cdr_call *call);

/* The call was cut short by the end of its own scope: that is its error. What fn said about it stays. */
void cdr_call_blame_scope(struct cdr_call *call);

/* Attach the error to the running task, copy it unless copy is NULL, and return its code. */
int cdr_fail(struct cadre_ctx *ctx, const struct cadre_error *error, struct cadre_error *copy);

/* ctx has ended: attach the cause, and return its error. */
int cdr_fail_ended(struct cadre_ctx *ctx, struct cadre_error *copy);

/* ---- a set of jobs (set.c) ---- */

/* What a set is to do. */
struct cdr_plan {
    size_t need, tolerate;
    size_t *order;     /* the caller's array for the indexes of `keep` successes, those after the first `skip`; may be NULL */
    size_t skip, keep;
    bool hedge;        /* start them one after the other, with `delay` in between */
    cadre_time delay;
};

struct cdr_set {
    struct cadre_ctx ctx;     /* the group's parent; its value leads the tasks to the set */
    struct cadre_group group;
    struct cdr_plan plan;
    struct cadre_job *jobs;
    size_t n;
    struct cadre_error *errors; /* by index; or NULL */
    size_t stack_size;
    struct cadre_chan failures;  /* hedge: something has failed; one signal stands for any number */
    struct cadre_chan *certain;  /* closed when the result is certain; or NULL */

    struct cadre_mutex lock;     /* of what follows, and of the jobs' codes and errors */
    size_t *order, winner;       /* kept here until it is certain that the caller gets them */
    size_t succeeded, failed;
    bool decided;
    struct cadre_error result;   /* once decided: code 0, or the error */
};

/* Run n jobs as options and plan say: the whole of the calls in jobs.c. */
int cdr_set_run_jobs(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options,
                     const struct cdr_plan *plan);

/* The same for options->rest, which is not NULL; the arguments are valid (rest.c). */
int cdr_set_run_apart(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options,
                      const struct cdr_plan *plan);

bool cdr_jobs_are_valid(const struct cadre_job *jobs, size_t n);

/* Make a set of jobs that run under ctx. The set's memory is zeroed. -ENOMEM. */
int cdr_set_init(struct cdr_set *set, struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n,
                 const struct cadre_jobs_options *options, const struct cdr_plan *plan);
void cdr_set_finish(struct cdr_set *set);

/* Start the jobs, and wait until all have ended. */
void cdr_set_run(struct cdr_set *set);

void cdr_set_lock(struct cdr_set *set);
void cdr_set_unlock(struct cdr_set *set);

/* The result for the one who called under ctx, and the order. The set has been run to its end, or is decided and locked. */
int cdr_set_result(struct cdr_set *set, struct cadre_ctx *ctx, struct cadre_error *error);

/* What the library's own memory is taken from: malloc for n elements, zeroed, that leaves errno alone. */
void *cdr_take_memory(size_t n, size_t size);

#endif
