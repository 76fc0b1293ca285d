/* SPDX-License-Identifier: MIT
 * What the library asks of the operating system: clock, futex and lock, threads, processors, barrier. */
#define _GNU_SOURCE 1
#include "test.h"

#include "child.h"

#include "platform/os.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>

#define MS INT64_C(1000000)
#define ODD_ERRNO 4242

/* ---- clock ---- */

static void the_clock_does_not_go_back(void **state)
{
    int64_t before = cdr_now();

    (void)state;
    assert_true(before > 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = cdr_now();

        assert_true(now >= before);
        before = now;
    }
}

/* ---- futex ---- */

static void a_wait_for_another_value_returns_at_once(void **state)
{
    uint32_t word = 1;

    (void)state;
    assert_int_equal(cdr_futex_wait(&word, 2, INT64_MAX), 0);
}

static void a_wait_times_out_at_its_deadline_and_not_before(void **state)
{
    int64_t deadline = cdr_now() + 5 * MS;
    uint32_t word = 1;
    int result;

    (void)state;
    do
        result = cdr_futex_wait(&word, 1, deadline);
    while (result == 0);
    assert_int_equal(result, -ETIMEDOUT);
    assert_true(cdr_now() >= deadline);
}

static void a_deadline_in_the_past_times_out(void **state)
{
    static const int64_t past[] = { 1, 0, -1, INT64_MIN };
    uint32_t word = 1;

    (void)state;
    for (size_t i = 0; i < sizeof past / sizeof *past; i++)
        assert_int_equal(cdr_futex_wait(&word, 1, past[i]), -ETIMEDOUT);
}

static void *wait_until_set(void *arg)
{
    uint32_t *word = arg;

    while (cdr_load_acquire(word) == 0)
        cdr_futex_wait(word, 0, INT64_MAX);
    return NULL;
}

static void a_wake_ends_every_wait(void **state)
{
    pthread_t threads[4];
    uint32_t word = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_until_set, &word), 0);
    cdr_store_release(&word, 1u);
    cdr_futex_wake(&word, INT_MAX);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void futex_calls_keep_errno(void **state)
{
    uint32_t word = 1;

    (void)state;
    errno = ODD_ERRNO;
    cdr_futex_wait(&word, 2, INT64_MAX);
    cdr_futex_wait(&word, 1, 1);
    cdr_futex_wake(&word, 1);
    assert_int_equal(errno, ODD_ERRNO);
}

/* ---- lock ---- */

struct counted {
    struct cdr_lock lock;
    int count; /* under lock */
};

static void *count_up(void *arg)
{
    struct counted *counted = arg;

    for (int i = 0; i < 20000; i++) {
        cdr_lock(&counted->lock);
        counted->count++;
        if (i % 1000 == 0)
            sched_yield(); /* so that others find it held and go to sleep */
        cdr_unlock(&counted->lock);
    }
    return NULL;
}

static void a_lock_lets_one_thread_in_at_a_time(void **state)
{
    struct counted counted = { { 0 }, 0 };
    pthread_t threads[6];

    (void)state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &counted), 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(counted.count, 6 * 20000);
    assert_int_equal(counted.lock.word, 0);
}

static void a_held_lock_cannot_be_taken(void **state)
{
    struct cdr_lock lock = { 0 };

    (void)state;
    assert_true(cdr_try_lock(&lock));
    assert_false(cdr_try_lock(&lock));
    cdr_unlock(&lock);
    assert_true(cdr_try_lock(&lock));
}

static void *take_and_release(void *arg)
{
    struct counted *counted = arg;

    cdr_lock(&counted->lock);
    counted->count++;
    cdr_unlock(&counted->lock);
    return NULL;
}

