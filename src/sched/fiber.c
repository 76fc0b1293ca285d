/* SPDX-License-Identifier: MIT
 * The fiber pool. Stacks are reserved in slabs; the struct lies at the top of its own stack, so that a suspended task that uses little stack
 * costs one page.
 *
 * Free fibers keep their pages, as they will be wanted again, and are used last in, first out. The monitor trims the pools now and then:
 * what was not wanted since the last time goes back to the kernel, by slabs where it can, else by stacks, which are bare then: without
 * a page, and without a fiber until one is wanted again.
 * Order of locks: none is held while taking a pool's, but `trimming`, which is taken before. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sched/fiber.h"

#define CACHE_MAX 32 /* fibers that a worker keeps */
#define SLAB_BYTES ((size_t)16 << 20)
#define KEEP 64      /* spare fibers that a pool keeps */

struct cdr_slab {
    struct cdr_slab *next; /* in the list of those with bare stacks */
    char *base;
    unsigned count;        /* stacks */
    unsigned free;         /* those that are being trimmed */
    uint64_t bare;         /* a bit for each bare one */
};
_Static_assert(SLAB_BYTES / CDR_STACK_SIZE <= 64, "as many bits");

static struct pool {
    struct cdr_lock lock;
    struct cdr_fiber *free;
    size_t count, least; /* free ones now, and the least since the last trim */
    struct cdr_slab *bare;
} pools[CDR_STACK_CLASSES];

static struct cdr_lock trimming;

static size_t class_size(unsigned size_class) { return CDR_STACK_SIZE << size_class; }

/* Make a fiber of the memory of a stack and put it into the pool, whose lock is held. */
static void carve(struct pool *pool, struct cdr_slab *slab, unsigned i, unsigned size_class)
{
    size_t top = class_size(size_class) - ((sizeof(struct cdr_fiber) + 63) & ~(size_t)63);
    char *base = slab->base + i * class_size(size_class);
    struct cdr_fiber *fiber = (struct cdr_fiber *)(void *)(base + top);

    fiber->slab = slab;
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
    int saved = errno;
    struct cdr_slab *slab = malloc(sizeof *slab);
    char *base = slab != NULL ? cdr_stacks_map(size, count) : NULL;

    errno = saved;
    if (base == NULL && slab != NULL && count > 1) { /* memory is short: perhaps there is room for one */
        count = 1;
        base = cdr_stacks_map(size, count);
    }
    if (base == NULL) {
        free(slab);
        return false;
    }
    *slab = (struct cdr_slab){ .base = base, .count = count, .bare = ~(uint64_t)0 >> (64 - count) };
    cdr_note_root(base, size * count);
    pool->bare = slab;
    return true;
}

/* Make fibers of the bare stacks of one slab, a new one if there is none. */
static bool dress(struct pool *pool, unsigned size_class)
{
    struct cdr_slab *slab;

    if (pool->bare == NULL && !grow(pool, size_class))
        return false;
    slab = pool->bare;
    pool->bare = slab->next;
    for (unsigned i = slab->count; i-- > 0;)
        if ((slab->bare >> i & 1) != 0)
            carve(pool, slab, i, size_class);
    slab->bare = 0;
    return true;
}

static struct cdr_fiber *take(unsigned size_class)
{
    struct pool *pool = &pools[size_class];
    struct cdr_fiber *fiber = NULL;

    cdr_lock(&pool->lock);
    if (pool->free != NULL || dress(pool, size_class)) {
        fiber = pool->free;
        pool->free = fiber->next;
        cdr_store(&pool->count, pool->count - 1);
        if (pool->count < pool->least)
            pool->least = pool->count;
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

    cdr_assert(!fiber->native);
    if (fiber->size_class == 0 && cache != NULL && cache->count < CACHE_MAX) {
        fiber->next = cache->free;
        cache->free = fiber;
        cache->count++;
        return;
    }
    cdr_lock(&pool->lock);
    fiber->next = pool->free;
    pool->free = fiber;
    cdr_store(&pool->count, pool->count + 1);
    cdr_unlock(&pool->lock);
}

/* ---- trimming ---- */

static unsigned place_of(const struct cdr_fiber *fiber)
{
    return (unsigned)((fiber->low - (uintptr_t)fiber->slab->base) / class_size(fiber->size_class));
}

/* All of the list but the first n. */
static struct cdr_fiber *cut(struct cdr_fiber **list, size_t n)
{
    struct cdr_fiber *rest;

