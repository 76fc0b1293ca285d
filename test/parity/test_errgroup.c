/* SPDX-License-Identifier: MIT
 * golang.org/x/sync/errgroup: the zero group, WithContext, Go and Wait, and all errors of all tasks. SetLimit and TryGo are in
 * test_errgroup_limit.c. */
#include "parity.h"

/* ---- the zero group ---- */

static void test_errgroup_zero_group_has_no_limit(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 300; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    test_until(crowd.running == 300);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, 300);
}

static void test_errgroup_zero_group_does_not_cancel_on_error(void **state)
{
    struct witness witness = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&g, witness_task, &witness), 0);
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    test_until(cadre_group_error_count(&g) == 1 && witness.begun == 1);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), 0);
    assert_int_equal(cadre_go(&g, witness_task, &witness), 0);
    gate_open(&witness.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(witness.passed, 2);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), 0);
}

/* ---- WithContext ---- */

static int fail_with_words(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_fail(ctx, -EIO, "no such page");
}

static void test_errgroup_first_error_ends_the_context_and_is_its_cause(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct witness witness = { 0 };
    struct cadre_group g = { .parent = &parent, .flags = CADRE_CANCEL_ON_ERROR };
    struct cadre_ctx derived = { .parent = cadre_group_ctx(&g) };

    (void)state;
    assert_int_equal(cadre_go(&g, witness_task, &witness), 0);
    test_until(witness.begun == 1);
    assert_int_equal(cadre_ctx_error(&derived), 0);
    assert_int_equal(cadre_go(&g, fail_with_words, NULL), 0);
    test_until(witness.told == 1); /* by the error, not by the wait */
    assert_int_equal(witness.cause.code, -EIO);
    assert_string_equal(witness.cause.message, "no such page");
    assert_int_equal(cadre_ctx_error(&derived), -ECANCELED);
    assert_int_equal(cadre_ctx_cause(&derived).code, -EIO);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_ctx_cause(cadre_group_ctx(&g)).code, -EIO);
    assert_int_equal(cadre_ctx_error(&parent), 0);
}

static void *sleep_under(void *arg) { return (void *)(intptr_t)cadre_sleep(arg, CADRE_FOREVER); }

static void test_errgroup_wait_ends_the_context_by_a_plain_cancel(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct cadre_group g = { .parent = &parent, .flags = CADRE_CANCEL_ON_ERROR };
    pthread_t sleeper = thread_start(sleep_under, cadre_group_ctx(&g));
    void *code = NULL;

    (void)state;
    assert_int_equal(cadre_go(&g, return_code, NULL), 0);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(pthread_join(sleeper, &code), 0);
    assert_int_equal((intptr_t)code, -ECANCELED);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), -ECANCELED);
    assert_int_equal(cadre_ctx_cause(cadre_group_ctx(&g)).code, -ECANCELED);
    assert_int_equal(cadre_ctx_error(&parent), 0);
}

static void test_errgroup_with_context_ends_with_its_parent(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct witness witness = { 0 };
    struct cadre_group g = { .parent = &parent, .flags = CADRE_CANCEL_ON_ERROR };

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(cadre_go(&g, witness_task, &witness), 0);
    test_until(witness.begun == 10);
    cadre_ctx_cancel(&parent, 0, "closing time");
    assert_int_equal(cadre_wait(&g), -ECANCELED);
    assert_int_equal(witness.told, 10);
    assert_string_equal(witness.cause.message, "closing time");
}

/* ---- Go and Wait ---- */

static void test_errgroup_wait_returns_the_first_error(void **state)
{
    static int codes[][3] = { { 0, 0, 0 }, { -EIO, 0, 0 }, { 0, -EPERM, 0 }, { 0, -EIO, -EPERM }, { -EPERM, 0, -EIO },
                              { -EIO, -EPERM, -EBADF } };

    (void)state;
    for (size_t i = 0; i < lengthof(codes); i++) {
        struct cadre_group g = { 0 };
        size_t errors = 0;
        int first = 0;

        for (int k = 0; k < 3; k++) {
            first = first != 0 ? first : codes[i][k];
            errors += codes[i][k] != 0;
            assert_int_equal(cadre_go(&g, return_code, &codes[i][k]), 0);
            test_until(cadre_group_error_count(&g) == errors);
        }
        assert_int_equal(cadre_wait(&g), first);
        assert_int_equal(cadre_group_error(&g).code, first);
    }
}

