/* SPDX-License-Identifier: MIT
 * What the calls that run jobs have in common: bad arguments, options, errors and their messages, where they may be called from. */
#include <limits.h>

#include "test.h"

#include "gated.h"

static atomic_int runs;

static int run_once(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    atomic_fetch_add(&runs, 1);
    return 0;
}

/* Every call, with as much as it takes; k and k more for those that have none. */
static void check_all_calls(struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options, int expected)
{
    atomic_store(&runs, 0);
    assert_int_equal(cadre_all(NULL, jobs, n, options), expected);
    assert_int_equal(cadre_settle(NULL, jobs, n, options), expected);
    assert_int_equal(cadre_race(NULL, jobs, n, options, NULL), expected);
    assert_int_equal(cadre_take(NULL, jobs, n, 1, options, NULL), expected);
    assert_int_equal(cadre_last(NULL, jobs, n, 1, options, NULL), expected);
    assert_int_equal(cadre_quorum(NULL, jobs, n, 1, options, NULL), expected);
    assert_int_equal(cadre_hedge(NULL, jobs, n, CADRE_MS(1), options, NULL), expected);
    if (expected != 0)
        assert_int_equal(atomic_load(&runs), 0);
}

static void test_bad_jobs_are_refused_before_anything_starts(void **state)
{
    struct cadre_job jobs[3] = { { .fn = run_once }, { .fn = NULL }, { .fn = run_once } };

    (void)state;
    check_all_calls(NULL, 1, NULL, -EINVAL);
    check_all_calls(NULL, 0, NULL, -EINVAL);
    check_all_calls(jobs, 0, NULL, -EINVAL);
    check_all_calls(jobs, 3, NULL, -EINVAL);
    assert_int_equal(jobs[0].code, 0); /* not written to */
    assert_int_equal(cadre_waterfall(NULL, jobs, 3, NULL), -EINVAL);
    assert_int_equal(cadre_waterfall(NULL, jobs, 0, NULL), -EINVAL);
    assert_int_equal(cadre_waterfall(NULL, NULL, 1, NULL), -EINVAL);
    assert_int_equal(atomic_load(&runs), 0);
    jobs[1].fn = run_once;
    check_all_calls(jobs, SIZE_MAX, NULL, -EINVAL); /* and nobody looks at that many */
    check_all_calls(jobs, SIZE_MAX / sizeof *jobs + 1, NULL, -EINVAL);
}

static void test_a_negative_limit_is_refused(void **state)
{
    struct cadre_jobs_options options = { .limit = -1 };
    struct cadre_job jobs[2] = { { .fn = run_once }, { .fn = run_once } };
    struct cadre_group rest = { 0 };

    (void)state;
    check_all_calls(jobs, 2, &options, -EINVAL);
    options.rest = &rest;
    check_all_calls(jobs, 2, &options, -EINVAL);
    assert_int_equal(cadre_wait(&rest), 0);
}

static void test_k_is_at_least_1_and_a_quorum_has_no_more_than_there_are(void **state)
{
    struct cadre_job jobs[2] = { { .fn = run_once }, { .fn = run_once } };
    size_t order[2] = { 99, 99 };

    (void)state;
    atomic_store(&runs, 0);
    assert_int_equal(cadre_take(NULL, jobs, 2, 0, NULL, order), -EINVAL);
    assert_int_equal(cadre_last(NULL, jobs, 2, 0, NULL, order), -EINVAL);
    assert_int_equal(cadre_quorum(NULL, jobs, 2, 0, NULL, order), -EINVAL);
    assert_int_equal(cadre_quorum(NULL, jobs, 2, 3, NULL, order), -EINVAL);
    assert_int_equal(atomic_load(&runs), 0);
    assert_int_equal(order[0], 99);
}

/* ---- options ---- */

static void test_a_huge_limit_is_no_limit(void **state)
{
    struct cadre_jobs_options options = { .limit = INT_MAX };
    struct cadre_job jobs[2] = { { .fn = run_once }, { .fn = run_once } };

    (void)state;
    check_all_calls(jobs, 2, &options, 0);
}

