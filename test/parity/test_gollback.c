/* SPDX-License-Identifier: MIT
 * gollback: All, Race and Retry. */
#include "jobs.h"

/* ---- All ---- */

static int number_times_ten(struct cadre_ctx *ctx, void *arg)
{
    int *number = arg;

    cadre_yield();
    if (*number % 3 == 0)
        return cadre_fail(ctx, -1000 - *number, "%d is a multiple of 3", *number);
    *number *= 10;
    return 0;
}

static void test_gollback_all_gives_every_result_and_every_error_by_index(void **state)
{
    enum { N = 50 };
    struct cadre_error errors[N];
    struct cadre_job jobs[N];
    int numbers[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        numbers[i] = i;
        jobs[i] = (struct cadre_job){ .fn = number_times_ten, .arg = &numbers[i] };
    }
    assert_int_equal(cadre_settle(NULL, jobs, N, &(struct cadre_jobs_options){ .errors = errors }), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(jobs[i].code, i % 3 == 0 ? -1000 - i : 0);
        assert_int_equal(errors[i].code, jobs[i].code);
        assert_int_equal(numbers[i], i % 3 == 0 ? i : 10 * i);
    }
    assert_string_equal(errors[9].message, "9 is a multiple of 3");
}

static void test_gollback_all_cancels_nobody(void **state)
{
    struct gate gate = { 0 };
    struct part parts[3] = { { .passes = &gate }, { .code = -EIO }, { .opens = &gate, .code = -EPERM } };
    struct cadre_job jobs[3];
    struct cadre_jobs_options options = { .limit = 2 }; /* the third starts when the second has failed */

    (void)state;
    parts_to_jobs(parts, jobs, 3);
    assert_int_equal(cadre_settle(NULL, jobs, 3, &options), 0);
    assert_int_equal(jobs[0].code, 0);
    assert_int_equal(jobs[1].code, -EIO);
    assert_int_equal(jobs[2].code, -EPERM);
}

/* ---- Race ---- */

static void test_gollback_race_the_first_success_wins_and_losers_are_joined(void **state)
{
    enum { N = 20, WINNER = 13 };

    (void)state;
    for (int round = 0; round < repeat(50, 5000); round++) {
        struct gate shut = { 0 };
        struct part parts[N] = { 0 };
        struct cadre_job jobs[N];
        atomic_int begun = 0, ended = 0;
        size_t winner = N;

        for (int i = 0; i < N; i++)
            parts[i] = (struct part){ .passes = i == WINNER ? NULL : &shut, .begun = &begun, .ended = &ended };
        parts_to_jobs(parts, jobs, N);
        assert_int_equal(cadre_race(NULL, jobs, N, NULL, &winner), 0);
        assert_int_equal(winner, WINNER);
        assert_int_equal(ended, begun); /* nobody is left running */
        assert_int_equal(jobs[WINNER].code, 0);
        for (int i = 0; i < N; i++)
            assert_true(i == WINNER || jobs[i].code == -ECANCELED);
    }
}

static void test_gollback_race_goes_on_after_failures(void **state)
{
    struct part parts[3] = { { .code = -EIO }, { .code = -EPERM }, { .code = 0 } };
    struct cadre_job jobs[3];
    size_t winner = 3;

    (void)state;
    parts_to_jobs(parts, jobs, 3);
    assert_int_equal(cadre_race(NULL, jobs, 3, &(struct cadre_jobs_options){ .limit = 1 }, &winner), 0);
    assert_int_equal(winner, 2);
    assert_int_equal(jobs[0].code, -EIO);
    assert_int_equal(jobs[1].code, -EPERM);
}

static void test_gollback_race_returns_the_last_error_when_all_fail(void **state)
{
    struct part parts[5] = { 0 };
    struct cadre_job jobs[5];
    size_t winner = 77;

    (void)state;
    for (int i = 0; i < 5; i++)
        parts[i].code = -1000 - i;
    parts_to_jobs(parts, jobs, 5);
    assert_int_equal(cadre_race(NULL, jobs, 5, &(struct cadre_jobs_options){ .limit = 1 }, &winner), -1004);
    for (int i = 0; i < 5; i++)
        assert_int_equal(jobs[i].code, -1000 - i);
    assert_int_equal(winner, 77); /* not written on failure */
}

static bool first_fails_last(cadre_time step)
{
    struct part parts[3] = { { .sleep = 3 * step, .code = -1000 }, { .sleep = 2 * step, .code = -1001 },
                             { .sleep = step, .code = -1002 } };
    struct cadre_job jobs[3];

    parts_to_jobs(parts, jobs, 3);
    return cadre_race(NULL, jobs, 3, NULL, NULL) == -1000;
}

static void test_gollback_race_the_last_to_fail_counts_not_the_last_in_the_array(void **state)
{
    (void)state;
    with_growing_steps(first_fails_last);
}

