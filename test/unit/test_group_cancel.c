/* SPDX-License-Identifier: MIT
 * The end of a group before its time: by cancel, by an error, by its parent; who is told, who is dropped, what wait says. */
#include "test.h"

#include "tasks.h"

/* ---- tasks that never start ---- */

static void cancel_before_anything_started(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .drop = crowd_drop };

    (void)state;
    cadre_group_cancel(&g, -EINTR, "not today");
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), -ECANCELED);
    assert_int_equal(cadre_wait(&g), -EINTR);
    assert_int_equal(crowd.started, 0);
    assert_int_equal(crowd.dropped, 1);
}

static void all_that_was_submitted_ran_or_was_dropped(void **state)
{
    static const int limits[] = { 0, 1, 4 };

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct crowd crowd = { 0 };
        struct cadre_group g = { .limit = limits[round % 3], .queue = CADRE_UNBOUNDED, .drop = crowd_drop };

        for (int i = 0; i < 100; i++) {
            if (i == round % 100)
                cadre_group_cancel(&g, 0, NULL);
            (void)cadre_go(&g, crowd_passer, &crowd);
        }
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(crowd.ended + crowd.dropped, 100);
        assert_true(crowd.dropped >= 100 - round % 100);
    }
}

static void a_hundred_queued_behind_a_busy_one_are_dropped(void **state)
{
    struct crowd busy = { .heedless = true }, queued = { 0 };
    struct cadre_group g = { .limit = 1, .queue = CADRE_UNBOUNDED, .drop = crowd_drop };
    struct waiting waiting;

    (void)state;
    assert_int_equal(cadre_go(&g, crowd_task, &busy), 0);
    test_until(busy.started == 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &queued), 0);
    waiting_start(&waiting, &g);
    cadre_group_cancel(&g, -EINTR, NULL);
    gate_open(&busy.gate);
    assert_int_equal(waiting_join(&waiting), -EINTR);
    assert_int_equal(busy.ended, 1);
    assert_int_equal(queued.started, 0);
    assert_int_equal(queued.dropped, 100);
}

#define NUMBERS 1000
static int dropped_numbers[NUMBERS];
static atomic_int dropped_count;

static void note_number(void *arg) { dropped_numbers[atomic_fetch_add(&dropped_count, 1)] = *(int *)arg; }

static int note_run(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

static void arguments_are_dropped_in_the_order_of_being_accepted(void **state)
{
    static const int limits[] = { 0, 1, 3 };

    (void)state;
    for (int round = 0; round < 60; round++) {
        struct cadre_group g = { .limit = limits[round % 3], .queue = CADRE_UNBOUNDED, .drop = note_number };

        dropped_count = 0;
        for (int i = 0; i < NUMBERS; i++)
            assert_int_equal(cadre_go_copy(&g, note_run, &i, sizeof i), 0);
        cadre_group_cancel(&g, 0, NULL);
        assert_int_equal(cadre_wait(&g), 0);
        for (int i = 1; i < dropped_count; i++)
            assert_true(dropped_numbers[i - 1] < dropped_numbers[i]);
    }
}

/* ---- cancel and its code ---- */

static atomic_int note_end_started;

static int note_end(struct cadre_ctx *ctx, void *arg)
{
    int code;

    atomic_fetch_add(&note_end_started, 1);
    code = cadre_sleep(ctx, CADRE_FOREVER);
    *(struct cadre_error *)arg = cadre_ctx_cause(ctx);
    return code;
}

static void cancel_tells_running_tasks_why(void **state)
{
    struct cadre_group g = { 0 };
    struct cadre_error seen = { 0 }, error;

    (void)state;
    note_end_started = 0;
    assert_int_equal(cadre_go(&g, note_end, &seen), 0);
    test_until(note_end_started == 1);
    cadre_group_cancel(&g, -EINTR, "the user said so");
    assert_int_equal(cadre_wait(&g), -EINTR);
    error = cadre_group_error(&g);
    assert_int_equal(error.code, -EINTR);
    assert_int_equal(error.origin, CADRE_FROM_CANCEL);
    assert_string_equal(error.message, "the user said so");
    assert_int_equal(cadre_group_error_count(&g), 1);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), -ECANCELED);
    assert_int_equal(seen.code, -EINTR);
    assert_string_equal(seen.message, "the user said so");
}

static void the_first_cancel_decides(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    cadre_group_cancel(&g, -EINTR, "first");
    cadre_group_cancel(&g, -EIO, "second");
    assert_int_equal(cadre_wait(&g), -EINTR);
    assert_string_equal(cadre_group_error(&g).message, "first");
    assert_int_equal(cadre_group_error_count(&g), 1);
    cadre_group_cancel(NULL, -EIO, NULL);
}

