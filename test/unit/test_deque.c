/* SPDX-License-Identifier: MIT
 * The deque on one thread, against a plain array: what is popped is the newest, what is stolen the oldest, whatever was shared,
 * forced, moved into batches and back. With and without a private part. */
#include "test.h"

#include <string.h>

#include "sched/deque.h"

#define SMALL 100
#define LARGE (3 * CDR_RING_SIZE + 17)
#define MODEL_SIZE (1u << 18)

static struct cadre_group group_a, group_b;

static struct cdr_task task_of(uintptr_t number)
{
    return (struct cdr_task){ .arg = (void *)number, .group = &group_a, .family = 0x100 };
}

static uintptr_t number_of(const struct cdr_task *task) { return (uintptr_t)task->arg; }

/* membarrier works on this kernel; otherwise there is no private part to test. */
static bool private_part_works;

static int find_out(void **state)
{
    (void)state;
    private_part_works = cdr_membarrier_init();
    return 0;
}

static struct cdr_deque *new_deque(bool shared_only)
{
    static struct cdr_deque d;

    if (d.ring != NULL)
        cdr_unmap(d.ring, CDR_RING_SIZE * sizeof *d.ring);
    memset(&d, 0, sizeof d);
    test_check(cdr_deque_init(&d, shared_only || !private_part_works) == 0);
    return &d;
}

static void push(struct cdr_deque *d, uintptr_t number)
{
    struct cdr_task task = task_of(number);

    test_check(cdr_deque_push(d, task) >= 0);
}

/* The popped number, or 0 when the deque is empty. */
static uintptr_t pop(struct cdr_deque *d)
{
    struct cdr_task task = { 0 };

    return cdr_deque_pop(d, &task, NULL, 0) ? number_of(&task) : 0;
}

static void a_new_deque_is_empty(void **state)
{
    struct cdr_task task;
    struct cdr_batch *batch;

    (void)state;
    for (int shared_only = 0; shared_only < 2; shared_only++) {
        struct cdr_deque *d = new_deque(shared_only);

        assert_true(cdr_deque_empty(d));
        assert_false(cdr_deque_pop(d, &task, NULL, 0));
        assert_int_equal(cdr_deque_steal(d, &task, 1, 0, &batch), 0);
        assert_null(batch);
    }
}

static void the_newest_is_popped_first_also_from_batches(void **state)
{
    static const uintptr_t counts[] = { 1, 2, SMALL, CDR_RING_SIZE, CDR_RING_SIZE + 1, LARGE };

    (void)state;
    for (int shared_only = 0; shared_only < 2; shared_only++) {
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            struct cdr_deque *d = new_deque(shared_only);

            for (uintptr_t n = 1; n <= counts[i]; n++)
                push(d, n);
            for (uintptr_t n = counts[i]; n > 0; n--)
                assert_int_equal(pop(d), n);
            assert_int_equal(pop(d), 0);
            assert_true(cdr_deque_empty(d));
        }
    }
}

static void the_oldest_is_stolen_first(void **state)
{
    struct cdr_task out[64];
    struct cdr_batch *batch;
    unsigned n, next = 1;

    (void)state;
    for (int shared_only = 0; shared_only < 2; shared_only++, next = 1) {
        struct cdr_deque *d = new_deque(shared_only);

        for (unsigned i = 1; i <= SMALL; i++)
            push(d, i);
        cdr_deque_share(d, true);
        while ((n = cdr_deque_steal(d, out, 64, 0, &batch)) > 0)
            for (unsigned i = 0; i < n; i++)
                assert_int_equal(number_of(&out[i]), next++);
        assert_int_equal(next, SMALL + 1);
        assert_true(cdr_deque_empty(d));
    }
}

static void one_visit_takes_half_but_of_few_only_one(void **state)
{
    struct cdr_task out[64];
    struct cdr_batch *batch;
    struct cdr_deque *d = new_deque(false);

    (void)state;
    for (unsigned i = 1; i <= SMALL; i++)
        push(d, i);
    cdr_deque_share(d, true);
    assert_int_equal(cdr_deque_steal(d, out, 64, 0, &batch), SMALL / 2);
    assert_int_equal(cdr_deque_steal(d, out, 10, 0, &batch), 10);
    while (cdr_deque_depth(d) > 8)
        assert_true(cdr_deque_steal(d, out, 1, 0, &batch) == 1);
    assert_int_equal(cdr_deque_steal(d, out, 64, 0, &batch), 1);
}

