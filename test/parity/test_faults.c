/* SPDX-License-Identifier: MIT
 * Faults that systems of this kind have had, each with the load that showed it. Those that other tests show as well or better
 * are named in rows.txt. */
#include "jobs.h"

/* ---- 1: cancel with 100 tasks behind one that is busy ---- */

static void test_fault_1_cancel_behind_a_busy_task_accounts_for_all(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(200, 20000); round++) {
        struct crowd busy = { .heedless = true }, queued = { 0 };
        struct cadre_group g = { .limit = 1, .queue = CADRE_UNBOUNDED, .drop = crowd_drop };

        gate_open(&queued.gate);
        assert_int_equal(cadre_go(&g, crowd_task, &busy), 0);
        for (int i = 0; i < 100; i++)
            assert_int_equal(cadre_go(&g, crowd_task, &queued), 0);
        if (round % 2 == 0)
            gate_open(&busy.gate);
        cadre_group_cancel(&g, 0, NULL);
        gate_open(&busy.gate);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(queued.ended + queued.dropped + busy.ended + busy.dropped, 101);
    }
}

/* ---- 2: tasks that wait for tasks ---- */

static int wait_for_ten(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group g = { .parent = ctx };

    for (int i = 0; i < 10; i++)
        test_check(cadre_go(&g, crowd_passer, arg) == 0);
    return cadre_wait(&g);
}

static void test_fault_2_tasks_that_wait_for_subtasks_complete(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(20, 2000); round++) {
        struct cadre_group g = { 0 };
        struct crowd crowd = { 0 };

        for (int i = 0; i < 100; i++)
            assert_int_equal(cadre_go(&g, wait_for_ten, &crowd), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(crowd.ended, 1000);
    }
}

/* ---- 3: a task that cancels its own group before it first blocks ---- */

static int cancel_own_group_and_block(struct cadre_ctx *ctx, void *arg)
{
    cadre_group_cancel(arg, -EINTR, "by its own task");
    return cadre_sleep(ctx, CADRE_FOREVER);
}

static void test_fault_3_who_cancels_its_own_group_and_blocks_is_woken(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(500, 50000); round++) {
        struct cadre_group g = { 0 };

        assert_int_equal(cadre_go(&g, cancel_own_group_and_block, &g), 0);
        assert_int_equal(cadre_wait(&g), -EINTR);
    }
}

/* ---- 4: the outer deadline passes while the inner group unwinds its own cancel ---- */

struct unwinding {
    atomic_int begun;
    struct cadre_ctx *outer;
    int told, inner; /* what the one that unwinds was told, and what the inner group came to */
};

static int unwind_until_the_deadline(struct cadre_ctx *ctx, void *arg)
{
    struct unwinding *unwinding = arg;

    atomic_fetch_add(&unwinding->begun, 1);
    unwinding->told = cadre_sleep(ctx, CADRE_FOREVER);
    test_until(cadre_ctx_error(unwinding->outer) != 0);
    return unwinding->told;
}

static int fail_when_begun(struct cadre_ctx *ctx, void *arg)
{
    struct unwinding *unwinding = arg;

    test_until(unwinding->begun == 1 || cadre_ctx_error(ctx) != 0); /* on a slow machine the other one may never start */
    return -EIO;
}

static int wait_for_inner_group(struct cadre_ctx *ctx, void *arg)
{
    struct unwinding *unwinding = arg;
    struct cadre_group inner = { .parent = ctx, .flags = CADRE_CANCEL_ON_ERROR };

    unwinding->outer = ctx;
    (void)cadre_go(&inner, unwind_until_the_deadline, unwinding);
    (void)cadre_go(&inner, fail_when_begun, unwinding);
    unwinding->inner = cadre_wait(&inner);
    return cadre_ctx_error(ctx);
}

/* Came out when the inner error came before the deadline, as it does with time enough. */
static bool outer_deadline(cadre_time step)
{
    struct unwinding unwinding = { .begun = 0 };
    struct cadre_ctx top = { .deadline = cadre_in(step) };
    struct cadre_group outer = { .parent = &top };

    (void)cadre_go(&outer, wait_for_inner_group, &unwinding);
    assert_int_equal(cadre_wait(&outer), -ETIMEDOUT);
    assert_int_equal(cadre_group_error(&outer).origin, CADRE_FROM_DEADLINE);
    return unwinding.told == -ECANCELED && unwinding.inner == -EIO;
}

static void test_fault_4_the_outer_deadline_while_the_inner_group_unwinds_is_a_timeout(void **state)
{
    (void)state;
    with_growing_steps(outer_deadline);
}

/* ---- 5: a race that ends exactly while its caller goes to sleep ---- */

struct canceller {
    struct cadre_ctx ctx;
    atomic_int *begun;
    int spins;
};

static int cancel_after_spins(struct cadre_ctx *ctx, void *arg)
{
    struct canceller *canceller = arg;

    (void)ctx;
    test_until(*canceller->begun > 0);
    for (int i = 0; i < canceller->spins; i++)
        atomic_signal_fence(memory_order_seq_cst);
    cadre_ctx_cancel(&canceller->ctx, 0, NULL);
    return 0;
}

