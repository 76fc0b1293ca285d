/* SPDX-License-Identifier: MIT
 * Waiting for one descriptor: who is woken by which event, how a wait ends otherwise, and what becomes of it when the
 * descriptor is closed and its number used again. */
#define _GNU_SOURCE 1
#include "test.h"

#include <limits.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "io.h"

#define MANY 20

/* ---- events ---- */

static int look_at_what_is_ready(struct cadre_ctx *ctx, void *arg)
{
    int ends[2];

    (void)arg;
    make_pair(ends);
    test_check(kept(cadre_wait_fd(ctx, ends[0], POLLOUT)) == POLLOUT);
    put_byte(ends[1]);
    test_check(kept(cadre_wait_fd(ctx, ends[0], POLLIN)) == POLLIN);
    test_check(kept(cadre_wait_fd(ctx, ends[0], POLLIN | POLLOUT)) == (POLLIN | POLLOUT));
    close(ends[1]);
    test_check(kept(cadre_wait_fd(ctx, ends[0], POLLOUT)) == (POLLOUT | POLLHUP));
    close(ends[0]);
    return 0;
}

static void what_is_ready_before_the_wait_is_told_at_once(void **state)
{
    (void)state;
    everywhere(look_at_what_is_ready, NULL);
}

struct rounds {
    int ends[2];
    int n;
    atomic_int waited;
};

static int wait_each_round(struct cadre_ctx *ctx, void *arg)
{
    struct rounds *rounds = arg;

    for (int i = 0; i < rounds->n; i++) {
        test_check(kept(cadre_wait_fd(ctx, rounds->ends[0], POLLIN)) == POLLIN);
        take_byte(rounds->ends[0]);
        atomic_store(&rounds->waited, i + 1);
    }
    return 0;
}

/* Write a byte i steps after the one before was read: before the next wait, while it parks, and after that. */
static void write_each_round(struct rounds *rounds)
{
    for (int i = 0; i < rounds->n; i++) {
        cadre_time end = cadre_in(CADRE_SEC(60));

        while (atomic_load(&rounds->waited) < i)
            test_check(cadre_now() < end);
        for (int j = 0; j < (i % 200) * 20; j++)
            atomic_load(&rounds->waited);
        put_byte(rounds->ends[1]);
    }
}

static void an_event_is_not_missed_at_whatever_moment_it_comes(void **state)
{
    struct rounds rounds = { .n = times(10000) };
    struct cadre_group g = { 0 };
    struct plain_call call = { wait_each_round, &rounds };
    pthread_t thread;

    (void)state;
    make_pair(rounds.ends);
    assert_int_equal(cadre_go(&g, wait_each_round, &rounds), 0);
    write_each_round(&rounds);
    assert_int_equal(cadre_wait(&g), 0);
    rounds.waited = 0;
    thread = thread_start(call_plainly, &call);
    write_each_round(&rounds);
    thread_join(thread);
    close_both(rounds.ends);
}

static void start_waiters(struct cadre_group *g, struct waiter *waiters, int n, int fd, int events)
{
    for (int i = 0; i < n; i++) {
        waiters[i] = (struct waiter){ .fd = fd, .events = events };
        test_check(cadre_go(g, wait_once, &waiters[i]) == 0);
    }
}

static void all_who_wait_for_an_event_get_it(void **state)
{
    struct waiter waiters[MANY];
    struct cadre_group g = { 0 };
    int ends[2];

    (void)state;
    make_pair(ends);
    start_waiters(&g, waiters, MANY, ends[0], POLLIN);
    until_waiting(MANY);
    put_byte(ends[1]);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(waiters[i].result, POLLIN);
    close_both(ends);
}

