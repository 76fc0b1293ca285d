/* SPDX-License-Identifier: MIT
 * cadre_pipeline: what flows through it, how stages end one after the other from either side, errors, cancels, and that
 * every element is received or destroyed exactly once. */
#include "test.h"

#include "blocked.h"
#include "cadre.h"
#include "tasks.h"

#define ROOM 4

/* A line of numbers: made by the first stage, passed on by others, taken by the last. Elements are malloc'ed, so that one
 * lost or destroyed twice is found. */
struct line {
    int total;      /* numbers to make, negative: no end */
    int take;       /* the last stage ends after so many, 0: never */
    int fail_after; /* the middle fails after so many, 0: never */
    bool panics;    /* by a panic */
    struct gate gate;
    atomic_int made, passed, taken, sum, ended, refused;
    bool in_order, saw_end;
};

static atomic_int destroyed;

static void destroy(void *element)
{
    free(*(int **)element);
    atomic_fetch_add(&destroyed, 1);
}

static int pass_on(struct cadre_ctx *ctx, struct cadre_chan *out, int *number)
{
    int code = cadre_send(ctx, out, &number);

    if (code != 0)
        destroy(&number);
    return code;
}

static int make(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    struct line *line = arg;
    int code = 0, n;

    test_check(in == NULL && out != NULL);
    while (code == 0 && ((n = atomic_fetch_add(&line->made, 1)) < line->total || line->total < 0)) {
        int *number = malloc(sizeof *number);

        test_check(number != NULL);
        *number = n;
        code = pass_on(ctx, out, number);
    }
    atomic_fetch_sub(&line->made, code == 0);
    if (code == -EPIPE)
        atomic_fetch_add(&line->refused, 1);
    return code;
}

static int fails(struct cadre_ctx *ctx, const struct line *line, int n)
{
    if (line->panics)
        cadre_panic("no way with %d", n);
    return cadre_fail(ctx, -EIO, "no way with %d", n);
}

static int pass(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    struct line *line = arg;
    int *number, code, passed;

    while ((code = cadre_recv(ctx, in, &number)) == 0) {
        passed = atomic_fetch_add(&line->passed, 1) + 1;
        if (line->fail_after > 0 && passed >= line->fail_after) {
            destroy(&number);
            return fails(ctx, line, passed);
        }
        if ((code = pass_on(ctx, out, number)) != 0)
            return code;
    }
    atomic_fetch_add(&line->ended, 1);
    return code == -EPIPE ? 0 : code;
}

static int take(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    struct line *line = arg;
    int *number, code;

    test_check(in != NULL && out == NULL);
    while ((code = cadre_recv(ctx, in, &number)) == 0) {
        int n = atomic_fetch_add(&line->taken, 1);

        line->in_order = (n == 0 || line->in_order) && *number == n;
        atomic_fetch_add(&line->sum, *number);
        free(number);
        if (n + 1 == line->take)
            return 0;
    }
    line->saw_end = code == -EPIPE;
    return code == -EPIPE ? 0 : code;
}

/* Holds its end of the channel, and returns what the gate says. */
static int hold(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    struct line *line = arg;

    (void)in, (void)out;
    atomic_fetch_add(&line->ended, 1);
    return gate_pass(ctx, &line->gate);
}

/* Make, pass and take, with `passers` in the middle, and channels of `room`. */
static int run(struct cadre_ctx *ctx, struct line *line, int passers, size_t room)
{
    int *slots[2][ROOM];
    struct cadre_chan chans[2] = { { sizeof(int *), room, slots[0], .destroy = destroy },
                                   { sizeof(int *), room, slots[1], .destroy = destroy } };
    const struct cadre_stage stages[] = {
        { make, line, 0, "make", &chans[0] },
        { pass, line, passers, "pass", &chans[1] },
        { take, line, 1, "take", NULL },
    };
    int code;

    atomic_store(&destroyed, 0);
    code = cadre_pipeline(ctx, stages, 3);
    test_check(cadre_chan_length(&chans[0]) == 0 && cadre_chan_length(&chans[1]) == 0);
    test_check(cadre_try_send(&chans[0], &(int *){ NULL }) == -EPIPE);
    test_check(atomic_load(&line->made) == atomic_load(&line->taken) + atomic_load(&destroyed));
    return code;
}

/* ---- all goes well ---- */

static void test_everything_flows_through_in_order(void **state)
{
    (void)state;
    for (size_t room = 0; room <= ROOM; room++) {
        struct line line = { .total = 1000 };

        assert_int_equal(run(NULL, &line, 0, room), 0); /* 0 tasks mean 1 */
        assert_int_equal(atomic_load(&line.taken), 1000);
        assert_int_equal(atomic_load(&destroyed), 0);
        assert_true(line.in_order);
        assert_true(line.saw_end);
    }
}

