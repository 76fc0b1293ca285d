/* SPDX-License-Identifier: MIT
 * What a running task can say about itself: cadre_fail, cadre_defer, its name. Panics are in test_panic.c. */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "cadre.h"

/* Run one task in a group of its own and return the group's error. */
static struct cadre_error error_of(cadre_fn *fn, void *arg)
{
    struct cadre_group g = { .name = "of one" };
    int code;

    cadre_go(&g, fn, arg);
    code = cadre_wait(&g);
    assert_int_equal(code, cadre_group_error(&g).code);
    return cadre_group_error(&g);
}

/* ---- fail ---- */

static int fail_line;

static int fails_with_message(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    fail_line = __LINE__ + 1;
    return cadre_fail(ctx, -EIO, "%s: short read of %d bytes", "input", 12);
}

static void test_a_failure_carries_message_file_and_line(void **state)
{
    struct cadre_error error = error_of(fails_with_message, NULL);

    (void)state;
    assert_int_equal(error.code, -EIO);
    assert_int_equal(error.origin, CADRE_FROM_TASK);
    assert_string_equal(error.message, "input: short read of 12 bytes");
    assert_string_equal(error.file, __FILE__);
    assert_int_equal(error.line, fail_line);
    assert_string_equal(error.group, "of one");
    assert_string_equal(error.task, "");
}

static int fails_before_the_return(struct cadre_ctx *ctx, void *arg)
{
    int code = cadre_fail(ctx, -EIO, "found earlier");

    (void)arg;
    cadre_sleep(ctx, 1); /* the message stays with the task when it moves */
    return code;
}

static int returns_another_code(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    test_check(cadre_fail(ctx, -EIO, "tried and given up") == -EIO);
    return -EPIPE;
}

static int recovers(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    (void)cadre_fail(ctx, -EIO, "not so bad after all");
    return 0;
}

static int fails_twice(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    (void)cadre_fail(ctx, -EIO, "first");
    return cadre_fail(ctx, -EIO, "second");
}

static int fails_with_zero(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    (void)cadre_fail(ctx, -EIO, "kept");
    test_check(cadre_fail(ctx, 0, "nothing") == 0);
    return -EIO;
}

static int only_returns(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

static void test_a_message_goes_with_its_code(void **state)
{
    struct cadre_error other = error_of(returns_another_code, NULL);

    (void)state;
    assert_string_equal(error_of(fails_before_the_return, NULL).message, "found earlier");
    assert_int_equal(other.code, -EPIPE);
    assert_string_equal(other.message, cadre_strerror(-EPIPE));
    assert_int_equal(other.line, 0);
    assert_null(other.file);
    assert_int_equal(error_of(recovers, NULL).code, 0);
    assert_string_equal(error_of(recovers, NULL).message, "");
    assert_string_equal(error_of(fails_twice, NULL).message, "second");
    assert_string_equal(error_of(fails_with_zero, NULL).message, "kept");
}

static void test_a_code_alone_has_the_text_of_the_code(void **state)
{
    int code = -ENOENT, positive = 7;
    struct cadre_error error = error_of(only_returns, &code);

    (void)state;
    assert_string_equal(error.message, cadre_strerror(-ENOENT));
    assert_int_equal(error.line, 0);
    assert_int_equal(error_of(only_returns, &positive).code, 7);
    assert_string_not_equal(error_of(only_returns, &positive).message, "");
}

static int fails_at_length(struct cadre_ctx *ctx, void *arg)
{
    return cadre_fail(ctx, -EIO, "%s", (const char *)arg);
}

static void test_a_long_message_is_cut_to_fit(void **state)
{
    char text[2 * CADRE_MESSAGE_SIZE];

    (void)state;
    memset(text, 'm', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(strlen(error_of(fails_at_length, text).message), CADRE_MESSAGE_SIZE - 1);
}

static void test_outside_a_task_fail_only_returns_the_code(void **state)
{
    (void)state;
    assert_int_equal(cadre_fail(NULL, -EIO, "nobody"), -EIO);
    assert_int_equal(cadre_fail(NULL, 0, "nobody"), 0);
    assert_string_equal(error_of(only_returns, &(int){ -EIO }).message, cadre_strerror(-EIO));
}

/* ---- the message of an inner group ---- */

static int waits_for_a_failure(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };
    int *returns = arg, code;

    cadre_go(&inner, fails_with_message, NULL);
    code = cadre_wait(&inner);
    test_check(code == -EIO);
    return returns != NULL ? *returns : code;
}

static int waits_two_levels_up(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };

    cadre_go(&inner, waits_for_a_failure, arg);
    return cadre_wait(&inner);
}

