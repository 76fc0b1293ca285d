/* SPDX-License-Identifier: MIT
 * The ring of error texts: what is kept and for how long; and the texts of codes. */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "base/atomic.h"
#include "sync/record.h"

static uint64_t put(int code, const char *message)
{
    struct cadre_error error = { .code = code, .origin = CADRE_FROM_PANIC, .line = 12, .file = __FILE__ };

    cdr_copy_text(error.message, sizeof error.message, message);
    return cdr_record_put(&error);
}

static void an_error_comes_back_whole(void **state)
{
    uint64_t number = put(-EIO, "no such luck");
    struct cadre_error error = { 0 };

    (void)state;
    assert_int_not_equal(number, 0);
    assert_int_equal(cdr_record_get(number, &error), 1);
    assert_int_equal(error.code, -EIO);
    assert_int_equal(error.origin, CADRE_FROM_PANIC);
    assert_int_equal(error.line, 12);
    assert_string_equal(error.file, __FILE__);
    assert_string_equal(error.message, "no such luck");
}

static void number_0_and_numbers_not_given_out_leave_the_error_untouched(void **state)
{
    struct cadre_error error = { .code = 5 };
    uint64_t number = put(1, "");

    (void)state;
    assert_int_equal(cdr_record_get(0, &error), 0);
    assert_int_equal(cdr_record_get(number + 1, &error), 0);
    assert_int_equal(cdr_record_get(number + CDR_RECORDS, &error), 0);
    assert_int_equal(error.code, 5);
}

static void a_text_is_kept_until_as_many_others_as_fit_have_followed(void **state)
{
    struct cadre_error error = { 0 };
    uint64_t first = put(1, "first");

    (void)state;
    for (int i = 1; i < CDR_RECORDS; i++)
        put(2, "another");
    assert_int_equal(cdr_record_get(first, &error), 1);
    assert_string_equal(error.message, "first");
    put(3, "the last straw");
    error.code = 5;
    assert_int_equal(cdr_record_get(first, &error), 0);
    assert_int_equal(error.code, 5);
}

static void *put_many(void *failures)
{
    struct cadre_error error;

    for (int i = 1; i <= 1000; i++) { /* two threads put 2,000: nothing is displaced */
        uint64_t number = put(i, "one of many");

        if (!cdr_record_get(number, &error) || error.code != i)
            cdr_add((uint32_t *)failures, 1u);
    }
    return NULL;
}

static void threads_get_numbers_of_their_own(void **state)
{
    uint32_t failures = 0;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, put_many, &failures), 0);
    put_many(&failures);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(failures, 0);
}

static void text_is_cut_to_fit_and_null_is_empty(void **state)
{
    char field[6];

    (void)state;
    memset(field, 'x', sizeof field);
    cdr_copy_text(field, 5, "abcdefgh");
    assert_string_equal(field, "abcd");
    assert_int_equal(field[5], 'x');
    cdr_copy_text(field, 5, "abcd");
    assert_string_equal(field, "abcd");
    cdr_copy_text(field, 5, "");
    assert_string_equal(field, "");
    memset(field, 'x', sizeof field);
    cdr_copy_text(field, 5, NULL);
    assert_string_equal(field, "");
}

static void every_code_has_a_text(void **state)
{
    static const int unknown[] = { -4095, -4096, -100000, INT32_MIN };

    (void)state;
    assert_string_equal(cadre_strerror(-ENOENT), strerror(ENOENT));
    assert_string_equal(cadre_strerror(-ETIMEDOUT), strerror(ETIMEDOUT));
    assert_string_equal(cadre_strerror(0), strerror(0));
    assert_true(cadre_strerror(42)[0] != 0);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_string_equal(cadre_strerror(unknown[i]), "Unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_comes_back_whole),
        cmocka_unit_test(number_0_and_numbers_not_given_out_leave_the_error_untouched),
        cmocka_unit_test(a_text_is_kept_until_as_many_others_as_fit_have_followed),
        cmocka_unit_test(threads_get_numbers_of_their_own),
        cmocka_unit_test(text_is_cut_to_fit_and_null_is_empty),
        cmocka_unit_test(every_code_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
