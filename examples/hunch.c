/* SPDX-License-Identifier: MIT
 * hunch: counts the lines of files, in the ways in which several results can be waited for.
 *
 *     hunch all FILE...         all of them, in the order given; the first that cannot be read ends it
 *     hunch take N FILE...      the first N that are ready, as they come; the others are cancelled
 *     hunch last N FILE...      the last N to be ready
 *     hunch waterfall FILE      its lines, sorted and each once, by steps that go on with what the one before left
 *     hunch retry N FILE        waits for the file: N tries, a tenth of a second apart
 *
 * Results stay in the caller's memory, and the order in which they came is told by indexes. All of it happens in a task, so
 * that the message of whatever fails becomes the group's. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cadre.h"

#define MAX_FILES 1024

struct count {
    char *path;
    size_t lines;
};

/* A job. */
static int count_lines(struct cadre_ctx *ctx, void *arg)
{
    struct count *count = arg;
    FILE *file = fopen(count->path, "re");
    char buffer[16384];
    size_t n;
    int status = file == NULL ? -errno : 0;

    count->lines = 0;
    while (status == 0 && (n = fread(buffer, 1, sizeof buffer, file)) > 0) {
        for (size_t i = 0; i < n; i++)
            count->lines += buffer[i] == '\n';
        status = cadre_ctx_error(ctx);
    }
    if (file != NULL && ferror(file))
        status = -errno;
    if (file != NULL)
        fclose(file);
    return status == 0 ? 0 : cadre_fail(ctx, status, "%s: %s", count->path, cadre_strerror(status));
}

/* ------------------------------------------------------------------------------------- the steps of the waterfall -- */

struct text {
    char *path, *text, **lines;
    size_t size, count;
};

static int read_text(struct cadre_ctx *ctx, void *value)
{
    struct text *text = value;
    FILE *file = fopen(text->path, "re");
    int status = 0;

    text->text = calloc(1, text->size = 1); /* an empty file leaves it as it is */
    if (text->text == NULL)
        status = -ENOMEM;
    else if (file == NULL || (getdelim(&text->text, &text->size, '\0', file) < 0 && !feof(file)))
        status = -errno;
    if (file != NULL)
        fclose(file);
    return status == 0 ? 0 : cadre_fail(ctx, status, "%s: %s", text->path, cadre_strerror(status));
}

