/* SPDX-License-Identifier: MIT
 * Channels under fire: cancel against send, close against send, many to many. Every element is accounted for: it was received,
 * it is in the channel, or its sender was told that it was not sent. */
#include "test.h"

#include <pthread.h>
#include <sched.h>

#include "blocked.h"

/* ---- a cancelled receive loses nothing ---- */

/* The canceller is a thread of its own that cancels whatever context it is given, as soon as it can. */
struct canceller {
    struct cadre_ctx *target; /* NULL: nothing to do */
    bool stop;
    pthread_t thread;
};

static void *cancel_targets(void *arg)
{
    struct canceller *self = arg;

    while (!cdr_load_acquire(&self->stop)) {
        struct cadre_ctx *target = cdr_load_acquire(&self->target);

        if (target == NULL) {
            sched_yield();
            continue;
        }
        cadre_ctx_cancel(target, 0, NULL);
        cdr_store_release(&self->target, (struct cadre_ctx *)NULL);
    }
    return NULL;
}

static void canceller_start(struct canceller *self)
{
    *self = (struct canceller){ 0 };
    test_check(pthread_create(&self->thread, NULL, cancel_targets, self) == 0);
}

static void canceller_stop(struct canceller *self)
{
    cdr_store_release(&self->stop, true);
    test_check(pthread_join(self->thread, NULL) == 0);
}

struct receiver {
    struct cadre_ctx ctx;
    struct cadre_chan *chan;
    int value, result;
};

static int receive(struct cadre_ctx *ctx, void *arg)
{
    struct receiver *self = arg;

    (void)ctx;
    self->result = cadre_recv(&self->ctx, self->chan, &self->value);
    return 0;
}

static void *thread_receive(void *arg)
{
    receive(NULL, arg);
    return NULL;
}

/* One receive, cancelled while a send comes. Returns whether the cancel won. */
static bool race_once(struct canceller *canceller, struct cadre_chan *c, int number)
{
    struct receiver self = { .chan = c, .value = -1 };
    struct cadre_group g = { 0 };
    pthread_t thread;
    bool plain = number % 64 == 0; /* a thread's receive is cancelled in another way, and costs more to set up */
    int sent, left;

    if (plain)
        test_check(pthread_create(&thread, NULL, thread_receive, &self) == 0);
    else
        test_check(cadre_go(&g, receive, &self) == 0);
    for (int i = 0; blocked_receivers(c) == 0; i++)
        if (i % 16 == 15)
            (void)cadre_sleep(NULL, CADRE_US(10));
    cdr_store_release(&canceller->target, &self.ctx);
    for (int i = number % 200; i > 0; i--)
        cdr_spin_hint();
    sent = cadre_try_send(c, &number);
    if (plain)
        test_check(pthread_join(thread, NULL) == 0);
    else
        test_check(cadre_wait(&g) == 0);
    while (cdr_load_acquire(&canceller->target) != NULL)
        sched_yield();
    left = cadre_try_recv(c, &(int){ 0 });
    test_check(self.result == 0 || self.result == -ECANCELED);
    test_check((sent == 0) == (self.result == 0 || left == 0)); /* what was sent is somewhere … */
    test_check(self.result != 0 || left != 0);                  /* … and only once */
    test_check(self.value == (self.result == 0 ? number : -1));
    return self.result != 0;
}

static void a_cancelled_receive_never_loses_an_item(void **state)
{
    int slots[1], wins[2] = { 0, 0 };
    struct cadre_chan kinds[2] = { { .size = sizeof(int) }, { .size = sizeof(int), .capacity = 1, .slots = slots } };
    struct canceller canceller;

    (void)state;
    canceller_start(&canceller);
    for (int i = 0; i < rounds(20000); i++)
        wins[race_once(&canceller, &kinds[i % 2], i)]++;
    canceller_stop(&canceller);
    print_message("the send won %d times, the cancel %d times\n", wins[0], wins[1]);
}

/* ---- cancelled senders and receivers, many at once ---- */

#define CALLS 64

/* Tallies of what happened to elements; each has a number below `count`. */
struct tally {
    struct cadre_chan chan;
    struct cadre_ctx ctx;
    uint32_t next, sent, received;
    uint32_t *where; /* per element: times received or destroyed */
};

static int send_some(struct cadre_ctx *ctx, void *arg)
{
    struct tally *tally = arg;

    (void)ctx;
    for (int i = 0; i < 8; i++) {
        uint32_t *element = &tally->where[cdr_add(&tally->next, 1u)];

        if (cadre_send(&tally->ctx, &tally->chan, &element) == 0)
            cdr_add(&tally->sent, 1u);
    }
    return 0;
}

static int receive_some(struct cadre_ctx *ctx, void *arg)
{
    struct tally *tally = arg;
    uint32_t *element;

    (void)ctx;
    for (int i = 0; i < 8; i++) {
        if (cadre_recv(&tally->ctx, &tally->chan, &element) != 0)
            continue;
        cdr_add(&tally->received, 1u);
        cdr_add(element, 1u);
    }
    return 0;
}

