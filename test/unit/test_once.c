/* SPDX-License-Identifier: MIT
 * cadre_once: what is done once, by whom, who waits for it, and how it goes on after failures, panics and cancels. */
#include "test.h"

#include "blocked.h"
#include "cadre.h"
#include "tasks.h"

/* One thing to do, and what it does: counts, passes the gate, and fails the first `failures` times. */
struct work {
    struct cadre_once once;
    struct gate gate;
    int failures;
    atomic_int begun, ran, calls;
    int value; /* written by the one that succeeds */
    struct cadre_ctx ctx;
};

static int work_fn(struct cadre_ctx *ctx, void *arg)
{
    struct work *work = arg;
    int code;

    atomic_fetch_add(&work->begun, 1);
    code = gate_pass(ctx, &work->gate);
    if (code != 0)
        return code;
    if (atomic_fetch_add(&work->ran, 1) < work->failures)
        return cadre_fail(ctx, -EIO, "not yet");
    work->value = 42;
    return 0;
}

/* A caller that must find the work done when its call returns 0. */
static int call(struct cadre_ctx *ctx, void *arg)
{
    struct work *work = arg;
    int code = cadre_once(ctx, &work->once, work_fn, work);

    test_check(code != 0 || work->value == 42);
    atomic_fetch_add(&work->calls, 1);
    return code;
}

static void *call_from_thread(void *arg)
{
    test_check(call(NULL, arg) == 0);
    return NULL;
}

/* ---- once, for all ---- */

static void test_many_tasks_do_it_once(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct work work = { 0 };
        struct cadre_group g = { 0 };

        gate_open(&work.gate);
        for (int j = 0; j < 20; j++)
            cadre_go(&g, call, &work);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(atomic_load(&work.ran), 1);
        assert_int_equal(atomic_load(&work.calls), 20);
    }
}

static void test_plain_threads_do_it_once(void **state)
{
    struct work work = { 0 };
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        threads[i] = thread_start(call_from_thread, &work);
    eventually(blocked_on_mutex(&work.once.p_mutex) == 3);
    assert_int_equal(atomic_load(&work.calls), 0); /* nobody returns before it is done */
    gate_open(&work.gate);
    for (int i = 0; i < 4; i++)
        thread_join(threads[i]);
    assert_int_equal(atomic_load(&work.ran), 1);
}

static void test_what_is_done_needs_no_context(void **state)
{
    struct work work = { 0 };
    struct cadre_ctx ended = { 0 };

    (void)state;
    gate_open(&work.gate);
    cadre_ctx_cancel(&ended, 0, NULL);
    assert_int_equal(call(NULL, &work), 0);
    assert_int_equal(call(&ended, &work), 0);
    assert_int_equal(atomic_load(&work.ran), 1);
}

/* ---- failures ---- */

static void test_after_a_failure_the_next_caller_tries(void **state)
{
    struct work work = { .failures = 2 };

    (void)state;
    gate_open(&work.gate);
    assert_int_equal(call(NULL, &work), -EIO);
    assert_int_equal(call(NULL, &work), -EIO);
    assert_int_equal(call(NULL, &work), 0);
    assert_int_equal(call(NULL, &work), 0);
    assert_int_equal(atomic_load(&work.ran), 3);
}

static void test_each_failure_is_told_to_one_caller_only(void **state)
{
    struct work work = { .failures = 3 };
    struct cadre_error errors[4];
    struct cadre_group g = { .errors = errors, .max_errors = 4 };

    (void)state;
    for (int i = 0; i < 10; i++)
        cadre_go(&g, call, &work);
    eventually(blocked_on_mutex(&work.once.p_mutex) == 9);
    gate_open(&work.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_group_error_count(&g), 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(errors[i].message, "not yet"); /* fn is part of its caller */
    assert_int_equal(atomic_load(&work.ran), 4);
}

static int panic_fn(struct cadre_ctx *ctx, void *arg)
{
    struct work *work = arg;

    (void)ctx;
    if (atomic_fetch_add(&work->ran, 1) < work->failures)
        cadre_panic("in the middle");
    work->value = 42;
    return 0;
}

static int call_panic(struct cadre_ctx *ctx, void *arg)
{
    struct work *work = arg;

    return cadre_once(ctx, &work->once, panic_fn, work);
}

static void test_after_a_panic_the_next_caller_tries(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct work work = { .failures = 3 };
        struct cadre_group g = { 0 };

        for (int j = 0; j < 10; j++)
            cadre_go(&g, call_panic, &work);
        assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
        assert_int_equal(cadre_group_error_count(&g), 3);
        assert_int_equal(atomic_load(&work.ran), 4);
        assert_int_equal(work.value, 42);
    }
}

