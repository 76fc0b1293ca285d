/* SPDX-License-Identifier: MIT
 * all, settle, race, take, last and quorum: what each returns, whom it cancels, and that all are joined. */
#include "test.h"

#include "scene.h"

static void open_all(struct scene *s)
{
    for (int i = 0; i < N; i++)
        gate_open(&s->gated[i].gate);
}

/* Open gate `i` once all jobs have started; the group is the test's, to be waited for. */
static void open_when_started(struct cadre_group *g, struct trigger *trigger, struct scene *s, int i)
{
    *trigger = (struct trigger){ .count = &s->started, .at = N, .open = &s->gated[i].gate };
    cadre_go(g, trigger_task, trigger);
}

static void check_codes(const struct scene *s, int a, int b, int c)
{
    assert_int_equal(s->jobs[0].code, a);
    assert_int_equal(s->jobs[1].code, b);
    assert_int_equal(s->jobs[2].code, c);
    assert_int_equal(atomic_load(&s->ended), atomic_load(&s->started));
}

static void test_all_returns_0_when_every_job_has(void **state)
{
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    open_all(&s);
    assert_int_equal(cadre_all(NULL, s.jobs, N, NULL), 0);
    check_codes(&s, 0, 0, 0);
}

static void test_all_cancels_the_others_at_the_first_error_and_returns_it(void **state)
{
    struct cadre_group g = { 0 };
    struct trigger trigger;
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, FAIL, SUCCEED);
    open_when_started(&g, &trigger, &s, 1);
    assert_int_equal(cadre_all(NULL, s.jobs, N, NULL), failure_of(1));
    check_codes(&s, -ECANCELED, failure_of(1), -ECANCELED);
    assert_int_equal(s.gated[0].cause.code, failure_of(1));
    assert_string_equal(s.gated[0].cause.message, "job 1");
    cadre_wait(&g);
}

static void test_all_takes_a_panic_for_an_error_at_once(void **state)
{
    struct cadre_group g = { 0 };
    struct trigger trigger;
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, PANIC);
    open_when_started(&g, &trigger, &s, 2);
    assert_int_equal(cadre_all(NULL, s.jobs, N, NULL), -ENOTRECOVERABLE);
    check_codes(&s, -ECANCELED, -ECANCELED, -ENOTRECOVERABLE);
    cadre_wait(&g);
}

static void test_settle_keeps_every_code_and_cancels_nobody(void **state)
{
    struct scene s;

    (void)state;
    scene_make(&s, FAIL, PANIC, SUCCEED);
    open_all(&s);
    assert_int_equal(cadre_settle(NULL, s.jobs, N, NULL), 0);
    check_codes(&s, failure_of(0), -ENOTRECOVERABLE, 0);
    assert_int_equal(s.gated[2].cause.code, 0);
}

static void test_race_is_won_by_the_first_success(void **state)
{
    struct cadre_group g = { 0 };
    struct trigger trigger;
    size_t winner = 99;
    struct scene s;

    (void)state;
    scene_make(&s, FAIL, SUCCEED, SUCCEED);
    gate_open(&s.gated[0].gate);
    open_when_started(&g, &trigger, &s, 2);
    assert_int_equal(cadre_race(NULL, s.jobs, N, NULL, &winner), 0);
    assert_int_equal(winner, 2);
    check_codes(&s, failure_of(0), -ECANCELED, 0);
    cadre_wait(&g);
}

static void test_race_that_all_lose_returns_the_last_error_and_no_winner(void **state)
{
    struct cadre_group g = { 0 };
    struct trigger trigger;
    size_t winner = 99;
    struct scene s;

    (void)state;
    scene_make(&s, FAIL, FAIL, PANIC);
    gate_open(&s.gated[0].gate);
    gate_open(&s.gated[2].gate);
    trigger = (struct trigger){ .count = &s.ended, .at = 2, .open = &s.gated[1].gate };
    cadre_go(&g, trigger_task, &trigger);
    assert_true(cadre_race(NULL, s.jobs, N, NULL, &winner) < 0);
    assert_int_equal(winner, 99);
    check_codes(&s, failure_of(0), failure_of(1), -ENOTRECOVERABLE);
    cadre_wait(&g);
}

static void test_take_gets_k_successes_and_joins_the_rest(void **state)
{
    struct cadre_group g = { 0 };
    struct trigger trigger[3];
    size_t order[2] = { 99, 99 };
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    s.gated[2].heedless = true;
    open_when_started(&g, &trigger[0], &s, 1);
    trigger[1] = (struct trigger){ .count = &s.ended, .at = 1, .open = &s.gated[0].gate };
    trigger[2] = (struct trigger){ .count = &s.ended, .at = 2, .open = &s.gated[2].gate };
    cadre_go(&g, trigger_task, &trigger[1]);
    cadre_go(&g, trigger_task, &trigger[2]);
    assert_int_equal(cadre_take(NULL, s.jobs, N, 2, NULL, order), 0);
    assert_int_equal(atomic_load(&s.ended), N);
    assert_true(order[0] != order[1] && order[0] < N && order[1] < N);
    cadre_wait(&g);
}

