/* SPDX-License-Identifier: MIT
 * Parking fibers and threads; park.h has the protocol. */
#include "base/check.h"
#include "sched/chaos.h"
#include "sched/park.h"

void cdr_wait_finish(struct cdr_wait *wait, enum cdr_reason reason)
{
    struct cdr_fiber *fiber = wait->fiber;
    struct cdr_worker *w = fiber->worker; /* stays what it is until the fiber goes on */
    uint32_t done = CDR_WAIT_DONE | CDR_WAIT_CLAIMED | (uint32_t)reason << CDR_WAIT_REASON_SHIFT;
    uint32_t before = cdr_exchange(&wait->state, done); /* pairs with the parker's acquire: what was handed over */

    if ((before & CDR_WAIT_ON_THREAD) != 0) {
        cdr_add(&w->finishes, 1u);
        cdr_futex_wake(&w->finishes, 1);
    } else if ((before & CDR_WAIT_PARKED) != 0) {
        cdr_ready(fiber);
    }
}

/* The `after` of suspending. */
static void parked(void *arg)
{
    struct cdr_wait *wait = arg;
    struct cdr_fiber *fiber = wait->fiber;

    cdr_chaos_point();
    if ((cdr_or(&wait->state, CDR_WAIT_PARKED) & CDR_WAIT_DONE) != 0)
        cdr_ready(fiber);
}

static bool done(const struct cdr_wait *wait) { return (cdr_load_acquire(&wait->state) & CDR_WAIT_DONE) != 0; }

/* The thread sleeps; its own timeout serves as the timer. */
static void sleep_on_thread(struct cdr_wait *wait, int64_t deadline)
{
    struct cdr_worker *w = wait->fiber->worker;
    uint32_t finishes;

    for (int i = 0; i < 100 && !done(wait); i++)
        cdr_spin_hint();
    if (done(wait))
        return;
    cdr_thread_sleeps(w);
    while (finishes = cdr_load_acquire(&w->finishes), !done(wait)) {
        if (cdr_futex_wait(&w->finishes, finishes, deadline) == -ETIMEDOUT) {
            deadline = INT64_MAX;
            if (cdr_wait_claim(wait))
                cdr_wait_finish(wait, CDR_WOKEN_BY_TIMER);
        }
    }
    cdr_thread_woke(w);
}

static bool fire(struct cdr_timer *timer)
{
    struct cdr_wait *wait = cdr_container_of(timer, struct cdr_wait, timer);

    if (cdr_wait_claim(wait))
        cdr_wait_finish(wait, CDR_WOKEN_BY_TIMER);
    return false;
}

enum cdr_reason cdr_wait_park(struct cdr_wait *wait, int64_t deadline)
{
    struct cdr_fiber *fiber = wait->fiber;

    cdr_chaos_point();
    if ((cdr_load(&wait->state) & CDR_WAIT_ON_THREAD) != 0) {
        sleep_on_thread(wait, deadline);
        return (enum cdr_reason)(cdr_load_acquire(&wait->state) >> CDR_WAIT_REASON_SHIFT);
    }
    if (deadline != INT64_MAX) {
        wait->timer.fire = fire;
        if (cdr_timer_start(&wait->timer, cdr_timer_shard(fiber->worker), deadline))
            cdr_timer_changed(fiber->worker, deadline);
    }
    if (!done(wait) && !cdr_suspend(fiber, parked, wait)) {
        /* No stack for the worker to go on with: its thread waits, and others carry on. */
        cdr_or(&wait->state, CDR_WAIT_ON_THREAD);
        sleep_on_thread(wait, INT64_MAX);
    }
    cdr_timer_stop(&wait->timer);
    return (enum cdr_reason)(cdr_load_acquire(&wait->state) >> CDR_WAIT_REASON_SHIFT);
}
