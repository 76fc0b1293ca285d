/* SPDX-License-Identifier: MIT
 * Hooks: what runs when a context ends, how often, where, and how they are removed while all that happens. */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "cadre.h"
#include "until.h"

static void counts(struct cadre_ctx *ctx, void *arg)
{
    test_check(cadre_ctx_error(ctx) != 0);
    count(arg);
}

static void test_a_hook_runs_once_on_cancel(void **state)
{
    struct cadre_ctx c = { 0 };
    unsigned ran = 0;
    struct cadre_hook hook = { .fn = counts, .arg = &ran };

    (void)state;
    assert_int_equal(cadre_ctx_hook(&c, &hook), 0);
    assert_int_equal(get(&ran), 0);
    cadre_ctx_cancel(&c, -EIO, NULL);
    assert_int_equal(get(&ran), 1);
    cadre_ctx_cancel(&c, -EIO, NULL);
    assert_int_equal(get(&ran), 1);
    assert_int_equal(cadre_ctx_unhook(&c, &hook), 0);
    assert_int_equal(get(&ran), 1);
}

static void test_a_hook_on_an_ended_context_runs_at_once(void **state)
{
    struct cadre_ctx cancelled = { 0 }, expired = { .deadline = 1 }, child = { .parent = &cancelled };
    struct cadre_ctx *ended[] = { &cancelled, &expired, &child };

    (void)state;
    cadre_ctx_cancel(&cancelled, -EIO, NULL);
    for (int i = 0; i < 3; i++) {
        unsigned ran = 0;
        struct cadre_hook hook = { .fn = counts, .arg = &ran };

        assert_int_equal(cadre_ctx_hook(ended[i], &hook), 0);
        assert_int_equal(get(&ran), 1);
        assert_int_equal(cadre_ctx_unhook(ended[i], &hook), 0);
        assert_int_equal(get(&ran), 1);
    }
}

static void test_a_removed_hook_never_runs(void **state)
{
    struct cadre_ctx c = { 0 };
    unsigned ran = 0;
    struct cadre_hook hook = { .fn = counts, .arg = &ran };

    (void)state;
    assert_int_equal(cadre_ctx_hook(&c, &hook), 0);
    assert_int_equal(cadre_ctx_unhook(&c, &hook), 1);
    memset(&hook, 0xff, sizeof hook);
    cadre_ctx_cancel(&c, -EIO, NULL);
    assert_int_equal(get(&ran), 0);
}

static void test_a_hook_can_be_added_again(void **state)
{
    struct cadre_ctx c = { 0 };
    unsigned ran = 0;
    struct cadre_hook hook = { .fn = counts, .arg = &ran };

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cadre_ctx_hook(&c, &hook), 0);
        assert_int_equal(cadre_ctx_unhook(&c, &hook), 1);
    }
    assert_int_equal(cadre_ctx_hook(&c, &hook), 0);
    cadre_ctx_cancel(&c, 0, NULL);
    assert_int_equal(get(&ran), 1);
    assert_int_equal(cadre_ctx_unhook(&c, &hook), 0);
}

static void test_bad_hooks_are_refused(void **state)
{
    struct cadre_ctx c = { 0 };
    unsigned ran = 0;
    struct cadre_hook hook = { .fn = counts, .arg = &ran }, empty = { 0 };

    (void)state;
    assert_int_equal(cadre_ctx_hook(NULL, &hook), -EINVAL);
    assert_int_equal(cadre_ctx_hook(&c, NULL), -EINVAL);
    assert_int_equal(cadre_ctx_hook(&c, &empty), -EINVAL);
    assert_int_equal(cadre_ctx_unhook(&c, NULL), -EINVAL);
    assert_int_equal(cadre_ctx_unhook(&c, &empty), -EINVAL);
}

/* ---- levels ---- */

