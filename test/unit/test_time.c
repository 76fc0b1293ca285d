/* SPDX-License-Identifier: MIT
 * Time: the clock, deadlines, sleeping and yielding, also with a single worker. */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "cadre.h"
#include "child.h"
#include "until.h"

/* Run body in a child whose runtime has n workers. Before this process has threads: see main. */
static void with_workers(const char *n, void (*body)(void *arg))
{
    setenv("CADRE_WORKERS", n, 1);
    assert_true(passed(in_child(body, NULL)));
    unsetenv("CADRE_WORKERS");
}

/* ---- the clock ---- */

static void test_now_never_goes_back(void **state)
{
    cadre_time before = cadre_now();

    (void)state;
    assert_true(before > 0);
    for (int i = 0; i < 10000; i++) {
        cadre_time now = cadre_now();

        assert_true(now >= before);
        before = now;
    }
}

static void test_now_is_the_monotonic_clock(void **state)
{
    struct timespec at;
    cadre_time before = cadre_now(), between;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &at);
    between = CADRE_SEC(at.tv_sec) + at.tv_nsec;
    assert_true(before <= between && between <= cadre_now());
}

static void test_units_are_nanoseconds(void **state)
{
    (void)state;
    assert_true(CADRE_US(3) == 3000 && CADRE_MS(3) == 3000000 && CADRE_SEC(3) == 3000000000);
    assert_true(CADRE_SEC(-1) == -1000000000);
}

static void test_in_saturates_and_is_never_no_deadline(void **state)
{
    cadre_time now = cadre_now();

    (void)state;
    assert_true(cadre_in(CADRE_SEC(1)) >= now + CADRE_SEC(1));
    assert_true(cadre_in(CADRE_FOREVER) == CADRE_FOREVER);
    assert_true(cadre_in(CADRE_FOREVER - 1) == CADRE_FOREVER);
    assert_true(cadre_in(0) >= now && cadre_in(0) <= cadre_now());
    assert_true(cadre_in(-1000) < cadre_now());
    assert_true(cadre_in(INT64_MIN) != 0 && cadre_in(INT64_MIN) < now);
    assert_true(cadre_in(-cadre_now()) != 0);
}

/* ---- sleeping ---- */

static void check_sleeps(struct cadre_ctx *ctx)
{
    static const cadre_time durations[] = { 1, CADRE_US(1), CADRE_US(137), CADRE_MS(1), CADRE_MS(7) };

    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        cadre_time start = cadre_now();

        test_check(cadre_sleep(ctx, durations[i]) == 0);
        test_check(cadre_now() - start >= durations[i]);
    }
    test_check(cadre_sleep(ctx, 0) == 0);
    test_check(cadre_sleep(ctx, -1) == 0);
    test_check(cadre_sleep(ctx, INT64_MIN) == 0);
}

/* Returns at once from sleeps that would take for ever. */
static void check_ended_sleeps(struct cadre_ctx *ctx, int error)
{
    test_check(cadre_sleep(ctx, CADRE_FOREVER) == error);
    test_check(cadre_sleep(ctx, CADRE_SEC(3600)) == error);
    test_check(cadre_sleep(ctx, 0) == error);
    test_check(cadre_sleep(ctx, -1) == error);
}

static int sleeps(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx cancelled = { .parent = ctx }, expired = { .parent = ctx, .deadline = 1 };

    check_sleeps(ctx);
    check_sleeps(arg);
    cadre_ctx_cancel(&cancelled, 0, NULL);
    check_ended_sleeps(&cancelled, -ECANCELED);
    check_ended_sleeps(&expired, -ETIMEDOUT);
    return 0;
}

static void *sleeps_on_thread(void *arg)
{
    sleeps(NULL, arg);
    return NULL;
}

static void test_sleep_lasts_at_least_as_long_from_anywhere(void **state)
{
    struct cadre_group g = { 0 };
    pthread_t thread;

    (void)state;
    sleeps(NULL, NULL);
    assert_int_equal(pthread_create(&thread, NULL, sleeps_on_thread, NULL), 0);
    for (int i = 0; i < 4; i++)
        cadre_go(&g, sleeps, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    pthread_join(thread, NULL);
}

static int sleeps_under_deadline(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_MS(3)) };

    (void)arg;
    test_check(cadre_sleep(&soon, CADRE_FOREVER) == -ETIMEDOUT);
    test_check(cadre_now() >= soon.deadline);
    return 0;
}

