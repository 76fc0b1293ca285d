/* SPDX-License-Identifier: MIT
 * Timer shards: what fires and when, `first` and `next`, `after` outside the lock, and stopping against firing. */
#include "test.h"

#include <pthread.h>
#include <sched.h>

#include "sched/timer.h"

#define MANY 1000

/* A timer that counts. */
struct counting {
    struct cdr_timer timer;
    uint32_t fired;
    bool wants_after;
    bool firing; /* only while fire runs */
};

static struct counting *log_of_firing[MANY];
static size_t logged;
static struct cdr_timer_shard *shard_of_after;
static uint32_t afters;

static struct counting *counting_of(struct cdr_timer *timer) { return cdr_container_of(timer, struct counting, timer); }

static bool fire(struct cdr_timer *timer)
{
    struct counting *self = counting_of(timer);

    cdr_store(&self->firing, true);
    cdr_add(&self->fired, 1u);
    if (logged < MANY)
        log_of_firing[logged++] = self;
    cdr_spin_hint();
    cdr_store(&self->firing, false);
    return self->wants_after;
}

/* The shard can be locked from here. */
static void after(void)
{
    test_check(cdr_try_lock(&shard_of_after->lock));
    cdr_unlock(&shard_of_after->lock);
    afters++;
}

static struct counting counting(bool wants_after)
{
    return (struct counting){ .timer = { .fire = fire }, .wants_after = wants_after };
}

static void new_shard(struct cdr_timer_shard *shard)
{
    *shard = (struct cdr_timer_shard){ 0 };
    cdr_timer_shard_init(shard);
    shard_of_after = shard;
    cdr_timers_after[CDR_AFTER_HOOKS] = after;
    afters = 0;
    logged = 0;
}

static void an_empty_shard_is_never_due(void **state)
{
    struct cdr_timer_shard shard;

    (void)state;
    new_shard(&shard);
    assert_true(shard.next == INT64_MAX);
    assert_false(cdr_timers_fire(&shard, INT64_MAX - 1));
}

static void the_earliest_is_announced(void **state)
{
    struct cdr_timer_shard shard;
    struct counting a = counting(false), b = counting(false), c = counting(false);

    (void)state;
    new_shard(&shard);
    assert_true(cdr_timer_start(&a.timer, &shard, 50));
    assert_false(cdr_timer_start(&b.timer, &shard, 70));
    assert_true(cdr_timer_start(&c.timer, &shard, 30));
    assert_true(shard.next == 30);
    cdr_timer_stop(&c.timer);
    assert_true(shard.next == 50);
    cdr_timer_stop(&b.timer);
    assert_true(shard.next == 50);
    cdr_timer_stop(&a.timer);
    assert_true(shard.next == INT64_MAX);
}

static void what_is_due_fires_in_order_and_once(void **state)
{
    struct cdr_timer_shard shard;
    static struct counting timers[MANY];

    (void)state;
    new_shard(&shard);
    for (int i = 0; i < MANY; i++) {
        timers[i] = counting(false);
        cdr_timer_start(&timers[i].timer, &shard, (i * 7919) % MANY); /* every time below MANY once */
    }
    assert_true(cdr_timers_fire(&shard, MANY / 2 - 1));
    assert_int_equal(logged, MANY / 2);
    assert_true(shard.next == MANY / 2);
    assert_false(cdr_timers_fire(&shard, MANY / 2 - 1));
    assert_true(cdr_timers_fire(&shard, MANY));
    assert_int_equal(logged, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(log_of_firing[i]->timer.node.time, (int64_t)i);
        assert_int_equal(timers[i].fired, 1);
    }
    assert_true(shard.next == INT64_MAX);
}

static void equal_times_fire_in_the_order_of_starting(void **state)
{
    struct cdr_timer_shard shard;
    struct counting timers[20];

    (void)state;
    new_shard(&shard);
    for (int i = 0; i < 20; i++) {
        timers[i] = counting(false);
        cdr_timer_start(&timers[i].timer, &shard, 5);
    }
    assert_true(cdr_timers_fire(&shard, 5));
    for (int i = 0; i < 20; i++)
        assert_ptr_equal(log_of_firing[i], &timers[i]);
}

static void after_is_called_once_without_the_lock_when_some_ask(void **state)
{
    struct cdr_timer_shard shard;
    struct counting asks = counting(true), does_not = counting(false), asks_too = counting(true);

    (void)state;
    new_shard(&shard);
    cdr_timer_start(&asks.timer, &shard, 1);
    cdr_timer_start(&does_not.timer, &shard, 2);
    cdr_timer_start(&asks_too.timer, &shard, 3);
    assert_true(cdr_timers_fire(&shard, 1));
    assert_int_equal(afters, 1);
    assert_true(cdr_timers_fire(&shard, 2));
    assert_int_equal(afters, 1);
    cdr_timer_start(&asks.timer, &shard, 2);
    assert_true(cdr_timers_fire(&shard, 3));
    assert_int_equal(afters, 2);
}

static void stopping_is_fine_at_any_time(void **state)
{
    struct cdr_timer_shard shard;
    struct counting timer = counting(false);

    (void)state;
    new_shard(&shard);
    cdr_timer_stop(&timer.timer); /* never started */
    cdr_timer_start(&timer.timer, &shard, 1);
    cdr_timer_stop(&timer.timer);
    cdr_timer_stop(&timer.timer); /* again */
    assert_false(cdr_timers_fire(&shard, 2));
    cdr_timer_start(&timer.timer, &shard, 1); /* and used again */
    assert_true(cdr_timers_fire(&shard, 2));
    cdr_timer_stop(&timer.timer); /* after it fired */
    assert_int_equal(timer.fired, 1);
}

/* ---- stopping on one thread while another fires ---- */

struct race {
    struct cdr_timer_shard shard;
    bool stop;
};

static void *fire_all_the_time(void *arg)
{
    struct race *race = arg;

    while (!cdr_load_acquire(&race->stop)) {
        cdr_timers_fire(&race->shard, 10);
        sched_yield();
    }
    return NULL;
}

static void after_stop_fire_is_over_and_will_not_come(void **state)
{
    struct race race = { .stop = false };
    int fired = 0;
    pthread_t thread;

    (void)state;
    new_shard(&race.shard);
    logged = MANY; /* the log is for one thread */
    assert_int_equal(pthread_create(&thread, NULL, fire_all_the_time, &race), 0);
    for (int i = 0; i < 20000; i++) {
        struct counting timer = counting(false);
        uint32_t once;

        cdr_timer_start(&timer.timer, &race.shard, i % 10);
        for (int spin = i % 300; spin > 0; spin--)
            cdr_spin_hint();
        if (i % 64 == 0)
            sched_yield();
        cdr_timer_stop(&timer.timer);
        once = cdr_load(&timer.fired);
        test_check(!cdr_load(&timer.firing) && once <= 1);
        fired += (int)once;
        timer.timer.fire = NULL; /* whoever fires it now crashes */
    }
    cdr_store_release(&race.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("%d of 20,000 fired before they were stopped\n", fired);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_shard_is_never_due),
        cmocka_unit_test(the_earliest_is_announced),
        cmocka_unit_test(what_is_due_fires_in_order_and_once),
        cmocka_unit_test(equal_times_fire_in_the_order_of_starting),
        cmocka_unit_test(after_is_called_once_without_the_lock_when_some_ask),
        cmocka_unit_test(stopping_is_fine_at_any_time),
        cmocka_unit_test(after_stop_fire_is_over_and_will_not_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
