/* SPDX-License-Identifier: MIT
 * worker_queue: counts the lines of the files whose names come in on standard input, as `xargs wc -l` does.
 *
 * So many files at a time (-j), so many more that wait (-q): only when both are used up does cadre_go wait, and with it the
 * reading. A list without end therefore takes no more memory than a short one. The first file that cannot be read cancels
 * the group; names that were accepted and not looked at go to free, and the next cadre_go says that it is over. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cadre.h"

/* The task owns its name. */
static int count_lines(struct cadre_ctx *ctx, void *arg)
{
    char *name = arg, buffer[16384];
    size_t lines = 0, n;
    FILE *file = fopen(name, "re");
    int status = file == NULL ? -errno : 0;

    while (status == 0 && (n = fread(buffer, 1, sizeof buffer, file)) > 0) {
        for (const char *at = buffer; (at = memchr(at, '\n', n - (size_t)(at - buffer))) != NULL; at++)
            lines++;
        status = cadre_ctx_error(ctx);
    }
    if (file != NULL && ferror(file))
        status = -errno;
    if (file != NULL)
        fclose(file);
    if (status == 0)
        printf("%zu %s\n", lines, name);
    else
        cadre_fail(ctx, status, "%s: %s", name, cadre_strerror(status));
    free(name);
    return status;
}

/* Start a task for each line, until there are no more or the group has ended. Returns 0 or a negative errno value. */
static int read_names(struct cadre_group *g)
{
    char *line = NULL, *name;
    size_t room = 0;
    ssize_t n;
    int status = 0;

    while (status == 0 && (n = getline(&line, &room, stdin)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        name = strdup(line);
        if (name == NULL)
            status = -ENOMEM;
        else if (cadre_go(g, count_lines, name) != 0)
            break;
    }
    if (ferror(stdin))
        status = -errno;
    free(line);
    return status;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct cadre_group *g = state->input;
    char *end;
    long n;

    if (key != 'j' && key != 'q')
        return ARGP_ERR_UNKNOWN;
    n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < (key == 'j') || n > 1000000)
        argp_error(state, "%s: not a number from %d to 1000000", text, key == 'j');
    *(key == 'j' ? &g->limit : &g->queue) = (int)n;
    return 0;
}

static const struct argp_option options[] = {
    { "jobs", 'j', "N", 0, "Read N files at a time (8)", 0 },
    { "queue", 'q', "N", 0, "Let N more wait before reading further names (64)", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .doc = "Count the lines of the files that are named on standard input, one in each line.",
};

int main(int argc, char **argv)
{
    struct cadre_group g = { .limit = 8, .queue = 64, .flags = CADRE_CANCEL_ON_ERROR, .drop = free };
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &g);
    status = read_names(&g);
    if (status != 0)
        cadre_group_cancel(&g, status, "standard input cannot be read");
    if (cadre_wait(&g) != 0)
        fprintf(stderr, "worker_queue: %s\n", cadre_group_error(&g).message);
    if (ferror(stdout) || fclose(stdout) != 0) {
        perror("worker_queue: standard output");
        return EXIT_FAILURE;
    }
    return cadre_group_error(&g).code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
