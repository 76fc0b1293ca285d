/* SPDX-License-Identifier: MIT
 * What the library asks of the operating system: time, threads that sleep and wake, memory, processors. */
#ifndef CADRE_PLATFORM_OS_H
#define CADRE_PLATFORM_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

/* ---- time (clock.c) ---- */

/* Nanoseconds on CLOCK_MONOTONIC. */
int64_t cdr_now(void);

/* ---- sleeping and waking (futex.c) ---- */

/* Sleep while *word == expected, until woken or `deadline` (absolute, INT64_MAX: none). May return early for no reason.
 * Returns 0 or -ETIMEDOUT. Keeps errno. */
int cdr_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline);

/* Wake up to `count` sleepers on word. Does not read *word, which may be gone already. Keeps errno. */
void cdr_futex_wake(uint32_t *word, int count);

/* A lock for short critical sections: spins a little, then sleeps. Zero is unlocked. The states are those of Drepper's
 * "Futexes Are Tricky": 0 free, 1 held, 2 held with sleepers. */
struct cdr_lock {
    uint32_t word;
};
void cdr_lock_slow(struct cdr_lock *lock);
void cdr_lock_wake(struct cdr_lock *lock);

static inline bool cdr_try_lock(struct cdr_lock *lock)
{
    uint32_t free = 0;

    return cdr_cas(&lock->word, &free, 1u);
}

static inline void cdr_lock(struct cdr_lock *lock)
{
    if (cdr_unlikely(!cdr_try_lock(lock)))
        cdr_lock_slow(lock);
}

static inline void cdr_unlock(struct cdr_lock *lock)
{
    if (cdr_unlikely(cdr_exchange(&lock->word, 0u) == 2))
        cdr_lock_wake(lock);
}

/* A hint to the processor that this is a spin loop. */
static inline void cdr_spin_hint(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#else
    __asm__ __volatile__("" ::: "memory");
#endif
}

/* ---- threads and processors (thread.c, cpu.c) ---- */

/* Start a detached thread with all signals blocked, named as ps shows it. 0 or a negative errno. */
int cdr_thread_start(void (*fn)(void *arg), void *arg, const char *name);

/* The calling thread's number, for the two below. */
int cdr_thread_id(void);

/* The processor time that a thread of this process has used, in nanoseconds; -1 when it cannot be told. */
int64_t cdr_thread_cpu(int id);

/* Is the thread asleep in the kernel, as opposed to running or waiting for a processor? -1 when it cannot be told. */
int cdr_thread_asleep(int id);

/* The bounds of the calling thread's stack, as far as they are known; both 0 when they are not. */
void cdr_thread_stack(uintptr_t *low, uintptr_t *high);

/* What to call when things end: all four are set once, before any thread calls cdr_thread_set_exit. */
struct cdr_lifecycle {
    void (*thread_exits)(void *arg); /* on a thread that gave arg to cdr_thread_set_exit */
    void (*before_fork)(void);
    void (*after_fork_in_parent)(void);
    void (*after_fork_in_child)(void);
};
void cdr_lifecycle_init(const struct cdr_lifecycle *lifecycle);

/* The same three moments around fork(2), for what other files guard with locks. From constructors only. */
void cdr_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));

/* NULL: nothing to do when this thread exits. */
void cdr_thread_set_exit(void *arg);

/* Let other threads run. */
void cdr_thread_yield(void);

/* The return addresses of the caller and its callers, innermost first. Returns how many. */
int cdr_backtrace(void **trace, int size);

/* How many threads can run at once: the affinity mask, cut down to the cgroup's CPU quota (v2 and v1, rounded up). At least 1. */
int cdr_cpu_count(void);

/* Make cdr_membarrier usable. False when the kernel (or an emulator) does not have it. Call once, before any cdr_membarrier. */
bool cdr_membarrier_init(void);

/* Every other thread of the process executes a full memory barrier before this returns. The expensive partner of
 * cdr_compiler_barrier. */
void cdr_membarrier(void);

/* ---- pthread mutexes, in debug builds (watch.c) ---- */

#define CDR_WHO_SIZE 96

struct cdr_mutex_watch {
    const void *(*running)(char *who, size_t size); /* the task that runs on the calling thread, and how to call it; or NULL */
    bool (*suspended)(const void *task);
};
void cdr_watch_mutexes(const struct cdr_mutex_watch *by);

/* ---- memory (memory.c) ---- */

/* Reserve zeroed memory, a multiple of the page size; touched pages become resident. NULL when there is none. */
void *cdr_map(size_t size);
void cdr_unmap(void *p, size_t size);

/* Give the pages back to the kernel; they read as zero afterwards. There must be no guard page among them. */
void cdr_discard(void *p, size_t size);

/* Reserve `count` stacks of `size` bytes, one after the other, each with a guard page at its low end: the usable part of
 * stack i is [base + i * size + cdr_page_size(), base + (i + 1) * size). NULL when there is no memory or no mapping left. */
void *cdr_stacks_map(size_t size, unsigned count);
void cdr_stacks_unmap(void *base, size_t size, unsigned count);
size_t cdr_page_size(void);

/* "guard-install" or "mprotect": how the guards are made on this kernel, for tests and dumps. */
const char *cdr_stack_guard_kind(void);

#endif