static int split_text(struct cadre_ctx *ctx, void *value)
{
    struct text *text = value;
    size_t n = 1;
    char *rest = text->text;

    (void)ctx;
    for (const char *at = rest; *at != '\0'; at++)
        n += *at == '\n';
    text->lines = calloc(n, sizeof *text->lines);
    while (text->lines != NULL && rest != NULL && *rest != '\0')
        text->lines[text->count++] = strsep(&rest, "\n");
    return text->lines == NULL ? -ENOMEM : 0;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int sort_lines(struct cadre_ctx *ctx, void *value)
{
    struct text *text = value;

    (void)ctx;
    qsort(text->lines, text->count, sizeof *text->lines, by_text);
    return 0;
}

static int print_each_once(struct cadre_ctx *ctx, void *value)
{
    struct text *text = value;

    (void)ctx;
    for (size_t i = 0; i < text->count; i++)
        if (i == 0 || strcmp(text->lines[i - 1], text->lines[i]) != 0)
            puts(text->lines[i]);
    return 0;
}

static int waterfall(struct cadre_ctx *ctx, char *path)
{
    struct cadre_job steps[] = { { .fn = read_text }, { .fn = split_text }, { .fn = sort_lines }, { .fn = print_each_once } };
    struct text text = { .path = path };
    int code = cadre_waterfall(ctx, steps, sizeof steps / sizeof *steps, &text);

    free(text.lines);
    free(text.text);
    return code;
}

/* ---------------------------------------------------------------------------------------------------- the program -- */

struct arguments {
    struct cadre_jobs_options options;
    const char *mode;
    size_t number; /* N; SIZE_MAX when the mode takes none */
    char **files;
    size_t count;
};

/* The task in which everything happens. */
static int work(struct cadre_ctx *ctx, void *arg)
{
    static struct count counts[MAX_FILES];
    static struct cadre_job jobs[MAX_FILES];
    static size_t order[MAX_FILES];
    const struct arguments *a = arg;
    const struct cadre_retry_options often = { .attempts = (uint32_t)a->number, .delay = CADRE_MS(100) };
    size_t results = a->number < a->count ? a->number : a->count;
    int code;

    for (size_t i = 0; i < a->count; i++) {
        counts[i].path = a->files[i];
        jobs[i] = (struct cadre_job){ .fn = count_lines, .arg = &counts[i] };
        order[i] = i;
    }
    if (strcmp(a->mode, "waterfall") == 0)
        return waterfall(ctx, a->files[0]);
    if (strcmp(a->mode, "retry") == 0)
        code = cadre_retry(ctx, &often, count_lines, &counts[0], NULL);
    else if (strcmp(a->mode, "take") == 0)
        code = cadre_take(ctx, jobs, a->count, a->number, &a->options, order);
    else if (strcmp(a->mode, "last") == 0)
        code = cadre_last(ctx, jobs, a->count, a->number, &a->options, order);
    else
        code = cadre_all(ctx, jobs, a->count, &a->options);
    for (size_t i = 0; code == 0 && i < results; i++)
        printf("%zu %s\n", counts[order[i]].lines, counts[order[i]].path);
    return code;
}

static void parse_words(struct argp_state *state, struct arguments *a, char **words, size_t n)
{
    static const struct {
        const char *name;
        size_t before; /* words before the first file */
        size_t files;  /* at most */
    } modes[] = {
        { "all", 1, MAX_FILES }, { "take", 2, MAX_FILES }, { "last", 2, MAX_FILES }, { "waterfall", 1, 1 }, { "retry", 2, 1 }
    };
    size_t i = 0;
    char *end;

    while (i < sizeof modes / sizeof *modes && strcmp(modes[i].name, words[0]) != 0)
        i++;
    if (i == sizeof modes / sizeof *modes)
        argp_error(state, "%s: not one of all, take, last, waterfall, retry", words[0]);
    if (n <= modes[i].before || n - modes[i].before > modes[i].files)
        argp_error(state, "%s: %s", words[0], n <= modes[i].before ? "something is missing" : "too many files");
    a->number = modes[i].before == 1 ? SIZE_MAX : strtoul(words[1], &end, 10);
    if (modes[i].before == 2 && (end == words[1] || *end != '\0' || a->number < 1 || a->number > 1000000))
        argp_error(state, "%s: not a number from 1 to 1000000", words[1]);
    a->mode = words[0];
    a->files = words + modes[i].before;
    a->count = n - modes[i].before;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *a = state->input;
    char *end;
    long n;

    if (key == 'j') {
        n = strtol(text, &end, 10);
        if (end == text || *end != '\0' || n < 1 || n > MAX_FILES)
            argp_error(state, "%s: not a number from 1 to %d", text, MAX_FILES);
        a->options.limit = (int)n;
    } else if (key == ARGP_KEY_ARGS) {
        parse_words(state, a, state->argv + state->next, (size_t)(state->argc - state->next));
    } else if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "nothing to do given");
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "jobs", 'j', "LIMIT", 0, "Read so many files at a time (all of them)", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "all FILE...\ntake N FILE...\nlast N FILE...\nwaterfall FILE\nretry N FILE",
    .doc = "Count the lines of files: of all, of the N that are first or last to be ready; print a file's lines, sorted and "
           "each once; wait for a file.",
};

int main(int argc, char **argv)
{
    struct arguments arguments = { 0 };
    struct cadre_group g = { 0 };

    argp_parse(&parser, argc, argv, 0, NULL, &arguments);
    cadre_go(&g, work, &arguments);
    if (cadre_wait(&g) != 0)
        fprintf(stderr, "hunch: %s\n", cadre_group_error(&g).message);
    return fclose(stdout) == 0 && cadre_group_error(&g).code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
