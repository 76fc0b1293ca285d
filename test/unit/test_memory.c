/* SPDX-License-Identifier: MIT
 * Memory from the kernel: mapping, discarding, and stacks with their guards of both kinds. */
#define _GNU_SOURCE 1
#include "test.h"

#include "child.h"
#include "platform/os.h"
#include "platform/sanitizer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define STACK_SIZE ((size_t)64 << 10)
#define ODD_ERRNO 4242

static bool all_zero(const char *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static void mapped_memory_is_zero_and_discarded_memory_again(void **state)
{
    size_t size = 4 * cdr_page_size();
    char *p = cdr_map(size);

    (void)state;
    assert_non_null(p);
    assert_true(all_zero(p, size));
    memset(p, 1, size);
    cdr_discard(p, size);
    assert_true(all_zero(p, size));
    cdr_unmap(p, size);
}

static void locked_memory_is_cleared_when_discarded(void **state)
{
    size_t size = 2 * cdr_page_size();
    char *p = cdr_map(size);

    (void)state;
    assert_non_null(p);
    if (mlock(p, size) != 0)
        skip();
    memset(p, 1, size);
    errno = ODD_ERRNO;
    cdr_discard(p, size);
    assert_int_equal(errno, ODD_ERRNO);
    assert_true(all_zero(p, size));
    cdr_unmap(p, size);
}

static void memory_that_is_not_there_is_null(void **state)
{
    (void)state;
    errno = ODD_ERRNO;
    assert_null(cdr_map(SIZE_MAX & ~(cdr_page_size() - 1)));
    assert_null(cdr_stacks_map((size_t)1 << 62, 1));
    assert_null(cdr_stacks_map((size_t)1 << 40, 1u << 30)); /* the product overflows */
    assert_int_equal(errno, ODD_ERRNO);
}

static void unmapping_nothing_is_fine(void **state)
{
    (void)state;
    cdr_unmap(NULL, 4096);
    cdr_stacks_unmap(NULL, STACK_SIZE, 3);
}

/* The kind is found once for the process, so each is tried in a child of its own that has not asked before. */
static void want_kind(const char *kind)
{
    if (strcmp(kind, "mprotect") == 0)
        setenv("CADRE_NO_GUARD_INSTALL", "1", 1);
    else
        unsetenv("CADRE_NO_GUARD_INSTALL");
    if (strcmp(cdr_stack_guard_kind(), kind) != 0)
        _exit(77);
}

static char *stacks_of_kind(const char *kind)
{
    char *base;

    want_kind(kind);
    base = cdr_stacks_map(STACK_SIZE, 3);
    test_check(base != NULL);
    return base;
}

static void use_all_of_each_stack(void *kind)
{
    char *base = stacks_of_kind(kind);

    errno = ODD_ERRNO;
    for (size_t i = 0; i < 3; i++) {
        char *low = base + i * STACK_SIZE + cdr_page_size();

        test_check(all_zero(low, STACK_SIZE - cdr_page_size()));
        memset(low, (int)i + 1, STACK_SIZE - cdr_page_size());
    }
    for (size_t i = 0; i < 3; i++)
        test_check(base[(i + 1) * STACK_SIZE - 1] == (char)(i + 1));
    cdr_discard(base + cdr_page_size(), STACK_SIZE - cdr_page_size());
    test_check(base[STACK_SIZE - 1] == 0 && base[2 * STACK_SIZE - 1] == 2);
    cdr_stacks_unmap(base, STACK_SIZE, 3);
    test_check(errno == ODD_ERRNO);
}

static void touch_first_guard(void *kind)
{
    *(volatile char *)(stacks_of_kind(kind) + cdr_page_size() - 1) = 1;
}

static void touch_guard_between(void *kind)
{
    *(volatile char *)(stacks_of_kind(kind) + STACK_SIZE) = 1;
}

static void read_last_guard_after_discard(void *kind)
{
    char *base = stacks_of_kind(kind);

    cdr_discard(base + 2 * STACK_SIZE + cdr_page_size(), STACK_SIZE - cdr_page_size());
    (void)*(volatile char *)(base + 2 * STACK_SIZE + 8);
}

static void assert_guarded(const char *kind)
{
    static void (*const touch[])(void *) = { touch_first_guard, touch_guard_between, read_last_guard_after_discard };

    for (size_t i = 0; i < sizeof touch / sizeof *touch; i++) {
        int status = in_child(touch[i], (void *)(uintptr_t)kind);

        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            skip(); /* not with this kernel, emulator or sanitizer */
        assert_true(faulted(status));
    }
}

static void installed_guards_fault(void **state)
{
    (void)state;
    assert_guarded("guard-install");
}

static void protected_guards_fault(void **state)
{
    (void)state;
    assert_guarded("mprotect");
}

static void stacks_with_installed_guards_are_usable_side_by_side(void **state)
{
    int status = in_child(use_all_of_each_stack, (void *)(uintptr_t) "guard-install");

    (void)state;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_true(passed(status));
}

static void stacks_with_protected_guards_are_usable_side_by_side(void **state)
{
    (void)state;
    assert_true(passed(in_child(use_all_of_each_stack, (void *)(uintptr_t) "mprotect")));
}

/* mprotect needs a mapping per guard; the kernel's bound on mappings ends it. What was mapped must be gone then. */
static void map_too_many_stacks(void *arg)
{
    size_t size = 2 * cdr_page_size();
    unsigned most = 1u << 18; /* four times vm.max_map_count as Linux sets it */

    (void)arg;
    want_kind("mprotect");
    errno = ODD_ERRNO;
    if (cdr_stacks_map(size, most) != NULL)
        _exit(77); /* a kernel that allows so many */
    test_check(errno == ODD_ERRNO);
    test_check(cdr_stacks_map(size, 1000) != NULL); /* mappings are to be had again */
}

/* ThreadSanitizer and Valgrind keep their own memory in mappings, and give up when those run out. */
static bool tool_needs_mappings(void)
{
#ifdef CDR_TSAN
    return true;
#else
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
#endif
}

static void stacks_that_cannot_all_be_guarded_leave_nothing_behind(void **state)
{
    int status;

    (void)state;
    if (tool_needs_mappings())
        skip();
    status = in_child(map_too_many_stacks, NULL);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_true(passed(status));
}

/* How many pages of [p, p + size) are in memory. */
static size_t resident(char *p, size_t size)
{
    size_t pages = size / cdr_page_size(), count = 0;
    unsigned char *in = calloc(pages, 1);

    assert_non_null(in);
    assert_int_equal(mincore(p, size, in), 0);
    for (size_t i = 0; i < pages; i++)
        count += in[i] & 1;
    free(in);
    return count;
}

static void a_stack_with_one_page_touched_costs_one_page(void **state)
{
    size_t size = (size_t)8 << 20; /* huge pages would fit */
    char *base = cdr_stacks_map(size, 2);

    (void)state;
    assert_non_null(base);
    for (size_t i = 0; i < 2; i++) {
        base[(i + 1) * size - 1] = 1;
        assert_int_equal(resident(base + i * size + cdr_page_size(), size - cdr_page_size()), 1);
    }
    cdr_stacks_unmap(base, size, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(installed_guards_fault), /* before anything here asks for stacks: see want_kind */
        cmocka_unit_test(protected_guards_fault),
        cmocka_unit_test(stacks_with_installed_guards_are_usable_side_by_side),
        cmocka_unit_test(stacks_with_protected_guards_are_usable_side_by_side),
        cmocka_unit_test(stacks_that_cannot_all_be_guarded_leave_nothing_behind),
        cmocka_unit_test(a_stack_with_one_page_touched_costs_one_page),
        cmocka_unit_test(mapped_memory_is_zero_and_discarded_memory_again),
        cmocka_unit_test(locked_memory_is_cleared_when_discarded),
        cmocka_unit_test(memory_that_is_not_there_is_null),
        cmocka_unit_test(unmapping_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
