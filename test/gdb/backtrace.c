/* SPDX-License-Identifier: MIT
 * A task three calls deep, for a debugger to look at: at its first call of here() it has run only where it was started, at the
 * second one it has been suspended and resumed. */
#include "cadre.h"

static volatile int steps;

__attribute__((noinline)) void here(int round);
__attribute__((noinline)) void here(int round) { steps += round; }

/* The addition after each call keeps it from being a tail call. */
__attribute__((noinline)) static int inner(struct cadre_ctx *ctx)
{
    int rc;

    here(1);
    rc = cadre_sleep(ctx, CADRE_MS(1));
    here(2);
    return rc + steps;
}

__attribute__((noinline)) static int middle(struct cadre_ctx *ctx) { return inner(ctx) + 1; }

static int outer(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return middle(ctx) == 4 ? 0 : -EPROTO;
}

int main(void)
{
    struct cadre_group g = { .name = "backtrace" };

    cadre_go(&g, outer, NULL);
    return cadre_wait(&g) == 0 ? 0 : 1;
}
