/* SPDX-License-Identifier: MIT
 * Calls that wait for their turn, on one thread set aside. One worker, so that a task that is seen not to run has got as far
 * as it can. */
#define _GNU_SOURCE 1
#include "test.h"

#include "tasks.h"

#define MANY 200

struct turn {
    struct turns *all;
    struct cadre_ctx ctx;
    int number, result;
};

struct turns {
    struct gate gate;
    atomic_int called, begun, ran;
    int order[MANY]; /* numbers, as they ran */
    struct turn turn[MANY];
    struct cadre_group calls;
};

static int take_turn(struct cadre_ctx *ctx, void *arg)
{
    struct turn *turn = arg;
    struct turns *all = turn->all;

    (void)ctx;
    atomic_fetch_add(&all->begun, 1);
    test_check(gate_pass(NULL, &all->gate) == 0);
    all->order[atomic_fetch_add(&all->ran, 1)] = turn->number;
    return 0;
}

static int call_in_turn(struct cadre_ctx *ctx, void *arg)
{
    struct turn *turn = arg;

    turn->ctx.parent = ctx;
    atomic_fetch_add(&turn->all->called, 1);
    turn->result = cadre_block(&turn->ctx, take_turn, turn);
    return 0;
}

/* Let n tasks call, one after the other; the first call runs, up to the gate, and the others wait for their turn. The
 * caller goes to the worker, if it is on a thread that only helps. */
static int line_up(struct turns *all, int n)
{
    cadre_pin();
    cadre_unpin();
    for (int i = 0; i < n; i++) {
        all->turn[i] = (struct turn){ .all = all, .number = i };
        test_check(cadre_go(&all->calls, call_in_turn, &all->turn[i]) == 0);
        while (atomic_load(&all->called) <= i)
            cadre_yield();
    }
    while (atomic_load(&all->begun) == 0)
        test_check(cadre_sleep(NULL, CADRE_US(50)) == 0);
    return 0;
}

static void in_a_task(cadre_fn *fn, void *arg)
{
    struct cadre_group g = { 0 };

    assert_int_equal(cadre_go(&g, fn, arg), 0);
    assert_int_equal(cadre_wait(&g), 0);
}

static int run_in_turn(struct cadre_ctx *ctx, void *arg)
{
    struct turns *all = arg;

    (void)ctx;
    test_check(line_up(all, MANY) == 0);
    test_check(atomic_load(&all->begun) == 1);
    gate_open(&all->gate);
    test_check(cadre_wait(&all->calls) == 0);
    for (int i = 0; i < MANY; i++)
        test_check(all->order[i] == i && all->turn[i].result == 0);
    return 0;
}

static void who_came_first_is_called_first(void **state)
{
    static struct turns all;

    (void)state;
    in_a_task(run_in_turn, &all);
}

static int leave_the_line(struct cadre_ctx *ctx, void *arg)
{
    struct turns *all = arg;

    (void)ctx;
    test_check(line_up(all, MANY) == 0);
    for (int i = 1; i < MANY; i += 2)
        cadre_ctx_cancel(&all->turn[i].ctx, 0, NULL);
    gate_open(&all->gate);
    test_check(cadre_wait(&all->calls) == 0);
    test_check(all->ran == MANY / 2);
    for (int i = 0; i < MANY / 2; i++)
        test_check(all->order[i] == 2 * i);
    for (int i = 0; i < MANY; i++)
        test_check(all->turn[i].result == (i % 2 == 0 ? 0 : -ECANCELED));
    return 0;
}

static void a_call_whose_caller_left_before_its_turn_never_runs(void **state)
{
    static struct turns all;

    (void)state;
    in_a_task(leave_the_line, &all);
}

static int miss_the_deadline(struct cadre_ctx *ctx, void *arg)
{
    struct turns *all = arg;
    struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_MS(5)) };

    test_check(line_up(all, 1) == 0);
    test_check(cadre_block(&soon, take_turn, NULL) == -ETIMEDOUT);
    gate_open(&all->gate);
    test_check(cadre_wait(&all->calls) == 0);
    test_check(all->begun == 1);
    return 0;
}

static void a_call_whose_deadline_passed_before_its_turn_never_runs(void **state)
{
    static struct turns all;

    (void)state;
    in_a_task(miss_the_deadline, &all);
}

static int five(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 5;
}

static int block_within(struct cadre_ctx *ctx, void *arg) { return cadre_block(ctx, five, arg); }

static int block_within_block(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx bound = { .parent = ctx, .deadline = cadre_in(CADRE_SEC(20)) };

    test_check(cadre_block(&bound, block_within, arg) == 5); /* -ETIMEDOUT: it waited for its own thread */
    return 0;
}

static void a_call_from_within_a_call_needs_no_other_thread(void **state)
{
    (void)state;
    in_a_task(block_within_block, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_came_first_is_called_first),
        cmocka_unit_test(a_call_whose_caller_left_before_its_turn_never_runs),
        cmocka_unit_test(a_call_whose_deadline_passed_before_its_turn_never_runs),
        cmocka_unit_test(a_call_from_within_a_call_needs_no_other_thread),
    };

    setenv("CADRE_WORKERS", "1", 1);
    setenv("CADRE_BLOCK_THREADS", "1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
