/* SPDX-License-Identifier: MIT
 * cadre_map_stream: order, how much it does at once and how far it runs ahead, all its ends, and that every element is
 * somebody's, exactly once. */
#include "test.h"

#include "blocked.h"
#include "cadre.h"
#include "tasks.h"

#define ROOM 8

/* What goes in is a number on the heap, what comes out the number and its square, on the heap. */
struct pair {
    int *number;
    long square;
};

struct stream {
    struct cadre_chan in, out;
    int *in_slots[ROOM];
    struct pair out_slots[ROOM];
    int total;      /* numbers that are fed, negative: no end */
    int take;       /* the receiver closes out after so many, 0: never */
    bool leaves;    /* it does not close it, it ends */
    int fail_at;    /* the number with which fn fails, 0: none */
    bool panics;    /* by a panic */
    struct gate gate;
    int gated;      /* the number that has to pass the gate, negative: all; 0: none */
    size_t window;
    struct cadre_jobs_options options;
    atomic_int fed, calls, now, most, failed, received, destroyed_in, destroyed_out;
};

/* Destroy callbacks have no argument of their own: only one stream is under way in a test. */
static struct stream *current;

static void destroy_in(void *element)
{
    free(*(int **)element);
    atomic_fetch_add(&current->destroyed_in, 1);
}

static void destroy_out(void *element)
{
    free(((struct pair *)element)->number);
    atomic_fetch_add(&current->destroyed_out, 1);
}

static struct stream *prepare(struct stream *s, size_t room)
{
    s->in = (struct cadre_chan){ .size = sizeof(int *), .capacity = room, .slots = s->in_slots, .destroy = destroy_in };
    s->out = (struct cadre_chan){ .size = sizeof(struct pair), .capacity = room, .slots = s->out_slots,
                                  .destroy = destroy_out };
    current = s;
    return s;
}

static int fail_with(struct cadre_ctx *ctx, struct stream *s, int n)
{
    atomic_fetch_add(&s->failed, 1);
    if (s->panics)
        cadre_panic("no square of %d", n);
    return cadre_fail(ctx, -EDOM, "no square of %d", n);
}

static int square(struct cadre_ctx *ctx, const void *from, void *to, void *arg)
{
    struct stream *s = arg;
    int *number = *(int *const *)from, now = atomic_fetch_add(&s->now, 1) + 1, most = atomic_load(&s->most), code = 0;

    while (now > most && !atomic_compare_exchange_weak(&s->most, &most, now))
        ;
    atomic_fetch_add(&s->calls, 1);
    if (*number % 3 == 0)
        cadre_yield(); /* some take longer than others */
    if (s->gated != 0 && (s->gated < 0 || *number == s->gated))
        code = gate_pass(ctx, &s->gate);
    atomic_fetch_sub(&s->now, 1);
    if (code != 0)
        atomic_fetch_add(&s->failed, 1);
    if (code != 0 || (s->fail_at > 0 && *number >= s->fail_at)) {
        int n = *number;

        free(number);
        return code != 0 ? code : fail_with(ctx, s, n);
    }
    *(struct pair *)to = (struct pair){ number, (long)*number * *number };
    return 0;
}

/* ---- both ends and the middle, as tasks ---- */

static int feed(struct cadre_ctx *ctx, void *arg)
{
    struct stream *s = arg;
    int code = 0;

    for (int i = 1; code == 0 && (s->total < 0 || i <= s->total); i++) {
        int *number = malloc(sizeof *number);

        test_check(number != NULL);
        *number = i;
        code = cadre_send(ctx, &s->in, &number);
        if (code == 0)
            atomic_fetch_add(&s->fed, 1);
        else
            free(number);
    }
    cadre_chan_close(&s->in);
    return 0;
}

static int drain(struct cadre_ctx *ctx, void *arg)
{
    struct stream *s = arg;
    struct pair pair;
    int code, n;

    (void)ctx; /* to the end: closing is what ends a receiver */
    while ((code = cadre_recv(NULL, &s->out, &pair)) == 0) {
        n = atomic_fetch_add(&s->received, 1) + 1;
        test_check(*pair.number == n && pair.square == (long)n * n);
        free(pair.number);
        if (n == s->take && s->leaves)
            return 0;
        if (n == s->take)
            cadre_chan_close(&s->out);
    }
    test_check(code == -EPIPE);
    return 0;
}

static int map(struct cadre_ctx *ctx, struct stream *s)
{
    return cadre_map_stream(ctx, &s->in, &s->out, square, s, s->window, &s->options);
}