    for (; n > 0; n--)
        list = &(*list)->next;
    rest = *list;
    *list = NULL;
    return rest;
}

/* A slab of which every stack goes is unmapped as a whole. Not while mutexes are watched: then fibers that are gone are looked at. */
static bool goes(const struct cdr_slab *slab)
{
#ifdef CADRE_WATCH_MUTEXES
    return false;
#endif
    return slab->free + (unsigned)__builtin_popcountll(slab->bare) == slab->count;
}

/* The fibers cease to be; *bare gets their slabs. */
static void strip(struct cdr_fiber *out, struct cdr_slab **bare)
{
    struct cdr_fiber *next;

    for (struct cdr_fiber *fiber = out; fiber != NULL; fiber = fiber->next)
        fiber->slab->free = 0;
    for (struct cdr_fiber *fiber = out; fiber != NULL; fiber = fiber->next)
        fiber->slab->free++;
    for (; out != NULL; out = next) {
        struct cdr_slab *slab = out->slab;
        uint64_t bit = (uint64_t)1 << place_of(out);
        uintptr_t low = out->low, end = (uintptr_t)slab->base + (place_of(out) + 1) * class_size(out->size_class);

        next = out->next;
        cdr_note_stack_gone(&out->note);
        if (!goes(slab))
            cdr_discard((void *)low, end - low);
        slab->free--;
        if (slab->bare == 0) {
            slab->next = *bare;
            *bare = slab;
        }
        slab->bare |= bit;
    }
}

static void unmap_all_bare(struct cdr_slab **bare, unsigned size_class)
{
    struct cdr_slab *slab;

    while ((slab = *bare) != NULL) {
        size_t size = class_size(size_class);

        slab->free = 0;
        if (!goes(slab)) {
            bare = &slab->next;
            continue;
        }
        *bare = slab->next;
        cdr_note_root_gone(slab->base, size * slab->count);
        cdr_stacks_unmap(slab->base, size, slab->count);
        free(slab);
    }
}

/* The lists are private meanwhile: who needs a fiber then gets a new slab. */
static void trim(struct pool *pool, unsigned size_class)
{
    struct cdr_fiber *all = NULL, **end = &all;
    struct cdr_slab *bare = NULL, **last = &bare;
    size_t count, spare;

    cdr_lock(&pool->lock);
    count = pool->count;
    spare = pool->least > KEEP ? pool->least - KEEP : 0;
    pool->least = count;
    if (spare > 0) {
        all = pool->free;
        bare = pool->bare;
        pool->free = NULL;
        pool->bare = NULL;
        cdr_store(&pool->count, (size_t)0);
    }
    cdr_unlock(&pool->lock);
    if (spare == 0)
        return;
    strip(cut(&all, count - spare), &bare);
    unmap_all_bare(&bare, size_class);
    while (*end != NULL)
        end = &(*end)->next;
    while (*last != NULL)
        last = &(*last)->next;
    cdr_lock(&pool->lock);
    *end = pool->free;
    pool->free = all;
    *last = pool->bare;
    pool->bare = bare;
    cdr_store(&pool->count, pool->count + count - spare);
    pool->least = pool->count;
    cdr_unlock(&pool->lock);
}

bool cdr_fiber_pools_spare(void)
{
    for (unsigned i = 0; i < CDR_STACK_CLASSES; i++)
        if (cdr_load(&pools[i].count) > KEEP)
            return true;
    return false;
}

void cdr_fiber_pools_trim(void)
{
    cdr_lock(&trimming);
    for (unsigned i = 0; i < CDR_STACK_CLASSES; i++)
        if (cdr_load(&pools[i].count) > KEEP)
            trim(&pools[i], i);
    cdr_unlock(&trimming);
}

/* ---- around fork(2) ---- */

void cdr_fiber_pools_lock(void)
{
    cdr_lock(&trimming);
    for (unsigned i = 0; i < CDR_STACK_CLASSES; i++)
        cdr_lock(&pools[i].lock);
}

void cdr_fiber_pools_unlock(void)
{
    for (unsigned i = CDR_STACK_CLASSES; i-- > 0;)
        cdr_unlock(&pools[i].lock);
    cdr_unlock(&trimming);
}
