/* SPDX-License-Identifier: MIT
 * Hunch: All, Take, Last, Retry and Waterfall. */
#include "jobs.h"

/* ---- All ---- */

static int square(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_yield();
    *(int *)arg *= *(int *)arg;
    return 0;
}

static void test_hunch_all_gives_every_result_by_index(void **state)
{
    enum { N = 50 };
    struct cadre_job jobs[N];
    int numbers[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        numbers[i] = i;
        jobs[i] = (struct cadre_job){ .fn = square, .arg = &numbers[i], .code = 1 };
    }
    assert_int_equal(cadre_all(NULL, jobs, N, NULL), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(numbers[i], i * i);
        assert_int_equal(jobs[i].code, 0);
    }
}

/* n jobs of which one fails when `begun` of them have begun; the others wait for ever. */
static void prepare_failure(struct part *parts, struct cadre_job *jobs, size_t n, struct gate *shut, atomic_int *begun,
                            atomic_int *ended)
{
    for (size_t i = 0; i < n; i++)
        parts[i] = (struct part){ .passes = i == n / 2 ? NULL : shut, .code = -EIO, .begun = begun, .ended = ended };
    parts_to_jobs(parts, jobs, n);
}

static void test_hunch_all_the_first_error_cancels_and_joins_the_rest(void **state)
{
    enum { N = 20 };

    (void)state;
    for (int round = 0; round < repeat(50, 5000); round++) {
        struct gate shut = { 0 };
        struct part parts[N];
        struct cadre_job jobs[N];
        atomic_int begun = 0, ended = 0;

        prepare_failure(parts, jobs, N, &shut, &begun, &ended);
        assert_int_equal(cadre_all(NULL, jobs, N, NULL), -EIO);
        assert_int_equal(ended, begun);
        for (int i = 0; i < N; i++)
            assert_int_equal(jobs[i].code, i == N / 2 ? -EIO : -ECANCELED);
    }
}

struct cancel_later {
    struct cadre_ctx *ctx;
    atomic_int *begun;
    int when;
};

static void *cancel_when_begun(void *arg)
{
    struct cancel_later *later = arg;

    test_until(*later->begun >= later->when);
    cadre_ctx_cancel(later->ctx, 0, "closing time");
    return NULL;
}

static void test_hunch_all_ends_with_its_parent(void **state)
{
    struct gate shut = { 0 };
    struct part parts[5];
    struct cadre_job jobs[5];
    atomic_int begun = 0, ended = 0;
    struct cadre_ctx ctx = { 0 };
    struct cancel_later later = { &ctx, &begun, 5 };
    pthread_t thread = thread_start(cancel_when_begun, &later);

    (void)state;
    for (int i = 0; i < 5; i++)
        parts[i] = (struct part){ .passes = &shut, .begun = &begun, .ended = &ended };
    parts_to_jobs(parts, jobs, 5);
    assert_int_equal(cadre_all(&ctx, jobs, 5, NULL), -ECANCELED);
    assert_int_equal(ended, 5);
    thread_join(thread);
}

static void test_hunch_all_ends_with_its_parents_deadline(void **state)
{
    struct gate shut = { 0 };
    struct part parts[5] = { 0 };
    struct cadre_job jobs[5];
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(2)) };

    (void)state;
    for (int i = 0; i < 5; i++)
        parts[i].passes = &shut;
    parts_to_jobs(parts, jobs, 5);
    assert_int_equal(cadre_all(&ctx, jobs, 5, NULL), -ETIMEDOUT);
    for (int i = 0; i < 5; i++)
        assert_true(jobs[i].code == -ETIMEDOUT || jobs[i].code == -ECANCELED);
}

/* ---- Take ---- */

static void test_hunch_take_gives_the_first_n_in_the_order_of_completion(void **state)
{
    static const size_t expected[] = { 1, 0, 2 };

    (void)state;
    for (int round = 0; round < repeat(100, 10000); round++) {
        for (size_t k = 1; k <= 3; k++) {
            struct certain all;
            size_t order[3] = { 9, 9, 9 };

            certain_prepare(&all);
            assert_int_equal(cadre_take(NULL, all.jobs, CERTAIN, k, &all.options, order), 0);
            for (size_t i = 0; i < 3; i++)
                assert_int_equal(order[i], i < k ? expected[i] : 9);
            assert_int_equal(all.jobs[3].code, -ECANCELED);
        }
    }
}

