/* SPDX-License-Identifier: MIT
 * cadre_panic: from any depth, its error and its backtrace, what runs afterwards, and what it must not disturb. */
#include "test.h"

#include <string.h>

#include "cadre.h"
#include "child.h"
#include "until.h"

static struct cadre_error error_of(cadre_fn *fn, void *arg)
{
    struct cadre_group g = { .name = "of one" };
    int code;

    cadre_go(&g, fn, arg);
    code = cadre_wait(&g);
    assert_int_equal(code, cadre_group_error(&g).code);
    return cadre_group_error(&g);
}

static int panic_line;
static void *panic_caller; /* where the innermost dives() would have returned to */

static __attribute__((noinline)) int dives(int depth)
{
    volatile int left = depth;

    if (left < 0)
        return 0;
    if (left == 0) {
        __atomic_store_n(&panic_caller, __builtin_extract_return_addr(__builtin_return_address(0)), __ATOMIC_RELAXED);
        __atomic_store_n(&panic_line, __LINE__ + 1, __ATOMIC_RELAXED);
        cadre_panic("no way %s from level %d", "out", depth);
    }
    left = dives(left - 1);
    return left + 1;
}

static int panics(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    cadre_task_name("diver");
    return dives(20);
}

static void test_a_panic_from_any_depth_becomes_an_error(void **state)
{
    struct cadre_error error = error_of(panics, NULL);

    (void)state;
    assert_int_equal(error.code, -ENOTRECOVERABLE);
    assert_int_equal(error.origin, CADRE_FROM_PANIC);
    assert_string_equal(error.message, "no way out from level 0");
    assert_string_equal(error.file, __FILE__);
    assert_int_equal(error.line, panic_line);
    assert_string_equal(error.task, "diver");
    assert_string_equal(error.group, "of one");
}

static void test_a_panic_has_a_backtrace(void **state)
{
    struct cadre_error error = error_of(panics, NULL);
    int found = 0, n = 0;

    (void)state;
    for (; n < CADRE_TRACE_SIZE && error.trace[n] != NULL; n++)
        found += error.trace[n] == panic_caller;
    assert_true(n >= 4);
    assert_true(found >= 1); /* it leads back to who called it */
}

static void test_other_errors_have_no_backtrace(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    cadre_group_cancel(&g, -EIO, "why");
    assert_null(cadre_group_error(&g).trace[0]);
    assert_int_equal(cadre_wait(&g), -EIO);
}

/* ---- what runs afterwards ---- */

static void counts(void *arg) { count(arg); }

static void blocks_and_counts(void *arg)
{
    cadre_sleep(NULL, CADRE_US(100));
    count(arg);
}

static int defers_and_panics(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    test_check(cadre_defer(counts, arg) == 0);
    test_check(cadre_defer(blocks_and_counts, arg) == 0);
    cadre_sleep(NULL, CADRE_US(100)); /* moved, perhaps */
    return dives(3);
}

static void test_deferred_calls_run_after_a_panic(void **state)
{
    unsigned ran = 0;

    (void)state;
    for (unsigned i = 1; i <= 50; i++) {
        assert_int_equal(error_of(defers_and_panics, &ran).code, -ENOTRECOVERABLE);
        assert_int_equal(get(&ran), 2 * i);
    }
}

static struct cadre_chan silent = { 0 };

static int blocks(struct cadre_ctx *ctx, void *arg)
{
    count(arg);
    return cadre_recv(ctx, &silent, NULL);
}

static int panics_after_others(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    until(arg, 10);
    return dives(2);
}

static void test_a_panic_cancels_siblings_where_the_group_says_so(void **state)
{
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };
    unsigned blocked = 0;

    (void)state;
    for (int i = 0; i < 10; i++)
        cadre_go(&g, blocks, &blocked);
    cadre_go(&g, panics_after_others, &blocked);
    assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
    assert_int_equal(cadre_ctx_cause(cadre_group_ctx(&g)).origin, CADRE_FROM_PANIC);
    assert_int_equal(cadre_group_error_count(&g), 1);
}

static int stays(struct cadre_ctx *ctx, void *arg)
{
    test_check(cadre_sleep(ctx, CADRE_US(200)) == 0);
    count(arg);
    return 0;
}

