/* SPDX-License-Identifier: MIT
 * cadre_flight: who shares a call and who gets one of its own, failures, and what becomes of callers that leave. */
#include "test.h"

#include "desk.h"

/* A thread that does. */
static void *asks_in_thread(void *arg)
{
    (void)asks(NULL, arg);
    return NULL;
}

/* Asks under a context of its own. */
struct customer {
    struct desk *desk;
    struct cadre_ctx *ctx;
    int to;
};

static int asks_under_own(struct cadre_ctx *ctx, void *arg)
{
    struct customer *customer = arg;

    (void)ctx;
    return ask(customer->ctx, customer->desk, customer->desk->key, &customer->to);
}

/* ---- sharing ---- */

static void test_callers_with_the_same_key_share_one_call(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(100); i++) {
        struct desk desk = { 0 };
        struct cadre_group callers = { 0 };

        start(&callers, set_up(&desk), 10);
        eventually(waiting(&desk.ctx) == 10);
        gate_open(&desk.gate);
        assert_int_equal(cadre_wait(&callers), 0);
        assert_int_equal(atomic_load(&desk.begun), 1);
        assert_int_equal(atomic_load(&desk.shared), 10);
        assert_int_equal(cadre_wait(&desk.group), 0);
    }
}

static void test_plain_threads_share_with_tasks(void **state)
{
    struct desk desk = { 0 };
    struct cadre_group callers = { 0 };
    pthread_t threads[4];

    (void)state;
    set_up(&desk);
    for (int i = 0; i < 4; i++)
        threads[i] = thread_start(asks_in_thread, &desk);
    start(&callers, &desk, 4);
    eventually(waiting(&desk.ctx) == 8);
    gate_open(&desk.gate);
    for (int i = 0; i < 4; i++)
        thread_join(threads[i]);
    assert_int_equal(cadre_wait(&callers), 0);
    assert_int_equal(atomic_load(&desk.begun), 1);
    assert_int_equal(atomic_load(&desk.shared), 8);
    assert_int_equal(cadre_wait(&desk.group), 0);
}

static void test_one_caller_shares_with_nobody(void **state)
{
    struct desk desk = { 0 };
    int to;

    (void)state;
    set_up(&desk);
    gate_open(&desk.gate);
    for (int i = 1; i <= 100; i++) {
        assert_int_equal(ask(NULL, &desk, "key", &to), 0);
        assert_int_equal(to, 42);
        assert_int_equal(atomic_load(&desk.begun), i); /* a result is not kept */
    }
    assert_int_equal(atomic_load(&desk.shared), 0);
    assert_int_equal(cadre_wait(&desk.group), 0);
}

static int ask_by_bytes(struct desk *desk, const char *key, size_t key_size)
{
    struct order order = { desk, 41, 0 };

    return cadre_flight(&desk->ctx, &desk->flights, key, key_size, serve, &order, sizeof order, NULL);
}

struct key {
    struct desk *desk;
    const char *bytes;
    size_t size;
};

static int asks_by_bytes(struct cadre_ctx *ctx, void *arg)
{
    const struct key *key = arg;

    (void)ctx;
    return ask_by_bytes(key->desk, key->bytes, key->size);
}

static void test_keys_differ_in_any_byte_and_in_size(void **state)
{
    struct desk desk = { 0 };
    const struct key keys[] = {
        { &desk, "", 0 }, { &desk, NULL, 0 }, { &desk, "a", 1 }, { &desk, "a\0", 2 }, { &desk, "a\1", 2 },
    };
    struct cadre_group callers = { 0 };

    (void)state;
    set_up(&desk);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        cadre_go(&callers, asks_by_bytes, (void *)(uintptr_t)&keys[i]);
    eventually(waiting(&desk.ctx) == 5);
    test_until(atomic_load(&desk.begun) == 4); /* the empty ones are one */
    gate_open(&desk.gate);
    assert_int_equal(cadre_wait(&callers), 0);
    assert_int_equal(atomic_load(&desk.begun), 4);
    assert_int_equal(cadre_wait(&desk.group), 0);
}

