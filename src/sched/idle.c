/* SPDX-License-Identifier: MIT
 * Parking and waking the pool's threads, and the tokens that say how many may compute.
 *
 * No wake-up is lost: who makes work visible (in a queue or a public part) runs a full fence and then looks for somebody to wake;
 * who parks enters the idle list, gives its token back, runs a full fence and then looks for visible work. One of the two sees the
 * other. Tasks in private parts are not visible; the monitor sees to them, and does not doze while there are any
 * (monitor.c). test/model/parking.pml checks both.
 *
 * Lock order: idle_lock is taken last. */
#include "sched/chaos.h"
#include "sched/poller.h"
#include "sched/worker.h"

#define RETIRES_AFTER ((int64_t)2 * 1000 * 1000 * 1000)

/* What a parked thread's wake word says. CALLED is a token too, given for a pinned fiber. */
enum { ASLEEP, POKED, CALLED, GRANTED };

/* Its wake word has changed. Who listens says so before the last look at the word. */
static void rouse(struct cdr_worker *w)
{
    if (cdr_load_seq(&w->listening) != 0)
        cdr_poller_ring();
    else
        cdr_futex_wake(&w->wake, 1);
}

static void grant(struct cdr_worker *w, uint32_t how)
{
    cdr_store_seq(&w->wake, how); /* pairs with the acquire in has_token */
    rouse(w);
}

static bool has_token(struct cdr_worker *w) { return cdr_load_acquire(&w->wake) >= CALLED; }

/* idle_lock is held. True when that changed something. */
static bool set_lent(struct cdr_worker *w, uint32_t lent)
{
    if (w->lent == lent)
        return false;
    cdr_store(&w->lent, lent);
    cdr_store(&cdr_rt.lent_count, cdr_rt.lent_count + lent * 2 - 1);
    return true;
}

bool cdr_lend(struct cdr_worker *w)
{
    bool lent;

    cdr_lock(&cdr_rt.idle_lock);
    lent = !w->idle && cdr_load(&w->thread) != 0 && set_lent(w, 1);
    if (lent)
        cdr_store(&cdr_rt.tokens, cdr_rt.tokens + 1);
    cdr_unlock(&cdr_rt.idle_lock);
    return lent;
}

bool cdr_take_back(struct cdr_worker *w)
{
    bool back;

    cdr_lock(&cdr_rt.idle_lock);
    back = set_lent(w, 0);
    if (back)
        cdr_store(&cdr_rt.tokens, cdr_rt.tokens - 1); /* perhaps below zero: another will give its up */
    cdr_unlock(&cdr_rt.idle_lock);
    if (back) {
        cdr_fence_seq(); /* pairs with the monitor's, between announcing that it dozes and its last look */
        if (cdr_load(&cdr_rt.dormant) != 0)
            cdr_monitor_wake();
    }
    return back;
}

/* idle_lock is held. */
static void list(struct cdr_worker *w)
{
    cdr_store(&w->wake, (uint32_t)ASLEEP);
    cdr_store(&w->idle, true);
    w->idle_next = cdr_rt.idle;
    cdr_rt.idle = w;
    cdr_store(&cdr_rt.idle_count, cdr_rt.idle_count + 1);
    if (!set_lent(w, 0))
        cdr_store(&cdr_rt.tokens, cdr_rt.tokens + 1);
}

static void remove_from_list(struct cdr_worker *w)
{
    struct cdr_worker **at = &cdr_rt.idle;

    while (*at != w)
        at = &(*at)->idle_next;
    *at = w->idle_next;
    cdr_store(&w->idle, false);
    cdr_store(&cdr_rt.idle_count, cdr_rt.idle_count - 1);
}

/* It gets a token. */
static void unlist(struct cdr_worker *w)
{
    remove_from_list(w);
    cdr_store(&cdr_rt.tokens, cdr_rt.tokens - 1);
}

void cdr_wake_one(void)
{
    struct cdr_worker *w = NULL;

    cdr_fence_seq(); /* pairs with the one in cdr_idle */
    if (cdr_load(&cdr_rt.dormant) != 0)
        cdr_monitor_wake();
    if (cdr_load(&cdr_rt.searching) != 0 || cdr_load(&cdr_rt.idle_count) == 0 || cdr_load(&cdr_rt.tokens) <= 0)
        return;
    cdr_lock(&cdr_rt.idle_lock);
    if (cdr_rt.tokens > 0 && cdr_rt.idle != NULL) {
        w = cdr_rt.idle;
        unlist(w);
        cdr_add_seq(&cdr_rt.searching, 1u); /* on its behalf, until it runs: one wake-up is enough */
    }
    cdr_unlock(&cdr_rt.idle_lock);
    if (w != NULL)
        grant(w, GRANTED);
}