#define CROWD 40

static void test_no_more_than_limit_run_at_once_and_as_many_if_they_can(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_jobs_options options = { .limit = 3 };
    struct trigger trigger = { .count = &crowd.started, .at = 3, .open = &crowd.gate };
    struct cadre_group g = { 0 };
    struct cadre_job jobs[CROWD];

    (void)state;
    for (int i = 0; i < CROWD; i++)
        jobs[i] = (struct cadre_job){ .fn = crowd_task, .arg = &crowd };
    cadre_go(&g, trigger_task, &trigger);
    assert_int_equal(cadre_all(NULL, jobs, CROWD, &options), 0);
    assert_int_equal(atomic_load(&crowd.most), 3);
    assert_int_equal(atomic_load(&crowd.ended), CROWD);
    cadre_wait(&g);
}

/* Notes its turn in the atomic_int that counts them, and fails at the third. */
static int fail_at_third(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return atomic_fetch_add((atomic_int *)arg, 1) == 2 ? -EIO : 0;
}

static void test_with_a_limit_of_1_jobs_run_in_order_and_none_after_an_error(void **state)
{
    struct cadre_jobs_options options = { .limit = 1 };
    struct cadre_job jobs[6];
    atomic_int turns = 0;

    (void)state;
    for (int i = 0; i < 6; i++)
        jobs[i] = (struct cadre_job){ .fn = fail_at_third, .arg = &turns };
    assert_int_equal(cadre_all(NULL, jobs, 6, &options), -EIO);
    for (int i = 0; i < 6; i++)
        assert_int_equal(jobs[i].code, i < 2 ? 0 : i == 2 ? -EIO : -ECANCELED);
    assert_int_equal(atomic_load(&turns), 3);
}

/* A frame of more than the usual stack. */
static int use_much_stack(struct cadre_ctx *ctx, void *arg)
{
    volatile char room[700 * 1024];

    (void)ctx, (void)arg;
    for (size_t i = 0; i < sizeof room; i += 1024)
        room[i] = 1;
    cadre_yield();
    return room[1024] - 1;
}

static void test_jobs_get_the_stack_that_the_options_ask_for(void **state)
{
    struct cadre_jobs_options options = { .stack_size = 1024 * 1024 };
    struct cadre_job jobs[2] = { { .fn = use_much_stack }, { .fn = use_much_stack } };

    (void)state;
    assert_int_equal(cadre_all(NULL, jobs, 2, &options), 0);
}

/* ---- errors ---- */

static int fail_with_a_name(struct cadre_ctx *ctx, void *arg)
{
    cadre_task_name("bob");
    return cadre_fail(ctx, -EIO, "no %s", (const char *)arg);
}

static int panic(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_panic("alas, %s", (const char *)arg);
}

static int return_plainly(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    return -ENOENT;
}

static void test_errors_tell_all_about_each_job_by_its_index(void **state)
{
    struct cadre_error errors[5];
    struct cadre_jobs_options options = { .name = "five", .errors = errors };
    struct cadre_job jobs[5] = { { .fn = panic, .arg = "poor" }, { .fn = run_once }, { .fn = fail_with_a_name, .arg = "luck" },
                                 { .fn = return_plainly }, { .fn = return_code } };

    (void)state;
    memset(errors, 1, sizeof errors);
    assert_int_equal(cadre_settle(NULL, jobs, 5, &options), 0);
    assert_int_equal(errors[0].code, -ENOTRECOVERABLE);
    assert_int_equal(errors[0].origin, CADRE_FROM_PANIC);
    assert_string_equal(errors[0].message, "alas, poor");
    assert_non_null(errors[0].trace[0]);
    assert_int_equal(errors[1].code, 0);
    assert_int_equal(errors[2].code, -EIO);
    assert_int_equal(errors[2].index, 2);
    assert_int_equal(errors[2].origin, CADRE_FROM_TASK);
    assert_string_equal(errors[2].message, "no luck");
    assert_string_equal(errors[2].task, "bob");
    assert_string_equal(errors[2].group, "five");
    assert_true(errors[2].line > 0);
    assert_int_equal(errors[3].code, -ENOENT);
    assert_string_equal(errors[3].message, cadre_strerror(-ENOENT));
    assert_int_equal(errors[4].code, 0);
}

