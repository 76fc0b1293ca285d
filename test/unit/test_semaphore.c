/* SPDX-License-Identifier: MIT
 * The weighted semaphore: weights, order, what a cancelled request does to those behind it, bad requests. */
#include "test.h"

#include <pthread.h>

#include "blocked.h"

#define MANY 32

/* A request made by a task. */
struct request {
    struct cadre_sem *sem;
    struct cadre_ctx *ctx;
    int64_t units;
    int result;
    uint32_t turn; /* when it was served */
};

static uint32_t turns;

static int acquire(struct cadre_ctx *ctx, void *arg)
{
    struct request *self = arg;

    self->result = cadre_sem_acquire(self->ctx != NULL ? self->ctx : ctx, self->sem, self->units);
    self->turn = cdr_add(&turns, 1u);
    return 0;
}

static int acquire_and_release(struct cadre_ctx *ctx, void *arg)
{
    struct request *self = arg;

    acquire(ctx, arg);
    test_check(cadre_sem_release(self->sem, self->units) == 0);
    return 0;
}

static void *thread_acquire(void *arg)
{
    acquire(NULL, arg);
    return NULL;
}

/* Start a request that has to wait behind `before` others. */
static void wait_behind(struct cadre_group *g, cadre_fn *fn, struct request *request, size_t before)
{
    assert_int_equal(cadre_go(g, fn, request), 0);
    eventually(blocked_on_sem(request->sem) == before + 1);
}

static void units_are_taken_and_given_back(void **state)
{
    struct cadre_sem s = { .size = 10 };

    (void)state;
    assert_int_equal(cadre_sem_acquire(NULL, &s, 7), 0);
    assert_int_equal(cadre_sem_try_acquire(&s, 4), -EAGAIN);
    assert_int_equal(cadre_sem_try_acquire(&s, 3), 0);
    assert_int_equal(cadre_sem_try_acquire(&s, 1), -EAGAIN);
    assert_int_equal(cadre_sem_release(&s, 5), 0);
    assert_int_equal(cadre_sem_acquire(NULL, &s, 5), 0);
    assert_int_equal(cadre_sem_release(&s, 10), 0);
    assert_int_equal(cadre_sem_acquire(NULL, &s, 10), 0);
}

static void a_request_for_nothing_is_free(void **state)
{
    struct cadre_sem s = { .size = 1 }, zeroed = { 0 };

    (void)state;
    assert_int_equal(cadre_sem_acquire(NULL, &s, 1), 0);
    assert_int_equal(cadre_sem_acquire(NULL, &s, 0), 0);
    assert_int_equal(cadre_sem_release(&s, 0), 0);
    assert_int_equal(cadre_sem_acquire(NULL, &zeroed, 0), 0);
    assert_int_equal(cadre_sem_acquire(NULL, &zeroed, 1), -EINVAL);
}

static void beyond_the_size_is_einval_and_holds_up_nobody(void **state)
{
    struct cadre_sem s = { .size = 4 };

    (void)state;
    assert_int_equal(cadre_sem_acquire(NULL, &s, 5), -EINVAL);
    assert_int_equal(cadre_sem_try_acquire(&s, 5), -EINVAL);
    assert_int_equal(cadre_sem_acquire(NULL, &s, INT64_MAX), -EINVAL);
    assert_int_equal(cadre_sem_acquire(NULL, &s, -1), -EINVAL);
    assert_int_equal(cadre_sem_try_acquire(&s, INT64_MIN), -EINVAL);
    assert_int_equal(cadre_sem_acquire(NULL, NULL, 1), -EINVAL);
    assert_int_equal(cadre_sem_try_acquire(NULL, 1), -EINVAL);
    assert_int_equal(cadre_sem_try_acquire(&s, 4), 0);
}

