/* SPDX-License-Identifier: MIT
 * options->rest: the caller leaves with the result, the losers go on to their end in the group. */
#include "test.h"

#include "gated.h"

#define N 3

/* Jobs whose arguments outlive the call. The jobs themselves are from malloc, and given back as soon as the call returns. */
struct scene {
    struct gated gated[N];
    atomic_int started, ended;
};

static struct cadre_job *scene_make(struct scene *s, enum deed a, enum deed b, enum deed c)
{
    const enum deed deeds[N] = { a, b, c };
    struct cadre_job *jobs = malloc(N * sizeof *jobs);

    assert_non_null(jobs);
    atomic_init(&s->started, 0);
    atomic_init(&s->ended, 0);
    gated_jobs(jobs, s->gated, N, deeds);
    for (int i = 0; i < N; i++) {
        s->gated[i].started = &s->started;
        s->gated[i].ended = &s->ended;
    }
    return jobs;
}

static void open_when_started(struct cadre_group *g, struct trigger *trigger, struct scene *s, int i)
{
    *trigger = (struct trigger){ .count = &s->started, .at = N, .open = &s->gated[i].gate };
    cadre_go(g, trigger_task, trigger);
}

static void test_race_returns_while_the_losers_go_on_and_are_cancelled(void **state)
{
    struct cadre_group rest = { 0 }, g = { 0 };
    struct cadre_jobs_options options = { .rest = &rest };
    struct trigger trigger;
    size_t winner = 99;
    struct scene s;
    struct cadre_job *jobs = scene_make(&s, FAIL, SUCCEED, SUCCEED);

    (void)state;
    s.gated[2].heedless = true; /* goes on until we let it */
    open_when_started(&g, &trigger, &s, 1);
    assert_int_equal(cadre_race(NULL, jobs, N, &options, &winner), 0);
    memset(&options, 0xff, sizeof options);
    assert_int_equal(winner, 1);
    assert_int_equal(jobs[0].code, -ECANCELED);
    assert_int_equal(jobs[1].code, 0);
    assert_int_equal(jobs[2].code, -ECANCELED);
    free(jobs);
    test_until(atomic_load(&s.ended) == 2); /* job 0 was cancelled */
    gate_open(&s.gated[2].gate);
    assert_int_equal(cadre_wait(&rest), 0);
    assert_int_equal(atomic_load(&s.ended), N);
    assert_int_equal(s.gated[2].cause.code, -ECANCELED);
    cadre_wait(&g);
}

static void test_an_error_returns_with_its_message_and_the_errors_that_are_known(void **state)
{
    struct cadre_group rest = { 0 }, g = { 0 };
    struct cadre_error *errors = calloc(N, sizeof *errors);
    char *name = strdup("three");
    struct cadre_jobs_options options = { .rest = &rest, .name = name };
    struct trigger trigger;
    struct scene s;
    struct cadre_job *jobs = scene_make(&s, FAIL, SUCCEED, PANIC);

    (void)state;
    assert_non_null(errors);
    options.errors = errors;
    s.gated[0].heedless = true;
    open_when_started(&g, &trigger, &s, 2);
    assert_int_equal(cadre_all(NULL, jobs, N, &options), -ENOTRECOVERABLE);
    assert_int_equal(errors[0].code, 0);
    assert_int_equal(errors[2].code, -ENOTRECOVERABLE);
    assert_string_equal(errors[2].message, "job 2");
    assert_string_equal(errors[2].group, "three");
    assert_int_equal(jobs[2].code, -ENOTRECOVERABLE);
    free(errors);
    free(jobs);
    free(name);
    gate_open(&s.gated[0].gate); /* and fails, which is too late for us */
    assert_int_equal(cadre_wait(&rest), 0);
    assert_int_equal(atomic_load(&s.ended), N);
    cadre_wait(&g);
}

