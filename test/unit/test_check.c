/* SPDX-License-Identifier: MIT
 * Wrong use of the library: what the process says and how it ends. */
#include "test.h"

#include "base/check.h"
#include "child.h"

static void require_true(void *arg)
{
    (void)arg;
    cdr_require(1 + 1 == 2, "never said");
}

/* arg: the file descriptor that standard error goes to. */
static void release_twice(void *arg)
{
    test_check(dup2(*(int *)arg, STDERR_FILENO) == STDERR_FILENO);
    cdr_require(1 + 1 == 3, "released what was never held");
}

static void what_holds_goes_on(void **state)
{
    (void)state;
    assert_true(passed(in_child(require_true, NULL)));
}

static void misuse_says_where_and_what_in_one_line_and_aborts(void **state)
{
    static const char line[] = "cadre: release_twice: released what was never held\n";
    char said[256] = "";
    int fds[2], status;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    status = in_child(release_twice, &fds[1]);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    close(fds[1]);
    assert_true(read(fds[0], said, sizeof said - 1) > 0);
    close(fds[0]);
    assert_memory_equal(said, line, sizeof line - 1); /* an emulator may say more afterwards */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_goes_on),
        cmocka_unit_test(misuse_says_where_and_what_in_one_line_and_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