static void unlocking_wakes_a_sleeper(void **state)
{
    struct counted counted = { { 0 }, 0 };
    pthread_t thread;

    (void)state;
    cdr_lock(&counted.lock);
    assert_int_equal(pthread_create(&thread, NULL, take_and_release, &counted), 0);
    while (cdr_load_acquire(&counted.lock.word) != 2) /* it says so before it sleeps */
        sched_yield();
    cdr_unlock(&counted.lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(counted.count, 1);
}

/* ---- threads ---- */

struct thread_report {
    uint32_t done; /* atomic; the rest is written before it */
    char name[16];
    sigset_t mask;
    uintptr_t low, high, here;
};

static void report(void *arg)
{
    struct thread_report *r = arg;

    prctl(PR_GET_NAME, r->name);
    pthread_sigmask(SIG_SETMASK, NULL, &r->mask);
    cdr_thread_stack(&r->low, &r->high);
    r->here = (uintptr_t)__builtin_frame_address(0);
    cdr_store_release(&r->done, 1u);
    cdr_futex_wake(&r->done, 1);
}

static struct thread_report started_thread(const char *name)
{
    static struct thread_report r; /* the thread may still be waking us when this returns */

    memset(&r, 0, sizeof r);
    assert_int_equal(cdr_thread_start(report, &r, name), 0);
    wait_until_set(&r.done);
    return r;
}

static void a_thread_has_its_name(void **state)
{
    struct thread_report r = started_thread("cadre/7");

    (void)state;
    assert_string_equal(r.name, "cadre/7");
}

static void a_long_name_is_cut(void **state)
{
    struct thread_report r = started_thread("a name of more than fifteen characters");

    (void)state;
    assert_string_equal(r.name, "a name of more ");
}

static void a_thread_blocks_all_signals(void **state)
{
    static const int some[] = { SIGINT, SIGTERM, SIGHUP, SIGALRM, SIGCHLD, SIGUSR1, SIGUSR2, SIGPIPE, SIGPROF, SIGURG };
    struct thread_report r = started_thread("blocked");

    (void)state;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        assert_int_equal(sigismember(&r.mask, some[i]), 1);
}

static void starting_a_thread_keeps_mask_and_errno(void **state)
{
    sigset_t usual, only_usr1, after;

    (void)state;
    sigemptyset(&only_usr1);
    sigaddset(&only_usr1, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &only_usr1, &usual);
    errno = ODD_ERRNO;
    started_thread("keeps");
    assert_int_equal(errno, ODD_ERRNO);
    pthread_sigmask(SIG_SETMASK, &usual, &after);
    for (int sig = 1; sig < 32; sig++)
        assert_int_equal(sigismember(&after, sig), sig == SIGUSR1);
}

static void the_bounds_of_a_started_threads_stack_are_known(void **state)
{
    struct thread_report r = started_thread("bounds");

    (void)state;
    assert_true(r.low < r.here && r.here < r.high);
    assert_true(r.high - r.low >= (size_t)128 << 10);
}

static void the_bounds_of_the_main_threads_stack_are_known(void **state)
{
    uintptr_t low = 1, high = 1, here = (uintptr_t)__builtin_frame_address(0);

    (void)state;
    errno = ODD_ERRNO;
    cdr_thread_stack(&low, &high);
    assert_int_equal(errno, ODD_ERRNO);
    assert_true(low < here && here < high);
}

/* ---- processors ---- */

static void there_is_at_least_one_processor(void **state)
{
    cpu_set_t set;

    (void)state;
    errno = ODD_ERRNO;
    assert_in_range(cdr_cpu_count(), 1, 1 << 20);
    assert_int_equal(errno, ODD_ERRNO);
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_true(cdr_cpu_count() <= CPU_COUNT(&set));
}

static void run_on_one_processor(void *arg)
{
    cpu_set_t set, one;

    (void)arg;
    test_check(sched_getaffinity(0, sizeof set, &set) == 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set)) {
            CPU_SET(i, &one);
            break;
        }
    test_check(sched_setaffinity(0, sizeof one, &one) == 0);
    test_check(cdr_cpu_count() == 1);
}

static void the_affinity_mask_restricts_the_count(void **state)
{
    (void)state;
    assert_true(passed(in_child(run_on_one_processor, NULL)));
}

/* ---- membarrier ---- */

static void use_membarrier(void *arg)
{
    (void)arg;
    errno = ODD_ERRNO;
    if (cdr_membarrier_init())
        for (int i = 0; i < 10; i++)
            cdr_membarrier();
    test_check(errno == ODD_ERRNO);
}

static void membarrier_works_once_it_is_initialised(void **state)
{
    (void)state;
    assert_true(passed(in_child(use_membarrier, NULL)));
}

static void membarrier_without_init(void *arg)
{
    (void)arg;
    test_check(freopen("/dev/null", "w", stderr) != NULL);
    cdr_membarrier();
}

static void membarrier_without_init_ends_the_process(void **state)
{
    int status = in_child(membarrier_without_init, NULL);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void forbid_membarrier(void *arg)
{
    (void)arg;
    setenv("CADRE_NO_MEMBARRIER", "1", 1);
    test_check(!cdr_membarrier_init());
}

static void membarrier_can_be_forbidden_by_the_environment(void **state)
{
    (void)state;
    assert_true(passed(in_child(forbid_membarrier, NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_does_not_go_back),
        cmocka_unit_test(a_wait_for_another_value_returns_at_once),
        cmocka_unit_test(a_wait_times_out_at_its_deadline_and_not_before),
        cmocka_unit_test(a_deadline_in_the_past_times_out),
        cmocka_unit_test(a_wake_ends_every_wait),
        cmocka_unit_test(futex_calls_keep_errno),
        cmocka_unit_test(a_lock_lets_one_thread_in_at_a_time),
        cmocka_unit_test(a_held_lock_cannot_be_taken),
        cmocka_unit_test(unlocking_wakes_a_sleeper),
        cmocka_unit_test(a_thread_has_its_name),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(a_thread_blocks_all_signals),
        cmocka_unit_test(starting_a_thread_keeps_mask_and_errno),
        cmocka_unit_test(the_bounds_of_a_started_threads_stack_are_known),
        cmocka_unit_test(the_bounds_of_the_main_threads_stack_are_known),
        cmocka_unit_test(there_is_at_least_one_processor),
        cmocka_unit_test(the_affinity_mask_restricts_the_count),
        cmocka_unit_test(membarrier_works_once_it_is_initialised),
        cmocka_unit_test(membarrier_without_init_ends_the_process),
        cmocka_unit_test(membarrier_can_be_forbidden_by_the_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
