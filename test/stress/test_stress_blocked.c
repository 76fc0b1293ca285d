/* SPDX-License-Identifier: MIT
 * Pools that are full, stuck or out of memory: whatever the workers are at, queued tasks run or are dropped, timers and cancels
 * fire, and what has ended costs nothing. Each case has a process of its own, with as many workers as it wants. */
#define _GNU_SOURCE 1
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "blocked.h"
#include "child.h"
#include "memory_used.h"

/* Run body in a child with so many workers (NULL: as many as there are), for at most a minute or two. */
static void passes_with_workers(const char *workers, void (*body)(void *arg), void *arg)
{
    const char *before = getenv("CADRE_WORKERS");
    char *kept = before != NULL ? strdup(before) : NULL;
    int status;

    if (workers != NULL)
        setenv("CADRE_WORKERS", workers, 1);
    status = in_child(body, arg);
    if (kept != NULL)
        setenv("CADRE_WORKERS", kept, 1);
    else
        unsetenv("CADRE_WORKERS");
    free(kept);
    assert_true(passed(status));
}

static uint32_t ran, drops;

static int count(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    cdr_add(&ran, 1u);
    return 0;
}

static void drop(void *arg)
{
    (void)arg;
    cdr_add(&drops, 1u);
}

/* ---- cancel behind a busy worker ---- */

static uint32_t busy, let_go;

static int keep_busy(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    cdr_store_release(&busy, 1u);
    while (cdr_load_acquire(&let_go) == 0) /* neither blocks nor yields */
        cdr_spin_hint();
    return 0;
}

static int let_go_soon(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    cdr_store_release(&let_go, 1u);
    return 0;
}

static void *waiter(void *group)
{
    test_check(cadre_wait(group) == -EINTR);
    return NULL;
}

static void cancel_behind_a_busy_worker(void *limit)
{
    static struct cadre_group g = { .drop = drop };
    pthread_t thread;

    alarm(100);
    g.limit = *(int *)limit;
    g.queue = CADRE_UNBOUNDED;
    test_check(cadre_go(&g, keep_busy, NULL) == 0);
    eventually(cdr_load_acquire(&busy) == 1);
    for (int i = 0; i < 100; i++)
        test_check(cadre_go(&g, count, NULL) == 0);
    cadre_group_cancel(&g, -EINTR, "enough");
    test_check(pthread_create(&thread, NULL, waiter, &g) == 0);
    (void)let_go_soon(NULL, NULL);
    test_check(pthread_join(thread, NULL) == 0);
    test_check(ran + drops == 100);
    if (g.limit == 1)
        test_check(ran == 0);
}

static void a_cancel_with_100_tasks_behind_one_busy_worker_accounts_for_all(void **state)
{
    int limits[] = { 0, 1, 2 };

    (void)state;
    for (int i = 0; i < 3; i++)
        passes_with_workers("1", cancel_behind_a_busy_worker, &limits[i]);
}

/* ---- one worker, tasks that wait for tasks ---- */

static int waits_for_ten(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };

    for (int i = 0; i < 10; i++)
        test_check(cadre_go(&inner, count, arg) == 0);
    if ((uintptr_t)arg % 2 == 0)
        cadre_yield();
    return cadre_wait(&inner);
}

static void hundred_wait_for_ten_each(void *arg)
{
    struct cadre_group g = { 0 };

    (void)arg;
    alarm(100);
    test_check(cadre_workers() == 1);
    for (uintptr_t i = 0; i < 100; i++)
        test_check(cadre_go(&g, waits_for_ten, (void *)i) == 0);
    test_check(cadre_wait(&g) == 0);
    test_check(ran == 1000);
}

static void tasks_that_wait_for_tasks_complete_with_one_worker(void **state)
{
    (void)state;
    passes_with_workers("1", hundred_wait_for_ten_each, NULL);
}

/* ---- one processor, two threads ---- */

static struct cadre_group submitted;

static void *submit(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        test_check(cadre_go(&submitted, i % 10 == 0 ? waits_for_ten : count, NULL) == 0);
    return NULL;
}

