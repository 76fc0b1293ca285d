/* SPDX-License-Identifier: MIT
 * cadre_select: every kind of case, the choice between several, what ends a wait, and that the cases not done leave nothing
 * behind. */
#include "test.h"

#include "blocked.h"

#define ODD_ERRNO 4242
#define UNTOUCHED 77

static struct cadre_case receive_case(struct cadre_chan *c, void *element)
{
    return (struct cadre_case){ .op = CADRE_RECV, .chan = c, .element = element, .code = UNTOUCHED };
}

static struct cadre_case send_case(struct cadre_chan *c, void *element)
{
    return (struct cadre_case){ .op = CADRE_SEND, .chan = c, .element = element, .code = UNTOUCHED };
}

static struct cadre_case until_case(cadre_time deadline)
{
    return (struct cadre_case){ .op = CADRE_UNTIL, .deadline = deadline, .code = UNTOUCHED };
}

/* A select in a task. */
struct selecting {
    struct cadre_case *cases;
    int n, result;
    struct cadre_ctx *ctx;
};

static int selects(struct cadre_ctx *ctx, void *arg)
{
    struct selecting *self = arg;

    self->result = cadre_select(self->ctx != NULL ? self->ctx : ctx, self->cases, self->n);
    return 0;
}

static void the_case_that_can_go_is_done(void **state)
{
    int slots[2][1], value = 4, got = 0;
    struct cadre_chan full = { .size = sizeof(int), .capacity = 1, .slots = slots[0] };
    struct cadre_chan empty = { .size = sizeof(int), .capacity = 1, .slots = slots[1] };
    struct cadre_case cases[] = { receive_case(&empty, &got), send_case(&full, &value), receive_case(&full, &got) };
    struct cadre_case others[] = { send_case(&full, &value), send_case(&empty, &value) };

    (void)state;
    assert_int_equal(cadre_try_send(&full, &value), 0);
    assert_int_equal(cadre_select(NULL, cases, 3), 2);
    assert_int_equal(cases[2].code, 0);
    assert_int_equal(cases[0].code, UNTOUCHED);
    assert_int_equal(cases[1].code, UNTOUCHED);
    assert_int_equal(got, 4);
    assert_int_equal(cadre_try_send(&full, &value), 0);
    value = 6;
    assert_int_equal(cadre_select(NULL, others, 2), 1);
    assert_int_equal(others[1].code, 0);
    assert_int_equal(cadre_try_recv(&empty, &got), 0);
    assert_int_equal(got, 6);
}

static void of_several_that_can_go_all_get_chosen_over_time(void **state)
{
    int slots[4][1], value = 1, chosen[4] = { 0 };
    struct cadre_chan chans[4];
    struct cadre_case cases[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        chans[i] = (struct cadre_chan){ .size = sizeof(int), .capacity = 1, .slots = slots[i] };
        cases[i] = i % 2 == 0 ? receive_case(&chans[i], &value) : send_case(&chans[i], &value);
        if (i % 2 == 0)
            assert_int_equal(cadre_try_send(&chans[i], &value), 0);
    }
    for (int i = 0; i < 4000; i++) {
        int index = cadre_select(NULL, cases, 4);

        assert_in_range(index, 0, 3);
        assert_int_equal(cases[index].code, 0);
        chosen[index]++;
        assert_int_equal(index % 2 == 0 ? cadre_try_send(&chans[index], &value) : cadre_try_recv(&chans[index], &value), 0);
    }
    for (int i = 0; i < 4; i++) /* expected 1,000 each: a fair die is below 700 less than once in 10^20 runs */
        assert_true(chosen[i] > 700);
}

static void a_closed_case_fires_with_epipe(void **state)
{
    int value = 4;
    struct cadre_chan open = { .size = sizeof(int) }, closed = { .size = sizeof(int) };
    struct cadre_case receive[] = { receive_case(&open, &value), receive_case(&closed, &value) };
    struct cadre_case send[] = { send_case(&closed, &value), send_case(&open, &value) };

    (void)state;
    cadre_chan_close(&closed);
    assert_int_equal(cadre_select(NULL, receive, 2), 1);
    assert_int_equal(receive[1].code, -EPIPE);
    assert_int_equal(cadre_select(NULL, send, 2), 0);
    assert_int_equal(send[0].code, -EPIPE);
    assert_int_equal(value, 4);
}

static void a_closed_channel_is_received_empty_first(void **state)
{
    int slots[1], value = 4;
    struct cadre_chan c = { .size = sizeof(int), .capacity = 1, .slots = slots };
    struct cadre_case one = receive_case(&c, &value);

    (void)state;
    assert_int_equal(cadre_try_send(&c, &value), 0);
    cadre_chan_close(&c);
    value = 0;
    assert_int_equal(cadre_select(NULL, &one, 1), 0);
    assert_int_equal(one.code, 0);
    assert_int_equal(value, 4);
    assert_int_equal(cadre_select(NULL, &one, 1), 0);
    assert_int_equal(one.code, -EPIPE);
}

