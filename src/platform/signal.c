/* SPDX-License-Identifier: MIT
 * Signals as events. A signal that is waited for gets a handler and a bell, an eventfd(2) that counts how often it has come: to ring it is
 * all that the handler does, and who waits for the bell takes one off its count, so that none is lost and none comes twice. Where the
 * program blocks the signal in all threads no handler runs, and signalfd(2) tells of it. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "platform/io.h"
#include "platform/os.h"

static struct cdr_lock lock;
static int bells[NSIG]; /* the descriptor, or 0; it stays open for ever, as a handler may ring it at any time */
static pid_t owner;     /* the process that they are of: a child of fork(2) has them too, for a moment */

static void handle(int signal)
{
    int bell = cdr_load(&bells[signal]);

    if (bell != 0 && getpid() == cdr_load(&owner))
        cdr_bell_ring(bell);
}

/* Not the ones that nothing can catch, nor those that the running instruction itself raises. */
static bool may_be_taken(int signal)
{
    return signal != SIGKILL && signal != SIGSTOP && signal != SIGSEGV && signal != SIGBUS && signal != SIGFPE && signal != SIGILL
           && signal != SIGTRAP && signal != SIGSYS && signal != SIGABRT;
}

/* After fork(2) nobody waits, and what came was the parent's. */
static void forget(void)
{
    for (int i = 0; i < NSIG; i++) {
        int bell = bells[i];

        cdr_store(&bells[i], 0);
        if (bell != 0)
            close(bell);
    }
    lock = (struct cdr_lock){ 0 };
}
static __attribute__((constructor)) void survive_fork(void) { cdr_at_fork(NULL, NULL, forget); }

static int check(const sigset_t *set)
{
    int found = 0;

    for (int i = 1; i < NSIG; i++) {
        if (sigismember(set, i) != 1)
            continue;
        if (!may_be_taken(i))
            return -EINVAL;
        found++;
    }
    return found == 0 ? -EINVAL : 0;
}

/* The lock is held. Not 0, which stands for none. */
static int open_bell(int signal)
{
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);

    if (bell == 0) {
        bell = fcntl(0, F_DUPFD_CLOEXEC, 3);
        close(0);
    }
    if (bell < 0)
        return -errno;
    cdr_store(&owner, getpid());
    cdr_store(&bells[signal], bell);
    return 0;
}

static int take(int signal)
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    int error = 0;

    sigfillset(&action.sa_mask);
    if (bells[signal] == 0)
        error = open_bell(signal);
    return error == 0 && sigaction(signal, &action, NULL) < 0 ? -errno : error;
}

int cdr_signals_take(const sigset_t *set)
{
    int saved = errno, error = check(set);

    cdr_lock(&lock);
    for (int i = 1; i < NSIG && error == 0; i++)
        if (sigismember(set, i) == 1)
            error = take(i);
    cdr_unlock(&lock);
    errno = saved;
    return error;
}

int cdr_signals_next(const sigset_t *set)
{
    uint64_t one;
    int saved = errno, found = 0;

    for (int i = 1; i < NSIG && found == 0; i++)
        if (sigismember(set, i) == 1 && read(cdr_load(&bells[i]), &one, sizeof one) == (ssize_t)sizeof one)
            found = i;
    errno = saved;
    return found;
}

size_t cdr_signals_bells(const sigset_t *set, struct pollfd *fds)
{
    size_t n = 0;

    for (int i = 1; i < NSIG; i++)
        if (sigismember(set, i) == 1)
            fds[n++] = (struct pollfd){ .fd = cdr_load(&bells[i]), .events = POLLIN };
    return n;
}

int cdr_signals_open(const sigset_t *set)
{
    int saved = errno, fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK), error = errno;

    errno = saved;
    return fd < 0 ? -error : fd;
}

int cdr_signals_read(int fd)
{
    struct signalfd_siginfo info;
    int saved = errno;
    ssize_t got = read(fd, &info, sizeof info);

    errno = saved;
    return got == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}
