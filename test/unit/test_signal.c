/* SPDX-License-Identifier: MIT
 * Waiting for signals: wherever they come from, each goes to exactly one who waits for it, and none is lost. */
#define _GNU_SOURCE 1
#include "test.h"

#include <signal.h>

#include "child.h"
#include "io.h"
#include "platform/sanitizer.h"

#define MANY (times(1000))

static sigset_t set_of(int a, int b)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, a);
    if (b != 0)
        sigaddset(&set, b);
    return set;
}

/* A call of cadre_wait_signal under a context of its own. */
struct waits {
    sigset_t set;
    struct cadre_ctx ctx;
    int result;
    atomic_int returned;
};

static int wait_for_one(struct cadre_ctx *ctx, void *arg)
{
    struct waits *w = arg;

    (void)ctx;
    w->result = (int)kept(cadre_wait_signal(&w->ctx, &w->set));
    atomic_store(&w->returned, 1);
    return 0;
}

/* From the first wait on, signals that come are kept. */
static void wait_for_the_first_time(const sigset_t *set)
{
    struct cadre_ctx ended = { .deadline = 1 };

    while (cadre_wait_signal(&ended, set) > 0)
        ;
}

/* ---- where from ---- */

static void *raise_there(void *arg)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_UNBLOCK, &all, NULL);
    test_check(raise(*(int *)arg) == 0);
    return NULL;
}

static void by_raise(int signal) { test_check(raise(signal) == 0); }
static void by_kill(int signal) { test_check(kill(getpid(), signal) == 0); }
static void from_a_thread(int signal) { thread_join(thread_start(raise_there, &signal)); }

static int kill_self(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    by_kill(*(int *)arg);
    return 0;
}

static void from_a_task(int signal) { in_a_task(kill_self, &signal); }

static void kill_parent(void *arg) { test_check(kill(getppid(), *(int *)arg) == 0); }
static void from_a_process(int signal) { test_check(passed(in_child(kill_parent, &signal))); }

static void (*const ways[])(int signal) = { by_raise, by_kill, from_a_thread, from_a_task, from_a_process };

static void receive(int signal, void (*way)(int signal), bool plain)
{
    struct waits w = { .set = set_of(signal, 0) };
    struct plain_call call = { wait_for_one, &w };
    struct cadre_group g = { 0 };
    pthread_t thread;

    if (plain)
        thread = thread_start(call_plainly, &call);
    else
        test_check(cadre_go(&g, wait_for_one, &w) == 0);
    until_waiting(1);
    way(signal);
    if (plain)
        thread_join(thread);
    test_check(cadre_wait(&g) == 0);
    test_check(w.result == signal);
}

static void a_signal_is_received_wherever_it_comes_from(void **state)
{
    const int signals[] = { SIGINT, SIGUSR1, SIGTERM, SIGCHLD, SIGRTMIN };

    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        for (size_t j = 0; j < sizeof ways / sizeof *ways; j++)
            if (signals[i] != SIGCHLD || ways[j] != from_a_process) /* which ends, and is another one */
                for (int plain = 0; plain < 2; plain++)
                    receive(signals[i], ways[j], plain);
}