void cdr_wake_home(struct cdr_worker *home)
{
    bool parked;

    cdr_fence_seq(); /* pairs with the one in cdr_idle */
    cdr_lock(&cdr_rt.idle_lock);
    parked = home->idle;
    if (parked)
        unlist(home); /* takes the tokens below zero, perhaps: another will give its up */
    cdr_unlock(&cdr_rt.idle_lock);
    if (parked)
        grant(home, CALLED);
    if (cdr_load(&cdr_rt.dormant) != 0)
        cdr_monitor_wake();
}

int64_t cdr_earliest_timer(void)
{
    uint32_t count = cdr_load_acquire(&cdr_rt.count);
    int64_t earliest = INT64_MAX;

    for (uint32_t i = 0; i < count; i++) {
        struct cdr_worker *w = cdr_load_acquire(&cdr_rt.workers[i]);
        int64_t next = w != NULL ? cdr_load_seq(&w->timers.next) : INT64_MAX;

        if (next < earliest)
            earliest = next;
    }
    return earliest;
}

/* Leave the idle list by oneself; false when somebody else took this worker out first, and gave it a token, or when there is none.
 * A pinned fiber cannot wait for one: nobody else may run it. */
static bool unpark_self(struct cdr_worker *w)
{
    bool out;

    cdr_lock(&cdr_rt.idle_lock);
    out = w->idle && (cdr_rt.tokens > 0 || cdr_load(&w->pinned.count) != 0);
    if (out)
        unlist(w);
    cdr_unlock(&cdr_rt.idle_lock);
    cdr_fence_seq(); /* pairs with the monitor's, between announcing that it dozes and its last look */
    if (out && cdr_load(&cdr_rt.dormant) != 0)
        cdr_monitor_wake();
    return out;
}

/* A poke has been felt. */
static void forget_poke(struct cdr_worker *w)
{
    uint32_t poked = POKED;

    cdr_cas(&w->wake, &poked, (uint32_t)ASLEEP);
}

static void sleep_until(struct cdr_worker *w, int64_t until)
{
    cdr_futex_wait(&w->wake, ASLEEP, until);
    forget_poke(w);
}

/* The same in the poller. True when there were events. */
static bool listen_until(struct cdr_worker *w, int64_t until)
{
    bool events = false;

    cdr_store_seq(&w->listening, 1u);
    if (cdr_load_seq(&w->wake) == ASLEEP)
        events = cdr_poller_sleep(until);
    cdr_store(&w->listening, 0u);
    forget_poke(w);
    return events;
}

/* Keep the time while parked, and listen for descriptors. Returns when a timer is due, something was made ready or a token was granted. */
static void keep_time(struct cdr_worker *w)
{
    bool events = false;
    int64_t until;

    do {
        /* Announced as never first, so that a timer that starts after the look finds somebody to poke. */
        cdr_store_seq(&w->sleep_until, INT64_MAX);
        until = cdr_earliest_timer();
        cdr_store_seq(&w->sleep_until, until);
        if (cdr_load_seq(&cdr_poller.open) != 0)
            events = listen_until(w, until);
        else
            sleep_until(w, until);
    } while (!has_token(w) && !events && cdr_earliest_timer() > cdr_now());
}

static bool is_surplus(void)
{
    return cdr_load(&cdr_rt.alive) > (uint32_t)cdr_load(&cdr_rt.target) + cdr_load(&cdr_rt.lent_count);
}

/* A thread that was added when others were stuck, and has slept for long, ends; unless fibers must come back to it. */
static bool retire(struct cdr_worker *w)
{
    bool gone;

    cdr_lock(&cdr_rt.idle_lock);
    gone = w->idle && is_surplus() && w->homed == 0 && cdr_load(&w->pinned.count) == 0;
    if (gone) {
        remove_from_list(w);
        cdr_store(&cdr_rt.alive, cdr_rt.alive - 1);
        cdr_store(&w->thread, 0); /* from here on it cannot be lent */
    }
    cdr_unlock(&cdr_rt.idle_lock);
    return gone;
}

/* Sleep, in the idle list, until there is a token for this thread: granted, or free when a timer is due. False: it is to end. */
static bool park(struct cdr_worker *w)
{
    struct cdr_worker *nobody = NULL, *self = w;
    bool mine = false;

    if (cdr_cas_seq(&cdr_rt.timekeeper, &nobody, w)) {
        keep_time(w);
        cdr_cas_seq(&cdr_rt.timekeeper, &self, (struct cdr_worker *)NULL);
        mine = !has_token(w) && unpark_self(w);
        if (!mine && !has_token(w)) { /* all are computing: they find what is ready, the monitor fires what is due */
            cdr_share_slot(w);
            cdr_monitor_wake();
        }
    }
    while (!mine && !has_token(w)) {
        bool surplus = is_surplus();

        sleep_until(w, surplus ? cdr_now() + RETIRES_AFTER : INT64_MAX);
        if (surplus && retire(w))
            return false;
    }
    if (!mine && cdr_load(&w->wake) == GRANTED)
        cdr_sub(&cdr_rt.searching, 1u);
    if (cdr_load(&cdr_rt.dormant) != 0)
        cdr_monitor_wake();
    return true;
}

