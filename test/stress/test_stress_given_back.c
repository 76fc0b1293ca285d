/* SPDX-License-Identifier: MIT
 * What a burst of tasks took goes back to the kernel: stacks of tasks that were blocked, and queues. */
#include "test.h"

#include "memory_used.h"
#include "tasks.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SHADOWED 1
#elif defined(__has_feature)
#define SHADOWED (__has_feature(thread_sanitizer) || __has_feature(address_sanitizer))
#else
#define SHADOWED 0
#endif

enum { BLOCKED = 20000, QUEUED = 500000, MOST = 8 << 20 };

struct sleepers {
    struct cadre_ctx until;
    atomic_int there;
};

static int sleep_until_cancelled(struct cadre_ctx *ctx, void *arg)
{
    struct sleepers *sleepers = arg;

    (void)ctx;
    atomic_fetch_add(&sleepers->there, 1);
    test_check(cadre_sleep(&sleepers->until, CADRE_FOREVER) == -ECANCELED);
    return 0;
}

static void burst(void)
{
    struct cadre_group g = { 0 };
    struct sleepers sleepers = { .there = 0 };
    atomic_int ran = 0;

    for (int i = 0; i < BLOCKED; i++)
        assert_int_equal(cadre_go(&g, sleep_until_cancelled, &sleepers), 0);
    test_until(sleepers.there == BLOCKED);
    assert_true(resident() > MOST);
    cadre_ctx_cancel(&sleepers.until, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < QUEUED; i++)
        assert_int_equal(cadre_go(&g, count_task, &ran), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, QUEUED);
}

/* It takes two seconds or so; the bound is only there to end a test that fails. */
static void memory_of_a_burst_goes_back_to_the_kernel(void **state)
{
    cadre_time end = cadre_in(CADRE_SEC(60));

    (void)state;
    if (SHADOWED)
        skip();
    burst();
    while (resident() > MOST && cadre_now() < end)
        (void)cadre_sleep(NULL, CADRE_MS(100));
    assert_in_range(resident(), 0, MOST);
    burst(); /* and it can be had again */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(memory_of_a_burst_goes_back_to_the_kernel) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
