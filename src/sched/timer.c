/* SPDX-License-Identifier: MIT
 * Timer shards. Lock order: a shard's lock is taken before a run queue's and never with another shard's. */
#include "sched/timer.h"

void (*cdr_timers_after[CDR_AFTERS])(void);

void cdr_timer_shard_init(struct cdr_timer_shard *shard) { shard->next = INT64_MAX; }

static void publish(struct cdr_timer_shard *shard)
{
    struct cdr_heap_node *first = cdr_heap_min(&shard->heap);

    cdr_store_seq(&shard->next, first != NULL ? first->time : INT64_MAX);
}

bool cdr_timer_start(struct cdr_timer *timer, struct cdr_timer_shard *shard, int64_t when)
{
    bool first;

    timer->shard = shard;
    timer->node.time = when;
    cdr_lock(&shard->lock);
    timer->armed = true;
    cdr_heap_insert(&shard->heap, &timer->node);
    first = cdr_heap_min(&shard->heap) == &timer->node;
    if (first)
        publish(shard);
    cdr_unlock(&shard->lock);
    return first;
}

void cdr_timer_stop(struct cdr_timer *timer)
{
    struct cdr_timer_shard *shard = timer->shard;

    if (shard == NULL)
        return;
    cdr_lock(&shard->lock);
    if (timer->armed) {
        cdr_heap_remove(&shard->heap, &timer->node);
        timer->armed = false;
        publish(shard);
    }
    cdr_unlock(&shard->lock);
    timer->shard = NULL;
}

bool cdr_timers_fire(struct cdr_timer_shard *shard, int64_t now)
{
    bool fired = false, more = false;

    if (cdr_load_acquire(&shard->next) > now)
        return false;
    cdr_lock(&shard->lock);
    for (struct cdr_heap_node *node; (node = cdr_heap_min(&shard->heap)) != NULL && node->time <= now;) {
        struct cdr_timer *timer = cdr_container_of(node, struct cdr_timer, node);

        cdr_heap_remove(&shard->heap, node);
        timer->armed = false;
        fired = true;
        more |= timer->fire(timer);
    }
    publish(shard);
    cdr_unlock(&shard->lock);
    for (int i = 0; more && i < CDR_AFTERS; i++) {
        void (*after)(void) = cdr_load_acquire(&cdr_timers_after[i]);

        if (after != NULL)
            after();
    }
    return fired;
}
