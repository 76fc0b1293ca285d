/* SPDX-License-Identifier: MIT
 * Corners where two parts of the library meet. Each of these was wrong once, or nearly. */
#include "test.h"

#include "tasks.h"

/* ---- a completion on the waiter's own stack ---- */

static int release_semaphore(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return cadre_sem_release(arg, 1);
}

static void a_semaphore_on_the_stack_may_go_away_as_soon_as_it_is_acquired(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 2000; i++) {
        struct cadre_sem *sem = calloc(1, sizeof *sem); /* so that ASan sees a late touch */

        sem->size = 1;
        assert_int_equal(cadre_sem_acquire(NULL, sem, 1), 0);
        assert_int_equal(cadre_go(&g, release_semaphore, sem), 0);
        assert_int_equal(cadre_sem_acquire(NULL, sem, 1), 0);
        free(sem);
    }
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- deep contexts ---- */

static int sleep_under(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return cadre_sleep(arg, CADRE_FOREVER);
}

static void a_cancel_reaches_three_thousand_levels_down(void **state)
{
    enum { LEVELS = 3000 };
    struct cadre_ctx *chain = calloc(LEVELS, sizeof *chain);
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 1; i < LEVELS; i++)
        chain[i].parent = &chain[i - 1];
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go(&g, sleep_under, &chain[LEVELS - 1 - i * 29]), 0);
    assert_int_equal(cadre_sleep(NULL, CADRE_MS(1)), 0);
    cadre_ctx_cancel(&chain[0], 0, NULL);
    assert_int_equal(cadre_wait(&g), -ECANCELED);
    assert_int_equal(cadre_group_error_count(&g), 100);
    free(chain);
}

/* ---- a hook under a channel's lock ---- */

static void close_channel(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_chan_close(arg);
}

static int receive_under(struct cadre_ctx *ctx, void *arg)
{
    return cadre_recv(ctx, arg, NULL);
}

static void a_hook_may_close_the_channel_that_its_context_is_blocked_on(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_US(i)) };
        struct cadre_group g = { .parent = &ctx };
        struct cadre_chan chan = { 0 };
        struct cadre_hook hook = { .fn = close_channel, .arg = &chan };
        int code;

        assert_int_equal(cadre_ctx_hook(&ctx, &hook), 0);
        (void)cadre_go(&g, receive_under, &chan);
        code = cadre_wait(&g);
        assert_true(code == -ETIMEDOUT || code == -EPIPE);
        (void)cadre_ctx_unhook(&ctx, &hook);
    }
}

/* ---- pinned, with one worker or many ---- */

static int yield_pinned(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_pin();
    for (int i = 0; i < 200; i++)
        cadre_yield();
    cadre_unpin();
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static void pinned_tasks_that_yield_to_each_other_all_come_through(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int done = 0;

    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(cadre_go(&g, yield_pinned, &done), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(done, 50);
}

/* ---- outcomes ---- */

static int fails_after_cancel(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    while (cadre_ctx_error(ctx) == 0)
        (void)cadre_sleep(ctx, CADRE_MS(1));
    return -EIO;
}

static void the_code_of_a_group_cancel_came_first_and_stays(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&g, fails_after_cancel, NULL), 0);
    cadre_group_cancel(&g, -EINTR, "enough");
    assert_int_equal(cadre_wait(&g), -EINTR);
    assert_string_equal(cadre_group_error(&g).message, "enough");
}

static int waits_too(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return cadre_wait(arg) == -EIO ? 0 : -EBADMSG;
}

static void two_waiters_of_a_group_that_failed_get_the_same_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        static struct cadre_group shared;
        struct cadre_group waiters = { 0 };

        shared = (struct cadre_group){ .flags = CADRE_CANCEL_ON_ERROR };
        assert_int_equal(cadre_group_hold(&shared), 0);
        assert_int_equal(cadre_go(&waiters, waits_too, &shared), 0);
        assert_int_equal(cadre_go(&waiters, waits_too, &shared), 0);
        cadre_group_release(&shared, -EIO);
        assert_int_equal(cadre_wait(&shared), -EIO);
        assert_int_equal(cadre_wait(&waiters), 0);
    }
}

/* ---- limits ---- */

static void *start_three(void *arg)
{
    struct crowd *crowd = arg;
    struct cadre_group *g = (struct cadre_group *)(void *)crowd->gate.chan.slots;

    for (int i = 0; i < 3; i++)
        test_check(cadre_go(g, crowd_task, crowd) == 0);
    return NULL;
}

static void a_limit_that_is_lifted_lets_a_starter_go_on(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct cadre_group g = { 0 };
        struct crowd crowd = { .gate.chan.slots = &g };
        pthread_t thread;

        assert_int_equal(cadre_group_set_limit(&g, 1), 0);
        thread = thread_start(start_three, &crowd);
        test_until(atomic_load(&crowd.started) == 1);
        assert_int_equal(cadre_group_set_limit(&g, -1), 0);
        test_until(atomic_load(&crowd.started) == 3);
        gate_open(&crowd.gate);
        thread_join(thread);
        assert_int_equal(cadre_wait(&g), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_semaphore_on_the_stack_may_go_away_as_soon_as_it_is_acquired),
        cmocka_unit_test(a_cancel_reaches_three_thousand_levels_down),
        cmocka_unit_test(a_hook_may_close_the_channel_that_its_context_is_blocked_on),
        cmocka_unit_test(pinned_tasks_that_yield_to_each_other_all_come_through),
        cmocka_unit_test(the_code_of_a_group_cancel_came_first_and_stays),
        cmocka_unit_test(two_waiters_of_a_group_that_failed_get_the_same_answer),
        cmocka_unit_test(a_limit_that_is_lifted_lets_a_starter_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