static int nothing(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    test_check((uintptr_t)arg % _Alignof(max_align_t) == 0);
    return 0;
}

static void test_a_call_may_carry_nothing_or_much(void **state)
{
    struct desk desk = { 0 };
    char *much = calloc(1, 1000001);

    (void)state;
    set_up(&desk);
    assert_int_equal(cadre_flight(NULL, &desk.flights, "k", 1, nothing, NULL, 0, NULL), 0);
    assert_int_equal(cadre_flight(NULL, &desk.flights, "k", 1, nothing, much, 1000001, NULL), 0);
    assert_int_equal(cadre_wait(&desk.group), 0);
    free(much);
}

/* ---- failures ---- */

static void check_failure(struct desk *desk, int code, const char *message)
{
    struct cadre_error errors[10];
    struct cadre_group callers = { .errors = errors, .max_errors = 10 };

    start(&callers, set_up(desk), 10);
    eventually(waiting(&desk->ctx) == 10);
    gate_open(&desk->gate);
    assert_int_equal(cadre_wait(&callers), code);
    assert_int_equal(cadre_group_error_count(&callers), 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(errors[i].code, code);
        assert_string_equal(errors[i].message, message);
        assert_non_null(strstr(errors[i].file, "desk.h")); /* where fn failed */
    }
    assert_int_equal(atomic_load(&desk->begun), 1);
    assert_int_equal(cadre_wait(&desk->group), 0); /* it is the callers' error, not the group's */
}

static void test_a_failure_and_its_message_go_to_every_caller(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(100); i++)
        check_failure(&(struct desk){ .code = -EIO }, -EIO, "no orders today");
}

static void test_a_panic_goes_to_every_caller(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(100); i++) {
        struct desk desk = { .panics = true, .group.flags = CADRE_CANCEL_ON_ERROR };

        check_failure(&desk, -ENOTRECOVERABLE, "out of order");
    }
}

/* ---- callers that leave ---- */

static void test_a_caller_that_leaves_does_not_end_the_call(void **state)
{
    struct desk desk = { 0 };
    struct cadre_group callers = { 0 };
    struct cadre_ctx soon;
    int to;

    (void)state;
    start(&callers, set_up(&desk), 3);
    eventually(waiting(&desk.ctx) == 3);
    soon = (struct cadre_ctx){ .deadline = cadre_in(CADRE_MS(1)) };
    assert_int_equal(ask(&soon, &desk, "key", &to), -ETIMEDOUT);
    assert_int_equal(atomic_load(&desk.begun), 1);
    gate_open(&desk.gate);
    assert_int_equal(cadre_wait(&callers), 0);
    assert_int_equal(atomic_load(&desk.shared), 3);
    assert_int_equal(cadre_wait(&desk.group), 0);
}

static void test_the_first_caller_may_leave_too(void **state)
{
    struct desk desk = { 0 };
    struct cadre_ctx own = { 0 };
    struct customer second = { &desk, &own, 0 };
    struct cadre_group callers = { 0 }, first = { 0 };

    (void)state;
    start(&first, set_up(&desk), 1);
    eventually(waiting(&desk.ctx) == 1);
    cadre_go(&callers, asks_under_own, &second);
    eventually(waiting(&own) == 1);
    cadre_ctx_cancel(&desk.ctx, 0, NULL);
    assert_int_equal(cadre_wait(&first), -ECANCELED); /* at once, though the gate is closed */
    gate_open(&desk.gate);
    assert_int_equal(cadre_wait(&callers), 0);
    assert_int_equal(second.to, 42);
    assert_int_equal(atomic_load(&desk.begun), 1);
    assert_int_equal(atomic_load(&desk.shared), 0); /* there was one left to have it */
    assert_int_equal(cadre_wait(&desk.group), 0);
}

static void test_when_all_have_left_the_call_is_cancelled(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct desk desk = { 0 };
        struct cadre_group callers = { 0 };

        start(&callers, set_up(&desk), 5);
        eventually(waiting(&desk.ctx) == 5);
        cadre_ctx_cancel(&desk.ctx, 0, NULL);
        assert_int_equal(cadre_wait(&callers), -ECANCELED);
        assert_int_equal(cadre_wait(&desk.group), 0); /* returns: the gate is never opened */
        assert_int_equal(atomic_load(&desk.ended), atomic_load(&desk.begun));
    }
}