static void test_hooks_run_at_every_level_below_and_not_above(void **state)
{
    struct cadre_ctx top = { 0 }, middle = { .parent = &top }, low = { .parent = &middle };
    struct cadre_ctx shielded = { .parent = &middle, .flags = CADRE_SHIELDED };
    struct cadre_ctx *at[] = { &top, &middle, &low, &shielded };
    unsigned ran[4] = { 0 }, expected[4] = { 0, 1, 1, 0 };
    struct cadre_hook hooks[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        hooks[i] = (struct cadre_hook){ .fn = counts, .arg = &ran[i] };
        assert_int_equal(cadre_ctx_hook(at[i], &hooks[i]), 0);
    }
    cadre_ctx_cancel(&middle, 0, NULL);
    assert_memory_equal(ran, expected, sizeof ran);
    cadre_ctx_cancel(&top, 0, NULL);
    expected[0] = 1;
    assert_memory_equal(ran, expected, sizeof ran);
    for (int i = 0; i < 4; i++)
        assert_int_equal(cadre_ctx_unhook(at[i], &hooks[i]), at[i] == &shielded);
}

static void test_many_hooks_on_one_context_all_run(void **state)
{
    enum { MANY = 100 };
    struct cadre_ctx c = { 0 };
    unsigned ran = 0;
    struct cadre_hook hooks[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        hooks[i] = (struct cadre_hook){ .fn = counts, .arg = &ran };
        assert_int_equal(cadre_ctx_hook(&c, &hooks[i]), 0);
    }
    for (int i = 0; i < MANY; i += 2)
        assert_int_equal(cadre_ctx_unhook(&c, &hooks[i]), 1);
    cadre_ctx_cancel(&c, 0, NULL);
    assert_int_equal(get(&ran), MANY / 2);
    for (int i = 1; i < MANY; i += 2)
        assert_int_equal(cadre_ctx_unhook(&c, &hooks[i]), 0);
}

/* ---- deadlines ---- */

static void counts_expired(struct cadre_ctx *ctx, void *arg)
{
    test_check(cadre_now() >= cadre_ctx_deadline(ctx));
    test_check(cadre_ctx_error(ctx) == -ETIMEDOUT);
    test_check(cadre_ctx_cause(ctx).origin == CADRE_FROM_DEADLINE);
    count(arg);
}

static void test_a_hook_runs_when_the_deadline_passes(void **state)
{
    struct cadre_ctx top = { .deadline = cadre_in(CADRE_MS(5)) }, child = { .parent = &top };
    unsigned ran[2] = { 0, 0 };
    struct cadre_hook own = { .fn = counts_expired, .arg = &ran[0] }, below = { .fn = counts_expired, .arg = &ran[1] };

    (void)state;
    assert_int_equal(cadre_ctx_hook(&top, &own), 0);
    assert_int_equal(cadre_ctx_hook(&child, &below), 0);
    doze_until(&ran[0], 1); /* nobody looks at the contexts */
    doze_until(&ran[1], 1);
    assert_int_equal(cadre_ctx_unhook(&top, &own), 0);
    assert_int_equal(cadre_ctx_unhook(&child, &below), 0);
    assert_int_equal(get(&ran[0]), 1);
    assert_int_equal(get(&ran[1]), 1);
}

static void test_cancel_before_the_deadline_runs_the_hook_once(void **state)
{
    struct cadre_ctx c = { .deadline = cadre_in(CADRE_SEC(1)) };
    unsigned ran = 0;
    struct cadre_hook hook = { .fn = counts, .arg = &ran };

    (void)state;
    assert_int_equal(cadre_ctx_hook(&c, &hook), 0);
    cadre_ctx_cancel(&c, 0, NULL);
    until_after(c.deadline + CADRE_MS(20));
    assert_int_equal(cadre_ctx_unhook(&c, &hook), 0);
    assert_int_equal(get(&ran), 1);
    assert_int_equal(cadre_ctx_error(&c), -ECANCELED);
}

/* ---- hooks that do something ---- */

struct self {
    struct cadre_hook hook;
    unsigned *ran;
};

