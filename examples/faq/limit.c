/* SPDX-License-Identifier: MIT
 * A limit of two, three ways: what becomes of a third task while two are running. */
#include <stdio.h>

#include "cadre.h"

static struct cadre_chan gate; /* carries only its end */

static int wait_for_gate(struct cadre_ctx *ctx, void *arg)
{
    int code = cadre_recv(ctx, &gate, NULL);

    (void)arg;
    return code == -EPIPE ? 0 : code;
}

static int open_gate(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    cadre_chan_close(&gate);
    return 0;
}

int main(void)
{
    struct cadre_group refuses = { .limit = 2 }, queues = { .limit = 2, .queue = CADRE_UNBOUNDED };
    struct cadre_group waits = { .limit = 2 }, opener = { 0 };
    int accepted = 0, opened = 0;

    for (int i = 0; i < 100; i++)
        accepted += cadre_try_go(&refuses, wait_for_gate, NULL) == 0;
    printf("cadre_try_go: %d of 100 accepted\n", accepted);

    accepted = 0;
    for (int i = 0; i < 100; i++)
        accepted += cadre_go(&queues, wait_for_gate, NULL) == 0;
    printf("cadre_go with a queue: %d of 100 accepted while two wait at the gate\n", accepted);

    cadre_go_after(&opener, CADRE_MS(50), open_gate, NULL, NULL);
    accepted = 0;
    for (int i = 0; i < 100; i++) {
        accepted += cadre_go(&waits, wait_for_gate, NULL) == 0;
        if (i == 2)
            opened = cadre_try_recv(&gate, NULL) == -EPIPE;
    }
    printf("cadre_go without: %d of 100 accepted, the third %s the gate had opened\n", accepted, opened ? "after" : "before");
    cadre_wait(&opener);
    cadre_wait(&refuses);
    cadre_wait(&queues);
    cadre_wait(&waits);
    return 0;
}
