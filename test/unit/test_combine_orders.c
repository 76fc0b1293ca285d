/* SPDX-License-Identifier: MIT
 * all, settle, race, take, last and quorum against a model: every order in which up to five jobs can end, with every outcome that
 * each can have, and a cancel from outside at every point in between. Large cases are sampled, evenly.
 *
 * A trial has a caller, a task that makes the call, and a conductor, the test itself, who opens the jobs' gates one after the
 * other, each when the set has accounted for the job before. That it has is seen in the set, as long as a gate is closed: this
 * is the one look behind the public header. */
#include "test.h"

#include "gated.h"

#include "blocked.h"
#include "combine/jobs.h"

#define MOST 5
#define NO_CANCEL MOST

enum policy { ALL, SETTLE, RACE, TAKE, LAST, QUORUM, POLICIES };

struct trial {
    enum policy policy;
    size_t n, k;
    size_t permutation[MOST]; /* who ends when */
    enum deed deeds[MOST];
    size_t cancel;            /* ctx is cancelled before this many-th end; or NO_CANCEL */

    struct cadre_ctx ctx;
    struct cadre_job jobs[MOST];
    struct gated gated[MOST];
    struct cadre_error errors[MOST];
    size_t order[MOST];
    atomic_int started, ended;
    int ended_at_return;
};

/* ---- the model: what must come out, said as the header says it ---- */

struct outcome {
    bool decided, over; /* over: the jobs' context has ended */
    int code, by;       /* by: whose error it is, or -1 */
    size_t good[MOST], succeeded, failed, echoed;
    int codes[MOST], errors[MOST];
};

static int code_of(enum deed deed, size_t i)
{
    const int codes[DEEDS] = { [FAIL] = failure_of((int)i), [ECHO_CANCEL] = -ECANCELED, [ECHO_DEADLINE] = -ETIMEDOUT,
                               [PANIC] = -ENOTRECOVERABLE };

    return codes[deed];
}

static void conclude(struct outcome *o, int code, int by)
{
    o->decided = o->over = true;
    o->code = code;
    o->by = by;
}

static void job_succeeds(const struct trial *t, struct outcome *o, size_t i)
{
    if (o->decided)
        return;
    o->good[o->succeeded++] = i;
    if (t->policy == RACE || ((t->policy == TAKE || t->policy == QUORUM) && o->succeeded == t->k) || o->succeeded == t->n)
        if (t->policy != SETTLE)
            conclude(o, 0, -1);
}

static void job_fails(const struct trial *t, struct outcome *o, size_t i)
{
    bool fatal = t->policy == ALL || t->policy == TAKE || t->policy == LAST;

    if (o->decided)
        return;
    o->failed++;
    if (t->policy == RACE)
        fatal = o->failed == t->n;
    if (t->policy == QUORUM)
        fatal = t->n - o->failed < t->k;
    if (fatal)
        conclude(o, o->codes[i], (int)i);
}

static struct outcome expect(const struct trial *t)
{
    struct outcome o = { .by = -1 };

    for (size_t step = 0; step < t->n; step++) {
        size_t i = t->permutation[step];
        enum deed deed = t->deeds[i];
        bool echo;

        o.over |= step == t->cancel;
        o.codes[i] = code_of(deed, i);
        echo = o.over && (deed == ECHO_CANCEL || deed == ECHO_DEADLINE);
        o.echoed += echo;
        o.errors[i] = echo ? 0 : o.codes[i];
        if (deed == SUCCEED)
            job_succeeds(t, &o, i);
        else if (!echo)
            job_fails(t, &o, i);
    }
    if (!o.decided)
        o.code = o.echoed > 0 ? -ECANCELED : 0;
    return o;
}

/* The success that comes first in the order, of which there are how many? */
static size_t order_of(const struct trial *t, const struct outcome *o, const size_t **first)
{
    size_t length = t->policy == RACE ? 1 : t->policy == ALL || t->policy == SETTLE ? 0 : t->k < t->n ? t->k : t->n;

    *first = o->good + (t->policy == LAST ? o->succeeded - length : 0);
    return o->code == 0 ? length : 0;
}

/* ---- the trial ---- */

