/* SPDX-License-Identifier: MIT
 * Many tasks at once: a million that are queued, and as many blocked on one channel as every configuration can bear (the
 * million of those is in test/soak). */
#include "test.h"

#include "blocked.h"
#include "memory_used.h"

#define QUEUED 1000000
#define QUEUED_COST 128 /* bytes that a queued task may cost at most */

/* What a blocked task costs differs: with gcc and clang alone it is some pages of stack. The address sanitizer needs guards that
 * are mappings of their own, of which a process may have about 32,000; the thread sanitizer keeps some 100 KiB per fiber. */
#if defined(CDR_TSAN)
#define BLOCKED 4000
#elif defined(CDR_ASAN) || defined(CADRE_VALGRIND) || defined(CADRE_NO_CMOCKA)
#define BLOCKED 20000
#else
#define BLOCKED 100000
#endif

struct load {
    struct cadre_chan gate; /* closed when all may go on */
    uint32_t started, woken, wrong;
};

static int wait_at_gate(struct cadre_ctx *ctx, void *arg)
{
    struct load *load = arg;

    cdr_add(&load->started, 1u);
    if (cadre_recv(ctx, &load->gate, NULL) != -EPIPE)
        cdr_add(&load->wrong, 1u);
    cdr_add(&load->woken, 1u);
    return 0;
}

static int count(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cdr_add((uint32_t *)arg, 1u);
    return 0;
}

static void a_million_queued_tasks_cost_little_and_all_run(void **state)
{
    struct load load = { .gate = { .size = 0 } };
    struct cadre_group g = { .limit = 2, .queue = CADRE_UNBOUNDED };
    uint32_t ran = 0;
    long long before, cost;

    (void)state;
    for (int i = 0; i < 2; i++) /* they hold both slots */
        assert_int_equal(cadre_go(&g, wait_at_gate, &load), 0);
    eventually(blocked_receivers(&load.gate) == 2);
    before = resident();
    for (int i = 0; i < QUEUED; i++)
        test_check(cadre_go(&g, count, &ran) == 0);
    cost = (resident() - before) / QUEUED;
    assert_int_equal(cdr_load(&ran), 0);
    cadre_chan_close(&load.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, QUEUED);
    print_message("%lld bytes for each queued task\n", cost);
#if !defined(CDR_ASAN) && !defined(CDR_TSAN) && !defined(CADRE_VALGRIND) /* whose own notes cost more than that */
    assert_in_range(cost, 1, QUEUED_COST);
#endif
}

static void all_tasks_blocked_on_one_channel_wake_when_it_is_closed(void **state)
{
    struct load load = { .gate = { .size = 0 } };
    struct cadre_group g = { 0 };
    long long before = resident();

    (void)state;
    for (int i = 0; i < BLOCKED; i++)
        test_check(cadre_go(&g, wait_at_gate, &load) == 0);
    eventually(cdr_load(&load.started) == BLOCKED);
    eventually(blocked_receivers(&load.gate) == BLOCKED);
    print_message("%d blocked, %lld bytes resident each\n", BLOCKED, (resident() - before) / BLOCKED);
    cadre_chan_close(&load.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(load.woken, BLOCKED);
    assert_int_equal(load.wrong, 0);
}

static void all_blocked_tasks_wake_when_their_group_is_cancelled(void **state)
{
    struct load load = { .gate = { .size = 0 } };
    struct cadre_group g = { 0 };
    int n = BLOCKED / 2;

    (void)state;
    for (int i = 0; i < n; i++)
        test_check(cadre_go(&g, wait_at_gate, &load) == 0);
    eventually(cdr_load(&load.started) == (uint32_t)n);
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(load.woken, n);
    assert_int_equal(load.wrong, n); /* none was told that the channel was closed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_queued_tasks_cost_little_and_all_run),
        cmocka_unit_test(all_tasks_blocked_on_one_channel_wake_when_it_is_closed),
        cmocka_unit_test(all_blocked_tasks_wake_when_their_group_is_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
