/* SPDX-License-Identifier: MIT
 * Repeated starts: how often they run, what they skip, and how they end. */
#include "test.h"

#include "tasks.h"

/* A repeated task that counts its runs, and whose argument is dropped once. */
struct beat {
    struct gate gate;
    atomic_int runs, running, most, dropped;
    int code, fail_at, panic_at;
    bool gated;
};

static int beat(struct cadre_ctx *ctx, void *arg)
{
    struct beat *b = arg;
    int run = atomic_fetch_add(&b->runs, 1) + 1, now = atomic_fetch_add(&b->running, 1) + 1;
    int code = 0;

    if (now > atomic_load(&b->most))
        atomic_store(&b->most, now);
    if (b->gated)
        code = gate_pass(ctx, &b->gate);
    atomic_fetch_sub(&b->running, 1);
    if (run == b->panic_at)
        cadre_panic("run %d", run);
    return run == b->fail_at ? b->code : code;
}

static void beat_drop(void *arg) { atomic_fetch_add(&((struct beat *)arg)->dropped, 1); }

static void it_runs_again_and_again_until_it_is_cancelled(void **state)
{
    struct cadre_group g = { .drop = beat_drop };
    struct cadre_delayed d;
    struct beat b = { 0 };

    (void)state;
    assert_int_equal(cadre_go_every(&g, CADRE_US(200), beat, &b, &d), 0);
    test_until(atomic_load(&b.runs) >= 10);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 1);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(b.dropped, 1);
    assert_int_equal(b.most, 1);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 0);
}

static void it_keeps_to_its_rate(void **state)
{
    struct cadre_group g = { 0 };
    struct cadre_delayed d;
    cadre_time start = cadre_now();
    struct beat b = { 0 };

    (void)state;
    assert_int_equal(cadre_go_every(&g, CADRE_MS(2), beat, &b, &d), 0);
    test_until(atomic_load(&b.runs) >= 20);
    assert_true(cadre_now() >= start + CADRE_MS(2) * 20); /* never faster */
    assert_int_equal(cadre_delayed_cancel(&g, &d), 1);
    assert_int_equal(cadre_wait(&g), 0);
}

static void a_run_that_is_still_going_on_makes_it_skip(void **state)
{
    struct cadre_group g = { .drop = beat_drop };
    struct beat b = { .gated = true };
    struct cadre_delayed d;

    (void)state;
    assert_int_equal(cadre_go_every(&g, CADRE_US(100), beat, &b, &d), 0);
    test_until(atomic_load(&b.running) == 1);
    assert_int_equal(cadre_sleep(NULL, CADRE_MS(20)), 0);
    assert_int_equal(b.runs, 1);
    gate_open(&b.gate);
    test_until(atomic_load(&b.runs) >= 3);
    assert_int_equal(b.most, 1);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 1);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(b.dropped, 1);
}

static void cancelled_while_it_runs_it_ends_after_that_run(void **state)
{
    struct cadre_group g = { .drop = beat_drop };
    struct beat b = { .gated = true };
    struct cadre_delayed d;

    (void)state;
    assert_int_equal(cadre_go_every(&g, CADRE_US(100), beat, &b, &d), 0);
    test_until(atomic_load(&b.running) == 1);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 1);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 0);
    assert_int_equal(b.dropped, 0);
    gate_open(&b.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(b.runs, 1);
    assert_int_equal(b.dropped, 1);
}

static void a_group_cancel_ends_it_whether_it_runs_or_waits(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct cadre_group g = { .drop = beat_drop, .limit = i % 2 };
        struct beat b = { .gated = i % 4 < 2 };

        assert_int_equal(cadre_go_every(&g, CADRE_US(20), beat, &b, NULL), 0);
        if (i % 3 == 0)
            test_until(atomic_load(&b.runs) >= 1);
        cadre_group_cancel(&g, 0, NULL);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(b.dropped, 1);
        assert_int_equal(b.running, 0);
    }
}

static void a_failing_run_ends_it_only_if_the_group_says_so(void **state)
{
    struct cadre_group lenient = { .drop = beat_drop }, strict = { .drop = beat_drop, .flags = CADRE_CANCEL_ON_ERROR };
    struct beat b = { .fail_at = 2, .code = -EIO, .panic_at = 3 }, c = { .fail_at = 2, .code = -EIO };
    struct cadre_delayed d;

    (void)state;
    assert_int_equal(cadre_go_every(&lenient, CADRE_US(100), beat, &b, &d), 0);
    test_until(atomic_load(&b.runs) >= 5);
    assert_int_equal(cadre_delayed_cancel(&lenient, &d), 1);
    assert_int_equal(cadre_wait(&lenient), -EIO);
    assert_int_equal(cadre_group_error_count(&lenient), 2);
    assert_int_equal(b.dropped, 1);
    assert_int_equal(cadre_go_every(&strict, CADRE_US(100), beat, &c, NULL), 0);
    assert_int_equal(cadre_wait(&strict), -EIO);
    assert_int_equal(c.runs, 2);
    assert_int_equal(c.dropped, 1);
}

static int end_parent(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_ctx_cancel(arg, 0, NULL);
    return 0;
}

static void a_parents_end_ends_it_as_a_run_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct cadre_ctx parent = { 0 };
        struct cadre_group g = { .parent = &parent };

        /* The run itself ends the parent; the next one would be due in an hour. */
        assert_int_equal(cadre_go_at(&g, 0, end_parent, &parent, NULL), 0);
        (void)cadre_go_every(&g, CADRE_SEC(3600), beat, NULL, NULL);
        assert_int_equal(cadre_wait(&g), -ECANCELED);
    }
}

static void cancelling_races_with_its_runs(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct cadre_group g = { .drop = beat_drop, .limit = i % 3 };
        struct cadre_delayed d;
        struct beat b = { 0 };

        assert_int_equal(cadre_go_every(&g, CADRE_US(3), beat, &b, &d), 0);
        for (int j = 0; j < i % 50; j++)
            cadre_yield();
        assert_int_equal(cadre_delayed_cancel(&g, &d), 1);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(b.dropped, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_runs_again_and_again_until_it_is_cancelled),
        cmocka_unit_test(it_keeps_to_its_rate),
        cmocka_unit_test(a_run_that_is_still_going_on_makes_it_skip),
        cmocka_unit_test(cancelled_while_it_runs_it_ends_after_that_run),
        cmocka_unit_test(a_group_cancel_ends_it_whether_it_runs_or_waits),
        cmocka_unit_test(a_failing_run_ends_it_only_if_the_group_says_so),
        cmocka_unit_test(a_parents_end_ends_it_as_a_run_ends),
        cmocka_unit_test(cancelling_races_with_its_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
