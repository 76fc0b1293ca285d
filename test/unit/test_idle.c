/* SPDX-License-Identifier: MIT
 * An idle process uses no CPU time, whatever it did before, and wakes for new work. */
#include "test.h"

#include <pthread.h>
#include <sys/resource.h>

#include "cadre.h"
#include "until.h"

static struct cadre_chan silent = { 0 };

static cadre_time cpu_time(void)
{
    struct rusage usage;

    test_check(getrusage(RUSAGE_SELF, &usage) == 0);
    return CADRE_SEC(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
           + CADRE_US(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* CPU time that the process uses in a second in which it is asked for nothing. */
static cadre_time used_in_a_second(void)
{
    struct timespec second = { 1, 0 };
    cadre_time before = cpu_time();

    nanosleep(&second, NULL);
    return cpu_time() - before;
}

/* Threads go to rest some time after the last work, on a loaded machine some seconds after; for good, though. */
static void check_comes_to_rest(void)
{
    cadre_time used = CADRE_SEC(1);

    for (int i = 0; i < 30 && used >= CADRE_MS(5); i++)
        used = used_in_a_second();
    assert_true(used < CADRE_MS(5));
    assert_true(used_in_a_second() < CADRE_MS(5));
}

static int counts(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    count(arg);
    return 0;
}

static int naps_and_counts(struct cadre_ctx *ctx, void *arg)
{
    test_check(cadre_sleep(ctx, CADRE_US(100)) == 0);
    count(arg);
    return 0;
}

static int blocks(struct cadre_ctx *ctx, void *arg)
{
    count(arg);
    return cadre_recv(ctx, &silent, NULL);
}

static void use(unsigned *ran)
{
    struct cadre_group g = { 0 };

    for (int i = 0; i < 2000; i++)
        cadre_go(&g, i % 2 == 0 ? counts : naps_and_counts, ran);
    assert_int_equal(cadre_wait(&g), 0);
}

static void test_an_idle_process_uses_no_cpu_time(void **state)
{
    unsigned ran = 0;

    (void)state;
    use(&ran);
    check_comes_to_rest();
    assert_int_equal(get(&ran), 2000);
}

static void test_idle_workers_wake_for_work(void **state)
{
    unsigned ran = 0;

    (void)state;
    check_comes_to_rest();
    for (int i = 0; i < 20; i++)
        use(&ran);
    assert_int_equal(get(&ran), 20 * 2000);
}

/* From a thread that does not wait: somebody else has to notice. */
static void test_idle_workers_wake_for_a_single_task(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct cadre_group g = { 0 };
        unsigned ran = 0;

        check_comes_to_rest();
        assert_int_equal(cadre_go(&g, counts, &ran), 0);
        doze_until(&ran, 1);
        assert_int_equal(cadre_wait(&g), 0);
    }
}

static void test_blocked_tasks_use_no_cpu_time(void **state)
{
    struct cadre_group g = { 0 };
    unsigned blocked = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        cadre_go(&g, blocks, &blocked);
    until(&blocked, 100);
    check_comes_to_rest();
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

static int sleeps_long(struct cadre_ctx *ctx, void *arg)
{
    count(arg);
    return cadre_sleep(ctx, CADRE_SEC(3600));
}

static void test_a_far_deadline_uses_no_cpu_time(void **state)
{
    struct cadre_group g = { 0 };
    unsigned asleep = 0;

    (void)state;
    cadre_go(&g, sleeps_long, &asleep);
    until(&asleep, 1);
    check_comes_to_rest();
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

/* Completed tasks whose group is cancelled afterwards, over and over, leave nothing running. */
static void test_cancelling_what_has_completed_costs_nothing(void **state)
{
    unsigned ran = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct cadre_ctx top = { 0 };
        struct cadre_group g = { .parent = &top };

        cadre_go(&g, naps_and_counts, &ran);
        assert_int_equal(cadre_wait(&g), 0);
        cadre_group_cancel(&g, 0, NULL);
        cadre_ctx_cancel(&top, 0, NULL);
        assert_int_equal(cadre_wait(&g), 0);
    }
    check_comes_to_rest();
    assert_int_equal(get(&ran), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_process_uses_no_cpu_time),
        cmocka_unit_test(test_idle_workers_wake_for_work),
        cmocka_unit_test(test_idle_workers_wake_for_a_single_task),
        cmocka_unit_test(test_blocked_tasks_use_no_cpu_time),
        cmocka_unit_test(test_a_far_deadline_uses_no_cpu_time),
        cmocka_unit_test(test_cancelling_what_has_completed_costs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
