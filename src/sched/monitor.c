/* SPDX-License-Identifier: MIT
 * The monitor: a thread that looks now and then whether work is stuck while others could do it. It sees what wakes nobody by
 * itself: tasks in the private part of a worker that computes or sits in the kernel, a fiber in the slot of such a worker, timers
 * that nobody fires, a token held by a thread that is elsewhere or stuck in a system call. When threads are stuck and no other is left to run
 * what is ready it adds one.
 *
 * It looks often after something happened and ever less often then; when nothing is left to look after it dozes, and an idle
 * process uses no CPU time. Dozing off must not miss a task: pushes do not fence. So it stores 0 into every deque's limit, runs a
 * membarrier and looks once more: a push before the barrier is seen here, one after it finds the 0 and wakes the monitor.
 * Without membarrier every push takes the slow path, which fences. test/model/parking.pml has this. */
#include "base/check.h"
#include "sched/chaos.h"
#include "sched/poller.h"
#include "sched/worker.h"

#define SHORTEST ((int64_t)100 * 1000)
#define LONGEST ((int64_t)5 * 1000 * 1000)
#define LATE ((int64_t)500 * 1000) /* a timer that is overdue by so much has been missed by its worker */
#define BUSY_PAUSE ((int64_t)1000 * 1000)
#define TRIM_AFTER ((int64_t)1000 * 1000 * 1000)
#define QUIET_LOOKS 4              /* so many looks in a row without any work before dozing */

enum sight { NOTHING, WORK, ACTED };

static struct cdr_worker *worker_at(uint32_t i) { return cdr_load_acquire(&cdr_rt.workers[i]); }

/* Tasks that stay in the deque over several looks are not about to be run by their owner. */
static bool tasks_stay(struct cdr_worker *w)
{
    for (int i = 0; i < 16; i++) {
        if (cdr_deque_empty(&w->deque))
            return false;
        for (int j = 0; j < 8; j++)
            cdr_spin_hint();
    }
    return true;
}

/* A fiber that has been in the slot since the last look, while its worker took no decision, goes to everybody. */
static bool free_slot(struct cdr_worker *w)
{
    struct cdr_fiber *fiber;
    uint32_t picks = cdr_load(&w->picks);
    bool stuck = picks == w->seen_picks && cdr_load(&w->slot) != NULL;

    w->seen_picks = picks;
    if (!stuck || (fiber = cdr_exchange(&w->slot, (struct cdr_fiber *)NULL)) == NULL)
        return false;
    cdr_inject(fiber);
    return true;
}

static bool look_after(struct cdr_worker *w, int64_t now, bool *acted)
{
    bool work = free_slot(w);

    if (cdr_load(&w->timers.next) < now - LATE)
        work |= cdr_timers_fire(&w->timers, now);
    *acted |= work;
    if (cdr_load(&w->ready.count) != 0)
        work = true;
    if (tasks_stay(w)) {
        if (cdr_load(&w->deque.limit) == 0) /* asked before, and its owner does not come by */
            cdr_deque_force(&w->deque);
        else
            cdr_deque_request(&w->deque);
        work = true;
    }
    return work;
}

/* Take the token of an adopted thread, if it is in that state, for others. */
static bool take_token(struct cdr_worker *w, uint32_t state)
{
    if (!cdr_cas(&w->token, &state, (uint32_t)CDR_TOKEN_NONE))
        return false;
    cdr_lock(&cdr_rt.idle_lock);
    cdr_store(&cdr_rt.tokens, cdr_rt.tokens + 1);
    cdr_unlock(&cdr_rt.idle_lock);
    return true;
}

/* Take the token of an adopted thread that runs code of its own. */
static bool retake(struct cdr_worker *w, bool at_once)
{
    uint32_t helps = cdr_load(&w->helps);
    bool away = helps == w->seen_helps || at_once;

    w->seen_helps = helps;
    return !w->pool && away && take_token(w, CDR_TOKEN_OUTSIDE);
}

/* A thread that is stuck in the kernel needs no token; one that computes with its token lent has it taken back. */
static bool look_at_thread(struct cdr_worker *w, int64_t now)
{
    if (!w->pool)
        return cdr_load(&w->token) == CDR_TOKEN_INSIDE && cdr_is_stuck(w, now) && take_token(w, CDR_TOKEN_INSIDE);
    if (cdr_load(&w->idle))
        return false;
    if (cdr_is_stuck(w, now))
        return cdr_load(&w->lent) == 0 && cdr_lend(w);
    return cdr_load(&w->lent) != 0 && w->stuck_since == now && w->stuck_signs == 0 && cdr_take_back(w);
}

/* Calls wait for descriptors and nobody keeps the time: a parked thread, if there is one and a token for it, can do that. */
static bool nobody_listens(void) { return cdr_load(&cdr_rt.idle_count) != 0 && cdr_load(&cdr_rt.tokens) > 0; }

/* One look at everything. */
static enum sight look(void)
{
    uint32_t count = cdr_load_acquire(&cdr_rt.count);
    int64_t now = cdr_now();
    bool work = cdr_load(&cdr_rt.injected_any) != 0, acted = false;