static void removes_itself(struct cadre_ctx *ctx, void *arg)
{
    struct self *self = arg;
    unsigned *ran = self->ran;

    test_check(cadre_ctx_unhook(ctx, &self->hook) == 0);
    free(self);
    count(ran);
}

static struct self *new_self(unsigned *ran)
{
    struct self *self = calloc(1, sizeof *self);

    test_check(self != NULL);
    self->hook.fn = removes_itself;
    self->hook.arg = self;
    self->ran = ran;
    return self;
}

static void test_a_hook_may_remove_and_free_itself(void **state)
{
    struct cadre_ctx cancelled = { 0 }, expiring = { .deadline = cadre_in(CADRE_MS(2)) };
    unsigned ran = 0;

    (void)state;
    assert_int_equal(cadre_ctx_hook(&cancelled, &new_self(&ran)->hook), 0);
    cadre_ctx_cancel(&cancelled, 0, NULL);
    assert_int_equal(get(&ran), 1);
    assert_int_equal(cadre_ctx_hook(&cancelled, &new_self(&ran)->hook), 0); /* at once */
    assert_int_equal(get(&ran), 2);
    assert_int_equal(cadre_ctx_hook(&expiring, &new_self(&ran)->hook), 0);
    doze_until(&ran, 3);
}

static void cancels_next(struct cadre_ctx *ctx, void *arg)
{
    cadre_ctx_cancel(arg, cadre_ctx_cause(ctx).code, cadre_ctx_cause(ctx).message);
}

static void test_a_hook_may_cancel_another_context(void **state)
{
    struct cadre_ctx first = { 0 }, second = { 0 }, third = { 0 };
    struct cadre_hook to_second = { .fn = cancels_next, .arg = &second }, to_third = { .fn = cancels_next, .arg = &third };

    (void)state;
    assert_int_equal(cadre_ctx_hook(&first, &to_second), 0);
    assert_int_equal(cadre_ctx_hook(&second, &to_third), 0);
    cadre_ctx_cancel(&first, -EIO, "passed on");
    assert_int_equal(cadre_ctx_cause(&third).code, -EIO);
    assert_string_equal(cadre_ctx_cause(&third).message, "passed on");
    assert_int_equal(cadre_ctx_unhook(&first, &to_second), 0);
    assert_int_equal(cadre_ctx_unhook(&second, &to_third), 0);
}

/* ---- removing while it runs elsewhere ---- */

struct slow {
    unsigned started, may_end, ended, removing;
    struct cadre_ctx ctx;
};

static void takes_its_time(struct cadre_ctx *ctx, void *arg)
{
    struct slow *slow = arg;

    (void)ctx;
    set(&slow->started, 1);
    doze_until(&slow->may_end, 1);
    set(&slow->ended, 1);
}

static void *cancels(void *arg)
{
    struct slow *slow = arg;

    cadre_ctx_cancel(&slow->ctx, 0, NULL);
    return NULL;
}

static void *lets_it_end(void *arg)
{
    struct slow *slow = arg;
    struct timespec pause = { 0, 5000000 };

    doze_until(&slow->removing, 1);
    nanosleep(&pause, NULL); /* so that a removal that does not wait is seen */
    set(&slow->may_end, 1);
    return NULL;
}

static void test_removal_waits_for_a_hook_that_runs_on_another_thread(void **state)
{
    struct slow slow = { 0 };
    struct cadre_hook hook = { .fn = takes_its_time, .arg = &slow };
    pthread_t canceller, helper;

    (void)state;
    assert_int_equal(cadre_ctx_hook(&slow.ctx, &hook), 0);
    assert_int_equal(pthread_create(&canceller, NULL, cancels, &slow), 0);
    assert_int_equal(pthread_create(&helper, NULL, lets_it_end, &slow), 0);
    doze_until(&slow.started, 1);
    set(&slow.removing, 1);
    assert_int_equal(cadre_ctx_unhook(&slow.ctx, &hook), 0);
    assert_int_equal(get(&slow.ended), 1);
    memset(&hook, 0xff, sizeof hook);
    pthread_join(canceller, NULL);
    pthread_join(helper, NULL);
}

