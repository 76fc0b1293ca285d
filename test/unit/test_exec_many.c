/* SPDX-License-Identifier: MIT
 * Many commands at once, and commands when things run out or others interfere. */
#include <string.h>

#include "test.h"

#include "child.h"
#include "exec.h"

/* ---- many ---- */

static int numbered(struct cadre_ctx *ctx, void *arg)
{
    int *number = arg;
    char script[64], text[32], wanted[32];
    struct cadre_command command = { .out_text = text, .out_size = sizeof text };
    struct cadre_exit exit;
    char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, script, NULL };

    snprintf(script, sizeof script, "echo %d; echo no %d >&2; exit %d", *number, *number, *number % 7);
    snprintf(wanted, sizeof wanted, "%d\n", *number);
    command.argv = argv;
    test_check(cadre_exec(ctx, &command, &exit) == *number % 7);
    test_check(strcmp(text, wanted) == 0);
    test_check(exit.status == *number % 7);
    return 0;
}

static void two_hundred_tasks_run_sixteen_at_a_time(void **state)
{
    struct cadre_group g = { .limit = 16 };
    int descriptors = before();

    (void)state;
    for (int i = 0; i < 200; i++)
        cadre_go_copy(&g, numbered, &i, sizeof i);
    assert_int_equal(cadre_wait(&g), 0);
    assert_nothing_left(descriptors, 0);
}

static void *plain_thread(void *arg)
{
    for (int i = 0; i < 10; i++)
        test_check(numbered(NULL, arg) == 0);
    return NULL;
}

static void plain_threads_run_commands_side_by_side(void **state)
{
    int descriptors = before(), numbers[8];
    pthread_t threads[8];

    (void)state;
    for (int i = 0; i < 8; i++) {
        numbers[i] = i;
        threads[i] = thread_start(plain_thread, &numbers[i]);
    }
    for (int i = 0; i < 8; i++)
        thread_join(threads[i]);
    assert_nothing_left(descriptors, 0);
}

static void a_group_that_fails_ends_all_its_commands(void **state)
{
    char *lasting[] = { (char[]){ "sleep" }, (char[]){ "1000" }, NULL }, *failing[] = { (char[]){ "false" }, NULL };
    struct cadre_command commands[] = { { .argv = lasting }, { .argv = failing } };
    struct call calls[20];
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };
    int descriptors = before();

    (void)state;
    for (int i = 0; i < 20; i++) {
        calls[i] = (struct call){ .command = &commands[i == 19], .code = 0 };
        cadre_go(&g, call_task, &calls[i]);
    }
    assert_int_equal(cadre_wait(&g), 1);
    assert_nothing_left(descriptors, 0);
}

/* ---- trouble ---- */

static void with_children_ignored(void *arg)
{
    char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "echo out; sleep 0.01" }, NULL }, text[16];
    char *lasting[] = { (char[]){ "sleep" }, (char[]){ "1000" }, NULL };
    struct cadre_command command = { .argv = argv, .out_text = text, .out_size = sizeof text };
    struct cadre_ctx ctx = { .deadline = cadre_in(CADRE_MS(30)) };

    (void)arg;
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 20; i++)
        test_check(cadre_exec(NULL, &command, NULL) == -ECHILD);
    test_check(strcmp(text, "out\n") == 0);
    command.argv = (char *[]){ (char[]){ "true" }, NULL };
    for (int i = 0; i < 50; i++)
        test_check(cadre_exec(NULL, &command, NULL) == -ECHILD);
    command.argv = lasting;
    test_check(cadre_exec(&ctx, &command, NULL) == -ETIMEDOUT);
    test_check(!has_children());
}

static void ignoring_sigchld_is_an_error_not_a_hang(void **state)
{
    (void)state;
    assert_true(passed(in_child(with_children_ignored, NULL)));
}

static void *reap_all(void *arg)
{
    while (!atomic_load((atomic_int *)arg))
        if (waitpid(-1, NULL, WNOHANG) <= 0)
            usleep(100);
    return NULL;
}

static void with_a_reaper(void *arg)
{
    char *argv[] = { (char[]){ "true" }, NULL };
    struct cadre_command command = { .argv = argv };
    atomic_int over = 0;
    pthread_t thread = thread_start(reap_all, &over);
    int descriptors;

    (void)arg;
    (void)cadre_exec(NULL, &command, NULL);
    descriptors = descriptors_now();
    for (int i = 0; i < 200; i++) {
        int code = cadre_exec(NULL, &command, NULL);

        test_check(code == 0 || code == -ECHILD);
    }
    atomic_store(&over, 1);
    thread_join(thread);
    test_until(descriptors_now() <= descriptors);
}

static void who_reaps_all_children_takes_the_result_but_no_more(void **state)
{
    (void)state;
    assert_true(passed(in_child(with_a_reaper, NULL)));
}

static void with_few_descriptors(void *arg)
{
    char *argv[] = { (char[]){ "cat" }, NULL }, out[16], err[16];
    struct cadre_command command = {
        .argv = argv, .input = "x", .input_size = 1, .out_text = out, .out_size = sizeof out, .err_text = err, .err_size = sizeof err,
    };
    struct rlimit limit, saved;
    int descriptors, good = 0, bad = 0, first;

    (void)arg;
    test_check(cadre_exec(NULL, &command, NULL) == 0);
    descriptors = descriptors_now();
    first = dup(0);
    close(first);
    getrlimit(RLIMIT_NOFILE, &saved);
    for (int more = 0; more < 12; more++) {
        int code;

        limit = (struct rlimit){ (rlim_t)(first + more), saved.rlim_max };
        setrlimit(RLIMIT_NOFILE, &limit);
        code = cadre_exec(NULL, &command, NULL);
        setrlimit(RLIMIT_NOFILE, &saved);
        test_check(code == 0 || code == -EMFILE);
        good += code == 0;
        bad += code != 0;
        test_until(descriptors_now() <= descriptors);
        test_check(!has_children());
    }
    test_check(good >= 3 && bad >= 3);
}

/* The first command, too, when not even a poller can be opened. */
static void with_none(void *arg)
{
    char *argv[] = { (char[]){ "cat" }, NULL };
    struct cadre_command command = { .argv = argv };
    struct rlimit limit = { 0, 0 }, saved;
    int descriptors = descriptors_now();

    (void)arg;
    getrlimit(RLIMIT_NOFILE, &saved);
    limit.rlim_max = saved.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    test_check(cadre_exec(NULL, &command, NULL) == -EMFILE);
    setrlimit(RLIMIT_NOFILE, &saved);
    test_until(descriptors_now() <= descriptors);
    test_check(!has_children());
    test_check(cadre_exec(NULL, &command, NULL) == 0);
}

static void running_out_of_descriptors_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    assert_true(passed(in_child(with_few_descriptors, NULL)));
    assert_true(passed(in_child(with_none, NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First what needs a child: ThreadSanitizer wants no fork of a program with threads. */
        cmocka_unit_test(ignoring_sigchld_is_an_error_not_a_hang),
        cmocka_unit_test(who_reaps_all_children_takes_the_result_but_no_more),
        cmocka_unit_test(running_out_of_descriptors_is_an_error_and_leaves_nothing),
        cmocka_unit_test_setup(two_hundred_tasks_run_sixteen_at_a_time, in_a_task),
        cmocka_unit_test(plain_threads_run_commands_side_by_side),
        cmocka_unit_test(a_group_that_fails_ends_all_its_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