static void a_cancel_with_code_0_is_quiet(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int started = 0;

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(cadre_go(&g, sleep_for_ever, &started), 0);
    test_until(started > 0);
    cadre_group_cancel(&g, 0, "enough");
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_group_error_count(&g), 0);
    assert_int_equal(cadre_group_error(&g).code, 0);
    assert_int_equal(cadre_go(&g, sleep_for_ever, &started), -ECANCELED);
    assert_int_equal(cadre_wait(&g), 0);
}

static void a_task_that_failed_first_is_not_outdone_by_a_cancel(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    test_until(cadre_group_error_count(&g) == 1);
    cadre_group_cancel(&g, -EINTR, NULL);
    assert_int_equal(cadre_wait(&g), -EIO);
}

static void a_cancel_is_not_outdone_by_a_task_that_fails_later(void **state)
{
    (void)state;
    for (int dropped = 0; dropped <= 3; dropped++) {
        struct crowd crowd = { .heedless = true, .code = -EIO };
        struct cadre_group g = { .limit = 1, .queue = 3 };

        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
        test_until(crowd.started == 1);
        for (int i = 0; i < dropped; i++)
            assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
        cadre_group_cancel(&g, -EINTR, NULL);
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), -ECANCELED);
        gate_open(&crowd.gate);
        assert_int_equal(cadre_wait(&g), -EINTR);
        assert_int_equal(cadre_group_error_count(&g), 2);
    }
}

struct self_cancel {
    struct cadre_group *group;
    int code;
};

static int cancel_and_block(struct cadre_ctx *ctx, void *arg)
{
    struct self_cancel *self = arg;

    cadre_group_cancel(self->group, -EINTR, NULL);
    self->code = cadre_sleep(ctx, CADRE_FOREVER);
    return self->code;
}

static void a_task_that_cancels_its_group_and_then_blocks_is_woken(void **state)
{
    (void)state;
    for (int limit = 0; limit < 3; limit++) {
        struct cadre_group g = { .limit = limit };
        struct self_cancel self = { &g, 0 };

        assert_int_equal(cadre_go(&g, cancel_and_block, &self), 0);
        assert_int_equal(cadre_wait(&g), -EINTR);
        assert_int_equal(self.code, -ECANCELED);
        assert_int_equal(cadre_group_error_count(&g), 1);
    }
}

/* ---- a go that waits ---- */

struct late {
    struct cadre_group *group;
    struct crowd crowd;
    atomic_int begun;
    int code;
};

static void *go_late(void *arg)
{
    struct late *late = arg;

    atomic_store(&late->begun, 1);
    late->code = cadre_go(late->group, crowd_task, &late->crowd);
    return NULL;
}

static int go_late_from_a_task(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    go_late(arg);
    return 0;
}

static void check_late(struct late *late)
{
    assert_int_equal(late->code, -ECANCELED);
    assert_int_equal(late->crowd.started, 0);
    assert_int_equal(late->crowd.dropped, 1);
}

/* Cancelled when they are about to wait, or do already: both must do. */
static void go_at_the_limit_is_woken_by_a_cancel(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        struct crowd busy = { .heedless = true }, queued = { 0 };
        struct cadre_group g = { .limit = 1, .queue = round % 2, .drop = crowd_drop }, tasks = { 0 };
        struct late thread = { .group = &g }, task = { .group = &g };
        pthread_t handle;

        assert_int_equal(cadre_go(&g, crowd_task, &busy), 0);
        test_until(busy.started == 1);
        if (round % 2 == 1)
            assert_int_equal(cadre_go(&g, crowd_task, &queued), 0);
        handle = thread_start(go_late, &thread);
        assert_int_equal(cadre_go(&tasks, go_late_from_a_task, &task), 0);
        test_until(thread.begun && task.begun);
        if (round % 4 < 2)
            (void)cadre_sleep(NULL, CADRE_US(500));
        cadre_group_cancel(&g, -EINTR, NULL);
        thread_join(handle);
        assert_int_equal(cadre_wait(&tasks), 0);
        check_late(&thread);
        check_late(&task);
        gate_open(&busy.gate);
        assert_int_equal(cadre_wait(&g), -EINTR);
        assert_int_equal(queued.dropped, round % 2);
        assert_int_equal(cadre_group_error_count(&g), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_before_anything_started),
        cmocka_unit_test(all_that_was_submitted_ran_or_was_dropped),
        cmocka_unit_test(a_hundred_queued_behind_a_busy_one_are_dropped),
        cmocka_unit_test(arguments_are_dropped_in_the_order_of_being_accepted),
        cmocka_unit_test(cancel_tells_running_tasks_why),
        cmocka_unit_test(the_first_cancel_decides),
        cmocka_unit_test(a_cancel_with_code_0_is_quiet),
        cmocka_unit_test(a_task_that_failed_first_is_not_outdone_by_a_cancel),
        cmocka_unit_test(a_cancel_is_not_outdone_by_a_task_that_fails_later),
        cmocka_unit_test(a_task_that_cancels_its_group_and_then_blocks_is_woken),
        cmocka_unit_test(go_at_the_limit_is_woken_by_a_cancel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
