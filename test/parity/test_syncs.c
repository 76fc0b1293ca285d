/* SPDX-License-Identifier: MIT
 * go-pkgz/syncs: SizedGroup and ErrSizedGroup with their options Preemptive, Discard, Context and TermOnErr. */
#include "parity.h"

/* ---- SizedGroup ---- */

static void test_sized_group_accepts_all_and_lets_them_wait_inside(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 10, .queue = CADRE_UNBOUNDED };

    (void)state;
    for (int i = 0; i < 1000; i++) /* all are accepted before the first one ends */
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    test_until(crowd.running == 10);
    assert_int_equal(crowd.ended, 0);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, 1000);
    assert_int_equal(crowd.most, 10);
}

static long mapped_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long all = 0, resident = 0;

    test_check(file != NULL && fscanf(file, "%ld %ld", &all, &resident) == 2);
    fclose(file);
    return resident;
}

static void test_sized_group_waiting_tasks_cost_records_not_stacks(void **state)
{
    enum { N = 20000 };
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 10, .queue = CADRE_UNBOUNDED };
    long before, used;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    test_until(crowd.running == 10);
    before = mapped_pages();
    for (int i = 0; i < N; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    used = mapped_pages() - before;
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, N + 1000);
    assert_true(used < N / 4); /* a stack is at least one page */
}

static void test_sized_group_preemptive_go_blocks_when_full(void **state)
{
    struct crowd first = { 0 }, next = { 0 };
    struct cadre_group g = { .limit = 10, .queue = 0 };
    struct goer goer;

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &first), 0);
    goer_start(&goer, &g, &next);
    goer_stays(&goer);
    assert_int_equal(next.started, 0);
    gate_open(&first.gate);
    assert_int_equal(goer_join(&goer), 0);
    gate_open(&next.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(first.ended + next.ended, 11);
}

static void test_sized_group_discards_when_full(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(5, 500); round++) {
        struct crowd crowd = { 0 };
        struct cadre_group g = { .limit = 10, .flags = CADRE_DISCARD_WHEN_FULL, .drop = crowd_drop };

        for (int i = 0; i < 1000; i++) {
            assert_int_equal(cadre_go(&g, crowd_task, &crowd), i < 10 ? 0 : -EAGAIN);
            assert_int_equal(crowd.dropped, i < 10 ? 0 : i - 9);
        }
        gate_open(&crowd.gate);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(crowd.ended, 10);
        assert_int_equal(cadre_group_error_count(&g), 0);
    }
}

/* ---- ErrSizedGroup: Context ---- */

static void test_err_sized_group_starts_nothing_under_a_cancelled_context(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct crowd crowd = { 0 };
    struct cadre_error errors[10];
    struct cadre_group g = { .parent = &ctx, .limit = 4, .drop = crowd_drop, .errors = errors, .max_errors = 10 };

    (void)state;
    cadre_ctx_cancel(&ctx, 0, NULL);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), -ECANCELED);
    assert_int_equal(cadre_wait(&g), -ECANCELED);
    assert_int_equal(cadre_group_error_count(&g), 1);
    assert_int_equal(crowd.started, 0);
    assert_int_equal(crowd.dropped, 100);
}

static void test_err_sized_group_drops_what_waits_when_the_context_is_cancelled(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct crowd running = { .heedless = true }, queued = { 0 };
    struct cadre_group g = { .parent = &ctx, .limit = 4, .queue = CADRE_UNBOUNDED, .drop = crowd_drop };

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &running), 0);
    test_until(running.started == 4);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &queued), 0);
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(cadre_go(&g, crowd_task, &queued), -ECANCELED);
    gate_open(&running.gate);
    assert_int_equal(cadre_wait(&g), -ECANCELED);
    assert_int_equal(cadre_group_error_count(&g), 1);
    assert_int_equal(running.ended, 4);
    assert_int_equal(queued.started, 0);
    assert_int_equal(queued.dropped, 101);
}

/* ---- ErrSizedGroup: TermOnErr ---- */

static void test_err_sized_group_term_on_error_starts_nothing_more(void **state)
{
    struct witness witness = { 0 };
    struct crowd failing = { .code = -EIO }, queued = { 0 };
    struct cadre_group g = { .limit = 2, .queue = CADRE_UNBOUNDED, .flags = CADRE_STOP_ON_ERROR, .drop = crowd_drop };

    (void)state;
    assert_int_equal(cadre_go(&g, witness_task, &witness), 0);
    assert_int_equal(cadre_go(&g, crowd_task, &failing), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &queued), 0);
    test_until(witness.begun == 1);
    gate_open(&failing.gate);
    test_until(cadre_group_error_count(&g) == 1);
    assert_int_equal(cadre_go(&g, crowd_task, &queued), -ECANCELED);
    assert_int_equal(witness.told, 0);
    gate_open(&witness.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(witness.passed, 1); /* what ran went on to its end */
    assert_int_equal(queued.started, 0);
    assert_int_equal(queued.dropped, 101);
}

static void test_err_sized_group_without_term_on_error_goes_on(void **state)
{
    struct cadre_group g = { .limit = 2, .queue = CADRE_UNBOUNDED };
    atomic_int ran = 0;

    (void)state;
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    test_until(cadre_group_error_count(&g) == 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go(&g, count_task, &ran), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(ran, 100);
}

/* ---- all errors ---- */

static void test_err_sized_group_collects_all_errors_as_text(void **state)
{
    static int codes[] = { 0, -EIO, 0, -ENOENT, 0 };
    struct cadre_error errors[8];
    struct cadre_group g = { .limit = 1, .queue = CADRE_UNBOUNDED, .errors = errors, .max_errors = 8 };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < lengthof(codes); i++)
        assert_int_equal(cadre_go(&g, return_code, &codes[i]), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_group_error_count(&g), 2);
    assert_true(cadre_errors_format(&g, text, sizeof text) > 0);
    assert_string_equal(text, "task 1: Input/output error [EIO]\n"
                              "task 3: No such file or directory [ENOENT]\n"
                              "2 errors\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sized_group_accepts_all_and_lets_them_wait_inside),
        cmocka_unit_test(test_sized_group_waiting_tasks_cost_records_not_stacks),
        cmocka_unit_test(test_sized_group_preemptive_go_blocks_when_full),
        cmocka_unit_test(test_sized_group_discards_when_full),
        cmocka_unit_test(test_err_sized_group_starts_nothing_under_a_cancelled_context),
        cmocka_unit_test(test_err_sized_group_drops_what_waits_when_the_context_is_cancelled),
        cmocka_unit_test(test_err_sized_group_term_on_error_starts_nothing_more),
        cmocka_unit_test(test_err_sized_group_without_term_on_error_goes_on),
        cmocka_unit_test(test_err_sized_group_collects_all_errors_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
