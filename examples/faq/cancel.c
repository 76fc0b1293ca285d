/* SPDX-License-Identifier: MIT
 * What a cancel does to a task that sleeps, to one that looks, to one that does not, and to two that have not started. */
#include <stdatomic.h>
#include <stdio.h>

#include "cadre.h"

static const char *ends[5];
static atomic_int begun, finished;

static int sleeps(struct cadre_ctx *ctx, void *end)
{
    int code;

    atomic_fetch_add(&begun, 1);
    code = cadre_sleep(ctx, CADRE_SEC(3600));
    *(const char **)end = code == -ECANCELED ? "was woken" : "slept for an hour";
    return code;
}

static int looks(struct cadre_ctx *ctx, void *end)
{
    atomic_fetch_add(&begun, 1);
    while (cadre_ctx_error(ctx) == 0)
        cadre_yield(); /* or a piece of work */
    *(const char **)end = "looked and left";
    return cadre_ctx_error(ctx);
}

static int does_not_look(struct cadre_ctx *ctx, void *end)
{
    (void)ctx;
    atomic_fetch_add(&begun, 1);
    while (!atomic_load(&finished))
        cadre_yield();
    *(const char **)end = "went on until it had finished";
    return 0;
}

static void drop(void *end) { *(const char **)end = "never ran"; }

int main(void)
{
    struct cadre_group g = { .limit = 3, .queue = CADRE_UNBOUNDED, .drop = drop };
    cadre_fn *const tasks[] = { sleeps, looks, does_not_look, sleeps, sleeps };

    for (int i = 0; i < 5; i++)
        cadre_go(&g, tasks[i], &ends[i]);
    while (atomic_load(&begun) < 3)
        cadre_sleep(NULL, CADRE_MS(1));
    cadre_group_cancel(&g, -ECANCELED, "enough");
    atomic_store(&finished, 1); /* only now does_not_look comes to its end */
    cadre_wait(&g);
    for (int i = 0; i < 5; i++)
        printf("task %d %s\n", i, ends[i]);
    return 0;
}
