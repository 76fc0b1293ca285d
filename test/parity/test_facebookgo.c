/* SPDX-License-Identifier: MIT
 * facebookgo/errgroup: work that is counted in and out by hand, and all of its errors as one text. */
#include "parity.h"

/* A callback that comes on a thread of its own, and what it has to report. */
struct callback {
    struct cadre_group *group;
    struct gate *gate;
    int code;
    pthread_t thread;
};

static void *callback_body(void *arg)
{
    struct callback *callback = arg;

    test_check(gate_pass(NULL, callback->gate) == 0);
    cadre_group_release(callback->group, callback->code);
    return NULL;
}

static void callbacks_start(struct callback *callbacks, size_t n, struct cadre_group *g, struct gate *gate)
{
    for (size_t i = 0; i < n; i++) {
        test_check(cadre_group_hold(g) == 0);
        callbacks[i].group = g;
        callbacks[i].gate = gate;
        callbacks[i].thread = thread_start(callback_body, &callbacks[i]);
    }
}

static void callbacks_join(struct callback *callbacks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        thread_join(callbacks[i].thread);
}

static void test_facebookgo_wait_waits_for_all_that_was_added(void **state)
{
    struct cadre_group g = { 0 };
    struct callback callbacks[8] = { 0 };
    struct gate gate = { 0 };
    struct waiting waiting;

    (void)state;
    callbacks_start(callbacks, 8, &g, &gate);
    waiting_start(&waiting, &g);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(waiting.returned, 0);
        (void)cadre_sleep(NULL, CADRE_US(200));
    }
    gate_open(&gate);
    assert_int_equal(waiting_join(&waiting), 0);
    callbacks_join(callbacks, 8);
}

static void test_facebookgo_no_error_is_success(void **state)
{
    struct cadre_group g = { 0 };
    char text[64] = "x";

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cadre_group_hold(&g), 0);
    for (int i = 0; i < 3; i++)
        cadre_group_release(&g, 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_group_error(&g).code, 0);
    assert_int_equal(cadre_errors_format(&g, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void test_facebookgo_one_error_is_returned_as_itself(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cadre_group_hold(&g), 0);
    cadre_group_release(&g, 0);
    cadre_group_release(&g, -ENOENT);
    cadre_group_release(&g, 0);
    assert_int_equal(cadre_wait(&g), -ENOENT);
    assert_int_equal(cadre_group_error_count(&g), 1);
    assert_int_equal(cadre_group_error(&g).origin, CADRE_FROM_RELEASE);
    assert_string_equal(cadre_group_error(&g).message, cadre_strerror(-ENOENT));
}

static void test_facebookgo_errors_of_all_callbacks_are_kept(void **state)
{
    enum { N = 12 };
    struct cadre_error errors[N] = { 0 };
    struct cadre_group g = { .errors = errors, .max_errors = N };
    struct callback callbacks[N] = { 0 };
    struct gate gate = { 0 };
    unsigned seen = 0;
    int code;

    (void)state;
    for (int i = 0; i < N; i++)
        callbacks[i].code = i % 3 == 0 ? 0 : -1000 - i;
    callbacks_start(callbacks, N, &g, &gate);
    gate_open(&gate);
    code = cadre_wait(&g);
    callbacks_join(callbacks, N);
    assert_int_equal(code, errors[0].code);
    assert_int_equal(cadre_group_error_count(&g), 8);
    for (int i = 0; i < 8; i++)
        seen |= 1u << (-errors[i].code - 1000);
    assert_int_equal(seen, 0xdb6); /* every number below 12 that 3 does not divide */
}

static void test_facebookgo_the_text_has_a_line_per_error_and_a_summary(void **state)
{
    static const int codes[] = { -ENOENT, 0, -EACCES, -EIO };
    struct cadre_error errors[2];
    struct cadre_group g = { .name = "callbacks", .errors = errors, .max_errors = 2 };
    char text[1024];
    int length;

    (void)state;
    for (size_t i = 0; i < lengthof(codes); i++)
        assert_int_equal(cadre_group_hold(&g), 0);
    for (size_t i = 0; i < lengthof(codes); i++)
        cadre_group_release(&g, codes[i]);
    assert_int_equal(cadre_wait(&g), -ENOENT);
    length = cadre_errors_format(&g, text, sizeof text);
    assert_int_equal(length, strlen(text));
    assert_string_equal(text, "callbacks: group: No such file or directory [ENOENT, released]\n"
                              "callbacks: group: Permission denied [EACCES, released]\n"
                              "3 errors, 1 of them not kept\n");
}

static int hold_for_a_callback(struct cadre_ctx *ctx, void *arg)
{
    struct callback *callback = arg;

    (void)ctx;
    callbacks_start(callback, 1, callback->group, callback->gate);
    gate_open(callback->gate);
    return 0;
}

static void test_facebookgo_tasks_may_add_while_another_waits(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(100, 10000); round++) {
        struct cadre_group g = { 0 };
        struct gate gate = { 0 };
        struct callback callback = { .group = &g, .gate = &gate, .code = round % 2 == 0 ? 0 : -EIO };

        assert_int_equal(cadre_go(&g, hold_for_a_callback, &callback), 0);
        assert_int_equal(cadre_wait(&g), callback.code);
        callbacks_join(&callback, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facebookgo_wait_waits_for_all_that_was_added),
        cmocka_unit_test(test_facebookgo_no_error_is_success),
        cmocka_unit_test(test_facebookgo_one_error_is_returned_as_itself),
        cmocka_unit_test(test_facebookgo_errors_of_all_callbacks_are_kept),
        cmocka_unit_test(test_facebookgo_the_text_has_a_line_per_error_and_a_summary),
        cmocka_unit_test(test_facebookgo_tasks_may_add_while_another_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
