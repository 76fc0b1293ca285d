/* SPDX-License-Identifier: MIT
 * cadre_wait: when it returns, what it returns, to whom, and what it does in the meantime. */
#include "test.h"

#include "child.h"
#include "tasks.h"

/* ---- the answer ---- */

static void an_empty_group_is_waited_for_at_once(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_wait(NULL), -EINVAL);
}

static int write_plainly(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    *(int *)arg += 1;
    return 0;
}

static void what_tasks_wrote_is_there_after_wait(void **state)
{
    enum { N = 500 };
    int numbers[N] = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < N; i++)
            assert_int_equal(cadre_go(&g, write_plainly, &numbers[i]), 0);
        assert_int_equal(cadre_wait(&g), 0);
        for (int i = 0; i < N; i++)
            assert_int_equal(numbers[i], round);
    }
}

static void the_first_error_stays_when_the_group_is_used_again(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int count = 0;

    (void)state;
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_go(&g, count_task, &count), 0);
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EPERM }), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(count, 1);
}

struct asking {
    struct cadre_group *group;
    atomic_int *begun;
};

static int ask(struct cadre_ctx *ctx, void *arg)
{
    const struct asking *asking = arg;

    (void)ctx;
    atomic_fetch_add(asking->begun, 1);
    return cadre_wait(asking->group) == -EIO ? 0 : -EPROTO;
}

static void all_who_wait_get_the_same_answer(void **state)
{
    enum { N = 8 };
    struct crowd crowd = { .code = -EIO };
    struct cadre_group g = { 0 }, waiters = { 0 };
    atomic_int begun = 0;
    struct asking asking = { &g, &begun };
    struct waiting threads[N];

    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    for (int i = 0; i < N; i++) {
        waiting_start(&threads[i], &g);
        assert_int_equal(cadre_go(&waiters, ask, &asking), 0);
    }
    for (int i = 0; i < N; i++)
        test_until(threads[i].begun);
    test_until(begun == N);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_wait(&waiters), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(waiting_join(&threads[i]), -EIO);
    assert_int_equal(crowd.ended, N);
}

static void nobody_returns_before_the_last_task_has_ended(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { 0 };
    struct waiting waiting;

    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    waiting_start(&waiting, &g);
    test_until(crowd.started == 50 && waiting.begun);
    assert_int_equal(waiting.returned, 0);
    gate_open(&crowd.gate);
    assert_int_equal(waiting_join(&waiting), 0);
    assert_int_equal(crowd.ended, 50);
}

static void a_group_can_be_used_again_after_wait(void **state)
{
    struct cadre_group g = { 0 }, limited = { .limit = 3, .queue = 5 };
    atomic_int count = 0;

    (void)state;
    for (int round = 1; round <= 200; round++) {
        for (int i = 0; i < 20; i++) {
            assert_int_equal(cadre_go(&g, count_task, &count), 0);
            assert_int_equal(cadre_go(&limited, count_task, &count), 0);
        }
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(cadre_wait(&limited), 0);
        assert_int_equal(count, round * 40);
    }
}

/* ---- one's own group ---- */

static int wait_for(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return cadre_wait(arg);
}

static void a_task_that_waits_for_its_own_group_gets_edeadlk(void **state)
{
    struct cadre_group g = { 0 };
    struct cadre_group limited = { .limit = 1 };

    (void)state;
    assert_int_equal(cadre_go(&g, wait_for, &g), 0);
    assert_int_equal(cadre_wait(&g), -EDEADLK);
    assert_int_equal(cadre_go(&limited, wait_for, &limited), 0);
    assert_int_equal(cadre_wait(&limited), -EDEADLK);
}

struct early {
    struct cadre_group *group;
    struct crowd *others;
};

/* Opens the gate for the others only when the answer is there. */
static int wait_while_others_run(struct cadre_ctx *ctx, void *arg)
{
    struct early *early = arg;
    int code;

    (void)ctx;
    test_until(early->others->started == 10);
    code = cadre_wait(early->group);
    gate_open(&early->others->gate);
    return code == -EDEADLK ? 0 : -EPROTO;
}

