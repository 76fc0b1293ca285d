/* SPDX-License-Identifier: MIT
 * Delayed starts: when they run, in which order, and what becomes of those that never do. */
#include "test.h"

#include "tasks.h"

#define LONG CADRE_SEC(3600)

/* ---- when ---- */

static cadre_time ran_at;

static int note_time(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    ran_at = cadre_now();
    return 0;
}

static void a_delayed_task_runs_when_its_delay_is_over_and_wait_waits_for_it(void **state)
{
    cadre_time before = cadre_now();
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_go_after(&g, CADRE_MS(20), note_time, NULL, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_true(ran_at >= before + CADRE_MS(20));
    before = cadre_now();
    assert_int_equal(cadre_go_at(&g, before + CADRE_MS(10), note_time, NULL, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_true(ran_at >= before + CADRE_MS(10));
}

static void a_negative_delay_and_a_time_in_the_past_mean_now(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int ran = 0;

    (void)state;
    assert_int_equal(cadre_go_after(&g, 0, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_go_after(&g, -LONG, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_go_after(&g, INT64_MIN, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_go_at(&g, 1, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_go_at(&g, 0, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_go_at(&g, -5, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 6);
}

static void times_beyond_all_times_are_never(void **state)
{
    struct cadre_group g = { .drop = count_drop };
    atomic_int dropped = 0;

    (void)state;
    assert_int_equal(cadre_go_after(&g, INT64_MAX, count_task, &dropped, NULL), 0);
    assert_int_equal(cadre_go_at(&g, INT64_MAX, count_task, &dropped, NULL), 0);
    assert_int_equal(cadre_go_every(&g, INT64_MAX, count_task, &dropped, NULL), 0);
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(dropped, 3);
}

static void bad_arguments_are_refused_and_leave_the_argument_with_the_caller(void **state)
{
    struct cadre_group g = { .drop = count_drop }, bad = { .limit = -1 };
    struct cadre_delayed d = { 0 };
    atomic_int n = 0;

    (void)state;
    assert_int_equal(cadre_go_after(NULL, 1, count_task, &n, NULL), -EINVAL);
    assert_int_equal(cadre_go_after(&g, 1, NULL, &n, NULL), -EINVAL);
    assert_int_equal(cadre_go_at(&bad, 1, count_task, &n, NULL), -EINVAL);
    assert_int_equal(cadre_go_every(&g, 0, count_task, &n, NULL), -EINVAL);
    assert_int_equal(cadre_go_every(&g, -1, count_task, &n, NULL), -EINVAL);
    assert_int_equal(cadre_go_every(&g, 1, NULL, &n, NULL), -EINVAL);
    assert_int_equal(cadre_delayed_cancel(&g, NULL), -EINVAL);
    assert_int_equal(cadre_delayed_cancel(NULL, &d), -EINVAL);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(n, 0);
}

/* ---- order ---- */

#define TIES 500

static struct {
    int n, at[TIES];
} seen;

static int note_order(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    if (seen.n < TIES)
        seen.at[seen.n++] = (int)(intptr_t)arg;
    return 0;
}

static void ties_start_in_the_order_of_the_calls(void **state)
{
    struct cadre_group g = { .limit = 1 };
    cadre_time when = cadre_in(CADRE_MS(5));

    (void)state;
    seen.n = 0;
    for (intptr_t i = 0; i < TIES; i++)
        assert_int_equal(cadre_go_at(&g, when, note_order, (void *)i, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(seen.n, TIES);
    for (int i = 0; i < TIES; i++)
        assert_int_equal(seen.at[i], i);
}

static void earlier_times_start_first_whatever_the_order_of_the_calls(void **state)
{
    struct cadre_group g = { .limit = 1 };
    cadre_time when = cadre_in(CADRE_MS(200)), scheduled;

    (void)state;
    seen.n = 0;
    for (int i = 0; i < TIES; i++) {
        int slot = i * 211 % TIES;

        assert_int_equal(cadre_go_at(&g, when + slot, note_order, (void *)(intptr_t)slot, NULL), 0);
    }
    scheduled = cadre_now();
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(seen.n, TIES);
    for (int i = 0; i < TIES && scheduled < when; i++) /* unless the machine was so slow that some were due meanwhile */
        assert_int_equal(seen.at[i], i);
}

/* ---- limits ---- */

static void a_delayed_task_takes_no_slot_before_it_is_due(void **state)
{
    struct cadre_group g = { .limit = 1, .flags = CADRE_DISCARD_WHEN_FULL };
    struct cadre_delayed d;
    atomic_int ran = 0;

    (void)state;
    assert_int_equal(cadre_go_after(&g, LONG, count_task, &ran, &d), 0);
    assert_int_equal(cadre_go(&g, count_task, &ran), 0);
    test_until(atomic_load(&ran) == 1);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 1);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 1);
}

static void when_due_it_respects_the_limit_and_never_waits_in_the_call(void **state)
{
    struct cadre_group g = { .limit = 3 };
    struct crowd crowd = { 0 };

    (void)state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(cadre_go_after(&g, CADRE_US(i % 7), crowd_passer, &crowd, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, 200);
    assert_true(crowd.most <= 3);
}

static void a_limit_that_is_set_later_does_not_count_what_is_not_due(void **state)
{
    struct cadre_group g = { 0 };
    struct cadre_delayed d[5];
    atomic_int ran = 0;

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_go_after(&g, LONG, count_task, &ran, &d[i]), 0);
    assert_int_equal(cadre_group_set_limit(&g, 2), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(cadre_go(&g, count_task, &ran), 0);
    test_until(atomic_load(&ran) == 10);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_delayed_cancel(&g, &d[i]), 1);
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- cancel ---- */

static void cancelling_one_drops_it_and_no_other(void **state)
{
    struct cadre_group g = { .drop = count_drop };
    atomic_int ran = 0, gone = 0;
    struct cadre_delayed d;

    (void)state;
    assert_int_equal(cadre_go_after(&g, LONG, count_task, &gone, &d), 0);
    assert_int_equal(cadre_go_after(&g, CADRE_MS(1), count_task, &ran, NULL), 0);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 1);
    assert_int_equal(gone, 1); /* dropped */
    assert_int_equal(cadre_delayed_cancel(&g, &d), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 1);
    assert_int_equal(gone, 1);
}

static void cancelling_one_that_has_run_says_that_it_is_too_late(void **state)
{
    struct cadre_group g = { .drop = count_drop }, other = { .drop = count_drop };
    struct cadre_delayed d, e;
    atomic_int ran = 0;

    (void)state;
    assert_int_equal(cadre_go_after(&g, 0, count_task, &ran, &d), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 0);
    /* The record may be in use again: by this group or by another. */
    assert_int_equal(cadre_go_after(&g, LONG, count_task, &ran, &e), 0);
    assert_int_equal(cadre_delayed_cancel(&g, &d), 0);
    assert_int_equal(cadre_delayed_cancel(&other, &e), 0);
    assert_int_equal(cadre_delayed_cancel(&g, &e), 1);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 2);
}

static void a_group_cancel_drops_what_is_not_due_at_once(void **state)
{
    struct cadre_group g = { .drop = crowd_drop };
    struct crowd crowd = { 0 };
    cadre_time before = cadre_now();

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(cadre_go_after(&g, LONG, crowd_task, &crowd, NULL), 0);
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    test_until(atomic_load(&crowd.started) == 1);
    cadre_group_cancel(&g, -EINTR, "stop");
    assert_int_equal(cadre_wait(&g), -EINTR);
    assert_int_equal(crowd.dropped, 1000);
    assert_int_equal(crowd.ended, 1);
    assert_true(cadre_now() < before + LONG / 2);
}

static void note_drop(void *arg) { (void)note_order(NULL, arg); }

static void dropped_ones_come_in_the_order_of_the_calls(void **state)
{
    struct cadre_group g = { .drop = note_drop };

    (void)state;
    seen.n = 0;
    for (intptr_t i = 0; i < TIES; i++)
        assert_int_equal(cadre_go_after(&g, LONG + i * 211 % TIES, note_order, (void *)i, NULL), 0);
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(seen.n, TIES);
    for (int i = 0; i < TIES; i++)
        assert_int_equal(seen.at[i], i);
}

static int cancel_soon(struct cadre_ctx *ctx, void *arg)
{
    int code = cadre_sleep(ctx, CADRE_MS(5));

    cadre_ctx_cancel(arg, -EINTR, "enough");
    return code;
}

static void a_parents_cancel_ends_a_wait_for_what_is_not_due(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct cadre_group g = { .parent = &parent, .drop = count_drop }, canceller = { 0 };
    atomic_int n = 0;

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(cadre_go_after(&g, LONG, count_task, &n, NULL), 0);
    assert_int_equal(cadre_go_every(&g, LONG, count_task, &n, NULL), 0);
    assert_int_equal(cadre_go(&canceller, cancel_soon, &parent), 0);
    assert_int_equal(cadre_wait(&g), -ECANCELED);
    assert_int_equal(n, 11);
    assert_int_equal(cadre_wait(&canceller), 0);
}

static void a_deadline_ends_it_with_etimedout(void **state)
{
    struct cadre_ctx parent = { .deadline = cadre_in(CADRE_MS(10)) };
    struct cadre_group g = { .parent = &parent, .drop = count_drop };
    atomic_int n = 0;

    (void)state;
    assert_int_equal(cadre_go_after(&g, LONG, count_task, &n, NULL), 0);
    assert_int_equal(cadre_wait(&g), -ETIMEDOUT);
    assert_int_equal(n, 1);
    assert_int_equal(cadre_go_after(&g, LONG, count_task, &n, NULL), -ETIMEDOUT);
    assert_int_equal(n, 2);
}

static void an_error_stops_what_is_not_due(void **state)
{
    static const unsigned flags[] = { CADRE_CANCEL_ON_ERROR, CADRE_STOP_ON_ERROR };
    static int code = -EIO;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct cadre_group g = { .flags = flags[i], .drop = count_drop };
        atomic_int n = 0;

        assert_int_equal(cadre_go_after(&g, LONG, count_task, &n, NULL), 0);
        assert_int_equal(cadre_go_after(&g, CADRE_MS(1), return_code, &code, NULL), 0);
        assert_int_equal(cadre_wait(&g), -EIO);
        assert_int_equal(n, 1);
    }
}

/* ---- from anywhere ---- */

static int schedule_more(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group *g = arg;

    (void)ctx;
    return cadre_go_after(g, CADRE_MS(1), count_task, g->errors, NULL);
}

static void a_task_may_schedule_in_its_own_group_while_others_wait(void **state)
{
    atomic_int ran = 0;
    struct cadre_group g = { .errors = (struct cadre_error *)(void *)&ran };

    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(cadre_go_after(&g, CADRE_US(i * 20), schedule_more, &g, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 50);
}

/* Somebody waits, then a start is scheduled for much later, then the parent is cancelled. */
struct late {
    struct cadre_ctx parent;
    struct cadre_group g;
    atomic_int waiting, code, dropped;
};

static int wait_for_group(struct cadre_ctx *ctx, void *arg)
{
    struct late *late = arg;

    (void)ctx;
    atomic_store(&late->waiting, 1);
    atomic_store(&late->code, cadre_wait(&late->g));
    return 0;
}

static void a_waiter_that_came_first_sees_the_cancel_of_what_was_scheduled_later(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct late late = { 0 };
        struct cadre_group waiters = { 0 };

        late.g.parent = &late.parent;
        late.g.drop = count_drop;
        assert_int_equal(cadre_group_hold(&late.g), 0);
        assert_int_equal(cadre_go(&waiters, wait_for_group, &late), 0);
        test_until(atomic_load(&late.waiting) == 1);
        if (i % 2 == 0)
            assert_int_equal(cadre_sleep(NULL, CADRE_MS(1)), 0);
        assert_int_equal(cadre_go_after(&late.g, LONG, count_task, &late.dropped, NULL), 0);
        cadre_ctx_cancel(&late.parent, 0, NULL);
        test_until(atomic_load(&late.dropped) == 1 || cadre_group_error_count(&late.g) > 0);
        cadre_group_release(&late.g, 0);
        assert_int_equal(cadre_wait(&waiters), 0);
        assert_int_equal(late.code, -ECANCELED);
        assert_int_equal(late.dropped, 1);
    }
}

static void *schedule_from_thread(void *arg)
{
    for (int i = 0; i < 200; i++)
        test_check(cadre_go_after(arg, CADRE_US(i % 50), count_task, ((struct cadre_group *)arg)->errors, NULL) == 0);
    return NULL;
}

static void many_threads_may_schedule_at_once(void **state)
{
    atomic_int ran = 0;
    struct cadre_group g = { .errors = (struct cadre_error *)(void *)&ran };
    pthread_t threads[4];

    (void)state;
    assert_int_equal(cadre_group_hold(&g), 0);
    for (int i = 0; i < 4; i++)
        threads[i] = thread_start(schedule_from_thread, &g);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cadre_group_release(&g, 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 800);
}

/* ---- races ---- */

static void *cancel_from_thread(void *arg)
{
    struct cadre_group *g = arg;

    cadre_group_cancel(g, 0, NULL);
    cadre_group_release(g, 0);
    return NULL;
}

static void each_runs_or_is_dropped_exactly_once_when_a_cancel_races_with_the_time(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct cadre_group g = { .drop = count_drop, .limit = round % 3 };
        atomic_int n = 0;
        pthread_t thread;

        assert_int_equal(cadre_group_hold(&g), 0);
        for (int i = 0; i < 20; i++)
            assert_int_equal(cadre_go_after(&g, CADRE_US(i * 5), count_task, &n, NULL), 0);
        thread = thread_start(cancel_from_thread, &g);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(n, 20);
        pthread_join(thread, NULL);
    }
}

static void each_runs_or_is_dropped_exactly_once_when_it_is_cancelled_as_it_comes_due(void **state)
{
    int late = 0, in_time = 0;

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct cadre_group g = { .drop = count_drop };
        struct cadre_delayed d[8];
        atomic_int n = 0;

        for (int i = 0; i < 8; i++)
            assert_int_equal(cadre_go_after(&g, CADRE_US(i * 10), count_task, &n, &d[i]), 0);
        for (int i = 8; i-- > 0;)
            *(cadre_delayed_cancel(&g, &d[i]) == 1 ? &in_time : &late) += 1;
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(n, 8);
    }
    assert_int_equal(late + in_time, 8 * 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delayed_task_runs_when_its_delay_is_over_and_wait_waits_for_it),
        cmocka_unit_test(a_negative_delay_and_a_time_in_the_past_mean_now),
        cmocka_unit_test(times_beyond_all_times_are_never),
        cmocka_unit_test(bad_arguments_are_refused_and_leave_the_argument_with_the_caller),
        cmocka_unit_test(ties_start_in_the_order_of_the_calls),
        cmocka_unit_test(earlier_times_start_first_whatever_the_order_of_the_calls),
        cmocka_unit_test(a_delayed_task_takes_no_slot_before_it_is_due),
        cmocka_unit_test(when_due_it_respects_the_limit_and_never_waits_in_the_call),
        cmocka_unit_test(a_limit_that_is_set_later_does_not_count_what_is_not_due),
        cmocka_unit_test(cancelling_one_drops_it_and_no_other),
        cmocka_unit_test(cancelling_one_that_has_run_says_that_it_is_too_late),
        cmocka_unit_test(a_group_cancel_drops_what_is_not_due_at_once),
        cmocka_unit_test(dropped_ones_come_in_the_order_of_the_calls),
        cmocka_unit_test(a_parents_cancel_ends_a_wait_for_what_is_not_due),
        cmocka_unit_test(a_deadline_ends_it_with_etimedout),
        cmocka_unit_test(an_error_stops_what_is_not_due),
        cmocka_unit_test(a_task_may_schedule_in_its_own_group_while_others_wait),
        cmocka_unit_test(a_waiter_that_came_first_sees_the_cancel_of_what_was_scheduled_later),
        cmocka_unit_test(many_threads_may_schedule_at_once),
        cmocka_unit_test(each_runs_or_is_dropped_exactly_once_when_a_cancel_races_with_the_time),
        cmocka_unit_test(each_runs_or_is_dropped_exactly_once_when_it_is_cancelled_as_it_comes_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