static bool take_after_sleeps(cadre_time step, size_t k)
{
    struct part parts[3] = { { .sleep = 2 * step }, { .sleep = step }, { .sleep = 3 * step } };
    struct cadre_job jobs[3];
    size_t order[3] = { 9, 9, 9 };

    parts_to_jobs(parts, jobs, 3);
    assert_int_equal(cadre_take(NULL, jobs, 3, k, NULL, order), 0);
    return order[0] == 1 && order[1] == 0 && order[2] == (k == 3 ? 2 : 9);
}

static bool take_all_after_sleeps(cadre_time step) { return take_after_sleeps(step, 3); }
static bool take_two_after_sleeps(cadre_time step) { return take_after_sleeps(step, 2); }

static void test_hunch_take_of_sleeps_of_2_1_3_gives_1_0_2(void **state)
{
    (void)state;
    with_growing_steps(take_all_after_sleeps);
    with_growing_steps(take_two_after_sleeps);
}

static void test_hunch_take_fails_with_any_error_before_the_nth_result(void **state)
{
    struct gate gate = { 0 }, shut = { 0 };
    /* Two at a time: job 1 has succeeded when job 2 starts and lets job 0 fail. */
    struct part parts[3] = { { .passes = &gate, .code = -EIO }, { .code = 0 }, { .opens = &gate, .passes = &shut } };
    struct cadre_job jobs[3];
    size_t order[2] = { 9, 9 };

    (void)state;
    parts_to_jobs(parts, jobs, 3);
    assert_int_equal(cadre_take(NULL, jobs, 3, 2, &(struct cadre_jobs_options){ .limit = 2 }, order), -EIO);
    assert_int_equal(jobs[0].code, -EIO);
    assert_int_equal(jobs[1].code, 0);
    assert_int_equal(jobs[2].code, -ECANCELED);
    assert_int_equal(order[0], 9); /* not written on failure */
}

static void test_hunch_take_does_not_mind_errors_after_the_nth_result(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(200, 20000); round++) {
        struct gate shut = { 0 };
        struct part parts[2] = { { .code = 0 }, { .passes = &shut, .code = -EIO, .stubborn = true } };
        struct cadre_job jobs[2];
        size_t order = 9;

        parts_to_jobs(parts, jobs, 2);
        assert_int_equal(cadre_take(NULL, jobs, 2, 1, NULL, &order), 0);
        assert_int_equal(order, 0);
        assert_true(jobs[1].code == -EIO || jobs[1].code == -ECANCELED);
    }
}

