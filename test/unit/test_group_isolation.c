/* SPDX-License-Identifier: MIT
 * Who waits for a group runs that group's tasks and no other's, which could hold it up for as long as they like. */
#include "test.h"

#include "tasks.h"

#include <poll.h>
#include <unistd.h>

#define STRANGERS 200

/* Tasks of another group; the last one ends what the waiter waits for. */
struct strangers {
    pthread_t waiter;
    atomic_bool waiting;
    atomic_int ran, on_waiter;
    struct gate gate;
    struct cadre_group *held; /* to be released, unless NULL */
};

static int stranger(struct cadre_ctx *ctx, void *arg)
{
    struct strangers *all = arg;

    (void)ctx;
    if (atomic_load(&all->waiting) && pthread_equal(pthread_self(), all->waiter))
        atomic_fetch_add(&all->on_waiter, 1);
    if (atomic_fetch_add(&all->ran, 1) + 1 < STRANGERS)
        return 0;
    gate_open(&all->gate);
    if (all->held != NULL)
        cadre_group_release(all->held, 0);
    return 0;
}

static int pass_gate(struct cadre_ctx *ctx, void *arg) { return gate_pass(ctx, arg); }

static void let_the_pool_rest(void)
{
    /* A thread helps only while there is a token for it: give the pool's threads time to park. */
    for (int i = 0; i < 5; i++)
        (void)cadre_sleep(NULL, CADRE_MS(2));
}

/* Wait for g while strangers wait in the same thread's deque. */
static void wait_among_strangers(struct cadre_group *g, struct strangers *all)
{
    struct cadre_group others = { 0 };

    all->waiter = pthread_self();
    for (int i = 0; i < STRANGERS; i++)
        test_check(cadre_go(&others, stranger, all) == 0);
    atomic_store(&all->waiting, true);
    test_check(cadre_wait(g) == 0);
    atomic_store(&all->waiting, false);
    test_check(cadre_wait(&others) == 0);
    test_check(all->ran == STRANGERS);
}

static void waiting_for_tasks_runs_no_strangers(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct cadre_group g = { 0 };
        struct strangers all = { .held = NULL };

        let_the_pool_rest();
        for (int i = 0; i < 5; i++)
            assert_int_equal(cadre_go(&g, pass_gate, &all.gate), 0);
        wait_among_strangers(&g, &all);
        assert_int_equal(all.on_waiter, 0);
    }
}

static void waiting_for_a_hold_runs_no_strangers(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct cadre_group g = { 0 };
        struct strangers all = { .held = &g };

        let_the_pool_rest();
        assert_int_equal(cadre_group_hold(&g), 0);
        wait_among_strangers(&g, &all);
        assert_int_equal(all.on_waiter, 0);
    }
}

static struct cadre_group elsewhere;

static int start_elsewhere(struct cadre_ctx *ctx, void *gate)
{
    (void)ctx;
    return cadre_go(&elsewhere, pass_gate, gate);
}

static void waiting_for_what_a_task_started_runs_no_strangers(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct cadre_group g = { 0 };
        struct strangers all = { .held = NULL };

        assert_int_equal(cadre_go(&g, start_elsewhere, &all.gate), 0);
        assert_int_equal(cadre_wait(&g), 0);
        let_the_pool_rest();
        wait_among_strangers(&elsewhere, &all);
        assert_int_equal(all.on_waiter, 0);
    }
}

static void waiting_for_pinned_tasks_runs_no_strangers(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct cadre_group g = { .flags = CADRE_PINNED };
        struct strangers all = { .held = NULL };

        let_the_pool_rest();
        assert_int_equal(cadre_go(&g, pass_gate, &all.gate), 0);
        wait_among_strangers(&g, &all);
        assert_int_equal(all.on_waiter, 0);
    }
}

/* ---- tasks that sit in the kernel ---- */

struct blocker {
    int pipe[2];
    atomic_int begun, gave_up;
};

static int sit_in_the_kernel(struct cadre_ctx *ctx, void *arg)
{
    struct blocker *blocker = arg;
    struct pollfd fd = { .fd = blocker->pipe[0], .events = POLLIN };

    (void)ctx;
    atomic_fetch_add(&blocker->begun, 1);
    if (poll(&fd, 1, 10000) != 1)
        atomic_fetch_add(&blocker->gave_up, 1);
    return 0;
}

static void a_task_in_the_kernel_holds_up_its_own_group_only(void **state)
{
    struct cadre_group slow = { 0 }, quick = { 0 };
    struct blocker blocker = { .begun = 0 };
    atomic_int count = 0;

    (void)state;
    assert_int_equal(pipe(blocker.pipe), 0);
    assert_int_equal(cadre_go(&slow, sit_in_the_kernel, &blocker), 0);
    test_until(blocker.begun == 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_go(&quick, count_task, &count), 0);
    assert_int_equal(cadre_wait(&quick), 0);
    assert_int_equal(blocker.gave_up, 0);
    assert_int_equal(count, 100);
    assert_int_equal(write(blocker.pipe[1], "", 1), 1);
    assert_int_equal(cadre_wait(&slow), 0);
    assert_int_equal(blocker.gave_up, 0);
    close(blocker.pipe[0]);
    close(blocker.pipe[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_for_tasks_runs_no_strangers),
        cmocka_unit_test(waiting_for_a_hold_runs_no_strangers),
        cmocka_unit_test(waiting_for_what_a_task_started_runs_no_strangers),
        cmocka_unit_test(waiting_for_pinned_tasks_runs_no_strangers),
        cmocka_unit_test(a_task_in_the_kernel_holds_up_its_own_group_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
