/* SPDX-License-Identifier: MIT
 * Channels as one caller sees them: order, room, elements of every size, closing, destroying, contexts, bad arguments. Who waits
 * for whom is in test_channel_wait.c. */
#include "test.h"

#include <string.h>

#include "cadre.h"

#define ODD_ERRNO 4242

static void a_bounded_channel_is_first_in_first_out(void **state)
{
    int slots[3], value;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 3, .slots = slots };
    int in = 0, out = 0;

    (void)state;
    for (int step = 0; step < 100; step++) { /* goes round the ring, with one to three elements in it */
        while (in - out < 1 + step % 3) {
            assert_int_equal(cadre_send(NULL, &c, &in), 0);
            in++;
        }
        assert_int_equal(cadre_recv(NULL, &c, &value), 0);
        assert_int_equal(value, out);
        out++;
    }
}

static void a_full_channel_refuses_try_send_and_keeps_what_it_has(void **state)
{
    int slots[2], value = 7;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 2, .slots = slots };

    (void)state;
    assert_int_equal(cadre_try_send(&c, &value), 0);
    value++;
    assert_int_equal(cadre_try_send(&c, &value), 0);
    value++;
    assert_int_equal(cadre_try_send(&c, &value), -EAGAIN);
    assert_int_equal(cadre_try_recv(&c, &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(cadre_try_recv(&c, &value), 0);
    assert_int_equal(value, 8);
}

static void an_empty_channel_refuses_try_recv_and_writes_nothing(void **state)
{
    int slots[2], value = 7;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 2, .slots = slots };

    (void)state;
    assert_int_equal(cadre_try_recv(&c, &value), -EAGAIN);
    assert_int_equal(value, 7);
}

static void a_rendezvous_without_a_partner_refuses_both_sides(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    int value = 7;

    (void)state;
    assert_int_equal(cadre_try_send(&c, &value), -EAGAIN);
    assert_int_equal(cadre_try_recv(&c, &value), -EAGAIN);
    assert_int_equal(cadre_chan_length(&c), 0);
}

static void a_channel_of_size_0_counts_signals(void **state)
{
    struct cadre_chan c = { .capacity = 2 };

    (void)state;
    assert_int_equal(cadre_send(NULL, &c, NULL), 0);
    assert_int_equal(cadre_try_send(&c, NULL), 0);
    assert_int_equal(cadre_try_send(&c, NULL), -EAGAIN);
    assert_int_equal(cadre_chan_length(&c), 2);
    assert_int_equal(cadre_recv(NULL, &c, NULL), 0);
    assert_int_equal(cadre_try_recv(&c, NULL), 0);
    assert_int_equal(cadre_try_recv(&c, NULL), -EAGAIN);
}

static void elements_of_every_size_arrive_unchanged(void **state)
{
    static const size_t sizes[] = { 1, 2, 3, 7, 8, 9, 24, 100, 4096 };
    static unsigned char slots[2 * 4096 + 1], sent[4096], received[4097];

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct cadre_chan c = { .size = sizes[i], .capacity = 2, .slots = slots };

        slots[2 * sizes[i]] = received[sizes[i]] = 0xa5; /* what lies behind is not to be written */
        for (int round = 0; round < 3; round++) {
            for (size_t at = 0; at < sizes[i]; at++)
                sent[at] = (unsigned char)(at * 7 + (size_t)round);
            memset(received, 0, sizes[i]);
            assert_int_equal(cadre_send(NULL, &c, sent), 0);
            assert_int_equal(cadre_recv(NULL, &c, received), 0);
            assert_memory_equal(sent, received, sizes[i]);
        }
        assert_int_equal(slots[2 * sizes[i]], 0xa5);
        assert_int_equal(received[sizes[i]], 0xa5);
    }
}

static void the_length_is_what_waits_to_be_received(void **state)
{
    char slots[4], value = 0;
    struct cadre_chan c = { .size = 1, .capacity = 4, .slots = slots };

    (void)state;
    for (size_t n = 0; n < 4; n++) {
        assert_int_equal(cadre_chan_length(&c), n);
        assert_int_equal(cadre_send(NULL, &c, &value), 0);
    }
    assert_int_equal(cadre_chan_length(&c), 4);
    assert_int_equal(cadre_recv(NULL, &c, &value), 0);
    assert_int_equal(cadre_chan_length(&c), 3);
    assert_int_equal(cadre_chan_length(NULL), 0);
}

