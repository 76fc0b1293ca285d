/* SPDX-License-Identifier: MIT
 * Waiting for several descriptors: which of them, until when, and what is passed over. */
#define _GNU_SOURCE 1
#include "test.h"

#include <limits.h>
#include <time.h>

#include "io.h"

#define MANY 40 /* more than a call has room for on its stack */

static struct pollfd for_reading(int fd) { return (struct pollfd){ .fd = fd, .events = POLLIN, .revents = POLLNVAL }; }

/* ---- nothing to wait for ---- */

static int poll_nothing(struct cadre_ctx *ctx, void *arg)
{
    cadre_time until = cadre_in(CADRE_MS(2));
    struct cadre_ctx soon = { .parent = ctx, .deadline = until };
    struct pollfd none = for_reading(-1);

    (void)arg;
    test_check(kept(cadre_poll(ctx, NULL, 0, until)) == 0);
    test_check(cadre_now() >= until);
    test_check(kept(cadre_poll(ctx, NULL, 0, 1)) == 0);
    test_check(kept(cadre_poll(&soon, NULL, 0, 0)) == -ETIMEDOUT);
    test_check(kept(cadre_poll(ctx, &none, 1, cadre_in(CADRE_MS(1)))) == 0);
    test_check(none.revents == 0);
    return 0;
}

static void with_nothing_to_wait_for_it_waits_for_the_deadline(void **state)
{
    (void)state;
    everywhere(poll_nothing, NULL);
}

struct polling {
    struct pollfd *fds;
    size_t n;
    cadre_time deadline;
    struct cadre_ctx ctx;
    int result;
    atomic_int returned;
};

static int poll_once(struct cadre_ctx *ctx, void *arg)
{
    struct polling *p = arg;

    (void)ctx;
    p->result = (int)kept(cadre_poll(&p->ctx, p->fds, p->n, p->deadline));
    atomic_store(&p->returned, 1);
    return 0;
}

static void a_cancel_ends_it_with_nothing_to_wait_for(void **state)
{
    struct polling p = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&g, poll_once, &p), 0);
    until_waiting(1);
    cadre_ctx_cancel(&p.ctx, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(p.result, -ECANCELED);
}

/* ---- which ---- */

/* One after the other becomes readable while the call waits for all; every third number is negative. */
static int poll_each(struct cadre_ctx *ctx, void *arg)
{
    int n = *(int *)arg, ends[MANY][2];
    struct pollfd fds[MANY];
    struct polling p = { .fds = fds, .n = (size_t)n };

    (void)ctx;
    for (int i = 0; i < n; i++) {
        make_pair(ends[i]);
        fds[i] = for_reading(i % 3 == 2 ? -ends[i][0] : ends[i][0]);
    }
    for (int i = 0; i < n; i++) {
        struct cadre_group g = { 0 };

        if (i % 3 == 2)
            continue;
        test_check(cadre_go(&g, poll_once, &p) == 0);
        until_waiting(1);
        put_byte(ends[i][1]);
        test_check(cadre_wait(&g) == 0);
        test_check(p.result == 1);
        for (int j = 0; j < n; j++)
            test_check(fds[j].revents == (j == i ? POLLIN : 0));
        take_byte(ends[i][0]);
    }
    for (int i = 0; i < n; i++)
        close_both(ends[i]);
    return 0;
}

static void it_says_which_descriptor_has_an_event(void **state)
{
    const int numbers[] = { 1, 2, 16, 17, MANY };

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int n = numbers[i];

        assert_int_equal(poll_each(NULL, &n), 0);
    }
}

static int poll_ready(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx ended = { .parent = ctx, .deadline = 1 };
    int ends[2], other[2];
    struct pollfd fds[4];

    (void)arg;
    make_pair(ends);
    make_pair(other);
    put_byte(ends[1]);
    fds[0] = for_reading(ends[0]);
    fds[1] = for_reading(other[0]);
    fds[2] = (struct pollfd){ .fd = ends[0], .events = POLLOUT }; /* once more */
    fds[3] = (struct pollfd){ .fd = other[0], .events = POLLIN | POLLOUT };
    test_check(kept(cadre_poll(&ended, fds, 4, 1)) == 3);
    test_check(fds[0].revents == POLLIN && fds[1].revents == 0 && fds[2].revents == POLLOUT && fds[3].revents == POLLOUT);
    test_check(kept(cadre_poll(&ended, fds + 1, 1, 0)) == -ETIMEDOUT);
    test_check(kept(cadre_poll(&ended, fds + 1, 1, 1)) == 0);
    close_both(ends);
    close_both(other);
    return 0;
}

