/* SPDX-License-Identifier: MIT
 * What AddressSanitizer, ThreadSanitizer, LeakSanitizer and Valgrind must be told about stacks and switches. Without them
 * the notes around a switch are nothing, and the others are empty calls. Valgrind's are compiled where its headers are. */
#ifndef CADRE_PLATFORM_SANITIZER_H
#define CADRE_PLATFORM_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __has_feature /* clang; gcc defines the names below itself */
#if __has_feature(address_sanitizer)
#define CDR_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define CDR_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define CDR_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define CDR_TSAN 1
#endif

#ifdef CDR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CDR_TSAN
#include <sanitizer/tsan_interface.h>
/* What a switch orders in ThreadSanitizer's eyes: nothing, so that only atomics do, even between fibers that run one after
 * the other on one thread; or, with CADRE_TSAN_THREAD_ORDER, what the thread's own order does. */
#ifndef CADRE_TSAN_FIBER_ORDER
#define CDR_TSAN_SWITCH 0
#else
#define CDR_TSAN_SWITCH __tsan_switch_to_fiber_no_sync
#endif
#endif

/* One per stack. Zeroed and unused without sanitizers. */
struct cdr_note_stack {
    void *tsan;      /* the fiber's handle */
    void *asan_fake; /* ASan's fake stack while switched out */
    const void *low; /* bounds, for ASan */
    size_t size;
    unsigned valgrind;
};

/* A stack [low, high), without its guard page, came into being / is about to be unmapped: by then nobody is on it. */
void cdr_note_stack_new(struct cdr_note_stack *note, void *low, void *high);
void cdr_note_stack_gone(struct cdr_note_stack *note);

/* The calling thread's own stack, about to take part in switches. */
void cdr_note_stack_native(struct cdr_note_stack *note);

/* The stack's content is dead and will be used again from the top: forget what was poisoned. Called from another stack,
 * after the last switch away and before the first switch to it. */
void cdr_note_stack_reset(struct cdr_note_stack *note);

/* Memory that LeakSanitizer must search for pointers, until it is about to be unmapped: slabs of stacks, for one. */
void cdr_note_root(void *p, size_t size);
void cdr_note_root_gone(void *p, size_t size);

/* The notes below are always inlined: ThreadSanitizer counts calls and returns for each fiber, and a note that is entered on
 * one fiber must not be left on another. */
#define CDR_NOTE static inline __attribute__((always_inline))

/* Around every switch: before it on the stack that is left, after it on the stack that is entered (also first in a new
 * stack's entry function). `dying`: the stack that is left will never be resumed where it was. */
CDR_NOTE void cdr_note_switch(struct cdr_note_stack *from, struct cdr_note_stack *to, bool dying)
{
    (void)from, (void)to, (void)dying;
#ifdef CDR_ASAN
    __sanitizer_start_switch_fiber(dying ? NULL : &from->asan_fake, to->low, to->size);
#endif
#ifdef CDR_TSAN
    __tsan_switch_to_fiber(to->tsan, CDR_TSAN_SWITCH);
#endif
}

CDR_NOTE void cdr_note_switched(struct cdr_note_stack *to)
{
    (void)to;
#ifdef CDR_ASAN
    void *fake = to->asan_fake;

    to->asan_fake = NULL;
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

/* Before abandoning frames of the running stack (cdr_land). */
CDR_NOTE void cdr_note_no_return(void)
{
#ifdef CDR_ASAN
    __asan_handle_no_return();
#endif
}

#endif
