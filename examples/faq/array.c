/* SPDX-License-Identifier: MIT
 * A hundred tasks write their results into one array, each into an element of its own. No lock, no race. */
#include <stdio.h>

#include "cadre.h"

struct result {
    int number, square, error;
};

static int compute(struct cadre_ctx *ctx, void *arg)
{
    struct result *mine = arg;

    (void)ctx;
    mine->square = mine->number * mine->number;
    mine->error = mine->number % 10 == 9 ? -ERANGE : 0;
    return mine->error;
}

int main(void)
{
    static struct result results[100];
    struct cadre_group g = { 0 };
    int sum = 0, errors = 0;

    for (int i = 0; i < 100; i++) {
        results[i].number = i;
        cadre_go(&g, compute, &results[i]);
    }
    cadre_wait(&g); /* whatever a task wrote is seen after this */
    for (int i = 0; i < 100; i++) {
        sum += results[i].square;
        errors += results[i].error != 0;
    }
    printf("sum %d, %d errors; the group counted %zu\n", sum, errors, cadre_group_error_count(&g));
    return 0;
}
