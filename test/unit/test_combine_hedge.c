/* SPDX-License-Identifier: MIT
 * Hedged requests: when the next job starts, and what else is as in a race. Times are only held against lower bounds. */
#include "test.h"

#include "scene.h"

static void test_only_the_first_job_runs_when_it_is_fast_enough(void **state)
{
    size_t winner = 99;
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    gate_open(&s.gated[0].gate);
    assert_int_equal(cadre_hedge(NULL, s.jobs, N, CADRE_FOREVER, NULL, &winner), 0);
    assert_int_equal(winner, 0);
    assert_int_equal(atomic_load(&s.started), 1);
    assert_int_equal(s.jobs[1].code, -ECANCELED);
    assert_int_equal(s.jobs[2].code, -ECANCELED);
}

static void test_the_next_starts_at_once_when_all_before_have_failed(void **state)
{
    size_t winner = 99;
    struct scene s;

    (void)state;
    scene_make(&s, FAIL, PANIC, SUCCEED);
    for (int i = 0; i < N; i++)
        gate_open(&s.gated[i].gate);
    assert_int_equal(cadre_hedge(NULL, s.jobs, N, CADRE_FOREVER, NULL, &winner), 0);
    assert_int_equal(winner, 2);
    assert_int_equal(s.jobs[0].code, failure_of(0));
    assert_int_equal(s.jobs[1].code, -ENOTRECOVERABLE);
}

static void test_when_all_fail_the_last_error_is_returned(void **state)
{
    size_t winner = 99;
    struct scene s;

    (void)state;
    scene_make(&s, FAIL, FAIL, FAIL);
    for (int i = 0; i < N; i++)
        gate_open(&s.gated[i].gate);
    assert_int_equal(cadre_hedge(NULL, s.jobs, N, CADRE_FOREVER, NULL, &winner), failure_of(2));
    assert_int_equal(winner, 99);
}

/* A job that notes when it starts, and then is like any other. */
struct stamped {
    cadre_time when;
    cadre_fn *fn;
    void *arg;
};

static int stamp(struct cadre_ctx *ctx, void *arg)
{
    struct stamped *stamped = arg;

    stamped->when = cadre_now();
    return stamped->fn(ctx, stamped->arg);
}

static int fail_plainly(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    return -EIO;
}

static void test_each_starts_a_delay_after_the_one_before(void **state)
{
    const cadre_time delay = CADRE_MS(5), begin = cadre_now();
    struct stamped stamped[N] = { { .fn = sleep_for_ever }, { .fn = sleep_for_ever }, { .fn = return_code } };
    struct cadre_job jobs[N];
    size_t winner = 99;

    (void)state;
    for (int i = 0; i < N; i++)
        jobs[i] = (struct cadre_job){ .fn = stamp, .arg = &stamped[i] };
    assert_int_equal(cadre_hedge(NULL, jobs, N, delay, NULL, &winner), 0);
    assert_int_equal(winner, 2);
    assert_true(stamped[1].when >= begin + delay || stamped[1].when == 0); /* 0: the winner overtook it */
    assert_true(stamped[2].when >= begin + 2 * delay);
    assert_int_equal(jobs[0].code, -ECANCELED);
    assert_int_equal(jobs[1].code, -ECANCELED);
}

static void test_a_failure_starts_nobody_while_others_are_running(void **state)
{
    const cadre_time delay = CADRE_MS(20), begin = cadre_now();
    struct stamped stamped[N] = { { .fn = sleep_for_ever }, { .fn = fail_plainly }, { .fn = return_code } };
    struct cadre_job jobs[N];

    (void)state;
    for (int i = 0; i < N; i++)
        jobs[i] = (struct cadre_job){ .fn = stamp, .arg = &stamped[i] };
    assert_int_equal(cadre_hedge(NULL, jobs, N, delay, NULL, NULL), 0);
    assert_true(jobs[1].code == -EIO || stamped[1].when == 0); /* 0: the winner overtook it */
    assert_true(stamped[2].when >= begin + 2 * delay);
}