/* ---- races: two sides start together, over and over ---- */

struct race {
    struct cadre_ctx ctx;
    struct self *self;
    unsigned round, done, over, ran;
};

static void *cancels_each_round(void *arg)
{
    struct race *race = arg;

    for (unsigned round = 1;; round++) {
        while (get(&race->round) < round)
            if (get(&race->over) != 0)
                return NULL;
        cadre_ctx_cancel(&race->ctx, 0, NULL);
        set(&race->done, round);
    }
}

/* Run round over and over against a thread that cancels race->ctx. */
static void race_against_cancel(struct race *race, int rounds, void (*prepare)(struct race *), void (*round)(struct race *),
                                void (*check)(struct race *))
{
    pthread_t canceller;

    assert_int_equal(pthread_create(&canceller, NULL, cancels_each_round, race), 0);
    for (int i = 1; i <= rounds; i++) {
        race->ctx = (struct cadre_ctx){ .deadline = cadre_in(CADRE_SEC(3600)) };
        set(&race->ran, 0);
        prepare(race);
        set(&race->round, (unsigned)i);
        for (int j = 0; j < i % 64; j++)
            (void)get(&race->over); /* meet at another point each time */
        round(race);
        doze_until(&race->done, (unsigned)i);
        check(race);
    }
    set(&race->over, 1);
    pthread_join(canceller, NULL);
}

static struct cadre_hook raced;
static int removed;

static void add_raced(struct race *race)
{
    raced = (struct cadre_hook){ .fn = counts, .arg = &race->ran };
    test_check(cadre_ctx_hook(&race->ctx, &raced) == 0);
}

static void remove_raced(struct race *race)
{
    removed = cadre_ctx_unhook(&race->ctx, &raced);
    memset(&raced, 0xff, sizeof raced); /* whoever touches it still is lost */
}

static void check_removed_or_ran(struct race *race)
{
    test_check(removed == 0 || removed == 1);
    test_check(get(&race->ran) == (removed == 1 ? 0u : 1u));
}

static void test_a_hook_either_runs_or_is_removed(void **state)
{
    struct race race = { 0 };

    (void)state;
    race_against_cancel(&race, 3000, add_raced, remove_raced, check_removed_or_ran);
}

static void make_self(struct race *race) { race->self = new_self(&race->ran); }
static void add_self(struct race *race) { test_check(cadre_ctx_hook(&race->ctx, &race->self->hook) == 0); }
static void check_ran(struct race *race) { test_check(get(&race->ran) == 1); }

static void test_a_hook_that_frees_itself_may_be_added_while_the_context_ends(void **state)
{
    struct race race = { 0 };

    (void)state;
    race_against_cancel(&race, 3000, make_self, add_self, check_ran);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hook_runs_once_on_cancel),
        cmocka_unit_test(test_a_hook_on_an_ended_context_runs_at_once),
        cmocka_unit_test(test_a_removed_hook_never_runs),
        cmocka_unit_test(test_a_hook_can_be_added_again),
        cmocka_unit_test(test_bad_hooks_are_refused),
        cmocka_unit_test(test_hooks_run_at_every_level_below_and_not_above),
        cmocka_unit_test(test_many_hooks_on_one_context_all_run),
        cmocka_unit_test(test_a_hook_runs_when_the_deadline_passes),
        cmocka_unit_test(test_cancel_before_the_deadline_runs_the_hook_once),
        cmocka_unit_test(test_a_hook_may_remove_and_free_itself),
        cmocka_unit_test(test_a_hook_may_cancel_another_context),
        cmocka_unit_test(test_removal_waits_for_a_hook_that_runs_on_another_thread),
        cmocka_unit_test(test_a_hook_either_runs_or_is_removed),
        cmocka_unit_test(test_a_hook_that_frees_itself_may_be_added_while_the_context_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
