/* SPDX-License-Identifier: MIT
 * Reading and writing that never blocks, whatever mode the descriptor is in. Sockets are asked with MSG_DONTWAIT and other kinds with
 * RWF_NOWAIT; those that know neither (terminals, older pipes) are asked first whether they are ready. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "platform/io.h"

#define ONE_PIECE PIPE_BUF /* what a pipe or terminal that says it is ready takes without blocking */

/* Try a call again as long as signals break it off. */
#define RETRY(call)                                                                                                                \
    __extension__({                                                                                                                \
        ssize_t result_;                                                                                                           \
        while ((result_ = (call)) < 0 && errno == EINTR)                                                                           \
            ;                                                                                                                      \
        result_;                                                                                                                   \
    })

/* The result of a call, or its error; errno is as it was. */
static ssize_t outcome(ssize_t result, int saved)
{
    int error = errno;

    errno = saved;
    return result >= 0 ? result : error == EWOULDBLOCK ? -EAGAIN : -error;
}

static bool is_ready(int fd, short events)
{
    struct pollfd one = { .fd = fd, .events = events };

    return RETRY(poll(&one, 1, 0)) > 0;
}

/* Would the call block only for as long as the device takes? Keeps errno. */
static bool is_file(int fd)
{
    struct stat info;
    int saved = errno;
    bool file = fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISBLK(info.st_mode));

    errno = saved;
    return file;
}

static bool knows_no_nowait(void) { return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ESPIPE; }

ssize_t cdr_read_now(int fd, void *buf, size_t size)
{
    int saved = errno;
    ssize_t got = RETRY(recv(fd, buf, size, MSG_DONTWAIT));

    if (got < 0 && errno == ENOTSOCK) {
        struct iovec all = { .iov_base = buf, .iov_len = size };

        got = RETRY(preadv2(fd, &all, 1, -1, RWF_NOWAIT));
        if (got < 0 && knows_no_nowait()) {
            errno = EAGAIN;
            got = is_ready(fd, POLLIN) ? RETRY(read(fd, buf, size)) : -1;
        } else if (got < 0 && errno == EAGAIN && is_file(fd)) {
            got = RETRY(read(fd, buf, size)); /* not in the cache */
        }
    }
    return outcome(got, saved);
}

/* ---- writing, without SIGPIPE ---- */

/* SIGPIPE is blocked for the moment. */
struct hush {
    bool on;
    sigset_t pipe, before, pending;
};

static void hush_begin(struct hush *hush, bool on)
{
    hush->on = on;
    if (!on)
        return;
    sigemptyset(&hush->pipe);
    sigaddset(&hush->pipe, SIGPIPE);
    sigpending(&hush->pending);
    pthread_sigmask(SIG_BLOCK, &hush->pipe, &hush->before);
}

/* If the call raised it, and it was not pending before, it is taken away. Keeps errno. */
static void hush_end(struct hush *hush, ssize_t put)
{
    const struct timespec at_once = { 0 };
    int error = errno;

    if (!hush->on)
        return;
    if (put < 0 && error == EPIPE && sigismember(&hush->pending, SIGPIPE) != 1)
        while (sigtimedwait(&hush->pipe, NULL, &at_once) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &hush->before, NULL);
    errno = error;
}

ssize_t cdr_write_file(int fd, const void *buf, size_t size, bool quiet)
{
    int saved = errno;
    struct hush hush;
    ssize_t put;

    hush_begin(&hush, quiet);
    put = RETRY(write(fd, buf, size));
    hush_end(&hush, put);
    return outcome(put, saved);
}

static ssize_t write_other(int fd, const void *buf, size_t size, bool quiet)
{
    struct iovec all = { .iov_base = (void *)(uintptr_t)buf, .iov_len = size };
    struct hush hush;
    ssize_t put;

    hush_begin(&hush, quiet);
    put = RETRY(pwritev2(fd, &all, 1, -1, RWF_NOWAIT));
    if (put < 0 && knows_no_nowait()) {
        errno = EAGAIN;
        put = is_ready(fd, POLLOUT) ? RETRY(write(fd, buf, size < ONE_PIECE ? size : ONE_PIECE)) : -1;
    } else if (put < 0 && errno == EAGAIN && is_file(fd)) {
        put = RETRY(write(fd, buf, size));
    }
    hush_end(&hush, put);
    return put;
}

ssize_t cdr_write_now(int fd, const void *buf, size_t size, bool quiet)
{
    int saved = errno;
    ssize_t put = RETRY(send(fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL));

    if (put < 0 && errno == ENOTSOCK)
        put = write_other(fd, buf, size, quiet);
    return outcome(put, saved);
}

ssize_t cdr_read_file(int fd, void *buf, size_t size)
{
    int saved = errno;

    return outcome(RETRY(read(fd, buf, size)), saved);
}

static int make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? -1 : (flags & O_NONBLOCK) != 0 ? 0 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int cdr_accept_now(int fd, struct sockaddr *addr, socklen_t *size)
{
    int saved = errno;
    ssize_t got = make_nonblocking(fd);

    if (got == 0)
        got = RETRY(accept4(fd, addr, size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    return (int)outcome(got, saved);
}

int cdr_connect_now(int fd, const struct sockaddr *addr, socklen_t size)
{
    int saved = errno;
    ssize_t done = make_nonblocking(fd);

    if (done == 0) {
        done = connect(fd, addr, size);
        if (done < 0 && errno == EINTR) /* it goes on */
            errno = EINPROGRESS;
    }
    return (int)outcome(done, saved);
}

int cdr_connect_result(int fd)
{
    int saved = errno, error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    errno = saved;
    return -error;
}

ssize_t cdr_recvmsg_now(int fd, struct msghdr *message, int flags)
{
    int saved = errno;

    return outcome(RETRY(recvmsg(fd, message, flags | MSG_DONTWAIT)), saved);
}

ssize_t cdr_sendmsg_now(int fd, const struct msghdr *message, int flags)
{
    int saved = errno;

    return outcome(RETRY(sendmsg(fd, message, flags | MSG_DONTWAIT | MSG_NOSIGNAL)), saved);
}

int cdr_poll_now(struct pollfd *fds, size_t n)
{
    int saved = errno;

    return (int)outcome(RETRY(poll(fds, (nfds_t)n, 0)), saved);
}

int cdr_close(int fd)
{
    int saved = errno;
    ssize_t closed = close(fd);

    if (closed < 0 && errno == EINTR) /* on Linux it is closed */
        closed = 0;
    return (int)outcome(closed, saved);
}

int cdr_pipe(int ends[2], int mine)
{
    int saved = errno, error = pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;

    if (error == 0)
        make_nonblocking(ends[mine]);
    errno = saved;
    return -error;
}
