/* SPDX-License-Identifier: MIT
 * Selects against each other: on several channels in opposite orders, with sends and receives mixed, against cancels. No
 * deadlock, and every element that was sent is received. */
#include "test.h"

#include "blocked.h"

#define MANY 100000
#define CHANNELS 3

static struct cadre_chan chans[CHANNELS];

static void reset_channels(void)
{
    for (int i = 0; i < CHANNELS; i++)
        chans[i] = (struct cadre_chan){ .size = sizeof(int) };
}

/* Sends the numbers below count, on whichever channel can take one. */
static int send_all(struct cadre_ctx *ctx, void *count)
{
    struct cadre_case cases[CHANNELS];
    int value, index;

    for (value = 0; value < *(int *)count; value++) {
        for (int i = 0; i < CHANNELS; i++)
            cases[i] = (struct cadre_case){ .op = CADRE_SEND, .chan = &chans[i], .element = &value };
        index = cadre_select(ctx, cases, CHANNELS);
        test_check(index >= 0 && cases[index].code == 0);
    }
    return 0;
}

/* Receives them, looking at the channels the other way round. There is one sender, so they come in order. */
static int receive_all(struct cadre_ctx *ctx, void *count)
{
    struct cadre_case cases[CHANNELS];
    int value = -1, index;

    for (int expected = 0; expected < *(int *)count; expected++) {
        for (int i = 0; i < CHANNELS; i++)
            cases[i] = (struct cadre_case){ .op = CADRE_RECV, .chan = &chans[CHANNELS - 1 - i], .element = &value };
        index = cadre_select(ctx, cases, CHANNELS);
        test_check(index >= 0 && cases[index].code == 0);
        test_check(value == expected);
    }
    return 0;
}

static void two_selects_in_opposite_orders_neither_lock_up_nor_lose(void **state)
{
    int count = rounds(MANY);
    struct cadre_group g = { 0 };

    (void)state;
    reset_channels();
    assert_int_equal(cadre_go(&g, send_all, &count), 0);
    assert_int_equal(cadre_go(&g, receive_all, &count), 0);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < CHANNELS; i++) {
        assert_int_equal(blocked_senders(&chans[i]), 0);
        assert_int_equal(blocked_receivers(&chans[i]), 0);
    }
}

/* ---- both send and receive in one select ---- */

struct peer {
    struct cadre_chan *to, *from;
    int count;
    uint64_t sum;
};

/* Exchanges count numbers in both directions, in whatever order it can. */
static int exchange(struct cadre_ctx *ctx, void *arg)
{
    struct peer *self = arg;
    int sent = 0, received = 0, value = 0;

    while (sent < self->count || received < self->count) {
        struct cadre_case cases[2];
        int n = 0, sends = -1, index;

        if (received < self->count)
            cases[n++] = (struct cadre_case){ .op = CADRE_RECV, .chan = self->from, .element = &value };
        if (sent < self->count)
            cases[sends = n++] = (struct cadre_case){ .op = CADRE_SEND, .chan = self->to, .element = &sent };
        index = cadre_select(ctx, cases, n);
        test_check(index >= 0 && cases[index].code == 0);
        if (index == sends) {
            sent++;
        } else {
            received++;
            self->sum += (uint64_t)value;
        }
    }
    return 0;
}

static void two_selects_that_both_send_and_receive_meet(void **state)
{
    uint64_t count = rounds(MANY);
    struct peer peers[2] = { { .to = &chans[0], .from = &chans[1], .count = (int)count },
                             { .to = &chans[1], .from = &chans[0], .count = (int)count } };
    struct cadre_group g = { 0 };

    (void)state;
    reset_channels();
    for (int i = 0; i < 2; i++)
        assert_int_equal(cadre_go(&g, exchange, &peers[i]), 0);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(peers[i].sum, count * (count - 1) / 2);
}

/* ---- everybody sends and receives on the same channel ---- */