static int call(struct cadre_ctx *group, void *arg)
{
    struct trial *t = arg;
    struct cadre_jobs_options options = { .errors = t->errors };
    int code = 0;

    (void)group;
    switch (t->policy) {
    case ALL:
        code = cadre_all(&t->ctx, t->jobs, t->n, &options);
        break;
    case SETTLE:
        code = cadre_settle(&t->ctx, t->jobs, t->n, &options);
        break;
    case RACE:
        code = cadre_race(&t->ctx, t->jobs, t->n, &options, t->order);
        break;
    case TAKE:
        code = cadre_take(&t->ctx, t->jobs, t->n, t->k, &options, t->order);
        break;
    case LAST:
        code = cadre_last(&t->ctx, t->jobs, t->n, t->k, &options, t->order);
        break;
    default:
        code = cadre_quorum(&t->ctx, t->jobs, t->n, t->k, &options, t->order);
        break;
    }
    t->ended_at_return = atomic_load(&t->ended);
    return code;
}

static void prepare(struct trial *t)
{
    for (size_t i = 0; i < MOST; i++)
        t->order[i] = 99;
    atomic_store(&t->started, 0);
    atomic_store(&t->ended, 0);
    t->ctx = (struct cadre_ctx){ 0 };
    gated_jobs(t->jobs, t->gated, (int)t->n, t->deeds);
    for (size_t i = 0; i < t->n; i++) {
        t->gated[i].heedless = true;
        t->gated[i].started = &t->started;
        t->gated[i].ended = &t->ended;
    }
}

#define let_run_until(condition) \
    for (cadre_time give_up = cadre_in(CADRE_SEC(60)); !(condition);) { \
        test_check(cadre_now() < give_up); \
        cadre_yield(); \
    }

static bool has_counted(struct cdr_set *set, size_t ended)
{
    bool counted;

    cdr_set_lock(set);
    if (set->decided) /* then the others have to be told, too */
        counted = cadre_ctx_error(&set->group.p_ctx) != 0;
    else
        counted = set->succeeded + set->failed == ended;
    cdr_set_unlock(set);
    return counted;
}

/* A job's context is that of a group of one, below the set's group. */
static struct cdr_set *set_of(const struct trial *t)
{
    return cdr_container_of(t->gated[0].seen->parent, struct cdr_set, group.p_ctx);
}

static void conduct(struct trial *t)
{
    struct cdr_set *set;
    size_t counted = 0;

    let_run_until(atomic_load(&t->started) == (int)t->n);
    set = set_of(t);
    for (size_t step = 0; step < t->n; step++) {
        size_t i = t->permutation[step];
        bool echo = step >= t->cancel && (t->deeds[i] == ECHO_CANCEL || t->deeds[i] == ECHO_DEADLINE);

        if (step == t->cancel)
            cadre_ctx_cancel(&t->ctx, 0, NULL);
        gate_open(&t->gated[i].gate);
        counted += !echo;
        if (step + 1 < t->n)
            let_run_until(has_counted(set, counted));
    }
}

static void complain(const struct trial *t, const struct outcome *o, const char *what)
{
    print_error("%s: policy %d, n %zu, k %zu, cancel before %zu, expected %d by %d\n", what, (int)t->policy, t->n, t->k,
                t->cancel, o->code, o->by);
    for (size_t step = 0; step < t->n; step++)
        print_error("    job %zu does %d: code %d, error %d\n", t->permutation[step], (int)t->deeds[t->permutation[step]],
                    t->jobs[t->permutation[step]].code, t->errors[t->permutation[step]].code);
    abort();
}

#define must(condition) ((condition) ? (void)0 : complain(t, o, #condition))

static void check_errors(const struct trial *t, const struct outcome *o)
{
    char message[32];

    for (size_t i = 0; i < t->n; i++) {
        must(t->jobs[i].code == o->codes[i]);
        must(t->errors[i].code == o->errors[i]);
        snprintf(message, sizeof message, "job %zu", i);
        must(o->errors[i] == 0 || strcmp(t->errors[i].message, message) == 0);
        must(o->errors[i] == 0 || t->errors[i].index == i);
    }
}

/* The caller was a task and returned the call's code: its group's error has the message of the job. */
static void check_answer(const struct trial *t, const struct outcome *o, struct cadre_group *g)
{
    struct cadre_error error = cadre_group_error(g);
    char message[32];

    must(error.code == o->code);
    snprintf(message, sizeof message, "job %d", o->by);
    must(o->by < 0 || strcmp(error.message, message) == 0);
}

