/* SPDX-License-Identifier: MIT
 * The parallel loop: every number once, pieces in order, limits, errors, and ends near the largest number. */
#include "test.h"

#include "gated.h"

#define MOST 3000

/* What pieces do: they count their numbers, and may fail or cancel at one. */
struct work {
    atomic_int hits[MOST];
    atomic_int pieces, running, most;
    size_t grain;                 /* what each piece but the last must have; 0: any size */
    size_t end;
    size_t fail_at, cancel_at;    /* a number; SIZE_MAX: none */
    int code;
    struct cadre_ctx *cancel;
};

static struct work *work_make(size_t end, size_t grain)
{
    struct work *work = calloc(1, sizeof *work);

    assert_non_null(work);
    work->end = end;
    work->grain = grain;
    work->fail_at = work->cancel_at = SIZE_MAX;
    return work;
}

static bool is_in(size_t number, size_t begin, size_t end) { return begin <= number && number < end; }

static int do_piece(struct cadre_ctx *ctx, size_t begin, size_t end, void *arg)
{
    struct work *work = arg;
    int now = atomic_fetch_add(&work->running, 1) + 1, most = atomic_load(&work->most);

    while (now > most && !atomic_compare_exchange_weak(&work->most, &most, now))
        ;
    test_check(begin < end && end <= work->end);
    test_check(work->grain == 0 || end - begin == work->grain || (end == work->end && end - begin < work->grain));
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&work->hits[i], 1);
    atomic_fetch_add(&work->pieces, 1);
    if (is_in(work->cancel_at, begin, end))
        cadre_ctx_cancel(work->cancel, 0, NULL);
    atomic_fetch_sub(&work->running, 1);
    if (is_in(work->fail_at, begin, end))
        return cadre_fail(ctx, work->code, "at %zu", work->fail_at);
    return 0;
}

static void check_each_once(struct work *work, size_t begin)
{
    for (size_t i = 0; i < MOST; i++)
        test_check(atomic_load(&work->hits[i]) == (i >= begin && i < work->end));
}

/* From a thread or a task: a loop of every kind of size. */
static int loop_over(struct cadre_ctx *ctx, size_t begin, size_t end, size_t grain, const struct cadre_jobs_options *options)
{
    struct work *work = calloc(1, sizeof *work);
    int code;

    test_check(work != NULL);
    work->end = end;
    work->grain = grain;
    work->fail_at = work->cancel_at = SIZE_MAX;
    code = cadre_for(ctx, begin, end, grain, do_piece, work, options);
    if (code == 0)
        check_each_once(work, begin);
    free(work);
    return code;
}

static void test_every_number_is_in_one_piece(void **state)
{
    const size_t ends[] = { 1, 2, 3, 7, 8, 64, 999, MOST }, grains[] = { 0, 1, 2, 7, 64, 5000, SIZE_MAX };

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (size_t j = 0; j < sizeof grains / sizeof *grains; j++)
            for (int limit = 0; limit < 4; limit++) {
                struct cadre_jobs_options options = { .limit = limit };

                assert_int_equal(loop_over(NULL, 0, ends[i], grains[j], &options), 0);
                assert_int_equal(loop_over(NULL, ends[i] / 2, ends[i], grains[j], NULL), 0);
            }
}

static int never(struct cadre_ctx *ctx, size_t begin, size_t end, void *arg)
{
    (void)ctx, (void)begin, (void)end, (void)arg;
    test_check(begin > end); /* is never to be called */
    return 0;
}

static void test_no_numbers_are_no_pieces(void **state)
{
    (void)state;
    assert_int_equal(cadre_for(NULL, 0, 0, 0, never, NULL, NULL), 0);
    assert_int_equal(cadre_for(NULL, 5, 5, 1, never, NULL, NULL), 0);
    assert_int_equal(cadre_for(NULL, SIZE_MAX, SIZE_MAX, SIZE_MAX, never, NULL, NULL), 0);
}

