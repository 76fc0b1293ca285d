/* SPDX-License-Identifier: MIT
 * Machine contexts: start code on a stack of its own, switch between stacks, and leave a call early. In assembly for x86-64,
 * AArch64 and RISC-V 64 (context_<arch>.S), by ucontext(3) elsewhere and with -DCADRE_UCONTEXT=ON (context_ucontext.c). */
#ifndef CADRE_PLATFORM_CONTEXT_H
#define CADRE_PLATFORM_CONTEXT_H

#include <stddef.h>

#ifdef CADRE_UCONTEXT
#include <setjmp.h>
#include <ucontext.h>
struct cdr_context { /* points into itself: must stay where it was initialised */
    ucontext_t uc;
};
struct cdr_landing {
    jmp_buf env;
    int code;
};
#else
struct cdr_context {
    void *sp; /* everything else is saved on the stack it points to */
};
struct cdr_landing {
    void *sp;
};
#endif

/* Prepare `context` so that the first switch to it calls entry(arg) on the stack [low, high). entry never returns; the
 * unwind information says that its caller is nobody, so that debuggers stop there. */
void cdr_context_init(struct cdr_context *context, void *low, void *high, void (*entry)(void *arg), void *arg);

/* Save the running context in *from, which needs no initialisation, and go on with *to; neither is written once the stacks
 * have changed. Keeps what the ABI says a call keeps in integer and, where the ABI has them, floating-point registers. The
 * signal mask stays the thread's own, and so do the floating-point control words, which only ucontext switches too. */
void cdr_context_switch(struct cdr_context *from, struct cdr_context *to);

/* Call fn(ctx, arg) so that cdr_land(landing, code), from any depth below on the same stack, makes this call return code. */
struct cadre_ctx;
int cdr_call(struct cdr_landing *landing, int (*fn)(struct cadre_ctx *ctx, void *arg), struct cadre_ctx *ctx, void *arg);
__attribute__((noreturn)) void cdr_land(struct cdr_landing *landing, int code);

#endif