static void a_closed_channel_gives_what_is_left_and_then_epipe(void **state)
{
    int slots[4], value;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 4, .slots = slots };

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cadre_send(NULL, &c, &i), 0);
    cadre_chan_close(&c);
    value = 9;
    assert_int_equal(cadre_send(NULL, &c, &value), -EPIPE);
    assert_int_equal(cadre_try_send(&c, &value), -EPIPE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(i == 1 ? cadre_try_recv(&c, &value) : cadre_recv(NULL, &c, &value), 0);
        assert_int_equal(value, i);
    }
    assert_int_equal(cadre_recv(NULL, &c, &value), -EPIPE);
    assert_int_equal(cadre_try_recv(&c, &value), -EPIPE);
    assert_int_equal(value, 2);
}

static void closing_twice_is_harmless(void **state)
{
    int slots[1], value = 5;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 1, .slots = slots };

    (void)state;
    assert_int_equal(cadre_send(NULL, &c, &value), 0);
    cadre_chan_close(&c);
    cadre_chan_close(&c);
    assert_int_equal(cadre_recv(NULL, &c, &value), 0);
    cadre_chan_close(&c);
    assert_int_equal(cadre_recv(NULL, &c, &value), -EPIPE);
    cadre_chan_close(NULL);
}

/* ---- destroying ---- */

static int destroyed[8], destroy_calls;

static void note_destroyed(void *element) { destroyed[destroy_calls++ % 8] = *(int *)element; }

static void what_was_never_received_is_destroyed_exactly_once(void **state)
{
    int slots[4], value;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 4, .slots = slots, .destroy = note_destroyed };

    (void)state;
    destroy_calls = 0;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(cadre_send(NULL, &c, &i), 0);
        if (i < 3)
            assert_int_equal(cadre_recv(NULL, &c, &value), 0);
    }
    cadre_chan_close(&c); /* does not destroy: what is there can still be received */
    assert_int_equal(destroy_calls, 0);
    cadre_chan_finish(&c);
    assert_int_equal(destroy_calls, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(destroyed[i], i + 3);
    cadre_chan_finish(&c);
    assert_int_equal(destroy_calls, 3);
}

static void what_was_not_sent_is_not_destroyed(void **state)
{
    int slots[1], value = 1;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 1, .slots = slots, .destroy = note_destroyed };
    struct cadre_ctx ctx = { 0 };

    (void)state;
    destroy_calls = 0;
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(cadre_send(NULL, &c, &value), 0);
    value = 2;
    assert_int_equal(cadre_try_send(&c, &value), -EAGAIN);
    assert_int_equal(cadre_send(&ctx, &c, &value), -ECANCELED);
    cadre_chan_close(&c);
    assert_int_equal(cadre_send(NULL, &c, &value), -EPIPE);
    assert_int_equal(destroy_calls, 0);
    cadre_chan_finish(&c);
    assert_int_equal(destroy_calls, 1);
    assert_int_equal(destroyed[0], 1);
}

static void finish_takes_channels_without_destroy_zeroed_or_null(void **state)
{
    int slots[1], value = 1;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 1, .slots = slots }, zeroed = { 0 };

    (void)state;
    assert_int_equal(cadre_send(NULL, &c, &value), 0);
    cadre_chan_finish(&c);
    assert_int_equal(cadre_chan_length(&c), 0);
    cadre_chan_finish(&zeroed);
    cadre_chan_finish(NULL);
}

/* ---- contexts ---- */

static void a_call_that_need_not_block_works_under_a_cancelled_context(void **state)
{
    int slots[1], value = 3;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 1, .slots = slots };
    struct cadre_ctx ctx = { 0 };

    (void)state;
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(cadre_send(&ctx, &c, &value), 0);
    value = 0;
    assert_int_equal(cadre_recv(&ctx, &c, &value), 0);
    assert_int_equal(value, 3);
}