/* The object is gone when the task ends. */
static int once_in_passing(struct cadre_ctx *ctx, void *arg)
{
    struct work *work = calloc(1, sizeof *work);
    int code;

    (void)arg;
    test_check(work != NULL);
    work->failures = 1;
    gate_open(&work->gate);
    code = call(ctx, work);
    test_check(code == -EIO && call(ctx, work) == 0);
    free(work);
    return 0;
}

static void test_the_object_may_go_before_its_task_ends(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 20; i++)
        cadre_go(&g, once_in_passing, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- contexts ---- */

static int call_under_own(struct cadre_ctx *ctx, void *arg)
{
    struct work *work = arg;

    (void)ctx;
    return cadre_once(&work->ctx, &work->once, work_fn, work);
}

static void test_who_waits_leaves_when_its_context_ends(void **state)
{
    struct work work = { 0 };
    struct cadre_group first = { 0 }, others = { 0 };

    (void)state;
    cadre_go(&first, call, &work);
    test_until(atomic_load(&work.begun) == 1);
    for (int i = 0; i < 5; i++)
        cadre_go(&others, call_under_own, &work);
    eventually(blocked_on_mutex(&work.once.p_mutex) == 5);
    cadre_ctx_cancel(&work.ctx, 0, NULL);
    assert_int_equal(cadre_wait(&others), -ECANCELED);
    assert_int_equal(cadre_group_error_count(&others), 5);
    gate_open(&work.gate);
    assert_int_equal(cadre_wait(&first), 0);
    assert_int_equal(atomic_load(&work.ran), 1);
}

static void test_a_deadline_ends_the_wait(void **state)
{
    struct work work = { 0 };
    struct cadre_ctx soon = { .deadline = cadre_in(CADRE_MS(1)) };
    struct cadre_group first = { 0 };

    (void)state;
    cadre_go(&first, call, &work);
    test_until(atomic_load(&work.begun) == 1);
    assert_int_equal(call(&soon, &work), -ETIMEDOUT);
    gate_open(&work.gate);
    assert_int_equal(cadre_wait(&first), 0);
}

static void test_a_cancel_of_the_one_that_does_it_lets_the_next_try(void **state)
{
    struct work work = { 0 };
    struct cadre_group first = { 0 }, second = { 0 };

    (void)state;
    cadre_go(&first, call_under_own, &work);
    test_until(atomic_load(&work.begun) == 1);
    cadre_go(&second, call, &work);
    eventually(blocked_on_mutex(&work.once.p_mutex) == 1);
    cadre_ctx_cancel(&work.ctx, 0, NULL);
    assert_int_equal(cadre_wait(&first), -ECANCELED);
    test_until(atomic_load(&work.begun) == 2);
    gate_open(&work.gate);
    assert_int_equal(cadre_wait(&second), 0);
    assert_int_equal(atomic_load(&work.ran), 1);
}

/* ---- wrong use ---- */

static int calls_itself(struct cadre_ctx *ctx, void *arg)
{
    struct work *work = arg;

    return cadre_once(ctx, &work->once, calls_itself, work);
}

static int call_recursively(struct cadre_ctx *ctx, void *arg)
{
    struct work *work = arg;

    return cadre_once(ctx, &work->once, calls_itself, work);
}

static void test_recursion_is_told(void **state)
{
    struct work work = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(call_recursively(NULL, &work), -EDEADLK);
    cadre_go(&g, call_recursively, &work);
    assert_int_equal(cadre_wait(&g), -EDEADLK);
    gate_open(&work.gate);
    assert_int_equal(call(NULL, &work), 0); /* it was a failure like any other */
}

static void test_wrong_arguments_are_told(void **state)
{
    struct cadre_once once = { 0 };

    (void)state;
    assert_int_equal(cadre_once(NULL, NULL, work_fn, NULL), -EINVAL);
    assert_int_equal(cadre_once(NULL, &once, NULL, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_tasks_do_it_once),
        cmocka_unit_test(test_plain_threads_do_it_once),
        cmocka_unit_test(test_what_is_done_needs_no_context),
        cmocka_unit_test(test_after_a_failure_the_next_caller_tries),
        cmocka_unit_test(test_each_failure_is_told_to_one_caller_only),
        cmocka_unit_test(test_after_a_panic_the_next_caller_tries),
        cmocka_unit_test(test_the_object_may_go_before_its_task_ends),
        cmocka_unit_test(test_who_waits_leaves_when_its_context_ends),
        cmocka_unit_test(test_a_deadline_ends_the_wait),
        cmocka_unit_test(test_a_cancel_of_the_one_that_does_it_lets_the_next_try),
        cmocka_unit_test(test_recursion_is_told),
        cmocka_unit_test(test_wrong_arguments_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
