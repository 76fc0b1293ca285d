/* SPDX-License-Identifier: MIT
 * Waiting for events in tests: until a condition holds, and until so many calls are blocked on a channel, semaphore or mutex. The
 * latter is the one thing that tests of blocking calls look at behind the public header. Include after test.h. */
#ifndef CADRE_TEST_BLOCKED_H
#define CADRE_TEST_BLOCKED_H

#include "base/list.h"
#include "cadre.h"
#include "platform/os.h"
#include "platform/sanitizer.h"

/* Wait until the condition holds. The bound is for those who would wait for ever, on the slowest machine. */
#define eventually(condition) \
    do { \
        cadre_time eventually_until = cadre_in(CADRE_SEC(100)); \
        while (!(condition)) { \
            test_check(cadre_now() < eventually_until && #condition); \
            (void)cadre_sleep(NULL, CADRE_US(20)); \
        } \
    } while (0)

/* How many rounds of what takes long: fewer where a tool slows it down by a factor of ten or more. */
#if defined(CDR_ASAN) || defined(CDR_TSAN) || defined(CADRE_VALGRIND) || defined(CADRE_NO_CMOCKA)
#define rounds(n) ((n) / 10)
#else
#define rounds(n) (n)
#endif

static inline size_t blocked_in(void *queue, uint32_t *lock_word)
{
    struct cdr_lock *lock = (struct cdr_lock *)(void *)lock_word;
    const struct cdr_node *first, *node;
    size_t n = 0;

    cdr_lock(lock);
    first = node = *(struct cdr_node **)queue;
    if (first != NULL) {
        do {
            n++;
            node = node->next;
        } while (node != first);
    }
    cdr_unlock(lock);
    return n;
}

static inline size_t blocked_receivers(struct cadre_chan *c) { return blocked_in(&c->p_receivers, &c->p_lock); }
static inline size_t blocked_senders(struct cadre_chan *c) { return blocked_in(&c->p_senders, &c->p_lock); }
static inline size_t blocked_on_sem(struct cadre_sem *s) { return blocked_in(&s->p_waiters, &s->p_lock); }
static inline size_t blocked_on_mutex(struct cadre_mutex *m) { return blocked_in(&m->p_waiters, &m->p_lock); }

#endif
