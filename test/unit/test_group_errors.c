/* SPDX-License-Identifier: MIT
 * The errors of a group: the first one, all of them, what each says, the same as text; reset; holds and their codes. */
#include "test.h"

#include "child.h"
#include "tasks.h"

/* ---- the first error and the array ---- */

static void the_first_error_wins(void **state)
{
    struct cadre_group g = { 0 };
    struct crowd second = { .code = -EPERM };

    (void)state;
    assert_int_equal(cadre_go(&g, crowd_task, &second), 0);
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    test_until(cadre_group_error_count(&g) == 1);
    gate_open(&second.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_group_error(&g).code, -EIO);
    assert_int_equal(cadre_group_error_count(&g), 2);
}

static void any_code_but_0_is_an_error(void **state)
{
    static int codes[] = { 1, -1, 42, -EIO, INT32_MAX, INT32_MIN };

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct cadre_group g = { 0 };

        assert_int_equal(cadre_go(&g, return_code, &codes[i]), 0);
        assert_int_equal(cadre_wait(&g), codes[i]);
        assert_string_equal(cadre_group_error(&g).message, cadre_strerror(codes[i]));
    }
}

static void errors_are_kept_in_the_order_in_which_they_happen(void **state)
{
    enum { N = 20, KEPT = 12 };
    struct cadre_error kept[KEPT + 1] = { 0 };
    struct cadre_group g = { .errors = kept, .max_errors = KEPT };
    int codes[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        codes[i] = -i - 1;
        assert_int_equal(cadre_go(&g, return_code, &codes[i]), 0);
        test_until(cadre_group_error_count(&g) == (size_t)i + 1);
    }
    assert_int_equal(cadre_wait(&g), -1);
    assert_int_equal(cadre_group_error_count(&g), N);
    for (int i = 0; i < KEPT; i++) {
        assert_int_equal(kept[i].code, -i - 1);
        assert_int_equal(kept[i].index, i);
    }
    assert_int_equal(kept[KEPT].code, 0);
}

static void every_one_of_many_errors_is_counted(void **state)
{
    enum { N = 3000 };
    static struct cadre_error kept[N];
    struct cadre_group g = { .errors = kept, .max_errors = N };
    size_t sum = 0;
    int code = -EIO;

    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(cadre_go(&g, return_code, &code), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_group_error_count(&g), N);
    for (int i = 0; i < N; i++)
        sum += kept[i].index + (kept[i].code == -EIO ? 0 : N * N);
    assert_int_equal(sum, (size_t)N * (N - 1) / 2); /* each task once */
    assert_int_equal(cadre_group_error_count(NULL), 0);
    assert_int_equal(cadre_group_error(NULL).code, 0);
}

/* ---- what a record says ---- */

static int fail_here(struct cadre_ctx *ctx, void *arg)
{
    cadre_task_name("the one that fails, with a name too long");
    *(int *)arg = __LINE__ + 1;
    return cadre_fail(ctx, -EIO, "%s: short read", "file");
}

static void a_record_names_group_task_and_place(void **state)
{
    struct cadre_error kept = { 0 }, error;
    struct cadre_group g = { .name = "readers", .errors = &kept, .max_errors = 1 };
    int line = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cadre_go(&g, return_code, NULL), 0);
    assert_int_equal(cadre_go(&g, fail_here, &line), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    error = cadre_group_error(&g);
    assert_int_equal(error.code, -EIO);
    assert_int_equal(error.origin, CADRE_FROM_TASK);
    assert_int_equal(error.index, 3);
    assert_int_equal(error.line, line);
    assert_string_equal(error.file, __FILE__);
    assert_string_equal(error.group, "readers");
    assert_string_equal(error.task, "the one that fails, with a name");
    assert_string_equal(error.message, "file: short read");
    assert_null(error.trace[0]);
    assert_int_equal(kept.line, line);
    assert_string_equal(kept.group, "readers");
    assert_string_equal(kept.task, error.task);
    assert_string_equal(kept.message, error.message);
}

static int fail_at_length(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    return cadre_fail(ctx, -EIO, "%0300d", 0);
}

