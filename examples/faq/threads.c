/* SPDX-License-Identifier: MIT
 * A thousand jobs, four at a time, one of which fails: what is left to do for whoever starts them. */
#include <stdatomic.h>
#include <stdio.h>

#include "cadre.h"

static atomic_int ran, dropped;

static int work(struct cadre_ctx *ctx, void *arg)
{
    int number = *(const int *)arg;

    atomic_fetch_add(&ran, 1);
    return number == 500 ? cadre_fail(ctx, -EIO, "job %d: the disk is on fire", number) : 0;
}

static void drop(void *arg)
{
    (void)arg;
    atomic_fetch_add(&dropped, 1);
}

int main(void)
{
    struct cadre_group g = { .limit = 4, .queue = CADRE_UNBOUNDED, .flags = CADRE_CANCEL_ON_ERROR, .drop = drop };

    for (int i = 0; i < 1000; i++)
        cadre_go_copy(&g, work, &i, sizeof i);
    if (cadre_wait(&g) != 0)
        printf("%s\n", cadre_group_error(&g).message);
    printf("run or dropped: %d of 1000\n", ran + dropped);
    return 0;
}
