/* SPDX-License-Identifier: MIT
 * fetch_easy: fetches URLs with libcurl's easy interface, whose calls block: a task for each URL, a few of them at a time.
 *
 *     $ fetch_easy -j 4 http://127.0.0.1/{small,large,missing}
 *     200         1024    0.003 s  http://127.0.0.1/small
 *     200     10485760    0.021 s  http://127.0.0.1/large
 *     fetch_easy: http://127.0.0.1/missing: The requested URL returned error: 404
 *
 * Without URLs they come from standard input, one a line. SIGINT ends all, as does the time limit, and with -f the first failure.
 *
 * cadre_block runs a transfer on a thread set aside for calls that block. When the context ends the task goes on at once, and
 * the transfer is told through `ended`, which libcurl calls about once a second; nothing returns before the transfer has.
 * fetch_multi does the same with all transfers on a single thread. */
#include <argp.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cadre.h"

struct program {
    char **urls;
    struct cadre_job *jobs;     /* of each URL; code: 0, what libcurl said (> 0), or why it was not fetched (< 0) */
    struct cadre_error *errors; /* of each URL */
    size_t count;
    int parallel;
    bool fail_fast;
    double seconds; /* 0: no limit */
};

/* -------------------------------------------------------------------------------------------------- the transfers -- */

static size_t discard(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

static int ended(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    (void)total, (void)now, (void)up_total, (void)up_now;
    return cadre_ctx_error(ctx) != 0;
}

static void print_figures(CURL *easy, const char *url)
{
    long code = 0;
    curl_off_t size = 0, us = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &size);
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &us);
    printf("%3ld %12lld %8.3f s  %s\n", code, (long long)size, (double)us / 1e6, url);
}

/* On a thread of its own. ctx ends when the task's does. */
static int perform(struct cadre_ctx *ctx, void *url)
{
    char reason[CURL_ERROR_SIZE] = "";
    CURL *easy = curl_easy_init();
    CURLcode result;

    if (easy == NULL)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, ended);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, ctx);
    result = curl_easy_perform(easy);
    if (result == CURLE_OK)
        print_figures(easy, url);
    curl_easy_cleanup(easy);
    if (result == CURLE_ABORTED_BY_CALLBACK)
        return cadre_ctx_error(ctx);
    if (result != CURLE_OK)
        return cadre_fail(ctx, (int)result, "%s: %s", (char *)url, reason[0] != '\0' ? reason : curl_easy_strerror(result));
    return 0;
}

static int fetch(struct cadre_ctx *ctx, void *url) { return cadre_block(ctx, perform, url); }

/* All of them: 0 also when some failed, which their errors tell. */
static int fetch_all(struct cadre_ctx *ctx, void *arg)
{
    struct program *program = arg;
    struct cadre_jobs_options options = { .limit = program->parallel, .errors = program->errors };
    int code;

    for (size_t i = 0; i < program->count; i++)
        program->jobs[i] = (struct cadre_job){ .fn = fetch, .arg = program->urls[i], .code = -ECANCELED };
    code = (program->fail_fast ? cadre_all : cadre_settle)(ctx, program->jobs, program->count, &options);
    return code < 0 ? code : 0;
}

/* ---------------------------------------------------------------------------------------------------- the program -- */

/* Fails when a signal comes. A second one ends the program there and then. */
static int interrupted(struct cadre_ctx *ctx, void *arg)
{
    sigset_t set;
    int number;

    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    number = cadre_wait_signal(ctx, &set);
    if (number < 0)
        return number;
    signal(SIGINT, SIG_DFL);
    return cadre_fail(ctx, -EINTR, "Interrupted");
}

/* Returns the exit status. */
static int report(const struct program *program, const struct cadre_error *error)
{
    size_t left = 0, failed = 0;

    for (size_t i = 0; i < program->count; i++) {
        left += program->jobs[i].code < 0;
        failed += program->jobs[i].code > 0;
        if (program->jobs[i].code > 0)
            fprintf(stderr, "fetch_easy: %s\n", program->errors[i].message);
    }
    if (left > 0)
        fprintf(stderr, "fetch_easy: %s: %zu of %zu not fetched\n",
                error->code != 0 ? error->message : "Stopped at the first failure", left, program->count);
    if (error->code == -EINTR)
        return 128 + SIGINT;
    return left + failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What ends first, the transfers or one's patience, ends the other. Returns the exit status. */
static int run(struct program *program)
{
    struct cadre_ctx limit = { .deadline = program->seconds > 0 ? cadre_in((cadre_time)(program->seconds * 1e9)) : 0 };
    struct cadre_job jobs[] = { { .fn = fetch_all, .arg = program }, { .fn = interrupted } };
    struct cadre_error error = { 0 };
    struct cadre_jobs_options options = { .error = &error };

    program->jobs = calloc(program->count, sizeof *program->jobs);
    program->errors = calloc(program->count, sizeof *program->errors);
    if (program->jobs == NULL || program->errors == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        fputs("fetch_easy: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    cadre_take(&limit, jobs, 2, 1, &options, NULL);
    curl_global_cleanup();
    return report(program, &error);
}

static void add_url(struct program *program, const char *url, size_t length, struct argp_state *state)
{
    char **urls = reallocarray(program->urls, program->count + 1, sizeof *urls);

    if (urls == NULL || (urls[program->count] = strndup(url, length)) == NULL)
        argp_failure(state, EXIT_FAILURE, errno, "reading URLs");
    program->urls = urls;
    program->count++;
}

static void read_urls(struct program *program, struct argp_state *state)
{
    char *line = NULL;
    size_t room = 0, length;

    while (getline(&line, &room, stdin) >= 0)
        if ((length = strcspn(line, "\r\n")) > 0)
            add_url(program, line, length, state);
    free(line);
}

static double number(struct argp_state *state, const char *text, double min, double max, const char *what)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= min && value <= max))
        argp_error(state, "%s: not a number of %s", text, what);
    return value;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct program *program = state->input;

    if (key == 'j')
        program->parallel = (int)number(state, text, 1, 1024, "transfers");
    else if (key == 't')
        program->seconds = number(state, text, 1e-3, 1e6, "seconds");
    else if (key == 'f')
        program->fail_fast = true;
    else if (key == ARGP_KEY_ARG)
        add_url(program, text, strlen(text), state);
    else if (key == ARGP_KEY_NO_ARGS)
        read_urls(program, state);
    else if (key != ARGP_KEY_END)
        return ARGP_ERR_UNKNOWN;
    else if (program->count == 0)
        argp_error(state, "no URL given");
    return 0;
}

static const struct argp_option options[] = {
    { "parallel", 'j', "TRANSFERS", 0, "How many at a time (default: 8)", 0 },
    { "timeout", 't', "SECONDS", 0, "Give up what is not there by then", 0 },
    { "fail-fast", 'f', NULL, 0, "The first failure ends all", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "[URL...]",
    .doc = "Fetch URLs, or those on standard input, and print code, size and time of each.",
};

int main(int argc, char **argv)
{
    struct program program = { .parallel = 8 };
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &program);
    status = run(&program);
    for (size_t i = 0; i < program.count; i++)
        free(program.urls[i]);
    free(program.urls);
    free(program.jobs);
    free(program.errors);
    return status;
}
