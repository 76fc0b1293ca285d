/* SPDX-License-Identifier: MIT
 * Trying again: how often, after what delay, until when, and what is said in the end. Times are only held against lower
 * bounds. */
#include <math.h>

#include "test.h"

#include "tasks.h"

/* What is tried: fails until try `good`, in the way that it is told. */
struct effort {
    atomic_int tries;
    int good;               /* 0: never */
    cadre_fn *how;
    struct cadre_ctx *cancel; /* ended at try cancel_at */
    int cancel_at;
    int (*codes)[8];        /* what `again` was asked about */
    int asked;
};

static int effort(struct cadre_ctx *ctx, void *arg)
{
    struct effort *effort = arg;
    int number = atomic_fetch_add(&effort->tries, 1) + 1;

    if (number == effort->cancel_at)
        cadre_ctx_cancel(effort->cancel, 0, NULL);
    if (number == effort->good)
        return 0;
    return effort->how != NULL ? effort->how(ctx, NULL) : cadre_fail(ctx, -EIO, "try %d", number);
}

static int echo_as_a_cancel(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_sleep(ctx, CADRE_FOREVER) != 0 ? -ECANCELED : 0;
}

static int panic(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    cadre_panic("dropped it");
}

/* options->again: notes the code; a panic is not to be tried again. */
static int note(int code, void *arg)
{
    struct effort *effort = arg;

    (*effort->codes)[effort->asked++ % 8] = code;
    return code != -ENOTRECOVERABLE;
}

static void test_a_success_ends_it(void **state)
{
    struct effort first = { .good = 1 }, third = { .good = 3 };
    uint32_t tries = 99;

    (void)state;
    assert_int_equal(cadre_retry(NULL, NULL, effort, &first, &tries), 0);
    assert_int_equal(tries, 1);
    assert_int_equal(cadre_retry(NULL, NULL, effort, &third, &tries), 0);
    assert_int_equal(tries, 3);
    assert_int_equal(atomic_load(&third.tries), 3);
}

static void test_after_the_last_try_its_code_is_returned(void **state)
{
    struct cadre_retry_options options = { .attempts = 4 };
    struct effort never = { 0 };
    uint32_t tries = 99;

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, effort, &never, &tries), -EIO);
    assert_int_equal(tries, 4);
    assert_int_equal(atomic_load(&never.tries), 4);
}

static void test_again_decides_and_a_panic_is_a_failure_too(void **state)
{
    struct cadre_retry_options options = { .again = note };
    int codes[8] = { 0 };
    struct effort third = { .good = 3, .codes = &codes }, panics = { .how = panic, .codes = &codes };
    uint32_t tries = 99;

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, effort, &third, &tries), 0);
    assert_int_equal(third.asked, 2);
    assert_int_equal(codes[0], -EIO);
    assert_int_equal(cadre_retry(NULL, &options, effort, &panics, &tries), -ENOTRECOVERABLE);
    assert_int_equal(tries, 1);
    assert_int_equal(panics.asked, 1);
    assert_int_equal(codes[0], -ENOTRECOVERABLE);
    options = (struct cadre_retry_options){ .attempts = 3 };
    assert_int_equal(cadre_retry(NULL, &options, effort, &panics, &tries), -ENOTRECOVERABLE);
    assert_int_equal(tries, 3);
}

static void test_the_last_try_is_not_asked_about(void **state)
{
    struct cadre_retry_options options = { .again = note, .attempts = 2 };
    int codes[8] = { 0 };
    struct effort never = { .codes = &codes };

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, effort, &never, NULL), -EIO);
    assert_int_equal(never.asked, 1);
}

/* ---- contexts and times ---- */

static void test_without_a_bound_it_goes_on_until_ctx_ends(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct effort never = { .cancel = &ctx, .cancel_at = 50 };
    uint32_t tries = 99;

    (void)state;
    assert_int_equal(cadre_retry(&ctx, NULL, effort, &never, &tries), -ECANCELED);
    assert_int_equal(tries, 50);
    assert_int_equal(cadre_retry(&ctx, NULL, effort, &never, &tries), -ECANCELED);
    assert_int_equal(tries, 0);
    assert_int_equal(atomic_load(&never.tries), 50);
}

