/* SPDX-License-Identifier: MIT
 * Signals as events: each has a bell, a descriptor that counts how often it has come, and who waits for the signal waits for that. */
#include "io/descriptor.h"

/* pending: of those that all threads block. */
static int wait_for_one(struct cadre_ctx *ctx, const sigset_t *set, int pending)
{
    struct pollfd fds[CDR_SIGNALS + 1];
    size_t n = cdr_signals_bells(set, fds);
    int signal, result;

    fds[n++] = (struct pollfd){ .fd = pending, .events = POLLIN };
    do {
        if ((signal = cdr_signals_next(set)) != 0 || (signal = cdr_signals_read(pending)) != 0)
            return signal;
        result = cadre_poll(ctx, fds, n, 0);
    } while (result >= 0);
    return result;
}

int cadre_wait_signal(struct cadre_ctx *ctx, const sigset_t *set)
{
    int pending, result;

    if (set == NULL)
        return -EINVAL;
    result = cdr_signals_take(set);
    if (result != 0)
        return result;
    pending = cdr_signals_open(set);
    if (pending < 0)
        return pending;
    result = wait_for_one(ctx, set, pending);
    cadre_close(pending);
    return result;
}
