/* SPDX-License-Identifier: MIT
 * A program from outside, in C11: it sees nothing of Cadre but what was installed. */
#include <cadre.h>
#include <stdio.h>
#include <string.h>

static int square(struct cadre_ctx *ctx, void *arg)
{
    int *n = arg;

    if (*n == 7)
        return cadre_fail(ctx, -EDOM, "%d is not for squaring", *n);
    *n *= *n;
    return 0;
}

int main(void)
{
    int numbers[] = { 1, 2, 3, 7 };
    struct cadre_group g = { .name = "squares", .limit = 2 };
    struct cadre_error error;

    for (int i = 0; i < 4; i++)
        cadre_go(&g, square, &numbers[i]);
    if (cadre_wait(&g) != -EDOM || numbers[2] != 9)
        return 1;
    error = cadre_group_error(&g);
    printf("%s: %s\n", cadre_version(), error.message);
    return strcmp(error.message, "7 is not for squaring") == 0 ? 0 : 1;
}