static void test_errgroup_wait_waits_for_all_after_the_first_error(void **state)
{
    struct crowd slow = { .heedless = true };
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };
    struct waiting waiting;

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &slow), 0);
    test_until(slow.started == 5);
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    waiting_start(&waiting, &g);
    test_until(cadre_group_error_count(&g) == 1);
    assert_int_equal(waiting.returned, 0);
    gate_open(&slow.gate);
    assert_int_equal(waiting_join(&waiting), -EIO);
    assert_int_equal(slow.ended, 5);
}

static void test_errgroup_wait_twice_gives_the_same_answer(void **state)
{
    struct cadre_group good = { 0 }, bad = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&good, return_code, NULL), 0);
    assert_int_equal(cadre_go(&bad, return_code, &(int){ -EIO }), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cadre_wait(&good), 0);
        assert_int_equal(cadre_wait(&bad), -EIO);
    }
}

static void test_errgroup_go_after_wait_runs_and_the_first_error_stays(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int ran = 0;

    (void)state;
    assert_int_equal(cadre_go(&g, count_task, &ran), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_go(&g, count_task, &ran), 0);
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EPERM }), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(ran, 2);
}

static void test_errgroup_concurrent_waiters_get_the_same_answer(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(20, 2000); round++) {
        struct crowd crowd = { .code = round % 2 == 0 ? -EIO : 0 };
        struct cadre_group g = { 0 };
        struct waiting waiting[4];

        for (int i = 0; i < 3; i++)
            assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
        for (size_t i = 0; i < lengthof(waiting); i++)
            waiting_start(&waiting[i], &g);
        gate_open(&crowd.gate);
        assert_int_equal(cadre_wait(&g), crowd.code);
        for (size_t i = 0; i < lengthof(waiting); i++)
            assert_int_equal(waiting_join(&waiting[i]), crowd.code);
    }
}

/* ---- all errors ---- */

static int fail_if_odd(struct cadre_ctx *ctx, void *arg)
{
    int number = *(const int *)arg;

    return number % 2 != 0 ? cadre_fail(ctx, -1000 - number, "number %d", number) : 0;
}

static void test_errgroup_every_error_is_kept_with_its_tasks_number(void **state)
{
    enum { N = 100 };
    struct cadre_error errors[N] = { 0 };
    struct cadre_group g = { .errors = errors, .max_errors = N };
    bool seen[N] = { false };
    int code;

    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(cadre_go_copy(&g, fail_if_odd, &i, sizeof i), 0);
    code = cadre_wait(&g);
    assert_int_equal(code, errors[0].code);
    assert_int_equal(cadre_group_error_count(&g), N / 2);
    for (int i = 0; i < N / 2; i++) {
        assert_int_equal(errors[i].code, -1000 - (int)errors[i].index);
        assert_int_equal(errors[i].index % 2, 1);
        assert_false(seen[errors[i].index]);
        seen[errors[i].index] = true;
    }
}

static void test_errgroup_settle_keeps_every_code_by_index(void **state)
{
    enum { N = 100 };
    struct cadre_error errors[N];
    struct cadre_job jobs[N];
    int numbers[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        numbers[i] = i;
        jobs[i] = (struct cadre_job){ .fn = fail_if_odd, .arg = &numbers[i] };
    }
    assert_int_equal(cadre_settle(NULL, jobs, N, &(struct cadre_jobs_options){ .errors = errors }), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(jobs[i].code, i % 2 != 0 ? -1000 - i : 0);
        assert_int_equal(errors[i].code, jobs[i].code);
    }
    assert_string_equal(errors[7].message, "number 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errgroup_zero_group_has_no_limit),
        cmocka_unit_test(test_errgroup_zero_group_does_not_cancel_on_error),
        cmocka_unit_test(test_errgroup_first_error_ends_the_context_and_is_its_cause),
        cmocka_unit_test(test_errgroup_wait_ends_the_context_by_a_plain_cancel),
        cmocka_unit_test(test_errgroup_with_context_ends_with_its_parent),
        cmocka_unit_test(test_errgroup_wait_returns_the_first_error),
        cmocka_unit_test(test_errgroup_wait_waits_for_all_after_the_first_error),
        cmocka_unit_test(test_errgroup_wait_twice_gives_the_same_answer),
        cmocka_unit_test(test_errgroup_go_after_wait_runs_and_the_first_error_stays),
        cmocka_unit_test(test_errgroup_concurrent_waiters_get_the_same_answer),
        cmocka_unit_test(test_errgroup_every_error_is_kept_with_its_tasks_number),
        cmocka_unit_test(test_errgroup_settle_keeps_every_code_by_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
