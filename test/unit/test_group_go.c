/* SPDX-License-Identifier: MIT
 * Starting tasks: cadre_go and cadre_try_go, from wherever they may be called, and who owns the argument then. */
#include "test.h"

#include "tasks.h"

/* ---- what a task is given ---- */

struct given {
    struct cadre_ctx *ctx;
    void *arg;
};

static int note_given(struct cadre_ctx *ctx, void *arg)
{
    struct given *given = arg;

    given->ctx = ctx;
    given->arg = arg;
    return 0;
}

static void a_task_gets_the_groups_context_and_its_argument(void **state)
{
    struct cadre_group g = { 0 };
    struct given given = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&g, note_given, &given), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_ptr_equal(given.arg, &given);
    assert_ptr_equal(given.ctx, cadre_group_ctx(&g));
}

static const char value_key;

static int look_up(struct cadre_ctx *ctx, void *arg)
{
    *(void **)arg = cadre_ctx_value(ctx, &value_key);
    return 0;
}

static void tasks_see_the_values_of_the_groups_parent(void **state)
{
    int value;
    struct cadre_ctx parent = { .key = &value_key, .value = &value };
    struct cadre_group g = { .parent = &parent };
    void *seen = NULL;

    (void)state;
    assert_int_equal(cadre_go(&g, look_up, &seen), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_ptr_equal(seen, &value);
    assert_ptr_equal(cadre_group_ctx(&g)->parent, &parent);
    assert_null(cadre_group_ctx(NULL));
}

static int is_null(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    return arg == NULL ? 0 : -EINVAL;
}

static void the_argument_may_be_null(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&g, is_null, NULL), 0);
    assert_int_equal(cadre_try_go(&g, is_null, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
}

static void every_task_runs_once(void **state)
{
    enum { N = 20000 };
    struct cadre_group g = { 0 };
    atomic_int count = 0;

    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(cadre_go(&g, count_task, &count), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(count, N);
}

/* ---- wrong arguments ---- */

static void wrong_arguments_are_refused_and_nothing_is_taken(void **state)
{
    atomic_int dropped = 0;
    struct cadre_group good = { .drop = count_drop };
    struct cadre_group bad[] = { { .limit = -1, .drop = count_drop }, { .queue = -2, .drop = count_drop } };

    (void)state;
    assert_int_equal(cadre_go(NULL, count_task, &dropped), -EINVAL);
    assert_int_equal(cadre_try_go(NULL, count_task, &dropped), -EINVAL);
    assert_int_equal(cadre_go_copy(NULL, count_task, &dropped, sizeof dropped), -EINVAL);
    assert_int_equal(cadre_go(&good, NULL, &dropped), -EINVAL);
    assert_int_equal(cadre_try_go(&good, NULL, &dropped), -EINVAL);
    assert_int_equal(cadre_go_copy(&good, NULL, &dropped, sizeof dropped), -EINVAL);
    assert_int_equal(cadre_go_copy(&good, count_task, NULL, 1), -EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(cadre_go(&bad[i], count_task, &dropped), -EINVAL);
        assert_int_equal(cadre_try_go(&bad[i], count_task, &dropped), -EINVAL);
        assert_int_equal(cadre_go_copy(&bad[i], count_task, &dropped, sizeof dropped), -EINVAL);
        assert_int_equal(cadre_wait(&bad[i]), 0);
    }
    assert_int_equal(cadre_wait(&good), 0);
    assert_int_equal(cadre_group_error_count(&good), 0);
    assert_int_equal(dropped, 0);
}

/* ---- try_go ---- */

static void try_go_takes_42_of_42_and_refuses_the_43rd(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 42, .drop = crowd_drop };

    (void)state;
    for (int i = 0; i < 42; i++)
        assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), -EAGAIN);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, 43);
    assert_int_equal(crowd.dropped, 0);
    assert_int_equal(cadre_group_error_count(&g), 0);
}

static void try_go_starts_nothing_at_a_limit_of_0(void **state)
{
    atomic_int ran = 0, dropped = 0;
    struct cadre_group g = { .drop = count_drop };

    (void)state;
    assert_int_equal(cadre_group_set_limit(&g, 0), 0);
    for (int i = 0; i < 1024; i++)
        assert_int_equal(cadre_try_go(&g, count_task, &ran), -EAGAIN);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran + dropped, 0);
    assert_int_equal(cadre_group_error_count(&g), 0);
}

static void try_go_uses_the_room_in_the_queue(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group g = { .limit = 2, .queue = 3 };

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), -EAGAIN);
    test_until(crowd.started == 2);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(crowd.ended, 5);
    assert_int_equal(crowd.most, 2);
}

