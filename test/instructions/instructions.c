/* SPDX-License-Identifier: MIT
 * What scripts/check-instructions counts: the hottest paths, each in two sizes, so that what a run costs once drops out.
 *
 * Runs under callgrind, with one worker: all that is counted happens in one task and those that it starts, on that worker's thread;
 * main sleeps in libc and cannot help. */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

#include "cadre.h"

static void require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "instructions: wrong result: %s\n", what);
    exit(1);
}

/* ----------------------------------------------------------------------------------------------------- the paths -- */

struct call {
    int n;
    long result;
};

static int fib_task(struct cadre_ctx *ctx, void *arg)
{
    struct call *call = arg, first = { .n = call->n - 1 }, second = { .n = call->n - 2 };
    struct cadre_group g = { 0 };

    call->result = call->n;
    if (call->n < 2)
        return 0;
    cadre_go(&g, fib_task, &first);
    fib_task(ctx, &second);
    require(cadre_wait(&g) == 0, "cadre_wait");
    call->result = first.result + second.result;
    return 0;
}

/* A task started and waited for, never stolen, never suspended. There is a spawn for each call with n >= 2: one less than the next
 * Fibonacci number. */
static long spawn_and_wait(int n)
{
    struct call root = { .n = n };
    long this = 0, next = 1, sum;

    for (int i = 0; i < n; i++) {
        sum = this + next;
        this = next;
        next = sum;
    }
    fib_task(NULL, &root);
    require(root.result == this, "fib");
    return next - 1;
}

static int tick(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    ++*(long *)arg;
    return 0;
}

/* Ten tasks and a wait. */
static long small_group(int n)
{
    long ticks = 0;

    for (int i = 0; i < n; i++) {
        struct cadre_group g = { 0 };

        for (int k = 0; k < 10; k++)
            cadre_go(&g, tick, &ticks);
        require(cadre_wait(&g) == 0, "cadre_wait");
    }
    require(ticks == 10L * n, "tasks that ran");
    return n;
}

struct table {
    struct cadre_chan ping, pong;
    int rounds;
};

static int serve(struct cadre_ctx *ctx, void *arg)
{
    struct table *t = arg;
    long ball = 0;
    int rc = 0;

    for (int i = 0; i < t->rounds && rc == 0; i++) {
        rc = cadre_send(ctx, &t->ping, &ball);
        if (rc == 0)
            rc = cadre_recv(ctx, &t->pong, &ball);
    }
    return ball == t->rounds ? rc : -EIO;
}

static int answer(struct cadre_ctx *ctx, void *arg)
{
    struct table *t = arg;
    long ball;
    int rc = 0;

    for (int i = 0; i < t->rounds && rc == 0; i++) {
        rc = cadre_recv(ctx, &t->ping, &ball);
        ball++;
        if (rc == 0)
            rc = cadre_send(ctx, &t->pong, &ball);
    }
    return rc;
}

/* A round trip between two tasks: both are suspended and resumed. */
static long suspend_and_resume(int n)
{
    struct table t = { .ping = { .size = sizeof(long) }, .pong = { .size = sizeof(long) }, .rounds = n };
    struct cadre_group g = { 0 };

    cadre_go(&g, serve, &t);
    cadre_go(&g, answer, &t);
    require(cadre_wait(&g) == 0, "the ball");
    return n;
}

/* A send and a receive that find room and an item. */
static long buffered_channel(int n)
{
    long slots[64], item, sum = 0;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 64, .slots = slots };

    for (long i = 0; i < n; i++) {
        require(cadre_send(NULL, &c, &i) == 0 && cadre_recv(NULL, &c, &item) == 0, "an item");
        sum += item;
    }
    require(sum == (long)n * (n - 1) / 2, "the sum of the items");
    return n;
}

/* A start in a group with eight slots: mostly a wait for one of them. */
static long limit_8(int n)
{
    struct cadre_group g = { .limit = 8 };
    long ticks = 0;

    for (int i = 0; i < n; i++)
        cadre_go(&g, tick, &ticks);
    require(cadre_wait(&g) == 0 && ticks == n, "tasks that ran");
    return n;
}

static const struct path {
    const char *name;
    long (*run)(int n); /* returns how many operations it was */
    int small, large;
} paths[] = {
    { "spawn_and_wait", spawn_and_wait, 15, 19 },
    { "small_group", small_group, 300, 1500 },
    { "suspend_and_resume", suspend_and_resume, 1000, 5000 },
    { "buffered_channel", buffered_channel, 2000, 10000 },
    { "limit_8", limit_8, 2000, 10000 },
};

/* --------------------------------------------------------------------------------------------------- the counting -- */

/* One dump of callgrind's, titled "NAME OPERATIONS". */
static void count(const struct path *path, int n)
{
    char title[64];
    long operations;

    CALLGRIND_ZERO_STATS;
    CALLGRIND_TOGGLE_COLLECT; /* of this thread */
    operations = path->run(n);
    CALLGRIND_TOGGLE_COLLECT;
    snprintf(title, sizeof title, "%s %ld", path->name, operations);
    CALLGRIND_DUMP_STATS_AT(title);
}

static int count_all(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    for (const struct path *path = paths; path < paths + sizeof paths / sizeof *paths; path++) {
        path->run(path->small); /* stacks and queues are there, and warm */
        count(path, path->small);
        count(path, path->large);
    }
    require(sem_post(arg) == 0, "sem_post");
    return 0;
}

int main(void)
{
    struct cadre_group g = { 0 };
    sem_t done;

    require(sem_init(&done, 0, 0) == 0, "sem_init");
    cadre_go(&g, count_all, &done);
    while (sem_wait(&done) != 0)
        ;
    require(cadre_wait(&g) == 0, "cadre_wait");
    return 0;
}
