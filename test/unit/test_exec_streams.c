/* SPDX-License-Identifier: MIT
 * What goes into commands and comes out: input from memory, output in memory, lines, descriptors, and what a command inherits. */
#include <fcntl.h>
#include <string.h>

#include "test.h"

#include "child.h"
#include "exec.h"

#define LARGE 10000000

/* Numbers with a period that no buffer's size is a multiple of. */
static char *large_text(void)
{
    char *text = malloc(LARGE);

    test_check(text != NULL);
    for (size_t i = 0; i < LARGE; i++)
        text[i] = (char)('a' + i % 23);
    return text;
}

/* ---- input ---- */

static void large_input_and_output_pass_at_once(void **state)
{
    char *in = large_text(), *out = malloc(LARGE + 1);
    struct cadre_command command = { .input = in, .input_size = LARGE, .out_text = out, .out_size = LARGE + 1 };
    struct cadre_exit exit;
    int descriptors = before();

    (void)state;
    assert_int_equal(shell(NULL, &command, "cat", &exit), 0);
    assert_int_equal(exit.out_length, LARGE);
    assert_memory_equal(in, out, LARGE);
    assert_int_equal(out[LARGE], 0);
    command.out_size = 1000; /* the rest is counted, and lost */
    assert_int_equal(shell(NULL, &command, "tee /dev/stderr", &exit), 0);
    assert_int_equal(exit.out_length, LARGE);
    assert_int_equal(exit.err_length, LARGE);
    assert_memory_equal(in, out, 999);
    assert_int_equal(out[999], 0);
    free(in);
    free(out);
    assert_nothing_left(descriptors, 0);
}

/* A plain thread has SIGPIPE as programs do, and would not survive it. */
static void input_may_be_left_unread(void **state)
{
    char *in = large_text(), text[32];
    struct cadre_command command = { .input = in, .input_size = LARGE, .out_text = text, .out_size = sizeof text };
    struct cadre_exit exit;
    int descriptors = before();
    sigset_t pending;

    (void)state;
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(shell(NULL, &command, ":", &exit), 0);
    assert_int_equal(shell(NULL, &command, "head -c 100000 >/dev/null; exit 3", &exit), 3);
    assert_int_equal(shell(NULL, &command, "exec <&-; sleep 0.05; echo after", &exit), 0);
    assert_string_equal(text, "after\n");
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    free(in);
    assert_nothing_left(descriptors, 0);
}

static void input_is_empty_unless_given(void **state)
{
    char text[32], in[] = "/tmp/exec.XXXXXX";
    struct cadre_command command = { .out_text = text, .out_size = sizeof text };
    struct cadre_exit exit;
    int own = dup(0), file = mkstemp(in);

    (void)state;
    assert_int_equal(write(file, "stdin\n", 6), 6);
    lseek(file, 0, SEEK_SET);
    dup2(file, 0);
    assert_int_equal(shell(NULL, &command, "cat", &exit), 0);
    assert_int_equal(exit.out_length, 0);
    assert_string_equal(text, "");
    command.flags = CADRE_EXEC_STDIN;
    assert_int_equal(shell(NULL, &command, "cat", &exit), 0);
    assert_string_equal(text, "stdin\n");
    command.flags = 0;
    lseek(file, 0, SEEK_SET);
    command.in = file;
    assert_int_equal(shell(NULL, &command, "cat", &exit), 0);
    assert_string_equal(text, "stdin\n");
    dup2(own, 0);
    close(own);
    close(file);
    unlink(in);
}

/* ---- output ---- */

static void output_is_cut_to_its_room_and_counted(void **state)
{
    char text[16];
    struct cadre_exit exit;

    (void)state;
    for (size_t size = 0; size <= 12; size++) {
        struct cadre_command command = { .out_text = text, .out_size = size };
        size_t kept = size == 0 ? 0 : size - 1 < 10 ? size - 1 : 10;

        memset(text, '#', sizeof text);
        assert_int_equal(shell(NULL, &command, "printf 12345; sleep 0.001; printf 67890", &exit), 0);
        assert_int_equal(exit.out_length, 10);
        assert_memory_equal(text, "1234567890", kept);
        if (size > 0)
            assert_int_equal(text[kept], 0);
        for (size_t i = size; i < sizeof text; i++)
            assert_int_equal(text[i], '#');
    }
}

