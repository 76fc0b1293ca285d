/* SPDX-License-Identifier: MIT
 * Waiting for descriptors: who waits for which, in a table by number.
 *
 * Each call that waits puts an interest into its descriptor's list, under the descriptor's lock, and arms the descriptor in the poller for
 * all that is in the list, once: an event disarms it. Whoever gets the event from the poller, on whatever thread, takes the lock, wakes those
 * who are interested and arms again for the rest.
 *
 * Interleavings that matter:
 *   - The event comes before the call is parked: waking is by cdr_wait_claim and cdr_wait_finish, as for everything that blocks.
 *   - An event was collected, but not handed out, while its waiter left and another came: each arming has a number, which the event
 *     carries, and one of an older arming is dropped. Nothing is lost by that, as arming makes the kernel look again.
 *   - The descriptor was closed, by whomever, and the number is in use again: the kernel does not know the new one, so arming it fails.
 *     Those who still wait for the old one are told then that it is closed.
 *   - cadre_close while others wait: it takes them out of the list under the lock, and closes under it too, so that nobody can arm what is
 *     about to go.
 * Lock order: a descriptor's lock before a context's; cadre_poll holds one descriptor's lock at a time. */
#include <stdlib.h>

#include "base/check.h"
#include "io/descriptor.h"
#include "sched/poller.h"

struct interest {
    struct cdr_node node;
    struct cdr_block *block;
    uint32_t events;
};

struct descriptor {
    struct cdr_lock lock;
    uint32_t armed;  /* the number of the latest arming */
    uint32_t wanted; /* what the interests want, or more: some may have gone */
    uint32_t drained;
    struct cdr_node *interests;
};

/* The table grows by chunks that are never freed. */
enum { CHUNK = 1024, CHUNKS = 16384 };
static struct descriptor *table[CHUNKS];
static struct cdr_lock growing;

#define TROUBLE ((uint32_t)(POLLERR | POLLHUP | POLLNVAL)) /* which nobody needs to ask for */

/* After fork(2) nobody waits any more. */
static void forget(void)
{
    for (int i = 0; i < CHUNKS; i++)
        for (int j = 0; j < CHUNK && table[i] != NULL; j++)
            table[i][j] = (struct descriptor){ 0 };
    growing = (struct cdr_lock){ 0 };
}

static void happened(uint64_t tag, uint32_t events);

static __attribute__((constructor)) void begin(void)
{
    cdr_poller_event = happened;
    cdr_at_fork(NULL, NULL, forget);
}

static struct descriptor *look_up(int fd)
{
    struct descriptor *chunk = fd >= 0 && fd < CHUNK * CHUNKS ? cdr_load_acquire(&table[fd / CHUNK]) : NULL;

    return chunk != NULL ? &chunk[fd % CHUNK] : NULL;
}

static struct descriptor *need(int fd)
{
    struct descriptor **chunk = &table[fd / CHUNK];
    int saved = errno;

    if (cdr_unlikely(cdr_load_acquire(chunk) == NULL)) {
        cdr_lock(&growing);
        if (*chunk == NULL)
            cdr_store_release(chunk, calloc(CHUNK, sizeof(struct descriptor)));
        cdr_unlock(&growing);
        errno = saved;
    }
    return look_up(fd);
}

bool cdr_fd_is_drained(int fd)
{
    struct descriptor *d = look_up(fd);

    return d != NULL && cdr_load(&d->drained) != 0;
}

void cdr_fd_set_drained(int fd, bool drained)
{
    struct descriptor *d = look_up(fd);

    if (d != NULL && cdr_load(&d->drained) != drained)
        cdr_store(&d->drained, (uint32_t)drained);
}

static struct interest *interest_of(struct cdr_node *node) { return cdr_container_of(node, struct interest, node); }

/* ---- the lock is held ---- */

static void wake(struct descriptor *d, struct interest *interest, enum cdr_reason reason, uint32_t events)
{
    struct cdr_wait *wait = &interest->block->wait;

    cdr_list_remove(&d->interests, &interest->node);
    if (cdr_wait_claim(wait)) {
        wait->value = events;
        cdr_wait_finish(wait, reason);
    }
}

static void wake_all(struct descriptor *d, enum cdr_reason reason)
{
    while (d->interests != NULL)
        wake(d, interest_of(d->interests), reason, 0);
}