static void a_deadline_in_the_past_is_a_poll(void **state)
{
    int slots[1], value = 4;
    struct cadre_chan c = { .size = sizeof(int), .capacity = 1, .slots = slots };
    struct cadre_case cases[] = { until_case(1), receive_case(&c, &value) };

    (void)state;
    assert_int_equal(cadre_select(NULL, cases, 2), 0);
    assert_int_equal(cases[0].code, 0);
    for (int i = 0; i < 100; i++) { /* what can go always goes first */
        assert_int_equal(cadre_try_send(&c, &value), 0);
        assert_int_equal(cadre_select(NULL, cases, 2), 1);
    }
}

static void until_fires_when_its_time_has_come(void **state)
{
    int value = 4;
    struct cadre_chan c = { .size = sizeof(int) };
    struct cadre_case cases[] = { receive_case(&c, &value), until_case(cadre_in(CADRE_MS(20))) };
    struct cadre_case in_task[] = { send_case(&c, &value), until_case(cadre_in(CADRE_MS(20))) };
    struct cadre_case alone = until_case(cadre_in(CADRE_MS(5)));
    struct selecting self = { .cases = in_task, .n = 2 };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_select(NULL, cases, 2), 1);
    assert_int_equal(cases[1].code, 0);
    assert_true(cadre_now() >= cases[1].deadline);
    assert_int_equal(cadre_go(&g, selects, &self), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(self.result, 1);
    assert_true(cadre_now() >= in_task[1].deadline);
    assert_int_equal(cadre_select(NULL, &alone, 1), 0);
    assert_true(cadre_now() >= alone.deadline);
}

/* ---- blocked selects ---- */

/* Start a select in a task and see it blocked in its last case's queue, so in all. */
static void block(struct cadre_group *g, struct selecting *self)
{
    const struct cadre_case *last = &self->cases[self->n - 1];

    assert_int_equal(cadre_go(g, selects, self), 0);
    eventually((last->op == CADRE_SEND ? blocked_senders(last->chan) : blocked_receivers(last->chan)) > 0);
}

static void assert_no_trace(struct cadre_chan *chans, int n)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(blocked_receivers(&chans[i]), 0);
        assert_int_equal(blocked_senders(&chans[i]), 0);
        assert_int_equal(cadre_chan_length(&chans[i]), 0);
    }
}

static void a_blocked_select_takes_the_first_that_comes_and_leaves_no_trace(void **state)
{
    struct cadre_chan chans[3] = { { .size = sizeof(int) }, { .size = sizeof(int) }, { .size = sizeof(int) } };
    int out[3] = { 10, 11, 12 }, in[3] = { 0 };

    (void)state;
    for (int which = 0; which < 3; which++) {
        struct cadre_case cases[] = { receive_case(&chans[0], &in[0]), send_case(&chans[1], &out[1]),
                                      receive_case(&chans[2], &in[2]) };
        struct selecting self = { .cases = cases, .n = 3 };
        struct cadre_group g = { 0 };

        block(&g, &self);
        assert_int_equal(which == 1 ? cadre_try_recv(&chans[1], &in[1]) : cadre_try_send(&chans[which], &out[which]), 0);
        for (int i = 0; i < 3; i++) /* nobody serves a second case */
            assert_int_equal(i == 1 ? cadre_try_recv(&chans[1], &in[1]) : cadre_try_send(&chans[i], &out[i]), -EAGAIN);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(self.result, which);
        assert_int_equal(cases[which].code, 0);
        assert_int_equal(cases[(which + 1) % 3].code, UNTOUCHED);
        assert_int_equal(in[which], out[which]);
        assert_no_trace(chans, 3);
    }
}

static void close_wakes_a_blocked_select(void **state)
{
    struct cadre_chan chans[2] = { { .size = sizeof(int) }, { .size = sizeof(int) } };
    int value = 5;
    struct cadre_case cases[] = { send_case(&chans[0], &value), receive_case(&chans[1], &value) };
    struct selecting self = { .cases = cases, .n = 2 };
    struct cadre_group g = { 0 };

    (void)state;
    block(&g, &self);
    cadre_chan_close(&chans[0]);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(self.result, 0);
    assert_int_equal(cases[0].code, -EPIPE);
    assert_int_equal(cases[1].code, UNTOUCHED);
    assert_no_trace(chans, 2);
}

static void cancel_and_deadline_end_a_blocked_select_with_no_case_done(void **state)
{
    struct cadre_chan chans[2] = { { .size = sizeof(int) }, { .size = sizeof(int) } };
    int value = 5;
    struct cadre_case cases[] = { send_case(&chans[0], &value), receive_case(&chans[1], &value) };
    struct selecting self = { .cases = cases, .n = 2 };
    struct cadre_group g = { 0 };
    struct cadre_ctx late = { .deadline = cadre_in(CADRE_MS(10)) };

    (void)state;
    block(&g, &self);
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(self.result, -ECANCELED);
    assert_int_equal(cadre_select(&late, cases, 2), -ETIMEDOUT);
    assert_int_equal(cases[0].code, UNTOUCHED);
    assert_int_equal(cases[1].code, UNTOUCHED);
    assert_int_equal(value, 5);
    assert_no_trace(chans, 2);
}