static void test_ctx_ends_a_try_and_a_delay(void **state)
{
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(1)) }, later = { .deadline = cadre_in(CADRE_MS(5)) }, cancelled = { 0 };
    struct cadre_retry_options options = { .delay = CADRE_FOREVER };
    struct effort sleeps = { .how = sleep_for_ever }, never = { 0 };
    struct effort cancels = { .how = sleep_for_ever, .cancel = &cancelled, .cancel_at = 1 };
    uint32_t tries = 99;

    (void)state;
    assert_int_equal(cadre_retry(&ctx, NULL, effort, &sleeps, &tries), -ETIMEDOUT);
    assert_int_equal(tries, atomic_load(&sleeps.tries));
    assert_int_equal(cadre_retry(&later, &options, effort, &never, &tries), -ETIMEDOUT);
    assert_int_equal(tries, atomic_load(&never.tries));
    assert_int_equal(cadre_retry(&cancelled, NULL, effort, &cancels, &tries), -ECANCELED);
    assert_int_equal(tries, 1);
}

static void test_the_last_tries_own_error_stands_though_ctx_has_ended(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct cadre_retry_options options = { .attempts = 2 };
    struct effort never = { .cancel = &ctx, .cancel_at = 2 };

    (void)state;
    assert_int_equal(cadre_retry(&ctx, &options, effort, &never, NULL), -EIO);
}

static void test_a_try_that_runs_out_of_its_time_has_failed(void **state)
{
    struct cadre_retry_options options = { .try_timeout = CADRE_MS(1), .again = note };
    int codes[8] = { 0 };
    struct effort third = { .good = 3, .how = sleep_for_ever, .codes = &codes };
    uint32_t tries = 99;

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, effort, &third, &tries), 0);
    assert_int_equal(tries, 3);
    assert_int_equal(third.asked, 2);
    assert_int_equal(codes[0], -ETIMEDOUT);
    options.attempts = 2;
    third.good = 0;
    third.how = echo_as_a_cancel;
    assert_int_equal(cadre_retry(NULL, &options, effort, &third, &tries), -ETIMEDOUT);
    assert_int_equal(tries, 2);
}

static void test_no_try_starts_when_its_delay_would_end_after_the_deadline(void **state)
{
    struct cadre_retry_options options = { .delay = CADRE_SEC(36000), .deadline = cadre_in(CADRE_SEC(3600)) };
    struct effort never = { 0 };
    uint32_t tries = 99;

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, effort, &never, &tries), -EIO);
    assert_int_equal(tries, 1);
}

static void test_the_deadline_ends_a_running_try(void **state)
{
    struct cadre_retry_options options = { .deadline = cadre_in(CADRE_MS(1)) };
    struct effort sleeps = { .how = sleep_for_ever };
    uint32_t tries = 99;

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, effort, &sleeps, &tries), -ETIMEDOUT);
    assert_int_equal(tries, atomic_load(&sleeps.tries));
    assert_int_equal(cadre_retry(NULL, &options, effort, &sleeps, &tries), -ETIMEDOUT); /* has passed: not even one */
    assert_int_equal(tries, 0);
}

/* ---- delays ---- */

static cadre_time time_of(const struct cadre_retry_options *options, uint32_t expected_tries)
{
    cadre_time begin = cadre_now();
    struct effort never = { 0 };
    uint32_t tries = 99;

    assert_int_equal(cadre_retry(NULL, options, effort, &never, &tries), -EIO);
    assert_int_equal(tries, expected_tries);
    return cadre_now() - begin;
}

