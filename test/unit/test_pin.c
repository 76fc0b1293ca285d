/* SPDX-License-Identifier: MIT
 * Which thread a task runs on: pinned tasks stay, others move as soon as their thread is busy with something else. */
#include "test.h"

#include "cadre.h"
#include "moving.h"
#include "until.h"

static void check_stays(struct cadre_ctx *ctx)
{
    unsigned here = thread_id();

    for (int i = 0; i < 30; i++) {
        cadre_yield();
        test_check(thread_id() == here);
        test_check(cadre_sleep(ctx, CADRE_US(10)) == 0);
        test_check(thread_id() == here);
    }
}

/* ---- pin and unpin ---- */

static int pins(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    cadre_sleep(ctx, CADRE_US(10));
    cadre_pin();
    check_stays(ctx);
    cadre_unpin();
    cadre_sleep(ctx, CADRE_US(10));
    return 0;
}

static void test_a_pinned_task_stays_on_its_thread(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 50; i++)
        cadre_go(&g, pins, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

static int pins_twice(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    cadre_pin();
    cadre_pin();
    cadre_unpin();
    check_stays(ctx); /* one is left */
    cadre_unpin();
    return 0;
}

static void test_pins_nest(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 50; i++)
        cadre_go(&g, pins_twice, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

static void test_a_plain_thread_is_pinned_anyway(void **state)
{
    (void)state;
    cadre_pin();
    check_stays(NULL);
    cadre_unpin();
    cadre_unpin(); /* nothing to count there */
    check_stays(NULL);
}

/* An inner group's tasks run on the waiter's stack: their pins are theirs. */
static int pins_and_forgets(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    cadre_pin();
    cadre_pin();
    return 0;
}

static int waits_for_pinned(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };

    cadre_go(&inner, pins_and_forgets, NULL);
    test_check(cadre_wait(&inner) == 0);
    return moves(ctx, arg);
}

static void test_a_pin_ends_with_its_task(void **state)
{
    (void)state;
    if (cadre_workers() < 2)
        skip();
    assert_true(run_until_moved(waits_for_pinned) > 0);
}

/* ---- pinned groups ---- */

static int stays(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    check_stays(ctx);
    return 0;
}

static int waits_and_stays(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx, .flags = arg != NULL ? CADRE_PINNED : 0 };
    unsigned here = thread_id();

    for (int i = 0; i < 4; i++)
        cadre_go(&inner, stays, NULL);
    test_check(cadre_wait(&inner) == 0);
    test_check(thread_id() == here);
    return 0;
}

static int starts_pinned_ones(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group g = { .parent = ctx, .flags = CADRE_PINNED };

    for (int i = 0; i < 10; i++)
        cadre_go(&g, arg != NULL ? waits_and_stays : stays, arg);
    return cadre_wait(&g);
}

static void test_a_pinned_groups_tasks_stay(void **state)
{
    struct cadre_group g = { .flags = CADRE_PINNED };

    (void)state;
    for (int i = 0; i < 50; i++) /* by a plain thread */
        cadre_go(&g, stays, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

static void test_a_pinned_group_may_be_started_by_tasks_and_nest(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 5; i++) {
        cadre_go(&g, starts_pinned_ones, NULL);
        cadre_go(&g, starts_pinned_ones, &g);
    }
    assert_int_equal(cadre_wait(&g), 0);
}

/* A pinned task goes on only when its thread is free, also when that thread has parked meanwhile. */
static int blocks_pinned(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_chan *c = arg;
    unsigned here = thread_id(), value;

    for (int i = 0; i < 50; i++) {
        test_check(cadre_recv(ctx, c, &value) == 0);
        test_check(thread_id() == here);
    }
    return 0;
}

static void test_a_pinned_task_is_woken_from_any_thread(void **state)
{
    struct cadre_group g = { .flags = CADRE_PINNED };
    struct cadre_chan c = { .size = sizeof(unsigned) };

    (void)state;
    for (int i = 0; i < 4; i++)
        cadre_go(&g, blocks_pinned, &c);
    for (unsigned i = 0; i < 200; i++) {
        if (i % 20 == 0)
            cadre_sleep(NULL, CADRE_MS(1)); /* let the workers park */
        assert_int_equal(cadre_send(NULL, &c, &i), 0);
    }
    assert_int_equal(cadre_wait(&g), 0);
    cadre_chan_finish(&c);
}

/* ---- moving ---- */

static void test_a_task_whose_thread_is_busy_goes_on_elsewhere(void **state)
{
    (void)state;
    if (cadre_workers() < 2)
        skip();
    assert_true(run_until_moved(moves) >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pinned_task_stays_on_its_thread),
        cmocka_unit_test(test_pins_nest),
        cmocka_unit_test(test_a_plain_thread_is_pinned_anyway),
        cmocka_unit_test(test_a_pin_ends_with_its_task),
        cmocka_unit_test(test_a_pinned_groups_tasks_stay),
        cmocka_unit_test(test_a_pinned_group_may_be_started_by_tasks_and_nest),
        cmocka_unit_test(test_a_pinned_task_is_woken_from_any_thread),
        cmocka_unit_test(test_a_task_whose_thread_is_busy_goes_on_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