static void the_earlier_of_until_and_the_contexts_deadline_counts(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    int value = 5;
    struct cadre_ctx soon = { .deadline = cadre_in(CADRE_MS(5)) }, never = { .deadline = cadre_in(CADRE_SEC(1000)) };
    struct cadre_case cases[] = { receive_case(&c, &value), until_case(cadre_in(CADRE_SEC(1000))) };

    (void)state;
    assert_int_equal(cadre_select(&soon, cases, 2), -ETIMEDOUT);
    cases[1].deadline = cadre_in(CADRE_MS(5));
    assert_int_equal(cadre_select(&never, cases, 2), 1);
}

static void under_an_ended_context_what_can_go_goes_and_nothing_waits(void **state)
{
    int slots[1], value = 5;
    struct cadre_chan c = { .size = sizeof(int), .capacity = 1, .slots = slots };
    struct cadre_case cases[] = { receive_case(&c, &value), until_case(cadre_in(CADRE_SEC(1000))) };
    struct cadre_ctx ctx = { 0 };

    (void)state;
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(cadre_select(&ctx, cases, 2), -ECANCELED);
    assert_int_equal(cadre_try_send(&c, &value), 0);
    assert_int_equal(cadre_select(&ctx, cases, 2), 0);
}

/* ---- the same channel several times ---- */

static void a_channel_may_occur_several_times(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    int out = 8, in[2] = { 0 };
    struct cadre_case cases[] = { receive_case(&c, &in[0]), receive_case(&c, &in[1]), send_case(&c, &out) };

    (void)state;
    for (int round = 0; round < 20; round++) {
        struct selecting self = { .cases = cases, .n = 3 };
        struct cadre_group g = { 0 };
        int value = 100 + round;

        block(&g, &self);
        assert_int_equal(blocked_receivers(&c), 2);
        if (round % 2 == 0)
            assert_int_equal(cadre_try_send(&c, &value), 0);
        else
            assert_int_equal(cadre_try_recv(&c, &value), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(self.result == 2, round % 2);
        assert_int_equal(round % 2 == 0 ? in[self.result] : value, round % 2 == 0 ? 100 + round : out);
        assert_no_trace(&c, 1);
    }
}

static void a_select_does_not_send_to_itself(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    int out = 8, in = 0;
    struct cadre_case cases[] = { send_case(&c, &out), receive_case(&c, &in), until_case(cadre_in(CADRE_MS(5))) };

    (void)state;
    assert_int_equal(cadre_select(NULL, cases, 3), 2);
    assert_int_equal(in, 0);
    assert_no_trace(&c, 1);
}

static void bad_arguments_are_einval(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    int value = 0;
    struct cadre_case good = receive_case(&c, &value), no_op = good, no_chan = good, no_element = good;
    struct cadre_case two[] = { until_case(1), until_case(1) };

    (void)state;
    no_op.op = (enum cadre_select_op)0;
    no_chan.chan = NULL;
    no_element.element = NULL;
    errno = ODD_ERRNO;
    assert_int_equal(cadre_select(NULL, NULL, 1), -EINVAL);
    assert_int_equal(cadre_select(NULL, &good, 0), -EINVAL);
    assert_int_equal(cadre_select(NULL, &good, -1), -EINVAL);
    assert_int_equal(cadre_select(NULL, &no_op, 1), -EINVAL);
    assert_int_equal(cadre_select(NULL, &no_chan, 1), -EINVAL);
    assert_int_equal(cadre_select(NULL, &no_element, 1), -EINVAL);
    assert_int_equal(cadre_select(NULL, two, 2), -EINVAL);
    assert_int_equal(errno, ODD_ERRNO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_case_that_can_go_is_done),
        cmocka_unit_test(of_several_that_can_go_all_get_chosen_over_time),
        cmocka_unit_test(a_closed_case_fires_with_epipe),
        cmocka_unit_test(a_closed_channel_is_received_empty_first),
        cmocka_unit_test(a_deadline_in_the_past_is_a_poll),
        cmocka_unit_test(until_fires_when_its_time_has_come),
        cmocka_unit_test(a_blocked_select_takes_the_first_that_comes_and_leaves_no_trace),
        cmocka_unit_test(close_wakes_a_blocked_select),
        cmocka_unit_test(cancel_and_deadline_end_a_blocked_select_with_no_case_done),
        cmocka_unit_test(the_earlier_of_until_and_the_contexts_deadline_counts),
        cmocka_unit_test(under_an_ended_context_what_can_go_goes_and_nothing_waits),
        cmocka_unit_test(a_channel_may_occur_several_times),
        cmocka_unit_test(a_select_does_not_send_to_itself),
        cmocka_unit_test(bad_arguments_are_einval),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