static void private_tasks_are_out_of_reach_until_forced_or_shared(void **state)
{
    struct cdr_deque *d = new_deque(false);
    struct cdr_task out[64];
    struct cdr_batch *batch;
    uint64_t open;

    (void)state;
    if (!private_part_works)
        skip();
    for (unsigned i = 1; i <= 40; i++) /* too few for the look that a deep deque takes */
        push(d, i);
    while (cdr_deque_steal(d, out, 64, 0, &batch) > 0) /* the first push found the limit 0, and shared */
        ;
    open = d->open;
    assert_true(cdr_deque_depth(d) > 30);
    cdr_deque_force(d);
    assert_int_equal(d->open - open, (cdr_deque_depth(d) + 1) / 2);
    while (cdr_deque_steal(d, out, 64, 0, &batch) > 0)
        ;
    assert_true(cdr_deque_depth(d) > 10);
    cdr_deque_request(d);
    assert_int_equal(cdr_deque_steal(d, out, 64, 0, &batch), 0);
    push(d, 41); /* sees the request */
    assert_true(cdr_deque_steal(d, out, 64, 0, &batch) > 0);
}

static void a_push_tells_of_requests_and_of_depth(void **state)
{
    struct cdr_deque *d = new_deque(false);
    struct cdr_task task = task_of(1);
    int found;
    bool deep = false;

    (void)state;
    if (!private_part_works)
        skip();
    assert_true((cdr_deque_push(d, task) & CDR_PUSH_REQUESTED) != 0);
    assert_int_equal(cdr_deque_push(d, task), 0);
    cdr_deque_request(d);
    assert_true((cdr_deque_push(d, task) & CDR_PUSH_REQUESTED) != 0);
    assert_int_equal(cdr_deque_push(d, task), 0);
    for (int i = 0; i < 300; i++) {
        found = cdr_deque_push(d, task);
        assert_int_equal(found & CDR_PUSH_REQUESTED, 0);
        deep |= found == CDR_PUSH_DEEP;
    }
    assert_true(deep);
}

static void only_the_asked_for_group_and_family_are_taken(void **state)
{
    struct cdr_task task = { 0 }, of_b = task_of(2);
    struct cdr_batch *batch;

    (void)state;
    of_b.group = &group_b;
    of_b.family = 0x200;
    for (int shared_only = 0; shared_only < 2; shared_only++) {
        struct cdr_deque *d = new_deque(shared_only);

        push(d, 1);
        assert_true(cdr_deque_push(d, of_b) >= 0);
        for (int all = 0; all < 2; all++) { /* private, then public */
            assert_false(cdr_deque_pop(d, &task, &group_a, 0));
            assert_false(cdr_deque_pop(d, &task, NULL, 0x100));
            assert_int_equal(cdr_deque_depth(d), 2);
            cdr_deque_share(d, true);
        }
        assert_int_equal(cdr_deque_steal(d, &task, 1, 0x200, &batch), 0);
        assert_true(cdr_deque_pop(d, &task, &group_b, 0x200));
        assert_int_equal(number_of(&task), 2);
        cdr_deque_share(d, true); /* the owner had taken part of it back */
        assert_int_equal(cdr_deque_steal(d, &task, 1, 0x200, &batch), 0);
        assert_int_equal(cdr_deque_steal(d, &task, 1, 0x100, &batch), 1);
        assert_int_equal(number_of(&task), 1);
    }
}

static void whole_batches_are_stolen_and_adopted(void **state)
{
    struct cdr_deque *d = new_deque(false);
    struct cdr_task out;
    struct cdr_batch *batch;

    (void)state;
    for (unsigned i = 1; i <= LARGE; i++)
        push(d, i);
    assert_int_equal(cdr_deque_steal(d, &out, 1, 0x100, &batch) == 1, d->open > d->head); /* a family takes no batches */
    assert_null(batch);
    assert_int_equal(cdr_deque_steal(d, &out, 1, 0, &batch), 0);
    assert_non_null(batch);
    assert_int_equal(batch->count, CDR_BATCH_SIZE);
    for (unsigned i = 0; i < CDR_BATCH_SIZE; i++)
        assert_int_equal(number_of(&batch->tasks[i]), i + 1);
    d = new_deque(false);
    cdr_deque_adopt(d, batch);
    assert_false(cdr_deque_empty(d));
    for (unsigned i = CDR_BATCH_SIZE; i > 0; i--)
        assert_int_equal(pop(d), i);
    assert_true(cdr_deque_empty(d));
}

