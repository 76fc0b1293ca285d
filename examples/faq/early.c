/* SPDX-License-Identifier: MIT
 * A worker of a pipeline gives up. The producer, who would send for ever, ends all the same, and so do the other workers; what
 * nobody received is destroyed. */
#include <stdatomic.h>
#include <stdio.h>

#include "cadre.h"

static int sent;
static atomic_int received, destroyed;

static int produce(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    int code;

    (void)in, (void)arg;
    while ((code = cadre_send(ctx, out, &sent)) == 0)
        sent++;
    return code;
}

static int work(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    int item, code;

    (void)out, (void)arg;
    while ((code = cadre_recv(ctx, in, &item)) == 0) {
        atomic_fetch_add(&received, 1);
        if (item == 1000)
            return cadre_fail(ctx, -EDOM, "item %d cannot be worked on", item);
    }
    return code == -EPIPE ? 0 : code;
}

static void destroy(void *item)
{
    (void)item;
    atomic_fetch_add(&destroyed, 1);
}

/* In a task, so that the pipeline's error keeps its message. */
static int run(struct cadre_ctx *ctx, void *arg)
{
    int slots[16];
    struct cadre_chan items = { .size = sizeof *slots, .capacity = 16, .slots = slots, .destroy = destroy };
    const struct cadre_stage stages[] = {
        { .fn = produce, .out = &items },
        { .fn = work, .tasks = 4 },
    };

    (void)arg;
    return cadre_pipeline(ctx, stages, 2);
}

int main(void)
{
    struct cadre_group g = { 0 };

    cadre_go(&g, run, NULL);
    cadre_wait(&g);
    printf("%s\n", cadre_group_error(&g).message);
    printf("received or destroyed: %s\n", sent == received + destroyed ? "all that was sent" : "something is missing");
    return 0;
}
