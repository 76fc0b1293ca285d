/* SPDX-License-Identifier: MIT
 * Telling a thread that is stuck in the kernel from one that computes, or that waits for a processor.
 *
 * Stuck is who has taken no scheduling decision for a while, has used no processor time meanwhile, and is asleep. The last costs a look
 * into /proc, so it comes last: a thread that computes is recognised by its clock. */
#include "sched/worker.h"

#define PATIENCE ((int64_t)200 * 1000)

bool cdr_is_stuck(struct cdr_worker *w, int64_t now)
{
    uint32_t picks = cdr_load(&w->picks);
    int thread = cdr_load(&w->thread);
    int64_t cpu;

    if (picks == w->stuck_picks && now - w->stuck_since < PATIENCE)
        return false;
    cpu = cdr_thread_cpu(thread);
    if (picks == w->stuck_picks && cpu == w->stuck_cpu && thread != 0 && cdr_thread_asleep(thread))
        return ++w->stuck_looks > 1; /* at least twice: it may just have waited for a page */
    w->stuck_looks = 0;
    w->stuck_picks = picks;
    w->stuck_cpu = cpu;
    w->stuck_since = now;
    return false;
}
