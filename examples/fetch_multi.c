/* SPDX-License-Identifier: MIT
 * fetch_multi: fetches URLs with libcurl's multi interface: one task is the event loop of all transfers, on a single thread.
 *
 *     $ fetch_multi -j 4 http://127.0.0.1/{small,large,missing}
 *     200         1024    0.003 s  http://127.0.0.1/small
 *     200     10485760    0.021 s  http://127.0.0.1/large
 *     fetch_multi: http://127.0.0.1/missing: The requested URL returned error: 404
 *
 * Without URLs they come from standard input, one a line. SIGINT ends all, as does the time limit, and with -f the first failure.
 *
 * libcurl says what to wait for: sockets through `watch`, a time through `set_timer`. Both go, as they are, into cadre_poll,
 * which suspends the task; what it returns goes back into libcurl. While the loop waits nobody else touches what it waits for,
 * so that libcurl may close its sockets as it likes. */
#include <argp.h>
#include <curl/curl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cadre.h"

struct transfer {
    char *url;
    CURL *easy; /* while it is under way */
    CURLcode result;
    bool ended;
    char reason[CURL_ERROR_SIZE];
};

struct program {
    struct transfer *transfers;
    size_t count, begun, ended, failed, parallel;
    bool fail_fast;
    double seconds; /* 0: no limit */

    /* the loop's */
    CURLM *multi;
    struct pollfd *sockets; /* fd -1: not in use */
    size_t slots;
    cadre_time timer; /* 0: none */
};

/* ------------------------------------------------------------------------------------- what libcurl wants to know -- */

static struct pollfd *find_slot(struct program *program, int fd)
{
    for (size_t i = 0; i < program->slots; i++)
        if (program->sockets[i].fd == fd)
            return &program->sockets[i];
    return NULL;
}

static struct pollfd *new_slot(struct program *program)
{
    struct pollfd *sockets = reallocarray(program->sockets, program->slots + 1, sizeof *sockets);

    if (sockets == NULL)
        return NULL;
    program->sockets = sockets;
    return &sockets[program->slots++];
}

static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    static const short events[] = { [CURL_POLL_IN] = POLLIN, [CURL_POLL_OUT] = POLLOUT, [CURL_POLL_INOUT] = POLLIN | POLLOUT };
    struct program *program = arg;
    struct pollfd *slot = find_slot(program, fd);

    (void)easy, (void)unused;
    if (slot == NULL)
        slot = find_slot(program, -1);
    if (slot == NULL)
        slot = new_slot(program);
    if (slot == NULL)
        return -1;
    *slot = what == CURL_POLL_REMOVE ? (struct pollfd){ .fd = -1 } : (struct pollfd){ .fd = fd, .events = events[what] };
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    struct program *program = arg;

    (void)multi;
    program->timer = ms < 0 ? 0 : cadre_in(CADRE_MS(ms));
    return 0;
}

/* -------------------------------------------------------------------------------------------------- the transfers -- */