static void test_an_inner_groups_message_goes_up_with_its_code(void **state)
{
    struct cadre_error error = error_of(waits_two_levels_up, NULL), other = error_of(waits_for_a_failure, &(int){ -EPIPE });

    (void)state;
    assert_string_equal(error.message, "input: short read of 12 bytes");
    assert_int_equal(error.line, fail_line);
    assert_string_equal(error.group, "of one");
    assert_string_equal(other.message, cadre_strerror(-EPIPE));
}

/* ---- name and index ---- */

static int names_itself(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_task_name("first name");
    cadre_task_name(arg);
    return -EIO;
}

static void test_a_task_names_itself_and_the_name_is_cut(void **state)
{
    const char *longest = "0123456789012345678901234567890";

    (void)state;
    cadre_task_name("nobody");
    assert_string_equal(error_of(names_itself, (void *)(uintptr_t)"reader").task, "reader");
    assert_string_equal(error_of(names_itself, NULL).task, "");
    assert_int_equal(strlen(longest), CADRE_NAME_SIZE - 1);
    assert_string_equal(error_of(names_itself, (void *)(uintptr_t)longest).task, longest);
    assert_string_equal(error_of(names_itself, (void *)(uintptr_t)"0123456789012345678901234567890 and more").task, longest);
}

/* ---- defer ---- */

struct trail {
    char text[16];
    unsigned length;
};

static struct trail trail;

static void leaves(void *arg)
{
    cadre_sleep(NULL, CADRE_US(10)); /* deferred calls may block */
    trail.text[trail.length++] = *(const char *)arg;
    trail.text[trail.length] = 0;
}

static void defer_letter(const char *letter) { test_check(cadre_defer(leaves, (void *)(uintptr_t)letter) == 0); }

static int defers_and_returns(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    defer_letter("a");
    defer_letter("b");
    defer_letter("c");
    test_check(trail.length == 0);
    return *(int *)arg;
}

static int defers_and_panics(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    defer_letter("x");
    defer_letter("y");
    cadre_panic("with %d deferred", 2);
}

static void adds_another(void *arg)
{
    defer_letter(arg);
    leaves((void *)(uintptr_t)"1");
}

static int defers_in_defer(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    defer_letter("3");
    test_check(cadre_defer(adds_another, (void *)(uintptr_t)"2") == 0);
    return 0;
}

static void test_deferred_calls_run_last_first_however_the_task_ends(void **state)
{
    (void)state;
    trail.length = 0;
    assert_int_equal(error_of(defers_and_returns, &(int){ 0 }).code, 0);
    assert_string_equal(trail.text, "cba");
    trail.length = 0;
    assert_int_equal(error_of(defers_and_returns, &(int){ -EIO }).code, -EIO);
    assert_string_equal(trail.text, "cba");
    trail.length = 0;
    assert_string_equal(error_of(defers_and_panics, NULL).message, "with 2 deferred");
    assert_string_equal(trail.text, "yx");
    trail.length = 0;
    assert_int_equal(error_of(defers_in_defer, NULL).code, 0);
    assert_string_equal(trail.text, "123");
}

static void never(void *arg)
{
    (void)arg;
    test_check_failed("taken outside a task", __FILE__, __LINE__);
}

static void *defers_on_thread(void *arg)
{
    (void)arg;
    test_check(cadre_defer(never, NULL) == -EPERM);
    return NULL;
}

static void test_defer_outside_a_task_takes_nothing(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(cadre_defer(never, NULL), -EPERM);
    assert_int_equal(cadre_defer(NULL, NULL), -EINVAL);
    assert_int_equal(pthread_create(&thread, NULL, defers_on_thread, NULL), 0);
    pthread_join(thread, NULL);
}

static int waits_with_defers(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };

    (void)arg;
    defer_letter("o");
    cadre_go(&inner, defers_and_returns, &(int){ 0 });
    cadre_wait(&inner);
    test_check(strcmp(trail.text, "cba") == 0); /* the inner task's own, and no other's */
    return 0;
}

static void test_deferred_calls_belong_to_their_task(void **state)
{
    (void)state;
    trail.length = 0;
    assert_int_equal(error_of(waits_with_defers, NULL).code, 0);
    assert_string_equal(trail.text, "cbao");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failure_carries_message_file_and_line),
        cmocka_unit_test(test_a_message_goes_with_its_code),
        cmocka_unit_test(test_a_code_alone_has_the_text_of_the_code),
        cmocka_unit_test(test_a_long_message_is_cut_to_fit),
        cmocka_unit_test(test_outside_a_task_fail_only_returns_the_code),
        cmocka_unit_test(test_an_inner_groups_message_goes_up_with_its_code),
        cmocka_unit_test(test_a_task_names_itself_and_the_name_is_cut),
        cmocka_unit_test(test_deferred_calls_run_last_first_however_the_task_ends),
        cmocka_unit_test(test_defer_outside_a_task_takes_nothing),
        cmocka_unit_test(test_deferred_calls_belong_to_their_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
