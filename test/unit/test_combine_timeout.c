/* SPDX-License-Identifier: MIT
 * A function and its time; steps on one value. */
#include "test.h"

#include "tasks.h"

/* ---- timeout ---- */

/* What ends well, ends badly, or notes that it has run. */
static int fail_plainly(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_fail(ctx, -EIO, "plainly");
}

static int panic(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    cadre_panic("no %s", "more");
}

/* Waits until its context ends, and returns what it is told to. */
static int wait_and_return(struct cadre_ctx *ctx, void *arg)
{
    (void)cadre_sleep(ctx, CADRE_FOREVER);
    return *(const int *)arg;
}

static void test_timeout_gives_fn_its_time_and_returns_what_it_does(void **state)
{
    int code = 17;

    (void)state;
    assert_int_equal(cadre_timeout(NULL, CADRE_FOREVER, return_code, NULL), 0);
    assert_int_equal(cadre_timeout(NULL, CADRE_SEC(100), return_code, &code), 17);
    assert_int_equal(cadre_timeout(NULL, CADRE_SEC(100), panic, NULL), -ENOTRECOVERABLE);
}

static void test_an_echo_of_the_timeout_is_a_timeout(void **state)
{
    int code = -ECANCELED;

    (void)state;
    assert_int_equal(cadre_timeout(NULL, CADRE_MS(1), sleep_for_ever, NULL), -ETIMEDOUT);
    assert_int_equal(cadre_timeout(NULL, CADRE_MS(1), wait_and_return, &code), -ETIMEDOUT);
}

static void test_any_other_result_stands_though_the_time_is_up(void **state)
{
    int code = -EIO, good = 0, own = 17;

    (void)state;
    assert_int_equal(cadre_timeout(NULL, CADRE_MS(1), wait_and_return, &code), -EIO);
    assert_int_equal(cadre_timeout(NULL, CADRE_MS(1), wait_and_return, &good), 0);
    assert_int_equal(cadre_timeout(NULL, CADRE_MS(1), wait_and_return, &own), 17);
}

static void test_without_time_fn_runs_with_its_time_up(void **state)
{
    const cadre_time durations[] = { 0, -1, -CADRE_SEC(1000000), INT64_MIN };
    atomic_int runs = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cadre_timeout(NULL, durations[i], sleep_for_ever, &runs), -ETIMEDOUT);
    assert_int_equal(atomic_load(&runs), 4);
}

static int cancel_and_sleep(struct cadre_ctx *ctx, void *arg)
{
    cadre_ctx_cancel(arg, 0, NULL);
    return cadre_sleep(ctx, CADRE_FOREVER);
}

static void test_the_end_of_ctx_reaches_fn_and_is_returned(void **state)
{
    struct cadre_ctx ctx = { 0 }, timed = { .deadline = cadre_in(CADRE_MS(1)) };
    atomic_int runs = 0;

    (void)state;
    assert_int_equal(cadre_timeout(&ctx, CADRE_SEC(1000), cancel_and_sleep, &ctx), -ECANCELED);
    assert_int_equal(cadre_timeout(&ctx, CADRE_SEC(1000), count_task, &runs), -ECANCELED); /* too late to start */
    assert_int_equal(cadre_timeout(&timed, CADRE_SEC(1000), sleep_for_ever, NULL), -ETIMEDOUT);
    assert_int_equal(cadre_timeout(&timed, CADRE_SEC(1000), count_task, &runs), -ETIMEDOUT);
    assert_int_equal(atomic_load(&runs), 0);
}

static void test_timeout_refuses_no_function(void **state)
{
    (void)state;
    assert_int_equal(cadre_timeout(NULL, CADRE_MS(1), NULL, NULL), -EINVAL);
}

static int fail_in_time(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_timeout(ctx, CADRE_SEC(100), fail_plainly, NULL);
}

static int say_why_and_echo(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_fail(ctx, cadre_sleep(ctx, CADRE_FOREVER), "no answer");
}

static int run_out_of_time(struct cadre_ctx *ctx, void *arg)
{
    int code = -ECANCELED;

    return cadre_timeout(ctx, CADRE_MS(1), arg != NULL ? say_why_and_echo : wait_and_return, &code);
}

