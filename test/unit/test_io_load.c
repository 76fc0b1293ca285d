/* SPDX-License-Identifier: MIT
 * Descriptors under load: many at once, beside tasks that compute and sockets that are always ready, from tasks and plain
 * threads together, and in a child. */
#define _GNU_SOURCE 1
#include "test.h"

#include <sys/resource.h>

#include "child.h"
#include "io.h"
#include "platform/sanitizer.h"

#define ROUNDS 10

/* ---- many ---- */

/* One of two ends that throw a byte back and forth. */
struct player {
    int fd;
    bool serves;
};

static int play(struct cadre_ctx *ctx, void *arg)
{
    struct player *p = arg;
    char byte = 'x';

    for (int i = 0; i < ROUNDS; i++) {
        if (p->serves || i > 0)
            test_check(cadre_write(ctx, p->fd, &byte, 1) == 1);
        if (i < ROUNDS - 1 || !p->serves)
            test_check(cadre_read(ctx, p->fd, &byte, 1) == 1);
    }
    return 0;
}

static int pairs_that_may_be_open(int wanted)
{
    struct rlimit limit;

    test_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    test_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    return limit.rlim_cur < (rlim_t)(2 * wanted + 100) ? ((int)limit.rlim_cur - 100) / 2 : wanted;
}

static void a_thousand_pairs_of_tasks_talk_at_once(void **state)
{
    int n = pairs_that_may_be_open(times(1000));
    struct player *players = calloc((size_t)n, 2 * sizeof *players);
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < n; i++) {
        int ends[2];

        make_pair(ends);
        players[2 * i] = (struct player){ ends[0], true };
        players[2 * i + 1] = (struct player){ ends[1], false };
        for (int j = 0; j < 2; j++)
            assert_int_equal(cadre_go(&g, play, &players[2 * i + j]), 0);
    }
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < 2 * n; i++)
        close(players[i].fd);
    free(players);
}

/* ---- busy workers ---- */

struct load {
    struct cadre_group *group;
    atomic_int over, rounds;
};

static void compute_a_little(void)
{
    cadre_time end = cadre_in(CADRE_US(200));

    while (cadre_now() < end)
        ;
}

/* Computes all the time, but lets others have their turn. */
static int compute(struct cadre_ctx *ctx, void *arg)
{
    struct load *load = arg;

    (void)ctx;
    while (atomic_load(&load->over) == 0) {
        compute_a_little();
        cadre_yield();
    }
    return 0;
}

/* Computes, and starts another one that does. */
static int compute_on(struct cadre_ctx *ctx, void *arg)
{
    struct load *load = arg;

    (void)ctx;
    compute_a_little();
    if (atomic_load(&load->over) == 0)
        test_check(cadre_go(load->group, compute_on, load) == 0);
    return 0;
}

/* On a socket that is always ready. */
static int talk_to_itself(struct cadre_ctx *ctx, void *arg)
{
    struct load *load = arg;
    int ends[2];
    char byte = 'x';

    make_pair(ends);
    while (atomic_load(&load->over) == 0) {
        test_check(cadre_write(ctx, ends[0], &byte, 1) == 1);
        test_check(cadre_read(ctx, ends[1], &byte, 1) == 1);
        atomic_fetch_add(&load->rounds, 1);
    }
    close_both(ends);
    return 0;
}

struct echo {
    int fd, n;
};

static int answer(struct cadre_ctx *ctx, void *arg)
{
    struct echo *echo = arg;
    char byte;

    for (int i = 0; i < echo->n; i++) {
        test_check(cadre_wait_fd(ctx, echo->fd, POLLIN) == POLLIN);
        test_check(cadre_read(ctx, echo->fd, &byte, 1) == 1);
        test_check(cadre_write(ctx, echo->fd, &byte, 1) == 1);
    }
    return 0;
}

/* A task answers on its socket while every worker has more of these to do than it can. */
static void answer_beside(cadre_fn *busy)
{
    struct cadre_group g = { 0 }, answers = { 0 };
    struct load load = { .group = &g };
    int ends[2], n = 2 * cadre_workers();
    struct echo echo = { .n = 20 };

    make_pair(ends);
    echo.fd = ends[0];
    for (int i = 0; i < n; i++)
        assert_int_equal(cadre_go(&g, busy, &load), 0);
    assert_int_equal(cadre_go(&answers, answer, &echo), 0);
    for (int i = 0; i < echo.n; i++) {
        put_byte(ends[1]);
        take_byte(ends[1]);
    }
    assert_int_equal(cadre_wait(&answers), 0);
    atomic_store(&load.over, 1);
    assert_int_equal(cadre_wait(&g), 0);
    close_both(ends);
}

static void a_task_with_a_ready_descriptor_runs_beside_tasks_that_compute(void **state)
{
    (void)state;
    answer_beside(compute);
    answer_beside(compute_on);
}

