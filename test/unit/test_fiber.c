/* SPDX-License-Identifier: MIT
 * The fiber pool: sizes, reuse, what a worker keeps, guards. */
#include "test.h"

#include <sys/mman.h>

#include <string.h>

#include "child.h"
#include "sched/fiber.h"

#define MANY 300 /* more than a slab of the usual size holds */

static void never_entered(void *fiber)
{
    (void)fiber;
    abort();
}

static struct cdr_fiber *get(struct cdr_fiber_cache *cache, size_t stack)
{
    struct cdr_fiber *fiber = cdr_fiber_get(cache, stack, never_entered);

    test_check(fiber != NULL);
    return fiber;
}

/* The next writes to both ends of the stack must be possible. */
static void touch_ends(const struct cdr_fiber *fiber)
{
    memset((void *)fiber->low, 0x55, 64);
    memset((void *)(fiber->high - 64), 0xaa, 64);
}

static void stacks_are_as_large_as_asked_for(void **state)
{
    static const size_t sizes[] = { 0, 1, CDR_STACK_PROMISE, CDR_STACK_PROMISE + 1, (size_t)1 << 20, ((size_t)1 << 20) + 1,
                                    (size_t)20 << 20, (size_t)100 << 20 };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct cdr_fiber *fiber = get(NULL, sizes[i]);

        assert_true(fiber->high - fiber->low >= sizes[i] + (CDR_STACK_SIZE - CDR_STACK_PROMISE) / 2);
        assert_true(fiber->high - fiber->low < 2 * sizes[i] + CDR_STACK_SIZE);
        assert_true(cdr_fiber_holds(fiber, (void *)fiber->low));
        assert_true(cdr_fiber_holds(fiber, (void *)(fiber->high - 1)));
        assert_false(cdr_fiber_holds(fiber, (void *)fiber->high));
        assert_false(cdr_fiber_holds(fiber, (void *)(fiber->low - 1)));
        touch_ends(fiber);
        cdr_fiber_put(NULL, fiber);
    }
}

static void a_stack_larger_than_the_largest_is_refused(void **state)
{
    (void)state;
    assert_null(cdr_fiber_get(NULL, CDR_STACK_MAX + 1, never_entered));
    assert_null(cdr_fiber_get(NULL, SIZE_MAX, never_entered));
}

static void what_was_put_last_is_got_first(void **state)
{
    static const size_t sizes[] = { 0, (size_t)1 << 20 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct cdr_fiber *a = get(NULL, sizes[i]), *b = get(NULL, sizes[i]);

        assert_ptr_not_equal(a, b);
        cdr_fiber_put(NULL, a);
        cdr_fiber_put(NULL, b);
        assert_ptr_equal(get(NULL, sizes[i]), b);
        assert_ptr_equal(get(NULL, sizes[i]), a);
        cdr_fiber_put(NULL, a);
        cdr_fiber_put(NULL, b);
    }
}

static void sizes_do_not_mix(void **state)
{
    struct cdr_fiber *small = get(NULL, 0), *large;

    (void)state;
    cdr_fiber_put(NULL, small);
    large = get(NULL, (size_t)1 << 20);
    assert_ptr_not_equal(large, small);
    assert_int_not_equal(large->size_class, small->size_class);
    assert_ptr_equal(get(NULL, 0), small);
    cdr_fiber_put(NULL, small);
    cdr_fiber_put(NULL, large);
}

static void a_used_fiber_comes_back_as_new(void **state)
{
    struct cdr_fiber_cache cache = { 0 };
    struct cdr_fiber *fiber = get(&cache, 0), *again;

    (void)state;
    fiber->pins = 3;
    fiber->frame = (struct cdr_frame *)(void *)&cache;
    fiber->worker = fiber->home = (struct cdr_worker *)(void *)&cache;
    fiber->first.fn = (cadre_fn *)(uintptr_t)1;
    cdr_fiber_put(&cache, fiber);
    again = get(&cache, 0);
    assert_ptr_equal(again, fiber);
    assert_int_equal(again->pins, 0);
    assert_null(again->frame);
    assert_null(again->worker);
    assert_null(again->home);
    assert_false(again->native);
    assert_true(again->first.fn == NULL);
    cdr_fiber_put(NULL, again);
}

static void a_worker_keeps_some_of_the_usual_size_and_no_others(void **state)
{
    struct cdr_fiber_cache cache = { 0 };
    static struct cdr_fiber *fibers[MANY];
    struct cdr_fiber *large = get(&cache, (size_t)1 << 20);

    (void)state;
    cdr_fiber_put(&cache, large);
    assert_int_equal(cache.count, 0);
    for (int i = 0; i < MANY; i++)
        fibers[i] = get(&cache, 0);
    for (int i = 0; i < MANY; i++)
        cdr_fiber_put(&cache, fibers[i]);
    assert_in_range(cache.count, 1, 64);
    for (unsigned kept = cache.count; kept > 0; kept--) { /* they are those that were put, and each is there once */
        assert_ptr_equal(get(&cache, 0), fibers[kept - 1]);
        assert_int_equal(cache.count, kept - 1);
    }
    assert_null(cache.free);
}