static void run(struct trial *t)
{
    struct cadre_group g = { 0 };
    struct outcome expected = expect(t), *o = &expected;
    const size_t *order;
    size_t length = order_of(t, o, &order);

    prepare(t);
    cadre_go(&g, call, t);
    conduct(t);
    cadre_wait(&g);
    must(t->ended_at_return == (int)t->n);
    check_errors(t, o);
    check_answer(t, o, &g);
    for (size_t i = 0; i < MOST; i++)
        must(t->order[i] == (i < length ? order[i] : 99));
}

/* ---- all of them ---- */

/* The number-th permutation of t->n. */
static void permute(struct trial *t, size_t number)
{
    size_t left[MOST];

    for (size_t i = 0; i < t->n; i++)
        left[i] = i;
    for (size_t i = 0; i < t->n; i++) {
        size_t rest = t->n - i, at = number % rest;

        number /= rest;
        t->permutation[i] = left[at];
        left[at] = left[rest - 1];
    }
}

static size_t least_k(enum policy policy) { return policy == TAKE || policy == LAST || policy == QUORUM ? 1 : 0; }

static size_t most_k(enum policy policy, size_t n)
{
    return least_k(policy) == 0 ? 0 : policy == QUORUM ? n : n + 1;
}

/* Run the trials of n jobs under a policy: no more than about `most`, spread over the whole by a stride that is prime to it. */
static void enumerate(enum policy policy, size_t n, size_t most)
{
    static struct trial trial;
    const size_t factorials[] = { 1, 1, 2, 6, 24, 120 }, cancels = n + 1;
    size_t deeds = 1, ks = most_k(policy, n) - least_k(policy) + 1, total, stride;

    for (size_t i = 0; i < n; i++)
        deeds *= DEEDS;
    total = deeds * factorials[n] * cancels * ks;
    stride = total <= most ? 1 : total / most | 1;
    while (stride > 1 && (stride % 3 == 0 || stride % 5 == 0 || stride % 7 == 0))
        stride += 2;
    for (size_t number = 0; number < total; number += stride) {
        size_t left = number;

        trial.policy = policy;
        trial.n = n;
        trial.k = least_k(policy) + left % ks;
        left /= ks;
        trial.cancel = left % cancels == n ? NO_CANCEL : left % cancels;
        left /= cancels;
        permute(&trial, left % factorials[n]);
        left /= factorials[n];
        for (size_t i = 0; i < n; i++, left /= DEEDS)
            trial.deeds[i] = (enum deed)(left % DEEDS);
        run(&trial);
    }
}

/* From a task, so that nothing switches threads that need not. */
static int enumerate_task(struct cadre_ctx *ctx, void *arg)
{
    enum policy policy = *(const enum policy *)arg;

    (void)ctx;
    for (size_t n = 1; n <= MOST; n++)
        enumerate(policy, n, rounds(8000));
    return 0;
}

static void check_policy(enum policy policy)
{
    struct cadre_group g = { 0 };

    cadre_go(&g, enumerate_task, &policy);
    assert_int_equal(cadre_wait(&g), 0);
}

static void test_all_agrees_with_the_model(void **state) { (void)state, check_policy(ALL); }
static void test_settle_agrees_with_the_model(void **state) { (void)state, check_policy(SETTLE); }
static void test_race_agrees_with_the_model(void **state) { (void)state, check_policy(RACE); }
static void test_take_agrees_with_the_model(void **state) { (void)state, check_policy(TAKE); }
static void test_last_agrees_with_the_model(void **state) { (void)state, check_policy(LAST); }
static void test_quorum_agrees_with_the_model(void **state) { (void)state, check_policy(QUORUM); }

static void test_the_calls_agree_with_the_model_from_a_plain_thread(void **state)
{
    (void)state;
    for (enum policy policy = ALL; policy < POLICIES; policy++)
        for (size_t n = 1; n <= MOST; n++)
            enumerate(policy, n, rounds(100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_agrees_with_the_model),
        cmocka_unit_test(test_settle_agrees_with_the_model),
        cmocka_unit_test(test_race_agrees_with_the_model),
        cmocka_unit_test(test_take_agrees_with_the_model),
        cmocka_unit_test(test_last_agrees_with_the_model),
        cmocka_unit_test(test_quorum_agrees_with_the_model),
        cmocka_unit_test(test_the_calls_agree_with_the_model_from_a_plain_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
