/* SPDX-License-Identifier: MIT
 * Shared flights: a list of the calls that are under way, each with those who wait for it.
 *
 * How a call counts in its group. It is held there, not started there: cadre_wait waits for it, and its context derives
 * from the group's, but it takes no slot and lies in no queue. Started there it could be dropped before it begins,
 * which nobody would tell us, since the group's drop callback is its owner's and expects its owner's arguments; and
 * tasks of a group with a limit that ask for something would wait for a slot that they hold themselves. The task itself
 * belongs to a group of this file, which nobody cancels, and runs fn as the only task of another, which catches a panic
 * and has the message.
 *
 *     FLYING ──the last caller left──> ABANDONED: off the list, cancelled; who comes now begins another
 *        └──────── fn has ended ───────────┴──> LANDED: off the list, callers are told
 *
 * Under the mutex: the list, state, callers. A flight lives as long as it is referred to: once by its task and once by
 * each caller. error and block are written by its task before it lands, and then only read. The list is searched from
 * end to end, which is good enough for the thousands of calls that can sensibly be under way at a time. */
#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cadre.h"

enum state { FLYING, ABANDONED, LANDED };

struct flight {
    struct flight *next, *prev;
    struct cadre_flights *flights;
    struct cadre_ctx ctx;
    struct cadre_chan landed; /* closed when it has */
    cadre_fn *fn;
    size_t size, key_size;
    enum state state;
    unsigned callers;
    bool shared; /* there was more than one when it landed */
    atomic_uint references;
    struct cadre_error error;
    max_align_t block[]; /* size bytes for fn, then the key */
};

static struct cadre_group pilots = { .name = "cadre: flights" };

static void *key_of(struct flight *flight) { return (char *)flight->block + flight->size; }

/* Under no context: an unlock follows soon. Only a thread's very first call into the library could fail. */
static void lock(struct cadre_flights *flights)
{
    int code = cadre_mutex_lock(NULL, &flights->p_mutex);

    assert(code == 0);
    (void)code;
}

static void unlock(struct cadre_flights *flights) { (void)cadre_mutex_unlock(&flights->p_mutex); }

static void put(struct flight *flight)
{
    if (atomic_fetch_sub_explicit(&flight->references, 1, memory_order_acq_rel) == 1)
        free(flight);
}

/* ---- the list; the mutex is held ---- */

static struct flight *find(struct cadre_flights *flights, const void *key, size_t key_size)
{
    struct flight *flight = flights->p_first;

    while (flight != NULL && (flight->key_size != key_size || (key_size > 0 && memcmp(key_of(flight), key, key_size) != 0)))
        flight = flight->next;
    return flight;
}

static void enlist(struct flight *flight)
{
    flight->next = flight->flights->p_first;
    if (flight->next != NULL)
        flight->next->prev = flight;
    flight->flights->p_first = flight;
}

static void delist(struct flight *flight)
{
    if (flight->prev != NULL)
        flight->prev->next = flight->next;
    else
        flight->flights->p_first = flight->next;
    if (flight->next != NULL)
        flight->next->prev = flight->prev;
}

/* ---- the task ---- */

/* Lets go of the flight and of the group, which may be gone afterwards, like the flights. */
static void land(struct flight *flight, const struct cadre_error *error)
{
    struct cadre_flights *flights = flight->flights;
    struct cadre_group *group = flights->group;

    flight->error = *error;
    lock(flights);
    if (flight->state == FLYING)
        delist(flight);
    flight->state = LANDED;
    flight->shared = flight->callers > 1;
    unlock(flights);
    cadre_chan_close(&flight->landed);
    put(flight);
    cadre_group_release(group, 0);
}

static int fly(struct cadre_ctx *ctx, void *arg)
{
    struct flight *flight = arg;
    struct cadre_group *group = flight->flights->group;
    struct cadre_group one = { .parent = &flight->ctx,
                               .name = group->name,
                               .flags = group->flags & CADRE_PINNED,
                               .stack_size = group->stack_size };
    struct cadre_error error;

    (void)ctx;
    if ((group->flags & CADRE_STOP_ON_ERROR) != 0 && cadre_group_error(group).code != 0)
        cadre_group_cancel(&one, -ECANCELED, "the group has stopped");
    cadre_go(&one, flight->fn, flight->block);
    (void)cadre_wait(&one);
    error = cadre_group_error(&one);
    land(flight, &error);
    return 0;
}