/* Runs it with both ends, from this thread, and settles the accounts. */
static int run(struct cadre_ctx *ctx, struct stream *s)
{
    struct cadre_group ends = { 0 };
    int code, calls;

    cadre_go(&ends, feed, s);
    cadre_go(&ends, drain, s);
    code = map(ctx, s);
    cadre_chan_close(&s->in);
    test_check(cadre_wait(&ends) == 0);
    cadre_chan_finish(&s->in);
    cadre_chan_finish(&s->out);
    calls = atomic_load(&s->calls);
    test_check(atomic_load(&s->fed) == calls + atomic_load(&s->destroyed_in));
    test_check(calls == atomic_load(&s->failed) + atomic_load(&s->received) + atomic_load(&s->destroyed_out));
    test_check(atomic_load(&s->now) == 0);
    return code;
}

/* ---- all goes well ---- */

static void test_elements_come_out_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(100); i++) {
        struct stream s = { .total = 200, .options = { .limit = i % 7 }, .window = (size_t)(i % 3) * 7 };

        prepare(&s, (size_t)i % (ROOM + 1));
        assert_int_equal(run(NULL, &s), 0);
        assert_int_equal(atomic_load(&s.received), 200);
        assert_int_equal(atomic_load(&s.destroyed_out), 0);
    }
}

static void test_nothing_in_nothing_out(void **state)
{
    struct stream s = { .total = 0 };

    (void)state;
    prepare(&s, 0);
    assert_int_equal(run(NULL, &s), 0);
    assert_int_equal(atomic_load(&s.calls), 0);
}

static int signal_fn(struct cadre_ctx *ctx, const void *from, void *to, void *arg)
{
    test_check(from != NULL && to != NULL);
    return count_task(ctx, arg);
}

static void test_signals_are_passed_on(void **state)
{
    struct cadre_chan in = { .capacity = 100 }, out = { .capacity = 100 };
    atomic_int calls = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_send(NULL, &in, NULL), 0);
    cadre_chan_close(&in);
    assert_int_equal(cadre_map_stream(NULL, &in, &out, signal_fn, &calls, 0, NULL), 0);
    assert_int_equal(atomic_load(&calls), 100);
    assert_int_equal(cadre_chan_length(&out), 100);
}

static int map_stage(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    struct stream *s = arg;

    return cadre_map_stream(ctx, in, out, square, s, s->window, &s->options);
}

static int feed_stage(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    (void)in, (void)out;
    return feed(ctx, arg);
}

static int drain_stage(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    (void)in, (void)out;
    return drain(ctx, arg);
}

static void test_it_is_a_stage_of_a_pipeline(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(100); i++) {
        struct stream s = { .total = -1, .take = 50, .leaves = true, .options = { .limit = 3 } };
        const struct cadre_stage stages[] = { { feed_stage, &s, 1, "feed", &s.in },
                                              { map_stage, &s, 1, "map", &s.out },
                                              { drain_stage, &s, 1, "drain", NULL } };

        prepare(&s, (size_t)i % (ROOM + 1));
        assert_int_equal(cadre_pipeline(NULL, stages, 3), 0);
        assert_int_equal(atomic_load(&s.received), 50);
        assert_int_equal(atomic_load(&s.calls), 50 + atomic_load(&s.destroyed_out));
        assert_int_equal(atomic_load(&s.fed), atomic_load(&s.calls) + atomic_load(&s.destroyed_in));
    }
}

/* ---- how much at once ---- */

struct mapping {
    struct stream *stream;
    struct cadre_ctx ctx;
    int code;
};

static int run_mapping(struct cadre_ctx *ctx, void *arg)
{
    struct mapping *m = arg;

    (void)ctx;
    m->code = run(&m->ctx, m->stream);
    return 0;
}

static int map_only(struct cadre_ctx *ctx, void *arg)
{
    struct mapping *m = arg;

    (void)ctx;
    m->code = map(&m->ctx, m->stream);
    return 0;
}

