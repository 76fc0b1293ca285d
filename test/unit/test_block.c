/* SPDX-License-Identifier: MIT
 * Calls on threads set aside: what comes back from them, and what becomes of one whose caller leaves. */
#define _GNU_SOURCE 1
#include "test.h"

#include <string.h>

#include "tasks.h"
#include "threads.h"

#define MANY 200
#define kept(call) (errno = EXDEV, with_errno_kept((long)(call)))

static long with_errno_kept(long result)
{
    test_check(errno == EXDEV);
    return result;
}

static struct cadre_error run(cadre_fn *fn, void *arg)
{
    struct cadre_group g = { 0 };

    test_check(cadre_go(&g, fn, arg) == 0);
    (void)cadre_wait(&g);
    return cadre_group_error(&g);
}

/* ---- what comes back ---- */

static int spoil_errno(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    errno = EIO; /* its thread's own */
    return 0;
}

static int return_argument(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

static int look_at_results(struct cadre_ctx *ctx, void *arg)
{
    int results[] = { 0, 5, -EIO, -ECANCELED };

    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        test_check(kept(cadre_block(ctx, return_argument, &results[i])) == results[i]);
    test_check(arg == NULL || kept(cadre_block(ctx, spoil_errno, NULL)) == 0);
    return 0;
}

static void the_result_is_that_of_the_call(void **state)
{
    (void)state;
    assert_int_equal(run(look_at_results, &state).code, 0);
    assert_int_equal(look_at_results(NULL, NULL), 0);
}

static int say_thread(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    *(pthread_t *)arg = pthread_self();
    return 0;
}

static int compare_threads(struct cadre_ctx *ctx, void *arg)
{
    pthread_t there, here = pthread_self();

    test_check(cadre_block(ctx, say_thread, &there) == 0);
    *(int *)arg = pthread_equal(there, here);
    return 0;
}

static void a_task_calls_on_another_thread_and_a_plain_thread_on_its_own(void **state)
{
    int same = 1;

    (void)state;
    assert_int_equal(run(compare_threads, &same).code, 0);
    assert_int_equal(same, 0);
    assert_int_equal(compare_threads(NULL, &same), 0);
    assert_int_equal(same, 1);
}

static int fail_there(struct cadre_ctx *ctx, void *arg) { return cadre_fail(ctx, -EIO, "there %s", (char *)arg); }
static int fail_by_block(struct cadre_ctx *ctx, void *arg) { return cadre_block(ctx, fail_there, arg); }

static int panic_there(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    cadre_panic("lost %s", (char *)arg);
}

static int panic_by_block(struct cadre_ctx *ctx, void *arg)
{
    int code = cadre_block(ctx, panic_there, arg);

    test_check(code == -ENOTRECOVERABLE);
    return code;
}

static int fail_otherwise(struct cadre_ctx *ctx, void *arg)
{
    test_check(cadre_block(ctx, fail_there, arg) == -EIO);
    return -EAGAIN;
}

static void what_the_call_says_of_its_failure_is_the_tasks_error(void **state)
{
    struct cadre_error error = run(fail_by_block, "and then");

    (void)state;
    assert_int_equal(error.code, -EIO);
    assert_string_equal(error.message, "there and then");
    assert_true(error.line > 0);
    error = run(panic_by_block, "there");
    assert_int_equal(error.code, -ENOTRECOVERABLE);
    assert_string_equal(error.message, "lost there");
    error = run(fail_otherwise, "then");
    assert_int_equal(error.code, -EAGAIN);
    assert_string_equal(error.message, cadre_strerror(-EAGAIN));
}

static void set_at_end(void *arg) { atomic_store((atomic_int *)arg, 1); }

static int defer_there(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    test_check(cadre_defer(set_at_end, arg) == 0);
    test_check(atomic_load((atomic_int *)arg) == 0);
    return 0;
}

static int defer_and_panic_there(struct cadre_ctx *ctx, void *arg)
{
    test_check(defer_there(ctx, arg) == 0);
    cadre_panic("over");
}

static int defer_by_block(struct cadre_ctx *ctx, void *arg)
{
    atomic_int done = 0;

    (void)arg;
    test_check(cadre_block(ctx, defer_there, &done) == 0);
    test_check(atomic_exchange(&done, 0) == 1);
    test_check(cadre_block(ctx, defer_and_panic_there, &done) == -ENOTRECOVERABLE);
    test_check(atomic_load(&done) == 1);
    return 0;
}

static void deferred_calls_run_when_the_call_ends(void **state)
{
    (void)state;
    assert_int_equal(run(defer_by_block, NULL).code, 0);
}

/* ---- copies ---- */

struct sum {
    int parts[100];
    int total, code;
};

static int add_up(struct cadre_ctx *ctx, void *arg)
{
    struct sum *sum = arg;

    (void)ctx;
    for (int i = 0; i < 100; i++)
        sum->total += sum->parts[i];
    return sum->code;
}

static int add_up_a_copy(struct cadre_ctx *ctx, void *arg)
{
    struct sum sum = { .parts = { [3] = 4, [99] = 5 } };

    (void)arg;
    test_check(kept(cadre_block_copy(ctx, add_up, &sum, sizeof sum)) == 0);
    test_check(sum.total == 9);
    sum.code = -EIO;
    test_check(kept(cadre_block_copy(ctx, add_up, &sum, sizeof sum)) == -EIO);
    return sum.total;
}

static void a_copy_comes_back_from_a_call_that_succeeded(void **state)
{
    (void)state;
    assert_int_equal(run(add_up_a_copy, NULL).code, 9);
}

/* ---- leaving ---- */

struct leaver {
    struct gate gate;
    struct cadre_ctx ctx;
    cadre_time timeout;
    bool copies;
    atomic_int begun, left, ended;
    int result, seen;
};

/* Goes on after its caller has left, until the gate opens. */
static int stay(struct cadre_ctx *ctx, void *arg)
{
    struct leaver *l = *(struct leaver **)arg;

    atomic_store(&l->begun, 1);
    l->seen = cadre_sleep(ctx, CADRE_FOREVER);
    test_check(gate_pass(NULL, &l->gate) == 0);
    *(struct leaver **)arg = NULL;
    atomic_store(&l->ended, 1);
    return 0;
}

static int leave(struct cadre_ctx *ctx, void *arg)
{
    struct leaver *l = arg, *mine = l;

    l->ctx.parent = ctx;
    l->ctx.deadline = l->timeout != 0 ? cadre_in(l->timeout) : 0;
    l->result = (int)kept(l->copies ? cadre_block_copy(&l->ctx, stay, &mine, sizeof mine) : cadre_block(&l->ctx, stay, &arg));
    test_check(mine == l);
    atomic_store(&l->left, 1);
    while (!l->copies && atomic_load(&l->ended) == 0) /* the call has our variables */
        test_check(cadre_sleep(NULL, CADRE_US(50)) == 0);
    return 0;
}

static void leave_a_call(struct leaver *l)
{
    struct cadre_group g = { 0 };
    struct waiting waiting;

    test_check(cadre_go(&g, leave, l) == 0);
    waiting_start(&waiting, &g);
    test_until(atomic_load(&l->begun) == 1);
    if (l->timeout == 0)
        cadre_ctx_cancel(&l->ctx, 0, NULL);
    test_until(atomic_load(&l->left) == 1);
    test_check(atomic_load(&l->ended) == 0 && atomic_load(&waiting.returned) == 0);
    gate_open(&l->gate);
    test_check(waiting_join(&waiting) == 0);
    test_check(atomic_load(&l->ended) == 1);
}

static void a_caller_leaves_at_a_cancel_and_the_groups_wait_joins_the_call(void **state)
{
    (void)state;
    for (int copies = 0; copies < 2; copies++) {
        struct leaver l = { .copies = copies };

        leave_a_call(&l);
        assert_int_equal(l.result, -ECANCELED);
        assert_int_equal(l.seen, -ECANCELED);
    }
}

static void a_caller_leaves_at_the_deadline(void **state)
{
    (void)state;
    for (int copies = 0; copies < 2; copies++) {
        struct leaver l = { .copies = copies, .timeout = CADRE_MS(50) };

        leave_a_call(&l);
        assert_int_equal(l.result, -ETIMEDOUT);
        assert_int_equal(l.seen, -ETIMEDOUT);
    }
}

/* A group that is cancelled as a whole. */
static int wait_there(struct cadre_ctx *ctx, void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return cadre_sleep(ctx, CADRE_FOREVER);
}

static int wait_by_block(struct cadre_ctx *ctx, void *arg) { return cadre_block(ctx, wait_there, arg); }

static void cancelling_the_group_ends_its_calls(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int begun = 0;

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(cadre_go(&g, wait_by_block, &begun), 0);
    test_until(atomic_load(&begun) == 20);
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

static int call_when_it_is_over(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx late = { .deadline = 1 }, cancelled = { 0 };

    cadre_ctx_cancel(&cancelled, 0, NULL);
    test_check(kept(cadre_block(&late, wait_there, arg)) == -ETIMEDOUT);
    test_check(kept(cadre_block(&cancelled, wait_there, arg)) == -ECANCELED);
    test_check(kept(cadre_block_copy(&cancelled, wait_there, arg, sizeof(atomic_int))) == -ECANCELED);
    test_check(atomic_load((atomic_int *)arg) == 0);
    (void)ctx;
    return 0;
}

static void under_an_ended_context_nothing_is_called(void **state)
{
    atomic_int ran = 0;

    (void)state;
    assert_int_equal(run(call_when_it_is_over, &ran).code, 0);
    assert_int_equal(call_when_it_is_over(NULL, &ran), 0);
}

/* ---- inside ---- */

static const char key;

static int use_the_library(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };
    atomic_int ran = 0;

    test_check(cadre_wait(arg) == -EDEADLK); /* it waits for us */
    for (int i = 0; i < 10; i++)
        test_check(cadre_go(&inner, count_task, &ran) == 0);
    test_check(cadre_wait(&inner) == 0);
    test_check(ran == 10);
    test_check(cadre_ctx_value(ctx, &key) == &key);
    test_check(cadre_sleep(ctx, CADRE_US(10)) == 0);
    return 0;
}

static int use_it_by_block(struct cadre_ctx *ctx, void *arg) { return cadre_block(ctx, use_the_library, arg); }

static void the_call_may_use_the_library_and_sees_the_groups_values(void **state)
{
    struct cadre_ctx ctx = { .key = &key, .value = (void *)(uintptr_t)&key };
    struct cadre_group g = { .parent = &ctx };

    (void)state;
    assert_int_equal(cadre_go(&g, use_it_by_block, &g), 0);
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- threads ---- */

static int crowd_there(struct cadre_ctx *ctx, void *arg) { return crowd_task(ctx, arg); }
static int crowd_by_block(struct cadre_ctx *ctx, void *arg) { return cadre_block(ctx, crowd_there, arg); }

static void many_run_at_once_up_to_the_bound_and_others_are_not_held_up(void **state)
{
    struct cadre_group g = { 0 };
    struct crowd crowd = { 0 };
    atomic_int ran = 0;

    (void)state;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(cadre_go(&g, crowd_by_block, &crowd), 0);
    test_until(atomic_load(&crowd.running) == 64);
    assert_int_equal(cadre_go(&g, count_task, &ran), 0);
    test_until(atomic_load(&ran) == 1);
    assert_int_equal(atomic_load(&crowd.running), 64);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, MANY);
    assert_int_equal(crowd.most, 64);
}

static void threads_go_away_when_there_is_nothing_to_do(void **state)
{
    (void)state;
    test_until(threads_now() <= cadre_workers() + 3); /* the workers, this one, the monitor, a sanitizer's */
    assert_int_equal(run(look_at_results, NULL).code, 0);
}

static int call_wrongly(struct cadre_ctx *ctx, void *arg)
{
    int number = 0;

    (void)arg;
    test_check(kept(cadre_block(ctx, NULL, NULL)) == -EINVAL);
    test_check(kept(cadre_block_copy(ctx, NULL, &number, sizeof number)) == -EINVAL);
    test_check(kept(cadre_block_copy(ctx, return_argument, NULL, sizeof number)) == -EINVAL);
    test_check(kept(cadre_block_copy(ctx, return_argument, &number, 0)) == -EINVAL);
    return 0;
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    assert_int_equal(run(call_wrongly, NULL).code, 0);
    assert_int_equal(call_wrongly(NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_result_is_that_of_the_call),
        cmocka_unit_test(a_task_calls_on_another_thread_and_a_plain_thread_on_its_own),
        cmocka_unit_test(what_the_call_says_of_its_failure_is_the_tasks_error),
        cmocka_unit_test(deferred_calls_run_when_the_call_ends),
        cmocka_unit_test(a_copy_comes_back_from_a_call_that_succeeded),
        cmocka_unit_test(a_caller_leaves_at_a_cancel_and_the_groups_wait_joins_the_call),
        cmocka_unit_test(a_caller_leaves_at_the_deadline),
        cmocka_unit_test(cancelling_the_group_ends_its_calls),
        cmocka_unit_test(under_an_ended_context_nothing_is_called),
        cmocka_unit_test(the_call_may_use_the_library_and_sees_the_groups_values),
        cmocka_unit_test(many_run_at_once_up_to_the_bound_and_others_are_not_held_up),
        cmocka_unit_test(threads_go_away_when_there_is_nothing_to_do),
        cmocka_unit_test(wrong_arguments_are_refused),
    };

    unsetenv("CADRE_BLOCK_THREADS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
