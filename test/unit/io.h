/* SPDX-License-Identifier: MIT
 * What the tests of descriptors share: pairs of them, calls that run as a task and on a plain thread, waiting until calls
 * wait, and counting what is open. Include after test.h. */
#ifndef CADRE_TEST_IO_H
#define CADRE_TEST_IO_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sched/poller.h" /* how many calls wait for descriptors: nothing public tells */
#include "tasks.h"

/* The value of a call, which must not have changed errno. */
#define kept(call) (errno = EXDEV, with_errno_kept((long)(call)))

static inline long with_errno_kept(long result)
{
    test_check(errno == EXDEV);
    return result;
}

/* Fewer rounds of what takes long, where a tool or an emulator slows it down. */
#if defined(CDR_ASAN) || defined(CDR_TSAN) || defined(CADRE_VALGRIND) || defined(CADRE_NO_CMOCKA)
#define times(n) ((n) / 10)
#else
#define times(n) (n)
#endif

/* Until n calls of the process wait for descriptors, or are about to park. */
#define until_waiting(n) test_until(__atomic_load_n(&cdr_poller.waits, __ATOMIC_ACQUIRE) == (unsigned)(n))

/* ---- pairs ---- */

static inline void make_pair(int ends[2]) { test_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0); }
static inline void make_pipe(int ends[2]) { test_check(pipe2(ends, O_CLOEXEC) == 0); }

static inline void close_both(const int ends[2])
{
    test_check(close(ends[0]) == 0);
    test_check(close(ends[1]) == 0);
}

static inline void set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    test_check(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == 0);
}

static inline void put_byte(int fd) { test_check(write(fd, "x", 1) == 1); }

static inline void take_byte(int fd)
{
    char byte;

    test_check(read(fd, &byte, 1) == 1 && byte == 'x');
}

/* Write until there is no room left. Returns how much that was. */
static inline size_t fill(int fd)
{
    static const char bytes[4096];
    int flags = fcntl(fd, F_GETFL);
    size_t all = 0;
    ssize_t put;

    set_nonblocking(fd, true);
    while ((put = write(fd, bytes, sizeof bytes)) > 0 || (put = write(fd, bytes, 1)) > 0)
        all += (size_t)put;
    test_check(fcntl(fd, F_SETFL, flags) == 0);
    return all;
}

/* Read so much. */
static inline void drain(int fd, size_t size)
{
    static _Thread_local char bytes[4096];

    while (size > 0) {
        ssize_t got = read(fd, bytes, size < sizeof bytes ? size : sizeof bytes);

        test_check(got > 0);
        size -= (size_t)got;
    }
}

/* Read what is there. Returns how much that was. */
static inline size_t empty(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    char bytes[4096];
    size_t all = 0;
    ssize_t got;

    set_nonblocking(fd, true);
    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        all += (size_t)got;
    test_check(fcntl(fd, F_SETFL, flags) == 0);
    return all;
}

static inline int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    test_check(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* this one */
}

/* ---- who calls ---- */

struct plain_call {
    cadre_fn *fn;
    void *arg;
};

static inline void *call_plainly(void *arg)
{
    struct plain_call *call = arg;

    test_check(call->fn(NULL, call->arg) == 0);
    return NULL;
}

static inline void in_a_task(cadre_fn *fn, void *arg)
{
    struct cadre_group g = { 0 };

    test_check(cadre_go(&g, fn, arg) == 0);
    test_check(cadre_wait(&g) == 0);
}

static inline void on_a_thread(cadre_fn *fn, void *arg)
{
    struct plain_call call = { fn, arg };

    thread_join(thread_start(call_plainly, &call));
}

/* As a task, on a plain thread that is new, and on this one. */
static inline void everywhere(cadre_fn *fn, void *arg)
{
    in_a_task(fn, arg);
    on_a_thread(fn, arg);
    test_check(fn(NULL, arg) == 0);
}

/* A call of cadre_wait_fd, under a context of its own. */
struct waiter {
    int fd, events;
    struct cadre_ctx ctx;
    int result;
    atomic_int returned;
};

static inline int wait_once(struct cadre_ctx *ctx, void *arg)
{
    struct waiter *w = arg;

    (void)ctx;
    w->result = (int)kept(cadre_wait_fd(&w->ctx, w->fd, w->events));
    atomic_store(&w->returned, 1);
    return 0;
}

#endif
