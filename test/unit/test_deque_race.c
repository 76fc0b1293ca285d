/* SPDX-License-Identifier: MIT
 * The deque under fire: an owner that pushes and pops, thieves that steal, ask and force. Every task is got exactly once. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "blocked.h"
#include "sched/deque.h"

#define TASKS rounds(1000000)
#define THIEVES 2

static struct cdr_deque deque;
static uint32_t *got; /* per task: how often it was popped or stolen */
static uint64_t popped, stolen, batches_stolen;
static bool over;
static bool private_part_works;

static int find_out(void **state)
{
    (void)state;
    private_part_works = cdr_membarrier_init();
    return 0;
}

static void note(const struct cdr_task *task) { test_check(cdr_add(&got[(uintptr_t)task->arg], 1u) == 0); }

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static bool steal_some(uint64_t *random)
{
    struct cdr_task out[32];
    struct cdr_batch *batch;
    unsigned n = cdr_deque_steal(&deque, out, 1 + next_random(random) % 32, 0, &batch);

    for (unsigned i = 0; i < n; i++)
        note(&out[i]);
    cdr_add(&stolen, (uint64_t)n);
    if (batch != NULL) {
        for (size_t i = 0; i < batch->count; i++)
            note(&batch->tasks[i]);
        cdr_add(&stolen, (uint64_t)batch->count);
        cdr_add(&batches_stolen, (uint64_t)1);
        cdr_batch_put(batch);
    }
    return n > 0 || batch != NULL;
}

static void *thief(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;

    while (!cdr_load_acquire(&over)) {
        uint32_t dice = next_random(&random) % 8;

        if (dice == 0)
            cdr_deque_request(&deque);
        else if (dice < 4)
            cdr_deque_force(&deque);
        if (!steal_some(&random) && dice == 7)
            sched_yield();
    }
    return NULL;
}

/* Pushes in runs of random length and pops about as many, now and then all, so that it is often nearly empty and sometimes full. */
static void own(uint64_t seed)
{
    uint64_t random = seed, mine = 0;
    struct cdr_task task = { 0 };

    for (int next = 0; next < TASKS;) {
        int run = 1 + (int)(next_random(&random) % (next_random(&random) % 16 == 0 ? 3000 : 20));

        for (; run > 0 && next < TASKS; run--) {
            task.arg = (void *)(uintptr_t)next++;
            test_check(cdr_deque_push(&deque, task) >= 0);
        }
        run = (int)(next_random(&random) % (next_random(&random) % 16 == 0 ? 6000 : 22));
        for (; run > 0 && cdr_deque_pop(&deque, &task, NULL, 0); run--, mine++)
            note(&task);
        if (next_random(&random) % 64 == 0)
            cdr_deque_share(&deque, next_random(&random) % 2 == 0);
        if (next_random(&random) % 256 == 0)
            sched_yield();
    }
    while (cdr_deque_pop(&deque, &task, NULL, 0)) {
        note(&task);
        mine++;
    }
    popped = mine;
}

static void fight(bool shared_only)
{
    pthread_t threads[THIEVES];

    memset(&deque, 0, sizeof deque);
    assert_int_equal(cdr_deque_init(&deque, shared_only), 0);
    popped = stolen = batches_stolen = 0;
    over = false;
    got = calloc((size_t)TASKS, sizeof *got);
    assert_non_null(got);
    for (uintptr_t i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thief, (void *)(i + 1)), 0);
    own(42);
    cdr_store_release(&over, true);
    for (int i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    print_message("%llu popped, %llu stolen, %llu of the thefts a batch\n", (unsigned long long)popped,
                  (unsigned long long)stolen, (unsigned long long)batches_stolen);
    assert_int_equal(popped + stolen, TASKS);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(got[i], 1);
    assert_true(cdr_deque_empty(&deque));
    free(got);
    cdr_unmap(deque.ring, CDR_RING_SIZE * sizeof *deque.ring);
}

static void every_task_is_got_exactly_once_with_a_private_part(void **state)
{
    (void)state;
    if (!private_part_works)
        skip();
    fight(false);
}

static void every_task_is_got_exactly_once_without_a_private_part(void **state)
{
    (void)state;
    fight(true);
}

/* The least that there can be to fight about: one task, popped and forced and stolen at the same time. */
static void owner_and_thieves_get_a_single_task_once(void **state)
{
    pthread_t threads[THIEVES];
    struct cdr_task task = { 0 };
    int times = rounds(200000);
    bool found;

    (void)state;
    if (!private_part_works)
        skip();
    memset(&deque, 0, sizeof deque);
    assert_int_equal(cdr_deque_init(&deque, false), 0);
    popped = stolen = 0;
    over = false;
    got = calloc((size_t)times, sizeof *got);
    assert_non_null(got);
    for (uintptr_t i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thief, (void *)(i + 1)), 0);
    for (int i = 0; i < times; i++) {
        task.arg = (void *)(uintptr_t)i;
        test_check(cdr_deque_push(&deque, task) >= 0);
        for (int spin = i % 50; spin > 0; spin--)
            cdr_spin_hint();
        if (i % 64 == 0)
            sched_yield();
        found = cdr_deque_pop(&deque, &task, NULL, 0);
        if (found)
            note(&task);
        popped += found;
    }
    cdr_store_release(&over, true);
    for (int i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    print_message("%llu popped, %llu stolen\n", (unsigned long long)popped, (unsigned long long)stolen);
    assert_int_equal(popped + stolen, times);
    free(got);
    cdr_unmap(deque.ring, CDR_RING_SIZE * sizeof *deque.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_got_exactly_once_with_a_private_part),
        cmocka_unit_test(every_task_is_got_exactly_once_without_a_private_part),
        cmocka_unit_test(owner_and_thieves_get_a_single_task_once),
    };

    return cmocka_run_group_tests(tests, find_out, NULL);
}