static void test_fault_5_a_race_cancelled_while_parking_ends(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(500, 50000); round++) {
        struct gate shut = { 0 };
        struct part parts[3];
        struct cadre_job jobs[3];
        atomic_int begun = 0, ended = 0;
        struct canceller canceller = { .begun = &begun, .spins = round * 7 % 1000 };
        struct cadre_group g = { 0 };

        for (int i = 0; i < 3; i++)
            parts[i] = (struct part){ .passes = &shut, .begun = &begun, .ended = &ended };
        parts_to_jobs(parts, jobs, 3);
        assert_int_equal(cadre_go(&g, cancel_after_spins, &canceller), 0);
        assert_int_equal(cadre_race(&canceller.ctx, jobs, 3, NULL, NULL), -ECANCELED);
        assert_int_equal(ended, begun);
        assert_int_equal(cadre_wait(&g), 0);
    }
}

static void test_fault_5_a_race_of_which_all_fail_while_it_parks_ends(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(2000, 200000); round++) {
        size_t n = 1 + (size_t)round % 4;
        struct part parts[4] = { 0 };
        struct cadre_job jobs[4];

        for (size_t i = 0; i < n; i++)
            parts[i].code = -EIO;
        parts_to_jobs(parts, jobs, n);
        assert_int_equal(cadre_race(NULL, jobs, n, NULL, NULL), -EIO);
    }
}

/* ---- 10: who waits for one group is not held up by another ---- */

struct two_groups {
    struct gate a_waits, b_waits;
    pthread_t waiter;
    atomic_int b_begun, b_on_waiter;
};

static int task_of_a(struct cadre_ctx *ctx, void *arg)
{
    return gate_pass(ctx, &((struct two_groups *)arg)->a_waits);
}

/* Ends only after the wait for A: on the waiter's own stack it would never end. */
static int task_of_b(struct cadre_ctx *ctx, void *arg)
{
    struct two_groups *two = arg;

    if (pthread_equal(pthread_self(), two->waiter))
        atomic_fetch_add(&two->b_on_waiter, 1);
    if (atomic_fetch_add(&two->b_begun, 1) == 9)
        gate_open(&two->a_waits);
    return gate_pass(ctx, &two->b_waits);
}

static void test_fault_10_waiting_for_one_group_does_not_wait_for_another(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(50, 5000); round++) {
        struct two_groups two = { .waiter = pthread_self() };
        struct cadre_group a = { 0 }, b = { 0 };

        assert_int_equal(cadre_go(&a, task_of_a, &two), 0);
        for (int i = 0; i < 10; i++)
            assert_int_equal(cadre_go(&b, task_of_b, &two), 0);
        assert_int_equal(cadre_wait(&a), 0);
        assert_int_equal(two.b_on_waiter, 0);
        gate_open(&two.b_waits);
        assert_int_equal(cadre_wait(&b), 0);
    }
}

/* ---- 12: a parent's cancel and a task's own error at the same time ---- */

struct own_error {
    atomic_int begun;
    struct cadre_ctx *parent;
};

static int fail_at_the_same_time(struct cadre_ctx *ctx, void *arg)
{
    struct own_error *own = arg;

    atomic_store(&own->begun, 1);
    cadre_yield();
    return cadre_fail(ctx, -EIO, "its own");
}

static void *cancel_at_the_same_time(void *arg)
{
    struct own_error *own = arg;

    while (!own->begun)
        cadre_yield();
    cadre_ctx_cancel(own->parent, -EINTR, "closing time");
    return NULL;
}

static void test_fault_12_a_tasks_own_error_beats_a_parents_cancel_at_the_same_time(void **state)
{
    (void)state;
    for (int round = 0; round < repeat(300, 20000); round++) {
        struct cadre_ctx parent = { 0 };
        struct cadre_group g = { .parent = &parent, .flags = CADRE_CANCEL_ON_ERROR };
        struct own_error own = { .parent = &parent };
        pthread_t thread = thread_start(cancel_at_the_same_time, &own);
        struct cadre_error cause;

        assert_int_equal(cadre_go(&g, fail_at_the_same_time, &own), 0);
        assert_int_equal(cadre_wait(&g), -EIO);
        thread_join(thread);
        assert_string_equal(cadre_group_error(&g).message, "its own");
        cause = cadre_ctx_cause(cadre_group_ctx(&g));
        assert_true(cause.code == -EIO || cause.code == -EINTR); /* who was first */
    }
}

static void test_fault_12_the_cancel_stays_the_cause_of_the_context(void **state)
{
    struct cadre_ctx parent = { 0 };
    struct crowd crowd = { .heedless = true, .code = -EIO };
    struct cadre_group g = { .parent = &parent, .flags = CADRE_CANCEL_ON_ERROR };

    (void)state;
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    test_until(crowd.running == 1);
    cadre_ctx_cancel(&parent, -EINTR, "closing time");
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_ctx_cause(cadre_group_ctx(&g)).code, -EINTR);
    assert_string_equal(cadre_ctx_cause(cadre_group_ctx(&g)).message, "closing time");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_1_cancel_behind_a_busy_task_accounts_for_all),
        cmocka_unit_test(test_fault_2_tasks_that_wait_for_subtasks_complete),
        cmocka_unit_test(test_fault_3_who_cancels_its_own_group_and_blocks_is_woken),
        cmocka_unit_test(test_fault_4_the_outer_deadline_while_the_inner_group_unwinds_is_a_timeout),
        cmocka_unit_test(test_fault_5_a_race_cancelled_while_parking_ends),
        cmocka_unit_test(test_fault_5_a_race_of_which_all_fail_while_it_parks_ends),
        cmocka_unit_test(test_fault_10_waiting_for_one_group_does_not_wait_for_another),
        cmocka_unit_test(test_fault_12_a_tasks_own_error_beats_a_parents_cancel_at_the_same_time),
        cmocka_unit_test(test_fault_12_the_cancel_stays_the_cause_of_the_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