static void test_as_many_calls_as_the_limit_says(void **state)
{
    struct stream s = { .total = 100, .gated = -1, .options = { .limit = 5 }, .window = 20 };
    struct mapping m = { .stream = prepare(&s, 2) };
    struct cadre_group g = { 0 };

    (void)state;
    cadre_go(&g, run_mapping, &m);
    test_until(atomic_load(&s.now) == 5);
    gate_open(&s.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(m.code, 0);
    assert_int_equal(atomic_load(&s.received), 100);
    assert_int_equal(atomic_load(&s.most), 5);
}

static void test_a_slow_element_holds_up_no_more_than_the_window(void **state)
{
    struct stream s = { .total = 100, .gated = 1, .options = { .limit = 3 }, .window = 10 };
    struct mapping m = { .stream = prepare(&s, ROOM) };
    struct cadre_group g = { 0 };

    (void)state;
    cadre_go(&g, run_mapping, &m);
    test_until(atomic_load(&s.calls) == 10 && atomic_load(&s.now) == 1); /* the others did what there is room for */
    eventually(cadre_chan_length(&s.in) == ROOM && blocked_senders(&s.in) == 1);
    assert_int_equal(atomic_load(&s.calls), 10);
    assert_int_equal(atomic_load(&s.fed), 10 + ROOM);
    assert_int_equal(atomic_load(&s.received), 0);
    gate_open(&s.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(m.code, 0);
    assert_int_equal(atomic_load(&s.received), 100);
}

/* Nobody receives: the calls go on until the window is full, and all of them at once. */
static void test_a_slow_receiver_holds_up_no_call(void **state)
{
    struct stream s = { .total = 100, .gated = -1, .options = { .limit = 2 }, .window = 6 };
    struct mapping m = { .stream = prepare(&s, 0) };
    struct cadre_group g = { 0 }, feeder = { 0 };

    (void)state;
    cadre_go(&feeder, feed, &s);
    cadre_go(&g, map_only, &m);
    test_until(atomic_load(&s.now) == 2);
    gate_open(&s.gate);
    test_until(atomic_load(&s.calls) == 6 && atomic_load(&s.now) == 0);
    eventually(blocked_senders(&s.out) == 1);
    cadre_ctx_cancel(&m.ctx, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(m.code, -ECANCELED);
    assert_int_equal(atomic_load(&s.destroyed_out), 6);
    cadre_chan_finish(&s.in);
    assert_int_equal(cadre_wait(&feeder), 0);
}

/* ---- errors ---- */

static int run_in_task(struct cadre_ctx *ctx, void *arg) { return run(ctx, arg); }

static struct cadre_error error_of(struct stream *s)
{
    struct cadre_group g = { 0 };

    cadre_go(&g, run_in_task, s);
    cadre_wait(&g);
    return cadre_group_error(&g);
}

static void test_the_first_error_ends_it_and_keeps_its_message(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct stream s = { .total = -1, .fail_at = 1 + i % 50, .options = { .limit = 1 + i % 5 } };
        struct cadre_error error = error_of(prepare(&s, (size_t)i % (ROOM + 1)));

        assert_int_equal(error.code, -EDOM);
        assert_int_equal(strncmp(error.message, "no square of ", 13), 0);
        assert_true(atomic_load(&s.received) < s.fail_at);
    }
}

static void test_a_panic_is_an_error_like_any_other(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct stream s = { .total = -1, .fail_at = 1 + i % 50, .panics = true, .options = { .limit = 1 + i % 5 } };

        assert_int_equal(error_of(prepare(&s, (size_t)i % (ROOM + 1))).code, -ENOTRECOVERABLE);
    }
}

static void test_a_closed_out_is_a_broken_pipe(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct stream s = { .total = -1, .take = 1 + i % 20, .options = { .limit = 1 + i % 5 } };

        prepare(&s, (size_t)i % (ROOM + 1));
        assert_int_equal(run(NULL, &s), -EPIPE);
        assert_true(atomic_load(&s.received) >= s.take);
    }
}

/* ---- contexts ---- */

static void *cancel_after(void *arg)
{
    struct mapping *m = arg;

    test_until(atomic_load(&m->stream->received) >= m->code);
    cadre_ctx_cancel(&m->ctx, 0, NULL);
    return NULL;
}

static void test_a_cancel_ends_it_at_any_point(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(100); i++) {
        struct stream s = { .total = -1, .options = { .limit = 1 + i % 5 } };
        struct mapping m = { .stream = prepare(&s, (size_t)i % (ROOM + 1)), .code = i };
        pthread_t thread = thread_start(cancel_after, &m);

        assert_int_equal(run(&m.ctx, &s), -ECANCELED);
        thread_join(thread);
    }
}