static void a_signal_that_all_threads_block_is_received(void **state)
{
    sigset_t set = set_of(SIGUSR1, SIGRTMIN), before;

    (void)state;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    receive(SIGUSR1, by_kill, false);
    receive(SIGRTMIN, from_a_process, false);
    receive(SIGUSR1, from_a_task, true);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- who gets it ---- */

static void start_waits(struct cadre_group *g, struct waits *w, int n, sigset_t set)
{
    for (int i = 0; i < n; i++) {
        w[i] = (struct waits){ .set = set };
        test_check(cadre_go(g, wait_for_one, &w[i]) == 0);
    }
}

static void a_signal_goes_to_one_of_those_who_wait_for_it(void **state)
{
    struct waits waits[10];
    struct cadre_group g = { 0 };
    int received = 0;

    (void)state;
    start_waits(&g, waits, 10, set_of(SIGUSR1, 0));
    until_waiting(10);
    for (int i = 1; i <= 4; i++) {
        by_kill(SIGUSR1);
        until_waiting(10 - i);
    }
    for (int i = 0; i < 10; i++)
        cadre_ctx_cancel(&waits[i].ctx, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < 10; i++) {
        assert_true(waits[i].result == SIGUSR1 || waits[i].result == -ECANCELED);
        received += waits[i].result == SIGUSR1;
    }
    assert_int_equal(received, 4);
}

/* Several wait at the same time, and all are woken when a signal comes: whoever it is not for must not take it from the one it is for. */
static void a_signal_reaches_who_waits_for_it_past_others_who_wait_for_another(void **state)
{
    const int signals[] = { SIGUSR1, SIGUSR2, SIGHUP, SIGTERM };

    (void)state;
    for (int i = 0; i < 4; i++) {
        sigset_t set = set_of(signals[i], 0);

        wait_for_the_first_time(&set);
    }
    for (int i = 0; i < times(500); i++) {
        struct waits one, two, three;
        struct cadre_group others = { 0 }, g = { 0 };

        start_waits(&others, &one, 1, set_of(SIGUSR1, 0));
        start_waits(&g, &two, 1, set_of(SIGUSR2, 0));
        start_waits(&others, &three, 1, set_of(SIGHUP, SIGTERM));
        if (i % 4 != 0)
            until_waiting(3);
        by_kill(SIGUSR2);
        assert_int_equal(cadre_wait(&g), 0);
        assert_int_equal(two.result, SIGUSR2);
        by_kill(i % 2 == 0 ? SIGTERM : SIGHUP);
        by_kill(SIGUSR1);
        assert_int_equal(cadre_wait(&others), 0);
        assert_int_equal(one.result, SIGUSR1);
        assert_int_equal(three.result, i % 2 == 0 ? SIGTERM : SIGHUP);
    }
}

/* Receivers in loops, whose sets overlap, and what they received. */
struct receivers {
    struct cadre_ctx over;
    sigset_t set;
    atomic_int *received; /* by signal */
};

static int receive_many(struct cadre_ctx *ctx, void *arg)
{
    struct receivers *r = arg;
    int signal;

    (void)ctx;
    while ((signal = cadre_wait_signal(&r->over, &r->set)) > 0) {
        test_check(sigismember(&r->set, signal) == 1);
        atomic_fetch_add(&r->received[signal], 1);
    }
    test_check(signal == -ECANCELED);
    return 0;
}

static void queue_signal(pid_t to, int signal)
{
    const union sigval none = { 0 };
    struct timespec pause = { 0, 100000 };

    while (sigqueue(to, signal, none) < 0) {
        test_check(errno == EAGAIN); /* so many can be pending at most */
        nanosleep(&pause, NULL);
    }
}

static void queue_many(void *to)
{
    for (int i = 0; i < MANY; i++)
        queue_signal(to != NULL ? getppid() : getpid(), SIGRTMIN + i % 3);
}

static void receive_all(bool from_child)
{
    atomic_int received[NSIG] = { 0 };
    struct receivers r[3];
    struct plain_call call = { receive_many, &r[2] };
    struct cadre_group g = { 0 };
    pthread_t thread;

    for (int i = 0; i < 3; i++) {
        r[i] = (struct receivers){ .set = set_of(SIGRTMIN + i, SIGRTMIN + (i + 1) % 3), .received = received };
        wait_for_the_first_time(&r[i].set);
        for (int j = 0; j < 3 && i < 2; j++)
            test_check(cadre_go(&g, receive_many, &r[i]) == 0);
    }
    thread = thread_start(call_plainly, &call);
    if (from_child)
        test_check(passed(in_child(queue_many, &r)));
    else
        queue_many(NULL);
    for (int i = 0; i < 3; i++)
        test_until(atomic_load(&received[SIGRTMIN + i]) == (MANY + 2 - i) / 3);
    for (int i = 0; i < 3; i++)
        cadre_ctx_cancel(&r[i].over, 0, NULL);
    test_check(cadre_wait(&g) == 0);
    thread_join(thread);
    for (int i = 0; i < 3; i++)
        test_check(atomic_load(&received[SIGRTMIN + i]) == (MANY + 2 - i) / 3);
}

static void of_a_thousand_signals_none_is_lost_and_none_comes_twice(void **state)
{
    sigset_t set = set_of(SIGRTMIN, SIGRTMIN + 1), before;

    (void)state;
#ifndef CDR_TSAN /* which keeps but one of a kind for a handler */
    receive_all(false);
    receive_all(true);
#endif
    sigaddset(&set, SIGRTMIN + 2);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    receive_all(true);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- when nobody waits ---- */

static void a_signal_is_kept_while_nobody_waits(void **state)
{
    struct cadre_ctx ended = { .deadline = 1 };
    sigset_t one = set_of(SIGUSR1, 0), both = set_of(SIGUSR1, SIGUSR2);

    (void)state;
    wait_for_the_first_time(&both);
    for (int i = 0; i < 3; i++)
        by_kill(SIGUSR1);
    by_kill(SIGUSR2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(kept(cadre_wait_signal(&ended, &one)), SIGUSR1);
    assert_int_equal(kept(cadre_wait_signal(&ended, &one)), -ETIMEDOUT);
    assert_int_equal(kept(cadre_wait_signal(&ended, &both)), SIGUSR2);
    assert_int_equal(kept(cadre_wait_signal(&ended, &both)), -ETIMEDOUT);
}

static atomic_int handled;
static void handle(int signal) { atomic_fetch_add(&handled, signal == SIGUSR1); }

static void a_handler_of_the_programs_takes_a_signal_back(void **state)
{
    struct cadre_ctx ended = { .deadline = 1 };
    struct sigaction own = { .sa_handler = handle };
    sigset_t set = set_of(SIGUSR1, 0);

    (void)state;
    wait_for_the_first_time(&set);
    assert_int_equal(sigaction(SIGUSR1, &own, NULL), 0);
    by_kill(SIGUSR1);
    assert_int_equal(handled, 1);
    assert_int_equal(cadre_wait_signal(&ended, &set), -ETIMEDOUT);
}

/* ---- ends ---- */

static int end_waits(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_MS(2)) }, cancelled = { 0 };
    sigset_t set = set_of(SIGUSR1, SIGUSR2);

    (void)arg;
    test_check(kept(cadre_wait_signal(&soon, &set)) == -ETIMEDOUT);
    cadre_ctx_cancel(&cancelled, 0, NULL);
    test_check(kept(cadre_wait_signal(&cancelled, &set)) == -ECANCELED);
    return 0;
}

static void a_wait_ends_with_its_context_and_leaves_nothing_open(void **state)
{
    struct waits waits[10];
    struct cadre_group g = { 0 };
    int before;

    (void)state;
    everywhere(end_waits, NULL);
    before = open_descriptors();
    everywhere(end_waits, NULL);
    start_waits(&g, waits, 10, set_of(SIGUSR1, SIGUSR2));
    until_waiting(10);
    for (int i = 0; i < 10; i++)
        cadre_ctx_cancel(&waits[i].ctx, 0, NULL);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(waits[i].result, -ECANCELED);
    assert_int_equal(open_descriptors(), before);
}

static int call_wrongly(struct cadre_ctx *ctx, void *arg)
{
    const int cannot[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    sigset_t set;

    (void)arg;
    sigemptyset(&set);
    test_check(kept(cadre_wait_signal(ctx, NULL)) == -EINVAL);
    test_check(kept(cadre_wait_signal(ctx, &set)) == -EINVAL);
    for (size_t i = 0; i < sizeof cannot / sizeof *cannot; i++) {
        set = set_of(cannot[i], SIGUSR1);
        test_check(kept(cadre_wait_signal(ctx, &set)) == -EINVAL);
    }
    return 0;
}

static void wrong_sets_are_refused(void **state)
{
    (void)state;
    everywhere(call_wrongly, NULL);
}

static void receive_in_the_child(void *arg)
{
    (void)arg;
    receive(SIGUSR2, by_kill, false);
    receive(SIGUSR2, by_kill, true);
}

static void a_child_waits_for_its_own(void **state)
{
    struct waits w;
    struct cadre_group g = { 0 };

    (void)state;
#if defined(CDR_TSAN) || defined(CADRE_NO_CMOCKA)
    skip(); /* it, and the emulators, let no child of a process with threads start threads */
#endif
    start_waits(&g, &w, 1, set_of(SIGUSR2, 0));
    until_waiting(1);
    assert_true(passed(in_child(receive_in_the_child, NULL)));
    assert_int_equal(w.returned, 0);
    by_kill(SIGUSR2);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(w.result, SIGUSR2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_sets_are_refused),
        cmocka_unit_test(a_signal_is_received_wherever_it_comes_from),
        cmocka_unit_test(a_signal_that_all_threads_block_is_received),
        cmocka_unit_test(a_signal_goes_to_one_of_those_who_wait_for_it),
        cmocka_unit_test(a_signal_reaches_who_waits_for_it_past_others_who_wait_for_another),
        cmocka_unit_test(of_a_thousand_signals_none_is_lost_and_none_comes_twice),
        cmocka_unit_test(a_signal_is_kept_while_nobody_waits),
        cmocka_unit_test(a_handler_of_the_programs_takes_a_signal_back),
        cmocka_unit_test(a_wait_ends_with_its_context_and_leaves_nothing_open),
        cmocka_unit_test(a_child_waits_for_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
