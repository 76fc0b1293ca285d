/* SPDX-License-Identifier: MIT
 * Limits: how many tasks run at once, how many wait, what happens to the others, and the limit at run time. */
#include "test.h"

#include "tasks.h"

/* ---- never more than the limit ---- */

static void start_and_wait(int limit, int queue, unsigned flags, int n)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = limit, .queue = queue, .flags = flags, .drop = crowd_drop };
    int accepted = 0;

    for (int i = 0; i < n; i++) {
        int code = cadre_go(&g, crowd_passer, &crowd);

        assert_true(code == 0 || (code == -EAGAIN && (flags & CADRE_DISCARD_WHEN_FULL) != 0));
        accepted += code == 0;
    }
    assert_int_equal(cadre_wait(&g), 0);
    assert_in_range(crowd.most, 1, limit);
    assert_int_equal(crowd.ended, accepted);
    assert_int_equal(crowd.dropped, n - accepted);
    assert_int_equal(cadre_group_error_count(&g), 0);
}

static void no_more_than_the_limit_run_at_once(void **state)
{
    static const int limits[] = { 1, 2, 3, 8, 100 }, queues[] = { 0, 1, 5, 64, CADRE_UNBOUNDED };

    (void)state;
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        for (size_t q = 0; q < sizeof queues / sizeof *queues; q++) {
            start_and_wait(limits[l], queues[q], 0, 300);
            start_and_wait(limits[l], queues[q], CADRE_DISCARD_WHEN_FULL, 300);
        }
    }
}

/* As many run as may, and as many wait as may: neither fewer nor more. */
static void fill_exactly(int limit, int queue)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = limit, .queue = queue, .flags = CADRE_DISCARD_WHEN_FULL, .drop = crowd_drop };

    for (int i = 0; i < limit + queue; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), -EAGAIN);
    assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), -EAGAIN);
    test_until(crowd.started == limit);
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), -EAGAIN);
    assert_int_equal(crowd.started, limit);
    assert_int_equal(crowd.dropped, 2);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, limit + queue);
    assert_int_equal(crowd.most, limit);
}

static void limit_and_queue_are_exact(void **state)
{
    static const int sizes[][2] = { { 1, 0 }, { 1, 1 }, { 2, 0 }, { 2, 3 }, { 10, 0 }, { 10, 64 }, { 1, 200 } };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        fill_exactly(sizes[i][0], sizes[i][1]);
}

static void a_full_group_discards_what_does_not_fit(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 10, .flags = CADRE_DISCARD_WHEN_FULL, .drop = crowd_drop };
    int discarded = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        discarded += cadre_go(&g, crowd_task, &crowd) == -EAGAIN;
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(discarded, 990);
    assert_int_equal(crowd.dropped, 990);
    assert_int_equal(crowd.ended, 10);
    assert_int_equal(cadre_group_error_count(&g), 0);
}

static void the_queue_without_bound_never_blocks_and_needs_no_wait(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 2, .queue = CADRE_UNBOUNDED };

    (void)state;
    for (int i = 0; i < 5000; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    gate_open(&crowd.gate);
    test_until(crowd.ended == 5000);
    assert_in_range(crowd.most, 1, 2);
    assert_int_equal(cadre_wait(&g), 0);
}

static atomic_int turn;

static int take_turn(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return atomic_fetch_add(&turn, 1) == *(int *)arg ? 0 : -EPROTO;
}