static void test_a_job_that_echoes_a_cancel_has_no_error(void **state)
{
    struct cadre_error errors[2];
    struct cadre_jobs_options options = { .errors = errors };
    struct cadre_job jobs[2] = { { .fn = return_plainly }, { .fn = sleep_for_ever } };

    (void)state;
    assert_int_equal(cadre_all(NULL, jobs, 2, &options), -ENOENT);
    assert_int_equal(errors[0].code, -ENOENT);
    assert_int_equal(jobs[1].code, -ECANCELED);
    assert_int_equal(errors[1].code, 0);
}

/* Calls all and returns its error, as most tasks would. */
static int pass_on(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_job jobs[2] = { { .fn = run_once }, { .fn = fail_with_a_name, .arg = arg } };

    return cadre_all(ctx, jobs, 2, NULL);
}

static void test_in_a_task_the_error_keeps_its_message_and_place(void **state)
{
    struct cadre_group g = { 0 };
    struct cadre_error error;

    (void)state;
    cadre_go(&g, pass_on, "way");
    assert_int_equal(cadre_wait(&g), -EIO);
    error = cadre_group_error(&g);
    assert_string_equal(error.message, "no way");
    assert_true(strstr(error.file, "test_combine_options.c") != NULL);
}

/* ---- from where ---- */

static int level(struct cadre_ctx *ctx, void *arg)
{
    int depth = *(const int *)arg - 1;
    struct cadre_job jobs[3] = { { .fn = level, .arg = &depth }, { .fn = level, .arg = &depth }, { .fn = level, .arg = &depth } };

    if (depth < 0)
        return run_once(ctx, NULL);
    return cadre_all(ctx, jobs, 3, NULL);
}

static void test_calls_nest(void **state)
{
    int depth = 5;

    (void)state;
    atomic_store(&runs, 0);
    assert_int_equal(level(NULL, &depth), 0);
    assert_int_equal(atomic_load(&runs), 243);
}

static void *level_on_a_thread(void *arg)
{
    test_check(level(NULL, arg) == 0);
    return NULL;
}

static void test_several_plain_threads_may_call_at_once(void **state)
{
    pthread_t threads[4];
    int depth = 4;

    (void)state;
    atomic_store(&runs, 0);
    for (int i = 0; i < 4; i++)
        threads[i] = thread_start(level_on_a_thread, &depth);
    for (int i = 0; i < 4; i++)
        thread_join(threads[i]);
    assert_int_equal(atomic_load(&runs), 4 * 81);
}

static const char key;

static int see_value(struct cadre_ctx *ctx, void *arg)
{
    return cadre_ctx_value(ctx, &key) == arg ? 0 : -ENOENT;
}

static void test_jobs_see_the_values_of_the_callers_context(void **state)
{
    int value = 0;
    struct cadre_ctx ctx = { .key = &key, .value = &value };
    struct cadre_job job = { .fn = see_value, .arg = &value };

    (void)state;
    assert_int_equal(cadre_all(&ctx, &job, 1, NULL), 0);
    assert_int_equal(cadre_waterfall(&ctx, &job, 1, &value), 0);
    assert_int_equal(cadre_timeout(&ctx, CADRE_FOREVER, see_value, &value), 0);
    assert_int_equal(cadre_retry(&ctx, NULL, see_value, &value, NULL), 0);
}

static void test_many_jobs_run_all(void **state)
{
    const size_t n = 20000;
    struct cadre_job *jobs = calloc(n, sizeof *jobs);
    size_t *order = calloc(n, sizeof *order);
    atomic_int count = 0;

    (void)state;
    assert_true(jobs != NULL && order != NULL);
    for (size_t i = 0; i < n; i++)
        jobs[i] = (struct cadre_job){ .fn = count_task, .arg = &count };
    assert_int_equal(cadre_last(NULL, jobs, n, n, NULL, order), 0);
    assert_int_equal(atomic_load(&count), n);
    for (size_t i = 0; i < n; i++)
        jobs[order[i]].code++; /* each index is there once */
    for (size_t i = 0; i < n; i++)
        assert_int_equal(jobs[i].code, 1);
    free(order);
    free(jobs);
}

