/* SPDX-License-Identifier: MIT
 * Children of a test: for what ends a process or changes it for good. Include after test.h. */
#ifndef CADRE_TEST_CHILD_H
#define CADRE_TEST_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run body in a child, where it may do what tests may not, and return how the child ended, as wait(2) tells it. cmocka's and
 * the sanitizers' handlers are taken off first, so that a fault ends the child as it would end a program. */
static inline int in_child(void (*body)(void *arg), void *arg)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
    struct rlimit no_core = { 0, 0 };
    int status = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
            signal(faults[i], SIG_DFL);
        setrlimit(RLIMIT_CORE, &no_core);
        body(arg);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static inline bool faulted(int status)
{
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

static inline bool passed(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

#endif