static uint64_t next_tag(struct descriptor *d, int fd) { return (uint64_t)++d->armed << 32 | (uint32_t)fd; }

/* Tell the kernel what is wanted, now with `interest` too, unless NULL. */
static int arm(struct descriptor *d, int fd, struct interest *interest)
{
    uint32_t events = interest != NULL ? interest->events : 0;
    int error;

    d->wanted = d->interests != NULL ? d->wanted | events : events;
    error = cdr_epoll_arm(cdr_poller.epoll, fd, d->wanted, next_tag(d, fd), false);
    if (error == -ENOENT || error == -EPERM || error == -EBADF) {
        wake_all(d, CDR_WOKEN_CLOSED); /* it was another descriptor that they wait for */
        d->wanted = events;
    }
    if (error == -ENOENT && interest != NULL)
        error = cdr_epoll_arm(cdr_poller.epoll, fd, events, next_tag(d, fd), true);
    if (error == 0 && interest != NULL)
        cdr_list_append(&d->interests, &interest->node);
    return error;
}

/* ---- */

static void happened(uint64_t tag, uint32_t events)
{
    int fd = (int)(uint32_t)tag;
    struct descriptor *d = look_up(fd);
    struct cdr_node *rest = NULL;
    uint32_t wanted = 0;

    cdr_lock(&d->lock);
    if (d->armed != (uint32_t)(tag >> 32)) {
        cdr_unlock(&d->lock);
        return;
    }
    while (d->interests != NULL) {
        struct interest *interest = interest_of(d->interests);

        if ((events & (interest->events | TROUBLE)) != 0) {
            wake(d, interest, CDR_WOKEN, events & (interest->events | TROUBLE));
        } else {
            cdr_list_remove(&d->interests, &interest->node);
            cdr_list_append(&rest, &interest->node);
            wanted |= interest->events;
        }
    }
    d->interests = rest;
    d->wanted = wanted;
    if (rest != NULL && arm(d, fd, NULL) < 0)
        wake_all(d, CDR_WOKEN_CLOSED);
    cdr_unlock(&d->lock);
}

static int enlist(int fd, struct interest *interest)
{
    struct descriptor *d;
    int error;

    if (fd < 0 || fd >= CHUNK * CHUNKS)
        return -EBADF;
    d = need(fd);
    if (d == NULL)
        return -ENOMEM;
    cdr_lock(&d->lock);
    error = arm(d, fd, interest);
    cdr_unlock(&d->lock);
    return error;
}

static void retract(int fd, struct interest *interest)
{
    struct descriptor *d = look_up(fd);

    cdr_lock(&d->lock);
    if (cdr_linked(&interest->node))
        cdr_list_remove(&d->interests, &interest->node);
    cdr_unlock(&d->lock);
}

/* What fd has now, under a context that has ended. */
static int look_once(int fd, uint32_t events, int error)
{
    struct pollfd one = { .fd = fd, .events = (short)events };
    int n = cdr_poll_now(&one, 1);

    if (n <= 0)
        return n < 0 ? n : error;
    return (one.revents & POLLNVAL) != 0 ? -EBADF : one.revents;
}

int cdr_wait_fd(struct cadre_ctx *ctx, struct cdr_fiber *fiber, int fd, uint32_t events)
{
    struct cdr_block block;
    struct interest interest = { .block = &block, .events = events };
    enum cdr_reason reason;
    int error = cdr_poller_need();

    if (error != 0)
        return error;
    error = cdr_block_enter(&block, fiber, ctx);
    if (error != 0) {
        (void)cadre_ctx_error(ctx); /* settles it, and runs its hooks */
        return look_once(fd, events, error);
    }
    error = enlist(fd, &interest);
    if (error == 0) {
        cdr_poller_wait_begins(fiber->worker);
        reason = cdr_block_park(&block, INT64_MAX);
        cdr_poller_wait_ends();
        retract(fd, &interest);
        error = reason == CDR_WOKEN ? (int)block.wait.value : reason == CDR_WOKEN_CLOSED ? -EBADF : cdr_block_error(&block, reason);
    }
    cdr_block_leave(&block);
    return error == -EPERM ? CDR_ALWAYS_READY : error;
}

