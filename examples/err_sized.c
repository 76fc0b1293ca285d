/* SPDX-License-Identifier: MIT
 * err_sized: checks files against a list of SHA-256 digests, as `sha256sum -c` does, so many at a time.
 *
 * All errors are collected and printed with a count. With -s nothing more starts after the first one: what runs is brought to
 * its end, what has not started goes to the group's drop. */
#include <argp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cadre.h"

#define DIGEST_SIZE 32
#define MAX_ERRORS 1000

/* A line of the list, malloc'd: 64 hexadecimal digits, two spaces (or a space and an asterisk) and the path. */
static const char *path_of(const char *line) { return line + 2 * DIGEST_SIZE + 2; }

/* Write the digest of file as hexadecimal digits. Returns 0 or a negative errno value. */
static int digest(FILE *file, char *hex)
{
    unsigned char buffer[16384], raw[DIGEST_SIZE];
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    int good = sha != NULL && EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
    size_t n;

    while (good && (n = fread(buffer, 1, sizeof buffer, file)) > 0)
        good = EVP_DigestUpdate(sha, buffer, n);
    good = good && EVP_DigestFinal_ex(sha, raw, NULL);
    EVP_MD_CTX_free(sha);
    if (ferror(file))
        return -errno;
    for (int i = 0; good && i < DIGEST_SIZE; i++)
        sprintf(hex + 2 * i, "%02x", raw[i]);
    return good ? 0 : -ENOMEM;
}

static int check(struct cadre_ctx *ctx, void *arg)
{
    char *line = arg, hex[2 * DIGEST_SIZE + 1];
    FILE *file = fopen(path_of(line), "re");
    int status = file == NULL ? -errno : digest(file, hex);

    if (file != NULL)
        fclose(file);
    if (status != 0)
        cadre_fail(ctx, status, "%s: %s", path_of(line), cadre_strerror(status));
    else if (strncasecmp(hex, line, 2 * DIGEST_SIZE) != 0)
        status = cadre_fail(ctx, -EBADMSG, "%s: the digest is another one", path_of(line));
    else
        printf("%s: OK\n", path_of(line));
    free(line);
    return status;
}

static void drop(void *line)
{
    printf("%s: not checked\n", path_of(line));
    free(line);
}

/* Start a task for each line of the list. Returns 0 or a negative errno value. */
static int check_all(struct cadre_group *g, const char *name)
{
    FILE *list = fopen(name, "re");
    char *line = NULL, *copy;
    size_t room = 0;
    int status = list == NULL ? -errno : 0;

    while (status == 0 && getline(&line, &room, list) > 0) {
        line[strcspn(line, "\n")] = '\0';
        copy = strdup(line);
        if (copy == NULL)
            status = -ENOMEM;
        else if (strspn(line, "0123456789abcdefABCDEF") == 2 * DIGEST_SIZE && strlen(line) > 2 * DIGEST_SIZE + 2)
            cadre_go(g, check, copy);
        else
            status = -EBADMSG, free(copy);
    }
    if (status == 0 && ferror(list))
        status = -errno;
    if (list != NULL)
        fclose(list);
    free(line);
    return status;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct cadre_group *g = state->input;
    char *end;
    long n;

    if (key == 'n') {
        n = strtol(text, &end, 10);
        if (end == text || *end != '\0' || n < 1 || n > 10000)
            argp_error(state, "%s: not a number from 1 to 10000", text);
        g->limit = (int)n;
    } else if (key == 's') {
        g->flags = CADRE_STOP_ON_ERROR;
    } else if (key == ARGP_KEY_ARG && g->name == NULL) {
        g->name = text;
    } else if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "no list given");
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "size", 'n', "N", 0, "How many files to check at a time (4)", 0 },
    { "stop", 's', NULL, 0, "Start nothing more after the first error", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "LIST",
    .doc = "Check files against the SHA-256 digests in LIST.",
};

int main(int argc, char **argv)
{
    static struct cadre_error errors[MAX_ERRORS];
    struct cadre_group g = { .limit = 4, .queue = CADRE_UNBOUNDED, .drop = drop, .errors = errors, .max_errors = MAX_ERRORS };
    size_t failed;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &g);
    status = check_all(&g, g.name);
    cadre_wait(&g);
    failed = cadre_group_error_count(&g);
    if (failed > 0)
        fprintf(stderr, "%zu error(s) occurred:\n", failed);
    for (size_t i = 0; i < failed && i < MAX_ERRORS; i++)
        fprintf(stderr, "[%zu] %s\n", i, errors[i].message);
    if (status != 0)
        fprintf(stderr, "err_sized: %s: %s\n", g.name, cadre_strerror(status));
    return fclose(stdout) == 0 && status == 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