static void a_long_message_is_cut(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    assert_int_equal(cadre_go(&g, fail_at_length, NULL), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(strlen(cadre_group_error(&g).message), CADRE_MESSAGE_SIZE - 1);
}

static int panic_now(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    cadre_panic("no way out");
}

static struct cadre_error error_of(struct cadre_group *g)
{
    struct cadre_error error;

    (void)cadre_wait(g);
    error = cadre_group_error(g);
    return error;
}

static void each_origin_is_told(void **state)
{
    struct cadre_ctx late = { .deadline = 1 }, ended = { 0 };
    struct cadre_group task = { 0 }, panic = { 0 }, start = { .stack_size = (size_t)1 << 46 }, cancel = { 0 },
                       parent = { .parent = &ended }, deadline = { .parent = &late }, release = { 0 };

    (void)state;
    cadre_ctx_cancel(&ended, 0, NULL);
    assert_int_equal(cadre_go(&task, return_code, &(int){ -EIO }), 0);
    assert_int_equal(cadre_go(&panic, panic_now, NULL), 0);
    assert_int_equal(cadre_go(&start, return_code, NULL), -ENOMEM);
    cadre_group_cancel(&cancel, -EINTR, NULL);
    assert_int_equal(cadre_go(&parent, return_code, NULL), -ECANCELED);
    assert_int_equal(cadre_go(&deadline, return_code, NULL), -ETIMEDOUT);
    assert_int_equal(cadre_group_hold(&release), 0);
    cadre_group_release(&release, -EBADF);
    assert_int_equal(error_of(&task).origin, CADRE_FROM_TASK);
    assert_int_equal(error_of(&panic).origin, CADRE_FROM_PANIC);
    assert_int_equal(error_of(&panic).code, -ENOTRECOVERABLE);
    assert_string_equal(error_of(&panic).message, "no way out");
    assert_non_null(error_of(&panic).trace[0]);
    assert_int_equal(error_of(&start).origin, CADRE_FROM_START);
    assert_int_equal(error_of(&cancel).origin, CADRE_FROM_CANCEL);
    assert_int_equal(error_of(&parent).origin, CADRE_FROM_CANCEL);
    assert_int_equal(error_of(&deadline).origin, CADRE_FROM_DEADLINE);
    assert_int_equal(error_of(&release).origin, CADRE_FROM_RELEASE);
    assert_int_equal(error_of(&release).code, -EBADF);
}

static void a_refused_task_takes_no_number(void **state)
{
    struct crowd crowd = { .code = -EIO };
    struct cadre_error kept[4];
    struct cadre_group g = { .limit = 2, .errors = kept, .max_errors = 4, .flags = CADRE_DISCARD_WHEN_FULL };

    (void)state;
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_try_go(&g, crowd_task, &crowd), -EAGAIN);
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), -EAGAIN);
    gate_open(&crowd.gate);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_group_error_count(&g), 3);
    assert_int_equal(kept[2].index, 2);
}

/* ---- as text ---- */

static void assert_text(struct cadre_group *g, const char *expected)
{
    char buf[4096];
    int length = cadre_errors_format(g, buf, sizeof buf), full = (int)strlen(expected);

    assert_string_equal(buf, expected);
    assert_int_equal(length, full);
    for (int size = 0; size <= full + 1; size++) {
        memset(buf, 'x', sizeof buf);
        assert_int_equal(cadre_errors_format(g, size > 0 ? buf : NULL, (size_t)size), full);
        assert_true(size == 0 || buf[size - 1] == 0 || size > full);
        assert_true(size == 0 || strncmp(buf, expected, (size_t)size - 1) == 0);
        assert_int_equal(buf[size], 'x');
    }
}

static void no_error_is_no_text(void **state)
{
    struct cadre_group g = { 0 };
    char buf[4] = "abc";

    (void)state;
    assert_text(&g, "");
    assert_int_equal(cadre_errors_format(NULL, buf, sizeof buf), -EINVAL);
    assert_int_equal(cadre_errors_format(&g, NULL, 1), -EINVAL);
    assert_string_equal(buf, "abc");
}

static void one_error_is_told_without_an_array(void **state)
{
    struct cadre_group g = { 0 }, named = { .name = "readers" };

    (void)state;
    assert_int_equal(cadre_go(&g, return_code, &(int){ -EIO }), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_text(&g, "task 0: Input/output error [EIO]\n1 error\n");
    cadre_group_cancel(&named, -EINTR, "enough");
    assert_int_equal(cadre_wait(&named), -EINTR);
    assert_text(&named, "readers: group: enough [EINTR, cancelled]\n1 error\n");
}

static void errors_that_were_kept_have_a_line_each(void **state)
{
    struct cadre_error kept[2];
    struct cadre_group g = { .name = "readers", .errors = kept, .max_errors = 2 };
    static int codes[] = { 42, -ENOENT, -EIO };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cadre_go(&g, return_code, &codes[i]), 0);
        test_until(cadre_group_error_count(&g) == i + 1);
    }
    assert_int_equal(cadre_wait(&g), 42);
    assert_text(&g, "readers: task 0: Error code of the application [code 42]\n"
                    "readers: task 1: No such file or directory [ENOENT]\n"
                    "3 errors, 1 of them not kept\n");
}

