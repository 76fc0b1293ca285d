/* SPDX-License-Identifier: MIT
 * Sleeping and waking by futex(2), and the slow ways through the lock. */
#define _GNU_SOURCE 1
#include "platform/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 32-bit systems have a call of their own for 64-bit times. */
#ifdef SYS_futex_time64
#define FUTEX_CALL SYS_futex_time64
#else
#define FUTEX_CALL SYS_futex
#endif

#define SPINS 100
#define NS_PER_SEC 1000000000

/* FUTEX_WAIT takes a duration; the bitset kind takes an absolute time and is otherwise the same. */
int cdr_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline)
{
    int64_t at = deadline > 0 ? deadline : 0;
    struct __kernel_timespec until = { .tv_sec = at / NS_PER_SEC, .tv_nsec = at % NS_PER_SEC };
    int saved = errno, result = 0;

    if (syscall(FUTEX_CALL, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, deadline == INT64_MAX ? NULL : &until,
                NULL, FUTEX_BITSET_MATCH_ANY) != 0 && errno == ETIMEDOUT)
        result = -ETIMEDOUT;
    errno = saved;
    return result;
}

void cdr_futex_wake(uint32_t *word, int count)
{
    int saved = errno;

    syscall(FUTEX_CALL, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    errno = saved;
}

/* Whoever has slept takes the lock in state 2, as others may sleep still: at worst one wake too many, never one too few. */
void cdr_lock_slow(struct cdr_lock *lock)
{
    for (int i = 0; i < SPINS; i++) {
        if (cdr_load(&lock->word) == 0 && cdr_try_lock(lock))
            return;
        cdr_spin_hint();
    }
    while (cdr_exchange(&lock->word, 2u) != 0)
        cdr_futex_wait(&lock->word, 2, INT64_MAX);
}

void cdr_lock_wake(struct cdr_lock *lock) { cdr_futex_wake(&lock->word, 1); }
