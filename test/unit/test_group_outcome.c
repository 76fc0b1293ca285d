/* SPDX-License-Identifier: MIT
 * What an error or a parent's end does to a group with CADRE_CANCEL_ON_ERROR, with CADRE_STOP_ON_ERROR, with neither. */
#include "test.h"

#include "tasks.h"

/* ---- CADRE_CANCEL_ON_ERROR ---- */

static void the_first_error_cancels_the_others(void **state)
{
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };
    struct crowd others = { 0 };
    struct cadre_error cause;

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &others), 0);
    test_until(others.started == 20);
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(others.ended, 20);
    assert_int_equal(cadre_group_error_count(&g), 1); /* the others only echoed the cancel */
    cause = cadre_ctx_cause(cadre_group_ctx(&g));
    assert_int_equal(cause.code, -EIO);
    assert_int_equal(cause.origin, CADRE_FROM_TASK);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), -ECANCELED);
}

static int fail_with_words(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_fail(ctx, -EIO, "disk %d is on fire", 3);
}

static void the_cause_is_the_first_error_with_its_words(void **state)
{
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };

    (void)state;
    assert_int_equal(cadre_go(&g, fail_with_words, NULL), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_string_equal(cadre_ctx_cause(cadre_group_ctx(&g)).message, "disk 3 is on fire");
    assert_string_equal(cadre_group_error(&g).message, "disk 3 is on fire");
}

static void without_the_flag_errors_cancel_nobody(void **state)
{
    struct cadre_group g = { 0 };
    struct crowd others = { 0 };

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &others), 0);
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    test_until(cadre_group_error_count(&g) == 1);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), 0);
    gate_open(&others.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_group_error_count(&g), 1);
}

static void wait_ends_the_context_and_the_next_task_gets_a_fresh_one(void **state)
{
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };
    struct crowd crowd = { 0 };

    (void)state;
    for (int round = 1; round <= 50; round++) {
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
        assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), 0);
        gate_open(&crowd.gate);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), -ECANCELED);
        assert_int_equal(cadre_ctx_cause(cadre_group_ctx(&g)).origin, CADRE_FROM_CANCEL);
        assert_int_equal(cadre_wait(&g), 0);
    }
    assert_int_equal(crowd.ended, 50);
    assert_int_equal(cadre_group_error_count(&g), 0);
}

static void wait_leaves_the_context_of_other_groups_alone(void **state)
{
    struct cadre_group g = { 0 }, stops = { .flags = CADRE_STOP_ON_ERROR };

    (void)state;
    assert_int_equal(cadre_go(&g, return_code, NULL), 0);
    assert_int_equal(cadre_go(&stops, return_code, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_wait(&stops), 0);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), 0);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&stops)), 0);
}

static void a_failed_group_stays_cancelled_until_it_is_reset(void **state)
{
    static const unsigned flags[] = { CADRE_CANCEL_ON_ERROR, CADRE_STOP_ON_ERROR };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct crowd crowd = { 0 };
        struct cadre_group g = { .flags = flags[i], .drop = crowd_drop };

        assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
        assert_int_equal(cadre_wait(&g), -EIO);
        assert_int_equal(cadre_go(&g, crowd_passer, &crowd), -ECANCELED);
        assert_int_equal(cadre_try_go(&g, crowd_passer, &crowd), -ECANCELED);
        assert_int_equal(crowd.dropped, 1);
        assert_int_equal(cadre_wait(&g), -EIO);
        assert_int_equal(cadre_group_reset(&g), 0);
        assert_int_equal(cadre_go(&g, crowd_passer, &crowd), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(crowd.ended, 1);
    }
}

/* ---- CADRE_STOP_ON_ERROR ---- */

static void after_an_error_nothing_starts_and_nobody_is_told(void **state)
{
    struct crowd running = { 0 }, late = { 0 };
    struct cadre_group g = { .limit = 3, .queue = CADRE_UNBOUNDED, .flags = CADRE_STOP_ON_ERROR, .drop = crowd_drop };

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &running), 0);
    test_until(running.started == 2);
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    test_until(cadre_group_error_count(&g) == 1);
    test_until(cadre_go(&g, crowd_task, &late) == -ECANCELED);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), 0);
    gate_open(&running.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(running.ended, 2);
    assert_int_equal(late.started, 0);
    assert_true(late.dropped >= 1);
    assert_int_equal(cadre_group_error_count(&g), 1);
}