static void test_delays_grow_by_the_factor_up_to_the_bound(void **state)
{
    struct cadre_retry_options options = { .attempts = 4, .delay = CADRE_MS(2) };

    (void)state;
    assert_true(time_of(&options, 4) >= CADRE_MS(2 + 2 + 2));
    options.factor = 2;
    assert_true(time_of(&options, 4) >= CADRE_MS(2 + 4 + 8));
    options.factor = 1e300;
    options.max_delay = CADRE_MS(3);
    assert_true(time_of(&options, 4) >= CADRE_MS(2 + 3 + 3));
    options.delay = CADRE_FOREVER; /* the bound is for the first one too */
    assert_true(time_of(&options, 4) >= CADRE_MS(3 + 3 + 3));
}

static void test_a_delay_saturates(void **state)
{
    struct cadre_retry_options options = { .delay = 1, .factor = 1e300, .deadline = cadre_in(CADRE_SEC(36000)) };

    (void)state;
    (void)time_of(&options, 2); /* the second delay is for ever: too late */
    options.factor = 1.5;
    options.delay = CADRE_FOREVER - 1;
    (void)time_of(&options, 1);
}

/* An hour's delay with jitter, and half an hour to go: half of the time it would be too late, otherwise ctx ends the sleep. */
static void test_jitter_shortens_the_delay_at_random(void **state)
{
    int too_late = 0, slept = 0;

    (void)state;
    for (int i = 0; i < 64; i++) {
        struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_US(100)) };
        struct cadre_retry_options options = { .delay = CADRE_SEC(3600), .jitter = 1, .deadline = cadre_in(CADRE_SEC(1800)) };
        struct effort never = { 0 };
        int code = cadre_retry(&ctx, &options, effort, &never, NULL);

        too_late += code == -EIO;
        slept += code == -ETIMEDOUT;
    }
    assert_int_equal(too_late + slept, 64);
    assert_true(too_late > 0);
    assert_true(slept > 0);
}

static int wait_for_flag(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return atomic_load((atomic_int *)arg) == 0 ? -EAGAIN : 0;
}

static int retry_until_flag(struct cadre_ctx *ctx, void *arg) { return cadre_retry(ctx, NULL, wait_for_flag, arg, NULL); }

static void test_tries_without_delay_let_others_run(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int flag = 0;

    (void)state;
    for (int i = 0; i < 40; i++) /* whichever end of the queue is served first, there are more of them than workers */
        cadre_go(&g, i == 20 ? count_task : retry_until_flag, &flag);
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- what is said in the end ---- */

static int fail_at_length(struct cadre_ctx *ctx, void *arg)
{
    char text[2 * CADRE_MESSAGE_SIZE];

    (void)arg;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    return cadre_fail(ctx, -EIO, "%s", text);
}

struct attempt {
    struct cadre_retry_options options;
    cadre_fn *how;
};

static int attempt(struct cadre_ctx *ctx, void *arg)
{
    const struct attempt *attempt = arg;
    struct effort never = { .how = attempt->how };

    return cadre_retry(ctx, &attempt->options, effort, &never, NULL);
}

static struct cadre_error error_of(uint32_t attempts, cadre_fn *how)
{
    struct attempt a = { .options = { .attempts = attempts }, .how = how };
    struct cadre_group g = { 0 };

    cadre_go(&g, attempt, &a);
    assert_true(cadre_wait(&g) < 0);
    return cadre_group_error(&g);
}

static void test_the_message_tells_the_number_of_tries(void **state)
{
    struct cadre_error error = error_of(3, NULL);

    (void)state;
    assert_string_equal(error.message, "try 3 (3 tries)");
    assert_int_equal(error.code, -EIO);
    assert_true(strstr(error.file, "test_combine_retry.c") != NULL && error.line > 0);
    assert_string_equal(error_of(1, NULL).message, "try 1");
    assert_string_equal(error_of(2, panic).message, "dropped it (2 tries)");
    error = error_of(12, fail_at_length);
    assert_non_null(strstr(error.message, "xxx (12 tries)"));
}

/* ---- bad options ---- */

static void check_refused(struct cadre_retry_options options)
{
    struct effort any = { .good = 1 };
    uint32_t tries = 99;

    assert_int_equal(cadre_retry(NULL, &options, effort, &any, &tries), -EINVAL);
    assert_int_equal(tries, 99);
    assert_int_equal(atomic_load(&any.tries), 0);
}

static void test_bad_options_are_refused(void **state)
{
    (void)state;
    check_refused((struct cadre_retry_options){ .delay = -1 });
    check_refused((struct cadre_retry_options){ .max_delay = -1 });
    check_refused((struct cadre_retry_options){ .try_timeout = INT64_MIN });
    check_refused((struct cadre_retry_options){ .deadline = -1 });
    check_refused((struct cadre_retry_options){ .factor = 0.99 });
    check_refused((struct cadre_retry_options){ .factor = -2 });
    check_refused((struct cadre_retry_options){ .factor = (double)NAN });
    check_refused((struct cadre_retry_options){ .factor = (double)INFINITY });
    check_refused((struct cadre_retry_options){ .factor = -(double)INFINITY });
    assert_int_equal(cadre_retry(NULL, NULL, NULL, NULL, NULL), -EINVAL);
}

/* ---- the error of the last try, and its stack ---- */

static int fails_saying_why(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_fail(ctx, -EAGAIN, "not yet");
}

static void test_the_last_trys_error_comes_back_also_when_a_cancel_ended_the_pause(void **state)
{
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(20)) };
    struct cadre_error error = { 0 };
    struct cadre_retry_options options = { .delay = CADRE_SEC(100), .error = &error };

    (void)state;
    assert_int_equal(cadre_retry(&ctx, &options, fails_saying_why, NULL, NULL), -ETIMEDOUT);
    assert_int_equal(error.code, -EAGAIN);
    assert_string_equal(error.message, "not yet");
    options = (struct cadre_retry_options){ .attempts = 2, .error = &error };
    error.code = 0;
    assert_int_equal(cadre_retry(NULL, &options, fails_saying_why, NULL, NULL), -EAGAIN);
    assert_int_equal(error.code, -EAGAIN);
    assert_true(error.line > 0);
    error.code = 0;
    assert_int_equal(cadre_retry(&ctx, &options, fails_saying_why, NULL, NULL), -ETIMEDOUT); /* none ran */
    assert_int_equal(error.code, -ETIMEDOUT);
}