static void test_a_deadline_cuts_a_sleep_short(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    sleeps_under_deadline(NULL, NULL);
    cadre_go(&g, sleeps_under_deadline, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

static int sleeps_for_ever(struct cadre_ctx *ctx, void *arg)
{
    count(arg);
    test_check(cadre_sleep(ctx, CADRE_FOREVER) == -ECANCELED);
    return 0;
}

static void test_a_cancel_cuts_a_sleep_short(void **state)
{
    struct cadre_group g = { 0 };
    unsigned asleep = 0;

    (void)state;
    for (int i = 0; i < 20; i++)
        cadre_go(&g, sleeps_for_ever, &asleep);
    until(&asleep, 20);
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- many sleepers ---- */

enum { SLEEPERS = 1000 };

struct crowd {
    struct cadre_group slow;
    unsigned asleep, awake;
};

static int sleeps_a_little(struct cadre_ctx *ctx, void *arg)
{
    struct crowd *crowd = arg;
    cadre_time start = cadre_now(), duration = CADRE_US(1 + (count(&crowd->asleep) * 7919) % 5000);

    test_check(cadre_sleep(ctx, duration) == 0);
    test_check(cadre_now() - start >= duration);
    count(&crowd->awake);
    return 0;
}

static int sleeps_an_hour(struct cadre_ctx *ctx, void *arg)
{
    struct crowd *crowd = arg;
    cadre_time duration = CADRE_SEC(3600) + CADRE_US(count(&crowd->asleep) * 7919 % SLEEPERS);

    test_check(cadre_sleep(ctx, duration) == -ECANCELED);
    return 0;
}

/* The short sleeps end, and none of the long ones, among which they lie in the timer queue. */
static void sleep_in_a_crowd(void *unused)
{
    struct crowd crowd = { 0 };
    struct cadre_group quick = { 0 };

    (void)unused;
    for (int i = 0; i < SLEEPERS; i++) {
        test_check(cadre_go(&crowd.slow, sleeps_an_hour, &crowd) == 0);
        test_check(cadre_go(&quick, sleeps_a_little, &crowd) == 0);
    }
    test_check(cadre_wait(&quick) == 0);
    test_check(get(&crowd.awake) == SLEEPERS);
    until(&crowd.asleep, 2 * SLEEPERS);
    cadre_group_cancel(&crowd.slow, 0, NULL);
    test_check(cadre_wait(&crowd.slow) == 0);
}

static void test_short_sleeps_end_among_a_thousand_long_ones(void **state)
{
    (void)state;
    sleep_in_a_crowd(NULL);
}

static void test_short_sleeps_end_with_one_worker(void **state)
{
    (void)state;
    with_workers("1", sleep_in_a_crowd);
}

/* One after the other, each is the only timer: when it is due somebody must be there to see it. */
static void test_lone_sleeps_all_end(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        struct crowd crowd = { .asleep = i };

        cadre_go(&g, sleeps_a_little, &crowd);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(get(&crowd.awake), 1);
    }
}

/* ---- yielding ---- */

static int says_so(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    count(arg);
    return 0;
}

static int sleeps_and_says_so(struct cadre_ctx *ctx, void *arg)
{
    test_check(cadre_sleep(ctx, CADRE_MS(1)) == 0);
    count(arg);
    return 0;
}

/* Nothing but yields until the word has reached 1. */
static int yields_until(struct cadre_ctx *ctx, void *arg)
{
    cadre_time end = cadre_in(TEST_BOUND);

    (void)ctx;
    while (get(arg) == 0) {
        test_check(cadre_now() < end);
        cadre_yield();
    }
    return 0;
}

static int yields_for_a_fresh_task(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group g = { .parent = ctx };
    unsigned said = 0;

    (void)arg;
    cadre_go(&g, says_so, &said);
    yields_until(ctx, &said);
    cadre_go(&g, sleeps_and_says_so, &said);
    while (get(&said) < 2)
        cadre_yield();
    return cadre_wait(&g);
}

static void yield_alone(void *unused)
{
    struct cadre_group g = { 0 };

    (void)unused;
    for (int i = 0; i < 20; i++)
        cadre_go(&g, yields_for_a_fresh_task, NULL);
    test_check(cadre_wait(&g) == 0);
}

static void test_yield_lets_tasks_run_that_it_started(void **state)
{
    (void)state;
    yield_alone(NULL);
}

static void test_yield_lets_tasks_run_with_one_worker(void **state)
{
    (void)state;
    with_workers("1", yield_alone);
}

static void *starts_from_outside(void *word)
{
    struct cadre_group g = { 0 };
    unsigned said = 0;

    for (int i = 0; i < 20; i++) {
        cadre_go(&g, i % 2 == 0 ? says_so : sleeps_and_says_so, &said);
        test_check(cadre_wait(&g) == 0);
    }
    test_check(get(&said) == 20);
    set(word, 1);
    return NULL;
}

/* Tasks that do nothing but yield keep out neither what other threads start nor who sleeps. */
static void yield_while_others_start(void *unused)
{
    struct cadre_group g = { 0 };
    unsigned over = 0;
    pthread_t thread;

    (void)unused;
    for (int i = 0; i < 4; i++)
        cadre_go(&g, yields_until, &over);
    test_check(pthread_create(&thread, NULL, starts_from_outside, &over) == 0);
    test_check(cadre_wait(&g) == 0);
    pthread_join(thread, NULL);
}

static void test_a_yield_loop_starves_nobody(void **state)
{
    (void)state;
    yield_while_others_start(NULL);
}

static void test_a_yield_loop_starves_nobody_with_one_worker(void **state)
{
    (void)state;
    with_workers("1", yield_while_others_start);
}

static int ping_pongs(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_chan **ends = arg;
    unsigned ball;

    for (int i = 0; i < 200; i++) {
        test_check(cadre_recv(ctx, ends[0], &ball) == 0);
        test_check(cadre_send(ctx, ends[1], &ball) == 0);
    }
    return 0;
}

/* Two that wake each other over and over do not keep out a third that yields, nor a sleeper. */
static void ping_pong_beside_others(void *unused)
{
    unsigned slots[2] = { 0 }, ball = 0, slept = 0;
    struct cadre_chan there = { .size = sizeof ball, .capacity = 1, .slots = &slots[0] };
    struct cadre_chan back = { .size = sizeof ball, .capacity = 1, .slots = &slots[1] };
    struct cadre_chan *first[] = { &there, &back }, *second[] = { &back, &there };
    struct cadre_group g = { 0 };

    (void)unused;
    test_check(cadre_send(NULL, &there, &ball) == 0);
    cadre_go(&g, yields_until, &slept);
    cadre_go(&g, ping_pongs, first);
    cadre_go(&g, ping_pongs, second);
    cadre_go(&g, sleeps_and_says_so, &slept);
    test_check(cadre_wait(&g) == 0);
    test_check(cadre_recv(NULL, &there, &ball) == 0);
}

static void test_ping_pong_starves_nobody_with_one_worker(void **state)
{
    (void)state;
    with_workers("1", ping_pong_beside_others);
}

int main(void)
{
    /* Children first: ThreadSanitizer lets no child start threads once the parent has some. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_sleeps_end_with_one_worker),
        cmocka_unit_test(test_yield_lets_tasks_run_with_one_worker),
        cmocka_unit_test(test_a_yield_loop_starves_nobody_with_one_worker),
        cmocka_unit_test(test_ping_pong_starves_nobody_with_one_worker),
        cmocka_unit_test(test_now_never_goes_back),
        cmocka_unit_test(test_now_is_the_monotonic_clock),
        cmocka_unit_test(test_units_are_nanoseconds),
        cmocka_unit_test(test_in_saturates_and_is_never_no_deadline),
        cmocka_unit_test(test_sleep_lasts_at_least_as_long_from_anywhere),
        cmocka_unit_test(test_a_deadline_cuts_a_sleep_short),
        cmocka_unit_test(test_a_cancel_cuts_a_sleep_short),
        cmocka_unit_test(test_short_sleeps_end_among_a_thousand_long_ones),
        cmocka_unit_test(test_lone_sleeps_all_end),
        cmocka_unit_test(test_yield_lets_tasks_run_that_it_started),
        cmocka_unit_test(test_a_yield_loop_starves_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