static void what_is_queued_when_the_error_comes_is_dropped(void **state)
{
    static const unsigned flags[] = { CADRE_CANCEL_ON_ERROR, CADRE_STOP_ON_ERROR };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct crowd bad = { .code = -EIO }, queued = { 0 };
        struct cadre_group g = { .limit = 1, .queue = CADRE_UNBOUNDED, .flags = flags[i], .drop = crowd_drop };

        assert_int_equal(cadre_go(&g, crowd_task, &bad), 0);
        for (int n = 0; n < 300; n++)
            assert_int_equal(cadre_go(&g, crowd_task, &queued), 0);
        gate_open(&bad.gate);
        assert_int_equal(cadre_wait(&g), -EIO);
        assert_int_equal(queued.started, 0);
        assert_int_equal(queued.dropped, 300);
        assert_int_equal(cadre_group_error_count(&g), 1);
    }
}

/* ---- the parent ---- */

static void a_parents_cancel_reaches_all_and_is_one_error(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct crowd running = { 0 }, late = { 0 };
    struct cadre_error kept[4];
    struct cadre_group g = { .parent = &parent, .drop = crowd_drop, .errors = kept, .max_errors = 4 };

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &running), 0);
    test_until(running.started == 10);
    cadre_ctx_cancel(&parent, -EINTR, "closing time");
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &late), -ECANCELED);
    assert_int_equal(cadre_wait(&g), -ECANCELED);
    assert_int_equal(running.ended, 10);
    assert_int_equal(late.dropped, 5);
    assert_int_equal(cadre_group_error_count(&g), 1);
    assert_int_equal(cadre_group_error(&g).origin, CADRE_FROM_CANCEL);
    assert_string_equal(cadre_group_error(&g).message, "closing time");
    assert_int_equal(kept[0].code, -ECANCELED);
    assert_int_equal(cadre_ctx_cause(cadre_group_ctx(&g)).code, -EINTR);
}

static void a_parents_deadline_is_a_timeout(void **state)
{
    struct cadre_ctx parent = { .deadline = cadre_in(CADRE_MS(2)) };
    struct cadre_group g = { .parent = &parent };

    (void)state;
    for (int i = 0; i < 10; i++)
        (void)cadre_go(&g, sleep_for_ever, NULL);
    assert_int_equal(cadre_wait(&g), -ETIMEDOUT);
    assert_int_equal(cadre_group_error(&g).origin, CADRE_FROM_DEADLINE);
    assert_int_equal(cadre_group_error_count(&g), 1);
    assert_int_equal(cadre_go(&g, sleep_for_ever, NULL), -ETIMEDOUT);
    assert_int_equal(cadre_group_error_count(&g), 1);
}

static void a_deadline_wakes_who_waits_for_a_slot(void **state)
{
    struct crowd busy = { .heedless = true }, late = { 0 };
    struct cadre_ctx parent = { .deadline = cadre_in(CADRE_MS(20)) };
    struct cadre_group g = { .parent = &parent, .limit = 1, .drop = crowd_drop };

    (void)state;
    if (cadre_go(&g, crowd_task, &busy) == 0)
        assert_int_equal(cadre_go(&g, crowd_task, &late), -ETIMEDOUT);
    gate_open(&busy.gate);
    assert_int_equal(cadre_wait(&g), -ETIMEDOUT);
    assert_int_equal(late.started, 0);
}

static void tasks_that_all_ran_well_outweigh_a_parents_cancel(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct crowd crowd = { .heedless = true };
    struct cadre_group g = { .parent = &parent };

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    test_until(crowd.started == 5);
    cadre_ctx_cancel(&parent, -EINTR, NULL);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_group_error_count(&g), 0);
}

static void a_tasks_own_error_takes_the_place_of_a_parents_cancel(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct crowd good = { 0 }, bad = { .heedless = true, .code = -EIO };
    struct cadre_error kept[2];
    struct cadre_group g = { .parent = &parent, .flags = CADRE_CANCEL_ON_ERROR, .errors = kept, .max_errors = 2 };

    (void)state;
    assert_int_equal(cadre_go(&g, crowd_task, &good), 0);
    assert_int_equal(cadre_go(&g, crowd_task, &bad), 0);
    test_until(good.started + bad.started == 2);
    cadre_ctx_cancel(&parent, -EINTR, "closing time");
    test_until(cadre_group_error_count(&g) == 1); /* the echo */
    gate_open(&bad.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_group_error(&g).origin, CADRE_FROM_TASK);
    assert_int_equal(cadre_ctx_cause(cadre_group_ctx(&g)).code, -EINTR);
    assert_string_equal(cadre_ctx_cause(cadre_group_ctx(&g)).message, "closing time");
    assert_int_equal(cadre_group_error_count(&g), 2);
    assert_int_equal(kept[0].code, -ECANCELED);
    assert_int_equal(kept[1].code, -EIO);
}

static void an_echo_before_any_cancel_is_a_failure(void **state)
{
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };

    (void)state;
    assert_int_equal(cadre_go(&g, return_code, &(int){ -ECANCELED }), 0);
    assert_int_equal(cadre_wait(&g), -ECANCELED);
    assert_int_equal(cadre_group_error(&g).origin, CADRE_FROM_TASK);
}

