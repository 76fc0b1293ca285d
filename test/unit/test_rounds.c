/* SPDX-License-Identifier: MIT
 * Rounds: a CADRE_CANCEL_ON_ERROR group that is waited for again and again, by several, while others start tasks in it; and parents that end
 * meanwhile. */
#include "test.h"

#include <unistd.h>

#include "tasks.h"

/* ---- starts right after a wait ---- */

static void a_delayed_start_in_the_next_round_runs(void **state)
{
    static struct cadre_group g;
    atomic_int ran = 0;

    (void)state;
    g = (struct cadre_group){ .flags = CADRE_CANCEL_ON_ERROR };
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(cadre_go_after(&g, i % 3000, count_task, &ran, NULL), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(ran, i + 1);
    }
}

/* A second thread waits for every round, too. */
struct second {
    struct cadre_group g;
    atomic_int round, waiting, through, ran, dropped;
};

static void *waits_for_each_round(void *arg)
{
    struct second *s = arg;

    for (int round = 1;; round++) {
        while (atomic_load(&s->round) < round) {
            if (atomic_load(&s->round) < 0)
                return NULL;
            cadre_yield();
        }
        atomic_store(&s->waiting, round);
        (void)cadre_wait(&s->g);
        atomic_store(&s->through, round);
    }
}

static int counts_ran(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    atomic_fetch_add(&((struct second *)arg)->ran, 1);
    return 0;
}

static void one_round(struct second *s, int round)
{
    assert_int_equal(cadre_group_hold(&s->g), 0);
    assert_int_equal(cadre_go_after(&s->g, CADRE_US(50), counts_ran, s, NULL), 0);
    atomic_store(&s->round, round);
    while (atomic_load(&s->waiting) != round)
        cadre_yield();
    for (volatile int i = 0; i < round * 37 % 6000; i++)
        ;
    cadre_group_release(&s->g, 0);
    assert_int_equal(cadre_wait(&s->g), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_go(&s->g, counts_ran, s), 0);
    assert_int_equal(cadre_go_after(&s->g, CADRE_US(50), counts_ran, s, NULL), 0);
    assert_int_equal(cadre_wait(&s->g), 0);
    assert_int_equal(s->ran, round * 7);
    while (atomic_load(&s->through) != round)
        cadre_yield();
}

static void what_starts_after_a_wait_is_not_dropped_by_another_waiter(void **state)
{
    (void)state;
    for (int limited = 0; limited < 2; limited++) {
        struct second s = { .g = { .flags = CADRE_CANCEL_ON_ERROR } };
        pthread_t thread;

        s.g.limit = limited;
        s.g.queue = limited != 0 ? CADRE_UNBOUNDED : 0;
        thread = thread_start(waits_for_each_round, &s);
        for (int round = 1; round <= 500; round++)
            one_round(&s, round);
        atomic_store(&s.round, -1);
        thread_join(thread);
    }
}

/* ---- parents ---- */

static void *waits(void *arg)
{
    return (void *)(intptr_t)cadre_wait(arg);
}

static int join(pthread_t thread)
{
    void *code;

    test_check(pthread_join(thread, &code) == 0);
    return (int)(intptr_t)code;
}

static int sleeps_for_ever(struct cadre_ctx *ctx, void *arg) { return sleep_for_ever(ctx, arg); }

static void a_parents_end_reaches_a_group_that_was_waited_for_before_its_first_task(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct cadre_ctx parent = { 0 };
        struct cadre_group g = { .parent = &parent, .limit = 2 };
        atomic_int started = 0;
        pthread_t thread;

        assert_int_equal(cadre_group_hold(&g), 0);
        thread = thread_start(waits, &g);
        usleep(2000); /* mostly enough for it to sleep; either way it must go well */
        assert_int_equal(cadre_go(&g, sleeps_for_ever, &started), 0);
        test_until(atomic_load(&started) == 1);
        cadre_ctx_cancel(&parent, 0, NULL);
        cadre_group_release(&g, 0);
        assert_int_equal(join(thread), -ECANCELED);
    }
}

static void a_parents_end_reaches_who_began_to_wait_between_two_rounds(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct cadre_ctx parent = { 0 };
        struct cadre_group g = { .parent = &parent, .flags = CADRE_CANCEL_ON_ERROR, .limit = 1, .queue = CADRE_UNBOUNDED };
        atomic_int ran = 0;
        pthread_t thread;

        assert_int_equal(cadre_go(&g, count_task, &ran), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(cadre_group_set_limit(&g, 0), 0);
        assert_int_equal(cadre_group_hold(&g), 0);
        thread = thread_start(waits, &g);
        usleep(2000);
        assert_int_equal(cadre_go(&g, count_task, &ran), 0); /* queued: nothing may start */
        cadre_ctx_cancel(&parent, 0, NULL);
        cadre_group_release(&g, 0);
        assert_int_equal(join(thread), -ECANCELED);
        assert_int_equal(ran, 1);
    }
}

static void the_end_of_an_outer_round_is_for_good_for_what_is_inside(void **state)
{
    (void)state;
    for (int flags = 0; flags < 2; flags++) {
        struct cadre_group outer = { .flags = CADRE_CANCEL_ON_ERROR };
        struct cadre_group inner = { .parent = cadre_group_ctx(&outer), .flags = flags != 0 ? CADRE_CANCEL_ON_ERROR : 0 };
        atomic_int started = 0;

        assert_int_equal(cadre_go(&inner, sleeps_for_ever, &started), 0);
        test_until(atomic_load(&started) == 1);
        assert_int_equal(cadre_go(&outer, count_task, &started), 0);
        assert_int_equal(cadre_wait(&outer), 0);
        (void)cadre_wait(&inner);
        assert_int_equal(cadre_try_go(&inner, count_task, &started), -ECANCELED);
        assert_int_equal(cadre_go(&outer, count_task, &started), 0); /* outer is live again */
        assert_int_equal(cadre_try_go(&inner, count_task, &started), -ECANCELED);
        assert_int_equal(cadre_wait(&outer), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delayed_start_in_the_next_round_runs),
        cmocka_unit_test(what_starts_after_a_wait_is_not_dropped_by_another_waiter),
        cmocka_unit_test(a_parents_end_reaches_a_group_that_was_waited_for_before_its_first_task),
        cmocka_unit_test(a_parents_end_reaches_who_began_to_wait_between_two_rounds),
        cmocka_unit_test(the_end_of_an_outer_round_is_for_good_for_what_is_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
