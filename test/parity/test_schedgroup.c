/* SPDX-License-Identifier: MIT
 * schedgroup: Delay, Schedule, and a Wait that ends early when the context does. */
#include "parity.h"
#include "threads.h"

#define HOUR CADRE_SEC(3600)

/* ---- when ---- */

struct timed {
    cadre_time due, ran;
};

static int note_time(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    ((struct timed *)arg)->ran = cadre_now();
    return 0;
}

static void test_schedgroup_nothing_runs_before_it_is_due(void **state)
{
    enum { N = 200 };
    struct timed timed[N] = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < N; i++) {
        cadre_time delay = CADRE_US((i * 37) % N * 50);

        timed[i].due = cadre_in(delay);
        if (i % 2 == 0)
            assert_int_equal(cadre_go_after(&g, delay, note_time, &timed[i], NULL), 0);
        else
            assert_int_equal(cadre_go_at(&g, timed[i].due, note_time, &timed[i], NULL), 0);
    }
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < N; i++)
        assert_true(timed[i].ran >= timed[i].due);
}

static void test_schedgroup_negative_and_past_times_mean_now(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int ran = 0;

    (void)state;
    assert_int_equal(cadre_go_after(&g, 0, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_go_after(&g, -CADRE_SEC(5), count_task, &ran, NULL), 0);
    assert_int_equal(cadre_go_after(&g, INT64_MIN, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_go_at(&g, cadre_now() - 1, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_go_at(&g, 1, count_task, &ran, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 5);
}

/* Tasks that note in which order they ran. */
struct sequence {
    atomic_int next;
    int seen[64];
};

struct numbered {
    struct sequence *sequence;
    int number;
};

static int note_number(struct cadre_ctx *ctx, void *arg)
{
    struct numbered *numbered = arg;

    (void)ctx;
    numbered->sequence->seen[atomic_fetch_add(&numbered->sequence->next, 1)] = numbered->number;
    return 0;
}

/* All are scheduled before the first one is due; false when the machine was too slow for that. */
static bool run_by_time(cadre_time step)
{
    struct sequence sequence = { 0 };
    struct numbered numbered[20];
    struct cadre_group g = { .limit = 1 };
    cadre_time first = cadre_in(step);
    bool in_time;

    for (int i = 0; i < 20; i++) {
        int rank = (i * 7) % 20;

        numbered[i] = (struct numbered){ &sequence, rank };
        assert_int_equal(cadre_go_at(&g, first + CADRE_US(100 * rank), note_number, &numbered[i], NULL), 0);
    }
    in_time = cadre_now() < first;
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; in_time && i < 20; i++)
        assert_int_equal(sequence.seen[i], i);
    return in_time;
}

static void test_schedgroup_tasks_run_in_the_order_of_their_times(void **state)
{
    (void)state;
    with_growing_steps(run_by_time);
}

static bool run_ties(cadre_time step)
{
    struct sequence sequence = { 0 };
    struct numbered numbered[64];
    struct cadre_group g = { .limit = 1 };
    cadre_time when = cadre_in(step);
    bool in_time;

    for (int i = 0; i < 64; i++) {
        numbered[i] = (struct numbered){ &sequence, i };
        assert_int_equal(cadre_go_at(&g, when, note_number, &numbered[i], NULL), 0);
    }
    in_time = cadre_now() < when;
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; in_time && i < 64; i++)
        assert_int_equal(sequence.seen[i], i);
    return in_time;
}

static void test_schedgroup_ties_run_in_the_order_they_were_scheduled(void **state)
{
    (void)state;
    with_growing_steps(run_ties);
}

/* ---- one heap for all ---- */

static void test_schedgroup_ten_thousand_delays_take_no_threads(void **state)
{
    struct cadre_group g = { .drop = count_drop };
    atomic_int counted = 0;
    int before;

    (void)state;
    assert_int_equal(cadre_go_after(&g, 0, count_task, &counted, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    before = threads_now();
    for (int i = 0; i < 10000; i++)
        assert_int_equal(cadre_go_after(&g, i % 2 == 0 ? HOUR : CADRE_US(i), count_task, &counted, NULL), 0);
    test_until(counted == 5001);
    assert_in_range(threads_now(), 1, before + 100); /* a few may be added on a loaded machine, but not one each */
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(counted, 10001);
}

/* ---- Wait ---- */

static void test_schedgroup_wait_returns_when_all_have_run(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int ran = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go_after(&g, CADRE_US(i * 50), count_task, &ran, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 100);
}

static void test_schedgroup_a_cancel_drops_what_is_not_due_and_joins_what_runs(void **state)
{
    struct crowd running = { .heedless = true }, later = { 0 };
    struct cadre_ctx ctx = { 0 };
    struct cadre_group g = { .parent = &ctx, .drop = crowd_drop };
    struct waiting waiting;

    (void)state;
    assert_int_equal(cadre_go_after(&g, 0, crowd_task, &running, NULL), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go_after(&g, HOUR, crowd_task, &later, NULL), 0);
    test_until(running.running == 1);
    waiting_start(&waiting, &g);
    cadre_ctx_cancel(&ctx, 0, NULL);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(waiting.returned, 0);
        (void)cadre_sleep(NULL, CADRE_US(200));
    }
    gate_open(&running.gate);
    assert_int_equal(waiting_join(&waiting), -ECANCELED);
    assert_int_equal(running.ended, 1);
    assert_int_equal(later.started, 0);
    assert_int_equal(later.dropped, 100);
}

static void test_schedgroup_a_cancel_drops_at_once_without_a_wait(void **state)
{
    struct crowd later = { 0 };
    struct cadre_group g = { .drop = crowd_drop };

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go_after(&g, HOUR, crowd_task, &later, NULL), 0);
    cadre_group_cancel(&g, -EINTR, NULL);
    test_until(later.dropped == 100);
    assert_int_equal(cadre_wait(&g), -EINTR);
    assert_int_equal(later.started, 0);
}

static void test_schedgroup_cancelled_before_anything_was_due_runs_nothing(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct crowd crowd = { 0 };
    struct cadre_group g = { .parent = &ctx, .drop = crowd_drop };

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(cadre_go_after(&g, HOUR, crowd_task, &crowd, NULL), 0);
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(cadre_wait(&g), -ECANCELED);
    assert_int_equal(crowd.started, 0);
    assert_int_equal(crowd.dropped, 10);
}

static void test_schedgroup_past_its_deadline_before_anything_was_due_runs_nothing(void **state)
{
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(2)) };
    struct crowd crowd = { 0 };
    struct cadre_group g = { .parent = &ctx, .drop = crowd_drop };

    (void)state;
    for (int i = 0; i < 10; i++) {
        int code = cadre_go_after(&g, HOUR, crowd_task, &crowd, NULL);

        assert_true(code == 0 || code == -ETIMEDOUT); /* on a slow machine the time is already up */
    }
    assert_int_equal(cadre_wait(&g), -ETIMEDOUT);
    assert_int_equal(crowd.started, 0);
    assert_int_equal(crowd.dropped, 10);
}

