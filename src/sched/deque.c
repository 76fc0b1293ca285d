/* SPDX-License-Identifier: MIT
 * The deque's slow paths: making room, sharing, reclaiming, stealing. All of them hold the lock; deque.h explains the protocol
 * and why it is correct. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "sched/deque.h"

/* After so many pushes the owner looks whether somebody is idle: enough work to be worth a wake-up. */
#define LOOK_EVERY 64

int cdr_deque_init(struct cdr_deque *d, bool shared_only)
{
    d->ring = cdr_map(CDR_RING_SIZE * sizeof *d->ring);
    if (d->ring == NULL)
        return -ENOMEM;
    d->shared_only = shared_only;
    d->head = d->open = d->tail = CDR_RING_SIZE; /* so that tail - 1 never wraps */
    d->split = shared_only ? UINT64_MAX : d->tail;
    d->limit = 0; /* the first push looks around */
    return 0;
}

/* Set where the public part ends. */
static void set_open(struct cdr_deque *d, uint64_t open)
{
    cdr_store(&d->open, open); /* thieves look at it without the lock */
    if (!d->shared_only)
        cdr_store(&d->split, open);
}

static uint64_t half_up(uint64_t n) { return n - n / 2; }

/* Move the older half of a full ring into a batch. The oldest tasks are public or about to be: the owner is here. */
static int spill(struct cdr_deque *d)
{
    struct cdr_batch *batch = cdr_batch_get();

    if (batch == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < CDR_BATCH_SIZE; i++)
        batch->tasks[i] = d->ring[(d->head + i) & CDR_RING_MASK];
    batch->count = CDR_BATCH_SIZE;
    cdr_batches_append(&d->batches, batch);
    cdr_store(&d->head, d->head + CDR_BATCH_SIZE);
    if (d->open < d->head)
        set_open(d, d->head);
    return 0;
}

static void share_half(struct cdr_deque *d)
{
    uint64_t tail = cdr_load(&d->tail);

    set_open(d, d->shared_only ? tail : d->open + half_up(tail - d->open));
}

void cdr_deque_share(struct cdr_deque *d, bool all)
{
    cdr_lock(&d->lock);
    if (all)
        set_open(d, cdr_load(&d->tail));
    else
        share_half(d);
    cdr_unlock(&d->lock);
}

int cdr_deque_push_slow(struct cdr_deque *d, const struct cdr_task *task)
{
    uint64_t tail = cdr_load(&d->tail), limit;
    int found = 0;

    cdr_lock(&d->lock);
    if (tail - d->head == CDR_RING_SIZE && spill(d) < 0) {
        cdr_unlock(&d->lock);
        return -ENOMEM;
    }
    d->ring[tail & CDR_RING_MASK] = *task;
    cdr_store_release(&d->tail, tail + 1);
    limit = d->head + CDR_RING_SIZE;
    if (limit > tail + LOOK_EVERY)
        limit = tail + LOOK_EVERY;
    /* An exchange, so that no request is overwritten unseen. */
    if (cdr_exchange_seq(&d->limit, d->shared_only ? 0 : limit) == 0)
        found |= CDR_PUSH_REQUESTED;
    if (tail + 1 - d->head >= LOOK_EVERY)
        found |= CDR_PUSH_DEEP;
    if (d->shared_only || found != 0)
        share_half(d);
    cdr_unlock(&d->lock);
    return found;
}

/* The ring is empty: fetch the newest batch back into it. */
static bool refill(struct cdr_deque *d)
{
    struct cdr_batch *batch = cdr_batches_take_newest(&d->batches);
    uint64_t tail = cdr_load(&d->tail);

    if (batch == NULL)
        return false;
    for (size_t i = 0; i < batch->count; i++)
        d->ring[(tail + i) & CDR_RING_MASK] = batch->tasks[i];
    cdr_store_release(&d->tail, tail + batch->count);
    if (d->shared_only)
        cdr_store(&d->open, tail + batch->count);
    cdr_batch_put(batch);
    return true;
}

