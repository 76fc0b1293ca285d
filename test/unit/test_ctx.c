/* SPDX-License-Identifier: MIT
 * Contexts as their users see them: cancel, cause, deadline, values, shielding. What blocks under them is in
 * test_ctx_blocked.c, hooks are in test_ctx_hooks.c. */
#include "test.h"

#include <string.h>

#include "cadre.h"
#include "until.h"

static const int key_a, key_b;

static void test_a_zeroed_context_is_live(void **state)
{
    struct cadre_ctx c = { 0 };

    (void)state;
    assert_int_equal(cadre_ctx_error(&c), 0);
    assert_int_equal(cadre_ctx_cause(&c).code, 0);
    assert_string_equal(cadre_ctx_cause(&c).message, "");
    assert_true(cadre_ctx_deadline(&c) == CADRE_FOREVER);
    assert_null(cadre_ctx_value(&c, &key_a));
}

static void test_null_is_the_background(void **state)
{
    (void)state;
    cadre_ctx_cancel(NULL, -EIO, "nobody hears this");
    assert_int_equal(cadre_ctx_error(NULL), 0);
    assert_int_equal(cadre_ctx_cause(NULL).code, 0);
    assert_true(cadre_ctx_deadline(NULL) == CADRE_FOREVER);
    assert_null(cadre_ctx_value(NULL, &key_a));
    assert_int_equal(cadre_sleep(NULL, 0), 0);
}

static void test_cancel_has_a_code_and_a_reason(void **state)
{
    struct cadre_ctx c = { 0 };
    char why[] = "the disk is gone";
    struct cadre_error cause;

    (void)state;
    cadre_ctx_cancel(&c, -EIO, why);
    memset(why, 'x', sizeof why - 1); /* it was copied */
    cause = cadre_ctx_cause(&c);
    assert_int_equal(cadre_ctx_error(&c), -ECANCELED);
    assert_int_equal(cause.code, -EIO);
    assert_int_equal(cause.origin, CADRE_FROM_CANCEL);
    assert_string_equal(cause.message, "the disk is gone");
}

static void test_cancel_without_code_or_reason_says_cancelled(void **state)
{
    struct cadre_ctx c = { 0 };

    (void)state;
    cadre_ctx_cancel(&c, 0, NULL);
    assert_int_equal(cadre_ctx_error(&c), -ECANCELED);
    assert_int_equal(cadre_ctx_cause(&c).code, -ECANCELED);
    assert_string_equal(cadre_ctx_cause(&c).message, cadre_strerror(-ECANCELED));
}

static void test_a_long_reason_is_cut_to_fit(void **state)
{
    char why[2 * CADRE_MESSAGE_SIZE];
    struct cadre_ctx c = { 0 };

    (void)state;
    memset(why, 'w', sizeof why - 1);
    why[sizeof why - 1] = 0;
    cadre_ctx_cancel(&c, -EIO, why);
    assert_int_equal(strlen(cadre_ctx_cause(&c).message), CADRE_MESSAGE_SIZE - 1);
}

static void test_only_the_first_cancel_counts(void **state)
{
    struct cadre_ctx c = { 0 };

    (void)state;
    cadre_ctx_cancel(&c, -EIO, "first");
    cadre_ctx_cancel(&c, -EPIPE, "second");
    assert_int_equal(cadre_ctx_cause(&c).code, -EIO);
    assert_string_equal(cadre_ctx_cause(&c).message, "first");
}

static void test_cancel_reaches_descendants_and_nobody_else(void **state)
{
    struct cadre_ctx top = { 0 }, child = { .parent = &top }, sibling = { .parent = &top };
    struct cadre_ctx grandchild = { .parent = &child };

    (void)state;
    cadre_ctx_cancel(&child, -EIO, "half of it");
    assert_int_equal(cadre_ctx_error(&top), 0);
    assert_int_equal(cadre_ctx_error(&sibling), 0);
    assert_int_equal(cadre_ctx_error(&child), -ECANCELED);
    assert_int_equal(cadre_ctx_error(&grandchild), -ECANCELED);
    assert_int_equal(cadre_ctx_cause(&grandchild).code, -EIO);
    assert_string_equal(cadre_ctx_cause(&grandchild).message, "half of it");
    cadre_ctx_cancel(&top, -EPIPE, "all of it");
    assert_int_equal(cadre_ctx_cause(&sibling).code, -EPIPE);
    assert_int_equal(cadre_ctx_cause(&child).code, -EIO);
    assert_int_equal(cadre_ctx_cause(&grandchild).code, -EIO);
}