static void try_go_leaves_the_argument_when_the_group_has_ended(void **state)
{
    atomic_int touched = 0;
    struct cadre_ctx late = { .deadline = 1 };
    struct cadre_group cancelled = { .drop = count_drop }, expired = { .parent = &late, .drop = count_drop };

    (void)state;
    cadre_group_cancel(&cancelled, -EINTR, NULL);
    assert_int_equal(cadre_try_go(&cancelled, count_task, &touched), -ECANCELED);
    assert_int_equal(cadre_wait(&cancelled), -EINTR);
    assert_int_equal(cadre_group_error_count(&cancelled), 1);
    assert_int_equal(cadre_try_go(&expired, count_task, &touched), -ETIMEDOUT);
    assert_int_equal(cadre_wait(&expired), 0);
    assert_int_equal(cadre_group_error_count(&expired), 0);
    assert_int_equal(touched, 0);
}

/* ---- who owns a refused argument ---- */

static void go_hands_a_refused_argument_to_drop_before_it_returns(void **state)
{
    struct crowd crowd = { 0 };
    struct cadre_group full = { .limit = 1, .flags = CADRE_DISCARD_WHEN_FULL, .drop = crowd_drop };
    struct cadre_group ended = { .drop = crowd_drop };

    (void)state;
    assert_int_equal(cadre_go(&full, crowd_task, &crowd), 0);
    assert_int_equal(cadre_go(&full, crowd_task, &crowd), -EAGAIN);
    assert_int_equal(crowd.dropped, 1);
    assert_int_equal(cadre_group_error_count(&full), 0);
    cadre_group_cancel(&ended, -EINTR, NULL);
    assert_int_equal(cadre_go(&ended, crowd_task, &crowd), -ECANCELED);
    assert_int_equal(crowd.dropped, 2);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&full), 0);
    assert_int_equal(cadre_wait(&ended), -EINTR);
    assert_int_equal(crowd.ended, 1);
    assert_int_equal(crowd.dropped, 2);
}

static void a_stack_that_cannot_be_had_is_an_error_of_the_group(void **state)
{
    atomic_int touched = 0;
    struct cadre_group g = { .stack_size = (size_t)1 << 46, .drop = count_drop };

    (void)state;
    assert_int_equal(cadre_go(&g, count_task, &touched), -ENOMEM);
    assert_int_equal(touched, 1);
    assert_int_equal(cadre_go_copy(&g, count_task, "x", 1), -ENOMEM);
    assert_int_equal(cadre_group_error_count(&g), 2);
    assert_int_equal(cadre_try_go(&g, count_task, &touched), -ENOMEM);
    assert_int_equal(touched, 1);
    assert_int_equal(cadre_group_error_count(&g), 2);
    assert_int_equal(cadre_wait(&g), -ENOMEM);
    assert_int_equal(cadre_group_error(&g).origin, CADRE_FROM_START);
}

static void a_group_without_drop_may_refuse_too(void **state)
{
    struct cadre_group g = { 0 };
    atomic_int ran = 0;

    (void)state;
    assert_int_equal(cadre_go(&g, sleep_for_ever, &ran), 0);
    cadre_group_cancel(&g, 0, NULL);
    assert_int_equal(cadre_go(&g, count_task, &ran), -ECANCELED);
    assert_int_equal(cadre_wait(&g), 0);
    assert_in_range(ran, 0, 1);
}

/* ---- from everywhere ---- */

struct tree {
    struct cadre_group *group;
    atomic_int *nodes;
    int depth;
};

static int grow(struct cadre_ctx *ctx, void *arg)
{
    struct tree *tree = arg, child = { tree->group, tree->nodes, tree->depth - 1 };

    (void)ctx;
    atomic_fetch_add(tree->nodes, 1);
    for (int i = 0; i < 2 && tree->depth > 0; i++)
        test_check(cadre_go_copy(tree->group, grow, &child, sizeof child) == 0);
    return 0;
}

static void tasks_may_start_tasks_of_their_own_group(void **state)
{
    static struct cadre_group elsewhere;
    struct cadre_group here = { 0 };
    atomic_int nodes = 0;
    struct tree root = { &here, &nodes, 11 };

    (void)state;
    assert_int_equal(cadre_go_copy(&here, grow, &root, sizeof root), 0);
    assert_int_equal(cadre_wait(&here), 0);
    assert_int_equal(nodes, 4095);
    root.group = &elsewhere;
    assert_int_equal(cadre_go_copy(&elsewhere, grow, &root, sizeof root), 0);
    assert_int_equal(cadre_wait(&elsewhere), 0);
    assert_int_equal(nodes, 2 * 4095);
}

