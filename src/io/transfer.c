/* SPDX-License-Identifier: MIT
 * Reading, writing and connecting: try, and when that would block, wait and try again. */
#include "io/descriptor.h"

enum {
    EAGER = 64, /* calls in a row that need not wait; then others have a turn */
    VAIN = 8,   /* calls in a row that could not be made though fd was ready */
};

static void have_manners(const struct cdr_fiber *fiber)
{
    struct cdr_worker *w = fiber->worker;
    uint32_t picks = cdr_load(&w->picks);

    if (fiber->native)
        return;
    if (w->eager_picks != picks) {
        w->eager_picks = picks;
        w->eager = 0;
    }
    if (++w->eager >= EAGER)
        cadre_yield();
}

/* One call, with its arguments. */
struct transfer {
    struct cdr_fiber *fiber; /* the running one: see cdr_wait_fd */
    ssize_t (*now)(struct transfer *t);  /* -EAGAIN: it would block */
    ssize_t (*file)(struct transfer *t); /* for what cannot be waited for, and may block */
    int fd, flags;
    bool wait_first; /* there will be nothing: cdr_fd_is_drained */
    void *buf;
    const void *from;
    size_t size;
    struct sockaddr *addr;
    socklen_t *addr_size;
    struct msghdr *message;
    const struct msghdr *send;
};

/* Else SIGPIPE may come, which on the pool's threads is blocked. */
static bool on_pool(const struct transfer *t) { return t->fiber->worker->pool; }

static ssize_t read_now(struct transfer *t)
{
    ssize_t got = t->wait_first ? -EAGAIN : cdr_read_now(t->fd, t->buf, t->size);

    t->wait_first = false;
    if (got > 0)
        cdr_fd_set_drained(t->fd, (size_t)got < t->size);
    return got;
}
static ssize_t read_file(struct transfer *t) { return cdr_read_file(t->fd, t->buf, t->size); }
static ssize_t write_now(struct transfer *t) { return cdr_write_now(t->fd, t->from, t->size, !on_pool(t)); }
static ssize_t write_file(struct transfer *t) { return cdr_write_file(t->fd, t->from, t->size, !on_pool(t)); }
static ssize_t accept_now(struct transfer *t) { return cdr_accept_now(t->fd, t->addr, t->addr_size); }
static ssize_t recvmsg_now(struct transfer *t) { return cdr_recvmsg_now(t->fd, t->message, t->flags); }
static ssize_t sendmsg_now(struct transfer *t) { return cdr_sendmsg_now(t->fd, t->send, t->flags); }

/* Ask for the running fiber, once. */
static bool begin(struct transfer *t)
{
    struct cdr_worker *w = cdr_self();

    t->fiber = w != NULL ? w->fiber : NULL;
    return w != NULL;
}

static ssize_t transfer(struct cadre_ctx *ctx, struct transfer *t, uint32_t events)
{
    ssize_t got;

    have_manners(t->fiber);
    for (int vain = 0; (got = t->now(t)) == -EAGAIN; vain++) {
        /* A local datagram socket is ready to be written to as long as it has room itself, whether the receiver has or not. */
        int ready = vain < VAIN ? cdr_wait_fd(ctx, t->fiber, t->fd, events) : cadre_sleep(ctx, CADRE_MS(1));

        if (vain >= VAIN && ready == 0) {
            vain = -1; /* others may just have been faster */
            continue;
        }

        if (ready < 0)
            return ready;
        if (ready == CDR_ALWAYS_READY)
            return t->file(t);
    }
    return got;
}

ssize_t cadre_read(struct cadre_ctx *ctx, int fd, void *buf, size_t size)
{
    struct transfer t = { .now = read_now, .file = read_file, .fd = fd, .buf = buf, .size = size };

    if (buf == NULL && size != 0)
        return -EINVAL;
    t.wait_first = size > 0 && cdr_fd_is_drained(fd);
    return begin(&t) ? transfer(ctx, &t, POLLIN) : -ENOMEM;
}

ssize_t cadre_write(struct cadre_ctx *ctx, int fd, const void *buf, size_t size)
{
    struct transfer t = { .now = write_now, .file = write_file, .fd = fd, .from = buf, .size = size };

    if ((buf == NULL && size != 0) || (ssize_t)size < 0)
        return -EINVAL;
    if (!begin(&t))
        return -ENOMEM;
    do {
        ssize_t put = transfer(ctx, &t, POLLOUT);

        if (put < 0)
            return put;
        if (put > 0) /* from may be NULL, with nothing to write */
            t.from = (const char *)t.from + put;
        t.size -= (size_t)put;
    } while (t.size > 0);
    return (ssize_t)size;
}

int cadre_accept(struct cadre_ctx *ctx, int fd, struct sockaddr *addr, unsigned int *size)
{
    struct transfer t = { .now = accept_now, .file = accept_now, .fd = fd, .addr = addr, .addr_size = size };
    int got;

    if ((addr == NULL) != (size == NULL))
        return -EINVAL;
    if (!begin(&t))
        return -ENOMEM;
    do
        got = (int)transfer(ctx, &t, POLLIN);
    while (got == -ECONNABORTED); /* it was gone before we came */
    return got;
}

int cadre_connect(struct cadre_ctx *ctx, int fd, const struct sockaddr *addr, unsigned int size)
{
    struct cdr_worker *w = cdr_self();
    struct cdr_fiber *fiber = w != NULL ? w->fiber : NULL;
    cadre_time pause = CADRE_US(100);
    int result;

    if (addr == NULL || w == NULL)
        return addr == NULL ? -EINVAL : -ENOMEM;
    /* A local socket whose listener has no room says EAGAIN, and nothing tells when it has. */
    while ((result = cdr_connect_now(fd, addr, size)) == -EAGAIN) {
        result = cadre_sleep(ctx, pause);
        if (result != 0)
            return result;
        pause = pause < CADRE_MS(10) ? pause * 2 : pause;
    }
    if (result != -EINPROGRESS && result != -EALREADY)
        return result;
    result = cdr_wait_fd(ctx, fiber, fd, POLLOUT);
    return result < 0 ? result : cdr_connect_result(fd);
}

ssize_t cadre_recvmsg(struct cadre_ctx *ctx, int fd, struct msghdr *message, int flags)
{
    struct transfer t = { .now = recvmsg_now, .file = recvmsg_now, .fd = fd, .flags = flags, .message = message };

    return message == NULL ? -EINVAL : begin(&t) ? transfer(ctx, &t, POLLIN) : -ENOMEM;
}

ssize_t cadre_sendmsg(struct cadre_ctx *ctx, int fd, const struct msghdr *message, int flags)
{
    struct transfer t = { .now = sendmsg_now, .file = sendmsg_now, .fd = fd, .flags = flags, .send = message };

    return message == NULL ? -EINVAL : begin(&t) ? transfer(ctx, &t, POLLOUT) : -ENOMEM;
}
