/* SPDX-License-Identifier: MIT
 * parallel: looks for a word in three places at once, as a search engine asks its back ends: in the names of the files below
 * a directory, in what they contain, and in what symbolic links point to.
 *
 * Every task writes into the back end that it was given and nowhere else: no lock is needed, and after cadre_wait all that
 * was found can be read. The first error ends the search, and the other two see it by cadre_ctx_error. */
#define _GNU_SOURCE /* memmem */
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cadre.h"

struct backend {
    const char *title;
    int (*matches)(const FTSENT *entry, const char *word); /* 1, 0, or a negative errno value */
    const char *word;
    char *root;
    char *found; /* paths, one in each line: malloc'd, by the task */
    size_t size;
};

static int in_name(const FTSENT *entry, const char *word) { return strstr(entry->fts_name, word) != NULL; }

static int in_target(const FTSENT *entry, const char *word)
{
    char target[4096];
    ssize_t n;

    if (entry->fts_info != FTS_SL)
        return 0;
    n = readlink(entry->fts_accpath, target, sizeof target);
    return n < 0 ? -errno : memmem(target, (size_t)n, word, strlen(word)) != NULL;
}

static int in_contents(const FTSENT *entry, const char *word)
{
    FILE *file;
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int result = 0;

    if (entry->fts_info != FTS_F)
        return 0;
    file = fopen(entry->fts_accpath, "re");
    if (file == NULL)
        return -errno;
    while (result == 0 && (n = getline(&line, &room, file)) >= 0)
        result = memmem(line, (size_t)n, word, strlen(word)) != NULL;
    if (ferror(file))
        result = -errno;
    free(line);
    fclose(file);
    return result;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static int search_tree(struct cadre_ctx *ctx, const struct backend *backend, FTS *tree, FILE *found)
{
    int status = 0;
    FTSENT *entry;

    while (errno = 0, (entry = fts_read(tree)) != NULL) {
        if (entry->fts_info == FTS_DP)
            continue;
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            status = -entry->fts_errno;
        else
            status = backend->matches(entry, backend->word);
        if (status < 0)
            return cadre_fail(ctx, status, "%s: %s", entry->fts_path, cadre_strerror(status));
        if (status > 0)
            fprintf(found, "    %s\n", entry->fts_path);
        status = cadre_ctx_error(ctx);
        if (status != 0)
            return status;
    }
    return -errno;
}

static int search(struct cadre_ctx *ctx, void *arg)
{
    struct backend *backend = arg;
    FTS *tree = fts_open((char *[]){ backend->root, NULL }, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    FILE *found = open_memstream(&backend->found, &backend->size);
    int status = tree == NULL || found == NULL ? -errno : search_tree(ctx, backend, tree, found);

    if (found != NULL)
        fclose(found);
    if (tree != NULL)
        fts_close(tree);
    return status;
}

int main(int argc, char **argv)
{
    struct backend backends[] = {
        { .title = "Names", .matches = in_name },
        { .title = "Contents", .matches = in_contents },
        { .title = "Links", .matches = in_target },
    };
    struct cadre_group g = { .name = "search", .flags = CADRE_CANCEL_ON_ERROR };

    if (argc != 3) {
        fputs("Usage: parallel WORD DIR\n", stderr);
        return 64;
    }
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        backends[i].word = argv[1];
        backends[i].root = argv[2];
        cadre_go(&g, search, &backends[i]);
    }
    if (cadre_wait(&g) != 0)
        fprintf(stderr, "parallel: %s\n", cadre_group_error(&g).message);
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (cadre_group_error(&g).code == 0)
            printf("%s:\n%s", backends[i].title, backends[i].found);
        free(backends[i].found);
    }
    if (ferror(stdout) || fclose(stdout) != 0) {
        perror("parallel: standard output");
        return EXIT_FAILURE;
    }
    return cadre_group_error(&g).code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