/* All timers that are due, whoever's. */
static void fire_all(void)
{
    uint32_t count = cdr_load_acquire(&cdr_rt.count);
    int64_t now = cdr_now();

    for (uint32_t i = 0; i < count; i++) {
        struct cdr_worker *w = cdr_load_acquire(&cdr_rt.workers[i]);

        if (w != NULL)
            cdr_timers_fire(&w->timers, now);
    }
}

bool cdr_idle(struct cdr_worker *w)
{
    cdr_lock(&cdr_rt.idle_lock);
    list(w);
    cdr_unlock(&cdr_rt.idle_lock);
    cdr_fence_seq(); /* pairs with those in cdr_wake_one and cdr_wake_home */
    cdr_chaos_point();
    if (!(cdr_work_visible(w) && unpark_self(w)) && !park(w))
        return false;
    fire_all();
    return true;
}

bool cdr_surrender(struct cdr_worker *w)
{
    bool given;

    cdr_deque_share(&w->deque, true);
    cdr_lock(&cdr_rt.idle_lock);
    given = cdr_rt.tokens < 0;
    if (given)
        list(w);
    cdr_unlock(&cdr_rt.idle_lock);
    if (!given)
        return true;
    cdr_fence_seq(); /* pairs with the one in cdr_wake_home */
    return (cdr_load(&w->pinned.count) != 0 && unpark_self(w)) || park(w);
}

bool cdr_token_take(struct cdr_worker *w, uint32_t state)
{
    uint32_t outside = CDR_TOKEN_OUTSIDE;
    bool taken;

    if (cdr_cas(&w->token, &outside, state)) /* against the monitor */
        return true;
    if (cdr_load(&cdr_rt.tokens) <= 0)
        return false;
    cdr_lock(&cdr_rt.idle_lock);
    taken = cdr_rt.tokens > 0;
    if (taken)
        cdr_store(&cdr_rt.tokens, cdr_rt.tokens - 1);
    cdr_unlock(&cdr_rt.idle_lock);
    if (taken)
        cdr_store_release(&w->token, state);
    return taken;
}

void cdr_thread_sleeps(struct cdr_worker *w)
{
    if (!cdr_deque_empty(&w->deque))
        cdr_deque_share(&w->deque, true);
    if (w->pool) {
        cdr_lend(w);
    } else if (cdr_exchange(&w->token, (uint32_t)CDR_TOKEN_NONE) != CDR_TOKEN_NONE) {
        cdr_lock(&cdr_rt.idle_lock);
        cdr_store(&cdr_rt.tokens, cdr_rt.tokens + 1);
        cdr_unlock(&cdr_rt.idle_lock);
    }
    cdr_fence_seq();
    if (cdr_started() && cdr_work_visible(w))
        cdr_wake_one();
}

void cdr_thread_woke(struct cdr_worker *w)
{
    if (w->pool)
        cdr_take_back(w);
}

/* Wake the timekeeper to look again, if it sleeps. */
static void poke(struct cdr_worker *keeper)
{
    uint32_t asleep = ASLEEP;

    if (cdr_cas_seq(&keeper->wake, &asleep, (uint32_t)POKED))
        rouse(keeper);
}

void cdr_keeper_poke(void)
{
    struct cdr_worker *keeper = cdr_load_seq(&cdr_rt.timekeeper);

    if (keeper != NULL)
        poke(keeper);
}

void cdr_keeper_need(struct cdr_worker *w)
{
    if (cdr_load_seq(&cdr_rt.timekeeper) != NULL)
        return;
    if (!w->pool)
        cdr_wake_one(); /* it will find nothing to do and keep the time */
    else if (cdr_load_seq(&cdr_rt.dormant) != 0)
        cdr_monitor_wake(); /* the thread is back from the kernel, unnoticed yet */
}

void cdr_timer_changed(struct cdr_worker *w, int64_t when)
{
    struct cdr_worker *keeper = cdr_load_seq(&cdr_rt.timekeeper);

    if (keeper == NULL)
        cdr_keeper_need(w);
    else if (keeper != w && when < cdr_load_seq(&keeper->sleep_until))
        poke(keeper);
}

struct cdr_timer_shard *cdr_timer_shard(struct cdr_worker *w)
{
    return w->pool ? &w->timers : &cdr_load_acquire(&cdr_rt.workers[0])->timers;
}
