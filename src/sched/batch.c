/* SPDX-License-Identifier: MIT
 * Batches of tasks: where they come from and how they are listed. Memory comes in 2 MiB arenas, so that the kernel can
 * back long queues with huge pages; arenas are kept for the life of the process and free batches are reused last in, first out. */
#include "sched/deque.h"

#define ARENA_SIZE (2u << 20)

static struct {
    struct cdr_lock lock;
    struct cdr_batch *free; /* linked by next */
} cache;

struct cdr_batch *cdr_batch_get(void)
{
    struct cdr_batch *batch;

    cdr_lock(&cache.lock);
    if (cache.free == NULL) {
        char *arena = cdr_map(ARENA_SIZE);

        for (size_t at = 0; arena != NULL && at + sizeof *batch <= ARENA_SIZE; at += sizeof *batch) {
            batch = (struct cdr_batch *)(void *)(arena + at);
            batch->next = cache.free;
            cache.free = batch;
        }
    }
    batch = cache.free;
    if (batch != NULL)
        cache.free = batch->next;
    cdr_unlock(&cache.lock);
    if (batch != NULL) {
        batch->next = batch->prev = NULL;
        batch->count = 0;
    }
    return batch;
}

void cdr_batch_put(struct cdr_batch *batch)
{
    cdr_lock(&cache.lock);
    batch->next = cache.free;
    cache.free = batch;
    cdr_unlock(&cache.lock);
}

void cdr_batch_cache_lock(void) { cdr_lock(&cache.lock); }

void cdr_batch_cache_unlock(void) { cdr_unlock(&cache.lock); }

void cdr_batches_append(struct cdr_batches *list, struct cdr_batch *batch)
{
    batch->next = NULL;
    batch->prev = list->newest;
    if (list->newest != NULL)
        list->newest->next = batch;
    else
        cdr_store(&list->oldest, batch); /* read without the lock by cdr_deque_empty */
    list->newest = batch;
}

void cdr_batches_prepend(struct cdr_batches *list, struct cdr_batch *batch)
{
    batch->prev = NULL;
    batch->next = list->oldest;
    if (list->oldest != NULL)
        list->oldest->prev = batch;
    else
        list->newest = batch;
    cdr_store(&list->oldest, batch);
}

struct cdr_batch *cdr_batches_take_oldest(struct cdr_batches *list)
{
    struct cdr_batch *batch = list->oldest;

    if (batch == NULL)
        return NULL;
    cdr_store(&list->oldest, batch->next);
    if (batch->next != NULL)
        batch->next->prev = NULL;
    else
        list->newest = NULL;
    return batch;
}

struct cdr_batch *cdr_batches_take_newest(struct cdr_batches *list)
{
    struct cdr_batch *batch = list->newest;

    if (batch == NULL)
        return NULL;
    list->newest = batch->prev;
    if (batch->prev != NULL)
        batch->prev->next = NULL;
    else
        cdr_store(&list->oldest, NULL);
    return batch;
}