static void streams_are_kept_apart(void **state)
{
    char out[16], err[16];
    struct cadre_command command = { .out_text = out, .out_size = sizeof out, .err_text = err, .err_size = sizeof err };
    struct cadre_exit exit;

    (void)state;
    assert_int_equal(shell(NULL, &command, "echo out; echo error >&2; printf 'o\\0o'", &exit), 0);
    assert_memory_equal(out, "out\no\0o", 8);
    assert_string_equal(err, "error\n");
    assert_int_equal(exit.out_length, 7);
    assert_int_equal(exit.err_length, 6);
    assert_int_equal(shell(NULL, &command, "exec >&- 2>&-", &exit), 0);
    assert_string_equal(out, "");
    assert_string_equal(err, "");
}

/* ---- lines ---- */

struct lines {
    char text[3][64]; /* all lines of a stream, each with a bar */
    size_t longest, count, bytes;
    int stop_at, code;
};

static int on_line(void *arg, int stream, const char *text, size_t length)
{
    struct lines *lines = arg;
    size_t used = strlen(lines->text[stream]);

    test_check((stream == 1 || stream == 2) && text[length] == 0 && memchr(text, '\n', length) == NULL);
    lines->count++;
    lines->bytes += length;
    lines->longest = length > lines->longest ? length : lines->longest;
    snprintf(lines->text[stream] + used, sizeof lines->text[stream] - used, "%s|", text);
    return lines->stop_at != 0 && (int)lines->count == lines->stop_at ? lines->code : 0;
}

static void lines_come_one_by_one_from_both_streams(void **state)
{
    struct lines lines = { 0 };
    struct cadre_command command = { .line = on_line, .line_arg = &lines };
    struct cadre_exit exit;
    char text[32];

    (void)state;
    assert_int_equal(shell(NULL, &command, "printf 'a\\n\\nb'; echo x >&2; sleep 0.01; printf 'c\\nlast'; printf last >&2; exit 4", &exit), 4);
    assert_string_equal(lines.text[1], "a||bc|last|");
    assert_string_equal(lines.text[2], "x|last|");
    assert_string_equal(exit.message, "x\nlast");
    assert_int_equal(exit.out_length, 10);
    /* And kept besides. */
    lines = (struct lines){ 0 };
    command.out_text = text;
    command.out_size = sizeof text;
    assert_int_equal(shell(NULL, &command, "echo one; echo two", &exit), 0);
    assert_string_equal(lines.text[1], "one|two|");
    assert_string_equal(text, "one\ntwo\n");
    /* A stream that has a descriptor is nobody's lines. */
    lines = (struct lines){ 0 };
    command = (struct cadre_command){ .line = on_line, .line_arg = &lines, .out = open("/dev/null", O_WRONLY | O_CLOEXEC) };
    assert_int_equal(shell(NULL, &command, "echo one; echo two >&2", &exit), 0);
    assert_string_equal(lines.text[1], "");
    assert_string_equal(lines.text[2], "two|");
    close(command.out);
}

static void long_lines_come_in_pieces(void **state)
{
    const struct {
        size_t length, pieces, longest;
    } cases[] = { { 4094, 1, 4094 }, { 4095, 1, 4095 }, { 4096, 2, 4095 }, { 8190, 2, 4095 }, { 8191, 3, 4095 }, { 100000, 25, 4095 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int newline = 0; newline < 2; newline++) {
            struct lines lines = { 0 };
            struct cadre_command command = { .line = on_line, .line_arg = &lines };
            char script[64];

            snprintf(script, sizeof script, "printf '%%%zus%s' x", cases[i].length, newline ? "\\n" : "");
            assert_int_equal(shell(NULL, &command, script, NULL), 0);
            assert_int_equal(lines.count, cases[i].pieces);
            assert_int_equal(lines.bytes, cases[i].length);
            assert_int_equal(lines.longest, cases[i].longest);
        }
    }
}

static void a_line_can_stop_the_command(void **state)
{
    const int codes[] = { 42, -EPROTO };
    int descriptors = before();

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct lines lines = { .stop_at = 3, .code = codes[i] };
        struct cadre_command command = { .line = on_line, .line_arg = &lines, .grace = CADRE_SEC(60) };
        struct cadre_exit exit;

        assert_int_equal(shell(NULL, &command, "echo 1; echo 2; echo 3; echo 4; echo 5; exec sleep 1000", &exit), codes[i]);
        assert_int_equal(lines.count, 3);
        assert_int_equal(exit.signal, SIGTERM);
        assert_nothing_left(descriptors, exit.pid);
    }
}

static int on_line_cancel(void *arg, int stream, const char *text, size_t length)
{
    struct call *call = arg;

    (void)stream, (void)text, (void)length;
    test_check(cadre_ctx_error(call->ctx) == 0);
    cadre_ctx_cancel(call->ctx, 0, NULL);
    return 0;
}