/* A group that is cancelled and waited for while its parent is still live, if there is time enough for that. */
struct inside {
    bool in_time;
    atomic_int unused;
};

static int wait_inside(struct cadre_ctx *ctx, void *arg)
{
    struct inside *inside = arg;
    struct cadre_group inner = { .parent = ctx, .flags = CADRE_CANCEL_ON_ERROR };
    int code;

    (void)cadre_go(&inner, sleep_for_ever, &inside->unused);
    cadre_group_cancel(&inner, -EINTR, NULL);
    inside->in_time = cadre_ctx_error(ctx) == 0;
    code = cadre_wait(&inner);
    test_check(!inside->in_time || code == -EINTR);
    return cadre_sleep(ctx, CADRE_FOREVER);
}

static void a_deadline_outside_is_not_mistaken_for_a_cancel_inside(void **state)
{
    struct inside inside = { .in_time = false };

    (void)state;
    for (cadre_time step = CADRE_MS(5); !inside.in_time; step *= 2) {
        struct cadre_ctx parent = { .deadline = cadre_in(step) };
        struct cadre_group g = { .parent = &parent };

        assert_true(step < CADRE_SEC(60));
        (void)cadre_go(&g, wait_inside, &inside);
        assert_int_equal(cadre_wait(&g), -ETIMEDOUT);
    }
}

static void a_shielded_group_outlives_its_parents_end(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct cadre_ctx shield = { .parent = &parent, .flags = CADRE_SHIELDED };
    struct cadre_group g = { .parent = &shield };
    atomic_int count = 0;

    (void)state;
    cadre_ctx_cancel(&parent, 0, NULL);
    assert_int_equal(cadre_go(&g, count_task, &count), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(count, 1);
}

/* ---- going and waiting at the same time ---- */

static atomic_int renewals;

static int look_at_context(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    atomic_fetch_add(&renewals, 1);
    return cadre_ctx_error(ctx);
}

static void *go_now_and_then(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        test_check(cadre_go(arg, look_at_context, NULL) == 0);
        if (i % 8 == 0)
            cadre_yield();
    }
    return NULL;
}

/* The group is done again and again while its one starter goes on; no task may find its context ended by a wait. */
static void a_wait_does_not_cancel_what_starts_meanwhile(void **state)
{
    static struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };
    pthread_t thread;

    (void)state;
    renewals = 0;
    thread = thread_start(go_now_and_then, &g);
    while (renewals < 2000 && cadre_group_error_count(&g) == 0)
        (void)cadre_wait(&g);
    thread_join(thread);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(renewals, 2000);
}

/* The same with the starter as the owner: others wait while it starts tasks without an atomic operation. */
static void *wait_again_and_again(void *arg)
{
    while (renewals < 2000 && cadre_group_error_count(arg) == 0)
        (void)cadre_wait(arg);
    return NULL;
}

static int own_and_go(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };
    pthread_t thread;

    (void)ctx;
    (void)arg;
    thread = thread_start(wait_again_and_again, &g);
    go_now_and_then(&g);
    thread_join(thread);
    return cadre_wait(&g);
}

static void a_wait_elsewhere_does_not_cancel_what_the_owner_starts(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    renewals = 0;
    assert_int_equal(cadre_go(&g, own_and_go, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(renewals, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_error_cancels_the_others),
        cmocka_unit_test(the_cause_is_the_first_error_with_its_words),
        cmocka_unit_test(without_the_flag_errors_cancel_nobody),
        cmocka_unit_test(wait_ends_the_context_and_the_next_task_gets_a_fresh_one),
        cmocka_unit_test(wait_leaves_the_context_of_other_groups_alone),
        cmocka_unit_test(a_failed_group_stays_cancelled_until_it_is_reset),
        cmocka_unit_test(after_an_error_nothing_starts_and_nobody_is_told),
        cmocka_unit_test(what_is_queued_when_the_error_comes_is_dropped),
        cmocka_unit_test(a_parents_cancel_reaches_all_and_is_one_error),
        cmocka_unit_test(a_parents_deadline_is_a_timeout),
        cmocka_unit_test(a_deadline_wakes_who_waits_for_a_slot),
        cmocka_unit_test(tasks_that_all_ran_well_outweigh_a_parents_cancel),
        cmocka_unit_test(a_tasks_own_error_takes_the_place_of_a_parents_cancel),
        cmocka_unit_test(an_echo_before_any_cancel_is_a_failure),
        cmocka_unit_test(a_deadline_outside_is_not_mistaken_for_a_cancel_inside),
        cmocka_unit_test(a_shielded_group_outlives_its_parents_end),
        cmocka_unit_test(a_wait_does_not_cancel_what_starts_meanwhile),
        cmocka_unit_test(a_wait_elsewhere_does_not_cancel_what_the_owner_starts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