static void what_waits_starts_in_the_order_of_being_accepted(void **state)
{
    struct crowd first = { 0 };
    struct cadre_group g = { .limit = 1, .queue = CADRE_UNBOUNDED };

    (void)state;
    turn = 0;
    assert_int_equal(cadre_go(&g, crowd_task, &first), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(cadre_go_copy(&g, take_turn, &i, sizeof i), 0);
    gate_open(&first.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(turn, 1000);
}

/* ---- a go that waits ---- */

struct goer {
    struct cadre_group *group;
    struct crowd *crowd;
    atomic_int begun, returned;
    int code;
    pthread_t thread;
};

static void *goer_body(void *arg)
{
    struct goer *goer = arg;

    atomic_store(&goer->begun, 1);
    goer->code = cadre_go(goer->group, crowd_task, goer->crowd);
    atomic_store(&goer->returned, 1);
    return NULL;
}

static void goer_start(struct goer *goer, struct cadre_group *g, struct crowd *crowd)
{
    *goer = (struct goer){ .group = g, .crowd = crowd };
    goer->thread = thread_start(goer_body, goer);
    test_until(goer->begun);
}

static int goer_join(struct goer *goer)
{
    thread_join(goer->thread);
    return goer->code;
}

static void go_at_the_limit_returns_when_a_slot_frees(void **state)
{
    struct crowd first = { 0 }, second = { 0 };
    struct cadre_group g = { .limit = 1 };
    struct goer goer;

    (void)state;
    assert_int_equal(cadre_go(&g, crowd_task, &first), 0);
    test_until(first.started == 1);
    goer_start(&goer, &g, &second);
    for (int i = 0; i < 20; i++) {
        (void)cadre_sleep(NULL, CADRE_US(100));
        assert_int_equal(goer.returned + second.started, 0);
    }
    gate_open(&first.gate);
    assert_int_equal(goer_join(&goer), 0);
    gate_open(&second.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(second.ended, 1);
}

static void go_returns_when_there_is_room_in_the_queue(void **state)
{
    struct crowd first = { 0 }, others = { 0 };
    struct cadre_group g = { .limit = 1, .queue = 1 };
    struct goer goer;

    (void)state;
    assert_int_equal(cadre_go(&g, crowd_task, &first), 0);
    assert_int_equal(cadre_go(&g, crowd_task, &others), 0);
    goer_start(&goer, &g, &others);
    gate_open(&first.gate); /* the second gets the slot, the third its place */
    assert_int_equal(goer_join(&goer), 0);
    assert_int_equal(others.ended, 0);
    gate_open(&others.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(others.ended, 2);
}

struct feeding {
    struct cadre_group *group;
    struct crowd *crowd;
    int n;
};

static int feed(struct cadre_ctx *ctx, void *arg)
{
    struct feeding *feeding = arg;

    (void)ctx;
    for (int i = 0; i < feeding->n; i++)
        test_check(cadre_go(feeding->group, crowd_passer, feeding->crowd) == 0);
    return 0;
}

static void tasks_and_threads_may_wait_for_slots_together(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 3 }, feeders = { 0 };
    struct feeding feeding = { &g, &crowd, 200 };

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(cadre_go(&feeders, feed, &feeding), 0);
    (void)feed(NULL, &feeding);
    assert_int_equal(cadre_wait(&feeders), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, 11 * 200);
    assert_in_range(crowd.most, 1, 3);
}

static void ten_thousand_tasks_may_start_one_each_at_once(void **state)
{
    static const int queues[] = { CADRE_UNBOUNDED, 0 };

    (void)state;
    for (size_t q = 0; q < 2; q++) {
        struct crowd crowd = { 0 };
        struct cadre_group g = { .limit = 4, .queue = queues[q] }, starters = { 0 };
        struct feeding feeding = { &g, &crowd, 1 };
        int n = queues[q] == 0 ? 2000 : 10000;

        for (int i = 0; i < n; i++)
            assert_int_equal(cadre_go(&starters, feed, &feeding), 0);
        assert_int_equal(cadre_wait(&starters), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(crowd.ended, n);
        assert_in_range(crowd.most, 1, 4);
    }
}

/* ---- a group that fills itself ---- */

struct filler {
    struct cadre_group *group;
    atomic_int started, refused, dropped;
    int fillers;
};

static struct filler *the_filler;

static void drop_filler(void *arg)
{
    (void)arg;
    atomic_fetch_add(&the_filler->dropped, 1);
}

/* All fillers hold a slot before the first asks for another one. */
static int fill(struct cadre_ctx *ctx, void *arg)
{
    struct filler *filler = arg;
    int code;

    (void)ctx;
    atomic_fetch_add(&filler->started, 1);
    test_until(filler->started >= filler->fillers);
    code = cadre_go(filler->group, return_code, NULL);
    test_check(code == 0 || code == -EDEADLK);
    atomic_fetch_add(&filler->refused, code != 0);
    return 0;
}

static void the_last_holder_of_a_slot_that_waits_for_one_gets_edeadlk(void **state)
{
    (void)state;
    for (int limit = 1; limit <= 8; limit++) {
        struct cadre_group g = { .limit = limit, .drop = drop_filler };
        struct filler filler = { .group = &g, .fillers = limit };

        the_filler = &filler;
        for (int i = 0; i < limit; i++)
            assert_int_equal(cadre_go(&g, fill, &filler), 0);
        assert_int_equal(cadre_wait(&g), -EDEADLK);
        assert_in_range(filler.refused, 1, limit);
        assert_int_equal(filler.dropped, filler.refused);
        assert_int_equal(cadre_group_error_count(&g), (size_t)filler.refused);
        assert_int_equal(cadre_group_error(&g).origin, CADRE_FROM_START);
    }
}

static int try_once_more(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return cadre_try_go(arg, return_code, NULL) == -EAGAIN ? 0 : -EPROTO;
}

static void try_go_from_the_only_slot_is_refused_without_error(void **state)
{
    struct cadre_group g = { .limit = 1 };

    (void)state;
    assert_int_equal(cadre_go(&g, try_once_more, &g), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_group_error_count(&g), 0);
}

static void a_failing_worker_never_hangs_the_next(void **state)
{
    static const unsigned flags[] = { 0, CADRE_CANCEL_ON_ERROR, CADRE_STOP_ON_ERROR };

    (void)state;
    for (int round = 0; round < 6000; round++) {
        struct crowd crowd = { .code = -EIO };
        struct cadre_group g = { .limit = 1, .queue = 1, .flags = flags[round % 3], .drop = crowd_drop };
        int accepted = 0;

        for (int i = 0; i < 5; i++)
            accepted += cadre_go(&g, crowd_passer, &crowd) == 0;
        assert_int_equal(cadre_wait(&g), -EIO);
        assert_int_equal(crowd.ended + crowd.dropped, 5);
        assert_true(crowd.ended >= 1 && crowd.ended <= accepted);
    }
}

/* ---- the limit at run time ---- */

static void raising_the_limit_starts_what_waits(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 1, .queue = 3 };
    struct goer goer;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    goer_start(&goer, &g, &crowd);
    assert_int_equal(cadre_group_set_limit(&g, 3), 0);
    test_until(crowd.started == 3);
    assert_int_equal(goer_join(&goer), 0);
    assert_int_equal(crowd.started, 3);
    assert_int_equal(cadre_group_set_limit(&g, -1), 0);
    test_until(crowd.started == 5);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.most, 5);
}

static void lowering_the_limit_holds_for_the_next_start(void **state)
{
    struct crowd first = { 0 }, second = { 0 };
    struct cadre_group g = { .limit = 4, .queue = CADRE_UNBOUNDED };

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &first), 0);
    test_until(first.started == 4);
    assert_int_equal(cadre_group_set_limit(&g, 1), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(cadre_go(&g, crowd_passer, &second), 0);
    gate_open(&first.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(second.ended, 50);
    assert_int_equal(second.most, 1);
}

static void a_limit_set_on_a_group_without_counts_what_runs(void **state)
{
    struct crowd first = { 0 }, second = { 0 };
    struct cadre_group g = { 0 };
    struct goer goer;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &first), 0);
    test_until(first.started == 3);
    assert_int_equal(cadre_group_set_limit(&g, 2), 0);
    assert_int_equal(cadre_try_go(&g, crowd_task, &second), -EAGAIN);
    goer_start(&goer, &g, &second);
    gate_open(&first.gate);
    assert_int_equal(goer_join(&goer), 0);
    gate_open(&second.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(first.ended + second.ended, 4);
}

static void holds_take_no_slot(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 2 };

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_group_hold(&g), 0);
    assert_int_equal(cadre_group_set_limit(&g, 2), 0);
    assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), -EAGAIN);
    gate_open(&crowd.gate);
    for (int i = 0; i < 5; i++)
        cadre_group_release(&g, 0);
    assert_int_equal(cadre_wait(&g), 0);
}