static void edeadlk_comes_at_once(void **state)
{
    struct cadre_group g = { 0 };
    struct crowd others = { 0 };
    struct early early = { &g, &others };

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(cadre_go(&g, crowd_task, &others), 0);
    assert_int_equal(cadre_go(&g, wait_while_others_run, &early), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(others.ended, 10);
}

/* A task that lies on top of the stack of a task of the group it waits for would wait for ever. Where it runs is not ours to
 * say; one that runs elsewhere does not wait. */
struct inside {
    struct cadre_group *outer;
    uintptr_t stack;
    atomic_int inlined;
};

static uintptr_t stack_now(void) { return (uintptr_t)__builtin_frame_address(0); }

static int wait_if_inside(struct cadre_ctx *ctx, void *arg)
{
    struct inside *inside = arg;

    (void)ctx;
    if (inside->stack - stack_now() > 32 << 10)
        return 0;
    atomic_fetch_add(&inside->inlined, 1);
    return cadre_wait(inside->outer) == -EDEADLK ? 0 : -EPROTO;
}

static int wait_with_one_inside(struct cadre_ctx *ctx, void *arg)
{
    struct inside *inside = arg;
    struct cadre_group inner = { 0 };

    (void)ctx;
    inside->stack = stack_now();
    test_check(cadre_go(&inner, wait_if_inside, inside) == 0);
    return cadre_wait(&inner);
}

static void a_task_inside_a_task_of_the_group_gets_edeadlk_too(void **state)
{
    struct inside inside = { 0 };

    (void)state;
    for (int i = 0; i < 10000 && inside.inlined == 0; i++) {
        struct cadre_group g = { 0 };

        inside.outer = &g;
        assert_int_equal(cadre_go(&g, wait_with_one_inside, &inside), 0);
        assert_int_equal(cadre_wait(&g), 0);
    }
    assert_true(inside.inlined > 0);
}

/* ---- groups in groups ---- */

static int ten_more(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };

    for (int i = 0; i < 10; i++)
        test_check(cadre_go(&inner, count_task, arg) == 0);
    return cadre_wait(&inner);
}

static void a_hundred_wait_for_ten(void *unused)
{
    struct cadre_group g = { 0 }, limited = { .limit = 7 };
    atomic_int count = 0;

    (void)unused;
    for (int i = 0; i < 100; i++) {
        test_check(cadre_go(&g, ten_more, &count) == 0);
        test_check(cadre_go(&limited, ten_more, &count) == 0);
    }
    test_check(cadre_wait(&g) == 0);
    test_check(cadre_wait(&limited) == 0);
    test_check(count == 2000);
}

static void with_one_worker(void *body)
{
    setenv("CADRE_WORKERS", "1", 1);
    test_check(cadre_workers() == 1);
    (*(void (**)(void *))body)(NULL);
}

/* In main, the tests in a child come first, while the process has one thread: ThreadSanitizer forks no other. */
static void nested_groups_complete_with_one_worker(void **state)
{
    void (*body)(void *) = a_hundred_wait_for_ten;

    (void)state;
    assert_true(passed(in_child(with_one_worker, &body)));
}

static void nested_groups_complete(void **state)
{
    (void)state;
    a_hundred_wait_for_ten(NULL);
}

struct fib {
    int n;
    long result;
};

static int fib(struct cadre_ctx *ctx, void *arg)
{
    struct fib *f = arg, a = { f->n - 1, 0 }, b = { f->n - 2, 0 };
    struct cadre_group g = { .parent = ctx };
    int code;

    if (f->n < 2) {
        f->result = f->n;
        return 0;
    }
    test_check(cadre_go(&g, fib, &a) == 0);
    test_check(cadre_go(&g, fib, &b) == 0);
    code = cadre_wait(&g);
    f->result = a.result + b.result;
    return code;
}

static void groups_nest_as_deep_as_calls(void **state)
{
    struct fib f = { 16, 0 };

    (void)state;
    assert_int_equal(fib(NULL, &f), 0);
    assert_int_equal(f.result, 987);
}

/* ---- where the group lives, and who waits for it ---- */

static void *wait_for_empty_groups(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1024; i++) {
        struct cadre_group g = { 0 };

        test_check(cadre_wait(&g) == 0);
    }
    return NULL;
}

