/* SPDX-License-Identifier: MIT
 * Commands: how they end and what is said of it, what keeps them from starting, and where they are found. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"

#include "exec.h"

/* ---- how it ends ---- */

static void exit_status_is_what_the_call_returns(void **state)
{
    const int statuses[] = { 0, 1, 7, 127, 255 };
    int descriptors = before();

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct cadre_command command = { 0 };
        struct cadre_exit exit;
        char script[32];

        snprintf(script, sizeof script, "exit %d", statuses[i]);
        assert_int_equal(shell(NULL, &command, script, &exit), statuses[i]);
        assert_int_equal(exit.status, statuses[i]);
        assert_int_equal(exit.signal, 0);
        assert_true(exit.pid > 0);
        assert_int_equal(exit.message[0] == 0, statuses[i] == 0);
        assert_int_equal(shell(NULL, &command, script, NULL), statuses[i]);
    }
    assert_nothing_left(descriptors, 0);
}

static void death_by_signal_is_128_and_its_number(void **state)
{
    const int signals[] = { SIGTERM, SIGKILL, SIGUSR1, SIGINT };
    int descriptors = before();

    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct cadre_command command = { 0 };
        struct cadre_exit exit;
        char script[32], said[64];

        snprintf(script, sizeof script, "kill -%d $$", signals[i]);
        snprintf(said, sizeof said, "sh: ended by signal %d", signals[i]);
        assert_int_equal(shell(NULL, &command, script, &exit), 128 + signals[i]);
        assert_int_equal(exit.status, -1);
        assert_int_equal(exit.signal, signals[i]);
        assert_string_equal(exit.message, said);
    }
    assert_nothing_left(descriptors, 0);
}

static void time_and_usage_are_those_of_the_command(void **state)
{
    struct cadre_command command = { 0 };
    struct cadre_exit exit;
    cadre_time begun = cadre_now(), used;

    (void)state;
    assert_int_equal(shell(NULL, &command, "i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done", &exit), 0);
    used = CADRE_SEC(exit.usage.ru_utime.tv_sec + exit.usage.ru_stime.tv_sec)
           + CADRE_US(exit.usage.ru_utime.tv_usec + exit.usage.ru_stime.tv_usec);
    assert_true(used > CADRE_MS(1));
    assert_true(used <= exit.time + CADRE_MS(20)); /* one thread; some kernels count by ticks */
    assert_true(exit.time <= cadre_now() - begun);
    assert_true(exit.usage.ru_maxrss > 0);
    assert_int_equal(shell(NULL, &command, "sleep 0.05", &exit), 0);
    assert_true(exit.time >= CADRE_MS(50));
}

/* ---- the message ---- */