static void what_is_ready_is_told_whatever_has_ended(void **state)
{
    (void)state;
    everywhere(poll_ready, NULL);
}

static int poll_twice_the_same(struct cadre_ctx *ctx, void *arg)
{
    int ends[2];
    struct pollfd fds[2];
    struct polling p = { .fds = fds, .n = 2 };
    struct cadre_group g = { .parent = ctx };

    (void)arg;
    make_pair(ends);
    fds[0] = fds[1] = for_reading(ends[0]);
    test_check(cadre_go(&g, poll_once, &p) == 0);
    until_waiting(1);
    put_byte(ends[1]);
    test_check(cadre_wait(&g) == 0);
    test_check(p.result == 2 && fds[0].revents == POLLIN && fds[1].revents == POLLIN);
    close_both(ends);
    return 0;
}

static void a_descriptor_may_be_there_twice(void **state)
{
    (void)state;
    in_a_task(poll_twice_the_same, NULL);
}

static int poll_closed(struct cadre_ctx *ctx, void *arg)
{
    int ends[2];
    struct pollfd fds[2];

    (void)arg;
    make_pair(ends);
    fds[0] = for_reading(ends[0]);
    fds[1] = for_reading(ends[1]);
    close(ends[1]);
    test_check(kept(cadre_poll(ctx, fds + 1, 1, 0)) == 1);
    test_check(fds[1].revents == POLLNVAL);
    test_check(kept(cadre_poll(ctx, fds, 2, 0)) == 2);
    test_check(fds[0].revents == (POLLIN | POLLHUP) && fds[1].revents == POLLNVAL);
    close(ends[0]);
    return 0;
}

static void what_is_no_descriptor_is_marked_so(void **state)
{
    (void)state;
    everywhere(poll_closed, NULL);
}

static void closing_one_of_them_ends_it(void **state)
{
    int a[2], b[2];
    struct pollfd fds[2];
    struct polling p = { .fds = fds, .n = 2 };
    struct cadre_group g = { 0 };

    (void)state;
    make_pair(a);
    make_pair(b);
    fds[0] = for_reading(a[0]);
    fds[1] = for_reading(b[0]);
    assert_int_equal(cadre_go(&g, poll_once, &p), 0);
    until_waiting(1);
    assert_int_equal(cadre_close(b[0]), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(p.result, -EBADF);
    close(b[1]);
    close_both(a);
}

/* ---- until when ---- */

static int poll_until(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx early = { .parent = ctx, .deadline = cadre_in(CADRE_MS(2)) }, late = { .deadline = cadre_in(CADRE_SEC(100)) };
    struct pollfd one = for_reading(*(int *)arg);
    cadre_time soon = cadre_in(CADRE_MS(2));

    test_check(kept(cadre_poll(&early, &one, 1, cadre_in(CADRE_SEC(100)))) == -ETIMEDOUT);
    test_check(kept(cadre_poll(&late, &one, 1, soon)) == 0);
    test_check(one.revents == 0 && cadre_now() >= soon);
    return 0;
}

static void its_own_deadline_gives_nothing_and_the_contexts_an_error(void **state)
{
    int ends[2];

    (void)state;
    make_pair(ends);
    everywhere(poll_until, &ends[0]);
    close_both(ends);
}

static void a_cancel_ends_it(void **state)
{
    int ends[MANY][2];
    struct pollfd fds[MANY];
    struct polling p = { .fds = fds, .n = MANY, .deadline = cadre_in(CADRE_SEC(100)) };
    struct plain_call call = { poll_once, &p };
    pthread_t thread;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        make_pipe(ends[i]);
        fds[i] = for_reading(ends[i][0]);
    }
    thread = thread_start(call_plainly, &call);
    until_waiting(1);
    cadre_ctx_cancel(&p.ctx, 0, NULL);
    thread_join(thread);
    assert_int_equal(p.result, -ECANCELED);
    for (int i = 0; i < MANY; i++)
        close_both(ends[i]);
}