static void draining_moves_everything_out_oldest_first(void **state)
{
    (void)state;
    for (int shared_only = 0; shared_only < 2; shared_only++) {
        struct cdr_deque *d = new_deque(shared_only);
        struct cdr_batches out = { 0 };
        struct cdr_batch *batch;
        uintptr_t expected = 1;

        for (uintptr_t i = 1; i <= LARGE; i++)
            push(d, i);
        assert_true(cdr_deque_drain(d, &out));
        assert_true(cdr_deque_empty(d));
        while ((batch = cdr_batches_take_oldest(&out)) != NULL) {
            for (size_t i = 0; i < batch->count; i++)
                assert_int_equal(number_of(&batch->tasks[i]), expected++);
            cdr_batch_put(batch);
        }
        assert_int_equal(expected, LARGE + 1);
        push(d, 7); /* it can be used again */
        assert_int_equal(pop(d), 7);
        assert_int_equal(pop(d), 0);
    }
}

/* ---- anything in any order, against an array ---- */

static uintptr_t model[MODEL_SIZE]; /* [model_head, model_tail): oldest first */
static size_t model_head, model_tail;
static uint64_t random_state;

static uint32_t random_number(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static void steal_and_compare(struct cdr_deque *d)
{
    struct cdr_task out[32];
    struct cdr_batch *batch;
    unsigned n = cdr_deque_steal(d, out, 1 + random_number() % 32, 0, &batch);

    for (unsigned i = 0; i < n; i++)
        assert_int_equal(number_of(&out[i]), model[model_head++]);
    if (batch == NULL)
        return;
    for (size_t i = 0; i < batch->count; i++)
        assert_int_equal(number_of(&batch->tasks[i]), model[model_head++]);
    cdr_batch_put(batch);
}

static void step(struct cdr_deque *d, unsigned percent_push)
{
    uint32_t dice = random_number() % 100;

    if (dice < percent_push) {
        model[model_tail] = model_tail + 1;
        push(d, model[model_tail++]);
    } else if (dice < 92) {
        uintptr_t expected = model_tail > model_head ? model[model_tail - 1] : 0;

        assert_int_equal(pop(d), expected);
        model_tail -= expected != 0;
    } else if (dice < 95) {
        steal_and_compare(d);
    } else if (dice < 96) {
        cdr_deque_force(d);
    } else if (dice < 97) {
        cdr_deque_share(d, dice % 2 == 0);
    } else {
        cdr_deque_request(d);
    }
    assert_int_equal(cdr_deque_empty(d), model_head == model_tail);
}

static void anything_in_any_order_matches_the_model(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 8; run++) {
        struct cdr_deque *d = new_deque(run % 2 == 1);

        random_state = run;
        model_head = model_tail = 0;
        while (model_tail < MODEL_SIZE - 1 && model_tail + model_head < 60000) {
            /* waves: fill for a while, so that it spills, then empty it, so that it refills */
            unsigned wave = random_number() % 3 == 0 ? 85 : 46;

            for (int i = 0; i < 4000 && model_tail < MODEL_SIZE - 1; i++)
                step(d, wave);
            if (random_number() % 4 == 0)
                while (model_head < model_tail)
                    step(d, 10);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_deque_is_empty),
        cmocka_unit_test(the_newest_is_popped_first_also_from_batches),
        cmocka_unit_test(the_oldest_is_stolen_first),
        cmocka_unit_test(one_visit_takes_half_but_of_few_only_one),
        cmocka_unit_test(private_tasks_are_out_of_reach_until_forced_or_shared),
        cmocka_unit_test(a_push_tells_of_requests_and_of_depth),
        cmocka_unit_test(only_the_asked_for_group_and_family_are_taken),
        cmocka_unit_test(whole_batches_are_stolen_and_adopted),
        cmocka_unit_test(draining_moves_everything_out_oldest_first),
        cmocka_unit_test(anything_in_any_order_matches_the_model),
    };

    return cmocka_run_group_tests(tests, find_out, NULL);
}