static void no_line_comes_after_the_end_of_the_context(void **state)
{
    struct cadre_ctx ctx = { 0 };
    struct call call = { .ctx = &ctx };
    struct cadre_command command = { .line = on_line_cancel, .line_arg = &call };
    int descriptors = before();

    (void)state;
    assert_int_equal(shell(&ctx, &command, "echo 1; echo 2; echo 3 >&2; exec yes", NULL), -ECANCELED);
    assert_nothing_left(descriptors, 0);
}

static int panics(void *arg, int stream, const char *text, size_t length)
{
    (void)arg, (void)stream, (void)length;
    cadre_panic("no %s", text);
}

static int panic_task(struct cadre_ctx *ctx, void *arg)
{
    char input[] = "more", text[64], *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "trap '' TERM; echo luck; sleep 1000" }, NULL };
    struct cadre_command command = { .argv = argv, .input = input, .input_size = 4, .out_text = text, .out_size = sizeof text };

    (void)arg;
    command.grace = CADRE_MS(20);
    command.line = panics;
    return cadre_exec(ctx, &command, NULL);
}

static void a_panic_in_a_line_ends_the_command(void **state)
{
    struct cadre_group g = { 0 };
    int descriptors = before();

    (void)state;
    cadre_go(&g, panic_task, NULL);
    assert_int_equal(cadre_wait(&g), -ENOTRECOVERABLE);
    assert_string_equal(cadre_group_error(&g).message, "no luck");
    assert_nothing_left(descriptors, 0);
}

/* ---- descriptors ---- */

static size_t text_of(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);

    test_check(n >= 0);
    text[n] = 0;
    return (size_t)n;
}

static int scratch(void)
{
    char path[] = "/tmp/exec.XXXXXX";
    int fd = mkstemp(path);

    test_check(fd >= 0 && unlink(path) == 0);
    return fd;
}

static void descriptors_are_the_commands_streams(void **state)
{
    int in = scratch(), out = scratch(), err = scratch(), descriptors = before();
    struct cadre_command command = { .in = in, .out = out, .err = err };
    struct cadre_exit exit;
    char text[32];

    (void)state;
    assert_int_equal(write(in, "input\n", 6), 6);
    lseek(in, 0, SEEK_SET);
    assert_int_equal(shell(NULL, &command, "cat; echo error >&2; exit 5", &exit), 5);
    text_of(out, text, sizeof text);
    assert_string_equal(text, "input\n");
    text_of(err, text, sizeof text);
    assert_string_equal(text, "error\n");
    assert_string_equal(exit.message, "sh: exit status 5");
    assert_int_equal(exit.out_length + exit.err_length, 0);
    command = (struct cadre_command){ .out = out, .err = out };
    assert_int_equal(shell(NULL, &command, "echo one; echo two >&2", &exit), 0);
    text_of(out, text, sizeof text);
    assert_string_equal(text, "input\none\ntwo\n");
    assert_nothing_left(descriptors, 0);
    close(in), close(out), close(err);
}

/* In a child, whose first three descriptors are files. */
static void low_numbers(void *arg)
{
    int files[3], copy;
    char text[64], *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "echo out; echo err >&2" }, NULL };
    struct cadre_command command = { .argv = argv, .out = 2, .err = 1 };

    (void)arg;
    (void)before(); /* what a chaos build has to say is said */
    for (int i = 0; i < 3; i++) {
        files[i] = scratch();
        dup2(files[i], i);
    }
    test_check(cadre_exec(NULL, &command, NULL) == 0); /* swapped */
    text_of(files[1], text, sizeof text);
    test_check(strcmp(text, "err\n") == 0);
    text_of(files[2], text, sizeof text);
    test_check(strcmp(text, "out\n") == 0);
    command = (struct cadre_command){ .argv = argv, .out = 1, .err = 1 };
    test_check(cadre_exec(NULL, &command, NULL) == 0);
    text_of(files[1], text, sizeof text);
    test_check(strcmp(text, "err\nout\nerr\n") == 0);
    argv[2] = (char[]){ "cat <&0; echo more >&2" };
    lseek(2, 0, SEEK_SET);
    copy = descriptors_now();
    command = (struct cadre_command){ .argv = argv, .in = 2, .out = 1, .err_text = text, .err_size = sizeof text };
    test_check(cadre_exec(NULL, &command, NULL) == 0);
    test_check(strcmp(text, "more\n") == 0);
    text_of(files[1], text, sizeof text);
    test_check(strcmp(text, "err\nout\nerr\nout\n") == 0);
    test_until(descriptors_now() <= copy);
}