static void an_event_wakes_only_those_who_asked_for_it(void **state)
{
    struct waiter in[MANY], out[MANY];
    struct cadre_group ins = { 0 }, outs = { 0 };
    int ends[2];
    size_t size;

    (void)state;
    make_pair(ends);
    size = fill(ends[0]);
    start_waiters(&ins, in, MANY, ends[0], POLLIN);
    start_waiters(&outs, out, MANY, ends[0], POLLOUT);
    until_waiting(2 * MANY);
    drain(ends[1], size);
    assert_int_equal(cadre_wait(&outs), 0);
    until_waiting(MANY);
    put_byte(ends[1]);
    assert_int_equal(cadre_wait(&ins), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(out[i].result, POLLOUT);
        assert_int_equal(in[i].result, POLLIN); /* that it can be written is none of their business */
    }
    close_both(ends);
}

/* Who reads and who writes are told at once, each of what he asked for and of that. */
static void all_hear_of_a_hang_up(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct waiter in, out, neither;
        struct cadre_group g = { 0 };
        int ends[2];

        make_pair(ends);
        fill(ends[0]);
        start_waiters(&g, &in, 1, ends[0], POLLIN);
        start_waiters(&g, &out, 1, ends[0], POLLOUT);
        start_waiters(&g, &neither, 1, ends[0], POLLPRI);
        until_waiting(3);
        close(ends[1]);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(in.result & ~(POLLIN | POLLERR), POLLHUP);
        assert_int_equal(out.result & ~(POLLOUT | POLLERR), POLLHUP);
        assert_int_equal(neither.result & ~POLLERR, POLLHUP);
        close(ends[0]);
    }
}

/* ---- cancel and deadline ---- */

static int look_under_an_ended_context(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx late = { .deadline = 1 }, cancelled = { 0 };
    int ends[2];

    (void)ctx;
    (void)arg;
    make_pair(ends);
    cadre_ctx_cancel(&cancelled, 0, NULL);
    test_check(kept(cadre_wait_fd(&cancelled, ends[0], POLLIN)) == -ECANCELED);
    test_check(kept(cadre_wait_fd(&late, ends[0], POLLIN)) == -ETIMEDOUT);
    test_check(kept(cadre_wait_fd(&late, ends[0], POLLOUT)) == POLLOUT);
    put_byte(ends[1]);
    test_check(kept(cadre_wait_fd(&cancelled, ends[0], POLLIN | POLLOUT)) == (POLLIN | POLLOUT));
    close_both(ends);
    test_check(kept(cadre_wait_fd(&cancelled, ends[0], POLLIN)) == -EBADF);
    return 0;
}

static void under_an_ended_context_only_what_is_ready_is_told(void **state)
{
    (void)state;
    everywhere(look_under_an_ended_context, NULL);
}

static int wait_for_the_deadline(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_MS(2)) };

    test_check(kept(cadre_wait_fd(&soon, *(int *)arg, POLLIN)) == -ETIMEDOUT);
    test_check(cadre_now() >= soon.deadline);
    return 0;
}

static void a_wait_ends_at_the_deadline(void **state)
{
    int ends[2];

    (void)state;
    make_pair(ends);
    everywhere(wait_for_the_deadline, &ends[0]);
    close_both(ends);
}

static void a_cancel_ends_the_waits_under_it_and_no_others(void **state)
{
    struct waiter waiters[MANY];
    struct plain_call call = { wait_once, &waiters[0] };
    struct cadre_group g = { 0 };
    pthread_t thread;
    int ends[2];

    (void)state;
    make_pair(ends);
    start_waiters(&g, waiters + 1, MANY - 1, ends[0], POLLIN);
    waiters[0] = (struct waiter){ .fd = ends[0], .events = POLLIN };
    thread = thread_start(call_plainly, &call);
    until_waiting(MANY);
    for (int i = 0; i < MANY; i += 2)
        cadre_ctx_cancel(&waiters[i].ctx, 0, NULL);
    until_waiting(MANY / 2);
    for (int i = 0; i < MANY; i++)
        test_until(atomic_load(&waiters[i].returned) == (i % 2 == 0));
    put_byte(ends[1]);
    thread_join(thread);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(waiters[i].result, i % 2 == 0 ? -ECANCELED : POLLIN);
    close_both(ends);
}

