/* SPDX-License-Identifier: MIT
 * A worker's own tasks: a deque whose owner pushes and pops at the tail without atomic read-modify-writes or fences, and
 * from whose head thieves take in batches.
 *
 * The tasks lie in a ring, by index:
 *
 *     head ........ open = split ........ tail ........ limit
 *     | public part      | private part   | free       |
 *
 * The private part is the owner's alone. The public part, and `open`, belong to whoever holds `lock`. Tasks move from private to
 * public in two ways:
 *   - by request: a thief that finds nothing public stores 0 into `limit`; the owner's next push sees it and shares half.
 *   - by force: an owner that computes, or sits in the kernel, does not push. A thief that holds the lock raises `split`, runs a
 *     membarrier, and reads `tail` again. The owner's pop stores `tail` and then loads `split`, with only a compiler barrier in
 *     between. The membarrier puts a full barrier into the owner's instruction stream: before it, the pop's store of `tail` is
 *     visible to the thief, which then claims only what lies below; after it, the pop sees the raised `split` and takes the lock.
 *     (Asymmetric Dekker; see Dice, Huang, Yang: Asymmetric Dekker Synchronization, 2001.)
 * Where the kernel has no membarrier there is no private part: `limit` stays 0 and `split` at its maximum, so that every
 * push and pop takes the lock.
 *
 * The split between a private and a public part follows Lace (van Dijk, van de Pol: Lace, 2014), which relies on the owner
 * polling; forcing is what lets ours hold ordinary code. test/model/deque.pml checks the protocol.
 *
 * A full ring does not grow. Its older half moves into a batch, and thieves take whole batches; the owner fetches the newest one
 * back when the ring has run empty. That keeps the ring in the cache and frees memory as the queue shrinks. */
#ifndef CADRE_SCHED_DEQUE_H
#define CADRE_SCHED_DEQUE_H

#include "platform/os.h"
#include "sched/task.h"

#define CDR_RING_SIZE 2048u
#define CDR_RING_MASK (CDR_RING_SIZE - 1)
#define CDR_BATCH_SIZE (CDR_RING_SIZE / 2)

/* CDR_BATCH_SIZE tasks or fewer, in the order of being pushed. */
struct cdr_batch {
    struct cdr_batch *next, *prev; /* next: newer */
    size_t count;
    struct cdr_task tasks[CDR_BATCH_SIZE];
};

struct cdr_batches {
    struct cdr_batch *oldest, *newest;
};

struct cdr_deque {
    /* Written by the owner in its fast path; thieves look. */
    uint64_t tail;
    uint64_t split; /* written under the lock, read by the owner's pop */
    uint64_t limit; /* a push at tail >= limit takes the slow path; anybody may store 0 */
    struct cdr_task *ring;
    bool shared_only; /* no membarrier: no private part */

    /* Of whoever holds the lock. */
    CDR_OWN_LINE struct cdr_lock lock;
    uint64_t head, open;
    struct cdr_batches batches;
};

/* What a slow push found on its way. */
enum { CDR_PUSH_REQUESTED = 1, CDR_PUSH_DEEP = 2 };

int cdr_deque_init(struct cdr_deque *d, bool shared_only);

/* Slow paths of push and pop; push returns what it found or -ENOMEM. */
int cdr_deque_push_slow(struct cdr_deque *d, const struct cdr_task *task);
bool cdr_deque_pop_slow(struct cdr_deque *d, struct cdr_task *task);

/* Owner only. A push in two steps: where to write the task, NULL when the push must be a slow one; then the push, which returns 0 or
 * CDR_PUSH_REQUESTED. */
static inline struct cdr_task *cdr_deque_room(struct cdr_deque *d)
{
    uint64_t tail = cdr_load(&d->tail);

    return cdr_likely(tail < cdr_load(&d->limit)) ? &d->ring[tail & CDR_RING_MASK] : NULL;
}

static inline int cdr_deque_push_in_room(struct cdr_deque *d)
{
    cdr_store_release(&d->tail, cdr_load(&d->tail) + 1); /* pairs with the acquire of thieves: the record is there */
    cdr_compiler_barrier(); /* pairs with the membarrier of a monitor about to doze: it sees the task or we its 0 */
    return cdr_unlikely(cdr_load(&d->limit) == 0) ? CDR_PUSH_REQUESTED : 0;
}

/* Owner only. Returns 0, -ENOMEM, or a sum of CDR_PUSH_ bits that the worker should act on. The task comes by value, so that
 * in the fast path it never has to lie in memory but in the ring. */