static void test_nobody_joins_a_call_that_all_have_left(void **state)
{
    struct desk desk = { .heedless = true }, again = { 0 };
    struct order order = { &again, 1, 0 };
    struct cadre_group callers = { 0 };

    (void)state;
    start(&callers, set_up(&desk), 2);
    test_until(atomic_load(&desk.begun) == 1 && waiting(&desk.ctx) == 2);
    cadre_ctx_cancel(&desk.ctx, 0, NULL);
    assert_int_equal(cadre_wait(&callers), -ECANCELED);
    gate_open(&again.gate);
    assert_int_equal(cadre_flight(NULL, &desk.flights, "key", 3, serve, &order, sizeof order, NULL), 0);
    assert_int_equal(atomic_load(&again.begun), 1);
    assert_int_equal(atomic_load(&desk.ended), 0);
    gate_open(&desk.gate);
    assert_int_equal(cadre_wait(&desk.group), 0);
    assert_int_equal(atomic_load(&desk.ended), 1);
}

static void test_a_caller_whose_context_has_ended_begins_nothing(void **state)
{
    struct desk desk = { 0 };

    (void)state;
    cadre_ctx_cancel(&desk.ctx, 0, NULL);
    assert_int_equal(asks(NULL, set_up(&desk)), -ECANCELED);
    assert_int_equal(cadre_wait(&desk.group), 0);
    assert_int_equal(atomic_load(&desk.begun), 0);
}

/* ---- wrong use ---- */

static void test_wrong_arguments_are_told(void **state)
{
    struct desk desk = { 0 };
    struct cadre_flights *f = &set_up(&desk)->flights, none = { 0 };
    struct cadre_group callers = { 0 };
    char arg[2 * sizeof(struct order)];

    (void)state;
    assert_int_equal(cadre_flight(NULL, NULL, "k", 1, nothing, NULL, 0, NULL), -EINVAL);
    assert_int_equal(cadre_flight(NULL, &none, "k", 1, nothing, NULL, 0, NULL), -EINVAL);
    assert_int_equal(cadre_flight(NULL, f, NULL, 1, nothing, NULL, 0, NULL), -EINVAL);
    assert_int_equal(cadre_flight(NULL, f, "k", 1, NULL, NULL, 0, NULL), -EINVAL);
    assert_int_equal(cadre_flight(NULL, f, "k", 1, nothing, NULL, 1, NULL), -EINVAL);
    assert_int_equal(cadre_flight(NULL, f, "k", 1, nothing, arg, SIZE_MAX, NULL), -ENOMEM);
    start(&callers, &desk, 1);
    eventually(waiting(&desk.ctx) == 1);
    assert_int_equal(cadre_flight(NULL, f, "key", 3, nothing, arg, sizeof arg, NULL), -EINVAL); /* another size */
    gate_open(&desk.gate);
    assert_int_equal(cadre_wait(&callers), 0);
    assert_int_equal(cadre_wait(&desk.group), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_callers_with_the_same_key_share_one_call),
        cmocka_unit_test(test_plain_threads_share_with_tasks),
        cmocka_unit_test(test_one_caller_shares_with_nobody),
        cmocka_unit_test(test_keys_differ_in_any_byte_and_in_size),
        cmocka_unit_test(test_a_call_may_carry_nothing_or_much),
        cmocka_unit_test(test_a_failure_and_its_message_go_to_every_caller),
        cmocka_unit_test(test_a_panic_goes_to_every_caller),
        cmocka_unit_test(test_a_caller_that_leaves_does_not_end_the_call),
        cmocka_unit_test(test_the_first_caller_may_leave_too),
        cmocka_unit_test(test_when_all_have_left_the_call_is_cancelled),
        cmocka_unit_test(test_nobody_joins_a_call_that_all_have_left),
        cmocka_unit_test(test_a_caller_whose_context_has_ended_begins_nothing),
        cmocka_unit_test(test_wrong_arguments_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
