/* SPDX-License-Identifier: MIT
 * Parking: one blocked call of one fiber, and the ways in which it is woken.
 *
 * Several may want to wake the same call: a channel's other side, a cancel, a timer. Who wants to first claims the wait;
 * exactly one claim succeeds, and its owner finishes the wait, whenever it is done with what it has to hand over. The
 * state is a word of bits:
 *
 *     CLAIMED   set by the one claim that succeeds
 *     PARKED    set by the parker, once its stack is left (or its thread is about to sleep)
 *     ON_THREAD the thread itself sleeps, on a word of its worker's: a native stack, or no memory for another stack
 *     DONE      set by the finisher, with the reason; the parker may go on
 *
 * Who comes second of PARKED and DONE makes the fiber ready: the finisher when it finds PARKED, the parker's last step when it
 * finds DONE. After DONE the finisher touches neither the wait nor the fiber unless it found PARKED: they may be gone.
 * test/model/park.pml checks this. */
#ifndef CADRE_SCHED_PARK_H
#define CADRE_SCHED_PARK_H

#include "sched/worker.h"

#define CDR_WAIT_CLAIMED 1u
#define CDR_WAIT_PARKED 2u
#define CDR_WAIT_DONE 4u
#define CDR_WAIT_ON_THREAD 8u
#define CDR_WAIT_REASON_SHIFT 8

enum cdr_reason { CDR_WOKEN = 1, CDR_WOKEN_CLOSED, CDR_WOKEN_BY_CANCEL, CDR_WOKEN_BY_TIMER };

struct cdr_wait {
    struct cdr_fiber *fiber;
    uint32_t state;
    uint32_t value; /* for the finisher to hand over */
    struct cdr_timer timer;
};

static inline void cdr_wait_init(struct cdr_wait *wait, struct cdr_fiber *fiber)
{
    wait->fiber = fiber;
    wait->state = fiber->native ? CDR_WAIT_ON_THREAD : 0;
    wait->timer.shard = NULL;
}

/* True for exactly one caller. */
static inline bool cdr_wait_claim(struct cdr_wait *wait)
{
    return (cdr_or(&wait->state, CDR_WAIT_CLAIMED) & CDR_WAIT_CLAIMED) == 0;
}

/* The claimer's last act. */
void cdr_wait_finish(struct cdr_wait *wait, enum cdr_reason reason);

/* Wait to be finished; the deadline is the caller's timer (INT64_MAX: none). Returns the reason. The fiber may be on another
 * thread afterwards. */
enum cdr_reason cdr_wait_park(struct cdr_wait *wait, int64_t deadline);

#endif