static int cancel_when_blocked(struct cadre_ctx *ctx, void *arg)
{
    struct mapping *m = arg;

    (void)ctx;
    eventually(blocked_receivers(&m->stream->in) == 1 || blocked_senders(&m->stream->out) == 1);
    cadre_ctx_cancel(&m->ctx, 0, NULL);
    return 0;
}

static void check_cancel_while_blocked(int ready)
{
    struct stream s = { .options = { .limit = 3 } };
    struct mapping m = { .stream = prepare(&s, ROOM) };
    struct cadre_group g = { 0 };

    s.out.capacity = 0; /* and nobody receives */
    for (int i = 1; i <= ready; i++) {
        int *number = malloc(sizeof *number);

        *number = i;
        assert_int_equal(cadre_try_send(&s.in, &number), 0);
    }
    cadre_go(&g, cancel_when_blocked, &m);
    assert_int_equal(map(&m.ctx, &s), -ECANCELED);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_try_recv(&s.out, &(struct pair){ 0 }), -EPIPE);
    assert_int_equal(atomic_load(&s.calls), atomic_load(&s.destroyed_out));
    cadre_chan_finish(&s.in);
    assert_int_equal(ready, atomic_load(&s.destroyed_out) + atomic_load(&s.destroyed_in));
}

static void test_a_cancel_reaches_who_waits_for_in(void **state)
{
    (void)state;
    check_cancel_while_blocked(0);
}

static void test_a_cancel_reaches_who_waits_for_out(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++)
        check_cancel_while_blocked(1 + i % ROOM);
}

static void test_nothing_is_received_under_an_ended_context(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct stream s = { .total = 20 };

    (void)state;
    cadre_ctx_cancel(&ctx, 0, NULL);
    prepare(&s, 2);
    assert_int_equal(run(&ctx, &s), -ECANCELED);
    assert_int_equal(atomic_load(&s.calls), 0);
}

/* ---- wrong use ---- */

static int map_with(struct stream *s, size_t window, struct cadre_jobs_options options)
{
    prepare(s, 1);
    return cadre_map_stream(NULL, &s->in, &s->out, square, s, window, &options);
}

static void test_wrong_arguments_are_told_and_close_out(void **state)
{
    struct stream s = { 0 };
    struct cadre_group g = { 0 };
    struct cadre_error errors[1];

    (void)state;
    assert_int_equal(map_with(&s, 2, (struct cadre_jobs_options){ .limit = 3 }), -EINVAL);
    assert_int_equal(cadre_try_recv(&s.out, &(struct pair){ 0 }), -EPIPE);
    assert_int_equal(map_with(&s, 0, (struct cadre_jobs_options){ .limit = -1 }), -EINVAL);
    assert_int_equal(map_with(&s, 0, (struct cadre_jobs_options){ .errors = errors }), -EINVAL);
    assert_int_equal(map_with(&s, 0, (struct cadre_jobs_options){ .rest = &g }), -EINVAL);
    prepare(&s, 1);
    assert_int_equal(cadre_map_stream(NULL, NULL, &s.out, square, &s, 0, NULL), -EINVAL);
    assert_int_equal(cadre_map_stream(NULL, &s.in, NULL, square, &s, 0, NULL), -EINVAL);
    assert_int_equal(cadre_map_stream(NULL, &s.in, &s.out, NULL, &s, 0, NULL), -EINVAL);
    assert_int_equal(cadre_map_stream(NULL, &s.in, &s.out, square, &s, SIZE_MAX / 8, NULL), -ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements_come_out_in_order),
        cmocka_unit_test(test_nothing_in_nothing_out),
        cmocka_unit_test(test_signals_are_passed_on),
        cmocka_unit_test(test_it_is_a_stage_of_a_pipeline),
        cmocka_unit_test(test_as_many_calls_as_the_limit_says),
        cmocka_unit_test(test_a_slow_element_holds_up_no_more_than_the_window),
        cmocka_unit_test(test_a_slow_receiver_holds_up_no_call),
        cmocka_unit_test(test_the_first_error_ends_it_and_keeps_its_message),
        cmocka_unit_test(test_a_panic_is_an_error_like_any_other),
        cmocka_unit_test(test_a_closed_out_is_a_broken_pipe),
        cmocka_unit_test(test_a_cancel_ends_it_at_any_point),
        cmocka_unit_test(test_a_cancel_reaches_who_waits_for_in),
        cmocka_unit_test(test_a_cancel_reaches_who_waits_for_out),
        cmocka_unit_test(test_nothing_is_received_under_an_ended_context),
        cmocka_unit_test(test_wrong_arguments_are_told_and_close_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