static size_t discard(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

static CURLMcode begin(struct program *program, struct transfer *transfer)
{
    CURL *easy = transfer->easy = curl_easy_init();

    if (easy == NULL)
        return CURLM_OUT_OF_MEMORY;
    curl_easy_setopt(easy, CURLOPT_URL, transfer->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->reason);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    return curl_multi_add_handle(program->multi, easy);
}

static void end(struct program *program, struct transfer *transfer)
{
    if (transfer->easy != NULL)
        curl_multi_remove_handle(program->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
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

static CURLMcode begin_some(struct program *program)
{
    CURLMcode error = CURLM_OK;

    while (error == CURLM_OK && program->begun < program->count && program->begun - program->ended < program->parallel)
        error = begin(program, &program->transfers[program->begun++]);
    return error;
}

static void end_some(struct program *program)
{
    struct transfer *transfer;
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(program->multi, &left)) != NULL) {
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        transfer->result = message->data.result;
        transfer->ended = true;
        program->ended++;
        program->failed += transfer->result != CURLE_OK;
        if (transfer->result == CURLE_OK)
            print_figures(transfer->easy, transfer->url);
        end(program, transfer);
    }
}

/* ------------------------------------------------------------------------------------------------- the event loop -- */

static int action(short events)
{
    return ((events & (POLLIN | POLLHUP)) != 0 ? CURL_CSELECT_IN : 0) | ((events & POLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
           ((events & (POLLERR | POLLNVAL)) != 0 ? CURL_CSELECT_ERR : 0);
}

/* What has happened; n sockets have events, and none means that it is time. Each call may change what is watched. */
static CURLMcode act(struct program *program, int n)
{
    CURLMcode error = CURLM_OK;
    int running;
    short events;

    if (n == 0) {
        program->timer = 0;
        return curl_multi_socket_action(program->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    for (size_t i = 0; i < program->slots && error == CURLM_OK; i++) {
        events = program->sockets[i].revents;
        program->sockets[i].revents = 0;
        if (program->sockets[i].fd >= 0 && events != 0)
            error = curl_multi_socket_action(program->multi, program->sockets[i].fd, action(events), &running);
    }
    return error;
}

/* Until all have ended, well or not, or the first has failed if that is to be the end, or ctx ends. */
static int drive(struct cadre_ctx *ctx, struct program *program)
{
    CURLMcode error;
    int n;

    while ((error = begin_some(program)) == CURLM_OK && program->ended < program->begun) {
        n = cadre_poll(ctx, program->sockets, program->slots, program->timer);
        if (n < 0)
            return n;
        error = act(program, n);
        if (error != CURLM_OK)
            break;
        end_some(program);
        if (program->fail_fast && program->failed > 0)
            return 0;
    }
    return error == CURLM_OK ? 0 : cadre_fail(ctx, -EIO, "%s", curl_multi_strerror(error));
}

static int fetch_all(struct cadre_ctx *ctx, void *arg)
{
    struct program *program = arg;
    int code;

    program->multi = curl_multi_init();
    if (program->multi == NULL)
        return -ENOMEM;
    curl_multi_setopt(program->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(program->multi, CURLMOPT_SOCKETDATA, program);
    curl_multi_setopt(program->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(program->multi, CURLMOPT_TIMERDATA, program);
    code = drive(ctx, program);
    for (size_t i = 0; i < program->begun; i++)
        end(program, &program->transfers[i]);
    curl_multi_cleanup(program->multi);
    free(program->sockets);
    return code;
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
    size_t left = program->count - program->ended;

    for (const struct transfer *t = program->transfers; t < program->transfers + program->begun; t++)
        if (t->ended && t->result != CURLE_OK)
            fprintf(stderr, "fetch_multi: %s: %s\n", t->url, t->reason[0] != '\0' ? t->reason : curl_easy_strerror(t->result));
    if (left > 0)
        fprintf(stderr, "fetch_multi: %s: %zu of %zu not fetched\n",
                error->code != 0 ? error->message : "Stopped at the first failure", left, program->count);
    if (error->code == -EINTR)
        return 128 + SIGINT;
    return left + program->failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What ends first, the transfers or one's patience, ends the other. Returns the exit status. */
static int run(struct program *program)
{
    struct cadre_ctx limit = { .deadline = program->seconds > 0 ? cadre_in((cadre_time)(program->seconds * 1e9)) : 0 };
    struct cadre_job jobs[] = { { .fn = fetch_all, .arg = program }, { .fn = interrupted } };
    struct cadre_error error = { 0 };
    struct cadre_jobs_options options = { .error = &error };

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        fputs("fetch_multi: cannot initialise libcurl\n", stderr);
        return EXIT_FAILURE;
    }
    cadre_take(&limit, jobs, 2, 1, &options, NULL);
    curl_global_cleanup();
    return report(program, &error);
}

static void add_url(struct program *program, const char *url, size_t length, struct argp_state *state)
{
    struct transfer *transfers = reallocarray(program->transfers, program->count + 1, sizeof *transfers);
    char *copy = strndup(url, length);

    if (transfers == NULL || copy == NULL)
        argp_failure(state, EXIT_FAILURE, errno, "reading URLs");
    transfers[program->count++] = (struct transfer){ .url = copy };
    program->transfers = transfers;
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
        program->parallel = (size_t)number(state, text, 1, 1024, "transfers");
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
        free(program.transfers[i].url);
    free(program.transfers);
    return status;
}