static cadre_time processor_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return CADRE_SEC(t.tv_sec) + t.tv_nsec;
}

static int poll_a_file(struct cadre_ctx *ctx, void *arg)
{
    int ends[2];
    struct pollfd fds[2] = { { .fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC), .events = POLLIN } };
    cadre_time before = processor_time();

    (void)arg;
    make_pair(ends);
    fds[1] = for_reading(ends[0]);
    test_check(kept(cadre_poll(ctx, fds, 2, 0)) == 1);
    test_check(fds[0].revents == POLLIN && fds[1].revents == 0);
    fds[0].events = 0; /* nothing of it is wanted now */
    test_check(kept(cadre_poll(ctx, fds, 2, cadre_in(CADRE_MS(400)))) == 0);
    test_check(processor_time() - before < CADRE_MS(200));
    put_byte(ends[1]);
    test_check(kept(cadre_poll(ctx, fds, 2, 0)) == 1 && fds[1].revents == POLLIN);
    close_both(ends);
    close(fds[0].fd);
    return 0;
}

static void a_file_among_them_is_ready_or_does_not_count(void **state)
{
    (void)state;
    in_a_task(poll_a_file, NULL);
    on_a_thread(poll_a_file, NULL);
}

/* ---- many ---- */

struct herd {
    int ends[8][2];
    int bytes;
    atomic_int taken;
    struct cadre_ctx over;
};

/* Whoever is first takes the byte. */
static int graze(struct cadre_ctx *ctx, void *arg)
{
    struct herd *herd = arg;
    struct pollfd fds[8];
    int n;
    char byte;

    (void)ctx;
    for (int i = 0; i < 8; i++)
        fds[i] = for_reading(herd->ends[i][0]);
    while ((n = cadre_poll(&herd->over, fds, 8, 0)) > 0)
        for (int i = 0; i < 8; i++)
            if (fds[i].revents != 0 && read(fds[i].fd, &byte, 1) == 1)
                atomic_fetch_add(&herd->taken, 1);
    test_check(n == -ECANCELED);
    return 0;
}

static void many_may_wait_for_the_same_ones(void **state)
{
    struct herd herd = { .bytes = times(2000) };
    struct plain_call call = { graze, &herd };
    struct cadre_group g = { 0 };
    pthread_t thread;

    (void)state;
    for (int i = 0; i < 8; i++) {
        make_pipe(herd.ends[i]);
        set_nonblocking(herd.ends[i][0], true);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(cadre_go(&g, graze, &herd), 0);
    thread = thread_start(call_plainly, &call);
    for (int i = 0; i < herd.bytes; i++) {
        put_byte(herd.ends[i % 8][1]);
        if (i % 3 == 0)
            test_until(atomic_load(&herd.taken) == i + 1);
    }
    test_until(atomic_load(&herd.taken) == herd.bytes);
    cadre_ctx_cancel(&herd.over, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    thread_join(thread);
    for (int i = 0; i < 8; i++)
        close_both(herd.ends[i]);
}

static int call_wrongly(struct cadre_ctx *ctx, void *arg)
{
    struct pollfd one = for_reading(0);

    (void)arg;
    test_check(kept(cadre_poll(ctx, NULL, 1, 0)) == -EINVAL);
    test_check(kept(cadre_poll(ctx, &one, 1, -1)) == -EINVAL);
    return 0;
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    everywhere(call_wrongly, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_nothing_to_wait_for_it_waits_for_the_deadline),
        cmocka_unit_test(a_cancel_ends_it_with_nothing_to_wait_for),
        cmocka_unit_test(it_says_which_descriptor_has_an_event),
        cmocka_unit_test(what_is_ready_is_told_whatever_has_ended),
        cmocka_unit_test(a_descriptor_may_be_there_twice),
        cmocka_unit_test(what_is_no_descriptor_is_marked_so),
        cmocka_unit_test(closing_one_of_them_ends_it),
        cmocka_unit_test(its_own_deadline_gives_nothing_and_the_contexts_an_error),
        cmocka_unit_test(a_cancel_ends_it),
        cmocka_unit_test(a_file_among_them_is_ready_or_does_not_count),
        cmocka_unit_test(many_may_wait_for_the_same_ones),
        cmocka_unit_test(wrong_arguments_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
