/* SPDX-License-Identifier: MIT
 * What the tests of commands share: shell scripts as commands, run on the test's own thread or as a task, and the proof that nothing
 * is left of them. Include after test.h. */
#ifndef CADRE_TEST_EXEC_H
#define CADRE_TEST_EXEC_H

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tasks.h"

/* A call of cadre_exec and what came of it. */
struct call {
    struct cadre_ctx *ctx;
    struct cadre_command *command;
    struct cadre_exit *exit;
    int code;
};

static inline int call_task(struct cadre_ctx *ctx, void *arg)
{
    struct call *call = arg;

    call->code = cadre_exec(call->ctx != NULL ? call->ctx : ctx, call->command, call->exit);
    return call->code;
}

/* Where execute makes its calls: set by a test's setup. */
static bool as_task;

static inline int on_the_thread(void **state) { return (void)state, as_task = false, 0; }
static inline int in_a_task(void **state) { return (void)state, as_task = true, 0; }

/* A test that runs in both places. */
#define test_in_both(f) \
    { #f " on a thread", f, on_the_thread, NULL, NULL }, { #f " in a task", f, in_a_task, NULL, NULL }

static inline int execute(struct cadre_ctx *ctx, struct cadre_command *command, struct cadre_exit *exit)
{
    struct call call = { .ctx = ctx, .command = command, .exit = exit };
    struct cadre_group g = { 0 };

    if (!as_task)
        return cadre_exec(ctx, command, exit);
    test_check(cadre_go(&g, call_task, &call) == 0);
    test_check(cadre_wait(&g) == call.code);
    return call.code;
}

/* The same for a script. What else `command` says stays. */
static inline int shell(struct cadre_ctx *ctx, struct cadre_command *command, const char *script, struct cadre_exit *exit)
{
    char *argv[] = { (char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", (char *)(uintptr_t)script, NULL };

    command->argv = argv;
    return execute(ctx, command, exit);
}

static inline int descriptors_now(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    test_check(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* Neither a running child nor a zombie. */
static inline bool has_children(void)
{
    siginfo_t info;

    return !(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD);
}

/* What /proc says of a process: its state and group; 0 when there is none. */
static inline char process_state(const char *pid, int *group)
{
    char path[64], text[512];
    FILE *file;
    size_t n;
    char state = 0, *end;

    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    end = strrchr(text, ')');
    return end != NULL && sscanf(end + 1, " %c %*d %d", &state, group) == 2 ? state : 0;
}

/* Does a process of the group run? Zombies, which only wait for whoever adopted them, do not. */
static inline bool group_runs(pid_t wanted)
{
    DIR *dir = opendir("/proc");
    bool found = false;
    int group;

    test_check(dir != NULL);
    for (struct dirent *entry; !found && (entry = readdir(dir)) != NULL;)
        if (isdigit((unsigned char)entry->d_name[0])) {
            char state = process_state(entry->d_name, &group);

            found = state != 0 && state != 'Z' && state != 'X' && group == wanted;
        }
    closedir(dir);
    return found;
}

/* Before: what the process has. The first command opens what the library keeps open; the monitor opens files for a moment. */
static inline int before(void)
{
    struct cadre_command command = { 0 };
    int least = INT32_MAX;

    test_check(shell(NULL, &command, ":", NULL) == 0);
    for (int i = 0; i < 5; i++) {
        int now = descriptors_now();

        least = now < least ? now : least;
        (void)cadre_sleep(NULL, CADRE_US(20));
    }
    return least;
}

/* After: there is no child, no descriptor more, and nobody of the group. */
static inline void assert_nothing_left(int descriptors, pid_t group)
{
    test_check(!has_children());
    test_until(descriptors_now() <= descriptors);
    if (group > 0)
        test_until(!group_runs(group));
}

#endif