static void releasing_more_than_is_held_is_einval_and_changes_nothing(void **state)
{
    struct cadre_sem s = { .size = 4 };

    (void)state;
    assert_int_equal(cadre_sem_release(&s, 1), -EINVAL);
    assert_int_equal(cadre_sem_acquire(NULL, &s, 2), 0);
    assert_int_equal(cadre_sem_release(&s, 3), -EINVAL);
    assert_int_equal(cadre_sem_release(&s, INT64_MAX), -EINVAL);
    assert_int_equal(cadre_sem_release(&s, -1), -EINVAL);
    assert_int_equal(cadre_sem_release(NULL, 1), -EINVAL);
    assert_int_equal(cadre_sem_try_acquire(&s, 3), -EAGAIN);
    assert_int_equal(cadre_sem_try_acquire(&s, 2), 0);
}

static void requests_are_served_first_come_first_served(void **state)
{
    struct cadre_sem s = { .size = 1 };
    struct request requests[MANY];
    struct cadre_group g = { 0 };

    (void)state;
    turns = 0;
    assert_int_equal(cadre_sem_acquire(NULL, &s, 1), 0);
    for (size_t i = 0; i < MANY; i++) {
        requests[i] = (struct request){ .sem = &s, .units = 1 };
        wait_behind(&g, acquire_and_release, &requests[i], i);
    }
    assert_int_equal(cadre_sem_release(&s, 1), 0);
    assert_int_equal(cadre_wait(&g), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(requests[i].result, 0);
        assert_int_equal(requests[i].turn, i);
    }
}

static void a_small_request_does_not_overtake_a_large_one(void **state)
{
    struct cadre_sem s = { .size = 10 };
    struct request large = { .sem = &s, .units = 8 }, small = { .sem = &s, .units = 1 };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_sem_acquire(NULL, &s, 5), 0);
    wait_behind(&g, acquire, &large, 0);
    assert_int_equal(cadre_sem_try_acquire(&s, 1), -EAGAIN); /* five are free, but the large one waits */
    wait_behind(&g, acquire, &small, 1);
    assert_int_equal(cadre_sem_release(&s, 2), 0); /* seven: not enough yet */
    assert_int_equal(blocked_on_sem(&s), 2);
    assert_int_equal(cadre_sem_release(&s, 1), 0); /* eight for the large one, none for the small one */
    assert_int_equal(blocked_on_sem(&s), 1);
    assert_int_equal(cadre_sem_release(&s, 1), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(large.result, 0);
    assert_int_equal(small.result, 0);
    assert_int_equal(cadre_sem_release(&s, 11), -EINVAL);
    assert_int_equal(cadre_sem_release(&s, 10), 0);
}

static void one_release_serves_all_that_fit(void **state)
{
    struct cadre_sem s = { .size = 6 };
    struct request requests[4];
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_sem_acquire(NULL, &s, 6), 0);
    for (size_t i = 0; i < 4; i++) { /* 1 + 2 + 3 fit, 4 does not */
        requests[i] = (struct request){ .sem = &s, .units = (int64_t)i + 1 };
        wait_behind(&g, acquire, &requests[i], i);
    }
    assert_int_equal(cadre_sem_release(&s, 6), 0);
    assert_int_equal(blocked_on_sem(&s), 1);
    assert_int_equal(cadre_sem_release(&s, 4), 0);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(requests[i].result, 0);
}

static void cancelling_the_large_request_at_the_head_lets_those_behind_go(void **state)
{
    struct cadre_sem s = { .size = 10 };
    struct cadre_ctx ctx = { 0 };
    struct request large = { .sem = &s, .ctx = &ctx, .units = 10 };
    struct request small[2] = { { .sem = &s, .units = 1 }, { .sem = &s, .units = 2 } };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_sem_acquire(NULL, &s, 5), 0);
    wait_behind(&g, acquire, &large, 0);
    wait_behind(&g, acquire, &small[0], 1);
    wait_behind(&g, acquire, &small[1], 2);
    cadre_ctx_cancel(&ctx, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0); /* nobody releases anything */
    assert_int_equal(large.result, -ECANCELED);
    assert_int_equal(small[0].result, 0);
    assert_int_equal(small[1].result, 0);
    assert_int_equal(cadre_sem_try_acquire(&s, 3), -EAGAIN);
    assert_int_equal(cadre_sem_try_acquire(&s, 2), 0);
}

