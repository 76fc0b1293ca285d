/* SPDX-License-Identifier: MIT
 * errno and memory of tasks that go on on another thread. Written as anybody would write it: compiled with -O3 and
 * link-time optimisation, an address of errno that the compiler keeps across a call shows here. */
#include "test.h"

#include <string.h>

#include "cadre.h"
#include "moving.h"

enum { MOVES = 200 };

struct mover {
    unsigned moved;
    unsigned asked; /* moves until it ends */
};

static int sentinel(int i) { return 1000 + i; }

/* Set, block, read: all in one function, where the address would be kept. True when it moved. */
static int sets_blocks_reads(struct cadre_ctx *ctx, int value)
{
    struct cadre_group g = { .parent = ctx };
    struct move move = { .from = thread_id() };
    int moved, before, after;

    test_check(cadre_go(&g, move_keeps_busy, &move) == 0);
    errno = value;
    before = errno;
    test_check(cadre_recv(ctx, &move.wake, NULL) == 0);
    after = errno;
    moved = thread_id() != move.from;
    set(&move.resumed, 1);
    test_check(before == value);
    test_check(after == value);
    errno = value + 1;
    test_check(cadre_wait(&g) == 0);
    test_check(errno == value + 1);
    return moved;
}

/* The same, small enough to be inlined, several times over in its caller. */
static inline __attribute__((always_inline)) int read_after(struct cadre_ctx *ctx, struct cadre_chan *wake, int value)
{
    errno = value;
    test_check(cadre_recv(ctx, wake, NULL) == 0);
    return errno;
}

static int inlines_it(struct cadre_ctx *ctx, int value)
{
    struct cadre_group g = { .parent = ctx };
    struct move first = { .from = thread_id() }, second = { 0 };
    int a, b, moved;

    test_check(cadre_go(&g, move_keeps_busy, &first) == 0);
    a = read_after(ctx, &first.wake, value);
    moved = thread_id() != first.from;
    set(&first.resumed, 1);
    second.from = thread_id();
    test_check(cadre_go(&g, move_keeps_busy, &second) == 0);
    b = read_after(ctx, &second.wake, value + 1);
    moved += thread_id() != second.from;
    set(&second.resumed, 1);
    test_check(a == value && b == value + 1);
    for (int i = 0; i < 3; i++) { /* and in a loop, from which an address could be hoisted */
        errno = value + i;
        cadre_yield();
        test_check(errno == value + i);
        test_check(cadre_sleep(ctx, 1) == 0);
        test_check(errno == value + i);
    }
    test_check(cadre_wait(&g) == 0);
    return moved;
}

/* libc sets it, on the thread where it runs, and the task reads it there and elsewhere. */
static int lets_libc_set_it(struct cadre_ctx *ctx, int value)
{
    int moved;

    (void)value;
    test_check(close(-1) == -1);
    test_check(errno == EBADF);
    moved = move_once(ctx);
    test_check(close(-1) == -1);
    test_check(errno == EBADF);
    errno = 0;
    test_check(strtol("99999999999999999999999", NULL, 10) > 0);
    test_check(errno == ERANGE);
    return moved;
}

static int (*pattern)(struct cadre_ctx *ctx, int value);

static int repeats(struct cadre_ctx *ctx, void *arg)
{
    struct mover *mover = arg;

    for (int i = 0; i < 50 && get(&mover->moved) < mover->asked; i++)
        for (int moved = pattern(ctx, sentinel(i)); moved > 0; moved--)
            count(&mover->moved);
    return 0;
}

/* Until the task has gone on on another thread so many times. */
static void check_moving(int (*how)(struct cadre_ctx *ctx, int value))
{
    struct mover mover = { .asked = MOVES };
    cadre_time end = cadre_in(TEST_BOUND);

    if (cadre_workers() < 2)
        skip();
    pattern = how;
    while (get(&mover.moved) < MOVES && cadre_now() < end) {
        struct cadre_group g = { 0 };

        cadre_go(&g, repeats, &mover);
        assert_int_equal(cadre_wait(&g), 0);
    }
    assert_true(get(&mover.moved) >= MOVES);
}

static void test_errno_survives_a_blocking_call_on_another_thread(void **state)
{
    (void)state;
    check_moving(sets_blocks_reads);
}

static void test_errno_survives_where_the_code_was_inlined(void **state)
{
    (void)state;
    check_moving(inlines_it);
}

static void test_libcs_errno_is_that_of_the_thread_it_runs_on(void **state)
{
    (void)state;
    check_moving(lets_libc_set_it);
}

/* ---- memory ---- */

enum { BLOCKS = 24 };

static size_t block_size(int i) { return ((size_t)1 << (i % 20)) + (size_t)i * 13; }

static void fill(unsigned char *blocks[], int first, unsigned char with)
{
    for (int i = first; i < BLOCKS; i += 2) {
        blocks[i] = malloc(block_size(i));
        test_check(blocks[i] != NULL);
        memset(blocks[i], with + i, block_size(i));
    }
}

static void check_and_free(unsigned char *blocks[], int first, unsigned char with)
{
    for (int i = first; i < BLOCKS; i += 2) {
        unsigned char expected = (unsigned char)(with + i);

        for (size_t at = 0; at < block_size(i); at++)
            test_check(blocks[i][at] == expected);
        free(blocks[i]);
    }
}

/* What was allocated on one thread is freed and allocated again on the other, and the other way round. */
static int allocates(struct cadre_ctx *ctx, int value)
{
    unsigned char *blocks[BLOCKS];
    int moved;

    fill(blocks, 0, (unsigned char)value);
    moved = move_once(ctx);
    fill(blocks, 1, (unsigned char)value);
    check_and_free(blocks, 0, (unsigned char)value);
    fill(blocks, 0, (unsigned char)value);
    moved += move_once(ctx);
    check_and_free(blocks, 1, (unsigned char)value);
    check_and_free(blocks, 0, (unsigned char)value);
    return moved;
}

static void test_memory_can_be_freed_after_moving(void **state)
{
    (void)state;
    check_moving(allocates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errno_survives_a_blocking_call_on_another_thread),
        cmocka_unit_test(test_errno_survives_where_the_code_was_inlined),
        cmocka_unit_test(test_libcs_errno_is_that_of_the_thread_it_runs_on),
        cmocka_unit_test(test_memory_can_be_freed_after_moving),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