static void test_take_is_failed_by_an_error_before_that(void **state)
{
    struct cadre_group g = { 0 };
    struct trigger trigger;
    size_t order[2] = { 99, 99 };
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, FAIL, SUCCEED);
    gate_open(&s.gated[0].gate);
    trigger = (struct trigger){ .count = &s.ended, .at = 1, .open = &s.gated[1].gate };
    cadre_go(&g, trigger_task, &trigger);
    assert_int_equal(cadre_take(NULL, s.jobs, N, 2, NULL, order), failure_of(1));
    assert_int_equal(order[0], 99);
    assert_int_equal(order[1], 99);
    check_codes(&s, 0, failure_of(1), -ECANCELED);
    cadre_wait(&g);
}

static void test_more_than_there_are_means_all(void **state)
{
    size_t order[N] = { 99, 99, 99 }, sum = 0;
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    open_all(&s);
    assert_int_equal(cadre_take(NULL, s.jobs, N, 100, NULL, order), 0);
    for (int i = 0; i < N; i++)
        sum += order[i];
    assert_int_equal(sum, 3);
    assert_int_equal(cadre_last(NULL, s.jobs, N, SIZE_MAX, NULL, order), 0);
    assert_int_equal(order[0] + order[1] + order[2], 3);
}

static void test_last_gets_the_last_k_and_fails_as_all_does(void **state)
{
    struct cadre_group g = { 0 };
    struct trigger trigger;
    size_t order[1] = { 99 };
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, FAIL);
    open_all(&s);
    assert_int_equal(cadre_last(NULL, s.jobs, N, 1, NULL, order), failure_of(2));
    assert_int_equal(order[0], 99);
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    gate_open(&s.gated[0].gate);
    gate_open(&s.gated[2].gate);
    open_when_started(&g, &trigger, &s, 1);
    assert_int_equal(cadre_last(NULL, s.jobs, N, 1, NULL, order), 0);
    assert_true(order[0] < N);
    cadre_wait(&g);
}

static void test_quorum_tolerates_failures_while_k_can_still_succeed(void **state)
{
    size_t order[2] = { 99, 99 };
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, FAIL, SUCCEED);
    open_all(&s);
    assert_int_equal(cadre_quorum(NULL, s.jobs, N, 2, NULL, order), 0);
    assert_int_equal(order[0] + order[1], 2);
    assert_true(order[0] != 1 && order[1] != 1);
}

static void test_quorum_returns_the_failure_that_makes_it_impossible(void **state)
{
    struct cadre_group g = { 0 };
    struct trigger trigger;
    struct scene s;
    int code;

    (void)state;
    scene_make(&s, FAIL, SUCCEED, PANIC);
    gate_open(&s.gated[0].gate);
    trigger = (struct trigger){ .count = &s.ended, .at = 1, .open = &s.gated[2].gate };
    cadre_go(&g, trigger_task, &trigger);
    code = cadre_quorum(NULL, s.jobs, N, 2, NULL, NULL);
    assert_true(code == failure_of(0) || code == -ENOTRECOVERABLE); /* both have ended when it is decided */
    check_codes(&s, failure_of(0), -ECANCELED, -ENOTRECOVERABLE);
    cadre_wait(&g);
}

/* ---- the end of the caller's context ---- */

static void test_nothing_runs_under_a_context_that_has_ended(void **state)
{
    struct cadre_ctx cancelled = { 0 }, late = { .deadline = 1 };
    struct scene s;

    (void)state;
    cadre_ctx_cancel(&cancelled, -EPERM, "no");
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    assert_int_equal(cadre_all(&cancelled, s.jobs, N, NULL), -ECANCELED);
    check_codes(&s, -ECANCELED, -ECANCELED, -ECANCELED);
    assert_int_equal(cadre_settle(&cancelled, s.jobs, N, NULL), -ECANCELED);
    assert_int_equal(cadre_race(&late, s.jobs, N, NULL, NULL), -ETIMEDOUT);
    assert_int_equal(cadre_take(&late, s.jobs, N, 1, NULL, NULL), -ETIMEDOUT);
    assert_int_equal(cadre_last(&late, s.jobs, N, 1, NULL, NULL), -ETIMEDOUT);
    assert_int_equal(cadre_quorum(&late, s.jobs, N, 1, NULL, NULL), -ETIMEDOUT);
    assert_int_equal(atomic_load(&s.started), 0);
}

