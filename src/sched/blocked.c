/* SPDX-License-Identifier: MIT
 * Telling a thread that is stuck in the kernel from one that computes, or that waits for a processor.
 *
 * Stuck is who has taken no scheduling decision since the last look, has used next to no processor time meanwhile, and is asleep; and all
 * that twice, as anybody may have to wait for a page. Whether it is asleep is told by /proc, which takes ten microseconds, so that is
 * asked last, and not again while nothing changes. Where /proc cannot be read, the rest has to be seen many times. */
#include "sched/worker.h"

#define PATIENCE ((int64_t)200 * 1000)

enum { ENOUGH = 2, ENOUGH_WITHOUT_PROC = 100 };

/* What a look at a thread that may be stuck counts, of ENOUGH_WITHOUT_PROC that are needed. */
static uint32_t sign_of_sleep(int thread)
{
    switch (cdr_thread_asleep(thread)) {
    case 0: return 0;
    case 1: return ENOUGH_WITHOUT_PROC / ENOUGH;
    default: return 1;
    }
}

bool cdr_is_stuck(struct cdr_worker *w, int64_t now)
{
    uint32_t picks = cdr_load(&w->picks), sign;
    int64_t cpu, used, passed = now - w->stuck_since;
    bool moved = picks != w->stuck_picks;
    int thread = cdr_load(&w->thread);

    if (!moved && passed < PATIENCE)
        return false;
    cpu = cdr_thread_cpu(thread);
    used = cpu - w->stuck_cpu;
    w->stuck_picks = picks;
    w->stuck_cpu = cpu;
    w->stuck_since = now;
    if (!moved && used == 0 && w->stuck_signs >= ENOUGH_WITHOUT_PROC)
        return true;
    sign = moved || used > passed / 8 || thread == 0 ? 0 : sign_of_sleep(thread);
    w->stuck_signs = sign == 0 ? 0 : w->stuck_signs + sign;
    return w->stuck_signs >= ENOUGH_WITHOUT_PROC;
}