static void submit_on_one_wait_on_another(void *arg)
{
    cpu_set_t one;
    pthread_t thread;

    (void)arg;
    alarm(100);
    unsetenv("CADRE_WORKERS");
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    test_check(sched_setaffinity(0, sizeof one, &one) == 0);
    test_check(cadre_workers() == 1);
    test_check(pthread_create(&thread, NULL, submit, NULL) == 0);
    test_check(pthread_join(thread, NULL) == 0); /* it is gone; its tasks are not */
    test_check(cadre_wait(&submitted) == 0);
    test_check(ran == 900 + 100 * 10);
}

static void with_one_processor_what_one_thread_submits_another_can_wait_for(void **state)
{
    (void)state;
    passes_with_workers(NULL, submit_on_one_wait_on_another, NULL);
}

/* ---- cancelled exactly while parking ---- */

static uint32_t cancelled;

static int parks(struct cadre_ctx *ctx, void *arg)
{
    int result = *(int *)arg % 2 == 0 ? cadre_sleep(ctx, CADRE_FOREVER) : cadre_recv(ctx, &(struct cadre_chan){ .size = 0 }, NULL);

    test_check(result == -ECANCELED);
    cdr_add(&cancelled, 1u);
    return 0;
}

/* Before its first suspension the task cancels its own group, and then blocks. */
static int cancels_and_parks(struct cadre_ctx *ctx, void *group)
{
    int odd = 1;

    cadre_group_cancel(group, 0, NULL);
    return parks(ctx, &odd);
}

static void cancel_while_parking(void *arg)
{
    (void)arg;
    alarm(100);
    for (int i = 0; i < rounds(20000); i++) {
        struct cadre_group g = { .drop = drop };

        test_check(cadre_go(&g, parks, &i) == 0);
        test_check(cadre_go(&g, cancels_and_parks, &g) == 0);
        for (int spin = i % 500; spin > 0; spin--)
            cdr_spin_hint();
        if (i % 3 == 0)
            cadre_group_cancel(&g, 0, NULL);
        test_check(cadre_wait(&g) == 0);
    }
    test_check(cancelled + drops == 2 * (uint32_t)rounds(20000));
}

static void who_is_cancelled_while_parking_wakes(void **state)
{
    (void)state;
    passes_with_workers("1", cancel_while_parking, NULL);
    passes_with_workers("2", cancel_while_parking, NULL);
    passes_with_workers("8", cancel_while_parking, NULL);
}

/* ---- no memory for stacks ---- */

#define CROWD 1000

static uint32_t ended;
static struct cadre_chan never; /* nobody sends */

static int sleeps(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    cdr_add(&ended, (uint32_t)(cadre_sleep(ctx, CADRE_MS(20)) == 0));
    return 0;
}

static int blocks(struct cadre_ctx *ctx, void *arg)
{
    int result = cadre_recv(ctx, arg, NULL);

    cdr_add(&ended, (uint32_t)(result == -ECANCELED || result == -ETIMEDOUT));
    return 0;
}

/* From here on there is room for a few stacks more, but not for a CROWD of them. */
static void limit_memory(void)
{
    struct rlimit limit;
    long long pages = 0;
    FILE *file;
    struct cadre_group g = { 0 };

    alarm(100);
    test_check(cadre_go(&g, sleeps, NULL) == 0);
    test_check(cadre_wait(&g) == 0);
    ended = 0;
    file = fopen("/proc/self/statm", "r");
    test_check(file != NULL && fscanf(file, "%lld", &pages) == 1);
    fclose(file);
    limit.rlim_cur = limit.rlim_max = (rlim_t)(pages * sysconf(_SC_PAGESIZE)) + (3u << 20);
    test_check(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* How many were started; the others were refused for want of memory. */
static uint32_t start_crowd(struct cadre_group *g, cadre_fn *fn)
{
    uint32_t accepted = 0;

    for (int i = 0; i < CROWD; i++) {
        int result = cadre_go(g, fn, &never);

        test_check(result == 0 || result == -ENOMEM);
        accepted += result == 0;
    }
    return accepted;
}

static void timers_without_stacks(void *arg)
{
    struct cadre_group g = { .drop = drop };
    uint32_t accepted;
    int result;

    (void)arg;
    limit_memory();
    accepted = start_crowd(&g, sleeps);
    result = cadre_wait(&g);
    test_check(result == 0 || result == -ENOMEM);
    test_check(ended + drops == CROWD && ended <= accepted);
}

static void deadlines_without_stacks(void *arg)
{
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(300)) };
    struct cadre_group g = { .parent = &ctx, .drop = drop };

    (void)arg;
    limit_memory();
    (void)start_crowd(&g, blocks);
    (void)cadre_wait(&g);
    test_check(ended + drops == CROWD);
}

