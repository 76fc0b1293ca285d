/* SPDX-License-Identifier: MIT
 * The mutex: exclusion, order, who holds it across suspensions and threads, and wrong use that it tells. */
#include "test.h"

#include <pthread.h>

#include "blocked.h"

#define MANY 32

/* A task that wants a mutex. */
struct locker {
    struct cadre_mutex *mutex;
    struct cadre_ctx *ctx;
    int result;
    uint32_t turn, over;
};

static uint32_t turns;

static int lock_and_unlock(struct cadre_ctx *ctx, void *arg)
{
    struct locker *self = arg;

    self->result = cadre_mutex_lock(self->ctx != NULL ? self->ctx : ctx, self->mutex);
    if (self->result == 0) {
        self->turn = turns++; /* the mutex protects it */
        test_check(cadre_mutex_unlock(self->mutex) == 0);
    }
    cdr_store_release(&self->over, 1u);
    return 0;
}

static void *thread_locks(void *arg)
{
    lock_and_unlock(NULL, arg);
    return NULL;
}

static void *thread_tries(void *arg)
{
    struct locker *self = arg;

    self->result = cadre_mutex_try_lock(self->mutex);
    return NULL;
}

static void a_zeroed_mutex_is_free(void **state)
{
    struct cadre_mutex m = { 0 };

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cadre_mutex_lock(NULL, &m), 0);
        assert_int_equal(cadre_mutex_unlock(&m), 0);
        assert_int_equal(cadre_mutex_try_lock(&m), 0);
        assert_int_equal(cadre_mutex_unlock(&m), 0);
    }
}

static void try_lock_does_not_wait_for_another(void **state)
{
    struct cadre_mutex m = { 0 };
    struct locker locker = { .mutex = &m };
    pthread_t thread;

    (void)state;
    assert_int_equal(cadre_mutex_lock(NULL, &m), 0);
    assert_int_equal(pthread_create(&thread, NULL, thread_tries, &locker), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(locker.result, -EAGAIN);
    assert_int_equal(cadre_mutex_try_lock(&m), -EAGAIN); /* not even for oneself */
    assert_int_equal(cadre_mutex_unlock(&m), 0);
}

static int locks_twice(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_mutex *m = arg;

    test_check(cadre_mutex_lock(ctx, m) == 0);
    test_check(cadre_mutex_lock(ctx, m) == -EDEADLK);
    test_check(cadre_mutex_unlock(m) == 0);
    test_check(cadre_mutex_unlock(m) == -EPERM);
    return 0;
}

static void locking_twice_is_edeadlk_and_leaves_it_locked_once(void **state)
{
    struct cadre_mutex m = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    locks_twice(NULL, &m);
    assert_int_equal(cadre_go(&g, locks_twice, &m), 0);
    assert_int_equal(cadre_wait(&g), 0);
}

static int unlocks(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return cadre_mutex_unlock(arg);
}

static void unlocking_what_another_holds_is_eperm(void **state)
{
    struct cadre_mutex m = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_mutex_unlock(&m), -EPERM);
    assert_int_equal(cadre_mutex_lock(NULL, &m), 0);
    assert_int_equal(cadre_go(&g, unlocks, &m), 0);
    assert_int_equal(cadre_wait(&g), -EPERM);
    assert_int_equal(cadre_mutex_unlock(&m), 0);
}

static void bad_arguments_are_einval(void **state)
{
    (void)state;
    assert_int_equal(cadre_mutex_lock(NULL, NULL), -EINVAL);
    assert_int_equal(cadre_mutex_try_lock(NULL), -EINVAL);
    assert_int_equal(cadre_mutex_unlock(NULL), -EINVAL);
}

static void lockers_are_served_first_come_first_served(void **state)
{
    struct cadre_mutex m = { 0 };
    struct locker lockers[MANY];
    struct cadre_group g = { 0 };

    (void)state;
    turns = 0;
    assert_int_equal(cadre_mutex_lock(NULL, &m), 0);
    for (size_t i = 0; i < MANY; i++) {
        lockers[i] = (struct locker){ .mutex = &m };
        assert_int_equal(cadre_go(&g, lock_and_unlock, &lockers[i]), 0);
        eventually(blocked_on_mutex(&m) == i + 1);
    }
    assert_int_equal(cadre_mutex_unlock(&m), 0);
    assert_int_equal(cadre_wait(&g), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(lockers[i].result, 0);
        assert_int_equal(lockers[i].turn, i);
    }
}

static void unlocking_hands_it_to_the_one_who_waits(void **state)
{
    struct cadre_mutex m = { 0 };
    struct locker locker = { .mutex = &m };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_mutex_lock(NULL, &m), 0);
    assert_int_equal(cadre_go(&g, lock_and_unlock, &locker), 0);
    eventually(blocked_on_mutex(&m) == 1);
    assert_int_equal(cadre_mutex_unlock(&m), 0);
    assert_int_equal(cadre_mutex_unlock(&m), -EPERM); /* it is no longer ours, nor free in between */
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(locker.result, 0);
}