static void the_text_tells_place_and_task(void **state)
{
    struct cadre_group g = { 0 };
    char expected[512];
    int line = 0;

    (void)state;
    assert_int_equal(cadre_go(&g, fail_here, &line), 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    snprintf(expected, sizeof expected, "task 0 (the one that fails, with a name): file: short read [EIO, %s:%d]\n1 error\n",
             __FILE__, line);
    assert_text(&g, expected);
}

static void codes_have_texts(void **state)
{
    (void)state;
    assert_string_equal(cadre_strerror(0), "Success");
    assert_string_equal(cadre_strerror(-ENOENT), "No such file or directory");
    assert_string_equal(cadre_strerror(-ECANCELED), "Operation canceled");
    assert_true(strlen(cadre_strerror(7)) > 0);
    assert_true(strlen(cadre_strerror(-4095)) > 0);
    assert_true(strlen(cadre_strerror(INT32_MIN)) > 0);
    assert_ptr_equal(cadre_strerror(-EIO), cadre_strerror(-EIO));
}

/* ---- reset ---- */

static void reset_makes_a_group_as_good_as_new(void **state)
{
    struct cadre_error kept[3];
    struct cadre_group g = { .limit = 1, .flags = CADRE_CANCEL_ON_ERROR, .errors = kept, .max_errors = 3, .name = "again" };
    int code = -EPERM;

    (void)state;
    assert_int_equal(cadre_group_set_limit(&g, 0), 0);
    assert_int_equal(cadre_try_go(&g, return_code, &code), -EAGAIN);
    cadre_group_cancel(&g, -EINTR, "enough");
    assert_int_equal(cadre_wait(&g), -EINTR);
    assert_int_equal(cadre_group_reset(&g), 0);
    assert_int_equal(cadre_group_error(&g).code, 0);
    assert_int_equal(cadre_group_error_count(&g), 0);
    assert_int_equal(cadre_ctx_error(cadre_group_ctx(&g)), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(cadre_go(&g, return_code, &code), 0);
    assert_int_equal(cadre_wait(&g), -EPERM);
    assert_int_equal(cadre_group_error_count(&g), 1);
    assert_int_equal(kept[0].code, -EPERM);
    assert_int_equal(kept[0].index, 0);
}

static void reset_is_refused_while_tasks_are_there(void **state)
{
    struct cadre_group g = { 0 };
    struct crowd crowd = { .code = -EIO };

    (void)state;
    assert_int_equal(cadre_group_reset(NULL), -EINVAL);
    assert_int_equal(cadre_group_reset(&g), 0);
    assert_int_equal(cadre_go(&g, crowd_task, &crowd), 0);
    assert_int_equal(cadre_group_reset(&g), -EBUSY);
    assert_int_equal(cadre_group_hold(&g), 0);
    gate_open(&crowd.gate);
    test_until(cadre_group_error_count(&g) == 1);
    assert_int_equal(cadre_group_reset(&g), -EBUSY);
    cadre_group_release(&g, 0);
    assert_int_equal(cadre_wait(&g), -EIO);
    assert_int_equal(cadre_group_reset(&g), 0);
    assert_int_equal(cadre_wait(&g), 0);
}

/* ---- holds ---- */

static void *release_late(void *arg)
{
    for (int i = 0; i < 100; i++)
        cadre_group_release(arg, i == 50 ? -EBADF : 0);
    return NULL;
}

static void wait_waits_for_holds_and_returns_their_code(void **state)
{
    struct cadre_group g = { .flags = CADRE_CANCEL_ON_ERROR };
    struct cadre_group plain = { 0 };
    struct waiting waiting;
    pthread_t thread;

    (void)state;
    assert_int_equal(cadre_group_hold(NULL), -EINVAL);
    assert_int_equal(cadre_group_hold(&plain), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cadre_group_hold(&g), 0);
    waiting_start(&waiting, &plain);
    thread = thread_start(release_late, &g);
    assert_int_equal(cadre_wait(&g), -EBADF);
    thread_join(thread);
    assert_int_equal(cadre_group_error_count(&g), 1);
    assert_int_equal(cadre_ctx_cause(cadre_group_ctx(&g)).code, -EBADF);
    assert_int_equal(waiting.returned, 0);
    cadre_group_release(&plain, 0);
    assert_int_equal(waiting_join(&waiting), 0);
}

static void release_one_too_many(void *arg)
{
    struct cadre_group g = { 0 };

    (void)arg;
    test_check(cadre_group_hold(&g) == 0);
    cadre_group_release(&g, 0);
    cadre_group_release(&g, 0);
}

/* First in main, while the process has one thread: ThreadSanitizer forks no other. */
static void a_release_without_a_hold_aborts(void **state)
{
    int status;

    (void)state;
    status = in_child(release_one_too_many, NULL);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_release_without_a_hold_aborts),
        cmocka_unit_test(the_first_error_wins),
        cmocka_unit_test(any_code_but_0_is_an_error),
        cmocka_unit_test(errors_are_kept_in_the_order_in_which_they_happen),
        cmocka_unit_test(every_one_of_many_errors_is_counted),
        cmocka_unit_test(a_record_names_group_task_and_place),
        cmocka_unit_test(a_long_message_is_cut),
        cmocka_unit_test(each_origin_is_told),
        cmocka_unit_test(a_refused_task_takes_no_number),
        cmocka_unit_test(no_error_is_no_text),
        cmocka_unit_test(one_error_is_told_without_an_array),
        cmocka_unit_test(errors_that_were_kept_have_a_line_each),
        cmocka_unit_test(the_text_tells_place_and_task),
        cmocka_unit_test(codes_have_texts),
        cmocka_unit_test(reset_makes_a_group_as_good_as_new),
        cmocka_unit_test(reset_is_refused_while_tasks_are_there),
        cmocka_unit_test(wait_waits_for_holds_and_returns_their_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
