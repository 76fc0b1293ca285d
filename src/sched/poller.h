/* SPDX-License-Identifier: MIT
 * The poller: one set of descriptors for the whole process. Nobody serves it for a living: the pool's timekeeper sleeps in it,
 * workers look into it between tasks and before they go idle, and the monitor does when nobody else has time. */
#ifndef CADRE_SCHED_POLLER_H
#define CADRE_SCHED_POLLER_H

#include "platform/io.h"
#include "sched/worker.h"

struct cdr_poller {
    uint32_t open;  /* 1: the two below are there, and will be */
    int epoll, bell;
    uint32_t looked;   /* somebody has looked since the monitor asked last … */
    int64_t looked_at; /* … which it noticed then */
    CDR_OWN_LINE uint32_t waits; /* calls that wait for a descriptor */
};
extern struct cdr_poller cdr_poller;

/* What to do with an event: set by the layer that knows who waits for what, before the first descriptor is armed. */
extern void (*cdr_poller_event)(uint64_t tag, uint32_t events);

/* Open it with the first call. 0 or a negative errno. */
int cdr_poller_need(void);

/* A call is about to wait for a descriptor that it has armed, or will; and has waited. */
void cdr_poller_wait_begins(struct cdr_worker *w);
static inline void cdr_poller_wait_ends(void) { cdr_sub(&cdr_poller.waits, 1u); }

/* Hand out what has happened, without waiting. True when something had. */
bool cdr_poller_look(void);

/* For the monitor, while nobody keeps the time: has something happened? Hands it out when nobody has looked for long. */
bool cdr_poller_stand_in(int64_t now);

/* As cdr_poller_look, but wait for it, until `deadline` or until the bell rings. */
bool cdr_poller_sleep(int64_t deadline);
void cdr_poller_ring(void);

/* Acquires: then the descriptors above are there. */
static inline bool cdr_poller_is_used(void) { return cdr_unlikely(cdr_load_acquire(&cdr_poller.waits) != 0); }

#endif
