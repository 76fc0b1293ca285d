/* SPDX-License-Identifier: MIT
 * The end of a context and those who are blocked under it: at every level, in great numbers, on contexts that are gone
 * right afterwards, and while an inner group unwinds. */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "cadre.h"
#include "until.h"

/* A channel that nobody sends to: whoever receives is blocked. */
static struct cadre_chan silent = { 0 };

static int blocks(struct cadre_ctx *ctx, void *arg)
{
    int rc;

    count(arg);
    rc = cadre_recv(ctx, &silent, NULL);
    test_check(rc == cadre_ctx_error(ctx));
    return rc;
}

/* ---- several levels down ---- */

struct level {
    int depth;
    unsigned *blocked;
};

static int descends(struct cadre_ctx *ctx, void *arg)
{
    struct level *at = arg, below = { at->depth - 1, at->blocked };
    struct cadre_group g = { .parent = ctx };
    int code;

    cadre_go(&g, blocks, at->blocked);
    if (at->depth > 0)
        cadre_go(&g, descends, &below);
    code = cadre_wait(&g);
    test_check(code == -ECANCELED || code == -ETIMEDOUT);
    test_check(code == cadre_ctx_error(ctx));
    return code;
}

static void test_a_cancel_reaches_those_blocked_several_levels_down(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct cadre_ctx top = { 0 };
        struct cadre_group g = { .parent = &top };
        unsigned blocked = 0;
        struct level level = { 6, &blocked };

        cadre_go(&g, descends, &level);
        until(&blocked, 7);
        cadre_ctx_cancel(&top, -EIO, "enough");
        assert_int_equal(cadre_wait(&g), -ECANCELED);
    }
}

static void test_a_deadline_reaches_those_blocked_several_levels_down(void **state)
{
    struct cadre_ctx top = { .deadline = cadre_in(CADRE_MS(30)) };
    struct cadre_group g = { .parent = &top };
    unsigned blocked = 0;
    struct level level = { 6, &blocked };

    (void)state;
    cadre_go(&g, descends, &level);
    assert_int_equal(cadre_wait(&g), -ETIMEDOUT);
    assert_true(cadre_now() >= top.deadline);
}

static void test_a_thousand_blocked_tasks_all_wake(void **state)
{
    struct cadre_group g = { 0 };
    unsigned blocked = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(cadre_go(&g, blocks, &blocked), 0);
    until(&blocked, 1000);
    cadre_group_cancel(&g, -EINTR, "everybody up");
    assert_int_equal(cadre_wait(&g), -EINTR);
    assert_string_equal(cadre_group_error(&g).message, "everybody up");
}

static int blocks_shielded(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx shield = { .parent = ctx, .flags = CADRE_SHIELDED };
    unsigned *words = arg;

    count(&words[0]);
    until(&words[1], 1); /* cancelled meanwhile */
    test_check(cadre_ctx_error(ctx) == -ECANCELED);
    test_check(cadre_sleep(&shield, CADRE_US(100)) == 0);
    test_check(cadre_sleep(ctx, CADRE_US(100)) == -ECANCELED);
    return 0;
}

static void test_a_shielded_wait_goes_on_after_a_cancel(void **state)
{
    struct cadre_group g = { 0 };
    unsigned words[2] = { 0, 0 };

    (void)state;
    cadre_go(&g, blocks_shielded, words);
    until(&words[0], 1);
    cadre_group_cancel(&g, 0, NULL);
    set(&words[1], 1);
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- a call that need not block ---- */

static void test_under_an_ended_context_only_blocking_fails(void **state)
{
    unsigned slot = 0, out = 0, in = 7;
    struct cadre_chan c = { .size = sizeof in, .capacity = 1, .slots = &slot };
    struct cadre_sem s = { .size = 1 };
    struct cadre_mutex m = { 0 };
    struct cadre_ctx ended = { 0 };

    (void)state;
    cadre_ctx_cancel(&ended, 0, NULL);
    assert_int_equal(cadre_send(&ended, &c, &in), 0);
    assert_int_equal(cadre_send(&ended, &c, &in), -ECANCELED);
    assert_int_equal(cadre_recv(&ended, &c, &out), 0);
    assert_int_equal(out, 7);
    assert_int_equal(cadre_recv(&ended, &c, &out), -ECANCELED);
    assert_int_equal(cadre_sem_acquire(&ended, &s, 1), 0);
    assert_int_equal(cadre_sem_acquire(&ended, &s, 1), -ECANCELED);
    assert_int_equal(cadre_sem_release(&s, 1), 0);
    assert_int_equal(cadre_mutex_lock(&ended, &m), 0);
    assert_int_equal(cadre_mutex_unlock(&m), 0);
    cadre_chan_finish(&c);
}

static int cancels_itself(struct cadre_ctx *ctx, void *arg)
{
    cadre_group_cancel(arg, -EIO, "myself");
    return cadre_recv(ctx, &silent, NULL);
}

static void test_a_task_that_cancels_its_own_group_and_then_blocks_is_woken(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        struct cadre_group g = { 0 };

        cadre_go(&g, cancels_itself, &g);
        assert_int_equal(cadre_wait(&g), -EIO);
    }
}

/* ---- contexts that are gone right after use ---- */

