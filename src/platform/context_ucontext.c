/* SPDX-License-Identifier: MIT
 * Machine contexts by ucontext(3), for processors without an assembly file and for comparing with those that have one. Slower:
 * every switch is two system calls, and it keeps the floating-point environment too. */

/* A fortified longjmp compares stack pointers, which says nothing on a stack that libc does not know. */
#undef _FORTIFY_SOURCE

#include "platform/context.h"

#ifdef CADRE_UCONTEXT

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

/* makecontext passes ints: a pointer travels as its two halves. */
static unsigned high_half(uintptr_t word) { return (unsigned)((uint64_t)word >> 32); }
static unsigned low_half(uintptr_t word) { return (unsigned)word; }
static uintptr_t whole(unsigned high, unsigned low) { return (uintptr_t)((uint64_t)high << 32 | low); }

static void context_start(unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
    void (*entry)(void *arg) = (void (*)(void *))whole(entry_high, entry_low);

    entry((void *)whole(arg_high, arg_low));
    abort(); /* an entry that returned has nowhere to go */
}

void cdr_context_init(struct cdr_context *context, void *low, void *high, void (*entry)(void *arg), void *arg)
{
    uintptr_t entry_word = (uintptr_t)entry, arg_word = (uintptr_t)arg;

    getcontext(&context->uc);
    context->uc.uc_stack.ss_sp = low;
    context->uc.uc_stack.ss_size = (size_t)((char *)high - (char *)low);
    context->uc.uc_link = NULL;
    makecontext(&context->uc, (void (*)(void))context_start, 4, high_half(entry_word), low_half(entry_word),
                high_half(arg_word), low_half(arg_word));
}

/* The signal mask stays the thread's, as it does in assembly: a task that moved must not unblock signals on a worker. */
void cdr_context_switch(struct cdr_context *from, struct cdr_context *to)
{
    pthread_sigmask(SIG_SETMASK, NULL, &to->uc.uc_sigmask);
    swapcontext(&from->uc, &to->uc);
}

int cdr_call(struct cdr_landing *landing, int (*fn)(struct cadre_ctx *ctx, void *arg), struct cadre_ctx *ctx, void *arg)
{
    if (_setjmp(landing->env) != 0)
        return landing->code;
    return fn(ctx, arg);
}

void cdr_land(struct cdr_landing *landing, int code)
{
    landing->code = code;
    _longjmp(landing->env, 1);
}

#endif