static void cancels_without_stacks(void *arg)
{
    struct cadre_group g = { .drop = drop };

    (void)arg;
    limit_memory();
    (void)start_crowd(&g, blocks);
    eventually(blocked_receivers(&never) >= 20); /* a slab has 64 stacks, so these can be there in any case */
    (void)cadre_sleep(NULL, CADRE_MS(50));       /* mostly all stacks are in use now; the outcome is the same if not */
    cadre_group_cancel(&g, 0, NULL);
    (void)cadre_wait(&g);
    test_check(ended + drops == CROWD);
    ran = 0;
    (void)cadre_group_reset(&g);
    test_check(cadre_go(&g, count, NULL) == 0); /* and the runtime is well again */
    test_check(cadre_wait(&g) == 0 && ran == 1);
}

static void without_memory_for_stacks_timers_and_cancels_still_fire(void **state)
{
    static void (*const bodies[])(void *) = { timers_without_stacks, deadlines_without_stacks, cancels_without_stacks };
    static const char *const workers[] = { "1", "2", "4" };

    (void)state;
#if defined(CDR_ASAN) || defined(CDR_TSAN) || defined(CADRE_VALGRIND) || defined(CADRE_NO_CMOCKA)
    skip(); /* they reserve address space of their own, which cannot be limited */
#endif
    for (int i = 0; i < 9; i++)
        passes_with_workers(workers[i % 3], bodies[i / 3], NULL);
}

/* ---- what is over costs nothing ---- */

static cadre_time cpu_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return CADRE_SEC(now.tv_sec) + now.tv_nsec;
}

static void cancel_what_has_ended(void *arg)
{
    struct timespec pause = { 0, 500000000 };
    struct cadre_group ended_group = { 0 }, blocked_group = { 0 };
    cadre_time before;

    (void)arg;
    alarm(100);
    for (int i = 0; i < 100; i++) {
        test_check(cadre_go(&ended_group, count, NULL) == 0);
        test_check(cadre_go(&blocked_group, blocks, &never) == 0);
    }
    test_check(cadre_wait(&ended_group) == 0);
    cadre_group_cancel(&ended_group, -EIO, "too late");
    eventually(blocked_receivers(&never) == 100);
    nanosleep(&pause, NULL); /* until threads that look for work have given up */
    before = cpu_time();
    nanosleep(&pause, NULL);
    test_check(cpu_time() - before < CADRE_MS(100)); /* one that spins would take 500 ms */
    cadre_group_cancel(&blocked_group, 0, NULL);
    test_check(cadre_wait(&blocked_group) == 0);
    before = cpu_time();
    nanosleep(&pause, NULL);
    test_check(cpu_time() - before < CADRE_MS(100));
}

static void cancelled_ended_and_blocked_tasks_take_no_processor_time(void **state)
{
    (void)state;
    passes_with_workers("2", cancel_what_has_ended, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_with_100_tasks_behind_one_busy_worker_accounts_for_all),
        cmocka_unit_test(tasks_that_wait_for_tasks_complete_with_one_worker),
        cmocka_unit_test(with_one_processor_what_one_thread_submits_another_can_wait_for),
        cmocka_unit_test(who_is_cancelled_while_parking_wakes),
        cmocka_unit_test(without_memory_for_stacks_timers_and_cancels_still_fire),
        cmocka_unit_test(cancelled_ended_and_blocked_tasks_take_no_processor_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
