/* SPDX-License-Identifier: MIT
 * Calls that wait on a channel: who is served, in which order, and what wakes those who are not: a close, a cancel, a deadline. */
#include "test.h"

#include <pthread.h>

#include "blocked.h"

#define MANY 32

/* One blocked call: what it is to send or has received, and how it ended. */
struct call {
    struct cadre_chan *chan;
    struct cadre_ctx *ctx;
    int value, result;
    bool over;
};

static void finished(struct call *call, int result)
{
    call->result = result;
    cdr_store_release(&call->over, true);
}

static int receive(struct cadre_ctx *ctx, void *arg)
{
    struct call *call = arg;

    finished(call, cadre_recv(call->ctx != NULL ? call->ctx : ctx, call->chan, &call->value));
    return 0;
}

static int transmit(struct cadre_ctx *ctx, void *arg)
{
    struct call *call = arg;

    finished(call, cadre_send(call->ctx != NULL ? call->ctx : ctx, call->chan, &call->value));
    return 0;
}

/* Start MANY calls, so that they are blocked in the order of their numbers. */
static void block_in_order(struct cadre_group *g, cadre_fn *fn, struct call *calls, struct cadre_chan *c)
{
    for (size_t i = 0; i < MANY; i++) {
        calls[i].chan = c;
        assert_int_equal(cadre_go(g, fn, &calls[i]), 0);
        eventually((fn == receive ? blocked_receivers(c) : blocked_senders(c)) == i + 1);
    }
}

static void receivers_are_served_first_come_first_served(void **state)
{
    struct call calls[MANY] = { { 0 } };
    struct cadre_chan c = { .size = sizeof(int) };
    struct cadre_group g = { 0 };

    (void)state;
    block_in_order(&g, receive, calls, &c);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(cadre_try_send(&c, &i), 0);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].result, 0);
        assert_int_equal(calls[i].value, i);
    }
}

static void check_senders(struct cadre_chan *c, int first)
{
    struct call calls[MANY] = { { 0 } };
    struct cadre_group g = { 0 };
    int value;

    for (int i = 0; i < MANY; i++)
        calls[i].value = first + i;
    block_in_order(&g, transmit, calls, c);
    for (int i = 0; i < first + MANY; i++) {
        assert_int_equal(cadre_try_recv(c, &value), 0);
        assert_int_equal(value, i);
    }
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(calls[i].result, 0);
}

static void senders_are_served_first_come_first_served(void **state)
{
    int slots[3];
    struct cadre_chan rendezvous = { .size = sizeof(int) };
    struct cadre_chan bounded = { .size = sizeof(int), .capacity = 3, .slots = slots };

    (void)state;
    check_senders(&rendezvous, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cadre_try_send(&bounded, &i), 0);
    check_senders(&bounded, 3);
}

static void close_wakes_every_receiver_with_epipe(void **state)
{
    struct call calls[MANY] = { { 0 } };
    struct cadre_chan c = { .size = sizeof(int) };
    struct cadre_group g = { 0 };

    (void)state;
    block_in_order(&g, receive, calls, &c);
    cadre_chan_close(&c);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(calls[i].result, -EPIPE);
}

static void count_destroyed(void *element) { (*(int **)element)[0]++; }

static void close_wakes_every_sender_with_epipe_and_keeps_what_was_sent(void **state)
{
    struct call calls[MANY] = { { 0 } };
    int slots[2], value;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 2, .slots = slots };
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(cadre_try_send(&c, &i), 0);
    block_in_order(&g, transmit, calls, &c);
    cadre_chan_close(&c);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(calls[i].result, -EPIPE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cadre_recv(NULL, &c, &value), 0);
        assert_int_equal(value, i);
    }
    assert_int_equal(cadre_recv(NULL, &c, &value), -EPIPE);
}

static int send_pointer(struct cadre_ctx *ctx, void *arg)
{
    void **call = arg; /* channel, element, result */

    *(int *)call[2] = cadre_send(ctx, call[0], &call[1]);
    return 0;
}

static void the_element_of_a_sender_that_waits_in_vain_stays_its_own(void **state)
{
    int count = 0, result = 0, *in_channel = &count, *slots[1];
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 1, .slots = slots, .destroy = count_destroyed };
    struct cadre_group g = { 0 };
    void *call[3] = { &c, &count, &result };

    (void)state;
    assert_int_equal(cadre_try_send(&c, &in_channel), 0);
    assert_int_equal(cadre_go(&g, send_pointer, call), 0);
    eventually(blocked_senders(&c) == 1);
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(result, -ECANCELED);
    cadre_chan_finish(&c);
    assert_int_equal(count, 1); /* the one that was sent */
}

static void cancelled_receivers_are_passed_over(void **state)
{
    struct call calls[MANY] = { { 0 } };
    struct cadre_chan c = { .size = sizeof(int) };
    struct cadre_group g = { 0 };
    struct cadre_ctx ctx = { 0 };

    (void)state;
    for (int i = 0; i < MANY; i += 2)
        calls[i].ctx = &ctx;
    block_in_order(&g, receive, calls, &c);
    cadre_ctx_cancel(&ctx, 0, NULL);
    for (int i = 0; i < MANY / 2; i++) /* at once: some of those cancelled may still be queued */
        assert_int_equal(cadre_try_send(&c, &i), 0);
    assert_int_equal(cadre_try_send(&c, &(int){ 0 }), -EAGAIN);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].result, i % 2 == 0 ? -ECANCELED : 0);
        assert_int_equal(calls[i].value, i % 2 == 0 ? 0 : i / 2);
    }
}