static void test_without_delay_all_start_at_once(void **state)
{
    const cadre_time delays[] = { 0, -1, INT64_MIN };

    (void)state;
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        struct cadre_group g = { 0 };
        struct trigger trigger;
        size_t winner = 99;
        struct scene s;

        scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
        trigger = (struct trigger){ .count = &s.started, .at = N, .open = &s.gated[1].gate };
        cadre_go(&g, trigger_task, &trigger);
        assert_int_equal(cadre_hedge(NULL, s.jobs, N, delays[i], NULL, &winner), 0);
        assert_int_equal(winner, 1);
        assert_int_equal(atomic_load(&s.ended), N);
        cadre_wait(&g);
    }
}

static void test_the_limit_holds_for_hedged_jobs_too(void **state)
{
    struct cadre_jobs_options options = { .limit = 2 };
    struct crowd crowd = { .code = -EIO };
    struct trigger trigger = { .count = &crowd.started, .at = 2, .open = &crowd.gate };
    struct cadre_group g = { 0 };
    struct cadre_job jobs[20];

    (void)state;
    for (int i = 0; i < 20; i++)
        jobs[i] = (struct cadre_job){ .fn = crowd_task, .arg = &crowd };
    cadre_go(&g, trigger_task, &trigger);
    assert_int_equal(cadre_hedge(NULL, jobs, 20, CADRE_US(10), &options, NULL), -EIO);
    assert_int_equal(atomic_load(&crowd.most), 2);
    assert_int_equal(atomic_load(&crowd.ended), 20);
    cadre_wait(&g);
}

static void test_a_cancel_ends_the_wait_for_the_next_start(void **state)
{
    struct cadre_group g = { 0 };
    struct cadre_ctx ctx = { 0 };
    struct trigger trigger;
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    trigger = (struct trigger){ .count = &s.started, .at = 1, .cancel = &ctx };
    cadre_go(&g, trigger_task, &trigger);
    assert_int_equal(cadre_hedge(&ctx, s.jobs, N, CADRE_FOREVER, NULL, NULL), -ECANCELED);
    assert_int_equal(atomic_load(&s.started), 1);
    assert_int_equal(atomic_load(&s.ended), 1);
    ctx = (struct cadre_ctx){ .deadline = cadre_in(CADRE_MS(2)) };
    assert_int_equal(cadre_hedge(&ctx, s.jobs, N, CADRE_FOREVER, NULL, NULL), -ETIMEDOUT);
    cadre_wait(&g);
}

static void test_losers_may_be_left_to_a_group(void **state)
{
    struct cadre_group rest = { 0 };
    struct cadre_jobs_options options = { .rest = &rest };
    size_t winner = 99;
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    s.gated[0].heedless = true;
    gate_open(&s.gated[1].gate);
    assert_int_equal(cadre_hedge(NULL, s.jobs, N, CADRE_MS(1), &options, &winner), 0);
    assert_true(winner == 1);
    gate_open(&s.gated[0].gate);
    assert_int_equal(cadre_wait(&rest), 0);
    assert_int_equal(atomic_load(&s.ended), atomic_load(&s.started));
}

static int hedge_in_a_task(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_job jobs[3] = { { .fn = sleep_for_ever }, { .fn = fail_plainly }, { .fn = return_code } };

    (void)arg;
    return cadre_hedge(ctx, jobs, 3, CADRE_US(100), NULL, NULL);
}

static void test_many_tasks_may_hedge_at_once(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 200; i++)
        cadre_go(&g, hedge_in_a_task, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_first_job_runs_when_it_is_fast_enough),
        cmocka_unit_test(test_the_next_starts_at_once_when_all_before_have_failed),
        cmocka_unit_test(test_when_all_fail_the_last_error_is_returned),
        cmocka_unit_test(test_each_starts_a_delay_after_the_one_before),
        cmocka_unit_test(test_a_failure_starts_nobody_while_others_are_running),
        cmocka_unit_test(test_without_delay_all_start_at_once),
        cmocka_unit_test(test_the_limit_holds_for_hedged_jobs_too),
        cmocka_unit_test(test_a_cancel_ends_the_wait_for_the_next_start),
        cmocka_unit_test(test_losers_may_be_left_to_a_group),
        cmocka_unit_test(test_many_tasks_may_hedge_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
