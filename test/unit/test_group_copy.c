/* SPDX-License-Identifier: MIT
 * cadre_go_copy: the task's own copy, of whatever size, from its first instruction to its end or to drop. */
#include "test.h"

#include "tasks.h"

#include <stdalign.h>

#define COPY_MAX 4096

static unsigned char pattern(size_t size, size_t i) { return (unsigned char)(size * 7 + i * 13 + 1); }

static size_t copy_sizes(size_t i) { return i <= 80 ? i : i <= 90 ? (size_t)1 << (i - 81 + 3) : COPY_MAX - (i - 91); }
#define COPY_SIZES 94

/* What a task of these tests saw; the copy says which test it belongs to by its size alone. */
static atomic_int copies_right, copies_seen;

static bool is_right_copy(const unsigned char *copy, size_t size)
{
    size_t align = size & (~size + 1);

    if (align > alignof(max_align_t))
        align = alignof(max_align_t);
    for (size_t i = 0; i < size; i++)
        if (copy[i] != pattern(size, i))
            return false;
    return size == 0 || (uintptr_t)copy % align == 0;
}

struct copy_case {
    struct cadre_group group;
    size_t size;
};

static const char case_key;

static int check_copy(struct cadre_ctx *ctx, void *arg)
{
    const struct copy_case *c = cadre_ctx_value(ctx, &case_key);
    unsigned char *copy = arg;

    atomic_fetch_add(&copies_right, is_right_copy(copy, c->size));
    cadre_yield(); /* the copy is the task's for as long as it lives */
    if (c->size > 0) {
        atomic_fetch_add(&copies_right, is_right_copy(copy, c->size));
        memset(copy, 0, c->size);
    }
    atomic_fetch_add(&copies_seen, 1);
    return 0;
}

static void copy_go(struct cadre_group *g, cadre_fn *fn, size_t size, int expected)
{
    unsigned char original[COPY_MAX];

    for (size_t i = 0; i < size; i++)
        original[i] = pattern(size, i);
    assert_int_equal(cadre_go_copy(g, fn, original, size), expected);
    memset(original, 0xee, sizeof original);
}

static void a_copy_is_the_tasks_own_whatever_its_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < COPY_SIZES; i++) {
        struct copy_case c = { .size = copy_sizes(i) };
        struct cadre_ctx ctx = { .key = &case_key, .value = &c };

        copies_right = copies_seen = 0;
        c.group.parent = &ctx;
        copy_go(&c.group, check_copy, c.size, 0);
        copy_go(&c.group, check_copy, c.size, 0);
        assert_int_equal(cadre_wait(&c.group), 0);
        assert_int_equal(copies_seen, 2);
        assert_int_equal(copies_right, c.size > 0 ? 4 : 2);
    }
}

static atomic_int runs;

static int count_run(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    atomic_fetch_add(&runs, 1);
    return 0;
}

static void a_copy_of_nothing_needs_no_address(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_go_copy(&g, count_run, NULL, 0), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(runs, 1);
}

static atomic_int seen_numbers[100];

static int see_number(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    atomic_fetch_add(&seen_numbers[*(const int *)arg], 1);
    return 0;
}

static void copies_of_a_loop_variable_are_not_one_variable(void **state)
{
    struct cadre_group g = { .limit = 3, .queue = 7 };

    (void)state;
    memset(seen_numbers, 0, sizeof seen_numbers);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go_copy(&g, see_number, &i, sizeof i), 0);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(seen_numbers[i], 1);
}

/* ---- dropped copies ---- */

static size_t dropped_size;
static int dropped_right;

static void drop_copy(void *arg) { dropped_right += is_right_copy(arg, dropped_size); }

static void drop_gets_a_refused_copy_before_the_call_returns(void **state)
{
    (void)state;
    for (size_t i = 0; i < COPY_SIZES; i++) {
        struct cadre_group g = { .drop = drop_copy };

        dropped_size = copy_sizes(i);
        dropped_right = 0;
        cadre_group_cancel(&g, -EINTR, NULL);
        copy_go(&g, check_copy, dropped_size, -ECANCELED);
        assert_int_equal(dropped_right, 1);
        assert_int_equal(cadre_wait(&g), -EINTR);
        assert_int_equal(dropped_right, 1);
    }
}

static void drop_gets_an_accepted_copy_that_never_ran(void **state)
{
    (void)state;
    for (size_t i = 0; i < COPY_SIZES; i += 3) {
        struct crowd crowd = { 0 };
        struct cadre_group g = { .limit = 1, .queue = 2, .drop = drop_copy };

        dropped_size = copy_sizes(i);
        dropped_right = 0;
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
        test_until(crowd.started == 1);
        copy_go(&g, check_copy, dropped_size, 0);
        copy_go(&g, check_copy, dropped_size, 0);
        cadre_group_cancel(&g, 0, NULL);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(dropped_right, 2);
        assert_int_equal(crowd.ended, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_the_tasks_own_whatever_its_size),
        cmocka_unit_test(a_copy_of_nothing_needs_no_address),
        cmocka_unit_test(copies_of_a_loop_variable_are_not_one_variable),
        cmocka_unit_test(drop_gets_a_refused_copy_before_the_call_returns),
        cmocka_unit_test(drop_gets_an_accepted_copy_that_never_ran),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