static void a_deadline_ends_the_wait_of_tasks_and_threads(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(30)) };
    struct call call = { .chan = &c, .ctx = &ctx };
    struct cadre_group g = { 0 };
    int value = 5;

    (void)state;
    assert_int_equal(cadre_go(&g, receive, &call), 0);
    assert_int_equal(cadre_recv(&ctx, &c, &value), -ETIMEDOUT);
    assert_true(cadre_now() >= ctx.deadline);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(call.result, -ETIMEDOUT);
    assert_int_equal(value, 5);
    assert_int_equal(cadre_try_send(&c, &value), -EAGAIN); /* nobody waits any more */
}

static void the_groups_cancel_reaches_blocked_tasks(void **state)
{
    struct call calls[MANY] = { { 0 } };
    struct cadre_chan c = { .size = sizeof(int) };
    struct cadre_group g = { 0 };

    (void)state;
    block_in_order(&g, receive, calls, &c);
    cadre_group_cancel(&g, -EIO, "enough");
    assert_int_equal(cadre_wait(&g), -EIO);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(calls[i].result, -ECANCELED);
    assert_int_equal(blocked_receivers(&c), 0);
}

/* ---- plain threads ---- */

static void *thread_receive(void *arg)
{
    receive(NULL, arg);
    return NULL;
}

static void *thread_transmit(void *arg)
{
    transmit(NULL, arg);
    return NULL;
}

static void threads_and_tasks_exchange_in_both_directions(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    struct cadre_group g = { 0 };
    struct call call[2] = { { .chan = &c }, { .chan = &c, .value = 17 } };
    pthread_t thread;

    (void)state;
    for (int side = 0; side < 2; side++) {
        call[0].value = 0;
        assert_int_equal(pthread_create(&thread, NULL, side ? thread_receive : thread_transmit, &call[!side]), 0);
        eventually((side ? blocked_receivers(&c) : blocked_senders(&c)) == 1);
        assert_int_equal(cadre_go(&g, side ? transmit : receive, &call[side]), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(call[0].result, 0);
        assert_int_equal(call[1].result, 0);
        assert_int_equal(call[0].value, 17);
    }
}

static void two_threads_exchange_without_any_task(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    struct call call = { .chan = &c };
    pthread_t thread;
    int value = 23;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, thread_receive, &call), 0);
    assert_int_equal(cadre_send(NULL, &c, &value), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(call.result, 0);
    assert_int_equal(call.value, 23);
}

static void a_blocked_thread_is_woken_by_close_and_by_cancel(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    struct cadre_ctx ctx = { 0 };
    struct call calls[2] = { { .chan = &c, .ctx = &ctx }, { .chan = &c } };
    pthread_t threads[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_receive, &calls[i]), 0);
    eventually(blocked_receivers(&c) == 2);
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(calls[0].result, -ECANCELED);
    assert_false(cdr_load_acquire(&calls[1].over));
    cadre_chan_close(&c);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    assert_int_equal(calls[1].result, -EPIPE);
}

/* ---- hooks ---- */

static void close_it(struct cadre_ctx *ctx, void *chan)
{
    (void)ctx;
    cadre_chan_close(chan);
}

/* The one that finds the deadline passed may be the receive itself: its hook must be able to use the channel. */
static int receive_as_the_deadline_passes(struct cadre_ctx *unused, void *arg)
{
    struct cadre_chan *c = arg;
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_US(200)) };
    struct cadre_hook hook = { .fn = close_it, .arg = c };
    int value = 0, result;

    (void)unused;
    test_check(cadre_ctx_hook(&ctx, &hook) == 0);
    while (cadre_now() < ctx.deadline)
        cdr_spin_hint();
    result = cadre_recv(&ctx, c, &value);
    test_check(result == -ETIMEDOUT || result == -EPIPE);
    test_check(cadre_ctx_unhook(&ctx, &hook) == 0);
    test_check(cadre_recv(NULL, c, &value) == -EPIPE);
    return 0;
}

static void a_hook_may_close_the_channel_that_its_contexts_task_receives_from(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct cadre_chan c = { .size = sizeof(int) };
        struct cadre_group g = { 0 };

        assert_int_equal(cadre_go(&g, receive_as_the_deadline_passes, &c), 0);
        assert_int_equal(cadre_wait(&g), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receivers_are_served_first_come_first_served),
        cmocka_unit_test(senders_are_served_first_come_first_served),
        cmocka_unit_test(close_wakes_every_receiver_with_epipe),
        cmocka_unit_test(close_wakes_every_sender_with_epipe_and_keeps_what_was_sent),
        cmocka_unit_test(the_element_of_a_sender_that_waits_in_vain_stays_its_own),
        cmocka_unit_test(cancelled_receivers_are_passed_over),
        cmocka_unit_test(a_deadline_ends_the_wait_of_tasks_and_threads),
        cmocka_unit_test(the_groups_cancel_reaches_blocked_tasks),
        cmocka_unit_test(threads_and_tasks_exchange_in_both_directions),
        cmocka_unit_test(two_threads_exchange_without_any_task),
        cmocka_unit_test(a_blocked_thread_is_woken_by_close_and_by_cancel),
        cmocka_unit_test(a_hook_may_close_the_channel_that_its_contexts_task_receives_from),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