static void message_is_the_last_lines_of_stderr(void **state)
{
    const struct {
        const char *script, *message;
    } cases[] = {
        { "echo one >&2; exit 1", "one" },
        { "printf 'one\\ntwo\\n\\n\\n' >&2; exit 1", "one\ntwo" },
        { "printf one >&2; exit 1", "one" },
        { "printf '\\n\\n' >&2; exit 3", "sh: exit status 3" },
        { "echo out; exit 3", "sh: exit status 3" },
        { "printf 'a\\0b\\n' >&2; exit 1", "a?b" },
        { "printf '%300s\\ntail\\n' x >&2; exit 1", "tail" },
        { "echo dying >&2; kill -9 $$", "dying" },
        { "echo fine >&2", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[8];
        struct cadre_command command = { .out_text = text, .out_size = sizeof text };
        struct cadre_exit exit;

        (void)shell(NULL, &command, cases[i].script, &exit);
        assert_string_equal(exit.message, cases[i].message);
        command.err_text = text;
        command.out_text = NULL;
        command.out = command.err = 0;
        command.out_size = 0;
        command.err_size = sizeof text;
        (void)shell(NULL, &command, cases[i].script, &exit);
        assert_string_equal(exit.message, cases[i].message);
    }
}

static void message_has_as_many_lines_as_fit(void **state)
{
    struct cadre_command command = { 0 };
    struct cadre_exit exit;
    char wanted[CADRE_MESSAGE_SIZE];
    size_t n = 0;

    (void)state;
    /* Lines of 10 bytes: 25 of them, but for the last newline, are 249. */
    for (int i = 976; i <= 1000; i++)
        n += (size_t)snprintf(wanted + n, sizeof wanted - n, "line %4d\n", i);
    wanted[n - 1] = 0;
    assert_int_equal(shell(NULL, &command, "i=1; while [ $i -le 1000 ]; do printf 'line %4d\\n' $i; i=$((i+1)); done >&2; exit 1", &exit), 1);
    assert_string_equal(exit.message, wanted);
    assert_int_equal(exit.err_length, 10000);

    /* 256 bytes in lines: the first goes. */
    assert_int_equal(shell(NULL, &command, "printf 'a\\n%254s\\n' x >&2; exit 1", &exit), 1);
    assert_int_equal(strlen(exit.message), 254);
    assert_int_equal(shell(NULL, &command, "printf 'a\\n%253s\\n' x >&2; exit 1", &exit), 1);
    assert_int_equal(strlen(exit.message), 255);

    /* One line that is too long: its end. */
    assert_int_equal(shell(NULL, &command, "printf '%5000s%s' x end >&2; exit 1", &exit), 1);
    assert_int_equal(strlen(exit.message), 255);
    assert_string_equal(exit.message + 251, "xend");
}

static void message_becomes_that_of_the_tasks_error(void **state)
{
    struct cadre_command command = { .argv = (char *[]){ (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "echo broken >&2; exit 2" }, NULL } };
    struct call call = { .command = &command };
    struct cadre_group g = { 0 };

    (void)state;
    cadre_go(&g, call_task, &call);
    assert_int_equal(cadre_wait(&g), 2);
    assert_string_equal(cadre_group_error(&g).message, "broken");
    assert_int_equal(cadre_group_reset(&g), 0);
    command.argv = (char *[]){ (char[]){ "/no/such/program" }, NULL };
    cadre_go(&g, call_task, &call);
    assert_int_equal(cadre_wait(&g), -ENOENT);
    assert_string_equal(cadre_group_error(&g).message, "/no/such/program: No such file or directory");
}

/* ---- starting ---- */

static void assert_refused(struct cadre_command *command, int code)
{
    struct cadre_exit exit, untouched;
    int descriptors = before();

    memset(&exit, 0x5a, sizeof exit);
    untouched = exit;
    assert_int_equal(execute(NULL, command, &exit), code);
    assert_memory_equal(&exit, &untouched, sizeof exit);
    assert_nothing_left(descriptors, 0);
}

static void what_cannot_start_is_an_error_and_writes_no_result(void **state)
{
    char *missing[] = { (char[]){ "no-such-program-anywhere" }, NULL }, *absent[] = { (char[]){ "/nowhere/program" }, NULL };
    char *folder[] = { (char[]){ "/" }, NULL }, *plain[] = { (char[]){ "/etc/passwd" }, NULL }, *good[] = { (char[]){ "true" }, NULL };

    (void)state;
    assert_refused(&(struct cadre_command){ .argv = missing }, -ENOENT);
    assert_refused(&(struct cadre_command){ .argv = absent }, -ENOENT);
    assert_refused(&(struct cadre_command){ .argv = good, .directory = "/nowhere" }, -ENOENT);
    assert_refused(&(struct cadre_command){ .argv = good, .directory = "/etc/passwd" }, -ENOTDIR);
    assert_refused(&(struct cadre_command){ .argv = folder }, -EACCES);
    assert_refused(&(struct cadre_command){ .argv = plain }, -EACCES);
    assert_refused(&(struct cadre_command){ .argv = good, .out = 987 }, -EBADF);
}

static void bad_arguments_are_refused(void **state)
{
    char *argv[] = { (char[]){ "true" }, NULL }, *none[] = { NULL }, text[8];

    (void)state;
    assert_int_equal(cadre_exec(NULL, NULL, NULL), -EINVAL);
    assert_refused(&(struct cadre_command){ 0 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = none }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .input_size = 1 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .out_size = 1 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .err_size = 1 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .in = -1 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .out = -1 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .err = -1 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .in = 5, .input = "x", .input_size = 1 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .in = 5, .flags = CADRE_EXEC_STDIN }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .input = "x", .input_size = 1, .flags = CADRE_EXEC_STDIN }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .out = 1, .out_text = text, .out_size = 8 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .err = 1, .err_text = text, .err_size = 8 }, -EINVAL);
    assert_refused(&(struct cadre_command){ .argv = argv, .flags = 0x80 }, -EINVAL);
}