static void test_twenty_tasks_share_a_stage(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(100); i++) {
        struct line line = { .total = 200 };

        assert_int_equal(run(NULL, &line, 20, (size_t)i % ROOM), 0);
        assert_int_equal(atomic_load(&line.taken), 200); /* so the channel was closed after the last of them only */
        assert_int_equal(atomic_load(&line.sum), 199 * 200 / 2);
        assert_int_equal(atomic_load(&line.ended), 20);
    }
}

static int alone(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    test_check(in == NULL && out == NULL && cadre_ctx_error(ctx) == 0);
    return count_task(ctx, arg);
}

static void test_one_stage_is_enough(void **state)
{
    atomic_int count = 0;
    const struct cadre_stage stage = { alone, &count, 7, NULL, NULL };

    (void)state;
    assert_int_equal(cadre_pipeline(NULL, &stage, 1), 0);
    assert_int_equal(atomic_load(&count), 7);
}

static int run_in_task(struct cadre_ctx *ctx, void *arg) { return run(ctx, arg, 3, 2); }

static void test_a_task_may_run_one(void **state)
{
    struct line line = { .total = 500 };
    struct cadre_group g = { 0 };

    (void)state;
    cadre_go(&g, run_in_task, &line);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(atomic_load(&line.taken), 500);
}

/* ---- the end comes from below ---- */

static void test_a_consumer_that_ends_early_ends_all_without_error(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct line line = { .total = -1, .take = 10 };

        assert_int_equal(run(NULL, &line, 1 + i % 3, (size_t)i % (ROOM + 1)), 0);
        assert_int_equal(atomic_load(&line.taken), 10);
        assert_int_equal(atomic_load(&line.refused), 1); /* the maker was told */
    }
}

/* The last of three receivers to come stays until all senders wait for it. */
static int hold_on(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    struct line *line = arg;

    (void)ctx, (void)out;
    if (atomic_fetch_add(&line->ended, 1) < 2)
        return 0;
    eventually(blocked_senders(in) == 5);
    test_check(atomic_load(&line->refused) == 0);
    return 0;
}

static void test_a_channel_is_open_until_the_last_receiver_ends(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(100); i++) {
        struct line line = { .total = -1 };
        int *slots[ROOM];
        struct cadre_chan chan = { sizeof(int *), ROOM, slots, .destroy = destroy };
        const struct cadre_stage stages[] = { { make, &line, 5, NULL, &chan }, { hold_on, &line, 3, NULL, NULL } };

        atomic_store(&destroyed, 0);
        assert_int_equal(cadre_pipeline(NULL, stages, 2), 0);
        assert_int_equal(atomic_load(&line.refused), 5);
        assert_int_equal(atomic_load(&line.made), ROOM + 5);
        assert_int_equal(atomic_load(&destroyed), ROOM + 5);
    }
}

static int broken(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    (void)ctx, (void)in, (void)out, (void)arg;
    return -EPIPE;
}

static void test_a_broken_pipe_of_another_kind_is_an_error(void **state)
{
    struct line held = { 0 };
    struct cadre_chan chan = { 0 };
    const struct cadre_stage stages[] = { { broken, NULL, 1, NULL, &chan }, { hold, &held, 1, NULL, NULL } };

    (void)state;
    assert_int_equal(cadre_pipeline(NULL, stages, 2), -EPIPE);
    assert_int_equal(atomic_load(&held.taken), 0);
}

/* ---- errors ---- */

struct told {
    struct line line;
    int passers;
    size_t room;
};

static int run_told(struct cadre_ctx *ctx, void *arg)
{
    struct told *told = arg;

    return run(ctx, &told->line, told->passers, told->room);
}

static struct cadre_error error_of(struct told *told)
{
    struct cadre_group g = { 0 };

    cadre_go(&g, run_told, told);
    cadre_wait(&g);
    return cadre_group_error(&g);
}

static void test_an_error_in_the_middle_ends_all_and_keeps_its_message(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct told told = { { .total = -1, .fail_after = 50 }, 1 + i % 4, (size_t)i % (ROOM + 1) };
        struct cadre_error error = error_of(&told);

        assert_int_equal(error.code, -EIO);
        assert_int_equal(strncmp(error.message, "no way with ", 12), 0);
        assert_string_equal(error.file, __FILE__);
        assert_false(told.line.saw_end);
        assert_int_equal(run(NULL, &(struct line){ .total = -1, .fail_after = 5 }, 2, 1), -EIO); /* from a thread too */
    }
}

static void test_a_panic_in_the_middle_ends_all(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct told told = { { .total = -1, .fail_after = 20, .panics = true }, 1 + i % 4, (size_t)i % (ROOM + 1) };

        assert_int_equal(error_of(&told).code, -ENOTRECOVERABLE);
        assert_false(told.line.saw_end);
    }
}

