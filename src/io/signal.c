/* SPDX-License-Identifier: MIT
 * Signals as events: a handler counts them and rings a bell, a descriptor that whoever waits for a signal waits for. */
#include "io/descriptor.h"
#include "sched/worker.h"

static struct cdr_lock lock;
static int bell_open; /* the bell's descriptor + 1 */

static void forget(void)
{
    if (bell_open != 0)
        cdr_close(bell_open - 1);
    bell_open = 0;
    lock = (struct cdr_lock){ 0 };
}
static __attribute__((constructor)) void survive_fork(void) { cdr_at_fork(NULL, NULL, forget); }

/* The bell, which stays open for ever: a handler may ring it at any time. */
static int need_bell(void)
{
    int bell;

    cdr_lock(&lock);
    bell = bell_open != 0 ? bell_open - 1 : cdr_bell_open();
    if (bell >= 0)
        bell_open = bell + 1;
    cdr_unlock(&lock);
    return bell;
}

static int wait_for_one(struct cadre_ctx *ctx, const sigset_t *set, int bell, int pending)
{
    struct pollfd fds[] = { { .fd = bell, .events = POLLIN }, { .fd = pending, .events = POLLIN } };
    int signal, result;

    for (;;) {
        if ((signal = cdr_signals_next(set)) != 0 || (signal = cdr_signals_read(pending)) != 0)
            return signal;
        result = cadre_poll(ctx, fds, 2, 0);
        if (result < 0)
            return result;
        if (fds[0].revents != 0)
            cdr_bell_clear(bell);
    }
}

int cadre_wait_signal(struct cadre_ctx *ctx, const sigset_t *set)
{
    int bell, pending, result;

    if (set == NULL)
        return -EINVAL;
    bell = need_bell();
    if (bell < 0)
        return bell;
    result = cdr_signals_take(set, bell);
    if (result != 0)
        return result;
    pending = cdr_signals_open(set);
    result = pending < 0 ? pending : wait_for_one(ctx, set, bell, pending);
    if (pending >= 0)
        cadre_close(pending);
    cdr_signals_leave(set);
    if (cdr_signals_left())
        cdr_bell_ring(bell);
    return result;
}
