/* SPDX-License-Identifier: MIT
 * download: saves what URLs point to into a directory, eight at a time. Three tries for each, while the trouble is one that may
 * pass; any other failure, or a third, starts no more downloads. Those under way go on, and every failure is printed. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cadre.h"

static const char *directory;

static int may_pass(CURLcode result, long status)
{
    return result == CURLE_COULDNT_CONNECT || result == CURLE_OPERATION_TIMEDOUT || result == CURLE_GOT_NOTHING ||
           result == CURLE_RECV_ERROR || result == CURLE_PARTIAL_FILE ||
           (result == CURLE_HTTP_RETURNED_ERROR && (status == 408 || status == 429 || status >= 500));
}

/* One try: -EAGAIN when another may do better. */
static int try_to_fetch(struct cadre_ctx *ctx, void *arg)
{
    const char *url = arg, *slash = strrchr(url, '/');
    char path[4096], reason[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    CURLcode result;
    FILE *file;
    long status = 0;

    snprintf(path, sizeof path, "%s/%s", directory, slash == NULL ? url : slash + 1);
    file = fopen(path, "we");
    if (file == NULL || curl == NULL) {
        curl_easy_cleanup(curl);
        return cadre_fail(ctx, -EIO, "%s: cannot be saved as %s", url, path);
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, file);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L); /* less than a byte a second … */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 10L); /* … for ten seconds */
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (fclose(file) == 0 && result == CURLE_OK)
        return 0;
    unlink(path);
    return cadre_fail(ctx, may_pass(result, status) ? -EAGAIN : -EIO, "%s: %s", url, reason[0] ? reason : "cannot be written");
}

static int worth_another(int code, void *url) { return (void)url, code == -EAGAIN; }

static int fetch(struct cadre_ctx *ctx, void *url)
{
    static const struct cadre_retry_options options = {
        .attempts = 3, .delay = CADRE_MS(200), .factor = 2, .jitter = 1, .again = worth_another
    };

    return cadre_retry(ctx, &options, try_to_fetch, url, NULL);
}

int main(int argc, char **argv)
{
    struct cadre_error errors[9]; /* of eight that are under way when the first happens, and of a start that failed */
    struct cadre_group g = { .limit = 8, .flags = CADRE_STOP_ON_ERROR, .errors = errors, .max_errors = 9 };

    directory = argv[1];
    if (argc < 3 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return fputs("Usage: download DIRECTORY URL...\n", stderr), 64;
    for (int i = 2; i < argc; i++)
        cadre_go(&g, fetch, argv[i]);
    cadre_wait(&g);
    for (size_t i = 0; i < cadre_group_error_count(&g); i++)
        fprintf(stderr, "download: %s\n", errors[i].message);
    return cadre_group_error(&g).code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
