/* SPDX-License-Identifier: MIT
 * The poller; poller.h says who looks into it. Once it is open the timekeeper always sleeps in it (idle.c), so that a call that begins
 * to wait need not wake anybody, unless there is no timekeeper.
 *
 * No event is missed: it stays in the kernel until somebody looks, and somebody will. A pool thread that has nothing to do becomes the
 * timekeeper when there is none. While all threads are busy they look every so many picks. The monitor does not doze while calls
 * wait and nobody keeps the time: it calls for a thread when there are events and a token is free, and hands them out itself only when
 * nobody has looked for long, for plain threads that may wait: what it makes ready goes behind all else. */
#include "sched/poller.h"

#define AT_ONCE 64
#define PATIENCE ((int64_t)10 * 1000 * 1000) /* of the monitor */

struct cdr_poller cdr_poller;
void (*cdr_poller_event)(uint64_t tag, uint32_t events);

static struct cdr_lock opening;

/* The child has the parent's set: closing its descriptors leaves the parent's as it is. */
static void forget(void)
{
    if (cdr_poller.open != 0) {
        cdr_close(cdr_poller.epoll);
        cdr_close(cdr_poller.bell);
    }
    cdr_poller = (struct cdr_poller){ 0 };
    opening = (struct cdr_lock){ 0 };
}
static __attribute__((constructor)) void survive_fork(void) { cdr_at_fork(NULL, NULL, forget); }

int cdr_poller_need(void)
{
    int error = 0;

    if (cdr_likely(cdr_load_acquire(&cdr_poller.open) != 0))
        return 0;
    cdr_lock(&opening);
    if (cdr_poller.open == 0) {
        error = cdr_epoll_open(&cdr_poller.epoll, &cdr_poller.bell);
        if (error == 0)
            cdr_store_seq(&cdr_poller.open, 1u);
    }
    cdr_unlock(&opening);
    if (error == 0)
        cdr_keeper_poke(); /* one that sleeps elsewhere goes to sleep here */
    return error;
}

void cdr_poller_wait_begins(struct cdr_worker *w)
{
    cdr_add_seq(&cdr_poller.waits, 1u);
    cdr_keeper_need(w);
}

static bool collect(int64_t deadline)
{
    struct cdr_event events[AT_ONCE];
    int n = cdr_epoll_wait(cdr_poller.epoll, events, AT_ONCE, deadline);
    bool any = false;

    for (int i = 0; i < n; i++) {
        if (events[i].tag == CDR_BELL) {
            if (deadline != 0) /* who only looks leaves it for who sleeps */
                cdr_bell_clear(cdr_poller.bell);
            continue;
        }
        cdr_poller_event(events[i].tag, events[i].events);
        any = true;
    }
    return any;
}

bool cdr_poller_look(void)
{
    if (cdr_load(&cdr_poller.looked) == 0)
        cdr_store(&cdr_poller.looked, 1u);
    return collect(0);
}

bool cdr_poller_stand_in(int64_t now)
{
    struct pollfd set = { .fd = cdr_poller.epoll, .events = POLLIN };

    if (cdr_load(&cdr_poller.looked) != 0) {
        cdr_store(&cdr_poller.looked, 0u);
        cdr_poller.looked_at = now;
    }
    if (now - cdr_poller.looked_at >= PATIENCE)
        return collect(0);
    return cdr_poll_now(&set, 1) > 0;
}

bool cdr_poller_sleep(int64_t deadline) { return collect(deadline); }

void cdr_poller_ring(void) { cdr_bell_ring(cdr_poller.bell); }