static int use_much_stack(struct cadre_ctx *ctx, void *arg)
{
    volatile char block[700 << 10];

    (void)ctx;
    (void)arg;
    for (size_t i = 0; i < sizeof block; i += 4096)
        block[i] = 1;
    return block[0] == 1 ? 0 : -EIO;
}

static void test_a_try_gets_the_stack_that_it_asks_for(void **state)
{
    struct cadre_retry_options options = { .attempts = 1, .stack_size = (size_t)1 << 20 };

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, use_much_stack, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_success_ends_it),
        cmocka_unit_test(test_after_the_last_try_its_code_is_returned),
        cmocka_unit_test(test_again_decides_and_a_panic_is_a_failure_too),
        cmocka_unit_test(test_the_last_try_is_not_asked_about),
        cmocka_unit_test(test_without_a_bound_it_goes_on_until_ctx_ends),
        cmocka_unit_test(test_ctx_ends_a_try_and_a_delay),
        cmocka_unit_test(test_the_last_tries_own_error_stands_though_ctx_has_ended),
        cmocka_unit_test(test_a_try_that_runs_out_of_its_time_has_failed),
        cmocka_unit_test(test_no_try_starts_when_its_delay_would_end_after_the_deadline),
        cmocka_unit_test(test_the_deadline_ends_a_running_try),
        cmocka_unit_test(test_delays_grow_by_the_factor_up_to_the_bound),
        cmocka_unit_test(test_a_delay_saturates),
        cmocka_unit_test(test_jitter_shortens_the_delay_at_random),
        cmocka_unit_test(test_tries_without_delay_let_others_run),
        cmocka_unit_test(test_the_message_tells_the_number_of_tries),
        cmocka_unit_test(test_bad_options_are_refused),
        cmocka_unit_test(test_the_last_trys_error_comes_back_also_when_a_cancel_ended_the_pause),
        cmocka_unit_test(test_a_try_gets_the_stack_that_it_asks_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
