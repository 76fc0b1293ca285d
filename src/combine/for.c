/* SPDX-License-Identifier: MIT
 * The parallel loop: a few tasks that take the next piece from a common counter until none is left. The counter counts pieces, not
 * numbers, and never passes their count: so a loop may end at SIZE_MAX. */
#include <stdatomic.h>
#include <stdbool.h>

#include "cadre.h"

#define PIECES_PER_WORKER 8 /* of the sensible size: enough for an even end, few enough to cost nothing */

struct loop {
    size_t begin, end, grain, pieces;
    cadre_range_fn *fn;
    void *arg;
    atomic_size_t next; /* the first piece that nobody has taken */
    atomic_size_t done; /* pieces that were run and returned 0; counted by a task when it ends */
};

static bool is_left(struct loop *loop)
{
    return atomic_load_explicit(&loop->next, memory_order_relaxed) < loop->pieces;
}

/* Relaxed: what a piece works on was there before the tasks were started. */
static bool take(struct loop *loop, size_t *piece)
{
    *piece = atomic_load_explicit(&loop->next, memory_order_relaxed);
    while (*piece < loop->pieces)
        if (atomic_compare_exchange_weak_explicit(&loop->next, piece, *piece + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static int run_piece(struct cadre_ctx *ctx, const struct loop *loop, size_t piece)
{
    size_t begin = loop->begin + piece * loop->grain;
    size_t end = loop->end - begin > loop->grain ? begin + loop->grain : loop->end;

    return loop->fn(ctx, begin, end, loop->arg);
}

static int run(struct cadre_ctx *ctx, void *arg)
{
    struct loop *loop = arg;
    size_t piece, done = 0;
    int error = 0;

    while (error == 0 && is_left(loop)) {
        error = cadre_ctx_error(ctx);
        if (error != 0 || !take(loop, &piece))
            break;
        error = run_piece(ctx, loop, piece);
        done += error == 0;
    }
    atomic_fetch_add_explicit(&loop->done, done, memory_order_relaxed); /* read after the wait */
    return error;
}

static void divide(struct loop *loop, int workers)
{
    size_t n = loop->end - loop->begin;

    if (loop->grain == 0)
        loop->grain = n / PIECES_PER_WORKER / (size_t)workers;
    if (loop->grain == 0)
        loop->grain = 1;
    loop->pieces = (n - 1) / loop->grain + 1;
}

int cadre_for(struct cadre_ctx *ctx, size_t begin, size_t end, size_t grain, cadre_range_fn *fn, void *arg,
              const struct cadre_jobs_options *options)
{
    const struct cadre_jobs_options none = { 0 }, *given = options != NULL ? options : &none;
    struct loop loop = { .begin = begin, .end = end, .grain = grain, .fn = fn, .arg = arg };
    struct cadre_group g = {
        .parent = ctx, .name = given->name, .flags = CADRE_CANCEL_ON_ERROR, .stack_size = given->stack_size
    };
    int workers, result;
    size_t tasks;

    if (fn == NULL || begin > end || given->limit < 0 || given->error != NULL || given->errors != NULL || given->rest != NULL)
        return -EINVAL;
    if (begin == end)
        return 0;
    workers = given->limit > 0 ? given->limit : cadre_workers();
    if (workers < 0)
        return workers;
    divide(&loop, workers);
    tasks = loop.pieces < (size_t)workers ? loop.pieces : (size_t)workers;
    for (size_t i = 0; i < tasks && is_left(&loop); i++)
        if (cadre_go(&g, run, &loop) != 0)
            break; /* the loop has ended, or this has ended it */
    result = cadre_wait(&g);
    /* A task that never ran, or came too late, is no loss when the others have done everything. */
    return atomic_load_explicit(&loop.done, memory_order_relaxed) == loop.pieces ? 0 : result;
}
