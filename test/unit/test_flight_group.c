/* SPDX-License-Identifier: MIT
 * cadre_flight: what a call is to the group that it counts in, calls from within calls, and a crowd of callers and
 * keys. */
#include "test.h"

#include "desk.h"

/* ---- what a call is to its group ---- */

/* A group's drop callback is for what its owner started. */
static void must_not_drop(void *arg)
{
    (void)arg;
    test_check_failed("it was not its owner's", __FILE__, __LINE__);
}

static void test_the_end_of_the_group_is_the_callers_error(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct desk desk = { .group = { .drop = must_not_drop, .limit = 1 } };
        struct cadre_group callers = { 0 };

        start(&callers, set_up(&desk), 5);
        if ((i & 1) == 0)
            eventually(waiting(&desk.ctx) == 5); /* else it may not even have begun */
        cadre_group_cancel(&desk.group, -EINTR, "stop");
        assert_int_equal(cadre_wait(&callers), -ECANCELED);
        assert_int_equal(cadre_group_error_count(&callers), 5);
        assert_int_equal(cadre_wait(&desk.group), -EINTR);
    }
}

static void test_a_stopped_group_begins_nothing(void **state)
{
    struct desk desk = { .group = { .flags = CADRE_STOP_ON_ERROR } };
    int code = -EIO;

    (void)state;
    set_up(&desk);
    cadre_go(&desk.group, return_code, &code);
    assert_int_equal(cadre_wait(&desk.group), -EIO);
    assert_int_equal(asks(NULL, &desk), -ECANCELED);
    assert_int_equal(atomic_load(&desk.begun), 0);
    assert_int_equal(cadre_wait(&desk.group), -EIO);
}

static void test_a_group_that_was_waited_for_serves_again(void **state)
{
    struct desk desk = { .group = { .flags = CADRE_CANCEL_ON_ERROR } };

    (void)state;
    set_up(&desk);
    gate_open(&desk.gate);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(asks(NULL, &desk), 0);
        assert_int_equal(cadre_wait(&desk.group), 0);
    }
}

static void test_tasks_of_the_group_may_ask_at_its_limit(void **state)
{
    struct desk desk = { .group = { .limit = 3 } };

    (void)state;
    gate_open(&set_up(&desk)->gate);
    start(&desk.group, &desk, 30);
    assert_int_equal(cadre_wait(&desk.group), 0);
    assert_int_equal(atomic_load(&desk.arrived), 30);
}

static int asks_for_another(struct cadre_ctx *ctx, void *arg)
{
    struct order *order = arg;

    return ask(ctx, order->desk, "inner", &order->to);
}

static void test_a_call_may_ask_for_another_key(void **state)
{
    struct desk desk = { 0 };
    struct order order = { set_up(&desk), 0, 0 };

    (void)state;
    gate_open(&desk.gate);
    assert_int_equal(cadre_flight(NULL, &desk.flights, "outer", 5, asks_for_another, &order, sizeof order, NULL), 0);
    assert_int_equal(order.to, 42);
    assert_int_equal(cadre_wait(&desk.group), 0);
}

/* ---- all at once ---- */

struct crowd_of {
    struct desk desk;
    atomic_int next, good, left;
};

static int quick(struct cadre_ctx *ctx, void *arg)
{
    struct order *order = arg;

    if (order->from % 3 == 0)
        cadre_yield();
    order->to = order->from + 1;
    return order->from % 7 == 0 ? cadre_sleep(ctx, CADRE_US(50)) : 0;
}

static int cancels_soon(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_yield();
    cadre_ctx_cancel(arg, 0, NULL);
    return 0;
}

/* Asks for one of a few keys, sometimes in a hurry. */
static int asks_in_a_crowd(struct cadre_ctx *ctx, void *arg)
{
    struct crowd_of *crowd = arg;
    int n = atomic_fetch_add(&crowd->next, 1), key = n / 3 % 50;
    struct order order = { &crowd->desk, key, -1 };
    struct cadre_ctx own = { .parent = ctx };
    struct cadre_group hurry = { .parent = ctx };
    int code;

    if (n % 5 == 0)
        cadre_go(&hurry, cancels_soon, &own);
    code = cadre_flight(&own, &crowd->desk.flights, &key, sizeof key, quick, &order, sizeof order, NULL);
    test_check(code == 0 ? order.to == key + 1 : code == -ECANCELED && n % 5 == 0);
    atomic_fetch_add(code == 0 ? &crowd->good : &crowd->left, 1);
    return cadre_wait(&hurry);
}

static void test_a_crowd_asks_for_many_keys(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(50); i++) {
        struct crowd_of crowd = { 0 };
        struct cadre_group callers = { 0 };

        set_up(&crowd.desk);
        for (int j = 0; j < 500; j++)
            cadre_go(&callers, asks_in_a_crowd, &crowd);
        assert_int_equal(cadre_wait(&callers), 0);
        assert_int_equal(cadre_wait(&crowd.desk.group), 0);
        assert_int_equal(atomic_load(&crowd.good) + atomic_load(&crowd.left), 500);
        assert_null(crowd.desk.flights.p_first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_end_of_the_group_is_the_callers_error),
        cmocka_unit_test(test_a_stopped_group_begins_nothing),
        cmocka_unit_test(test_a_group_that_was_waited_for_serves_again),
        cmocka_unit_test(test_tasks_of_the_group_may_ask_at_its_limit),
        cmocka_unit_test(test_a_call_may_ask_for_another_key),
        cmocka_unit_test(test_a_crowd_asks_for_many_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