    if (cdr_poller_is_used() && cdr_load(&cdr_rt.timekeeper) == NULL)
        work |= cdr_poller_stand_in(now) || nobody_listens();
    for (uint32_t i = 0; i < count; i++) {
        if (worker_at(i) == NULL)
            continue;
        if (cdr_load(&worker_at(i)->thread) != 0)
            acted |= look_at_thread(worker_at(i), now);
        work |= look_after(worker_at(i), now, &acted);
    }
    if (!work)
        return acted ? ACTED : NOTHING;
    for (uint32_t i = 0; i < count && cdr_load(&cdr_rt.tokens) <= 0; i++)
        if (worker_at(i) != NULL)
            acted |= retake(worker_at(i), false);
    cdr_wake_one();
    if (cdr_load(&cdr_rt.tokens) > 0 && cdr_load(&cdr_rt.idle_count) == 0 && cdr_load(&cdr_rt.searching) == 0)
        acted |= cdr_pool_grow();
    return acted ? ACTED : WORK;
}

/* Is everybody parked, with nothing left to do, and somebody keeping the time? */
static bool all_quiet(void)
{
    uint32_t count = cdr_load_acquire(&cdr_rt.count);
    bool parked;

    cdr_lock(&cdr_rt.idle_lock); /* the three belong together */
    parked = cdr_rt.idle_count + cdr_rt.lent_count == cdr_rt.alive;
    cdr_unlock(&cdr_rt.idle_lock);
    if (!parked || cdr_load(&cdr_rt.injected_any) != 0)
        return false;
    if (cdr_load_seq(&cdr_rt.timekeeper) == NULL && (cdr_load_seq(&cdr_poller.waits) != 0 || cdr_earliest_timer() != INT64_MAX)) {
        cdr_wake_one(); /* it finds nothing to do and keeps the time; if there is nobody, that is left to us */
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct cdr_worker *w = worker_at(i);

        if (w != NULL && (!cdr_deque_empty(&w->deque) || cdr_load(&w->ready.count) != 0 || cdr_load(&w->slot) != NULL
                          || cdr_load(&w->token) == CDR_TOKEN_INSIDE))
            return false;
    }
    return true;
}

/* Give back memory that nobody has wanted for TRIM_AFTER; now and then while there is work, and once when it is over. */
static void trim(void)
{
    cdr_fiber_pools_trim();
    cdr_batches_trim();
}

static bool has_spare(void) { return cdr_fiber_pools_spare() || cdr_batches_spare(); }

/* Sleep until somebody ends the dozing; once in between to trim, if there is something to. */
static void sleep_dormant(uint32_t word)
{
    int64_t until = INT64_MAX;

    for (int trims = has_spare() ? 2 : 0; cdr_load_seq(&cdr_rt.dormant) != 0; trims--) {
        until = trims > 0 ? cdr_now() + TRIM_AFTER : INT64_MAX;
        while (cdr_load_seq(&cdr_rt.dormant) != 0 && cdr_now() < until)
            cdr_futex_wait(&cdr_rt.monitor_word, word, until);
        if (cdr_load_seq(&cdr_rt.dormant) != 0)
            trim();
    }
}

/* False: it stayed awake. */
static bool doze(void)
{
    uint32_t count = cdr_load_acquire(&cdr_rt.count);
    uint32_t word = cdr_load(&cdr_rt.monitor_word);

    for (uint32_t i = 0; i < count; i++)
        if (worker_at(i) != NULL)
            retake(worker_at(i), true);
    if (!all_quiet())
        return false;
    cdr_store_seq(&cdr_rt.dormant, 1u);
    for (uint32_t i = 0; i < count; i++)
        if (worker_at(i) != NULL)
            cdr_deque_request(&worker_at(i)->deque);
    if (!cdr_rt.no_membarrier)
        cdr_membarrier(); /* pairs with the compiler barrier in cdr_deque_push */
    cdr_fence_seq();
    if (all_quiet())
        sleep_dormant(word);
    cdr_store_seq(&cdr_rt.dormant, 0u);
    return true;
}

void cdr_monitor_wake(void)
{
    if (cdr_exchange_seq(&cdr_rt.dormant, 0u) == 0)
        return;
    cdr_add_seq(&cdr_rt.monitor_word, 1u);
    cdr_futex_wake(&cdr_rt.monitor_word, 1);
}

static void monitor(void *unused)
{
    int64_t pause = SHORTEST, cost = 0, trimmed = cdr_now();
    enum sight sight;
    int quiet = 0;

    (void)unused;
    for (;;) {
        cdr_futex_wait(&cdr_rt.monitor_word, cdr_load(&cdr_rt.monitor_word), cdr_now() + cost + pause);
        cost = cdr_now();
        if (cost - trimmed >= TRIM_AFTER) {
            trim();
            trimmed = cost;
        }
        sight = look();
        cost = (cdr_now() - cost) * 8; /* looking takes a small part of the time, however many threads there are */
        cost = cost < LONGEST ? cost : LONGEST;
        if (sight != NOTHING) { /* while all compute there is nothing that it could do */
            pause = sight == ACTED ? SHORTEST : pause * 2 < BUSY_PAUSE ? pause * 2 : BUSY_PAUSE;
            quiet = 0;
            continue;
        }
        pause = pause * 2 < LONGEST ? pause * 2 : LONGEST;
        if (++quiet >= QUIET_LOOKS && pause == LONGEST) {
            if (doze())
                pause = SHORTEST;
            quiet = 0;
        }
    }
}

int cdr_monitor_start(void) { return cdr_thread_start(monitor, NULL, "cadre-monitor"); }