int cadre_wait_fd(struct cadre_ctx *ctx, int fd, int events)
{
    struct cdr_worker *w = cdr_self();
    int result;

    if (events == 0 || (events & ~0xffff) != 0)
        return -EINVAL;
    if (w == NULL)
        return -ENOMEM;
    result = cdr_wait_fd(ctx, w->fiber, fd, (uint32_t)events);
    return result == CDR_ALWAYS_READY ? events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM) : result;
}

int cadre_close(int fd)
{
    struct descriptor *d = look_up(fd);
    int error;

    if (d == NULL)
        return cdr_close(fd);
    cdr_lock(&d->lock);
    wake_all(d, CDR_WOKEN_CLOSED);
    d->armed++; /* events that are under way are nobody's */
    cdr_store(&d->drained, 0u);
    if (cdr_load_acquire(&cdr_poller.open) != 0) /* not in the child of a fork */
        cdr_epoll_remove(cdr_poller.epoll, fd); /* not left to closing, as a child that is being started may hold a copy */
    error = cdr_close(fd);
    cdr_unlock(&d->lock);
    return error;
}

/* ---- several at once ---- */

/* Put an interest into the list of each of them. Returns how many of the n are through; fewer after an error, which is in *error. */
static size_t enlist_all(const struct pollfd *fds, struct interest *interests, size_t n, struct cdr_block *block, int *error)
{
    *error = 0;
    for (size_t i = 0; i < n; i++) {
        interests[i] = (struct interest){ .block = block, .events = (uint32_t)(unsigned short)fds[i].events };
        *error = fds[i].fd >= 0 ? enlist(fds[i].fd, &interests[i]) : 0;
        if (*error == -EPERM) /* a file, of which nothing is wanted that it has: so it will never be */
            *error = 0;
        if (*error != 0)
            return i;
    }
    return n;
}

/* Wait for any of them: 0 when it is worth another look, or a negative errno. */
static int wait_any(struct cadre_ctx *ctx, struct cdr_fiber *fiber, const struct pollfd *fds, struct interest *interests, size_t n,
                    cadre_time deadline)
{
    struct cdr_block block;
    size_t enlisted;
    enum cdr_reason reason;
    int result = cdr_block_enter(&block, fiber, ctx);

    if (result != 0)
        return result;
    enlisted = enlist_all(fds, interests, n, &block, &result);
    if (result == 0) {
        cdr_poller_wait_begins(fiber->worker);
        reason = cdr_block_park(&block, deadline);
        cdr_poller_wait_ends();
        if (reason == CDR_WOKEN_BY_CANCEL || (reason == CDR_WOKEN_BY_TIMER && block.deadline < deadline))
            result = cdr_block_error(&block, reason);
        else
            result = reason == CDR_WOKEN_CLOSED ? -EBADF : 0;
    } else {
        cdr_wait_claim(&block.wait); /* nobody need wake it */
        result = result == -EBADF ? 0 : result; /* looking at it will say so */
    }
    for (size_t i = 0; i < enlisted; i++)
        if (fds[i].fd >= 0)
            retract(fds[i].fd, &interests[i]);
    cdr_block_leave(&block);
    return result;
}

static int poll_with(struct cadre_ctx *ctx, struct cdr_fiber *fiber, struct pollfd *fds, struct interest *interests, size_t n, cadre_time deadline)
{
    int result;

    for (;;) {
        result = cdr_poll_now(fds, n);
        if (result != 0 || (deadline != CADRE_FOREVER && deadline <= cdr_now()))
            return result;
        result = wait_any(ctx, fiber, fds, interests, n, deadline);
        if (result < 0) {
            (void)cadre_ctx_error(ctx);
            return result;
        }
    }
}

int cadre_poll(struct cadre_ctx *ctx, struct pollfd *fds, size_t n, cadre_time deadline)
{
    enum { FEW = 16 };
    struct interest few[FEW], *interests = few;
    struct cdr_worker *w = cdr_self();
    int result = w == NULL ? -ENOMEM : cdr_poller_need(), saved = errno;

    if ((fds == NULL && n != 0) || deadline < 0)
        return -EINVAL;
    if (result != 0)
        return result;
    if (n > FEW && (interests = malloc(n * sizeof *interests)) == NULL)
        result = -ENOMEM;
    else
        result = poll_with(ctx, w->fiber, fds, interests, n, deadline != 0 ? deadline : CADRE_FOREVER);
    if (interests != few)
        free(interests);
    errno = saved;
    return result;
}
