/* SPDX-License-Identifier: MIT
 * Four workers send into one channel, main receives. The channel is to be closed when the last worker has ended: a task of its
 * own waits for that, because main is busy receiving. */
#include <stdio.h>

#include "cadre.h"

static struct cadre_chan numbers = { .size = sizeof(int) }; /* no room: a send waits until main receives */

static int work(struct cadre_ctx *ctx, void *arg)
{
    int first = *(const int *)arg, code = 0;

    for (int i = first; i < first + 25 && code == 0; i++)
        code = cadre_send(ctx, &numbers, &i);
    return code;
}

static int close_after(struct cadre_ctx *ctx, void *workers)
{
    int code = cadre_wait(workers);

    (void)ctx;
    cadre_chan_close(&numbers);
    return code;
}

int main(void)
{
    struct cadre_group workers = { .flags = CADRE_CANCEL_ON_ERROR }, closer = { 0 };
    int number, sum = 0, code;

    for (int first = 0; first < 100; first += 25)
        cadre_go_copy(&workers, work, &first, sizeof first);
    cadre_go(&closer, close_after, &workers); /* cadre_wait(&workers) here instead would wait for ever */
    while ((code = cadre_recv(NULL, &numbers, &number)) == 0)
        sum += number;
    printf("sum %d, then: %s\n", sum, cadre_strerror(code));
    return cadre_wait(&closer);
}