static void test_calls_without_losers_return_when_all_have_ended(void **state)
{
    struct cadre_group rest = { 0 };
    struct cadre_jobs_options options = { .rest = &rest };
    size_t order[N] = { 99, 99, 99 };
    struct scene s;
    struct cadre_job *jobs = scene_make(&s, SUCCEED, FAIL, PANIC);

    (void)state;
    for (int i = 0; i < N; i++)
        gate_open(&s.gated[i].gate);
    assert_int_equal(cadre_settle(NULL, jobs, N, &options), 0);
    assert_int_equal(jobs[0].code, 0);
    assert_int_equal(jobs[1].code, failure_of(1));
    assert_int_equal(jobs[2].code, -ENOTRECOVERABLE);
    s.gated[1].deed = s.gated[2].deed = SUCCEED;
    assert_int_equal(cadre_take(NULL, jobs, N, N, &options, order), 0);
    assert_int_equal(order[0] + order[1] + order[2], 3);
    assert_int_equal(cadre_wait(&rest), 0);
    free(jobs);
}

static void test_the_end_of_ctx_is_returned_at_once_and_cancels_the_jobs(void **state)
{
    struct cadre_group rest = { 0 }, g = { 0 };
    struct cadre_jobs_options options = { .rest = &rest };
    struct cadre_ctx ctx = { 0 };
    struct trigger trigger;
    struct scene s;
    struct cadre_job *jobs = scene_make(&s, SUCCEED, SUCCEED, SUCCEED);

    (void)state;
    s.gated[0].heedless = true;
    trigger = (struct trigger){ .count = &s.started, .at = N, .cancel = &ctx };
    cadre_go(&g, trigger_task, &trigger);
    assert_int_equal(cadre_settle(&ctx, jobs, N, &options), -ECANCELED);
    for (int i = 0; i < N; i++)
        assert_int_equal(jobs[i].code, -ECANCELED);
    free(jobs);
    memset(&ctx, 0xff, sizeof ctx); /* nobody looks at it any more */
    test_until(atomic_load(&s.ended) == 2);
    gate_open(&s.gated[0].gate);
    assert_int_equal(cadre_wait(&rest), 0);
    assert_int_equal(atomic_load(&s.ended), N);
    cadre_wait(&g);
}

static void test_a_deadline_reaches_the_jobs_as_one(void **state)
{
    struct cadre_group rest = { 0 };
    struct cadre_jobs_options options = { .rest = &rest };
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(2)) };
    struct scene s;
    struct cadre_job *jobs = scene_make(&s, SUCCEED, SUCCEED, SUCCEED);

    (void)state;
    assert_int_equal(cadre_race(&ctx, jobs, N, &options, NULL), -ETIMEDOUT);
    free(jobs);
    cadre_wait(&rest);
    for (int i = 0; i < N; i++)
        assert_true(s.gated[i].seen == NULL || s.gated[i].heard == -ETIMEDOUT);
    assert_int_equal(atomic_load(&s.ended), atomic_load(&s.started));
}

static void test_the_end_of_the_group_ends_the_jobs_and_the_call(void **state)
{
    struct cadre_group rest = { 0 };
    struct cadre_jobs_options options = { .rest = &rest };
    struct cadre_group g = { 0 };
    struct trigger trigger;
    struct scene s;
    struct cadre_job *jobs = scene_make(&s, SUCCEED, SUCCEED, SUCCEED);

    (void)state;
    trigger = (struct trigger){ .count = &s.started, .at = N, .cancel = cadre_group_ctx(&rest) };
    cadre_go(&g, trigger_task, &trigger);
    assert_int_equal(cadre_all(NULL, jobs, N, &options), -ECANCELED);
    assert_int_equal(atomic_load(&s.ended), N);
    assert_int_equal(cadre_take(NULL, jobs, N, 1, &options, NULL), -ECANCELED); /* and now nothing starts */
    assert_int_equal(atomic_load(&s.started), N);
    for (int i = 0; i < N; i++)
        assert_int_equal(jobs[i].code, -ECANCELED);
    cadre_wait(&rest);
    free(jobs);
    cadre_wait(&g);
}

