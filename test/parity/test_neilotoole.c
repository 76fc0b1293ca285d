/* SPDX-License-Identifier: MIT
 * neilotoole/errgroup: a fixed number of workers, a queue of a fixed size before them, and no hang after a failure. */
#include "parity.h"

static void test_neilotoole_go_blocks_only_when_the_queue_is_full(void **state)
{
    static const int sizes[][2] = { { 1, 1 }, { 2, 3 }, { 4, 100 } };

    (void)state;
    for (size_t i = 0; i < lengthof(sizes); i++) {
        int workers = sizes[i][0], room = sizes[i][1];
        struct crowd crowd = { 0 };
        struct cadre_group g = { .limit = workers, .queue = room, .flags = CADRE_CANCEL_ON_ERROR };
        struct goer goer;

        for (int k = 0; k < workers + room; k++) /* none of them waits: nobody would wake it */
            assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
        test_until(crowd.running == workers);
        goer_start(&goer, &g, &crowd);
        goer_stays(&goer);
        gate_open(&crowd.gate);
        assert_int_equal(goer_join(&goer), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(crowd.ended, workers + room + 1);
        assert_int_equal(crowd.most, workers);
    }
}

static void test_neilotoole_never_more_than_num_g_run(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 3, .queue = 5, .flags = CADRE_CANCEL_ON_ERROR };

    (void)state;
    for (int i = 0; i < repeat(2000, 200000); i++)
        assert_int_equal(cadre_go(&g, crowd_passer, &crowd), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_in_range(crowd.most, 1, 3);
}

static void test_neilotoole_the_default_is_as_many_as_there_are_processors(void **state)
{
    int n = cadre_workers();
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = n, .queue = n, .flags = CADRE_CANCEL_ON_ERROR };

    (void)state;
    assert_true(n >= 1);
    for (int i = 0; i < 2 * n; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    test_until(crowd.running == n);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.most, n);
}

static void test_neilotoole_the_first_error_cancels_what_runs_and_what_is_queued(void **state)
{
    struct witness witness = { 0 };
    struct crowd queued = { 0 };
    struct cadre_ctx parent = { 0 };
    struct cadre_group g = { .parent = &parent, .limit = 2, .queue = 100, .flags = CADRE_CANCEL_ON_ERROR,
                             .drop = crowd_drop };
    struct crowd failing = { .code = -EIO };

    (void)state;
    assert_int_equal(cadre_go(&g, witness_task, &witness), 0);
    assert_int_equal(cadre_go(&g, crowd_task, &failing), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &queued), 0);
    test_until(witness.begun == 1);
    gate_open(&failing.gate);
    test_until(witness.told == 1);
    assert_int_equal(cadre_go(&g, crowd_task, &queued), -ECANCELED);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(queued.started, 0);
    assert_int_equal(queued.dropped, 101);
    assert_int_equal(cadre_ctx_error(&parent), 0);
}

/* The one worker may fail before, between or after the submissions. */
static void fail_once_and_submit_on(int submissions)
{
    struct crowd bad = { .code = -EIO }, next = { 0 };
    struct cadre_group g = { .limit = 1, .queue = 1, .flags = CADRE_CANCEL_ON_ERROR, .drop = crowd_drop };

    assert_int_equal(cadre_go(&g, crowd_passer, &bad), 0);
    for (int i = 0; i < submissions; i++) {
        int code = cadre_go(&g, crowd_passer, &next);

        assert_true(code == 0 || code == -ECANCELED);
    }
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(bad.ended, 1);
    assert_int_equal(next.ended, 0);
    assert_int_equal(next.dropped, submissions);
}

static void test_neilotoole_after_a_failed_worker_no_submission_hangs(void **state)
{
    (void)state;
    for (int i = 0; i < repeat(5000, 100000); i++)
        fail_once_and_submit_on(1 + i % 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neilotoole_go_blocks_only_when_the_queue_is_full),
        cmocka_unit_test(test_neilotoole_never_more_than_num_g_run),
        cmocka_unit_test(test_neilotoole_the_default_is_as_many_as_there_are_processors),
        cmocka_unit_test(test_neilotoole_the_first_error_cancels_what_runs_and_what_is_queued),
        cmocka_unit_test(test_neilotoole_after_a_failed_worker_no_submission_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