bool cdr_deque_pop_slow(struct cdr_deque *d, struct cdr_task *task)
{
    uint64_t tail = cdr_load(&d->tail);

    /* Only the owner adds tasks, so an empty deque stays empty and needs no lock. */
    if (tail == cdr_load_acquire(&d->head) && cdr_load(&d->batches.oldest) == NULL)
        return false;
    cdr_lock(&d->lock);
    if (tail == d->head && !refill(d)) {
        cdr_unlock(&d->lock);
        return false;
    }
    tail = cdr_load(&d->tail) - 1;
    *task = d->ring[tail & CDR_RING_MASK];
    cdr_store(&d->tail, tail);
    if (d->shared_only)
        cdr_store(&d->open, tail);
    else if (d->open > tail) /* take half of the public part back */
        set_open(d, d->head + (tail - d->head) / 2);
    cdr_unlock(&d->lock);
    return true;
}

void cdr_deque_adopt(struct cdr_deque *d, struct cdr_batch *batch)
{
    cdr_lock(&d->lock);
    cdr_batches_append(&d->batches, batch);
    cdr_unlock(&d->lock);
}

void cdr_deque_give_back(struct cdr_deque *d, struct cdr_batch *batch)
{
    cdr_lock(&d->lock);
    cdr_batches_prepend(&d->batches, batch);
    cdr_unlock(&d->lock);
}

bool cdr_deque_drain(struct cdr_deque *d, struct cdr_batches *out)
{
    struct cdr_batch *batch;
    bool done = true;

    cdr_lock(&d->lock);
    while ((batch = cdr_batches_take_oldest(&d->batches)) != NULL)
        cdr_batches_append(out, batch);
    while (d->head < cdr_load(&d->tail)) {
        batch = cdr_batch_get();
        if (batch == NULL) {
            done = false;
            break;
        }
        while (d->head < cdr_load(&d->tail) && batch->count < CDR_BATCH_SIZE) {
            batch->tasks[batch->count++] = d->ring[d->head & CDR_RING_MASK];
            cdr_store(&d->head, d->head + 1);
        }
        cdr_batches_append(out, batch);
    }
    set_open(d, cdr_load(&d->tail));
    cdr_unlock(&d->lock);
    return done;
}

void cdr_deque_force(struct cdr_deque *d)
{
    uint64_t tail, split;

    if (d->shared_only || !cdr_try_lock(&d->lock))
        return;
    tail = cdr_load_acquire(&d->tail);
    if (tail > d->open) {
        split = d->open + half_up(tail - d->open);
        cdr_store(&d->split, split);
        cdr_membarrier(); /* pairs with the compiler barrier in cdr_deque_pop */
        tail = cdr_load_acquire(&d->tail);
        if (tail < split) /* the owner got below: what it may have taken, from tail on, is not ours */
            split = tail > d->open ? tail : d->open;
        set_open(d, split);
    }
    cdr_unlock(&d->lock);
}

unsigned cdr_deque_steal(struct cdr_deque *d, struct cdr_task *out, unsigned max, uint32_t family, struct cdr_batch **batch)
{
    unsigned n = 0, want;

    *batch = NULL;
    if (!cdr_try_lock(&d->lock))
        return 0;
    if (family == 0 && d->batches.oldest != NULL) {
        *batch = cdr_batches_take_oldest(&d->batches);
    } else if (d->open > d->head) {
        want = (unsigned)half_up(d->open - d->head);
        /* Few tasks are likely to be large ones: one is enough. */
        want = want <= 4 ? 1 : want > max ? max : want;
        while (n < want) {
            const struct cdr_task *task = &d->ring[(d->head + n) & CDR_RING_MASK];

            if (family != 0 && cdr_task_family(task) != family)
                break;
            out[n++] = *task;
        }
        cdr_store_release(&d->head, d->head + n);
    }
    cdr_unlock(&d->lock);
    return n;
}