static void test_a_panic_leaves_siblings_alone_where_it_does_not(void **state)
{
    struct cadre_group g = { 0 };
    unsigned ended = 0;

    (void)state;
    for (int i = 0; i < 10; i++)
        cadre_go(&g, stays, &ended);
    cadre_go(&g, panics, NULL);
    assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
    assert_int_equal(get(&ended), 10);
}

static void test_many_panics_are_all_counted(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    for (int i = 0; i < 500; i++)
        cadre_go(&g, panics, NULL);
    assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
    assert_int_equal(cadre_group_error_count(&g), 500);
}

/* ---- what it must not disturb ---- */

static int waits_for_a_panic(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };
    int before[32];

    for (int i = 0; i < 32; i++)
        before[i] = i * 7;
    test_check(cadre_defer(counts, arg) == 0);
    cadre_go(&inner, panics, NULL);
    test_check(cadre_wait(&inner) == -ENOTRECOVERABLE); /* run on this stack, as a rule */
    for (int i = 0; i < 32; i++)
        test_check(before[i] == i * 7);
    test_check(get(arg) == 0);
    return 0;
}

static void test_a_panic_inside_cadre_wait_ends_only_the_inner_task(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        unsigned deferred = 0;

        assert_int_equal(error_of(waits_for_a_panic, &deferred).code, 0);
        assert_int_equal(get(&deferred), 1);
    }
}

static int panics_pinned(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    cadre_pin();
    cadre_pin();
    return dives(1);
}

static int waits_pinned_for_a_pinned_panic(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group inner = { .parent = ctx };
    unsigned here;

    (void)arg;
    cadre_pin();
    here = thread_id();
    cadre_go(&inner, panics_pinned, NULL);
    test_check(cadre_wait(&inner) == -ENOTRECOVERABLE);
    for (int i = 0; i < 20; i++) {
        cadre_sleep(ctx, CADRE_US(20));
        test_check(thread_id() == here); /* this task's own pin still holds */
    }
    cadre_unpin();
    return 0;
}

static void test_a_panic_gives_up_the_pins_of_its_task_only(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(error_of(waits_pinned_for_a_pinned_panic, NULL).code, 0);
}

/* ---- outside a task ---- */

struct report {
    int fd;
    cadre_fn *fn; /* the task that panics wrongly; NULL: no task */
};

static void panics_to_pipe(void *arg)
{
    struct report *report = arg;
    struct cadre_group g = { 0 };

    dup2(report->fd, 2);
    if (report->fn == NULL)
        cadre_panic("lost at %d", 42);
    cadre_go(&g, report->fn, NULL);
    cadre_wait(&g);
}

static void panics_again(void *arg)
{
    (void)arg;
    cadre_panic("lost at %d", 42);
}

static int defers_a_panic(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    test_check(cadre_defer(panics_again, NULL) == 0);
    return 0;
}

static void check_aborts_with_message(cadre_fn *fn)
{
    char text[512];
    int fds[2], status;
    ssize_t n;

    assert_int_equal(pipe(fds), 0);
    status = in_child(panics_to_pipe, &(struct report){ fds[1], fn });
    close(fds[1]);
    n = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    assert_true(n > 0);
    text[n] = 0;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "lost at 42"));
    assert_non_null(strstr(text, "test_panic.c"));
}

static void test_a_panic_outside_a_task_prints_and_aborts(void **state)
{
    (void)state;
    check_aborts_with_message(NULL);
}

static void test_a_panic_in_a_deferred_call_prints_and_aborts(void **state)
{
    (void)state;
    check_aborts_with_message(defers_a_panic);
}

int main(void)
{
    /* Children first: ThreadSanitizer lets no child start threads once the parent has some. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_panic_outside_a_task_prints_and_aborts),
        cmocka_unit_test(test_a_panic_in_a_deferred_call_prints_and_aborts),
        cmocka_unit_test(test_a_panic_from_any_depth_becomes_an_error),
        cmocka_unit_test(test_a_panic_has_a_backtrace),
        cmocka_unit_test(test_other_errors_have_no_backtrace),
        cmocka_unit_test(test_deferred_calls_run_after_a_panic),
        cmocka_unit_test(test_a_panic_cancels_siblings_where_the_group_says_so),
        cmocka_unit_test(test_a_panic_leaves_siblings_alone_where_it_does_not),
        cmocka_unit_test(test_many_panics_are_all_counted),
        cmocka_unit_test(test_a_panic_inside_cadre_wait_ends_only_the_inner_task),
        cmocka_unit_test(test_a_panic_gives_up_the_pins_of_its_task_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