static void nothing_starts_under_a_context_that_has_ended(void **state)
{
    struct cadre_ctx ended = { 0 }, late = { .deadline = 1 };
    struct cadre_command command = { 0 };
    char path[] = "/tmp/exec.XXXXXX", script[64];

    (void)state;
    assert_non_null(mkdtemp(path));
    snprintf(script, sizeof script, "rmdir %s", path);
    cadre_ctx_cancel(&ended, 0, NULL);
    assert_int_equal(shell(&ended, &command, script, NULL), -ECANCELED);
    assert_int_equal(shell(&late, &command, script, NULL), -ETIMEDOUT);
    assert_int_equal(rmdir(path), 0);
}

/* A program that is found by its name alone, and says where it was found. */
static void programs_are_looked_up_in_path(void **state)
{
    char folder[] = "/tmp/exec.XXXXXX", path[64], text[64], *argv[] = { (char[]){ "cadre-test-tool" }, NULL };
    char *saved = strdup(getenv("PATH"));
    struct cadre_command command = { .argv = argv, .out_text = text, .out_size = sizeof text };
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/cadre-test-tool", folder);
    file = fopen(path, "we");
    assert_non_null(file);
    fputs("#!/bin/sh\necho $0\n", file);
    fclose(file);
    assert_int_equal(chmod(path, 0644), 0);
    setenv("PATH", folder, 1);
    assert_int_equal(execute(NULL, &command, NULL), -EACCES);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(execute(NULL, &command, NULL), 0);
    assert_memory_equal(text, path, strlen(path));
    setenv("PATH", saved, 1);
    assert_int_equal(execute(NULL, &command, NULL), -ENOENT);
    /* Relative to the folder that it runs in. */
    argv[0] = (char[]){ "./cadre-test-tool" };
    command.directory = folder;
    assert_int_equal(execute(NULL, &command, NULL), 0);
    assert_string_equal(text, "./cadre-test-tool\n");
    unlink(path);
    rmdir(folder);
    free(saved);
}

static void environment_and_directory_are_as_given(void **state)
{
    char text[4096], *env[] = { (char[]){ "ONE=1" }, (char[]){ "TWO=2 2" }, NULL }, *argv[] = { (char[]){ "/usr/bin/env" }, NULL };
    struct cadre_command command = { .argv = argv, .env = env, .directory = "/usr", .out_text = text, .out_size = sizeof text };

    (void)state;
    assert_int_equal(execute(NULL, &command, NULL), 0);
    assert_string_equal(text, "ONE=1\nTWO=2 2\n");
    assert_int_equal(shell(NULL, &command, "pwd", NULL), 0);
    assert_string_equal(text, "/usr\n");
    setenv("CADRE_TEST_OWN", "mine", 1);
    command.env = NULL;
    assert_int_equal(shell(NULL, &command, "echo $CADRE_TEST_OWN", NULL), 0);
    assert_string_equal(text, "mine\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_both(exit_status_is_what_the_call_returns),
        test_in_both(death_by_signal_is_128_and_its_number),
        test_in_both(time_and_usage_are_those_of_the_command),
        test_in_both(message_is_the_last_lines_of_stderr),
        test_in_both(message_has_as_many_lines_as_fit),
        cmocka_unit_test(message_becomes_that_of_the_tasks_error),
        test_in_both(what_cannot_start_is_an_error_and_writes_no_result),
        test_in_both(bad_arguments_are_refused),
        test_in_both(nothing_starts_under_a_context_that_has_ended),
        test_in_both(programs_are_looked_up_in_path),
        test_in_both(environment_and_directory_are_as_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
