/* SPDX-License-Identifier: MIT
 * Ten thousand things to do within a tenth of a second: ten thousand records in one heap, and no more threads than before. */
#include <stdatomic.h>
#include <stdio.h>

#include "cadre.h"

static atomic_int done, early;

static int remember(struct cadre_ctx *ctx, void *arg)
{
    cadre_time due = *(const cadre_time *)arg;

    (void)ctx;
    atomic_fetch_add(&done, 1);
    atomic_fetch_add(&early, cadre_now() < due);
    return 0;
}

int main(void)
{
    static cadre_time due[10000];
    struct cadre_group g = { 0 };
    cadre_time begin = cadre_now();

    for (int i = 0; i < 10000; i++) {
        due[i] = begin + CADRE_US(i * 7919 % 100000); /* all mixed up */
        cadre_go_at(&g, due[i], remember, &due[i], NULL);
    }
    cadre_wait(&g);
    printf("%d done, %d of them too early\n", done, early);
    return 0;
}
