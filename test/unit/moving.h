/* SPDX-License-Identifier: MIT
 * Making a task move to another thread: it blocks, and whoever runs next on its thread wakes it and computes until it has gone
 * on. With two workers or more, that can only be elsewhere. Include after test.h and cadre.h. */
#ifndef CADRE_TEST_MOVING_H
#define CADRE_TEST_MOVING_H

#include <errno.h>

#include "until.h"

struct move {
    struct cadre_chan wake;
    unsigned from, to; /* threads */
    unsigned resumed;
};

/* The task that keeps the mover's thread busy. Where it runs on another thread there is nothing to force. */
static int move_keeps_busy(struct cadre_ctx *ctx, void *arg)
{
    struct move *move = arg;

    errno = EXDEV; /* what a task left behind that did not save it */
    test_check(cadre_send(ctx, &move->wake, NULL) == 0);
    if (thread_id() == move->from)
        spin_until(&move->resumed, 1);
    errno = EXDEV;
    return 0;
}

/* Block the running task once. True when it went on on another thread than before; errno survives. */
__attribute__((unused)) static int move_once(struct cadre_ctx *ctx)
{
    struct cadre_group g = { .parent = ctx };
    struct move move = { .from = thread_id() };
    int moved;

    test_check(cadre_go(&g, move_keeps_busy, &move) == 0);
    test_check(cadre_recv(ctx, &move.wake, NULL) == 0);
    move.to = thread_id();
    set(&move.resumed, 1);
    moved = move.to != move.from;
    test_check(cadre_wait(&g) == 0);
    return moved;
}

/* A task that blocks over and over and counts in *arg how often it moved. */
__attribute__((unused)) static int moves(struct cadre_ctx *ctx, void *arg)
{
    for (int i = 0; i < 20; i++)
        if (move_once(ctx))
            count(arg);
    return 0;
}

/* Run fn, which counts its moves in *arg, until there were some; how many. */
__attribute__((unused)) static unsigned run_until_moved(cadre_fn *fn)
{
    cadre_time end = cadre_in(TEST_BOUND);
    unsigned moved = 0;

    while (get(&moved) < 20 && cadre_now() < end) {
        struct cadre_group g = { 0 };

        cadre_go(&g, fn, &moved);
        test_check(cadre_wait(&g) == 0);
    }
    return get(&moved);
}

#endif
