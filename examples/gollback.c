/* SPDX-License-Identifier: MIT
 * gollback: runs shell commands at the same time and prints what they wrote: all of them with their ends, or that of the
 * first to succeed; or one command again and again until it succeeds.
 *
 *     gollback all 'df -h' 'uptime'             cadre_settle: none is stopped, every result is kept, by its index
 *     gollback race 'dig @a …' 'dig @b …'       cadre_race: the first success; the others are killed
 *     gollback retry 5 'ping -c 1 host'         cadre_retry: five tries at most, 0: until it succeeds
 *
 * Everything has ended when such a call returns: no process is left behind. */
#define _GNU_SOURCE /* environ, memfd_create */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cadre.h"

#define MAX_COMMANDS 64

struct command {
    char *text;
    int output; /* a file in memory that it writes to */
};

/* Start the command in a process group of its own, so that all of it can be killed. Returns its pid or a negative errno. */
static pid_t start(const struct command *command)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t pid;
    int status;

    sigemptyset(&none); /* a task may run in a thread that blocks signals; the command must not */
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, command->output, STDOUT_FILENO);
    status = posix_spawn(&pid, "/bin/sh", &files, &attributes, (char *[]){ "sh", "-c", command->text, NULL }, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return status == 0 ? pid : -status;
}

/* The job. It looks for the end every few milliseconds, asleep meanwhile, and so sees its own end, too, when it has lost. */
static int run(struct cadre_ctx *ctx, void *arg)
{
    struct command *command = arg;
    pid_t pid, ended;
    int status;

    if (command->output > 0)
        close(command->output); /* of the try before */
    command->output = memfd_create("output", MFD_CLOEXEC);
    if (command->output < 0)
        return -errno;
    pid = start(command);
    if (pid < 0)
        return cadre_fail(ctx, pid, "cannot start '%s': %s", command->text, cadre_strerror(pid));
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && cadre_sleep(ctx, CADRE_MS(5)) == 0)
        ;
    if (ended == 0) {
        kill(-pid, SIGKILL);
        waitpid(pid, &status, 0);
        return cadre_ctx_error(ctx);
    }
    if (WIFSIGNALED(status))
        return cadre_fail(ctx, -EINTR, "'%s': %s", command->text, strsignal(WTERMSIG(status)));
    return WEXITSTATUS(status) == 0 ? 0 : cadre_fail(ctx, -EIO, "'%s': exit status %d", command->text, WEXITSTATUS(status));
}

static void print_output(const struct command *command)
{
    char buffer[4096];
    ssize_t n;

    for (off_t at = 0; (n = pread(command->output, buffer, sizeof buffer, at)) > 0; at += n)
        fwrite(buffer, 1, (size_t)n, stdout);
}

static int all(struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options)
{
    int code = cadre_settle(NULL, jobs, n, options);

    for (size_t i = 0; i < n; i++) {
        printf("[%zu] %s\n", i, jobs[i].code == 0 ? "succeeded" : options->errors[i].message);
        print_output(jobs[i].arg);
        code = code == 0 ? jobs[i].code : code;
    }
    return code;
}

static int race(struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options)
{
    size_t winner;
    int code = cadre_race(NULL, jobs, n, options, &winner);

    if (code == 0)
        print_output(jobs[winner].arg);
    for (size_t i = 0; code != 0 && i < n; i++)
        fprintf(stderr, "gollback: %s\n", options->errors[i].message);
    return code;
}

static int retry(struct cadre_job *jobs, const char *attempts)
{
    struct cadre_retry_options options = { .attempts = (uint32_t)strtoul(attempts, NULL, 10) };
    const struct command *command = jobs->arg;
    uint32_t tries;
    int code = cadre_retry(NULL, &options, run, jobs->arg, &tries);

    if (code == 0)
        print_output(command);
    else
        fprintf(stderr, "gollback: '%s': no success in %u tries\n", command->text, tries);
    return code;
}

static int usage(void)
{
    fputs("Usage: gollback all COMMAND...\n       gollback race COMMAND...\n       gollback retry TRIES COMMAND\n", stderr);
    return 64;
}

int main(int argc, char **argv)
{
    static struct command commands[MAX_COMMANDS];
    static struct cadre_job jobs[MAX_COMMANDS];
    static struct cadre_error errors[MAX_COMMANDS];
    const struct cadre_jobs_options options = { .errors = errors };
    const char *mode = argc > 2 ? argv[1] : "";
    size_t first = strcmp(mode, "retry") == 0 ? 3 : 2, n = (size_t)argc > first ? (size_t)argc - first : 0;
    int code;

    if (n == 0 || n > MAX_COMMANDS)
        return usage();
    for (size_t i = 0; i < n; i++) {
        commands[i].text = argv[first + i];
        jobs[i] = (struct cadre_job){ .fn = run, .arg = &commands[i] };
    }
    if (strcmp(mode, "all") == 0)
        code = all(jobs, n, &options);
    else if (strcmp(mode, "race") == 0)
        code = race(jobs, n, &options);
    else if (n == 1 && strcmp(mode, "retry") == 0 && strspn(argv[2], "0123456789") == strlen(argv[2]))
        code = retry(jobs, argv[2]);
    else
        return usage();
    return fclose(stdout) == 0 && code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
