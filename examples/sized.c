/* SPDX-License-Identifier: MIT
 * sized: runs the shell commands that come in on standard input, one in each line, so many at a time.
 *
 * What to do with one more when all places are taken is the group's choice: let it wait in a queue, hold up whoever starts
 * it (here: the reading of further lines), or discard it. In each case its argument is freed exactly once, by the task or by
 * the group's drop. A failure is no reason to stop the others. */
#define _GNU_SOURCE /* environ */
#include <argp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cadre.h"

#define MAX_ERRORS 1000

/* Returns 0 or a negative errno value. */
static int start(char *command, pid_t *pid)
{
    posix_spawnattr_t attributes;
    sigset_t none;
    int status;

    sigemptyset(&none); /* a task may run in a thread that blocks signals; the command must not */
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    status = -posix_spawn(pid, "/bin/sh", NULL, &attributes, (char *[]){ "sh", "-c", command, NULL }, environ);
    posix_spawnattr_destroy(&attributes);
    return status;
}

/* The task owns its command. Waiting for a child blocks, which a task may do. */
static int run(struct cadre_ctx *ctx, void *arg)
{
    char *command = arg;
    pid_t pid;
    int ended = 0, status = start(command, &pid);

    if (status == 0 && waitpid(pid, &ended, 0) < 0)
        status = -errno;
    if (status != 0)
        cadre_fail(ctx, status, "%s: %s", command, cadre_strerror(status));
    else if (WIFSIGNALED(ended))
        status = cadre_fail(ctx, -EIO, "%s: %s", command, strsignal(WTERMSIG(ended)));
    else if (WEXITSTATUS(ended) != 0)
        status = cadre_fail(ctx, -EIO, "%s: exit status %d", command, WEXITSTATUS(ended));
    free(command);
    return status;
}

static void drop(void *command)
{
    fprintf(stderr, "sized: discarded: %s\n", (char *)command);
    free(command);
}

static void read_commands(struct cadre_group *g)
{
    char *line = NULL, *command;
    size_t room = 0;

    while (getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        command = strdup(line);
        if (command != NULL)
            cadre_go(g, run, command);
    }
    free(line);
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
    } else if (key == 'f' && strcmp(text, "queue") == 0) {
        g->queue = CADRE_UNBOUNDED;
    } else if (key == 'f' && strcmp(text, "wait") == 0) {
        g->queue = 0;
    } else if (key == 'f' && strcmp(text, "discard") == 0) {
        g->queue = 0;
        g->flags = CADRE_DISCARD_WHEN_FULL;
    } else if (key == 'f') {
        argp_error(state, "%s: not one of queue, wait, discard", text);
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "size", 'n', "N", 0, "How many commands run at a time (4)", 0 },
    { "when-full", 'f', "WHAT", 0, "What becomes of a further command: queue (the default), wait, discard", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .doc = "Run the shell commands on standard input, one in each line.",
};

int main(int argc, char **argv)
{
    static struct cadre_error errors[MAX_ERRORS];
    struct cadre_group g = { .limit = 4, .queue = CADRE_UNBOUNDED, .drop = drop, .errors = errors, .max_errors = MAX_ERRORS };
    size_t failed;

    argp_parse(&parser, argc, argv, 0, NULL, &g);
    read_commands(&g);
    cadre_wait(&g);
    failed = cadre_group_error_count(&g);
    for (size_t i = 0; i < failed && i < MAX_ERRORS; i++)
        fprintf(stderr, "sized: %s\n", errors[i].message);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