static void test_bad_arguments_are_refused(void **state)
{
    struct cadre_group rest = { 0 };
    struct cadre_error error;
    struct cadre_jobs_options limit = { .limit = -1 }, errors = { .errors = &error }, with_rest = { .rest = &rest };

    (void)state;
    assert_int_equal(cadre_for(NULL, 0, 5, 0, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(cadre_for(NULL, 6, 5, 0, never, NULL, NULL), -EINVAL);
    assert_int_equal(cadre_for(NULL, SIZE_MAX, 0, 0, never, NULL, NULL), -EINVAL);
    assert_int_equal(cadre_for(NULL, 0, 5, 0, never, NULL, &limit), -EINVAL);
    assert_int_equal(cadre_for(NULL, 0, 5, 0, never, NULL, &errors), -EINVAL);
    assert_int_equal(cadre_for(NULL, 0, 5, 0, never, NULL, &with_rest), -EINVAL);
}

/* Sums up the lengths of the pieces, which must not wrap around. */
static int add_length(struct cadre_ctx *ctx, size_t begin, size_t end, void *arg)
{
    (void)ctx;
    test_check(begin < end);
    atomic_fetch_add((atomic_size_t *)arg, end - begin);
    return 0;
}

static void check_length(size_t begin, size_t end, size_t grain)
{
    atomic_size_t sum = 0;

    assert_int_equal(cadre_for(NULL, begin, end, grain, add_length, &sum, NULL), 0);
    assert_true(atomic_load(&sum) == end - begin);
}

static void test_a_loop_may_end_at_the_largest_number(void **state)
{
    (void)state;
    check_length(SIZE_MAX - 10, SIZE_MAX, 3);
    check_length(SIZE_MAX - 10, SIZE_MAX, 1);
    check_length(SIZE_MAX - 10, SIZE_MAX, SIZE_MAX);
    check_length(SIZE_MAX - 1, SIZE_MAX, 0);
    check_length(0, SIZE_MAX, SIZE_MAX / 7);
    check_length(0, SIZE_MAX, SIZE_MAX / 2 + 1);
    check_length(1, SIZE_MAX, SIZE_MAX - 1);
    check_length(0, SIZE_MAX, 0);
}

/* ---- order and limits ---- */

struct sequence {
    size_t next;
};

static int check_turn(struct cadre_ctx *ctx, size_t begin, size_t end, void *arg)
{
    struct sequence *sequence = arg;

    (void)ctx;
    test_check(begin == sequence->next);
    sequence->next = end;
    return 0;
}

static void test_pieces_are_handed_out_in_order(void **state)
{
    struct cadre_jobs_options options = { .limit = 1 };
    struct sequence sequence = { 10 };

    (void)state;
    assert_int_equal(cadre_for(NULL, 10, 1000, 7, check_turn, &sequence, &options), 0);
    assert_int_equal(sequence.next, 1000);
}

static int enter_and_pass(struct cadre_ctx *ctx, size_t begin, size_t end, void *arg)
{
    (void)begin, (void)end;
    return crowd_task(ctx, arg);
}

static void test_as_many_pieces_run_at_once_as_the_limit_says(void **state)
{
    struct cadre_jobs_options options = { .limit = 5 };
    struct crowd crowd = { 0 };
    struct trigger trigger = { .count = &crowd.started, .at = 5, .open = &crowd.gate };
    struct cadre_group g = { 0 };

    (void)state;
    cadre_go(&g, trigger_task, &trigger);
    assert_int_equal(cadre_for(NULL, 0, 100, 1, enter_and_pass, &crowd, &options), 0);
    assert_int_equal(atomic_load(&crowd.most), 5);
    assert_int_equal(atomic_load(&crowd.ended), 100);
    cadre_wait(&g);
}

static void test_without_a_limit_there_are_as_many_tasks_as_workers(void **state)
{
    struct crowd crowd = { 0 };
    struct trigger trigger = { .count = &crowd.started, .at = cadre_workers(), .open = &crowd.gate };
    struct cadre_group g = { 0 };

    (void)state;
    cadre_go(&g, trigger_task, &trigger);
    assert_int_equal(cadre_for(NULL, 0, 100, 1, enter_and_pass, &crowd, NULL), 0);
    assert_int_equal(atomic_load(&crowd.most), cadre_workers());
    cadre_wait(&g);
}

/* ---- errors and ends ---- */

static void test_the_first_error_ends_the_loop_and_is_returned(void **state)
{
    struct cadre_jobs_options options = { .limit = 1 };
    struct work *work = work_make(100, 10);

    (void)state;
    work->fail_at = 35;
    work->code = -EIO;
    assert_int_equal(cadre_for(NULL, 0, 100, 10, do_piece, work, &options), -EIO);
    assert_int_equal(atomic_load(&work->pieces), 4);
    work->code = -ECANCELED; /* an error like any other */
    assert_int_equal(cadre_for(NULL, 0, 100, 10, do_piece, work, NULL), -ECANCELED);
    free(work);
}

static int sleep_or_fail(struct cadre_ctx *ctx, size_t begin, size_t end, void *arg)
{
    (void)end, (void)arg;
    if (begin == 0)
        return cadre_sleep(ctx, CADRE_FOREVER);
    cadre_panic("at %zu", begin);
}

static int panic_in_a_loop(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_jobs_options options = { .limit = 2 };

    (void)arg;
    return cadre_for(ctx, 0, 2, 1, sleep_or_fail, NULL, &options);
}

static void test_a_panic_cancels_the_other_pieces(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(panic_in_a_loop(NULL, NULL), -ENOTRECOVERABLE);
    cadre_go(&g, panic_in_a_loop, NULL);
    assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
    assert_string_equal(cadre_group_error(&g).message, "at 1");
}

static void test_a_cancel_ends_the_loop_between_pieces(void **state)
{
    struct cadre_jobs_options options = { .limit = 1 };
    struct cadre_ctx ctx = { 0 }, late = { .deadline = 1 };
    struct work *work = work_make(100, 1);

    (void)state;
    work->cancel_at = 41;
    work->cancel = &ctx;
    assert_int_equal(cadre_for(&ctx, 0, 100, 1, do_piece, work, &options), -ECANCELED);
    assert_int_equal(atomic_load(&work->pieces), 42);
    assert_int_equal(cadre_for(&ctx, 0, 100, 1, never, NULL, NULL), -ECANCELED);
    assert_int_equal(cadre_for(&late, 0, 100, 1, never, NULL, NULL), -ETIMEDOUT);
    free(work);
}

static void test_a_cancel_after_the_last_piece_is_too_late(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct cadre_jobs_options options = { .limit = 4 };
        struct work *work = work_make(4, 1);
        struct cadre_ctx ctx = { 0 };
        int code;

        work->cancel_at = 3;
        work->cancel = &ctx;
        code = cadre_for(&ctx, 0, 4, 1, do_piece, work, &options);
        assert_int_equal(code, atomic_load(&work->pieces) == 4 ? 0 : -ECANCELED);
        free(work);
    }
}

/* ---- from where ---- */

static int loop_inside(struct cadre_ctx *ctx, size_t begin, size_t end, void *arg)
{
    (void)arg;
    for (; begin < end; begin++)
        test_check(loop_over(ctx, 0, 50 + begin, 3, NULL) == 0);
    return 0;
}

static int loop_task(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_for(ctx, 0, 20, 1, loop_inside, NULL, NULL);
}

static void *loop_thread(void *arg)
{
    test_check(loop_task(NULL, arg) == 0);
    return NULL;
}

static void test_loops_nest_and_run_beside_each_other(void **state)
{
    struct cadre_group g = { 0 };
    pthread_t threads[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        threads[i] = thread_start(loop_thread, NULL);
    for (int i = 0; i < 10; i++)
        cadre_go(&g, loop_task, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_number_is_in_one_piece),
        cmocka_unit_test(test_no_numbers_are_no_pieces),
        cmocka_unit_test(test_bad_arguments_are_refused),
        cmocka_unit_test(test_a_loop_may_end_at_the_largest_number),
        cmocka_unit_test(test_pieces_are_handed_out_in_order),
        cmocka_unit_test(test_as_many_pieces_run_at_once_as_the_limit_says),
        cmocka_unit_test(test_without_a_limit_there_are_as_many_tasks_as_workers),
        cmocka_unit_test(test_the_first_error_ends_the_loop_and_is_returned),
        cmocka_unit_test(test_a_panic_cancels_the_other_pieces),
        cmocka_unit_test(test_a_cancel_ends_the_loop_between_pieces),
        cmocka_unit_test(test_a_cancel_after_the_last_piece_is_too_late),
        cmocka_unit_test(test_loops_nest_and_run_beside_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
