/* SPDX-License-Identifier: MIT
 * The process around the runtime: fork(2) while it runs, exit(3) from anywhere, destructors that still use it. */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "cadre.h"
#include "child.h"
#include "platform/sanitizer.h" /* which of them is there */
#include "until.h"

static int counts(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    count(arg);
    return 0;
}

static int naps_and_counts(struct cadre_ctx *ctx, void *arg)
{
    test_check(cadre_sleep(ctx, CADRE_US(50)) == 0);
    count(arg);
    return 0;
}

static void use(void)
{
    struct cadre_group g = { 0 }, limited = { .limit = 2 };
    unsigned ran = 0;

    for (int i = 0; i < 100; i++) {
        test_check(cadre_go(&g, i % 2 == 0 ? counts : naps_and_counts, &ran) == 0);
        test_check(cadre_go(&limited, i % 2 == 0 ? counts : naps_and_counts, &ran) == 0);
    }
    test_check(cadre_wait(&g) == 0);
    test_check(cadre_wait(&limited) == 0);
    test_check(get(&ran) == 200);
}

/* ---- exit ---- */

static int exits(struct cadre_ctx *ctx, void *arg)
{
    cadre_sleep(ctx, CADRE_US(50));
    exit(*(int *)arg);
}

static void exit_from_a_task(void *arg)
{
    struct cadre_group g = { 0 };

    cadre_go(&g, exits, arg);
    cadre_wait(&g);
}

static struct cadre_chan silent = { 0 };

static int blocks(struct cadre_ctx *ctx, void *arg)
{
    count(arg);
    return cadre_recv(ctx, &silent, NULL);
}

static void exit_from_main_while_tasks_are_blocked(void *arg)
{
    static struct cadre_group g;
    static unsigned blocked;

    for (int i = 0; i < 20; i++)
        cadre_go(&g, blocks, &blocked);
    until(&blocked, 20);
    exit(*(int *)arg);
}

static void *exits_on_thread(void *arg)
{
    use();
    exit(*(int *)arg);
}

static void exit_from_a_thread(void *arg)
{
    pthread_t thread;

    pthread_create(&thread, NULL, exits_on_thread, arg);
    pthread_join(thread, NULL);
}

static int exits_at_depth(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group g = { .parent = ctx };

    cadre_go(&g, exits, arg);
    return cadre_wait(&g);
}

static void exit_from_an_inner_task(void *arg)
{
    struct cadre_group g = { 0 };

    cadre_go(&g, exits_at_depth, arg);
    cadre_wait(&g);
}

static void uses_at_exit(void) { use(); }

static void exit_with_a_handler_that_calls_in(void *arg)
{
    atexit(uses_at_exit);
    use();
    exit(*(int *)arg);
}

/* LeakSanitizer's look at exit would count what the ended process still had in use. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void) { return "detect_leaks=0"; }

static void test_exit_works_from_anywhere(void **state)
{
    void (*const from[])(void *) = { exit_from_a_task, exit_from_main_while_tasks_are_blocked, exit_from_a_thread,
                                     exit_from_an_inner_task, exit_with_a_handler_that_calls_in };

    (void)state;
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        int code = 40 + (int)i, status = in_child(from[i], &code);

        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), code);
    }
}

/* ---- fork ---- */

static void use_and_exit(void *arg)
{
    (void)arg;
    use();
    exit(0);
}

static void skip_under_tsan(void)
{
#ifdef CDR_TSAN
    skip(); /* it lets no child of a process with threads start threads */
#endif
}

static void test_a_child_of_a_running_runtime_starts_anew(void **state)
{
    (void)state;
    skip_under_tsan();
    for (int i = 0; i < 10; i++) {
        use();
        assert_true(passed(in_child(use_and_exit, NULL)));
    }
    use();
}

static void forks_again(void *arg)
{
    use();
    test_check(passed(in_child(use_and_exit, arg)));
    use();
}

static void test_a_childs_child_does_too(void **state)
{
    (void)state;
    skip_under_tsan();
    use();
    assert_true(passed(in_child(forks_again, NULL)));
}

static void exit_unused(void *arg)
{
    (void)arg;
    exit(0);
}

static void test_a_child_that_does_not_use_it_exits_normally(void **state)
{
    (void)state;
    use();
    assert_true(passed(in_child(exit_unused, NULL)));
}

struct busy {
    unsigned over;
    struct cadre_group *group;
};

static int keeps_busy(struct cadre_ctx *ctx, void *arg)
{
    struct busy *busy = arg;

    while (get(&busy->over) == 0) {
        struct cadre_group g = { .parent = ctx };
        unsigned ran = 0;

        for (int i = 0; i < 4; i++)
            cadre_go(&g, naps_and_counts, &ran);
        cadre_go(&g, counts, &ran);
        test_check(cadre_wait(&g) == 0);
    }
    return cadre_fail(ctx, -EINTR, "over");
}

/* Whatever lock the other threads hold at that moment, the child is not left with it. */
static void test_fork_while_tasks_run(void **state)
{
    struct busy busy = { 0 };
    struct cadre_group g = { 0 };

    (void)state;
    skip_under_tsan();
    for (int i = 0; i < 4; i++)
        cadre_go(&g, keeps_busy, &busy);
    for (int i = 0; i < 50; i++)
        assert_true(passed(in_child(use_and_exit, NULL)));
    set(&busy.over, 1);
    assert_int_equal(cadre_wait(&g), -EINTR);
}

static int waits_for_group(struct cadre_ctx *ctx, void *arg)
{
    struct busy *busy = arg;
    pid_t here = getpid();
    int code;

    (void)ctx;
    count(&busy->over);
    code = cadre_wait(busy->group);
    test_check(getpid() == here);
    return code;
}

/* In the parent others wait for a group; in the child the group is the caller's alone, and those do not exist. */
static void finish_the_group(void *arg)
{
    struct cadre_group *group = arg;
    unsigned ran = 0;

    memset(group, 0, sizeof *group); /* as if its place on the stack were used again */
    for (int i = 0; i < 100; i++) {
        test_check(cadre_go(group, naps_and_counts, &ran) == 0);
        test_check(cadre_wait(group) == 0);
    }
    test_check(get(&ran) == 100);
    exit(0);
}

static void test_those_who_wait_in_the_parent_are_unknown_in_the_child(void **state)
{
    struct cadre_group waiters = { 0 }, group = { 0 };
    struct busy busy = { .group = &group };

    (void)state;
    skip_under_tsan();
    assert_int_equal(cadre_group_hold(&group), 0);
    for (int i = 0; i < 10; i++)
        cadre_go(&waiters, waits_for_group, &busy);
    until(&busy.over, 10);
    cadre_sleep(NULL, CADRE_MS(1));
    for (int i = 0; i < 5; i++)
        assert_true(passed(in_child(finish_the_group, &group)));
    cadre_group_release(&group, 0);
    assert_int_equal(cadre_wait(&waiters), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* Children first: ThreadSanitizer lets no child start threads once the parent has some. */
        cmocka_unit_test(test_exit_works_from_anywhere),
        cmocka_unit_test(test_a_child_that_does_not_use_it_exits_normally),
        cmocka_unit_test(test_a_child_of_a_running_runtime_starts_anew),
        cmocka_unit_test(test_a_childs_child_does_too),
        cmocka_unit_test(test_fork_while_tasks_run),
        cmocka_unit_test(test_those_who_wait_in_the_parent_are_unknown_in_the_child),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