static void test_the_groups_limit_queue_and_drop_are_not_the_sets(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group rest = { .limit = 1, .flags = CADRE_DISCARD_WHEN_FULL, .drop = crowd_drop };
    struct cadre_jobs_options options = { .rest = &rest };
    struct scene s;
    struct cadre_job *jobs = scene_make(&s, SUCCEED, SUCCEED, SUCCEED);

    (void)state;
    cadre_go(&rest, crowd_task, &crowd); /* has the one slot */
    for (int i = 0; i < N; i++)
        gate_open(&s.gated[i].gate);
    assert_int_equal(cadre_all(NULL, jobs, N, &options), 0);
    free(jobs);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&rest), 0);
    assert_int_equal(atomic_load(&crowd.dropped), 0);
}

static int fail_plainly(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    return -EIO;
}

static void test_a_group_that_has_stopped_starts_no_jobs(void **state)
{
    struct cadre_group rest = { .flags = CADRE_STOP_ON_ERROR };
    struct cadre_jobs_options options = { .rest = &rest };
    struct scene s;
    struct cadre_job *jobs = scene_make(&s, SUCCEED, SUCCEED, SUCCEED);

    (void)state;
    cadre_go(&rest, fail_plainly, NULL);
    assert_int_equal(cadre_wait(&rest), -EIO);
    assert_int_equal(cadre_all(NULL, jobs, N, &options), -ECANCELED);
    assert_int_equal(atomic_load(&s.started), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(jobs[i].code, -ECANCELED);
    assert_int_equal(cadre_wait(&rest), -EIO);
    free(jobs);
}

static void test_a_group_that_was_waited_for_is_used_again(void **state)
{
    struct cadre_group rest = { .flags = CADRE_CANCEL_ON_ERROR };
    struct cadre_jobs_options options = { .rest = &rest };
    struct scene s;
    struct cadre_job *jobs = scene_make(&s, SUCCEED, SUCCEED, SUCCEED);

    (void)state;
    for (int i = 0; i < N; i++)
        gate_open(&s.gated[i].gate);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(cadre_all(NULL, jobs, N, &options), 0);
        assert_int_equal(cadre_wait(&rest), 0);
    }
    free(jobs);
}

/* ---- many, of every kind of end ---- */

static int race_often(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group *rest = arg;
    struct cadre_jobs_options options = { .rest = rest };
    int code = 0;

    for (int i = 0; i < 50 && (code == 0 || code == -ETIMEDOUT); i++) {
        struct cadre_ctx timed = { .parent = ctx, .deadline = cadre_in(CADRE_US(i * 3)) };
        struct cadre_job *jobs = calloc(4, sizeof *jobs);

        test_check(jobs != NULL);
        for (int j = 0; j < 3; j++)
            jobs[j].fn = sleep_for_ever;
        jobs[3].fn = return_code;
        code = cadre_race(i % 2 == 0 ? NULL : &timed, jobs, 4, &options, NULL);
        free(jobs);
    }
    return code == -ETIMEDOUT ? 0 : code;
}

static void test_many_callers_leave_their_losers_to_one_group(void **state)
{
    struct cadre_group rest = { 0 }, g = { 0 };

    (void)state;
    for (int i = 0; i < 8; i++)
        cadre_go(&g, race_often, &rest);
    assert_int_equal(race_often(NULL, &rest), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_wait(&rest), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_race_returns_while_the_losers_go_on_and_are_cancelled),
        cmocka_unit_test(test_an_error_returns_with_its_message_and_the_errors_that_are_known),
        cmocka_unit_test(test_calls_without_losers_return_when_all_have_ended),
        cmocka_unit_test(test_the_end_of_ctx_is_returned_at_once_and_cancels_the_jobs),
        cmocka_unit_test(test_a_deadline_reaches_the_jobs_as_one),
        cmocka_unit_test(test_the_end_of_the_group_ends_the_jobs_and_the_call),
        cmocka_unit_test(test_the_groups_limit_queue_and_drop_are_not_the_sets),
        cmocka_unit_test(test_a_group_that_has_stopped_starts_no_jobs),
        cmocka_unit_test(test_a_group_that_was_waited_for_is_used_again),
        cmocka_unit_test(test_many_callers_leave_their_losers_to_one_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
