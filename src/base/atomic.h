/* SPDX-License-Identifier: MIT
 * Atomic access to plain integers and pointers, named by its memory order. The public header must stay usable from C++, so its
 * private fields are plain; these are thin names for the compiler's builtins, which work on them. */
#ifndef CADRE_BASE_ATOMIC_H
#define CADRE_BASE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define cdr_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define cdr_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define cdr_load_seq(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define cdr_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define cdr_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define cdr_store_seq(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define cdr_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define cdr_exchange_seq(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define cdr_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define cdr_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define cdr_add_seq(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define cdr_sub(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
#define cdr_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL)
#define cdr_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_ACQ_REL)

/* Compare and swap: acquire and release on success, acquire on failure; *expected is updated on failure. */
#define cdr_cas(p, expected, v) \
    __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define cdr_cas_seq(p, expected, v) \
    __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#define cdr_fence_seq() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Keeps the compiler, not the processor, from moving memory accesses across. The partner of a membarrier(2). */
#define cdr_compiler_barrier() __asm__ __volatile__("" ::: "memory")

#define cdr_likely(x) __builtin_expect(!!(x), 1)
#define cdr_unlikely(x) __builtin_expect(!!(x), 0)
#define cdr_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* On its own cache line, away from what other threads write. */
#define CDR_CACHE_LINE 64
#define CDR_OWN_LINE __attribute__((aligned(CDR_CACHE_LINE)))

#endif
