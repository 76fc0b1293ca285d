/* SPDX-License-Identifier: MIT
 * Mapping a stream in parallel, in order: a ring of places, workers that fill them, and one sender that empties them.
 *
 *     in ──> turn: place n gets element n ──> fn × limit ──> place n is ready ──> sender: 0, 1, 2 … ──> out
 *
 * Workers take turns to receive: who has the turn waits for room in the ring and for the next element, and puts it into
 * the next place; so the places are in the order of in. The sender goes round the ring and waits at each place until it
 * is ready. Who finds in closed leaves the end in the next place, so that the sender comes to it after everything else.
 * Nobody waits for more than one thing, and everybody waits under the group's context.
 *
 * Whose an element is: one that was received is handed to fn, always, even when the stream has failed meanwhile; there
 * is nothing between the two that could fail. One that fn made is the place's until it is sent, and what is left in
 * places when all have ended is destroyed. A sender apart from the workers lets `limit` calls go on while a receiver is
 * slow. */
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cadre.h"

struct place {
    struct cadre_sem ready; /* one unit, taken until there is something to send */
    void *from, *to;
    enum { EMPTY, MADE, END } state;
};

struct stream {
    struct cadre_chan *in, *out;
    cadre_map_fn *fn;
    void *arg;
    int limit;
    size_t window;
    struct place *places;
    struct cadre_sem room; /* places that are free */
    struct cadre_mutex turn;
    size_t received; /* the next place, for who has the turn */
    bool ended;      /* in has; for who has the turn */
};

/* ---- the tasks ---- */

/* The turn is ours: receive into the next place. *place stays NULL when there is nothing any more. */
static int receive(struct cadre_ctx *ctx, struct stream *s, struct place **place)
{
    struct place *next = &s->places[s->received];
    int code;

    if (s->ended)
        return 0;
    code = cadre_sem_acquire(ctx, &s->room, 1);
    if (code == 0)
        code = cadre_recv(ctx, s->in, next->from);
    if (code == 0) {
        s->received = s->received + 1 < s->window ? s->received + 1 : 0;
        *place = next;
    } else if (code == -EPIPE) {
        s->ended = true;
        next->state = END;
        code = cadre_sem_release(&next->ready, 1);
    }
    return code;
}

static int work(struct cadre_ctx *ctx, void *arg)
{
    struct stream *s = arg;
    struct place *place;
    int code;

    for (;;) {
        place = NULL;
        code = cadre_mutex_lock(ctx, &s->turn);
        if (code != 0)
            return code;
        code = receive(ctx, s, &place);
        (void)cadre_mutex_unlock(&s->turn);
        if (place == NULL)
            return code;
        code = s->fn(ctx, place->from, place->to, s->arg);
        if (code != 0)
            return code;
        place->state = MADE;
        (void)cadre_sem_release(&place->ready, 1);
    }
}

static int send_all(struct cadre_ctx *ctx, void *arg)
{
    struct stream *s = arg;
    size_t at = 0;
    int code;

    while ((code = cadre_sem_acquire(ctx, &s->places[at].ready, 1)) == 0 && s->places[at].state != END) {
        code = cadre_send(ctx, s->out, s->places[at].to);
        if (code != 0)
            break;
        s->places[at].state = EMPTY;
        (void)cadre_sem_release(&s->room, 1);
        at = at + 1 < s->window ? at + 1 : 0;
    }
    return code;
}

/* ---- the call ---- */

static bool is_valid(const struct stream *s, const struct cadre_jobs_options *options)
{
    if (s->in == NULL || s->out == NULL || s->fn == NULL)
        return false;
    if (options == NULL)
        return true;
    return options->limit >= 0 && options->error == NULL && options->errors == NULL && options->rest == NULL
           && (s->window == 0 || s->window >= (size_t)options->limit);
}

/* Fill in what was left to us. A window that is smaller than the number of workers bounds the calls. */
static int choose(struct stream *s, const struct cadre_jobs_options *options)
{
    s->limit = options != NULL ? options->limit : 0;
    if (s->limit == 0)
        s->limit = cadre_workers();
    if (s->limit < 0)
        return s->limit;
    if (s->window == 0)
        s->window = 2 * (size_t)s->limit;
    if ((size_t)s->limit > s->window)
        s->limit = (int)s->window;
    return 0;
}

/* a + n * size, aligned for what may follow; SIZE_MAX when that is too much. */
static size_t add(size_t a, size_t n, size_t size)
{
    const size_t align = alignof(max_align_t);

    if (size > 0 && n > (SIZE_MAX - align - a) / size)
        return SIZE_MAX;
    return (a + n * size + align - 1) / align * align;
}

/* All places and their elements, from one malloc. */
static int furnish(struct stream *s)
{
    size_t from = add(0, s->window, sizeof *s->places), to = from, end;
    int saved = errno;
    char *memory;

    if (from != SIZE_MAX)
        to = add(from, s->window, s->in->size);
    end = to != SIZE_MAX ? add(to, s->window, s->out->size) : SIZE_MAX;
    memory = end != SIZE_MAX ? malloc(end) : NULL;
    if (memory == NULL) {
        errno = saved;
        return -ENOMEM;
    }
    s->places = (struct place *)(void *)memory;
    for (size_t i = 0; i < s->window; i++) {
        s->places[i] = (struct place){ .ready = { .size = 1 },
                                       .from = memory + from + i * s->in->size,
                                       .to = memory + to + i * s->out->size };
        if (cadre_sem_try_acquire(&s->places[i].ready, 1) != 0)
            abort(); /* a fresh semaphore */
    }
    s->room.size = (int64_t)s->window;
    return 0;
}

static int run(struct cadre_ctx *ctx, struct stream *s, const struct cadre_jobs_options *options)
{
    struct cadre_group g = { .parent = ctx, .name = "stream", .flags = CADRE_CANCEL_ON_ERROR };
    int code;

    if (options != NULL && options->name != NULL)
        g.name = options->name;
    if (options != NULL)
        g.stack_size = options->stack_size;
    code = cadre_go(&g, send_all, s);
    for (int i = 0; i < s->limit && code == 0; i++)
        code = cadre_go(&g, work, s);
    return cadre_wait(&g);
}

static void clear(struct stream *s)
{
    for (size_t i = 0; i < s->window; i++)
        if (s->places[i].state == MADE && s->out->destroy != NULL)
            s->out->destroy(s->places[i].to);
    free(s->places);
}

int cadre_map_stream(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out,
                     cadre_map_fn *fn, void *arg, size_t window,
                     const struct cadre_jobs_options *options)
{
    struct stream s = { .in = in, .out = out, .fn = fn, .arg = arg, .window = window };
    int code = is_valid(&s, options) ? choose(&s, options) : -EINVAL;

    if (code == 0)
        code = furnish(&s);
    if (code == 0) {
        code = run(ctx, &s, options);
        clear(&s);
    }
    cadre_chan_close(out);
    return code;
}