static void test_errno_is_left_alone(void **state)
{
    struct cadre_job jobs[2] = { { .fn = run_once }, { .fn = return_plainly } };

    (void)state;
    errno = 4711;
    assert_int_equal(cadre_all(NULL, jobs, 2, NULL), -ENOENT);
    assert_int_equal(cadre_take(NULL, NULL, 2, 1, NULL, NULL), -EINVAL);
    assert_int_equal(errno, 4711);
}

/* ---- the error that comes back, also outside tasks ---- */

static int fails_with_a_message(struct cadre_ctx *ctx, void *arg)
{
    return cadre_fail(ctx, -EIO, "disk %d is on fire", *(const int *)arg);
}

static int succeeds_slowly(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_sleep(ctx, CADRE_SEC(100));
}

static void test_the_error_comes_back_with_its_message_and_place(void **state)
{
    static int disk = 7;
    struct cadre_job jobs[] = { { .fn = succeeds_slowly }, { .fn = fails_with_a_message, .arg = &disk } };
    struct cadre_group rest = { 0 };

    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        struct cadre_error error = { 0 };
        struct cadre_jobs_options options = { .error = &error, .rest = apart != 0 ? &rest : NULL };

        assert_int_equal(cadre_all(NULL, jobs, 2, &options), -EIO);
        assert_int_equal(error.code, -EIO);
        assert_string_equal(error.message, "disk 7 is on fire");
        assert_true(error.line > 0);
        assert_int_equal(error.index, 1);
        error.code = 1;
        assert_int_equal(cadre_all(NULL, &(struct cadre_job){ .fn = run_once }, 1, &options), 0);
        assert_int_equal(error.code, 1); /* not written on success */
    }
    assert_int_equal(cadre_wait(&rest), 0);
}

static void test_the_error_says_when_ctx_ended_it(void **state)
{
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(5)) };
    struct cadre_error error = { 0 };
    struct cadre_jobs_options options = { .error = &error };

    (void)state;
    assert_int_equal(cadre_race(&ctx, &(struct cadre_job){ .fn = succeeds_slowly }, 1, &options, NULL), -ETIMEDOUT);
    assert_int_equal(error.code, -ETIMEDOUT);
    assert_int_equal(error.origin, CADRE_FROM_DEADLINE);
    assert_string_equal(error.message, "The deadline passed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_jobs_are_refused_before_anything_starts),
        cmocka_unit_test(test_a_negative_limit_is_refused),
        cmocka_unit_test(test_k_is_at_least_1_and_a_quorum_has_no_more_than_there_are),
        cmocka_unit_test(test_a_huge_limit_is_no_limit),
        cmocka_unit_test(test_no_more_than_limit_run_at_once_and_as_many_if_they_can),
        cmocka_unit_test(test_with_a_limit_of_1_jobs_run_in_order_and_none_after_an_error),
        cmocka_unit_test(test_jobs_get_the_stack_that_the_options_ask_for),
        cmocka_unit_test(test_errors_tell_all_about_each_job_by_its_index),
        cmocka_unit_test(test_a_job_that_echoes_a_cancel_has_no_error),
        cmocka_unit_test(test_in_a_task_the_error_keeps_its_message_and_place),
        cmocka_unit_test(test_calls_nest),
        cmocka_unit_test(test_several_plain_threads_may_call_at_once),
        cmocka_unit_test(test_jobs_see_the_values_of_the_callers_context),
        cmocka_unit_test(test_many_jobs_run_all),
        cmocka_unit_test(test_errno_is_left_alone),
        cmocka_unit_test(test_the_error_comes_back_with_its_message_and_place),
        cmocka_unit_test(test_the_error_says_when_ctx_ended_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