static void test_a_failure_does_not_look_like_the_end(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(200); i++) {
        struct line line = { .total = 10, .fail_after = 1 + i % 10, .panics = (i & 1) != 0 };

        assert_int_equal(run(NULL, &line, 1, ROOM), line.panics ? -ENOTRECOVERABLE : -EIO);
        assert_false(line.saw_end);
    }
}

static int fails_full(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg)
{
    (void)out, (void)arg;
    eventually(cadre_chan_length(in) == ROOM && blocked_senders(in) == 3);
    return cadre_fail(ctx, -EBADMSG, "enough");
}

static void test_full_channels_are_emptied_after_an_error(void **state)
{
    struct line line = { .total = -1 };
    int *slots[ROOM];
    struct cadre_chan chan = { sizeof(int *), ROOM, slots, .destroy = destroy };
    const struct cadre_stage stages[] = { { make, &line, 3, NULL, &chan }, { fails_full, NULL, 1, NULL, NULL } };

    (void)state;
    atomic_store(&destroyed, 0);
    assert_int_equal(cadre_pipeline(NULL, stages, 2), -EBADMSG);
    assert_int_equal(atomic_load(&destroyed), ROOM + 3);
    assert_int_equal(atomic_load(&line.made), ROOM + 3);
}

/* ---- contexts ---- */

struct stop {
    struct cadre_ctx ctx;
    struct line line;
    int after;
};

static void *cancel_after(void *arg)
{
    struct stop *stop = arg;

    test_until(atomic_load(&stop->line.taken) >= stop->after);
    cadre_ctx_cancel(&stop->ctx, -EINTR, "stop");
    return NULL;
}

static void test_a_cancel_ends_it_at_any_point(void **state)
{
    (void)state;
    for (int i = 0; i < rounds(100); i++) {
        struct stop stop = { .line = { .total = -1 }, .after = i };
        pthread_t thread = thread_start(cancel_after, &stop);

        assert_int_equal(run(&stop.ctx, &stop.line, 1 + i % 5, (size_t)i % (ROOM + 1)), -ECANCELED);
        thread_join(thread);
    }
}

static void test_a_deadline_ends_it(void **state)
{
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(2)) };
    struct line line = { .total = -1 };

    (void)state;
    assert_int_equal(run(&ctx, &line, 2, 2), -ETIMEDOUT);
}

static void test_nothing_runs_under_an_ended_context(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct line line = { .total = -1 };

    (void)state;
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(run(&ctx, &line, 2, 2), -ECANCELED);
    assert_int_equal(atomic_load(&line.made), 0);
}

/* ---- wrong use ---- */

static void test_wrong_stages_are_told_and_leave_the_channels_alone(void **state)
{
    struct line line = { 0 };
    int *slots[ROOM];
    struct cadre_chan chan = { sizeof(int *), ROOM, slots, .destroy = destroy };
    const struct cadre_stage good[] = { { make, &line, 1, NULL, &chan }, { take, &line, 1, NULL, NULL } };
    struct cadre_stage bad[2];

    (void)state;
    assert_int_equal(cadre_pipeline(NULL, NULL, 1), -EINVAL);
    assert_int_equal(cadre_pipeline(NULL, good, 0), -EINVAL);
    for (int i = 0; i < 5; i++) {
        memcpy(bad, good, sizeof bad);
        if (i < 2)
            bad[i].fn = NULL;
        else if (i == 2)
            bad[0].out = NULL;
        else if (i == 3)
            bad[1].out = &chan;
        else
            bad[1].tasks = -1;
        assert_int_equal(cadre_pipeline(NULL, bad, 2), -EINVAL);
    }
    assert_int_equal(cadre_try_recv(&chan, &(int *){ NULL }), -EAGAIN); /* still open */
    assert_int_equal(atomic_load(&line.made), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_flows_through_in_order),
        cmocka_unit_test(test_twenty_tasks_share_a_stage),
        cmocka_unit_test(test_one_stage_is_enough),
        cmocka_unit_test(test_a_task_may_run_one),
        cmocka_unit_test(test_a_consumer_that_ends_early_ends_all_without_error),
        cmocka_unit_test(test_a_channel_is_open_until_the_last_receiver_ends),
        cmocka_unit_test(test_a_broken_pipe_of_another_kind_is_an_error),
        cmocka_unit_test(test_an_error_in_the_middle_ends_all_and_keeps_its_message),
        cmocka_unit_test(test_a_panic_in_the_middle_ends_all),
        cmocka_unit_test(test_a_failure_does_not_look_like_the_end),
        cmocka_unit_test(test_full_channels_are_emptied_after_an_error),
        cmocka_unit_test(test_a_cancel_ends_it_at_any_point),
        cmocka_unit_test(test_a_deadline_ends_it),
        cmocka_unit_test(test_nothing_runs_under_an_ended_context),
        cmocka_unit_test(test_wrong_stages_are_told_and_leave_the_channels_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