static void a_cancelled_locker_is_passed_over(void **state)
{
    struct cadre_mutex m = { 0 };
    struct cadre_ctx ctx = { 0 }, late = { .deadline = cadre_in(CADRE_MS(5)) };
    struct locker first = { .mutex = &m, .ctx = &ctx }, second = { .mutex = &m }, third = { .mutex = &m, .ctx = &late };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_mutex_lock(NULL, &m), 0);
    assert_int_equal(cadre_go(&g, lock_and_unlock, &first), 0);
    eventually(blocked_on_mutex(&m) == 1);
    assert_int_equal(cadre_go(&g, lock_and_unlock, &second), 0);
    eventually(blocked_on_mutex(&m) == 2);
    assert_int_equal(cadre_go(&g, lock_and_unlock, &third), 0);
    eventually(cdr_load_acquire(&third.over) != 0);
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(cadre_mutex_unlock(&m), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(first.result, -ECANCELED);
    assert_int_equal(second.result, 0);
    assert_int_equal(third.result, -ETIMEDOUT);
    assert_int_equal(cadre_mutex_try_lock(&m), 0);
}

static void under_an_ended_context_a_free_mutex_is_locked_and_nothing_waits(void **state)
{
    struct cadre_mutex m = { 0 };
    struct cadre_ctx ctx = { 0 };
    struct locker locker = { .mutex = &m, .ctx = &ctx };
    pthread_t thread;

    (void)state;
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(cadre_mutex_lock(&ctx, &m), 0);
    assert_int_equal(pthread_create(&thread, NULL, thread_locks, &locker), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(locker.result, -ECANCELED);
    assert_int_equal(cadre_mutex_unlock(&m), 0);
}

/* ---- held across suspensions ---- */

struct shared {
    struct cadre_mutex mutex;
    int inside, count;
    uint32_t moved;
};

static __thread char this_thread;

/* Not inlined and not pure: compilers keep the addresses of thread-local variables across calls. */
__attribute__((noinline)) static void *thread_mark(void)
{
    void *mark = &this_thread;

    __asm__ __volatile__("" : "+r"(mark) : : "memory");
    return mark;
}

static int suspends_inside(struct cadre_ctx *ctx, void *arg)
{
    struct shared *shared = arg;

    for (int i = 0; i < 20; i++) {
        void *before;

        test_check(cadre_mutex_lock(ctx, &shared->mutex) == 0);
        before = thread_mark();
        test_check(shared->inside++ == 0);
        if (i % 4 == 0)
            (void)cadre_sleep(ctx, CADRE_US(20));
        else
            cadre_yield();
        test_check(--shared->inside == 0);
        shared->count++;
        if (thread_mark() != before)
            cdr_add(&shared->moved, 1u);
        test_check(cadre_mutex_lock(ctx, &shared->mutex) == -EDEADLK); /* it is still known who holds it */
        test_check(cadre_mutex_unlock(&shared->mutex) == 0);
    }
    return 0;
}

static void a_mutex_is_held_across_suspension_and_migration(void **state)
{
    struct shared shared = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < rounds(100); i++)
        assert_int_equal(cadre_go(&g, suspends_inside, &shared), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(shared.count, rounds(100) * 20);
    print_message("%u times the thread had changed\n", shared.moved);
}

/* Holds the mutex while it waits for an inner task, which may run on top of the same stack: not the same task. */
static int asks_for_it(struct cadre_ctx *ctx, void *arg)
{
    int result = cadre_mutex_try_lock(arg);

    (void)ctx;
    return result == 0 ? -EIO : cadre_mutex_unlock(arg) == -EPERM ? 0 : -EIO;
}

static int holds_while_it_waits(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };

    test_check(cadre_mutex_lock(ctx, arg) == 0);
    test_check(cadre_go(&inner, asks_for_it, arg) == 0);
    test_check(cadre_wait(&inner) == 0);
    test_check(cadre_mutex_unlock(arg) == 0);
    return 0;
}

static void an_inner_task_does_not_hold_what_the_outer_one_holds(void **state)
{
    struct cadre_mutex m = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(cadre_go(&g, holds_while_it_waits, &m), 0);
        assert_int_equal(cadre_wait(&g), 0);
    }
}

/* ---- exclusion ---- */

static struct cadre_mutex counter_lock;
static uint64_t counter; /* plain: the mutex is all that protects it */

static int count_up(struct cadre_ctx *ctx, void *arg)
{
    for (int i = *(int *)arg; i > 0; i--) {
        test_check(cadre_mutex_lock(ctx, &counter_lock) == 0);
        counter++;
        test_check(cadre_mutex_unlock(&counter_lock) == 0);
    }
    return 0;
}

static void *thread_counts_up(void *arg)
{
    count_up(NULL, arg);
    return NULL;
}

static void tasks_and_threads_exclude_each_other(void **state)
{
    struct cadre_group g = { 0 };
    pthread_t threads[2];
    int times = rounds(2000);

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_counts_up, &times), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(cadre_go(&g, count_up, &times), 0);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(counter, 10 * times);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_mutex_is_free),
        cmocka_unit_test(try_lock_does_not_wait_for_another),
        cmocka_unit_test(locking_twice_is_edeadlk_and_leaves_it_locked_once),
        cmocka_unit_test(unlocking_what_another_holds_is_eperm),
        cmocka_unit_test(bad_arguments_are_einval),
        cmocka_unit_test(lockers_are_served_first_come_first_served),
        cmocka_unit_test(unlocking_hands_it_to_the_one_who_waits),
        cmocka_unit_test(a_cancelled_locker_is_passed_over),
        cmocka_unit_test(under_an_ended_context_a_free_mutex_is_locked_and_nothing_waits),
        cmocka_unit_test(a_mutex_is_held_across_suspension_and_migration),
        cmocka_unit_test(an_inner_task_does_not_hold_what_the_outer_one_holds),
        cmocka_unit_test(tasks_and_threads_exclude_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