static inline int cdr_deque_push(struct cdr_deque *d, struct cdr_task task)
{
    struct cdr_task *room = cdr_deque_room(d);

    if (cdr_unlikely(room == NULL)) {
        struct cdr_task copy = task;

        return cdr_deque_push_slow(d, &copy);
    }
    cdr_task_copy(room, &task);
    return cdr_deque_push_in_room(d);
}

/* Owner only. Takes the newest task, if there is one, and if it is of that group (NULL: any) and that family (0: any). */
static inline bool cdr_deque_pop(struct cdr_deque *d, struct cdr_task *task, const struct cadre_group *group, uint32_t family)
{
    uint64_t tail = cdr_load(&d->tail) - 1;

    cdr_store(&d->tail, tail);
    cdr_compiler_barrier(); /* pairs with the membarrier in cdr_deque_force */
    if (cdr_likely(tail >= cdr_load(&d->split))) {
        const struct cdr_task *top = &d->ring[tail & CDR_RING_MASK];

        if (cdr_task_matches(top, group, family)) {
            cdr_task_copy(task, top);
            return true;
        }
        cdr_store(&d->tail, tail + 1);
        return false;
    }
    cdr_store(&d->tail, tail + 1);
    if (!cdr_deque_pop_slow(d, task))
        return false;
    if (cdr_task_matches(task, group, family))
        return true;
    (void)cdr_deque_push(d, *task); /* there is room: it was popped just now */
    return false;
}

/* Owner only. A pop in two steps, for the common case: where the newest task lies, until the next push, NULL when it is not in the private
 * part; then taking it, false when it is not private any more. */
static inline const struct cdr_task *cdr_deque_top(const struct cdr_deque *d)
{
    uint64_t tail = cdr_load(&d->tail) - 1;

    return cdr_likely(tail >= cdr_load(&d->split)) ? &d->ring[tail & CDR_RING_MASK] : NULL;
}

static inline bool cdr_deque_take_top(struct cdr_deque *d)
{
    uint64_t tail = cdr_load(&d->tail) - 1;

    cdr_store(&d->tail, tail);
    cdr_compiler_barrier(); /* pairs with the membarrier in cdr_deque_force */
    if (cdr_likely(tail >= cdr_load(&d->split)))
        return true;
    cdr_store(&d->tail, tail + 1);
    return false;
}

/* Owner only: move half of the private part, or all of it, to the public one. */
void cdr_deque_share(struct cdr_deque *d, bool all);

/* Any thread: how many tasks there seem to be in the ring, and whether there seem to be any at all. */
static inline uint64_t cdr_deque_depth(const struct cdr_deque *d)
{
    uint64_t tail = cdr_load_acquire(&d->tail), head = cdr_load(&d->head);

    return tail > head ? tail - head : 0;
}

static inline bool cdr_deque_empty(const struct cdr_deque *d)
{
    return cdr_deque_depth(d) == 0 && cdr_load(&d->batches.oldest) == NULL;
}

/* Any thread but the owner: take the oldest public tasks, at most max, into out; only those of `family` unless it is 0.
 * A whole batch may come instead, in *batch. Returns how many were put into out. */
unsigned cdr_deque_steal(struct cdr_deque *d, struct cdr_task *out, unsigned max, uint32_t family, struct cdr_batch **batch);

/* Any thread but the owner: make half of the private part public, without the owner's help. */
void cdr_deque_force(struct cdr_deque *d);

/* Ask the owner to share at its next push. */
static inline void cdr_deque_request(struct cdr_deque *d) { cdr_store(&d->limit, 0); }

/* Owner only: the batch becomes part of the deque, as the newest or, given back, as the oldest. */
void cdr_deque_adopt(struct cdr_deque *d, struct cdr_batch *batch);
void cdr_deque_give_back(struct cdr_deque *d, struct cdr_batch *batch);

/* Owner only: move everything out, oldest first, for another's use. False when memory is short; then some tasks are still there. */
bool cdr_deque_drain(struct cdr_deque *d, struct cdr_batches *out);

/* Batches, from a cache of their own. NULL when there is no memory. */
struct cdr_batch *cdr_batch_get(void);
void cdr_batch_put(struct cdr_batch *batch);
void cdr_batches_trim(void); /* give back to the kernel what has not been wanted since the last call; is there anything to give? */
bool cdr_batches_spare(void);
void cdr_batch_cache_lock(void); /* around fork(2) */
void cdr_batch_cache_unlock(void);
void cdr_batches_append(struct cdr_batches *list, struct cdr_batch *batch);
void cdr_batches_prepend(struct cdr_batches *list, struct cdr_batch *batch);
struct cdr_batch *cdr_batches_take_oldest(struct cdr_batches *list);
struct cdr_batch *cdr_batches_take_newest(struct cdr_batches *list);

#endif