/* ---- closing ---- */

static void closing_ends_all_waits(void **state)
{
    struct waiter waiters[MANY];
    struct plain_call call = { wait_once, &waiters[0] };
    struct cadre_group g = { 0 };
    pthread_t thread;
    int ends[2];

    (void)state;
    make_pair(ends);
    start_waiters(&g, waiters + 1, MANY - 1, ends[0], POLLIN);
    waiters[0] = (struct waiter){ .fd = ends[0], .events = POLLIN | POLLPRI };
    thread = thread_start(call_plainly, &call);
    until_waiting(MANY);
    assert_int_equal(kept(cadre_close(ends[0])), 0);
    thread_join(thread);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(waiters[i].result, -EBADF);
    assert_int_equal(kept(cadre_close(ends[0])), -EBADF);
    close(ends[1]);
}

static void closing_closes_what_nobody_waited_for(void **state)
{
    int before = open_descriptors(), ends[2];

    (void)state;
    make_pipe(ends);
    assert_int_equal(kept(cadre_close(ends[0])), 0);
    assert_int_equal(kept(cadre_close(ends[1])), 0);
    assert_int_equal(kept(cadre_close(ends[1])), -EBADF);
    assert_int_equal(kept(cadre_close(-1)), -EBADF);
    assert_int_equal(kept(cadre_close(INT_MAX)), -EBADF);
    assert_int_equal(open_descriptors(), before);
}

/* Make something new with the number that a waiter's descriptor had, and wait for it. */
static void use_number_again(int fd, int (*make)(void))
{
    struct waiter stale = { .fd = fd, .events = POLLIN };
    struct cadre_group g = { 0 };
    int made;

    test_check(cadre_go(&g, wait_once, &stale) == 0);
    until_waiting(1);
    close(fd);
    made = make();
    test_check(made == fd);
    test_check(cadre_wait_fd(NULL, made, POLLOUT) == POLLOUT);
    test_until(atomic_load(&stale.returned) != 0);
    test_check(stale.result == -EBADF);
    test_check(cadre_wait(&g) == 0);
    close(made);
}

static int make_event(void) { return eventfd(0, EFD_CLOEXEC); }
static int make_file(void) { return open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); }
static int make_null(void) { return open("/dev/null", O_RDWR | O_CLOEXEC); }

static void who_waits_for_a_closed_descriptor_is_told_when_its_number_is_used_again(void **state)
{
    int (*const makes[])(void) = { make_event, make_file, make_null };
    int ends[2], spare;

    (void)state;
    for (size_t i = 0; i < sizeof makes / sizeof *makes; i++) {
        spare = makes[i]();
        if (spare < 0)
            continue; /* a file system without O_TMPFILE */
        close(spare);
        make_pair(ends);
        use_number_again(ends[0], makes[i]);
        close(ends[1]);
    }
}

static void a_descriptor_put_in_anothers_place_ends_the_waits_for_that(void **state)
{
    struct waiter stale, fresh;
    struct cadre_group g = { 0 };
    int old[2], new[2];

    (void)state;
    make_pair(old);
    make_pair(new);
    start_waiters(&g, &stale, 1, old[0], POLLIN);
    until_waiting(1);
    assert_int_equal(dup2(new[0], old[0]), old[0]);
    start_waiters(&g, &fresh, 1, old[0], POLLIN);
    test_until(atomic_load(&stale.returned) != 0);
    assert_int_equal(stale.result, -EBADF);
    put_byte(new[1]);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(fresh.result, POLLIN);
    close_both(old);
    close_both(new);
}

