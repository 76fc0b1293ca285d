/* SPDX-License-Identifier: MIT
 * The fiber pool. Stacks are reserved in slabs and never unmapped; the struct lies at the top of its own stack, so that a
 * suspended task that uses little stack costs one page. Order of locks: none is held while taking the pool's. */
#include <string.h>

#include "base/check.h"
#include "sched/fiber.h"

#define CACHE_MAX 32          /* fibers that a worker keeps */
#define WARM_MAX 1024         /* free fibers in the pool that keep their pages */
#define SLAB_BYTES ((size_t)16 << 20)

static struct pool {
    struct cdr_lock lock;
    struct cdr_fiber *free;
    size_t count;
} pools[CDR_STACK_CLASSES];

static size_t class_size(unsigned size_class) { return CDR_STACK_SIZE << size_class; }

/* Make a fiber of the memory of one stack and put it into the pool, whose lock is held. */
static void carve(struct pool *pool, char *base, unsigned size_class)
{
    size_t top = class_size(size_class) - ((sizeof(struct cdr_fiber) + 63) & ~(size_t)63);
    struct cdr_fiber *fiber = (struct cdr_fiber *)(void *)(base + top);

    fiber->low = (uintptr_t)base + cdr_page_size();
    fiber->high = (uintptr_t)base + top;
    fiber->size_class = (unsigned char)size_class;
    cdr_note_stack_new(&fiber->note, (void *)fiber->low, (void *)fiber->high);
    fiber->next = pool->free;
    pool->free = fiber;
    cdr_store(&pool->count, pool->count + 1);
}

static bool grow(struct pool *pool, unsigned size_class)
{
    size_t size = class_size(size_class);
    unsigned count = size < SLAB_BYTES ? (unsigned)(SLAB_BYTES / size) : 1;
    char *base = cdr_stacks_map(size, count);

    if (base == NULL && count > 1) { /* memory is short: perhaps there is room for one */
        count = 1;
        base = cdr_stacks_map(size, count);
    }
    if (base == NULL)
        return false;
    cdr_note_root(base, size * count);
    for (unsigned i = count; i-- > 0;)
        carve(pool, base + i * size, size_class);
    return true;
}

static struct cdr_fiber *take(unsigned size_class)
{
    struct pool *pool = &pools[size_class];
    struct cdr_fiber *fiber = NULL;

    cdr_lock(&pool->lock);
    if (pool->free != NULL || grow(pool, size_class)) {
        fiber = pool->free;
        pool->free = fiber->next;
        cdr_store(&pool->count, pool->count - 1);
    }
    cdr_unlock(&pool->lock);
    return fiber;
}

struct cdr_fiber *cdr_fiber_get(struct cdr_fiber_cache *cache, size_t stack, void (*entry)(void *fiber))
{
    struct cdr_fiber *fiber;
    unsigned size_class = 0;

    while (size_class < CDR_STACK_CLASSES && class_size(size_class) - (CDR_STACK_SIZE - CDR_STACK_PROMISE) < stack)
        size_class++;
    if (size_class == CDR_STACK_CLASSES)
        return NULL;
    if (size_class == 0 && cache != NULL && cache->free != NULL) {
        fiber = cache->free;
        cache->free = fiber->next;
        cache->count--;
    } else {
        fiber = take(size_class);
        if (fiber == NULL)
            return NULL;
    }
    cdr_note_stack_reset(&fiber->note);
    fiber->worker = fiber->home = NULL;
    fiber->frame = NULL;
    fiber->next = NULL;
    fiber->pins = 0;
    fiber->native = false;
    fiber->first.fn = NULL;
    cdr_context_init(&fiber->context, (void *)fiber->low, (void *)fiber->high, entry, fiber);
    return fiber;
}

void cdr_fiber_put(struct cdr_fiber_cache *cache, struct cdr_fiber *fiber)
{
    struct pool *pool = &pools[fiber->size_class];
    size_t page = cdr_page_size();

    cdr_assert(!fiber->native);
    if (fiber->size_class == 0 && cache != NULL && cache->count < CACHE_MAX) {
        fiber->next = cache->free;
        cache->free = fiber;
        cache->count++;
        return;
    }
    if (cdr_load(&pool->count) >= WARM_MAX || fiber->size_class != 0) { /* keep the top page, where the struct is */
        cdr_note_stack_reset(&fiber->note);
        cdr_discard((void *)fiber->low, (((uintptr_t)fiber) & ~(page - 1)) - fiber->low);
    }
    cdr_lock(&pool->lock);
    fiber->next = pool->free;
    pool->free = fiber;
    cdr_store(&pool->count, pool->count + 1);
    cdr_unlock(&pool->lock);
}

void cdr_fiber_pools_lock(void)
{
    for (unsigned i = 0; i < CDR_STACK_CLASSES; i++)
        cdr_lock(&pools[i].lock);
}

void cdr_fiber_pools_unlock(void)
{
    for (unsigned i = CDR_STACK_CLASSES; i-- > 0;)
        cdr_unlock(&pools[i].lock);
}