static void a_call_that_would_block_returns_at_once_under_an_ended_context(void **state)
{
    int slots[1], value = 3;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 1, .slots = slots };
    struct cadre_ctx cancelled = { 0 }, late = { .deadline = 1 };

    (void)state;
    cadre_ctx_cancel(&cancelled, -EIO, "enough");
    assert_int_equal(cadre_recv(&cancelled, &c, &value), -ECANCELED);
    assert_int_equal(cadre_recv(&late, &c, &value), -ETIMEDOUT);
    assert_int_equal(value, 3);
    assert_int_equal(cadre_send(NULL, &c, &value), 0);
    assert_int_equal(cadre_send(&cancelled, &c, &value), -ECANCELED);
    assert_int_equal(cadre_send(&late, &c, &value), -ETIMEDOUT);
    assert_int_equal(cadre_chan_length(&c), 1);
}

static void a_closed_channel_says_epipe_also_under_an_ended_context(void **state)
{
    struct cadre_chan c = { .size = sizeof(int) };
    struct cadre_ctx ctx = { 0 };
    int value = 0;

    (void)state;
    cadre_ctx_cancel(&ctx, 0, NULL);
    cadre_chan_close(&c);
    assert_int_equal(cadre_recv(&ctx, &c, &value), -EPIPE);
    assert_int_equal(cadre_send(&ctx, &c, &value), -EPIPE);
}

static void bad_arguments_are_einval(void **state)
{
    int slots[1], value = 0;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 1, .slots = slots };
    struct cadre_chan no_slots = { .size = sizeof *slots, .capacity = 1 };

    (void)state;
    assert_int_equal(cadre_send(NULL, NULL, &value), -EINVAL);
    assert_int_equal(cadre_send(NULL, &c, NULL), -EINVAL);
    assert_int_equal(cadre_send(NULL, &no_slots, &value), -EINVAL);
    assert_int_equal(cadre_try_send(NULL, &value), -EINVAL);
    assert_int_equal(cadre_try_send(&c, NULL), -EINVAL);
    assert_int_equal(cadre_recv(NULL, NULL, &value), -EINVAL);
    assert_int_equal(cadre_recv(NULL, &c, NULL), -EINVAL);
    assert_int_equal(cadre_recv(NULL, &no_slots, &value), -EINVAL);
    assert_int_equal(cadre_try_recv(NULL, &value), -EINVAL);
    assert_int_equal(cadre_try_recv(&c, NULL), -EINVAL);
}

static void no_call_changes_errno(void **state)
{
    int slots[1], value = 0;
    struct cadre_chan c = { .size = sizeof *slots, .capacity = 1, .slots = slots };
    struct cadre_ctx late = { .deadline = cadre_in(CADRE_MS(2)) };

    (void)state;
    errno = ODD_ERRNO;
    assert_int_equal(cadre_recv(&late, &c, &value), -ETIMEDOUT);
    assert_int_equal(cadre_send(NULL, &c, &value), 0);
    assert_int_equal(cadre_try_send(&c, &value), -EAGAIN);
    cadre_chan_finish(&c);
    assert_int_equal(cadre_send(NULL, &c, &value), -EPIPE);
    assert_int_equal(cadre_send(NULL, NULL, &value), -EINVAL);
    assert_int_equal(errno, ODD_ERRNO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bounded_channel_is_first_in_first_out),
        cmocka_unit_test(a_full_channel_refuses_try_send_and_keeps_what_it_has),
        cmocka_unit_test(an_empty_channel_refuses_try_recv_and_writes_nothing),
        cmocka_unit_test(a_rendezvous_without_a_partner_refuses_both_sides),
        cmocka_unit_test(a_channel_of_size_0_counts_signals),
        cmocka_unit_test(elements_of_every_size_arrive_unchanged),
        cmocka_unit_test(the_length_is_what_waits_to_be_received),
        cmocka_unit_test(a_closed_channel_gives_what_is_left_and_then_epipe),
        cmocka_unit_test(closing_twice_is_harmless),
        cmocka_unit_test(what_was_never_received_is_destroyed_exactly_once),
        cmocka_unit_test(what_was_not_sent_is_not_destroyed),
        cmocka_unit_test(finish_takes_channels_without_destroy_zeroed_or_null),
        cmocka_unit_test(a_call_that_need_not_block_works_under_a_cancelled_context),
        cmocka_unit_test(a_call_that_would_block_returns_at_once_under_an_ended_context),
        cmocka_unit_test(a_closed_channel_says_epipe_also_under_an_ended_context),
        cmocka_unit_test(bad_arguments_are_einval),
        cmocka_unit_test(no_call_changes_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
