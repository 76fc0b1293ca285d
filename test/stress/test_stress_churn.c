/* SPDX-License-Identifier: MIT
 * Everything at once: tasks that start tasks, block, yield, sleep, cancel, fail and panic at random, in groups of all kinds, from
 * several threads. Whatever was accepted ran exactly once or was dropped exactly once. CADRE_STRESS_SEED repeats a run,
 * CADRE_STRESS_SECONDS lengthens it. */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "blocked.h"

#define THREADS 3
#define ITEMS 3000 /* tasks of one round on one thread */

struct arena;

/* What every task gets: its own tally. */
struct item {
    struct arena *arena;
    uint32_t ran, dropped, depth;
};

/* One thread's round. */
struct arena {
    uint64_t seed;
    uint32_t used; /* of items; may pass ITEMS */
    uint32_t panics, cancels;
    struct cadre_group *root;
    struct item items[ITEMS];
};

/* What the tasks of all threads share and fight for. */
static int slots[5];
static struct cadre_chan wide = { .size = sizeof(int), .capacity = 5, .slots = slots }, narrow = { .size = sizeof(int) };
static struct cadre_sem sem = { .size = 6 };
static struct cadre_mutex mutex;
static int64_t sent, received, sem_used;
static uint32_t mutex_inside;

/* splitmix64, by Vigna */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t dice(uint64_t *random, uint32_t sides) { return (uint32_t)(next_random(random) >> 33) % sides; }

static int churn(struct cadre_ctx *ctx, void *arg);
static void dropped(void *arg) { cdr_add(&((struct item *)arg)->dropped, 1u); }

static struct item *new_item(struct arena *arena, uint32_t depth)
{
    uint32_t at = cdr_add(&arena->used, 1u);

    if (at >= ITEMS)
        return NULL;
    arena->items[at].arena = arena;
    arena->items[at].depth = depth;
    return &arena->items[at];
}

/* ---- what a task may do ---- */

static void use_channel(struct cadre_ctx *ctx, uint64_t *random)
{
    struct cadre_chan *c = dice(random, 2) ? &wide : &narrow;
    int value = 1;

    if (dice(random, 2))
        cdr_add(&sent, (int64_t)(cadre_send(ctx, c, &value) == 0));
    else
        cdr_add(&received, (int64_t)(cadre_recv(ctx, c, &value) == 0));
}

static void use_select(struct cadre_ctx *ctx, uint64_t *random)
{
    int out = 1, in = 0, index;
    struct cadre_case cases[] = { { .op = CADRE_SEND, .chan = &wide, .element = &out },
                                  { .op = CADRE_RECV, .chan = &narrow, .element = &in },
                                  { .op = CADRE_SEND, .chan = &narrow, .element = &out },
                                  { .op = CADRE_RECV, .chan = &wide, .element = &in },
                                  { .op = CADRE_UNTIL, .deadline = cadre_in(CADRE_US(dice(random, 200))) } };

    index = cadre_select(ctx, cases, 5);
    test_check(index >= 0 || index == -ECANCELED || index == -ETIMEDOUT);
    cdr_add(&sent, (int64_t)(index == 0 || index == 2));
    cdr_add(&received, (int64_t)(index == 1 || index == 3));
}

static void use_sem(struct cadre_ctx *ctx, uint64_t *random)
{
    int64_t units = 1 + dice(random, 6);

    if (cadre_sem_acquire(ctx, &sem, units) != 0)
        return;
    test_check(cdr_add(&sem_used, units) + units <= sem.size);
    if (dice(random, 2))
        cadre_yield();
    cdr_sub(&sem_used, units);
    test_check(cadre_sem_release(&sem, units) == 0);
}

static void use_mutex(struct cadre_ctx *ctx, uint64_t *random)
{
    if (cadre_mutex_lock(ctx, &mutex) != 0)
        return;
    test_check(cdr_add(&mutex_inside, 1u) == 0);
    if (dice(random, 2))
        (void)cadre_sleep(ctx, CADRE_US(dice(random, 20)));
    cdr_sub(&mutex_inside, 1u);
    test_check(cadre_mutex_unlock(&mutex) == 0);
}

/* Start up to n tasks, by every call that there is. */
static void start_some(struct cadre_group *g, struct arena *arena, uint32_t depth, uint32_t n, uint64_t *random)
{
    struct item *item;

    while (n-- > 0 && (item = new_item(arena, depth)) != NULL) {
        /* Of the group that they started in, only tasks of its own may wait for a slot: others may be what its slots wait for. */
        if (dice(random, 8) == 0 || (g == arena->root && depth > 1)) {
            if (cadre_try_go(g, churn, item) != 0)
                dropped(item); /* it stayed ours */
        } else {
            (void)cadre_go(g, churn, item); /* it went to drop, or will */
        }
    }
}

static void random_options(struct cadre_group *g, uint64_t *random)
{
    static const unsigned flags[] = { 0, 0, CADRE_CANCEL_ON_ERROR, CADRE_STOP_ON_ERROR, CADRE_DISCARD_WHEN_FULL, CADRE_PINNED };

    g->drop = dropped;
    g->flags = flags[dice(random, 6)];
    if (dice(random, 2)) {
        g->limit = 1 + (int)dice(random, 4);
        g->queue = (int)dice(random, 4) - 1;
    }
    if (dice(random, 16) == 0)
        g->stack_size = (size_t)300 << 10;
}