/* Blocks under contexts from the heap that are freed at once and under one on the stack that is overwritten at once. */
static int comes_and_goes(struct cadre_ctx *ctx, void *arg)
{
    unsigned *over = arg;
    int rc;

    do {
        struct cadre_ctx *outer = calloc(1, sizeof *outer);
        struct cadre_ctx inner = { .parent = outer };

        test_check(outer != NULL);
        outer->parent = ctx;
        outer->deadline = cadre_in(CADRE_US(20));
        rc = cadre_recv(&inner, &silent, NULL);
        test_check(rc == -ETIMEDOUT || (rc == -ECANCELED && cadre_ctx_error(ctx) != 0));
        memset(&inner, 0xff, sizeof inner);
        free(outer);
    } while (get(over) == 0);
    return 0;
}

static void test_contexts_may_die_right_after_use(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        struct cadre_ctx top = { 0 };
        struct cadre_group g = { .parent = &top };
        unsigned over = 0;

        for (int j = 0; j < 16; j++)
            cadre_go(&g, comes_and_goes, &over);
        cadre_sleep(NULL, CADRE_US(100 * i));
        cadre_ctx_cancel(&top, -EIO, "over");
        set(&over, 1);
        cadre_wait(&g);
    }
}

/* One enters and leaves a shared child context while another does, and the parent ends at any moment. */
static int shares(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx *shared = arg;

    (void)ctx;
    while (cadre_sleep(shared, CADRE_US(10)) == 0)
        ;
    test_check(cadre_ctx_error(shared) == -ECANCELED);
    test_check(cadre_recv(shared, &silent, NULL) == -ECANCELED);
    return 0;
}

static void test_the_link_to_the_parent_holds_while_others_come_and_go(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct cadre_ctx top = { 0 }, middle = { .parent = &top }, shared = { .parent = &middle };
        struct cadre_group g = { 0 };

        for (int j = 0; j < 8; j++)
            cadre_go(&g, shares, &shared);
        cadre_sleep(NULL, CADRE_US(50 * i));
        cadre_ctx_cancel(&top, 0, NULL);
        assert_int_equal(cadre_wait(&g), 0);
    }
}

/* ---- unwinding ---- */

static int fails(struct cadre_ctx *ctx, void *arg)
{
    until(arg, 1);
    return cadre_fail(ctx, -EIO, "inner");
}

/* Takes longer to clean up after the inner cancel than the outer deadline allows. */
static int unwinds_slowly(struct cadre_ctx *ctx, void *arg)
{
    cadre_time outer = cadre_ctx_deadline(ctx);
    int rc;

    count(arg);
    rc = cadre_recv(ctx, &silent, NULL);
    test_check(rc == -ECANCELED);
    until_after(outer);
    test_check(cadre_ctx_error(ctx) == -ECANCELED); /* what came first decides for good */
    return rc;
}

static int waits_for_inner(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx, .flags = CADRE_CANCEL_ON_ERROR };
    unsigned blocked = 0;

    (void)arg;
    cadre_go(&inner, unwinds_slowly, &blocked);
    cadre_go(&inner, fails, &blocked);
    test_check(cadre_wait(&inner) == -EIO);
    return cadre_sleep(ctx, 0);
}

static void test_the_outer_deadline_fires_while_the_inner_group_unwinds(void **state)
{
    struct cadre_ctx top = { .deadline = cadre_in(CADRE_SEC(1)) };
    struct cadre_group outer = { .parent = &top };

    (void)state;
    cadre_go(&outer, waits_for_inner, NULL);
    assert_int_equal(cadre_wait(&outer), -ETIMEDOUT);
    assert_int_equal(cadre_group_error(&outer).origin, CADRE_FROM_DEADLINE);
}

/* ---- threads ---- */

static void *blocks_on_thread(void *arg)
{
    struct cadre_ctx *ctx = arg;

    test_check(cadre_recv(ctx, &silent, NULL) == -ECANCELED);
    test_check(cadre_sleep(ctx, CADRE_SEC(3600)) == -ECANCELED);
    return NULL;
}

static void test_a_cancel_wakes_blocked_threads(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct cadre_ctx top = { 0 }, child = { .parent = &top };
        pthread_t threads[3];

        for (int j = 0; j < 3; j++)
            assert_int_equal(pthread_create(&threads[j], NULL, blocks_on_thread, j == 0 ? &top : &child), 0);
        cadre_sleep(NULL, CADRE_US(20 * i));
        cadre_ctx_cancel(&top, 0, NULL);
        for (int j = 0; j < 3; j++)
            pthread_join(threads[j], NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cancel_reaches_those_blocked_several_levels_down),
        cmocka_unit_test(test_a_deadline_reaches_those_blocked_several_levels_down),
        cmocka_unit_test(test_a_thousand_blocked_tasks_all_wake),
        cmocka_unit_test(test_a_shielded_wait_goes_on_after_a_cancel),
        cmocka_unit_test(test_under_an_ended_context_only_blocking_fails),
        cmocka_unit_test(test_a_task_that_cancels_its_own_group_and_then_blocks_is_woken),
        cmocka_unit_test(test_contexts_may_die_right_after_use),
        cmocka_unit_test(test_the_link_to_the_parent_holds_while_others_come_and_go),
        cmocka_unit_test(test_the_outer_deadline_fires_while_the_inner_group_unwinds),
        cmocka_unit_test(test_a_cancel_wakes_blocked_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
