/* SPDX-License-Identifier: MIT
 * all_errors: checks whether files are valid UTF-8 and names every one that is not, in the order in which they were given.
 *
 * The group gets an array with room for an error of each task and fills it as errors happen; the index in each of them says
 * which task it was. Nothing is cancelled: one bad file is no reason not to look at the next. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "cadre.h"

/* Read all of file. Returns the number of the first line that is wrong, 0 when there is none. */
static size_t first_bad_line(FILE *file)
{
    char buffer[16384];
    mbstate_t state = { 0 };
    size_t line = 1, n, length;

    while ((n = fread(buffer, 1, sizeof buffer, file)) > 0)
        for (size_t i = 0; i < n; i += length) {
            length = mbrlen(buffer + i, n - i, &state);
            if (length == (size_t)-1)
                return line;
            if (length == (size_t)-2) /* goes on in the next buffer */
                break;
            if (length == 0) /* a NUL */
                length = 1;
            line += buffer[i] == '\n';
        }
    return mbsinit(&state) ? 0 : line;
}

static int check(struct cadre_ctx *ctx, void *arg)
{
    const char *path = arg;
    FILE *file = fopen(path, "re");
    size_t line;
    int status = 0;

    if (file == NULL)
        return cadre_fail(ctx, -errno, "%s: %s", path, cadre_strerror(-errno));
    line = first_bad_line(file);
    if (ferror(file))
        status = cadre_fail(ctx, -EIO, "%s: cannot be read", path);
    else if (line != 0)
        status = cadre_fail(ctx, -EILSEQ, "%s:%zu: not UTF-8", path, line);
    fclose(file);
    return status;
}

static int by_index(const void *a, const void *b)
{
    const struct cadre_error *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

int main(int argc, char **argv)
{
    struct cadre_group g = { .name = "check", .limit = 64 };
    size_t count;

    if (argc < 2) {
        fputs("Usage: all_errors FILE...\n", stderr);
        return 64;
    }
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL) {
        fputs("all_errors: there is no locale C.UTF-8\n", stderr);
        return EXIT_FAILURE;
    }
    g.max_errors = (size_t)argc - 1;
    g.errors = calloc(g.max_errors, sizeof *g.errors);
    if (g.errors == NULL) {
        perror("all_errors");
        return EXIT_FAILURE;
    }
    for (int i = 1; i < argc; i++)
        cadre_go(&g, check, argv[i]);
    cadre_wait(&g);

    count = cadre_group_error_count(&g);
    qsort(g.errors, count, sizeof *g.errors, by_index);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "all_errors: file %u: %s\n", g.errors[i].index + 1, g.errors[i].message);
    printf("%zu of %d files are valid\n", g.max_errors - count, argc - 1);
    free(g.errors);
    return count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
