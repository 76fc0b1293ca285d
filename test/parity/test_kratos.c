/* SPDX-License-Identifier: MIT
 * bilibili's errgroup (kratos): three ways of making a group, GOMAXPROCS, and panics that become errors. */
#include "parity.h"

/* ---- three ways ---- */

/* One task fails while another one waits: is the other one told? */
static void check_sibling(struct cadre_group *g, int told)
{
    struct witness witness = { 0 };

    assert_int_equal(cadre_go(g, witness_task, &witness), 0);
    test_until(witness.begun == 1);
    assert_int_equal(cadre_go(g, return_code, &(int){ -EIO }), 0);
    test_until(cadre_group_error_count(g) >= 1 && witness.told == told);
    gate_open(&witness.gate);
    assert_int_equal(cadre_wait(g), -EIO);
    assert_int_equal(witness.told, told);
    assert_int_equal(witness.passed, 1 - told);
}

static void test_kratos_zero_group_cancels_nobody(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    check_sibling(&g, 0);
}

static void test_kratos_with_context_cancels_nobody(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct cadre_group g = { .parent = &parent };

    (void)state;
    check_sibling(&g, 0);
    assert_int_equal(cadre_ctx_error(&parent), 0);
}

static void test_kratos_with_cancel_cancels_siblings(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct cadre_group g = { .parent = &parent, .flags = CADRE_CANCEL_ON_ERROR };

    (void)state;
    check_sibling(&g, 1);
    assert_int_equal(cadre_ctx_error(&parent), 0);
}

static const char user_key;

struct visit {
    struct cadre_ctx *ctx;
    void *user;
    cadre_time deadline;
};

static int visit(struct cadre_ctx *ctx, void *arg)
{
    *(struct visit *)arg = (struct visit){ ctx, cadre_ctx_value(ctx, &user_key), cadre_ctx_deadline(ctx) };
    return 0;
}

static void test_kratos_tasks_get_the_groups_context(void **state)
{
    char user[] = "somebody";
    struct cadre_ctx parent = { .key = &user_key, .value = user, .deadline = cadre_in(CADRE_SEC(3600)) };
    struct cadre_group g = { .parent = &parent };
    struct visit seen = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&g, visit, &seen), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_ptr_equal(seen.ctx, cadre_group_ctx(&g));
    assert_ptr_equal(seen.user, user);
    assert_int_equal(seen.deadline, parent.deadline);
}

/* ---- GOMAXPROCS ---- */

static void test_kratos_gomaxprocs_never_blocks_go(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 4, .queue = CADRE_UNBOUNDED };

    (void)state;
    for (int i = 0; i < 2000; i++) /* on this thread, with nobody to open the gate */
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    test_until(crowd.running == 4);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, 2000);
    assert_int_equal(crowd.most, 4);
}

static void test_kratos_gomaxprocs_runs_all_without_wait(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 2, .queue = CADRE_UNBOUNDED };

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(cadre_go(&g, crowd_passer, &crowd), 0);
    test_until(crowd.ended == 1000);
    assert_in_range(crowd.most, 1, 2);
    assert_int_equal(cadre_wait(&g), 0);
}

struct starter {
    struct cadre_group *group;
    struct crowd *crowd;
};

static int start_one(struct cadre_ctx *ctx, void *arg)
{
    struct starter *starter = arg;

    (void)ctx;
    return cadre_go(starter->group, crowd_passer, starter->crowd);
}

static void test_kratos_gomaxprocs_is_safe_when_10000_tasks_go_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(3, 100); round++) {
        struct crowd crowd = { 0 };
        struct cadre_group g = { .limit = 3, .queue = CADRE_UNBOUNDED }, starters = { 0 };
        struct starter starter = { &g, &crowd };

        for (int i = 0; i < 10000; i++)
            assert_int_equal(cadre_go(&starters, start_one, &starter), 0);
        assert_int_equal(cadre_wait(&starters), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(crowd.ended, 10000);
        assert_in_range(crowd.most, 1, 3);
    }
}

/* ---- panics ---- */

static int at(const int *numbers, int size, int index)
{
    if (index >= size)
        cadre_panic("index %d out of range", index);
    return numbers[index];
}

static int sum_up_to(const int *numbers, int size, int last)
{
    return at(numbers, size, last) + (last > 0 ? sum_up_to(numbers, size, last - 1) : 0);
}

static int panic_with_defers(struct cadre_ctx *ctx, void *arg)
{
    static const int numbers[] = { 1, 2, 3 };

    (void)ctx;
    for (int i = 0; i < 3 && arg != NULL; i++)
        test_check(cadre_defer(count_drop, arg) == 0);
    return sum_up_to(numbers, 3, 2) == 6 ? sum_up_to(numbers, 3, 7) : 0;
}

static void test_kratos_panic_becomes_an_error_with_a_backtrace(void **state)
{
    struct cadre_group g = { .name = "workers" };
    struct cadre_error error;

    (void)state;
    assert_int_equal(cadre_go(&g, panic_with_defers, NULL), 0);
    assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
    error = cadre_group_error(&g);
    assert_int_equal(error.origin, CADRE_FROM_PANIC);
    assert_string_equal(error.message, "index 7 out of range");
    assert_string_equal(error.file, __FILE__);
    assert_in_range(error.line, 1, __LINE__);
    assert_string_equal(error.group, "workers");
    assert_non_null(error.trace[0]);
}

static void test_kratos_panic_runs_deferred_calls(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int released = 0;

    (void)state;
    assert_int_equal(cadre_go(&g, panic_with_defers, &released), 0);
    assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
    assert_int_equal(released, 3);
}

static void test_kratos_panic_cancels_siblings_at_once(void **state)
{
    struct witness witness = { 0 };
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_go(&g, witness_task, &witness), 0);
    test_until(witness.begun == 5);
    assert_int_equal(cadre_go(&g, panic_with_defers, NULL), 0);
    test_until(witness.told == 5); /* without a wait */
    assert_int_equal(witness.cause.code, -ENOTRECOVERABLE);
    assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
}

static void test_kratos_panic_leaves_siblings_alone_in_a_zero_group(void **state)
{
    struct witness witness = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&g, witness_task, &witness), 0);
    assert_int_equal(cadre_go(&g, panic_with_defers, NULL), 0);
    test_until(cadre_group_error_count(&g) == 1);
    gate_open(&witness.gate);
    assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
    assert_int_equal(witness.passed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kratos_zero_group_cancels_nobody),
        cmocka_unit_test(test_kratos_with_context_cancels_nobody),
        cmocka_unit_test(test_kratos_with_cancel_cancels_siblings),
        cmocka_unit_test(test_kratos_tasks_get_the_groups_context),
        cmocka_unit_test(test_kratos_gomaxprocs_never_blocks_go),
        cmocka_unit_test(test_kratos_gomaxprocs_runs_all_without_wait),
        cmocka_unit_test(test_kratos_gomaxprocs_is_safe_when_10000_tasks_go_at_once),
        cmocka_unit_test(test_kratos_panic_becomes_an_error_with_a_backtrace),
        cmocka_unit_test(test_kratos_panic_runs_deferred_calls),
        cmocka_unit_test(test_kratos_panic_cancels_siblings_at_once),
        cmocka_unit_test(test_kratos_panic_leaves_siblings_alone_in_a_zero_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