static uint32_t destroyed;

static void destroy(void *element)
{
    cdr_add(*(uint32_t **)element, 1u);
    cdr_add(&destroyed, 1u);
}

/* CALLS senders and receivers each; in the middle of it, `stop` ends it. */
static void account_for_all(size_t capacity, void (*stop)(struct tally *tally))
{
    static uint32_t *slots[4];
    uint32_t where[CALLS * 8] = { 0 };
    struct tally tally = { .chan = { .size = sizeof *slots, .capacity = capacity, .slots = slots, .destroy = destroy },
                           .where = where };
    struct cadre_group g = { 0 };
    uint32_t once = 0;

    destroyed = 0;
    for (int i = 0; i < CALLS; i++) {
        test_check(cadre_go(&g, i % 2 == 0 ? send_some : receive_some, &tally) == 0);
        test_check(cadre_go(&g, i % 2 == 0 ? receive_some : send_some, &tally) == 0);
    }
    stop(&tally);
    test_check(cadre_wait(&g) == 0);
    cadre_chan_finish(&tally.chan);
    test_check(tally.sent == tally.received + destroyed);
    for (int i = 0; i < CALLS * 8; i++) {
        test_check(where[i] <= 1);
        once += where[i];
    }
    test_check(once == tally.sent);
}

static void by_cancel(struct tally *tally) { cadre_ctx_cancel(&tally->ctx, 0, NULL); }
static void by_close(struct tally *tally) { cadre_chan_close(&tally->chan); }

static void after_a_while_by_cancel(struct tally *tally)
{
    while (cdr_load(&tally->sent) < CALLS)
        (void)cadre_sleep(NULL, CADRE_US(10));
    by_cancel(tally);
}

static void after_a_while_by_close(struct tally *tally)
{
    while (cdr_load(&tally->sent) < CALLS)
        (void)cadre_sleep(NULL, CADRE_US(10));
    by_close(tally);
}

static void elements_are_received_or_destroyed_exactly_once_whatever_ends_it(void **state)
{
    static void (*const ends[])(struct tally *) = { by_cancel, by_close, after_a_while_by_cancel, after_a_while_by_close };

    (void)state;
    for (int i = 0; i < rounds(400); i++)
        account_for_all((size_t)(i / 4 % 3) * 2, ends[i % 4]);
}

/* ---- many to many ---- */

#define EACH 20000

struct party {
    struct cadre_chan *chan;
    uint64_t sum;
    int from, count;
};

static int produce(struct cadre_ctx *ctx, void *arg)
{
    struct party *self = arg;

    for (int i = 0; i < self->count; i++)
        test_check(cadre_send(ctx, self->chan, &(int){ self->from + i }) == 0);
    return 0;
}

/* From every producer the elements come in its order. */
static int consume(struct cadre_ctx *ctx, void *arg)
{
    struct party *self = arg;
    int value, last[4] = { -1, -1, -1, -1 }, result;

    while ((result = cadre_recv(ctx, self->chan, &value)) == 0) {
        test_check(value / self->count < 4 && last[value / self->count] < value);
        last[value / self->count] = value;
        self->sum += (uint64_t)value;
    }
    test_check(result == -EPIPE);
    return 0;
}

static void *thread_produce(void *arg)
{
    produce(NULL, arg);
    return NULL;
}

/* Four producers, one of them a plain thread, and four consumers. */
static void check_sums(size_t capacity)
{
    int slots[16], each = rounds(EACH);
    struct cadre_chan c = { .size = sizeof(int), .capacity = capacity, .slots = slots };
    struct cadre_group producers = { 0 }, consumers = { 0 };
    struct party parties[8];
    uint64_t all = (uint64_t)each * 4, sum = 0;
    pthread_t thread;

    for (int i = 0; i < 8; i++)
        parties[i] = (struct party){ .chan = &c, .from = i * each, .count = each };
    for (int i = 0; i < 4; i++)
        test_check(cadre_go(&consumers, consume, &parties[4 + i]) == 0);
    for (int i = 0; i < 3; i++)
        test_check(cadre_go(&producers, produce, &parties[i]) == 0);
    test_check(pthread_create(&thread, NULL, thread_produce, &parties[3]) == 0);
    test_check(cadre_wait(&producers) == 0);
    test_check(pthread_join(thread, NULL) == 0);
    cadre_chan_close(&c);
    test_check(cadre_wait(&consumers) == 0);
    for (int i = 4; i < 8; i++)
        sum += parties[i].sum;
    assert_int_equal(sum, all * (all - 1) / 2);
}

static void four_to_four_lose_nothing_and_keep_each_senders_order(void **state)
{
    (void)state;
    check_sums(16);
    check_sums(1);
    check_sums(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancelled_receive_never_loses_an_item),
        cmocka_unit_test(elements_are_received_or_destroyed_exactly_once_whatever_ends_it),
        cmocka_unit_test(four_to_four_lose_nothing_and_keep_each_senders_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
