/* SPDX-License-Identifier: MIT
 * just_errors: fetches URLs, all at the same time, and reports the first that cannot be fetched.
 *
 * The group does four things here: it runs a task for each URL, keeps the first error, cancels the others when there is one,
 * and waits until all have ended. libcurl's calls block, as any call in a task may; so that a cancel reaches them, libcurl
 * asks `ended` from time to time whether to give up. The time limit is a deadline of the context above the group. */
#include <argp.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "cadre.h"

struct arguments {
    double seconds; /* 0: no limit */
    char **urls;
    int count;
};

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

static int fetch(struct cadre_ctx *ctx, void *arg)
{
    const char *url = arg;
    char reason[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    CURLcode result;

    if (curl == NULL)
        return -ENOMEM;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ended);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, ctx);
    result = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (result == CURLE_ABORTED_BY_CALLBACK)
        return cadre_ctx_error(ctx);
    if (result != CURLE_OK)
        return cadre_fail(ctx, -EIO, "%s: %s", url, reason[0] != '\0' ? reason : curl_easy_strerror(result));
    return 0;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    char *end;

    if (key == 't') {
        arguments->seconds = strtod(text, &end);
        if (end == text || *end != '\0' || !(arguments->seconds > 0 && arguments->seconds < 1e6))
            argp_error(state, "%s: not a number of seconds", text);
    } else if (key == ARGP_KEY_ARGS) {
        arguments->urls = state->argv + state->next;
        arguments->count = state->argc - state->next;
    } else if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "no URL given");
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "timeout", 't', "SECONDS", 0, "Give up when not all are there by then", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "URL...",
    .doc = "Fetch all URLs at the same time and report the first that fails.",
};

int main(int argc, char **argv)
{
    struct arguments arguments = { 0 };
    struct cadre_ctx all = { 0 };
    struct cadre_group g = { .parent = &all, .name = "fetch", .flags = CADRE_CANCEL_ON_ERROR };

    argp_parse(&parser, argc, argv, 0, NULL, &arguments);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        fputs("just_errors: cannot initialise libcurl\n", stderr);
        return EXIT_FAILURE;
    }
    if (arguments.seconds > 0)
        all.deadline = cadre_in((cadre_time)(arguments.seconds * 1e9));
    for (int i = 0; i < arguments.count; i++)
        cadre_go(&g, fetch, arguments.urls[i]);
    if (cadre_wait(&g) == 0)
        puts("Successfully fetched all URLs.");
    else
        fprintf(stderr, "just_errors: %s\n", cadre_group_error(&g).message);
    curl_global_cleanup();
    return cadre_group_error(&g).code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
