/* SPDX-License-Identifier: MIT
 * Signals as events. A signal that is waited for gets a handler, which counts it and rings a bell: all that a handler may do. Where the
 * program blocks it in all threads no handler runs, and signalfd(2) tells of it.
 *
 * The counts are taken one by one, by whoever gets there first. There is one bell for all. Whoever clears it and then sees a count left that
 * somebody else waits for rings it again; that one has said so before its own last look, so it is not missed. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "platform/io.h"
#include "platform/os.h"

static uint32_t arrived[NSIG]; /* written by handlers */
static uint32_t waiting[NSIG]; /* calls that wait for it */
static int the_bell = -1;

static void handle(int signal)
{
    cdr_add_seq(&arrived[signal], 1u);
    cdr_bell_ring(cdr_load(&the_bell));
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
    for (int i = 0; i < NSIG; i++)
        arrived[i] = waiting[i] = 0;
    the_bell = -1;
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

int cdr_signals_take(const sigset_t *set, int bell)
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    int saved = errno, error = check(set);

    if (error != 0)
        return error;
    cdr_store(&the_bell, bell);
    sigfillset(&action.sa_mask);
    for (int i = 1; i < NSIG; i++) {
        if (sigismember(set, i) != 1)
            continue;
        cdr_add_seq(&waiting[i], 1u);
        if (sigaction(i, &action, NULL) < 0)
            error = -errno;
    }
    if (error != 0)
        cdr_signals_leave(set);
    errno = saved;
    return error;
}

void cdr_signals_leave(const sigset_t *set)
{
    for (int i = 1; i < NSIG; i++)
        if (sigismember(set, i) == 1)
            cdr_sub(&waiting[i], 1u);
}

bool cdr_signals_left(void)
{
    for (int i = 1; i < NSIG; i++)
        if (cdr_load_seq(&arrived[i]) != 0 && cdr_load_seq(&waiting[i]) != 0)
            return true;
    return false;
}

int cdr_signals_next(const sigset_t *set)
{
    for (int i = 1; i < NSIG; i++) {
        uint32_t count = cdr_load(&arrived[i]);

        while (count > 0 && sigismember(set, i) == 1)
            if (cdr_cas_seq(&arrived[i], &count, count - 1))
                return i;
    }
    return 0;
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