static void test_hunch_take_of_more_than_there_are_means_all(void **state)
{
    struct part parts[3] = { 0 };
    struct cadre_job jobs[3];
    size_t order[5] = { 9, 9, 9, 9, 9 };

    (void)state;
    parts_to_jobs(parts, jobs, 3);
    assert_int_equal(cadre_take(NULL, jobs, 3, 5, &(struct cadre_jobs_options){ .limit = 1 }, order), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(order[i], i < 3 ? i : 9);
    assert_int_equal(cadre_take(NULL, jobs, 3, 0, NULL, order), -EINVAL);
}

/* ---- Last ---- */

static void test_hunch_last_gives_the_last_n_in_the_order_of_completion(void **state)
{
    struct part parts[5] = { 0 };
    struct cadre_job jobs[5];
    size_t order[5] = { 9, 9, 9, 9, 9 };

    (void)state;
    parts_to_jobs(parts, jobs, 5);
    assert_int_equal(cadre_last(NULL, jobs, 5, 2, &(struct cadre_jobs_options){ .limit = 1 }, order), 0);
    assert_int_equal(order[0], 3);
    assert_int_equal(order[1], 4);
    assert_int_equal(order[2], 9);
}

static bool last_after_sleeps(cadre_time step)
{
    struct part parts[3] = { { .sleep = 2 * step }, { .sleep = step }, { .sleep = 3 * step } };
    struct cadre_job jobs[3];
    size_t order[2] = { 9, 9 };

    parts_to_jobs(parts, jobs, 3);
    assert_int_equal(cadre_last(NULL, jobs, 3, 2, NULL, order), 0);
    return order[0] == 0 && order[1] == 2;
}

static void test_hunch_last_two_of_sleeps_of_2_1_3_are_0_2(void **state)
{
    (void)state;
    with_growing_steps(last_after_sleeps);
}

static void test_hunch_last_fails_with_the_first_error(void **state)
{
    struct gate shut = { 0 };
    struct part parts[10];
    struct cadre_job jobs[10];
    atomic_int begun = 0, ended = 0;
    size_t order[2] = { 9, 9 };

    (void)state;
    prepare_failure(parts, jobs, 10, &shut, &begun, &ended);
    assert_int_equal(cadre_last(NULL, jobs, 10, 2, NULL, order), -EIO);
    assert_int_equal(ended, begun);
    assert_int_equal(order[0], 9);
}

/* ---- Retry ---- */

static int always_fail(struct cadre_ctx *ctx, void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return cadre_fail(ctx, -EIO, "unreachable");
}

static int retry_37_times(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_retry_options options = { .attempts = 37 };
    uint32_t tries = 0;
    int code = cadre_retry(ctx, &options, always_fail, arg, &tries);

    test_check(tries == 37);
    return code;
}

static void test_hunch_retry_tells_the_last_error_and_the_number_of_tries(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int made = 0;

    (void)state;
    assert_int_equal(cadre_go(&g, retry_37_times, &made), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(made, 37);
    assert_non_null(strstr(cadre_group_error(&g).message, "unreachable"));
    assert_non_null(strstr(cadre_group_error(&g).message, "37"));
}

/* ---- Waterfall ---- */

static int add_one(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    *(int *)arg += 1;
    return 0;
}

static int times_ten(struct cadre_ctx *ctx, void *arg)
{
    *(int *)arg *= 10;
    return cadre_sleep(ctx, CADRE_US(10));
}

static int too_large(struct cadre_ctx *ctx, void *arg)
{
    return *(int *)arg > 100 ? cadre_fail(ctx, -ERANGE, "too large") : 0;
}

static void test_hunch_waterfall_hands_each_result_to_the_next_step(void **state)
{
    struct cadre_job steps[] = { { .fn = add_one }, { .fn = times_ten }, { .fn = add_one }, { .fn = too_large } };
    int value = 1;

    (void)state;
    assert_int_equal(cadre_waterfall(NULL, steps, lengthof(steps), &value), 0);
    assert_int_equal(value, 21);
    for (size_t i = 0; i < lengthof(steps); i++)
        assert_int_equal(steps[i].code, 0);
}

static void test_hunch_waterfall_stops_at_the_first_error(void **state)
{
    struct cadre_job steps[] = { { .fn = times_ten }, { .fn = too_large }, { .fn = add_one }, { .fn = times_ten } };
    int value = 11;

    (void)state;
    assert_int_equal(cadre_waterfall(NULL, steps, lengthof(steps), &value), -ERANGE);
    assert_int_equal(value, 110);
    assert_int_equal(steps[0].code, 0);
    assert_int_equal(steps[1].code, -ERANGE);
    assert_int_equal(steps[2].code, -ECANCELED);
    assert_int_equal(steps[3].code, -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hunch_all_gives_every_result_by_index),
        cmocka_unit_test(test_hunch_all_the_first_error_cancels_and_joins_the_rest),
        cmocka_unit_test(test_hunch_all_ends_with_its_parent),
        cmocka_unit_test(test_hunch_all_ends_with_its_parents_deadline),
        cmocka_unit_test(test_hunch_take_gives_the_first_n_in_the_order_of_completion),
        cmocka_unit_test(test_hunch_take_of_sleeps_of_2_1_3_gives_1_0_2),
        cmocka_unit_test(test_hunch_take_fails_with_any_error_before_the_nth_result),
        cmocka_unit_test(test_hunch_take_does_not_mind_errors_after_the_nth_result),
        cmocka_unit_test(test_hunch_take_of_more_than_there_are_means_all),
        cmocka_unit_test(test_hunch_last_gives_the_last_n_in_the_order_of_completion),
        cmocka_unit_test(test_hunch_last_two_of_sleeps_of_2_1_3_are_0_2),
        cmocka_unit_test(test_hunch_last_fails_with_the_first_error),
        cmocka_unit_test(test_hunch_retry_tells_the_last_error_and_the_number_of_tries),
        cmocka_unit_test(test_hunch_waterfall_hands_each_result_to_the_next_step),
        cmocka_unit_test(test_hunch_waterfall_stops_at_the_first_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
