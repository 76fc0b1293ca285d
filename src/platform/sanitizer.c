/* SPDX-License-Identifier: MIT
 * The notes about stacks that are made, used again and unmapped; those around a switch are in the header. */
#include "platform/sanitizer.h"

#include "platform/os.h"

#ifdef CDR_ASAN
#include <sanitizer/lsan_interface.h>
#endif

#ifdef __has_include
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(low, high) 0u
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

void cdr_note_stack_new(struct cdr_note_stack *note, void *low, void *high)
{
    *note = (struct cdr_note_stack){ .low = low, .size = (size_t)((char *)high - (char *)low) };
    note->valgrind = (unsigned)VALGRIND_STACK_REGISTER(low, (char *)high - 1);
#ifdef CDR_TSAN
    note->tsan = __tsan_create_fiber(0);
#endif
}

void cdr_note_stack_gone(struct cdr_note_stack *note)
{
    VALGRIND_STACK_DEREGISTER(note->valgrind);
#ifdef CDR_ASAN
    __asan_unpoison_memory_region(note->low, note->size); /* the shadow outlives the mapping */
#endif
#ifdef CDR_TSAN
    __tsan_destroy_fiber(note->tsan);
#endif
    *note = (struct cdr_note_stack){ .tsan = NULL };
}

void cdr_note_stack_native(struct cdr_note_stack *note)
{
    *note = (struct cdr_note_stack){ .tsan = NULL };
#ifdef CDR_ASAN
    uintptr_t low, high;

    cdr_thread_stack(&low, &high);
    note->low = (const void *)low;
    note->size = high - low;
#endif
#ifdef CDR_TSAN
    note->tsan = __tsan_get_current_fiber();
#endif
}

/* ThreadSanitizer's fiber still counts the calls that never returned, and has room for only so many: it gets a new one. */
void cdr_note_stack_reset(struct cdr_note_stack *note)
{
    (void)note;
#ifdef CDR_ASAN
    __asan_unpoison_memory_region(note->low, note->size);
    note->asan_fake = NULL;
#endif
#ifdef CDR_TSAN
    __tsan_destroy_fiber(note->tsan);
    note->tsan = __tsan_create_fiber(0);
#endif
}

void cdr_note_root(void *p, size_t size)
{
    (void)p, (void)size;
#ifdef CDR_ASAN
    __lsan_register_root_region(p, size);
#endif
}

void cdr_note_root_gone(void *p, size_t size)
{
    (void)p, (void)size;
#ifdef CDR_ASAN
    __lsan_unregister_root_region(p, size);
#endif
}
