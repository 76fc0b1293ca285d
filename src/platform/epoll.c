/* SPDX-License-Identifier: MIT
 * Waiting for many descriptors by epoll(7). Every registration is for one event (EPOLLONESHOT): whoever waits again asks again, so a
 * descriptor that was closed and whose number is used anew is noticed, whoever closed it. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "platform/io.h"
#include "platform/os.h"

#define NS_PER_SEC 1000000000
#define NS_PER_MS 1000000
#define AT_ONCE 64 /* events that one call collects at most */

int cdr_epoll_open(int *epoll, int *bell)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = CDR_BELL };
    int saved = errno, error;

    *bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *epoll = *bell < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    error = *epoll < 0 || epoll_ctl(*epoll, EPOLL_CTL_ADD, *bell, &event) < 0 ? errno : 0;
    if (error != 0) {
        if (*bell >= 0)
            close(*bell);
        if (*epoll >= 0)
            close(*epoll);
    }
    errno = saved;
    return -error;
}

int cdr_epoll_arm(int epoll, int fd, uint32_t events, uint64_t tag, bool add)
{
    struct epoll_event event = { .events = events | EPOLLONESHOT, .data.u64 = tag };
    int saved = errno, error = epoll_ctl(epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) < 0 ? errno : 0;

    errno = saved;
    return -error;
}

void cdr_epoll_remove(int epoll, int fd)
{
    struct epoll_event event = { 0 };
    int saved = errno;

    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event);
    errno = saved;
}

/* Kernels before 5.11, and emulators, count in milliseconds. */
static int wait_coarsely(int epoll, struct epoll_event *events, int n, int64_t deadline)
{
    int64_t left = deadline == INT64_MAX ? 0 : deadline - cdr_now(), ms = (left + NS_PER_MS - 1) / NS_PER_MS;

    if (deadline == INT64_MAX)
        return epoll_wait(epoll, events, n, -1);
    return epoll_wait(epoll, events, n, left <= 0 ? 0 : ms < INT32_MAX ? (int)ms : INT32_MAX);
}

static int wait_finely(int epoll, struct epoll_event *events, int n, int64_t deadline)
{
    static uint32_t missing; /* the finer call: found out once */
    int64_t left;
    struct timespec duration;
    int got;

    if (deadline <= 0)
        return epoll_wait(epoll, events, n, 0);
    if (cdr_load(&missing) != 0)
        return wait_coarsely(epoll, events, n, deadline);
    left = deadline == INT64_MAX ? 0 : deadline - cdr_now();
    left = left > 0 ? left : 0;
    duration = (struct timespec){ .tv_sec = left / NS_PER_SEC, .tv_nsec = left % NS_PER_SEC };
    got = epoll_pwait2(epoll, events, n, deadline == INT64_MAX ? NULL : &duration, NULL);
    if (got < 0 && (errno == ENOSYS || errno == EPERM)) { /* EPERM: a sandbox that does not know it */
        cdr_store(&missing, 1u);
        return wait_coarsely(epoll, events, n, deadline);
    }
    return got;
}

int cdr_epoll_wait(int epoll, struct cdr_event *events, int n, int64_t deadline)
{
    struct epoll_event got[AT_ONCE];
    int saved = errno, count = wait_finely(epoll, got, n < AT_ONCE ? n : AT_ONCE, deadline);

    for (int i = 0; i < count; i++)
        events[i] = (struct cdr_event){ .tag = got[i].data.u64, .events = got[i].events };
    errno = saved;
    return count > 0 ? count : 0;
}

void cdr_bell_ring(int bell)
{
    uint64_t one = 1;
    int saved = errno;

    (void)!write(bell, &one, sizeof one); /* it fails only when the bell rings already */
    errno = saved;
}

void cdr_bell_clear(int bell)
{
    uint64_t count;
    int saved = errno;

    (void)!read(bell, &count, sizeof count);
    errno = saved;
}