/* In a child without any. */
static void none_of_three(void *arg)
{
    char out[64], err[64], *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "cat; echo err >&2" }, NULL };
    struct cadre_command command = { .argv = argv, .input = "in\n", .input_size = 3, .err_text = err, .err_size = sizeof err };

    int file = scratch();

    (void)arg;
    (void)before(); /* opens what would otherwise take their places */
    close(0), close(1), close(2);
    command.out_text = out;
    command.out_size = sizeof out;
    if (cadre_exec(NULL, &command, NULL) != 0 || strcmp(out, "in\n") != 0 || strcmp(err, "err\n") != 0)
        _exit(2);
    command.input_size = 0;
    if (cadre_exec(NULL, &command, NULL) != 0 || strcmp(out, "") != 0 || strcmp(err, "err\n") != 0)
        _exit(3);
    argv[2] = (char[]){ "echo out; echo err >&2" };
    command = (struct cadre_command){ .argv = argv, .out = file, .err_text = err, .err_size = sizeof err };
    if (cadre_exec(NULL, &command, NULL) != 0 || text_of(file, out, sizeof out) != 4 || strcmp(err, "err\n") != 0)
        _exit(4);
    command = (struct cadre_command){ .argv = argv, .input = "in\n", .input_size = 3 };
    if (cadre_exec(NULL, &command, NULL) != -EBADF) /* no stdout to be given */
        _exit(5);
}

static void low_descriptors_get_in_nobodys_way(void **state)
{
    (void)state;
    assert_true(passed(in_child(low_numbers, NULL)));
    assert_true(passed(in_child(none_of_three, NULL)));
}

/* ---- what it inherits ---- */

static void no_other_descriptor_is_inherited_unless_asked_for(void **state)
{
    char text[256];
    struct cadre_command command = { .out_text = text, .out_size = sizeof text };
    int open_one = fcntl(1, F_DUPFD, 77), closed_one = fcntl(1, F_DUPFD_CLOEXEC, 88);

    (void)state;
    assert_int_equal(open_one, 77);
    assert_int_equal(closed_one, 88);
    assert_int_equal(shell(NULL, &command, "exec ls /proc/self/fd", NULL), 0);
    assert_string_equal(text, "0\n1\n2\n3\n"); /* the last is that of ls */
    command.flags = CADRE_EXEC_KEEP_FDS;
    assert_int_equal(shell(NULL, &command, "exec ls /proc/self/fd", NULL), 0);
    assert_non_null(strstr(text, "\n77\n"));
    assert_null(strstr(text, "88"));
    close(open_one);
    close(closed_one);
}

static void no_signal_is_blocked_and_the_group_is_its_own(void **state)
{
    char text[256], wanted[64];
    struct cadre_command command = { .out_text = text, .out_size = sizeof text };
    struct cadre_exit exit;
    sigset_t all, saved;

    (void)state;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved);
    command.argv = (char *[]){ (char[]){ "grep" }, (char[]){ "SigBlk" }, (char[]){ "/proc/self/status" }, NULL }; /* shells unblock all */
    assert_int_equal(execute(NULL, &command, &exit), 0);
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    assert_string_equal(text, "SigBlk:\t0000000000000000\n");
    assert_int_equal(shell(NULL, &command, "read -r pid name state parent group rest </proc/self/stat; echo $pid $group", &exit), 0);
    snprintf(wanted, sizeof wanted, "%d %d\n", exit.pid, exit.pid);
    assert_string_equal(text, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First what needs a child: ThreadSanitizer wants no fork of a program with threads. */
        cmocka_unit_test(low_descriptors_get_in_nobodys_way),
        test_in_both(large_input_and_output_pass_at_once),
        test_in_both(input_may_be_left_unread),
        test_in_both(input_is_empty_unless_given),
        test_in_both(output_is_cut_to_its_room_and_counted),
        test_in_both(streams_are_kept_apart),
        test_in_both(lines_come_one_by_one_from_both_streams),
        test_in_both(long_lines_come_in_pieces),
        test_in_both(a_line_can_stop_the_command),
        test_in_both(no_line_comes_after_the_end_of_the_context),
        cmocka_unit_test(a_panic_in_a_line_ends_the_command),
        test_in_both(descriptors_are_the_commands_streams),
        test_in_both(no_other_descriptor_is_inherited_unless_asked_for),
        test_in_both(no_signal_is_blocked_and_the_group_is_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