static void test_a_cancel_ends_all_jobs_and_the_call_joins_them(void **state)
{
    struct cadre_group g = { 0 };
    struct cadre_ctx ctx = { 0 };
    struct trigger trigger;
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    trigger = (struct trigger){ .count = &s.started, .at = N, .cancel = &ctx };
    cadre_go(&g, trigger_task, &trigger);
    assert_int_equal(cadre_settle(&ctx, s.jobs, N, NULL), -ECANCELED);
    check_codes(&s, -ECANCELED, -ECANCELED, -ECANCELED);
    cadre_wait(&g);
}

static void test_a_deadline_ends_all_jobs_with_its_own_code(void **state)
{
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(2)) };
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, SUCCEED, SUCCEED);
    assert_int_equal(cadre_race(&ctx, s.jobs, N, NULL, NULL), -ETIMEDOUT);
    assert_int_equal(atomic_load(&s.ended), atomic_load(&s.started));
    for (int i = 0; i < N; i++) /* a job that the deadline overtook never ran */
        assert_true(s.jobs[i].code == -ETIMEDOUT || (s.jobs[i].code == -ECANCELED && atomic_load(&s.started) < N));
}

/* Cancels the context that it points to, and then does nothing special. */
static int cancel_and_return_0(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_ctx_cancel(arg, 0, NULL);
    return 0;
}

static int cancel_and_fail(struct cadre_ctx *ctx, void *arg)
{
    cadre_ctx_cancel(arg, 0, NULL);
    return cadre_fail(ctx, -EIO, "after the cancel");
}

static void test_what_ends_well_under_a_cancel_stands(void **state)
{
    struct cadre_ctx ctx = { 0 }, other = { 0 };
    struct cadre_job job = { .fn = cancel_and_return_0, .arg = &ctx };
    size_t winner = 99;

    (void)state;
    assert_int_equal(cadre_settle(&ctx, &job, 1, NULL), 0);
    assert_int_equal(cadre_ctx_error(&ctx), -ECANCELED);
    job.arg = &other;
    assert_int_equal(cadre_race(&other, &job, 1, NULL, &winner), 0);
    assert_int_equal(winner, 0);
}

static void test_a_jobs_own_error_wins_over_the_cancel(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct cadre_job jobs[2] = { { .fn = cancel_and_fail, .arg = &ctx }, { .fn = sleep_for_ever } };

    (void)state;
    assert_int_equal(cadre_all(&ctx, jobs, 2, NULL), -EIO);
    assert_int_equal(jobs[0].code, -EIO);
    assert_int_equal(jobs[1].code, -ECANCELED);
}

static void test_a_result_that_was_certain_outlives_the_cancel(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct cadre_group g = { 0 };
    struct trigger first, then;
    size_t winner = 99;
    struct scene s;

    (void)state;
    scene_make(&s, SUCCEED, ECHO_CANCEL, FAIL);
    s.gated[1].heedless = true; /* is still there when ctx ends */
    open_when_started(&g, &first, &s, 0);
    then = (struct trigger){ .count = &s.ended, .at = 2, .cancel = &ctx, .open = &s.gated[1].gate };
    cadre_go(&g, trigger_task, &then);
    assert_int_equal(cadre_race(&ctx, s.jobs, N, NULL, &winner), 0); /* job 2 ends when the race is decided */
    assert_int_equal(winner, 0);
    assert_int_equal(cadre_ctx_error(&ctx), -ECANCELED);
    cadre_wait(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_returns_0_when_every_job_has),
        cmocka_unit_test(test_all_cancels_the_others_at_the_first_error_and_returns_it),
        cmocka_unit_test(test_all_takes_a_panic_for_an_error_at_once),
        cmocka_unit_test(test_settle_keeps_every_code_and_cancels_nobody),
        cmocka_unit_test(test_race_is_won_by_the_first_success),
        cmocka_unit_test(test_race_that_all_lose_returns_the_last_error_and_no_winner),
        cmocka_unit_test(test_take_gets_k_successes_and_joins_the_rest),
        cmocka_unit_test(test_take_is_failed_by_an_error_before_that),
        cmocka_unit_test(test_more_than_there_are_means_all),
        cmocka_unit_test(test_last_gets_the_last_k_and_fails_as_all_does),
        cmocka_unit_test(test_quorum_tolerates_failures_while_k_can_still_succeed),
        cmocka_unit_test(test_quorum_returns_the_failure_that_makes_it_impossible),
        cmocka_unit_test(test_nothing_runs_under_a_context_that_has_ended),
        cmocka_unit_test(test_a_cancel_ends_all_jobs_and_the_call_joins_them),
        cmocka_unit_test(test_a_deadline_ends_all_jobs_with_its_own_code),
        cmocka_unit_test(test_what_ends_well_under_a_cancel_stands),
        cmocka_unit_test(test_a_jobs_own_error_wins_over_the_cancel),
        cmocka_unit_test(test_a_result_that_was_certain_outlives_the_cancel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