static int64_t balance; /* sent less received, in elements */
static uint64_t balance_sum;

static int barter(struct cadre_ctx *ctx, void *arg)
{
    int times = *(int *)arg;

    for (int i = 0; i < times; i++) {
        int out = i, in = 0;
        struct cadre_case cases[] = { { .op = CADRE_SEND, .chan = &chans[i % 2], .element = &out },
                                      { .op = CADRE_RECV, .chan = &chans[i % 2], .element = &in },
                                      { .op = CADRE_RECV, .chan = &chans[(i + 1) % 2], .element = &in },
                                      { .op = CADRE_UNTIL, .deadline = cadre_in(CADRE_US(50)) } };
        int index = cadre_select(ctx, cases, 4);

        test_check(index >= 0 && cases[index].code == 0);
        if (index == 0) {
            cdr_add(&balance, (int64_t)1);
            cdr_add(&balance_sum, (uint64_t)out);
        } else if (index < 3) {
            cdr_sub(&balance, (int64_t)1);
            cdr_sub(&balance_sum, (uint64_t)in);
        }
    }
    return 0;
}

static void many_that_send_and_receive_on_the_same_channels_are_even_in_the_end(void **state)
{
    int times = rounds(5000);
    struct cadre_group g = { 0 };

    (void)state;
    reset_channels();
    balance = 0;
    balance_sum = 0;
    for (int i = 0; i < 8; i++)
        assert_int_equal(cadre_go(&g, barter, &times), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(balance, 0);
    assert_int_equal(balance_sum, 0);
}

/* ---- cancel against both sides ---- */

struct side {
    struct cadre_ctx ctx;
    enum cadre_select_op op;
    int element, result;
};

static int select_once(struct cadre_ctx *unused, void *arg)
{
    struct side *self = arg;
    struct cadre_case cases[CHANNELS];

    (void)unused;
    for (int i = 0; i < CHANNELS; i++)
        cases[i] = (struct cadre_case){ .op = self->op, .chan = &chans[i], .element = &self->element };
    self->result = cadre_select(&self->ctx, cases, CHANNELS);
    return 0;
}

static int cancel_it(struct cadre_ctx *unused, void *ctx)
{
    (void)unused;
    cadre_ctx_cancel(ctx, 0, NULL);
    return 0;
}

/* Sender and receiver either both succeed or both are cancelled. */
static void a_cancel_does_a_whole_exchange_or_none(void **state)
{
    int done = 0;

    (void)state;
    reset_channels();
    for (int i = 0; i < rounds(20000); i++) {
        struct side send = { .op = CADRE_SEND, .element = i }, receive = { .op = CADRE_RECV, .element = -1 };
        struct cadre_group g = { 0 };
        void *work[4] = { &send, &receive, i % 2 ? &send.ctx : &receive.ctx, i % 2 ? &receive.ctx : &send.ctx };

        for (int at = 0; at < 4; at++) { /* in changing orders */
            int which = (at + i) % 4;

            test_check(cadre_go(&g, which < 2 ? select_once : cancel_it, work[which]) == 0);
        }
        test_check(cadre_wait(&g) == 0);
        test_check((send.result >= 0) == (receive.result >= 0));
        test_check(send.result >= 0 ? send.result == receive.result : send.result == -ECANCELED);
        test_check(receive.element == (receive.result >= 0 ? i : -1));
        done += send.result >= 0;
    }
    print_message("%d exchanges were done\n", done);
    for (int i = 0; i < CHANNELS; i++)
        assert_int_equal(blocked_senders(&chans[i]) + blocked_receivers(&chans[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_selects_in_opposite_orders_neither_lock_up_nor_lose),
        cmocka_unit_test(two_selects_that_both_send_and_receive_meet),
        cmocka_unit_test(many_that_send_and_receive_on_the_same_channels_are_even_in_the_end),
        cmocka_unit_test(a_cancel_does_a_whole_exchange_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
