/* SPDX-License-Identifier: MIT
 * Child processes by posix_spawn(3), which borrows the parent's memory rather than copying its page tables, and pidfd_open(2). */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/io.h"

_Static_assert(CDR_TERMINATE == SIGTERM && CDR_KILL == SIGKILL, "as io.h says");

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int set_files(posix_spawn_file_actions_t *actions, const struct cdr_spawn *how)
{
    int error = 0;

    /* A dup2 of a descriptor to itself clears close-on-exec. */
    for (int i = 0; i < 3 && error == 0; i++)
        error = how->fds[i] < 0 ? posix_spawn_file_actions_addopen(actions, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0)
                                : posix_spawn_file_actions_adddup2(actions, how->fds[i], i);
    if (error == 0 && !how->keep_fds)
        error = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    if (error == 0 && how->directory != NULL)
        error = posix_spawn_file_actions_addchdir_np(actions, how->directory);
    return error;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    int error;

    sigemptyset(&none);
    error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    if (error == 0)
        error = posix_spawnattr_setpgroup(attributes, 0);
    return error != 0 ? error : posix_spawnattr_setsigmask(attributes, &none);
}

static int spawn(const struct cdr_spawn *how, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);

    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = set_files(&actions, how);
        if (error == 0)
            error = set_attributes(&attributes);
        if (error == 0)
            error = posix_spawnp(pid, how->argv[0], &actions, &attributes, how->argv, how->env != NULL ? how->env : environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int cdr_above_standard(int *fd, int target, bool *copied)
{
    int saved = errno, copy, error;

    if (*fd < 0 || *fd > 2 || *fd == target)
        return 0;
    copy = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    error = copy < 0 ? errno : 0;
    if (error == 0 && copied == NULL)
        close(*fd);
    if (error == 0 && copied != NULL)
        *copied = true;
    if (error == 0)
        *fd = copy;
    errno = saved;
    return -error;
}

int cdr_spawn(const struct cdr_spawn *how, pid_t *pid, int *handle)
{
    int saved = errno, error = spawn(how, pid);

    if (error == 0) {
        *handle = (int)syscall(SYS_pidfd_open, *pid, 0);
        if (*handle < 0) { /* no descriptor left, say: what cannot be watched must not run */
            error = errno;
            if (error == ESRCH) { /* somebody else has waited for it, or SIGCHLD is ignored */
                errno = saved;
                return -ECHILD;
            }
            cdr_child_kill(*pid, SIGKILL);
            while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
                ;
        }
    }
    errno = saved;
    return -error;
}

static int wait_id(int handle, siginfo_t *info, int options, struct rusage *usage)
{
    int saved = errno, error = 0;

    info->si_pid = 0;
    while (syscall(SYS_waitid, P_PIDFD, handle, info, WEXITED | options, usage) < 0 && (error = errno) == EINTR)
        error = 0;
    errno = saved;
    return error != 0 ? -error : info->si_pid == 0 ? -EAGAIN : 0;
}

int cdr_child_look(int handle, int *status, int *signal)
{
    siginfo_t info;
    int error = wait_id(handle, &info, WNOHANG | WNOWAIT, NULL);

    if (error != 0)
        return error;
    *status = info.si_code == CLD_EXITED ? info.si_status : -1;
    *signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    return 0;
}

int cdr_child_reap(int handle, struct rusage *usage)
{
    siginfo_t info;

    return wait_id(handle, &info, 0, usage);
}

void cdr_child_kill(pid_t pid, int signal)
{
    int saved = errno;

    if (kill(-pid, signal) < 0 || signal == SIGKILL)
        kill(pid, signal); /* it may have left its group */
    errno = saved;
}