static void eight_threads_wait_for_empty_groups(void **state)
{
    pthread_t threads[8];

    (void)state;
    for (int i = 0; i < 8; i++)
        threads[i] = thread_start(wait_for_empty_groups, NULL);
    for (int i = 0; i < 8; i++)
        thread_join(threads[i]);
}

static void a_heap_group_can_be_freed_right_after_wait(void **state)
{
    (void)state;
    for (int round = 0; round < 1000; round++) {
        struct cadre_group *g = calloc(1, sizeof *g);
        atomic_int count = 0;

        assert_non_null(g);
        g->limit = round % 3; /* no limit, and those that make tasks wait */
        for (int i = 0; i < 5; i++)
            assert_int_equal(cadre_go(g, count_task, &count), 0);
        assert_int_equal(cadre_wait(g), 0);
        assert_int_equal(count, 5);
        memset(g, 0xa5, sizeof *g);
        free(g);
    }
}

static struct cadre_group shared;
static atomic_int shared_count;

static int use_shared(struct cadre_ctx *ctx, void *arg)
{
    atomic_fetch_add(&shared_count, 1);
    return arg == NULL ? 0 : cadre_sleep(ctx, CADRE_US(10));
}

static void *fill_shared(void *unused)
{
    (void)unused;
    for (int i = 0; i < 50; i++)
        test_check(cadre_go(&shared, use_shared, i % 2 == 0 ? NULL : &shared) == 0);
    return NULL;
}

static void start_here_wait_there(void *unused)
{
    (void)unused;
    shared_count = 0;
    for (int round = 1; round <= 50; round++) {
        struct waiting waiting;

        thread_join(thread_start(fill_shared, NULL));
        waiting_start(&waiting, &shared);
        test_check(waiting_join(&waiting) == 0);
        test_check(shared_count == round * 50);
    }
}

static void one_thread_may_start_and_another_wait(void **state)
{
    (void)state;
    start_here_wait_there(NULL);
}

static int fill_from_a_task(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    fill_shared(NULL);
    return 0;
}

static void a_task_may_start_and_a_thread_wait(void **state)
{
    (void)state;
    shared_count = 0;
    for (int round = 1; round <= 50; round++) {
        struct cadre_group g = { 0 };

        assert_int_equal(cadre_go(&g, fill_from_a_task, NULL), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(cadre_wait(&shared), 0);
        assert_int_equal(shared_count, round * 50);
    }
}

static void a_thread_may_start_and_a_task_wait(void **state)
{
    (void)state;
    shared_count = 0;
    for (int round = 1; round <= 50; round++) {
        struct cadre_group g = { 0 };

        fill_shared(NULL);
        assert_int_equal(cadre_go(&g, wait_for, &shared), 0);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(shared_count, round * 50);
    }
}

static void one_worker_serves_a_group_of_two_threads(void **state)
{
    void (*body)(void *) = start_here_wait_there;

    (void)state;
    assert_true(passed(in_child(with_one_worker, &body)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_groups_complete_with_one_worker),
        cmocka_unit_test(one_worker_serves_a_group_of_two_threads),
        cmocka_unit_test(an_empty_group_is_waited_for_at_once),
        cmocka_unit_test(what_tasks_wrote_is_there_after_wait),
        cmocka_unit_test(the_first_error_stays_when_the_group_is_used_again),
        cmocka_unit_test(all_who_wait_get_the_same_answer),
        cmocka_unit_test(nobody_returns_before_the_last_task_has_ended),
        cmocka_unit_test(a_group_can_be_used_again_after_wait),
        cmocka_unit_test(a_task_that_waits_for_its_own_group_gets_edeadlk),
        cmocka_unit_test(edeadlk_comes_at_once),
        cmocka_unit_test(a_task_inside_a_task_of_the_group_gets_edeadlk_too),
        cmocka_unit_test(nested_groups_complete),
        cmocka_unit_test(groups_nest_as_deep_as_calls),
        cmocka_unit_test(eight_threads_wait_for_empty_groups),
        cmocka_unit_test(a_heap_group_can_be_freed_right_after_wait),
        cmocka_unit_test(one_thread_may_start_and_another_wait),
        cmocka_unit_test(a_task_may_start_and_a_thread_wait),
        cmocka_unit_test(a_thread_may_start_and_a_task_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