static void sockets_that_are_always_ready_do_not_starve_others(void **state)
{
    (void)state;
    answer_beside(talk_to_itself);
}

/* ---- plain threads beside tasks ---- */

static int mix(struct cadre_ctx *ctx, void *arg)
{
    int n = *(int *)arg;

    for (int i = 0; i < n; i++) {
        struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_US(100)) };
        int ends[2];
        char byte;

        (i % 2 == 0 ? make_pair : make_pipe)(ends);
        test_check(cadre_read(&soon, ends[0], &byte, 1) == -ETIMEDOUT);
        test_check(cadre_write(ctx, ends[1], "x", 1) == 1);
        test_check(cadre_poll(ctx, (struct pollfd[]){ { .fd = ends[0], .events = POLLIN } }, 1, 0) == 1);
        test_check(cadre_read(ctx, ends[0], &byte, 1) == 1);
        test_check(cadre_close(ends[0]) == 0 && cadre_close(ends[1]) == 0);
    }
    return 0;
}

static void plain_threads_and_tasks_use_descriptors_side_by_side(void **state)
{
    enum { THREADS = 4, TASKS = 20 };
    int n = times(300);
    struct plain_call call = { mix, &n };
    struct cadre_group g = { 0 };
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        threads[i] = thread_start(call_plainly, &call);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(cadre_go(&g, mix, &n), 0);
    assert_int_equal(mix(NULL, &n), 0);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
}

/* A thread that comes, waits once and ends, over and over: nothing of it is left behind in the table. */
static void threads_may_come_and_go(void **state)
{
    struct cadre_group g = { 0 };
    struct load load = { 0 };
    int n = 1;

    (void)state;
    assert_int_equal(cadre_go(&g, talk_to_itself, &load), 0);
    for (int i = 0; i < times(300); i++)
        on_a_thread(mix, &n);
    atomic_store(&load.over, 1);
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- in a child ---- */

static void use_descriptors(void *arg)
{
    struct cadre_ctx soon = { .deadline = cadre_in(CADRE_MS(2)) };
    int *inherited = arg, n = 10;

    test_check(cadre_wait_fd(&soon, inherited[0], POLLIN) == -ETIMEDOUT);
    everywhere(mix, &n);
    test_check(cadre_block(NULL, mix, &n) == 0);
    test_check(cadre_close(inherited[0]) == 0 && cadre_close(inherited[1]) == 0);
}

static void a_child_uses_descriptors_afresh(void **state)
{
    struct waiter waiters[10];
    struct cadre_group g = { 0 };
    int ends[2];

    (void)state;
#ifdef CDR_TSAN
    skip(); /* it lets no child of a process with threads start threads */
#endif
    make_pair(ends);
    for (int i = 0; i < 10; i++) {
        waiters[i] = (struct waiter){ .fd = ends[0], .events = POLLIN };
        assert_int_equal(cadre_go(&g, wait_once, &waiters[i]), 0);
    }
    until_waiting(10);
    for (int i = 0; i < 5; i++)
        assert_true(passed(in_child(use_descriptors, ends)));
    until_waiting(10);
    put_byte(ends[1]); /* what the child did reaches nobody here */
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(waiters[i].result, POLLIN);
    close_both(ends);
}

static int mix_until_over(struct cadre_ctx *ctx, void *arg)
{
    struct load *load = arg;
    int n = 1;

    while (atomic_load(&load->over) == 0)
        test_check(mix(ctx, &n) == 0);
    return 0;
}

/* Whatever lock others hold at the moment of the fork, the child is not left with it. */
static void a_child_can_be_made_at_any_moment(void **state)
{
    struct cadre_group g = { 0 };
    struct load load = { 0 };
    int ends[2];

    (void)state;
#ifdef CDR_TSAN
    skip(); /* as above */
#endif
    make_pair(ends);
    for (int i = 0; i < 4; i++)
        assert_int_equal(cadre_go(&g, talk_to_itself, &load), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(cadre_go(&g, mix_until_over, &load), 0);
    for (int i = 0; i < 20; i++)
        assert_true(passed(in_child(use_descriptors, ends)));
    atomic_store(&load.over, 1);
    assert_int_equal(cadre_wait(&g), 0);
    close_both(ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_pairs_of_tasks_talk_at_once),
        cmocka_unit_test(a_task_with_a_ready_descriptor_runs_beside_tasks_that_compute),
        cmocka_unit_test(sockets_that_are_always_ready_do_not_starve_others),
        cmocka_unit_test(plain_threads_and_tasks_use_descriptors_side_by_side),
        cmocka_unit_test(threads_may_come_and_go),
        cmocka_unit_test(a_child_uses_descriptors_afresh),
        cmocka_unit_test(a_child_can_be_made_at_any_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