static void check_message(cadre_fn *fn, void *arg, int code, const char *message)
{
    struct cadre_group g = { 0 };

    cadre_go(&g, fn, arg);
    assert_int_equal(cadre_wait(&g), code);
    assert_string_equal(cadre_group_error(&g).message, message);
}

static void test_in_a_task_the_error_keeps_its_message(void **state)
{
    int any = 0;

    (void)state;
    check_message(fail_in_time, NULL, -EIO, "plainly");
    check_message(run_out_of_time, NULL, -ETIMEDOUT, "The deadline passed");
    check_message(run_out_of_time, &any, -ETIMEDOUT, "no answer");
}

/* ---- waterfall ---- */

static int add_one(struct cadre_ctx *ctx, void *value)
{
    (void)ctx;
    *(int *)value += 1;
    return 0;
}

static int times_ten(struct cadre_ctx *ctx, void *value)
{
    (void)ctx;
    *(int *)value *= 10;
    return 0;
}

static void test_waterfall_gives_every_step_the_value_of_the_one_before(void **state)
{
    int value = 1, unused = 0;
    struct cadre_job jobs[4] = { { .fn = add_one, .arg = &unused }, { .fn = times_ten }, { .fn = add_one }, { .fn = times_ten } };

    (void)state;
    assert_int_equal(cadre_waterfall(NULL, jobs, 4, &value), 0);
    assert_int_equal(value, 210);
    assert_int_equal(unused, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(jobs[i].code, 0);
}

static void check_ends_at(cadre_fn *step, int code, void *value)
{
    struct cadre_job jobs[3] = { { .fn = return_code }, { .fn = step }, { .fn = panic } };
    int zero = 0;

    assert_int_equal(cadre_waterfall(NULL, jobs, 3, value != NULL ? value : &zero), code);
    assert_int_equal(jobs[0].code, 0);
    assert_int_equal(jobs[1].code, code);
    assert_int_equal(jobs[2].code, -ECANCELED);
}

static void test_waterfall_ends_at_the_first_error(void **state)
{
    (void)state;
    check_ends_at(fail_plainly, -EIO, NULL);
    check_ends_at(panic, -ENOTRECOVERABLE, NULL);
}

static int cancel_quietly(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_ctx_cancel(arg, 0, NULL);
    return 0;
}

static void test_waterfall_ends_with_ctx(void **state)
{
    struct cadre_ctx ctx = { 0 }, other = { 0 }, last = { 0 };
    struct cadre_job between[2] = { { .fn = cancel_quietly }, { .fn = panic } };
    struct cadre_job within[2] = { { .fn = cancel_and_sleep }, { .fn = panic } };

    (void)state;
    assert_int_equal(cadre_waterfall(&ctx, between, 2, &ctx), -ECANCELED);
    assert_int_equal(between[0].code, 0);
    assert_int_equal(between[1].code, -ECANCELED);
    assert_int_equal(cadre_waterfall(&other, within, 2, &other), -ECANCELED);
    assert_int_equal(within[0].code, -ECANCELED);
    assert_int_equal(cadre_waterfall(&last, between, 1, &last), 0); /* too late to matter */
    assert_int_equal(cadre_waterfall(&last, between, 1, &last), -ECANCELED);
    assert_int_equal(between[0].code, -ECANCELED);
}

static int fall(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_job jobs[2] = { { .fn = return_code }, { .fn = fail_plainly } };

    return cadre_waterfall(ctx, jobs, 2, arg);
}

static void test_waterfall_keeps_the_message(void **state)
{
    (void)state;
    check_message(fall, NULL, -EIO, "plainly");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeout_gives_fn_its_time_and_returns_what_it_does),
        cmocka_unit_test(test_an_echo_of_the_timeout_is_a_timeout),
        cmocka_unit_test(test_any_other_result_stands_though_the_time_is_up),
        cmocka_unit_test(test_without_time_fn_runs_with_its_time_up),
        cmocka_unit_test(test_the_end_of_ctx_reaches_fn_and_is_returned),
        cmocka_unit_test(test_timeout_refuses_no_function),
        cmocka_unit_test(test_in_a_task_the_error_keeps_its_message),
        cmocka_unit_test(test_waterfall_gives_every_step_the_value_of_the_one_before),
        cmocka_unit_test(test_waterfall_ends_at_the_first_error),
        cmocka_unit_test(test_waterfall_ends_with_ctx),
        cmocka_unit_test(test_waterfall_keeps_the_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
