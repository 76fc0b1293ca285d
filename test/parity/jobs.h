/* SPDX-License-Identifier: MIT
 * Jobs for the tests of combinators, whose order of ending is certain, by gates and a limit, or given by sleeps. */
#ifndef CADRE_TEST_JOBS_H
#define CADRE_TEST_JOBS_H

#include "parity.h"

/* One job: it opens a gate, passes another one, sleeps, and returns its code, each where it has it. */
struct part {
    struct gate *opens, *passes;
    cadre_time sleep;
    int code;
    bool stubborn; /* returns its own code even when it was told to end */
    atomic_int *begun, *ended; /* counted, unless NULL */
};

static inline void part_count(atomic_int *counter)
{
    if (counter != NULL)
        atomic_fetch_add(counter, 1);
}

static inline int part_run(struct cadre_ctx *ctx, void *arg)
{
    struct part *part = arg;
    int code = 0;

    part_count(part->begun);
    if (part->opens != NULL)
        gate_open(part->opens);
    if (part->passes != NULL)
        code = gate_pass(ctx, part->passes);
    if (code == 0 && part->sleep > 0)
        code = cadre_sleep(ctx, part->sleep);
    if (code != 0) {
        cadre_yield(); /* who is cancelled takes a while */
        cadre_yield();
    }
    part_count(part->ended);
    return code != 0 && !part->stubborn ? code : part->code;
}

static inline void parts_to_jobs(struct part *parts, struct cadre_job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        jobs[i] = (struct cadre_job){ .fn = part_run, .arg = &parts[i], .code = 1 };
}

/* Four jobs, two at a time, of which job 1 ends first and job 0 second, whatever the machine does: that job 2 starts shows
 * that job 1 has ended, that job 3 starts shows the same of job 0, and job 3 waits until nobody needs it any more. */
#define CERTAIN 4

struct certain {
    struct gate gates[2], shut;
    struct part parts[CERTAIN];
    struct cadre_job jobs[CERTAIN];
    struct cadre_jobs_options options;
};

static inline void certain_prepare(struct certain *all)
{
    memset(all, 0, sizeof *all);
    all->options.limit = 2;
    all->parts[0].passes = &all->gates[0];
    all->parts[2].opens = &all->gates[0];
    all->parts[2].passes = &all->gates[1];
    all->parts[3].opens = &all->gates[1];
    all->parts[3].passes = &all->shut;
    parts_to_jobs(all->parts, all->jobs, CERTAIN);
}

#endif