static void test_a_child_made_after_the_cancel_has_ended(void **state)
{
    struct cadre_ctx top = { 0 }, child = { .parent = &top };

    (void)state;
    cadre_ctx_cancel(&top, -EIO, "early");
    assert_int_equal(cadre_ctx_error(&child), -ECANCELED);
    assert_string_equal(cadre_ctx_cause(&child).message, "early");
}

/* ---- deadlines ---- */

static void test_a_deadline_that_passed_ends_the_context(void **state)
{
    struct cadre_ctx c = { .deadline = cadre_in(CADRE_MS(2)) }, child = { .parent = &c };
    struct cadre_ctx past = { .deadline = 1 };

    (void)state;
    assert_int_equal(cadre_ctx_error(&past), -ETIMEDOUT);
    until_after(c.deadline);
    assert_int_equal(cadre_ctx_error(&c), -ETIMEDOUT);
    assert_int_equal(cadre_ctx_error(&child), -ETIMEDOUT);
    assert_int_equal(cadre_ctx_cause(&child).code, -ETIMEDOUT);
    assert_int_equal(cadre_ctx_cause(&child).origin, CADRE_FROM_DEADLINE);
    assert_string_equal(cadre_ctx_cause(&child).message, "The deadline passed");
}

static void test_a_deadline_in_the_future_ends_nothing(void **state)
{
    struct cadre_ctx c = { .deadline = cadre_in(CADRE_SEC(3600)) }, never = { .deadline = CADRE_FOREVER };

    (void)state;
    assert_int_equal(cadre_ctx_error(&c), 0);
    assert_int_equal(cadre_ctx_error(&never), 0);
}

static void test_the_effective_deadline_is_the_earliest(void **state)
{
    struct cadre_ctx top = { .deadline = 3000 }, middle = { .parent = &top, .deadline = 5000 };
    struct cadre_ctx low = { .parent = &middle, .deadline = 4000 }, lowest = { .parent = &low };
    struct cadre_ctx shielded = { .parent = &lowest, .flags = CADRE_SHIELDED };
    struct cadre_ctx under = { .parent = &shielded, .deadline = 9000 };

    (void)state;
    assert_true(cadre_ctx_deadline(&top) == 3000);
    assert_true(cadre_ctx_deadline(&lowest) == 3000);
    assert_true(cadre_ctx_deadline(&shielded) == CADRE_FOREVER);
    assert_true(cadre_ctx_deadline(&under) == 9000);
    top.deadline = 0;
    assert_true(cadre_ctx_deadline(&lowest) == 4000);
}

/* What came first decides, even when nobody looked in between. */
static void test_a_cancel_before_the_deadline_stays_a_cancel(void **state)
{
    struct cadre_ctx c = { .deadline = cadre_in(CADRE_SEC(1)) };
    struct cadre_ctx top = { 0 }, child = { .parent = &top, .deadline = c.deadline };

    (void)state;
    cadre_ctx_cancel(&c, -EIO, "in time");
    cadre_ctx_cancel(&top, -EPIPE, "in time too");
    assert_true(cadre_now() < c.deadline);
    until_after(c.deadline);
    assert_int_equal(cadre_ctx_error(&c), -ECANCELED);
    assert_int_equal(cadre_ctx_cause(&c).code, -EIO);
    assert_int_equal(cadre_ctx_error(&child), -ECANCELED);
    assert_int_equal(cadre_ctx_cause(&child).code, -EPIPE);
}

