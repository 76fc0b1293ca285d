/* SPDX-License-Identifier: MIT
 * The heap of times: order, ties, removal from anywhere, against a plain sorted array. */
#include "test.h"

#include "base/heap.h"

#include <string.h>

#define MANY 2000

static uint32_t random_state;

/* xorshift32: the same sequence on every machine. */
static uint32_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static int by_time_then_order(const void *a, const void *b)
{
    const struct cdr_heap_node *x = *(struct cdr_heap_node *const *)a, *y = *(struct cdr_heap_node *const *)b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void assert_drains_in_order(struct cdr_heap *heap, struct cdr_heap_node **expected, size_t n)
{
    qsort(expected, n, sizeof *expected, by_time_then_order);
    for (size_t i = 0; i < n; i++) {
        struct cdr_heap_node *min = cdr_heap_min(heap);

        assert_ptr_equal(min, expected[i]);
        cdr_heap_remove(heap, min);
    }
    assert_null(cdr_heap_min(heap));
}

static void a_zeroed_heap_is_empty(void **state)
{
    struct cdr_heap heap = { 0 };

    (void)state;
    assert_null(cdr_heap_min(&heap));
}

static void the_earliest_comes_first(void **state)
{
    static struct cdr_heap_node nodes[MANY];
    static struct cdr_heap_node *expected[MANY];
    struct cdr_heap heap = { 0 };

    (void)state;
    random_state = 1;
    for (size_t i = 0; i < MANY; i++) {
        nodes[i].time = (int64_t)random_number() - INT32_MAX;
        cdr_heap_insert(&heap, expected[i] = &nodes[i]);
    }
    assert_drains_in_order(&heap, expected, MANY);
}

static void extreme_times_are_in_order(void **state)
{
    struct cdr_heap_node nodes[] = { { .time = INT64_MAX }, { .time = INT64_MIN }, { .time = 0 }, { .time = -1 } };
    struct cdr_heap_node *expected[] = { &nodes[0], &nodes[1], &nodes[2], &nodes[3] };
    struct cdr_heap heap = { 0 };

    (void)state;
    for (size_t i = 0; i < 4; i++)
        cdr_heap_insert(&heap, &nodes[i]);
    assert_drains_in_order(&heap, expected, 4);
}

static void equal_times_come_in_the_order_of_insertion(void **state)
{
    static struct cdr_heap_node nodes[MANY];
    struct cdr_heap heap = { 0 };

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        nodes[i].time = 7;
        cdr_heap_insert(&heap, &nodes[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_ptr_equal(cdr_heap_min(&heap), &nodes[i]);
        cdr_heap_remove(&heap, &nodes[i]);
    }
    assert_null(cdr_heap_min(&heap));
}

static void a_node_inserted_again_goes_behind_its_equals(void **state)
{
    struct cdr_heap_node a = { .time = 1 }, b = { .time = 1 };
    struct cdr_heap heap = { 0 };

    (void)state;
    cdr_heap_insert(&heap, &a);
    cdr_heap_insert(&heap, &b);
    cdr_heap_remove(&heap, &a);
    cdr_heap_insert(&heap, &a);
    assert_ptr_equal(cdr_heap_min(&heap), &b);
}

static void a_removed_node_is_out_of_the_tree(void **state)
{
    struct cdr_heap_node nodes[8] = { { 0 } };
    struct cdr_heap heap = { 0 };

    (void)state;
    for (size_t i = 0; i < 8; i++)
        cdr_heap_insert(&heap, &nodes[i]);
    cdr_heap_remove(&heap, &nodes[3]);
    assert_null(nodes[3].child);
    assert_null(nodes[3].next);
    assert_null(nodes[3].prev);
}

/* Insert and remove at random, keeping an array of what should be there; the root must always be the array's least. */
static void any_node_can_be_removed_at_any_time(void **state)
{
    static struct cdr_heap_node nodes[200];
    static struct cdr_heap_node *inside[200], *outside[200];
    struct cdr_heap heap = { 0 };
    size_t in = 0, out = 200;

    (void)state;
    random_state = 2;
    for (size_t i = 0; i < 200; i++)
        outside[i] = &nodes[i];
    for (int step = 0; step < 20000; step++) {
        if (out > 0 && (in == 0 || random_number() % 2 == 0)) {
            size_t at = random_number() % out;
            struct cdr_heap_node *node = outside[at];

            outside[at] = outside[--out];
            node->time = (int64_t)(random_number() % 50);
            cdr_heap_insert(&heap, inside[in++] = node);
        } else {
            size_t at = random_number() % in;
            struct cdr_heap_node *node = inside[at];

            inside[at] = inside[--in];
            cdr_heap_remove(&heap, outside[out++] = node);
        }
        struct cdr_heap_node *least = in > 0 ? inside[0] : NULL;

        for (size_t i = 1; i < in; i++)
            if (by_time_then_order(&inside[i], &least) < 0)
                least = inside[i];
        assert_ptr_equal(cdr_heap_min(&heap), least);
    }
    assert_drains_in_order(&heap, inside, in);
}

/* Times that go down make one long chain of children, those that go up one long row of siblings. Recursion over either would
 * run out of stack. */
static void a_million_nodes_in_a_row_need_no_stack(void **state)
{
    enum { MILLION = 1000000 };
    struct cdr_heap_node *nodes = calloc(MILLION, sizeof *nodes);
    struct cdr_heap heap = { 0 };

    (void)state;
    assert_non_null(nodes);
    for (int up = 0; up < 2; up++) {
        for (int i = 0; i < MILLION; i++) {
            nodes[i].time = up ? i : -i;
            cdr_heap_insert(&heap, &nodes[i]);
        }
        for (int i = 0; i < MILLION; i++) {
            struct cdr_heap_node *min = cdr_heap_min(&heap);

            assert_ptr_equal(min, &nodes[up ? i : MILLION - 1 - i]);
            cdr_heap_remove(&heap, min);
        }
    }
    assert_null(cdr_heap_min(&heap));
    free(nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_heap_is_empty),
        cmocka_unit_test(the_earliest_comes_first),
        cmocka_unit_test(extreme_times_are_in_order),
        cmocka_unit_test(equal_times_come_in_the_order_of_insertion),
        cmocka_unit_test(a_node_inserted_again_goes_behind_its_equals),
        cmocka_unit_test(a_removed_node_is_out_of_the_tree),
        cmocka_unit_test(any_node_can_be_removed_at_any_time),
        cmocka_unit_test(a_million_nodes_in_a_row_need_no_stack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