static int reuse(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx ended = { .deadline = 1 };

    for (int i = 0; i < *(int *)arg; i++) {
        int ends[2];

        (i % 3 == 0 ? make_pipe : make_pair)(ends);
        put_byte(ends[1]);
        test_check(cadre_wait_fd(ctx, ends[0], POLLIN) == POLLIN);
        take_byte(ends[0]);
        test_check(cadre_wait_fd(&ended, ends[0], POLLIN) == -ETIMEDOUT);
        test_check((i % 2 == 0 ? close : cadre_close)(ends[0]) == 0);
        test_check((i % 5 == 0 ? cadre_close : close)(ends[1]) == 0);
    }
    return 0;
}

static void a_number_can_be_used_any_number_of_times(void **state)
{
    struct cadre_group g = { 0 };
    int before = open_descriptors(), n = times(5000);

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(cadre_go(&g, reuse, &n), 0);
    assert_int_equal(reuse(NULL, &n), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(open_descriptors(), before);
}

/* ---- kinds and arguments ---- */

static int wait_for_files(struct cadre_ctx *ctx, void *arg)
{
    static const char *const names[] = { ".", "/dev/null", "/dev/zero", "/proc/self/stat" };

    (void)arg;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = open(names[i], O_RDONLY | O_CLOEXEC);

        test_check(kept(cadre_wait_fd(ctx, fd, POLLIN)) == POLLIN);
        test_check(kept(cadre_wait_fd(ctx, fd, POLLIN | POLLOUT)) == (POLLIN | POLLOUT));
        close(fd);
    }
    return 0;
}

static void what_cannot_be_waited_for_is_always_ready(void **state)
{
    (void)state;
    everywhere(wait_for_files, NULL);
}

static int call_wrongly(struct cadre_ctx *ctx, void *arg)
{
    int ends[2];

    (void)arg;
    make_pair(ends);
    test_check(kept(cadre_wait_fd(ctx, ends[0], 0)) == -EINVAL);
    test_check(kept(cadre_wait_fd(ctx, ends[0], -1)) == -EINVAL);
    test_check(kept(cadre_wait_fd(ctx, ends[0], 1 << 30 | POLLIN)) == -EINVAL);
    test_check(kept(cadre_wait_fd(ctx, -1, POLLIN)) == -EBADF);
    test_check(kept(cadre_wait_fd(ctx, INT_MIN, POLLIN)) == -EBADF);
    test_check(kept(cadre_wait_fd(ctx, INT_MAX, POLLIN)) == -EBADF);
    close_both(ends);
    test_check(kept(cadre_wait_fd(ctx, ends[0], POLLIN)) == -EBADF);
    return 0;
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    everywhere(call_wrongly, NULL);
}

static void a_number_that_is_no_descriptor_costs_nothing(void **state)
{
    struct rusage before, after;

    (void)state;
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(cadre_wait_fd(NULL, 10000000, POLLIN), -EBADF);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_minflt - before.ru_minflt < 1000); /* a table up to there would be tens of thousands of pages */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ready_before_the_wait_is_told_at_once),
        cmocka_unit_test(an_event_is_not_missed_at_whatever_moment_it_comes),
        cmocka_unit_test(all_who_wait_for_an_event_get_it),
        cmocka_unit_test(an_event_wakes_only_those_who_asked_for_it),
        cmocka_unit_test(all_hear_of_a_hang_up),
        cmocka_unit_test(under_an_ended_context_only_what_is_ready_is_told),
        cmocka_unit_test(a_wait_ends_at_the_deadline),
        cmocka_unit_test(a_cancel_ends_the_waits_under_it_and_no_others),
        cmocka_unit_test(closing_ends_all_waits),
        cmocka_unit_test(closing_closes_what_nobody_waited_for),
        cmocka_unit_test(a_descriptor_put_in_anothers_place_ends_the_waits_for_that),
        cmocka_unit_test(who_waits_for_a_closed_descriptor_is_told_when_its_number_is_used_again),
        cmocka_unit_test(a_number_can_be_used_any_number_of_times),
        cmocka_unit_test(what_cannot_be_waited_for_is_always_ready),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(a_number_that_is_no_descriptor_costs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