static void test_a_cancel_after_the_deadline_changes_nothing(void **state)
{
    struct cadre_ctx c = { .deadline = cadre_in(1) };
    struct cadre_ctx top = { 0 }, child = { .parent = &top, .deadline = c.deadline }, grandchild = { .parent = &child };

    (void)state;
    until_after(c.deadline);
    cadre_ctx_cancel(&c, -EIO, "late");
    cadre_ctx_cancel(&top, -EIO, "late for the child");
    assert_int_equal(cadre_ctx_error(&c), -ETIMEDOUT);
    assert_int_equal(cadre_ctx_cause(&c).code, -ETIMEDOUT);
    assert_int_equal(cadre_ctx_error(&top), -ECANCELED);
    assert_int_equal(cadre_ctx_error(&child), -ETIMEDOUT);
    assert_int_equal(cadre_ctx_error(&grandchild), -ETIMEDOUT);
    assert_int_equal(cadre_ctx_cause(&child).origin, CADRE_FROM_DEADLINE);
}

static void test_a_parents_deadline_before_the_childs_cancel_wins(void **state)
{
    struct cadre_ctx top = { .deadline = cadre_in(1) }, child = { .parent = &top };

    (void)state;
    until_after(top.deadline);
    cadre_ctx_cancel(&child, -EIO, "late");
    assert_int_equal(cadre_ctx_error(&child), -ETIMEDOUT);
}

static void test_what_was_once_seen_stays(void **state)
{
    struct cadre_ctx top = { 0 }, child = { .parent = &top, .deadline = 1 };

    (void)state;
    assert_int_equal(cadre_ctx_error(&child), -ETIMEDOUT);
    cadre_ctx_cancel(&top, -EIO, "later");
    assert_int_equal(cadre_ctx_error(&child), -ETIMEDOUT);
    assert_int_equal(cadre_ctx_cause(&child).code, -ETIMEDOUT);
}

/* ---- values ---- */

static void test_the_nearest_value_is_found(void **state)
{
    int one = 1, two = 2;
    struct cadre_ctx top = { .key = &key_a, .value = &one }, plain = { .parent = &top };
    struct cadre_ctx other = { .parent = &plain, .key = &key_b, .value = &two };
    struct cadre_ctx again = { .parent = &other, .key = &key_a, .value = &two };
    struct cadre_ctx nothing = { .parent = &again, .key = &key_a };

    (void)state;
    assert_ptr_equal(cadre_ctx_value(&plain, &key_a), &one);
    assert_ptr_equal(cadre_ctx_value(&other, &key_a), &one);
    assert_ptr_equal(cadre_ctx_value(&other, &key_b), &two);
    assert_null(cadre_ctx_value(&plain, &key_b));
    assert_ptr_equal(cadre_ctx_value(&again, &key_a), &two);
    assert_null(cadre_ctx_value(&nothing, &key_a));
    assert_null(cadre_ctx_value(&plain, NULL));
}

static int finds_value(struct cadre_ctx *ctx, void *arg)
{
    test_check(cadre_ctx_value(ctx, &key_a) == arg);
    return 0;
}

static void test_values_reach_tasks_through_their_group(void **state)
{
    int one = 1;
    struct cadre_ctx top = { .key = &key_a, .value = &one };
    struct cadre_group g = { .parent = &top };

    (void)state;
    cadre_go(&g, finds_value, &one);
    assert_int_equal(cadre_wait(&g), 0);
    assert_ptr_equal(cadre_ctx_value(cadre_group_ctx(&g), &key_a), &one);
}

/* ---- shielding ---- */

static void test_a_shield_stops_cancel_and_deadline_but_not_values(void **state)
{
    int one = 1;
    struct cadre_ctx top = { .key = &key_a, .value = &one }, expired = { .parent = &top, .deadline = 1 };
    struct cadre_ctx shielded = { .parent = &expired, .flags = CADRE_SHIELDED }, under = { .parent = &shielded };

    (void)state;
    cadre_ctx_cancel(&top, -EIO, NULL);
    assert_int_equal(cadre_ctx_error(&expired), -ETIMEDOUT);
    assert_int_equal(cadre_ctx_error(&shielded), 0);
    assert_int_equal(cadre_ctx_error(&under), 0);
    assert_int_equal(cadre_sleep(&under, 1), 0);
    assert_ptr_equal(cadre_ctx_value(&under, &key_a), &one);
}

