/* SPDX-License-Identifier: MIT
 * What every unit test includes: cmocka, with all that its header wants included first. With -DCADRE_NO_CMOCKA, for targets
 * that have no cmocka, a small runner that knows the same names and leaves with 77 when every test was skipped. */
#ifndef CADRE_TEST_H
#define CADRE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A failing cmocka assertion leaves its test by longjmp, which is only right on the thread and the stack that the test was
 * called on. In tasks, other threads, signal handlers and forked children use this: it reports the place and aborts. */
#define test_check(condition) ((condition) ? (void)0 : test_check_failed(#condition, __FILE__, __LINE__))

__attribute__((noreturn, cold, unused)) static void test_check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    fflush(NULL);
    abort();
}

#ifndef CADRE_NO_CMOCKA
#include <cmocka.h>
#else
#include <string.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    CMFixtureFunction setup_func;
    CMFixtureFunction teardown_func;
    void *initial_state;
};

#define cmocka_unit_test(f) { #f, f, NULL, NULL, NULL }
#define cmocka_unit_test_setup(f, setup) { #f, f, setup, NULL, NULL }
#define cmocka_unit_test_teardown(f, teardown) { #f, f, NULL, teardown, NULL }
#define cmocka_unit_test_setup_teardown(f, setup, teardown) { #f, f, setup, teardown, NULL }
#define cmocka_unit_test_prestate(f, state) { #f, f, NULL, NULL, state }
#define cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, state) { #f, f, setup, teardown, state }
#define cmocka_run_group_tests(tests, setup, teardown) \
    test_run_group(#tests, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown) \
    test_run_group(name, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

enum test_outcome { TEST_PASSED, TEST_FAILED = 1, TEST_SKIPPED = 77 };

/* Where a failed assertion or a skip goes; only one test runs at a time. */
static jmp_buf test_leave;

#define print_message(...) ((void)fprintf(stdout, __VA_ARGS__))
#define print_error(...) ((void)fprintf(stderr, __VA_ARGS__))
#define skip() longjmp(test_leave, TEST_SKIPPED)
#define fail() fail_msg("%s", "failed")
#define fail_msg(...) \
    (print_error("%s:%d: ", __FILE__, __LINE__), print_error(__VA_ARGS__), print_error("\n"), \
     longjmp(test_leave, TEST_FAILED))

#define test_number(x) ((unsigned long long)(x))
#define test_that(ok, text) test_that_at((ok), (text), __FILE__, __LINE__)
#define test_pair(a, b, equal, op) \
    test_pair_at(test_number(a), test_number(b), (equal), #a " " op " " #b, __FILE__, __LINE__)

#define assert_true(c) test_that((c) ? 1 : 0, #c)
#define assert_false(c) test_that((c) ? 0 : 1, "!(" #c ")")
#define assert_non_null(p) test_that((p) != NULL, #p " != NULL")
#define assert_null(p) test_that((p) == NULL, #p " == NULL")
#define assert_return_code(rc, error) ((void)(error), test_that((rc) >= 0, #rc " >= 0"))
#define assert_int_equal(a, b) test_pair(a, b, 1, "==")
#define assert_int_not_equal(a, b) test_pair(a, b, 0, "!=")
#define assert_ptr_equal(a, b) test_pair((uintptr_t)(a), (uintptr_t)(b), 1, "==")
#define assert_ptr_not_equal(a, b) test_pair((uintptr_t)(a), (uintptr_t)(b), 0, "!=")
#define assert_string_equal(a, b) test_strings_at((a), (b), 1, #a " == " #b, __FILE__, __LINE__)
#define assert_string_not_equal(a, b) test_strings_at((a), (b), 0, #a " != " #b, __FILE__, __LINE__)
#define assert_memory_equal(a, b, size) test_that(memcmp((a), (b), (size)) == 0, #a " == " #b)
#define assert_memory_not_equal(a, b, size) test_that(memcmp((a), (b), (size)) != 0, #a " != " #b)
#define assert_in_range(x, low, high) \
    test_range_at(test_number(x), test_number(low), test_number(high), 1, #x, __FILE__, __LINE__)
#define assert_not_in_range(x, low, high) \
    test_range_at(test_number(x), test_number(low), test_number(high), 0, #x, __FILE__, __LINE__)

static inline void test_that_at(int ok, const char *text, const char *file, int line)
{
    if (ok)
        return;
    print_error("%s:%d: not so: %s\n", file, line, text);
    longjmp(test_leave, TEST_FAILED);
}

static inline void test_pair_at(unsigned long long a, unsigned long long b, int equal, const char *text, const char *file,
                                int line)
{
    if ((a == b) != equal)
        print_error("%#llx and %#llx\n", a, b);
    test_that_at((a == b) == equal, text, file, line);
}

static inline void test_strings_at(const char *a, const char *b, int equal, const char *text, const char *file, int line)
{
    int same = strcmp(a, b) == 0;

    if (same != equal)
        print_error("\"%s\" and \"%s\"\n", a, b);
    test_that_at(same == equal, text, file, line);
}

static inline void test_range_at(unsigned long long x, unsigned long long low, unsigned long long high, int inside,
                                 const char *text, const char *file, int line)
{
    int is_inside = low <= x && x <= high;

    if (is_inside != inside)
        print_error("%llu, from %llu to %llu\n", x, low, high);
    test_that_at(is_inside == inside, text, file, line);
}

/* A fixture that returns non-zero fails its test, as it does with cmocka. */
static inline enum test_outcome test_run_one(const struct CMUnitTest *test, void **state)
{
    int left = setjmp(test_leave);

    if (left != 0)
        return left == TEST_SKIPPED ? TEST_SKIPPED : TEST_FAILED;
    if (test->setup_func != NULL && test->setup_func(state) != 0)
        return TEST_FAILED;
    test->test_func(state);
    return TEST_PASSED;
}

static inline int test_run_group(const char *name, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
                                 CMFixtureFunction teardown)
{
    static const char *const words[] = { "PASSED", "FAILED", "SKIPPED" };
    int count[3] = { 0, 0, 0 };
    void *group_state = NULL;

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (setup != NULL && setup(&group_state) != 0)
        return 1;
    for (size_t i = 0; i < n; i++) {
        void *state = tests[i].initial_state != NULL ? tests[i].initial_state : group_state;
        enum test_outcome outcome = test_run_one(&tests[i], &state);
        int at = outcome == TEST_SKIPPED ? 2 : (int)outcome;

        if (tests[i].teardown_func != NULL && tests[i].teardown_func(&state) != 0 && at == 0)
            at = 1;
        count[at]++;
        print_message("[%8s ] %s\n", words[at], tests[i].name);
    }
    if (teardown != NULL && teardown(&group_state) != 0)
        count[1]++;
    print_message("%s: %d passed, %d failed, %d skipped\n", name, count[0], count[1], count[2]);
    return count[1] == 0 && count[0] == 0 && count[2] > 0 ? TEST_SKIPPED : count[1];
}

#endif
#endif
