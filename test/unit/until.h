/* SPDX-License-Identifier: MIT
 * Waiting for what another task or thread will do: words that are counted up, looked at until they are there. Include after
 * test.h and cadre.h. */
#ifndef CADRE_TEST_UNTIL_H
#define CADRE_TEST_UNTIL_H

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Far more than anything takes: when it is over, something hangs. */
#define TEST_BOUND CADRE_SEC(60)

static inline unsigned get(unsigned *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void set(unsigned *word, unsigned value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
static inline unsigned count(unsigned *word) { return __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL); }

/* Let others go on until *word has reached value. From a task or a thread. */
static inline void until(unsigned *word, unsigned value)
{
    cadre_time end = cadre_in(TEST_BOUND);

    while (get(word) < value) {
        test_check(cadre_now() < end);
        cadre_sleep(NULL, CADRE_US(50));
    }
}

/* The same without leaving the thread to anybody. */
static inline void spin_until(unsigned *word, unsigned value)
{
    cadre_time end = cadre_in(TEST_BOUND);

    while (get(word) < value)
        test_check(cadre_now() < end);
}

/* The same for code that must not enter the library. */
static inline void doze_until(unsigned *word, unsigned value)
{
    struct timespec pause = { 0, 50000 };

    for (int i = 0; get(word) < value; i++) {
        test_check(i < 1000000);
        nanosleep(&pause, NULL);
    }
}

/* Until the clock shows a later time than `when`. */
static inline void until_after(cadre_time when)
{
    while (cadre_now() <= when)
        cadre_sleep(NULL, when - cadre_now() + 1);
}

static inline unsigned thread_id(void) { return (unsigned)syscall(SYS_gettid); }

#endif
