/* SPDX-License-Identifier: MIT
 * golang.org/x/sync/errgroup: SetLimit and TryGo. */
#include "parity.h"

static void fill(struct cadre_group *g, struct crowd *crowd, int n)
{
    for (int i = 0; i < n; i++)
        test_check(cadre_go(g, crowd_task, crowd) == 0);
}

/* ---- SetLimit ---- */

static void test_errgroup_go_blocks_while_the_limit_is_reached(void **state)
{
    struct crowd first = { 0 }, next = { 0 };
    struct cadre_group g = { .limit = 3 };
    struct goer goer;

    (void)state;
    fill(&g, &first, 3);
    test_until(first.running == 3);
    goer_start(&goer, &g, &next);
    goer_stays(&goer);
    assert_int_equal(next.started, 0);
    gate_open(&first.gate);
    assert_int_equal(goer_join(&goer), 0);
    gate_open(&next.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(next.ended, 1);
}

static void test_errgroup_never_more_than_the_limit_run(void **state)
{
    static const int limits[] = { 1, 2, 3, 10 };

    (void)state;
    for (size_t l = 0; l < lengthof(limits); l++) {
        struct crowd crowd = { 0 };
        struct cadre_group g = { .limit = limits[l] };

        for (int i = 0; i < repeat(500, 50000); i++)
            assert_int_equal(cadre_go(&g, crowd_passer, &crowd), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_in_range(crowd.most, 1, limits[l]);
    }
}

static void test_errgroup_a_negative_limit_is_none(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 1 };

    (void)state;
    assert_int_equal(cadre_group_set_limit(&g, -1), 0);
    fill(&g, &crowd, 100);
    test_until(crowd.running == 100);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
}

static void test_errgroup_limit_0_lets_nothing_start(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { 0 };
    struct goer goer;

    (void)state;
    assert_int_equal(cadre_group_set_limit(&g, 0), 0);
    goer_start(&goer, &g, &crowd);
    goer_stays(&goer);
    assert_int_equal(crowd.started, 0);
    assert_int_equal(cadre_group_set_limit(&g, 1), 0);
    assert_int_equal(goer_join(&goer), 0);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, 1);
}

static void test_errgroup_a_lower_limit_counts_for_the_next_start(void **state)
{
    struct crowd first = { 0 }, next = { 0 };
    struct cadre_group g = { .limit = 5 };

    (void)state;
    fill(&g, &first, 5);
    test_until(first.running == 5);
    assert_int_equal(cadre_group_set_limit(&g, 2), 0); /* there it panics */
    assert_int_equal(cadre_try_go(&g, crowd_task, &next), -EAGAIN);
    gate_open(&first.gate);
    test_until(first.ended == 5);
    for (int i = 0; i < 20; i++)
        assert_int_equal(cadre_go(&g, crowd_passer, &next), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(next.ended, 20);
    assert_in_range(next.most, 1, 2);
}

static void test_errgroup_a_higher_limit_starts_who_waits(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 1 };
    struct goer goers[3];

    (void)state;
    fill(&g, &crowd, 1);
    for (size_t i = 0; i < lengthof(goers); i++)
        goer_start(&goers[i], &g, &crowd);
    assert_int_equal(cadre_group_set_limit(&g, 4), 0);
    test_until(crowd.running == 4);
    for (size_t i = 0; i < lengthof(goers); i++)
        assert_int_equal(goer_join(&goers[i]), 0);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- TryGo ---- */

static void test_errgroup_try_go_takes_42_of_42_and_refuses_the_43rd(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(20, 2000); round++) {
        struct crowd crowd = { 0 };
        struct cadre_group g = { .limit = 42 };

        for (int i = 0; i < 42; i++)
            assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), 0);
        assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), -EAGAIN);
        gate_open(&crowd.gate);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(crowd.ended, 42);
        assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(crowd.ended, 43);
        assert_int_equal(cadre_group_error_count(&g), 0);
    }
}

static void test_errgroup_try_go_is_refused_1024_times_at_limit_0(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int ran = 0;

    (void)state;
    assert_int_equal(cadre_group_set_limit(&g, 0), 0);
    for (int i = 0; i < 1024; i++)
        assert_int_equal(cadre_try_go(&g, count_task, &ran), -EAGAIN);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 0);
}

static void test_errgroup_try_go_without_limit_always_starts(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int ran = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(cadre_try_go(&g, count_task, &ran), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errgroup_go_blocks_while_the_limit_is_reached),
        cmocka_unit_test(test_errgroup_never_more_than_the_limit_run),
        cmocka_unit_test(test_errgroup_a_negative_limit_is_none),
        cmocka_unit_test(test_errgroup_limit_0_lets_nothing_start),
        cmocka_unit_test(test_errgroup_a_lower_limit_counts_for_the_next_start),
        cmocka_unit_test(test_errgroup_a_higher_limit_starts_who_waits),
        cmocka_unit_test(test_errgroup_try_go_takes_42_of_42_and_refuses_the_43rd),
        cmocka_unit_test(test_errgroup_try_go_is_refused_1024_times_at_limit_0),
        cmocka_unit_test(test_errgroup_try_go_without_limit_always_starts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