static void test_gollback_race_of_nobody_is_refused(void **state)
{
    struct cadre_job job = { .fn = part_run };
    size_t winner = 77;

    (void)state;
    assert_int_equal(cadre_race(NULL, &job, 0, NULL, &winner), -EINVAL);
    assert_int_equal(cadre_race(NULL, NULL, 0, NULL, &winner), -EINVAL);
    assert_int_equal(winner, 77);
}

/* ---- Retry ---- */

struct attempts {
    int made, needed; /* succeeds with this one; 0: never */
    struct cadre_ctx *cancel; /* after `needed` tries this context is cancelled instead */
};

static int attempt(struct cadre_ctx *ctx, void *arg)
{
    struct attempts *attempts = arg;

    (void)ctx;
    attempts->made++;
    if (attempts->made != attempts->needed)
        return -1000 - attempts->made;
    if (attempts->cancel == NULL)
        return 0;
    cadre_ctx_cancel(attempts->cancel, 0, NULL);
    return -EIO;
}

static void test_gollback_retry_returns_at_the_first_success(void **state)
{
    struct cadre_retry_options options = { .attempts = 10 };
    struct attempts attempts = { .needed = 4 };
    uint32_t tries = 0;

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, attempt, &attempts, &tries), 0);
    assert_int_equal(tries, 4);
    assert_int_equal(attempts.made, 4);
}

static void test_gollback_retry_gives_up_after_n_tries_with_the_last_error(void **state)
{
    struct cadre_retry_options options = { .attempts = 5 };
    struct attempts attempts = { .needed = 6 };
    uint32_t tries = 0;

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, attempt, &attempts, &tries), -1005);
    assert_int_equal(tries, 5);
    assert_int_equal(attempts.made, 5);
}

static void test_gollback_retry_of_0_attempts_goes_on_for_ever(void **state)
{
    struct attempts attempts = { .needed = repeat(3000, 100000) };
    uint32_t tries = 0;

    (void)state;
    assert_int_equal(cadre_retry(NULL, NULL, attempt, &attempts, &tries), 0);
    assert_int_equal(tries, attempts.needed);
}

static void test_gollback_retry_stops_when_the_context_ends(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct attempts attempts = { .needed = 100, .cancel = &ctx };
    uint32_t tries = 0;

    (void)state;
    assert_int_equal(cadre_retry(&ctx, NULL, attempt, &attempts, &tries), -ECANCELED);
    assert_int_equal(tries, 100);
    assert_int_equal(attempts.made, 100);
}

static void test_gollback_retry_stops_at_the_deadline(void **state)
{
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(5)) };
    struct cadre_retry_options options = { .delay = CADRE_US(100) };
    struct attempts attempts = { 0 };

    (void)state;
    assert_int_equal(cadre_retry(&ctx, &options, attempt, &attempts, NULL), -ETIMEDOUT);
    assert_true(cadre_now() >= ctx.deadline);
}

static int is_worth_it(int code, void *arg)
{
    struct attempts *attempts = arg;

    return code == -1000 - attempts->made && code > -1003;
}

static void test_gollback_retry_may_ask_which_errors_are_worth_it(void **state)
{
    struct cadre_retry_options options = { .again = is_worth_it };
    struct attempts attempts = { 0 };
    uint32_t tries = 0;

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, attempt, &attempts, &tries), -1003);
    assert_int_equal(tries, 3);
}

static void test_gollback_retry_may_back_off(void **state)
{
    struct cadre_retry_options options = { .attempts = 5, .delay = CADRE_MS(1), .factor = 2, .max_delay = CADRE_MS(3) };
    struct attempts attempts = { 0 };
    cadre_time begin = cadre_now();

    (void)state;
    assert_int_equal(cadre_retry(NULL, &options, attempt, &attempts, NULL), -1005);
    assert_true(cadre_now() >= begin + CADRE_MS(1 + 2 + 3 + 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gollback_all_gives_every_result_and_every_error_by_index),
        cmocka_unit_test(test_gollback_all_cancels_nobody),
        cmocka_unit_test(test_gollback_race_the_first_success_wins_and_losers_are_joined),
        cmocka_unit_test(test_gollback_race_goes_on_after_failures),
        cmocka_unit_test(test_gollback_race_returns_the_last_error_when_all_fail),
        cmocka_unit_test(test_gollback_race_the_last_to_fail_counts_not_the_last_in_the_array),
        cmocka_unit_test(test_gollback_race_of_nobody_is_refused),
        cmocka_unit_test(test_gollback_retry_returns_at_the_first_success),
        cmocka_unit_test(test_gollback_retry_gives_up_after_n_tries_with_the_last_error),
        cmocka_unit_test(test_gollback_retry_of_0_attempts_goes_on_for_ever),
        cmocka_unit_test(test_gollback_retry_stops_when_the_context_ends),
        cmocka_unit_test(test_gollback_retry_stops_at_the_deadline),
        cmocka_unit_test(test_gollback_retry_may_ask_which_errors_are_worth_it),
        cmocka_unit_test(test_gollback_retry_may_back_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