static void test_a_shielded_context_ends_by_itself(void **state)
{
    struct cadre_ctx top = { 0 };
    struct cadre_ctx shielded = { .parent = &top, .flags = CADRE_SHIELDED }, under = { .parent = &shielded };
    struct cadre_ctx expiring = { .parent = &top, .flags = CADRE_SHIELDED, .deadline = 1 };

    (void)state;
    cadre_ctx_cancel(&shielded, -EIO, NULL);
    assert_int_equal(cadre_ctx_error(&shielded), -ECANCELED);
    assert_int_equal(cadre_ctx_error(&under), -ECANCELED);
    assert_int_equal(cadre_ctx_error(&expiring), -ETIMEDOUT);
    assert_int_equal(cadre_ctx_error(&top), 0);
}

/* ---- a group's context ---- */

static int fails(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    cadre_task_name("culprit");
    return cadre_fail(ctx, -EBADMSG, "line %d", 7);
}

static int succeeds(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    return 0;
}

static void test_the_cause_of_a_group_that_cancelled_itself_is_its_error(void **state)
{
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };
    struct cadre_error cause;

    (void)state;
    cadre_go(&g, fails, NULL);
    assert_int_equal(cadre_wait(&g), -EBADMSG);
    cause = cadre_ctx_cause(cadre_group_ctx(&g));
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), -ECANCELED);
    assert_int_equal(cause.code, -EBADMSG);
    assert_int_equal(cause.origin, CADRE_FROM_TASK);
    assert_string_equal(cause.message, "line 7");
    assert_string_equal(cause.task, "culprit");
}

static void test_the_cause_after_a_wait_without_error_is_a_plain_cancel(void **state)
{
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };

    (void)state;
    cadre_go(&g, succeeds, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), -ECANCELED);
    assert_int_equal(cadre_ctx_cause(cadre_group_ctx(&g)).code, -ECANCELED);
}

static void test_a_groups_context_ends_with_its_parent(void **state)
{
    struct cadre_ctx top = { 0 };
    struct cadre_group g = { .parent = &top };

    (void)state;
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), 0);
    cadre_ctx_cancel(&top, -EIO, "above");
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), -ECANCELED);
    assert_string_equal(cadre_ctx_cause(cadre_group_ctx(&g)).message, "above");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_zeroed_context_is_live),
        cmocka_unit_test(test_null_is_the_background),
        cmocka_unit_test(test_cancel_has_a_code_and_a_reason),
        cmocka_unit_test(test_cancel_without_code_or_reason_says_cancelled),
        cmocka_unit_test(test_a_long_reason_is_cut_to_fit),
        cmocka_unit_test(test_only_the_first_cancel_counts),
        cmocka_unit_test(test_cancel_reaches_descendants_and_nobody_else),
        cmocka_unit_test(test_a_child_made_after_the_cancel_has_ended),
        cmocka_unit_test(test_a_deadline_that_passed_ends_the_context),
        cmocka_unit_test(test_a_deadline_in_the_future_ends_nothing),
        cmocka_unit_test(test_the_effective_deadline_is_the_earliest),
        cmocka_unit_test(test_a_cancel_before_the_deadline_stays_a_cancel),
        cmocka_unit_test(test_a_cancel_after_the_deadline_changes_nothing),
        cmocka_unit_test(test_a_parents_deadline_before_the_childs_cancel_wins),
        cmocka_unit_test(test_what_was_once_seen_stays),
        cmocka_unit_test(test_the_nearest_value_is_found),
        cmocka_unit_test(test_values_reach_tasks_through_their_group),
        cmocka_unit_test(test_a_shield_stops_cancel_and_deadline_but_not_values),
        cmocka_unit_test(test_a_shielded_context_ends_by_itself),
        cmocka_unit_test(test_the_cause_of_a_group_that_cancelled_itself_is_its_error),
        cmocka_unit_test(test_the_cause_after_a_wait_without_error_is_a_plain_cancel),
        cmocka_unit_test(test_a_groups_context_ends_with_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
