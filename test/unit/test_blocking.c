/* SPDX-License-Identifier: MIT
 * Ordinary blocking calls in tasks: others run meanwhile, on threads that come when they are needed and go away again. */
#include "test.h"

#include <unistd.h>

#include "tasks.h"
#include "threads.h"

#define STUCK 50

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MANY_SLEEPS 1
#elif defined(__has_feature)
#define MANY_SLEEPS (__has_feature(thread_sanitizer) || __has_feature(address_sanitizer))
#else
#define MANY_SLEEPS 0
#endif

/* Readers of a pipe that is empty at first. */
struct readers {
    int pipe[2];
    atomic_int inside, through;
    cadre_time ready_at, ran_at;
    int threads;
};

static int read_one(struct cadre_ctx *ctx, void *arg)
{
    struct readers *readers = arg;
    char byte;

    (void)ctx;
    atomic_fetch_add(&readers->inside, 1);
    test_check(read(readers->pipe[0], &byte, 1) == 1);
    atomic_fetch_add(&readers->through, 1);
    return 0;
}

/* Ready while the readers block; lets them go. */
static int let_go(struct cadre_ctx *ctx, void *arg)
{
    struct readers *readers = arg;
    char bytes[STUCK] = { 0 };

    (void)ctx;
    readers->ran_at = cadre_now();
    readers->threads = threads_now();
    test_check(write(readers->pipe[1], bytes, sizeof bytes) == sizeof bytes);
    return 0;
}

static void block_fifty(struct readers *readers, cadre_fn *and_then)
{
    struct cadre_group g = { 0 };

    test_check(pipe(readers->pipe) == 0);
    readers->ready_at = cadre_now();
    test_check(cadre_go(&g, and_then, readers) == 0); /* the newest goes first, so this one comes last, unless somebody steals it */
    for (int i = 0; i < STUCK; i++)
        test_check(cadre_go(&g, read_one, readers) == 0);
    test_check(cadre_wait(&g) == 0);
    test_check(readers->through == STUCK);
    close(readers->pipe[0]);
    close(readers->pipe[1]);
}

static int block_fifty_in_a_task(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    block_fifty(arg, let_go);
    return 0;
}

static void fifty_tasks_in_read_do_not_keep_a_ready_one_from_running(void **state)
{
    cadre_time worst = 0;

    (void)state;
    for (int i = 0; i < 10; i++) {
        struct readers readers = { 0 };
        struct cadre_group g = { 0 };

        assert_int_equal(cadre_go(&g, block_fifty_in_a_task, &readers), 0);
        assert_int_equal(cadre_wait(&g), 0);
        if (readers.ran_at - readers.ready_at > worst)
            worst = readers.ran_at - readers.ready_at;
        assert_true(readers.threads <= cadre_workers() + 256 + 3);
    }
    print_message("worst of 10: %.1f ms\n", (double)worst / 1e6);
    assert_true(worst < CADRE_SEC(10)); /* for ever, otherwise; bench/ has the time on a quiet machine */
}

static void a_plain_thread_that_helps_does_not_keep_others_waiting_either(void **state)
{
    struct readers readers = { 0 };

    (void)state;
    block_fifty(&readers, let_go);
}

static int wait_for_a_byte_written_by_a_timer(struct cadre_ctx *ctx, void *arg)
{
    struct readers *readers = arg;
    char bytes[STUCK] = { 0 };

    test_check(cadre_sleep(ctx, CADRE_MS(20)) == 0);
    test_check(write(readers->pipe[1], bytes, sizeof bytes) == sizeof bytes);
    return 0;
}

static void timers_fire_while_all_threads_are_stuck(void **state)
{
    struct readers readers = { 0 };

    (void)state;
    block_fifty(&readers, wait_for_a_byte_written_by_a_timer);
}

static int compute(struct cadre_ctx *ctx, void *arg)
{
    cadre_time end = cadre_in(CADRE_MS(5));
    volatile unsigned x = 0;

    (void)ctx;
    while (cadre_now() < end)
        x++;
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static void tasks_that_compute_add_no_threads(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int ran = 0;
    int most = 0;

    (void)state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(cadre_go(&g, compute, &ran), 0);
    while (atomic_load(&ran) < 150) {
        int now = threads_now();

        most = now > most ? now : most;
        usleep(2000);
    }
    assert_int_equal(cadre_wait(&g), 0);
    /* This thread, the workers, the monitor, and a helper of a sanitizer, in which threads do sleep now and then. */
    assert_true(most <= cadre_workers() + 3 + (MANY_SLEEPS ? 10 : 0));
}

static void threads_that_were_added_go_away_again(void **state)
{
    struct readers readers = { 0 };

    (void)state;
    block_fifty(&readers, let_go);
    test_until(threads_now() <= cadre_workers() + 3);
}

/* The digesters of a pipeline that sleep in the kernel, twenty at a time. */
static int nap(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    usleep(20000);
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static void twenty_sleepers_sleep_at_the_same_time(void **state)
{
    struct cadre_group g = { .limit = 20 };
    cadre_time start = cadre_now();
    atomic_int done = 0;

    (void)state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(cadre_go(&g, nap, &done), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(done, 200);
    print_message("200 naps of 20 ms, 20 at a time: %.0f ms\n", (double)(cadre_now() - start) / 1e6);
}

static int pinned_nap(struct cadre_ctx *ctx, void *arg)
{
    pthread_t self = pthread_self();

    for (int i = 0; i < 3; i++) {
        usleep(1000);
        test_check(cadre_sleep(ctx, CADRE_MS(1)) == 0);
        test_check(pthread_equal(self, pthread_self()));
    }
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static void pinned_tasks_keep_their_thread_while_threads_come_and_go(void **state)
{
    struct cadre_group g = { .flags = CADRE_PINNED };
    atomic_int done = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go(&g, pinned_nap, &done), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(done, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_that_compute_add_no_threads),
        cmocka_unit_test(fifty_tasks_in_read_do_not_keep_a_ready_one_from_running),
        cmocka_unit_test(a_plain_thread_that_helps_does_not_keep_others_waiting_either),
        cmocka_unit_test(timers_fire_while_all_threads_are_stuck),
        cmocka_unit_test(twenty_sleepers_sleep_at_the_same_time),
        cmocka_unit_test(pinned_tasks_keep_their_thread_while_threads_come_and_go),
        cmocka_unit_test(threads_that_were_added_go_away_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