static void a_deadline_at_the_head_lets_those_behind_go(void **state)
{
    struct cadre_sem s = { .size = 2 };
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(200)) };
    struct request large = { .sem = &s, .ctx = &ctx, .units = 2 }, small = { .sem = &s, .units = 1 };
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_sem_acquire(NULL, &s, 1), 0);
    assert_int_equal(cadre_go(&g, acquire, &large), 0);
    eventually(blocked_on_sem(&s) == 1 || cadre_now() > ctx.deadline);
    assert_int_equal(cadre_go(&g, acquire, &small), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(large.result, -ETIMEDOUT);
    assert_int_equal(small.result, 0);
}

static void under_an_ended_context_free_units_are_taken_and_nothing_waits(void **state)
{
    struct cadre_sem s = { .size = 1 };
    struct cadre_ctx cancelled = { 0 }, late = { .deadline = 1 };

    (void)state;
    cadre_ctx_cancel(&cancelled, 0, NULL);
    assert_int_equal(cadre_sem_acquire(&cancelled, &s, 1), 0);
    assert_int_equal(cadre_sem_acquire(&cancelled, &s, 1), -ECANCELED);
    assert_int_equal(cadre_sem_acquire(&late, &s, 1), -ETIMEDOUT);
    assert_int_equal(cadre_sem_release(&s, 1), 0);
    assert_int_equal(cadre_sem_release(&s, 1), -EINVAL); /* those that failed took nothing */
}

static void a_thread_waits_as_a_task_does(void **state)
{
    struct cadre_sem s = { .size = 3 };
    struct request request = { .sem = &s, .units = 2 };
    pthread_t thread;

    (void)state;
    assert_int_equal(cadre_sem_acquire(NULL, &s, 3), 0);
    assert_int_equal(pthread_create(&thread, NULL, thread_acquire, &request), 0);
    eventually(blocked_on_sem(&s) == 1);
    assert_int_equal(cadre_sem_release(&s, 2), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(request.result, 0);
}

/* ---- many at once ---- */

#define SIZE 7

static struct cadre_sem shared = { .size = SIZE };
static int64_t in_use;

static int use_units(struct cadre_ctx *ctx, void *arg)
{
    uint32_t number = *(uint32_t *)arg;

    for (int i = 0; i < 50; i++) {
        int64_t units = 1 + (int64_t)(number * 2654435761u >> 16) % SIZE;
        struct cadre_ctx patience = { .parent = ctx, .deadline = cadre_in(CADRE_US(number % 300)) };

        number = number * 1664525 + 1013904223;
        if (cadre_sem_acquire(number % 4 == 0 ? &patience : ctx, &shared, units) != 0)
            continue;
        test_check(cdr_add(&in_use, units) + units <= SIZE);
        if (number % 3 == 0)
            cadre_yield();
        cdr_sub(&in_use, units);
        test_check(cadre_sem_release(&shared, units) == 0);
    }
    return 0;
}

static void never_more_units_are_out_than_there_are(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (uint32_t i = 0; i < (uint32_t)rounds(200); i++)
        assert_int_equal(cadre_go_copy(&g, use_units, &i, sizeof i), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(in_use, 0);
    assert_int_equal(cadre_sem_try_acquire(&shared, SIZE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_are_taken_and_given_back),
        cmocka_unit_test(a_request_for_nothing_is_free),
        cmocka_unit_test(beyond_the_size_is_einval_and_holds_up_nobody),
        cmocka_unit_test(releasing_more_than_is_held_is_einval_and_changes_nothing),
        cmocka_unit_test(requests_are_served_first_come_first_served),
        cmocka_unit_test(a_small_request_does_not_overtake_a_large_one),
        cmocka_unit_test(one_release_serves_all_that_fit),
        cmocka_unit_test(cancelling_the_large_request_at_the_head_lets_those_behind_go),
        cmocka_unit_test(a_deadline_at_the_head_lets_those_behind_go),
        cmocka_unit_test(under_an_ended_context_free_units_are_taken_and_nothing_waits),
        cmocka_unit_test(a_thread_waits_as_a_task_does),
        cmocka_unit_test(never_more_units_are_out_than_there_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