static void test_schedgroup_one_delayed_start_can_be_cancelled(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .drop = crowd_drop };
    struct cadre_delayed delayed;

    (void)state;
    assert_int_equal(cadre_go_after(&g, HOUR, crowd_task, &crowd, &delayed), 0);
    assert_int_equal(cadre_delayed_cancel(&g, &delayed), 1);
    assert_int_equal(cadre_delayed_cancel(&g, &delayed), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.started, 0);
    assert_int_equal(crowd.dropped, 1);
}

/* ---- again and again ---- */

struct chain {
    struct cadre_group *group;
    atomic_int left;
};

static int schedule_next(struct cadre_ctx *ctx, void *arg)
{
    struct chain *chain = arg;

    (void)ctx;
    if (atomic_fetch_sub(&chain->left, 1) > 1)
        return cadre_go_after(chain->group, CADRE_US(20), schedule_next, chain, NULL);
    return 0;
}

static void test_schedgroup_tasks_may_schedule_while_others_wait(void **state)
{
    struct cadre_group g = { 0 };
    struct chain chain = { .group = &g, .left = repeat(200, 20000) };

    (void)state;
    assert_int_equal(cadre_go_after(&g, CADRE_US(20), schedule_next, &chain, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(chain.left, 0);
}

static void test_schedgroup_schedule_after_wait_and_wait_twice_are_fine(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int ran = 0;

    (void)state;
    for (int i = 1; i <= repeat(50, 5000); i++) {
        assert_int_equal(cadre_go_after(&g, CADRE_US(10), count_task, &ran, NULL), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(ran, i);
    }
}

/* ---- empty groups ---- */

static int make_1024_empty_groups(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    for (int i = 0; i < 1024; i++) {
        struct cadre_ctx child = { .parent = ctx };
        struct cadre_group g = { .parent = &child };

        test_check(cadre_wait(&g) == 0);
        cadre_ctx_cancel(&child, 0, NULL);
        test_check(cadre_wait(&g) == 0);
    }
    return 0;
}

static void *make_them_on_a_thread(void *arg)
{
    (void)arg;
    test_check(make_1024_empty_groups(NULL, NULL) == 0);
    return NULL;
}

static void test_schedgroup_eight_times_1024_empty_groups_never_hang(void **state)
{
    pthread_t threads[8];

    (void)state;
    for (int round = 0; round < repeat(1, 100); round++) {
        struct cadre_group g = { 0 };

        for (int i = 0; i < 8; i++) {
            assert_int_equal(cadre_go(&g, make_1024_empty_groups, NULL), 0);
            threads[i] = thread_start(make_them_on_a_thread, NULL);
        }
        assert_int_equal(cadre_wait(&g), 0);
        for (int i = 0; i < 8; i++)
            thread_join(threads[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedgroup_nothing_runs_before_it_is_due),
        cmocka_unit_test(test_schedgroup_negative_and_past_times_mean_now),
        cmocka_unit_test(test_schedgroup_tasks_run_in_the_order_of_their_times),
        cmocka_unit_test(test_schedgroup_ties_run_in_the_order_they_were_scheduled),
        cmocka_unit_test(test_schedgroup_ten_thousand_delays_take_no_threads),
        cmocka_unit_test(test_schedgroup_wait_returns_when_all_have_run),
        cmocka_unit_test(test_schedgroup_a_cancel_drops_what_is_not_due_and_joins_what_runs),
        cmocka_unit_test(test_schedgroup_a_cancel_drops_at_once_without_a_wait),
        cmocka_unit_test(test_schedgroup_cancelled_before_anything_was_due_runs_nothing),
        cmocka_unit_test(test_schedgroup_past_its_deadline_before_anything_was_due_runs_nothing),
        cmocka_unit_test(test_schedgroup_one_delayed_start_can_be_cancelled),
        cmocka_unit_test(test_schedgroup_tasks_may_schedule_while_others_wait),
        cmocka_unit_test(test_schedgroup_schedule_after_wait_and_wait_twice_are_fine),
        cmocka_unit_test(test_schedgroup_eight_times_1024_empty_groups_never_hang),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
