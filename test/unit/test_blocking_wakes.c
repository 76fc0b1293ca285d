/* SPDX-License-Identifier: MIT
 * What a thread does that comes back from the kernel while nobody looks, and what becomes of the timers of threads that have ended. */
#include "test.h"

#include <unistd.h>

#include "tasks.h"
#include "threads.h"

static int first[2], second[2]; /* pipes */
static struct cadre_chan chan;
static struct cadre_group later;
static atomic_int inside, got, ran;

static void wait_for_byte(int fd)
{
    char byte;

    test_check(read(fd, &byte, 1) == 1);
}

static void send_byte(int fd) { test_check(write(fd, "x", 1) == 1); }

static void set_up(void)
{
    assert_int_equal(pipe(first), 0);
    assert_int_equal(pipe(second), 0);
    chan = (struct cadre_chan){ 0 };
    later = (struct cadre_group){ 0 };
    inside = got = ran = 0;
}

static void tear_down(void)
{
    for (int i = 0; i < 2; i++) {
        close(first[i]);
        close(second[i]);
    }
}

/* Long enough for the monitor to doze off on most machines; if it did not, the test is only easier. */
static void let_it_doze(void) { usleep(150000); }

static int receives(struct cadre_ctx *ctx, void *arg)
{
    int code;

    (void)arg;
    atomic_fetch_add(&inside, 1);
    code = cadre_recv(ctx, &chan, NULL);
    atomic_fetch_add(&got, 1);
    return code;
}

static int sends_between_two_reads(struct cadre_ctx *ctx, void *arg)
{
    int code;

    (void)arg;
    atomic_fetch_add(&inside, 1);
    wait_for_byte(first[0]);
    code = cadre_send(ctx, &chan, NULL);
    wait_for_byte(second[0]);
    return code;
}

static void who_is_made_ready_by_a_thread_that_blocks_again_runs(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    set_up();
    assert_int_equal(cadre_go(&g, receives, NULL), 0);
    test_until(atomic_load(&inside) == 1);
    assert_int_equal(cadre_go(&g, sends_between_two_reads, NULL), 0);
    test_until(atomic_load(&inside) == 2);
    let_it_doze();
    send_byte(first[1]);
    while (atomic_load(&got) == 0) /* no timer here: it would wake the monitor */
        usleep(1000);
    send_byte(second[1]);
    assert_int_equal(cadre_wait(&g), 0);
    tear_down();
}

static int delays_between_two_reads(struct cadre_ctx *ctx, void *arg)
{
    int code;

    (void)ctx;
    (void)arg;
    atomic_fetch_add(&inside, 1);
    wait_for_byte(first[0]);
    code = cadre_go_after(&later, CADRE_MS(5), count_task, &ran, NULL);
    wait_for_byte(second[0]);
    return code;
}

static void a_start_delayed_by_a_thread_that_blocks_again_comes(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    set_up();
    assert_int_equal(cadre_go(&g, delays_between_two_reads, NULL), 0);
    while (atomic_load(&inside) == 0)
        usleep(1000);
    let_it_doze();
    send_byte(first[1]);
    while (atomic_load(&ran) == 0)
        usleep(1000);
    send_byte(second[1]);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_wait(&later), 0);
    tear_down();
}

static int blocks(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    atomic_fetch_add(&inside, 1);
    wait_for_byte(first[0]);
    return 0;
}

static void a_start_delayed_by_a_plain_thread_comes_whichever_threads_have_ended(void **state)
{
    struct cadre_group g = { 0 };
    int workers = cadre_workers();

    (void)state;
    set_up();
    for (int i = 0; i < workers; i++)
        assert_int_equal(cadre_go(&g, blocks, NULL), 0);
    while (atomic_load(&inside) < workers)
        usleep(1000);
    assert_int_equal(cadre_go(&g, count_task, &ran), 0); /* on a thread that is added */
    while (atomic_load(&ran) == 0)
        usleep(1000);
    for (int i = 0; i < workers; i++)
        send_byte(first[1]);
    for (int i = 0; i < 400 && threads_now() > workers + 2; i++)
        usleep(10000); /* any of them may have ended */
    assert_int_equal(cadre_go_after(&later, CADRE_MS(50), count_task, &ran, NULL), 0);
    for (int i = 0; i < workers; i++)
        assert_int_equal(cadre_go(&g, blocks, NULL), 0);
    while (atomic_load(&ran) < 2)
        usleep(1000);
    for (int i = 0; i < workers; i++)
        send_byte(first[1]);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_wait(&later), 0);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_made_ready_by_a_thread_that_blocks_again_runs),
        cmocka_unit_test(a_start_delayed_by_a_thread_that_blocks_again_comes),
        cmocka_unit_test(a_start_delayed_by_a_plain_thread_comes_whichever_threads_have_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
