/* SPDX-License-Identifier: MIT
 * Batches of tasks: where they come from and how they are listed. Memory comes in aligned arenas, so that the kernel can back long queues with
 * huge pages and a batch's address tells its arena. Free batches are used last in, first out; arenas without a batch in use, and
 * not wanted for a while, go back to the kernel when the monitor says so. */
#include "sched/deque.h"

#define ARENA_SIZE ((size_t)2 << 20)
#define KEEP 2 /* arenas that are kept in any case */

/* At the beginning of each. */
struct arena {
    struct arena *next, *prev;
    size_t used;              /* batches in use */
    struct cdr_batch *free;   /* linked by next */
    struct cdr_batch batches[];
};

enum { PER_ARENA = (ARENA_SIZE - sizeof(struct arena)) / sizeof(struct cdr_batch) };

static struct {
    struct cdr_lock lock;
    struct arena *some;  /* with free batches: the first is taken from, and the last becomes empty soonest */
    size_t empty, least; /* arenas of which no batch is in use, and the least since the last trim */
} cache;

static struct arena *arena_of(struct cdr_batch *batch) { return (struct arena *)((uintptr_t)batch & ~(uintptr_t)(ARENA_SIZE - 1)); }

static void enlist(struct arena *arena)
{
    arena->prev = NULL;
    arena->next = cache.some;
    if (cache.some != NULL)
        cache.some->prev = arena;
    cache.some = arena;
}

static void delist(struct arena *arena)
{
    if (arena->prev != NULL)
        arena->prev->next = arena->next;
    else
        cache.some = arena->next;
    if (arena->next != NULL)
        arena->next->prev = arena->prev;
}

/* Some look at the number without the lock. */
static void set_empty(size_t n) { cdr_store(&cache.empty, n); }

/* cache.lock is held. */
static void grow(void)
{
    char *two = cdr_map(2 * ARENA_SIZE), *at;
    struct arena *arena;

    if (two == NULL)
        return;
    at = (char *)(((uintptr_t)two + ARENA_SIZE - 1) & ~(uintptr_t)(ARENA_SIZE - 1));
    if (at > two)
        cdr_unmap(two, (size_t)(at - two));
    cdr_unmap(at + ARENA_SIZE, (size_t)(two + ARENA_SIZE - at));
    arena = (struct arena *)(void *)at;
    for (int i = 0; i < PER_ARENA; i++) {
        arena->batches[i].next = arena->free;
        arena->free = &arena->batches[i];
    }
    set_empty(cache.empty + 1);
    enlist(arena);
}

struct cdr_batch *cdr_batch_get(void)
{
    struct cdr_batch *batch = NULL;
    struct arena *arena;

    cdr_lock(&cache.lock);
    if (cache.some == NULL)
        grow();
    arena = cache.some;
    if (arena != NULL) {
        batch = arena->free;
        arena->free = batch->next;
        if (arena->used++ == 0)
            set_empty(cache.empty - 1);
        if (cache.empty < cache.least)
            cache.least = cache.empty;
        if (arena->free == NULL)
            delist(arena);
    }
    cdr_unlock(&cache.lock);
    if (batch != NULL) {
        batch->next = batch->prev = NULL;
        batch->count = 0;
    }
    return batch;
}

void cdr_batch_put(struct cdr_batch *batch)
{
    struct arena *arena = arena_of(batch);

    cdr_lock(&cache.lock);
    batch->next = arena->free;
    arena->free = batch;
    if (batch->next == NULL)
        enlist(arena);
    if (--arena->used == 0)
        set_empty(cache.empty + 1);
    cdr_unlock(&cache.lock);
}

bool cdr_batches_spare(void) { return cdr_load(&cache.empty) > KEEP; }

void cdr_batches_trim(void)
{
    struct arena *gone = NULL, *next;
    size_t spare;

    cdr_lock(&cache.lock);
    spare = cache.least > KEEP ? cache.least - KEEP : 0;
    for (struct arena *arena = cache.some; arena != NULL && spare > 0; arena = next) {
        next = arena->next;
        if (arena->used != 0)
            continue;
        delist(arena);
        arena->next = gone;
        gone = arena;
        set_empty(cache.empty - 1);
        spare--;
    }
    cache.least = cache.empty;
    cdr_unlock(&cache.lock);
    for (; gone != NULL; gone = next) {
        next = gone->next;
        cdr_unmap(gone, ARENA_SIZE);
    }
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
