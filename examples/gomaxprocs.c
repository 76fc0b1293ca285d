/* SPDX-License-Identifier: MIT
 * gomaxprocs: how many files there are below a directory and how large they are, by a fixed number of tasks at a time.
 *
 * Every directory is a task that starts a task for each directory in it. A start must not wait then: if all that run waited
 * for a slot to start another, nobody would ever give one back. With an unbounded queue it never does, and what waits is
 * not a stack but a record of a few bytes. */
#define _GNU_SOURCE /* asprintf */
#include <argp.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cadre.h"

static struct cadre_group walkers = {
    .name = "walkers", .queue = CADRE_UNBOUNDED, .flags = CADRE_CANCEL_ON_ERROR, .drop = free
};
static atomic_ullong directories, files, bytes;

static int measure(struct cadre_ctx *ctx, void *arg);

/* One entry of the directory that `tree` is. Returns 0 or a negative errno value. */
static int measure_entry(DIR *tree, const char *path, const char *name)
{
    struct stat stat;
    char *below;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (fstatat(dirfd(tree), name, &stat, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (S_ISREG(stat.st_mode)) {
        atomic_fetch_add(&files, 1);
        atomic_fetch_add(&bytes, (unsigned long long)stat.st_size);
    } else if (S_ISDIR(stat.st_mode)) {
        if (asprintf(&below, "%s/%s", path, name) < 0)
            return -ENOMEM;
        cadre_go(&walkers, measure, below);
    }
    return 0;
}

/* The task owns its path; those that never run go to free, as walkers.drop says. */
static int measure(struct cadre_ctx *ctx, void *arg)
{
    char *path = arg;
    DIR *tree = opendir(path);
    struct dirent *entry;
    int status = tree == NULL ? -errno : 0;

    while (status == 0 && (status = cadre_ctx_error(ctx)) == 0) {
        errno = 0;
        entry = readdir(tree);
        if (entry == NULL) {
            status = -errno;
            break;
        }
        status = measure_entry(tree, path, entry->d_name);
    }
    if (tree != NULL)
        closedir(tree);
    if (status == 0)
        atomic_fetch_add(&directories, 1);
    else
        cadre_fail(ctx, status, "%s: %s", path, cadre_strerror(status));
    free(path);
    return status;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    char **root = state->input, *end;
    long n;

    if (key == 'j') {
        n = strtol(text, &end, 10);
        if (end == text || *end != '\0' || n < 1 || n > 1024)
            argp_error(state, "%s: not a number from 1 to 1024", text);
        walkers.limit = (int)n;
    } else if (key == ARGP_KEY_ARG && *root == NULL) {
        *root = text;
    } else if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "no directory given");
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "jobs", 'j', "N", 0, "How many directories to read at a time (default: one for each worker)", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "DIR",
    .doc = "Count the files below DIR and add up their sizes. Symbolic links are not followed.",
};

int main(int argc, char **argv)
{
    char *root = NULL;

    argp_parse(&parser, argc, argv, 0, NULL, &root);
    root = strdup(root);
    if (walkers.limit == 0)
        walkers.limit = cadre_workers();
    if (root == NULL || walkers.limit < 0) {
        fprintf(stderr, "gomaxprocs: %s\n", cadre_strerror(root == NULL ? -ENOMEM : walkers.limit));
        return EXIT_FAILURE;
    }
    cadre_go(&walkers, measure, root);
    if (cadre_wait(&walkers) != 0) {
        fprintf(stderr, "gomaxprocs: %s\n", cadre_group_error(&walkers).message);
        return EXIT_FAILURE;
    }
    printf("%llu directories, %llu files, %llu bytes\n", directories, files, bytes);
    return fclose(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
