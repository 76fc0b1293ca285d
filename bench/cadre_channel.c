/* SPDX-License-Identifier: MIT
 *
 * channel_1to1 and channel_4to4: a million numbers through a channel of 64 slots, from one or four senders to as many
 * receivers, per item. The question is the program's argument.
 */
#include <cadre.h>
#include <string.h>

#include "bench.h"

#define SLOTS 64
#define MOST 4

static long items;

struct end {
    struct cadre_chan *chan;
    long first, last, sum;
};

static int sender(struct cadre_ctx *ctx, void *arg)
{
    struct end *end = arg;
    int rc = 0;

    for (long i = end->first; i < end->last && rc == 0; i++)
        rc = cadre_send(ctx, end->chan, &i);
    return rc;
}

static int receiver(struct cadre_ctx *ctx, void *arg)
{
    struct end *end = arg;
    long item, sum = 0;
    int rc;

    while ((rc = cadre_recv(ctx, end->chan, &item)) == 0)
        sum += item;
    end->sum = sum;
    return rc == -EPIPE ? 0 : rc;
}

static void run(const void *arg)
{
    const int width = *(const int *)arg;
    long slots[SLOTS], sum = 0;
    struct cadre_chan chan = {.size = sizeof *slots, .capacity = SLOTS, .slots = slots};
    struct cadre_group senders = {0}, receivers = {0};
    struct end from[MOST], to[MOST];

    for (int i = 0; i < width; i++) {
        from[i] = (struct end){.chan = &chan, .first = items / width * i, .last = items / width * (i + 1)};
        to[i] = (struct end){.chan = &chan};
        cadre_go(&senders, sender, &from[i]);
        cadre_go(&receivers, receiver, &to[i]);
    }
    bench_require(cadre_wait(&senders) == 0, "senders");
    cadre_chan_close(&chan);
    bench_require(cadre_wait(&receivers) == 0, "receivers");
    for (int i = 0; i < width; i++)
        sum += to[i].sum;
    bench_require(sum == items * (items - 1) / 2, "the sum of the items");
}

int main(int argc, char **argv)
{
    int width = argc > 1 && strcmp(argv[1], "channel_4to4") == 0 ? MOST : 1;

    items = bench_pick(1000000, 100000);
    return bench_serve(cadre_version(), "ns/item", (double)items, run, &width);
}