struct starting {
    struct cadre_group *group;
    struct gate *gate;
    atomic_int *count;
    int n;
};

static void *start_many(void *arg)
{
    struct starting *starting = arg;

    test_check(gate_pass(NULL, starting->gate) == 0);
    for (int i = 0; i < starting->n; i++)
        test_check(cadre_go(starting->group, count_task, starting->count) == 0);
    cadre_group_release(starting->group, 0);
    return NULL;
}

static void threads_may_start_tasks_while_another_waits(void **state)
{
    enum { THREADS = 4, EACH = 2000 };
    struct cadre_group g = { 0 };
    struct gate gate = { 0 };
    atomic_int count = 0;
    struct starting starting = { &g, &gate, &count, EACH };
    pthread_t threads[THREADS];
    struct waiting waiting;

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(cadre_group_hold(&g), 0);
        threads[i] = thread_start(start_many, &starting);
    }
    waiting_start(&waiting, &g);
    test_until(waiting.begun);
    gate_open(&gate);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(waiting_join(&waiting), 0);
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    assert_int_equal(count, THREADS * EACH);
}

static void tasks_outlive_the_thread_that_started_them(void **state)
{
    struct cadre_group g = { 0 };
    struct gate gate = { 0 };
    atomic_int count = 0;
    struct starting starting = { &g, &gate, &count, 1000 };

    (void)state;
    gate_open(&gate);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(cadre_group_hold(&g), 0);
        thread_join(thread_start(start_many, &starting));
    }
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(count, 20 * 1000);
}

/* ---- options that concern a single task ---- */

static int use_stack(struct cadre_ctx *ctx, void *arg)
{
    volatile char block[1 << 20];

    (void)ctx;
    for (size_t i = 0; i < sizeof block; i += 512)
        block[i] = (char)i;
    atomic_fetch_add((atomic_int *)arg, block[512] == 0 ? 1 : 0);
    return 0;
}

static void a_task_has_the_stack_that_its_group_asks_for(void **state)
{
    struct cadre_group g = { .stack_size = (1 << 20) + (64 << 10) };
    atomic_int ran = 0;

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(cadre_go(&g, use_stack, &ran), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(ran, 20);
}

static int stay(struct cadre_ctx *ctx, void *arg)
{
    pthread_t thread = pthread_self();

    (void)arg;
    for (int i = 0; i < 5; i++) {
        test_check(cadre_sleep(ctx, CADRE_US(20)) == 0);
        cadre_yield();
        if (!pthread_equal(thread, pthread_self()))
            return -EXDEV;
    }
    return 0;
}

static void a_pinned_task_stays_on_its_thread(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct cadre_group g = { .flags = CADRE_PINNED };

        for (int i = 0; i < 20; i++)
            assert_int_equal(cadre_go(&g, stay, NULL), 0);
        assert_int_equal(cadre_wait(&g), 0);
    }
}

static void starting_and_waiting_leave_errno_alone(void **state)
{
    struct cadre_group g = { .limit = 1 };
    atomic_int count = 0;

    (void)state;
    errno = ENOTTY;
    assert_int_equal(cadre_go(&g, count_task, &count), 0);
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(cadre_go_copy(&g, return_code, &(int){ 0 }, sizeof(int)), 0);
    assert_int_equal(cadre_go(NULL, count_task, &count), -EINVAL);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(errno, ENOTTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_gets_the_groups_context_and_its_argument),
        cmocka_unit_test(tasks_see_the_values_of_the_groups_parent),
        cmocka_unit_test(the_argument_may_be_null),
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(wrong_arguments_are_refused_and_nothing_is_taken),
        cmocka_unit_test(try_go_takes_42_of_42_and_refuses_the_43rd),
        cmocka_unit_test(try_go_starts_nothing_at_a_limit_of_0),
        cmocka_unit_test(try_go_uses_the_room_in_the_queue),
        cmocka_unit_test(try_go_leaves_the_argument_when_the_group_has_ended),
        cmocka_unit_test(go_hands_a_refused_argument_to_drop_before_it_returns),
        cmocka_unit_test(a_stack_that_cannot_be_had_is_an_error_of_the_group),
        cmocka_unit_test(a_group_without_drop_may_refuse_too),
        cmocka_unit_test(tasks_may_start_tasks_of_their_own_group),
        cmocka_unit_test(threads_may_start_tasks_while_another_waits),
        cmocka_unit_test(tasks_outlive_the_thread_that_started_them),
        cmocka_unit_test(a_task_has_the_stack_that_its_group_asks_for),
        cmocka_unit_test(a_pinned_task_stays_on_its_thread),
        cmocka_unit_test(starting_and_waiting_leave_errno_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