static int by_address(const void *a, const void *b)
{
    const struct cdr_fiber *x = *(struct cdr_fiber *const *)a, *y = *(struct cdr_fiber *const *)b;

    return x->low < y->low ? -1 : x->low > y->low;
}

static void stacks_do_not_overlap(void **state)
{
    static struct cdr_fiber *fibers[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        fibers[i] = get(NULL, 0);
        touch_ends(fibers[i]);
    }
    qsort(fibers, MANY, sizeof *fibers, by_address);
    for (int i = 1; i < MANY; i++) /* the struct of the one and the guard of the other lie between */
        assert_true(fibers[i]->low >= fibers[i - 1]->high + sizeof(struct cdr_fiber) + cdr_page_size());
    for (int i = 0; i < MANY; i++)
        cdr_fiber_put(NULL, fibers[i]);
}

/* ---- guards ---- */

static void used_up_and_got_again(struct cdr_fiber **fibers, int n)
{
    for (int i = 0; i < n; i++) {
        fibers[i] = get(NULL, 0);
        touch_ends(fibers[i]);
    }
    for (int i = 0; i < n; i++)
        cdr_fiber_put(NULL, fibers[i]);
    for (int i = 0; i < n; i++)
        fibers[i] = get(NULL, 0);
}

static void write_below(void *low) { ((volatile char *)low)[-1] = 1; }
static void write_a_page_below(void *low) { *((volatile char *)low - cdr_page_size()) = 1; }

static void below_each_stack_is_a_guard(void **state)
{
    static struct cdr_fiber *fibers[1100];
    static const size_t sizes[] = { 0, (size_t)1 << 20, (size_t)30 << 20 };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct cdr_fiber *fiber = get(NULL, sizes[i]);

        assert_true(faulted(in_child(write_below, (void *)fiber->low)));
        assert_true(faulted(in_child(write_a_page_below, (void *)fiber->low)));
        cdr_fiber_put(NULL, fiber);
    }
    used_up_and_got_again(fibers, 1100);
    for (int i = 0; i < 1100; i += 219)
        assert_true(faulted(in_child(write_below, (void *)fibers[i]->low)));
    for (int i = 0; i < 1100; i++)
        cdr_fiber_put(NULL, fibers[i]);
}

static bool is_resident(const void *p)
{
    uintptr_t page = (uintptr_t)p & ~(uintptr_t)(cdr_page_size() - 1);
    unsigned char resident = 0;

    return mincore((void *)page, 1, &resident) == 0 && (resident & 1) != 0;
}

/* What nobody has wanted since the last trim goes back to the kernel, but for a few. */
static void trimming_gives_back_what_was_not_wanted(void **state)
{
    enum { N = 1100 };
    static struct cdr_fiber *fibers[N];
    static void *tops[N];
    int kept = 0;

    (void)state;
    used_up_and_got_again(fibers, N);
    for (int i = 0; i < N; i++)
        tops[i] = fibers[i];
    cdr_fiber_pools_trim(); /* all are in use */
    for (int i = 0; i < N; i++)
        assert_true(is_resident(tops[i]));
    for (int i = 0; i < N; i++)
        cdr_fiber_put(NULL, fibers[i]);
    cdr_fiber_pools_trim(); /* they were wanted since the last one */
    for (int i = 0; i < N; i++)
        assert_true(is_resident(tops[i]));
    cdr_fiber_pools_trim();
    for (int i = 0; i < N; i++)
        kept += is_resident(tops[i]);
    assert_in_range(kept, 1, 200);
    used_up_and_got_again(fibers, N);
    for (int i = 0; i < N; i++)
        cdr_fiber_put(NULL, fibers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_are_as_large_as_asked_for),
        cmocka_unit_test(a_stack_larger_than_the_largest_is_refused),
        cmocka_unit_test(what_was_put_last_is_got_first),
        cmocka_unit_test(sizes_do_not_mix),
        cmocka_unit_test(a_used_fiber_comes_back_as_new),
        cmocka_unit_test(a_worker_keeps_some_of_the_usual_size_and_no_others),
        cmocka_unit_test(stacks_do_not_overlap),
        cmocka_unit_test(below_each_stack_is_a_guard),
        cmocka_unit_test(trimming_gives_back_what_was_not_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