/* ---- the callers ---- */

/* A flight with its first caller. The group is held from here on. */
static struct flight *create(struct cadre_flights *flights, const void *key, size_t key_size, cadre_fn *fn, const void *arg,
                             size_t size)
{
    struct flight *flight = NULL;
    int saved = errno;

    if (size <= SIZE_MAX - sizeof *flight && key_size <= SIZE_MAX - sizeof *flight - size)
        flight = malloc(sizeof *flight + size + key_size);
    errno = saved;
    if (flight == NULL)
        return NULL;
    *flight = (struct flight){ .flights = flights, .fn = fn, .size = size, .key_size = key_size, .callers = 1 };
    flight->ctx.parent = cadre_group_ctx(flights->group);
    atomic_init(&flight->references, 2);
    if (size > 0)
        memcpy(flight->block, arg, size);
    if (key_size > 0)
        memcpy(key_of(flight), key, key_size);
    cadre_group_hold(flights->group);
    return flight;
}

static void begin(struct flight *flight)
{
    struct cadre_error error = { .origin = CADRE_FROM_START };

    error.code = cadre_try_go(&pilots, fly, flight);
    if (error.code != 0)
        land(flight, &error);
}

/* Join the flight for the key, or begin one. */
static int board(struct cadre_flights *flights, const void *key, size_t key_size, cadre_fn *fn, const void *arg,
                 size_t size, struct flight **boarded)
{
    int code = cadre_mutex_lock(NULL, &flights->p_mutex);
    struct flight *flight;
    bool first = false;

    if (code != 0)
        return code;
    flight = find(flights, key, key_size);
    if (flight == NULL) {
        flight = create(flights, key, key_size, fn, arg, size);
        first = flight != NULL;
        code = first ? 0 : -ENOMEM;
        if (first)
            enlist(flight);
    } else if (flight->size != size) {
        code = -EINVAL;
    } else {
        flight->callers++;
        atomic_fetch_add_explicit(&flight->references, 1, memory_order_relaxed); /* the list's flights are referred to */
    }
    unlock(flights);
    if (first)
        begin(flight);
    if (code == 0)
        *boarded = flight;
    return code;
}

/* The caller's context has ended. False when the flight has landed all the same. Who leaves last keeps the group until
 * the flight is cancelled, which might land and let go of it meanwhile. */
static bool leave(struct flight *flight)
{
    struct cadre_group *group = flight->flights->group;
    bool landed, last;

    lock(flight->flights);
    landed = flight->state == LANDED;
    last = !landed && --flight->callers == 0;
    if (last) {
        flight->state = ABANDONED;
        delist(flight);
        cadre_group_hold(group);
    }
    unlock(flight->flights);
    if (last) {
        cadre_ctx_cancel(&flight->ctx, -ECANCELED, "nobody waits for it any more");
        cadre_group_release(group, 0);
    }
    return !landed;
}

/* Copies the result to the caller, or the message, if there is one, to the caller's task. */
static int arrive(struct cadre_ctx *ctx, const struct flight *flight, void *arg, int *shared)
{
    const struct cadre_error *error = &flight->error;

    if (error->code != 0)
        return cadre_fail_at(ctx, error->file, error->line, error->code, "%s", error->message);
    if (flight->size > 0)
        memcpy(arg, flight->block, flight->size);
    if (shared != NULL)
        *shared = flight->shared;
    return 0;
}

static bool is_valid(const struct cadre_flights *flights, const void *key, size_t key_size, const void *arg, size_t size)
{
    return flights != NULL && flights->group != NULL && (key != NULL || key_size == 0) && (arg != NULL || size == 0);
}

int cadre_flight(struct cadre_ctx *ctx, struct cadre_flights *flights, const void *key, size_t key_size, cadre_fn *fn,
                 void *arg, size_t size, int *shared)
{
    struct flight *flight;
    int code;

    if (fn == NULL || !is_valid(flights, key, key_size, arg, size))
        return -EINVAL;
    code = cadre_ctx_error(ctx);
    if (code == 0)
        code = board(flights, key, key_size, fn, arg, size, &flight);
    if (code != 0)
        return code;
    code = cadre_recv(ctx, &flight->landed, NULL);
    if (code == -EPIPE || !leave(flight))
        code = arrive(ctx, flight, arg, shared);
    put(flight);
    return code;
}