struct changing {
    struct cadre_group *group;
    atomic_int done;
};

static void *change_the_limit(void *arg)
{
    static const int limits[] = { 3, 1, -1, 5, 0, 2 };
    struct changing *changing = arg;

    for (size_t i = 0; !changing->done; i++) {
        test_check(cadre_group_set_limit(changing->group, limits[i % 6]) == 0);
        (void)cadre_sleep(NULL, CADRE_US(50));
    }
    test_check(cadre_group_set_limit(changing->group, 1) == 0);
    return NULL;
}

static void the_limit_may_change_all_the_time(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 2, .queue = 10 };
    struct changing changing = { .group = &g };
    pthread_t thread = thread_start(change_the_limit, &changing);

    (void)state;
    for (int i = 0; i < 3000; i++)
        assert_int_equal(cadre_go(&g, crowd_passer, &crowd), 0);
    changing.done = 1;
    assert_int_equal(cadre_wait(&g), 0);
    thread_join(thread);
    assert_int_equal(crowd.ended, 3000);
}

static void set_limit_refuses_wrong_arguments(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_group_set_limit(NULL, 1), -EINVAL);
    assert_int_equal(cadre_group_set_limit(&g, -1000), 0);
    assert_int_equal(cadre_go(&g, return_code, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_than_the_limit_run_at_once),
        cmocka_unit_test(limit_and_queue_are_exact),
        cmocka_unit_test(a_full_group_discards_what_does_not_fit),
        cmocka_unit_test(the_queue_without_bound_never_blocks_and_needs_no_wait),
        cmocka_unit_test(what_waits_starts_in_the_order_of_being_accepted),
        cmocka_unit_test(go_at_the_limit_returns_when_a_slot_frees),
        cmocka_unit_test(go_returns_when_there_is_room_in_the_queue),
        cmocka_unit_test(tasks_and_threads_may_wait_for_slots_together),
        cmocka_unit_test(ten_thousand_tasks_may_start_one_each_at_once),
        cmocka_unit_test(the_last_holder_of_a_slot_that_waits_for_one_gets_edeadlk),
        cmocka_unit_test(try_go_from_the_only_slot_is_refused_without_error),
        cmocka_unit_test(a_failing_worker_never_hangs_the_next),
        cmocka_unit_test(raising_the_limit_starts_what_waits),
        cmocka_unit_test(lowering_the_limit_holds_for_the_next_start),
        cmocka_unit_test(a_limit_set_on_a_group_without_counts_what_runs),
        cmocka_unit_test(holds_take_no_slot),
        cmocka_unit_test(the_limit_may_change_all_the_time),
        cmocka_unit_test(set_limit_refuses_wrong_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
