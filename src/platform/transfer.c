/* SPDX-License-Identifier: MIT
 * Reading and writing that never blocks, whatever mode the descriptor is in. Sockets are asked with MSG_DONTWAIT and other kinds with
 * RWF_NOWAIT; those that know neither (terminals, older pipes) are asked first whether they are ready. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
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
        }
    }
    return outcome(got, saved);
}

ssize_t cdr_write_now(int fd, const void *buf, size_t size)
{
    int saved = errno;
    ssize_t put = RETRY(send(fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL));

    if (put < 0 && errno == ENOTSOCK) {
        struct iovec all = { .iov_base = (void *)(uintptr_t)buf, .iov_len = size };

        put = RETRY(pwritev2(fd, &all, 1, -1, RWF_NOWAIT));
        if (put < 0 && knows_no_nowait()) {
            errno = EAGAIN;
            put = is_ready(fd, POLLOUT) ? RETRY(write(fd, buf, size < ONE_PIECE ? size : ONE_PIECE)) : -1;
        }
    }
    return outcome(put, saved);
}

ssize_t cdr_read_file(int fd, void *buf, size_t size)
{
    int saved = errno;

    return outcome(RETRY(read(fd, buf, size)), saved);
}

ssize_t cdr_write_file(int fd, const void *buf, size_t size)
{
    int saved = errno;

    return outcome(RETRY(write(fd, buf, size)), saved);
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

/* A plain thread may have SIGPIPE unblocked: it is blocked for the moment, and taken away if this raised it. */
ssize_t cdr_pipe_write(int fd, const void *buf, size_t size)
{
    const struct timespec at_once = { 0 };
    sigset_t pipe, before, pending;
    int saved = errno, error;
    ssize_t put;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    put = RETRY(write(fd, buf, size));
    error = errno;
    if (put < 0 && error == EPIPE && sigismember(&pending, SIGPIPE) != 1)
        while (sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return outcome(put, saved);
}