static void nest(struct cadre_ctx *ctx, struct item *item, uint64_t *random)
{
    struct cadre_group g = { .parent = ctx };

    random_options(&g, random);
    start_some(&g, item->arena, item->depth + 1, dice(random, 12), random);
    if (dice(random, 6) == 0)
        cadre_group_cancel(&g, dice(random, 2) ? -EIO : 0, "at random");
    if (dice(random, 4) == 0)
        start_some(&g, item->arena, item->depth + 1, dice(random, 4), random);
    if (dice(random, 4) == 0 && g.limit != 0)
        (void)cadre_group_set_limit(&g, 1 + (int)dice(random, 5));
    (void)cadre_wait(&g);
    test_check(cadre_wait(&g) == cadre_group_error(&g).code);
}

static void act(struct cadre_ctx *ctx, struct item *item, uint64_t *random)
{
    struct cadre_ctx patience = { .parent = ctx, .deadline = cadre_in(CADRE_US(dice(random, 500))) };

    switch (dice(random, 12)) {
    case 0:
    case 1: use_channel(&patience, random); break;
    case 2: use_select(&patience, random); break;
    case 3: use_sem(&patience, random); break;
    case 4: use_mutex(&patience, random); break;
    case 5: (void)cadre_sleep(ctx, CADRE_US(dice(random, 100))); break;
    case 6: cadre_yield(); break;
    case 7:
    case 8:
    case 9:
        if (item->depth < 4)
            nest(ctx, item, random);
        break;
    case 10: start_some(item->arena->root, item->arena, item->depth + 1, dice(random, 3), random); break;
    default:
        cadre_pin();
        cadre_yield();
        cadre_unpin();
    }
}

static int churn(struct cadre_ctx *ctx, void *arg)
{
    struct item *item = arg;
    uint64_t random = item->arena->seed ^ (uint64_t)(item - item->arena->items) * 0x2545f4914f6cdd1du;

    test_check(cdr_add(&item->ran, 1u) == 0);
    errno = (int)(item - item->arena->items) + 1;
    for (uint32_t n = dice(&random, 4); n > 0; n--)
        act(ctx, item, &random);
    test_check(errno == (int)(item - item->arena->items) + 1); /* it travels with the task */
    switch (dice(&random, 100)) {
    case 0:
        cdr_add(&item->arena->panics, 1u);
        cadre_panic("at random");
    case 1:
        cdr_add(&item->arena->cancels, 1u);
        cadre_ctx_cancel(ctx, 0, NULL);
        return 0;
    case 2:
    case 3: return cadre_fail(ctx, -EIO, "at random");
    default: return 0;
    }
}

/* ---- rounds ---- */

static void round_of(struct arena *arena, uint64_t seed)
{
    struct cadre_group root = { .drop = dropped };
    uint64_t random = seed;
    uint32_t n;

    memset(arena, 0, sizeof *arena);
    arena->seed = seed;
    arena->root = &root;
    random_options(&root, &random);
    root.flags &= ~CADRE_DISCARD_WHEN_FULL;
    start_some(&root, arena, 0, 200 + dice(&random, 400), &random);
    if (dice(&random, 4) == 0)
        cadre_group_cancel(&root, -EINTR, "from outside");
    (void)cadre_wait(&root);
    n = arena->used < ITEMS ? arena->used : ITEMS;
    for (uint32_t i = 0; i < n; i++)
        test_check(arena->items[i].ran + arena->items[i].dropped == 1);
}

struct churner {
    pthread_t thread;
    uint64_t seed;
    cadre_time until;
    uint64_t rounds, tasks;
    struct arena *arena;
};

static void *churner(void *arg)
{
    struct churner *self = arg;

    do {
        round_of(self->arena, next_random(&self->seed));
        self->rounds++;
        self->tasks += self->arena->used < ITEMS ? self->arena->used : ITEMS;
    } while (cadre_now() < self->until);
    return NULL;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

static void each_task_runs_or_is_dropped_exactly_once(void **state)
{
    uint64_t seed = number_from("CADRE_STRESS_SEED", (uint64_t)cadre_now());
    cadre_time seconds = (cadre_time)number_from("CADRE_STRESS_SECONDS", 3);
    struct churner churners[THREADS];
    uint64_t all_rounds = 0, tasks = 0;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    fflush(NULL);
    for (int i = 0; i < THREADS; i++) {
        churners[i] = (struct churner){ .seed = seed + (uint64_t)i * 1000003, .until = cadre_in(CADRE_SEC(seconds)),
                                        .arena = malloc(sizeof(struct arena)) };
        assert_non_null(churners[i].arena);
        assert_int_equal(pthread_create(&churners[i].thread, NULL, churner, &churners[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(churners[i].thread, NULL), 0);
        all_rounds += churners[i].rounds;
        tasks += churners[i].tasks;
        free(churners[i].arena);
    }
    print_message("%llu rounds, %llu tasks\n", (unsigned long long)all_rounds, (unsigned long long)tasks);
    assert_int_equal(sent - received, cadre_chan_length(&wide));
    assert_int_equal(cadre_chan_length(&narrow), 0);
    assert_int_equal(sem_used, 0);
    assert_int_equal(cadre_sem_try_acquire(&sem, 6), 0);
    assert_int_equal(cadre_mutex_try_lock(&mutex), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_task_runs_or_is_dropped_exactly_once) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
