/* SPDX-License-Identifier: MIT
 * Plain threads: they do everything that tasks can, without init, and come and go as they like; signals are theirs. */
#include "test.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "cadre.h"
#include "until.h"

static int counts(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    count(arg);
    return 0;
}

static int naps_and_counts(struct cadre_ctx *ctx, void *arg)
{
    test_check(cadre_sleep(ctx, CADRE_US(50)) == 0);
    count(arg);
    return 0;
}

/* ---- what a thread can do ---- */

static int echoes(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_chan *ends = arg;
    unsigned value;

    while (cadre_recv(ctx, &ends[0], &value) == 0)
        test_check(cadre_send(ctx, &ends[1], &value) == 0);
    return 0;
}

static void use_channels(void)
{
    struct cadre_chan ends[2] = { { .size = sizeof(unsigned) }, { .size = sizeof(unsigned) } };
    struct cadre_group g = { 0 };
    unsigned value, got = 0;
    struct cadre_case cases[] = { { .op = CADRE_RECV, .chan = &ends[1], .element = &got },
                                  { .op = CADRE_UNTIL, .deadline = cadre_in(TEST_BOUND) } };

    test_check(cadre_go(&g, echoes, ends) == 0);
    for (value = 1; value <= 20; value++) {
        test_check(cadre_send(NULL, &ends[0], &value) == 0);
        test_check(value % 2 == 0 ? cadre_recv(NULL, &ends[1], &got) == 0 : cadre_select(NULL, cases, 2) == 0);
        test_check(got == value);
    }
    cadre_chan_close(&ends[0]);
    test_check(cadre_wait(&g) == 0);
}

static void use_locks_and_time(void)
{
    struct cadre_ctx soon = { .deadline = cadre_in(CADRE_US(200)) };
    struct cadre_sem s = { .size = 1 };
    struct cadre_mutex m = { 0 };

    test_check(cadre_sleep(NULL, CADRE_US(100)) == 0);
    test_check(cadre_sem_acquire(NULL, &s, 1) == 0);
    test_check(cadre_sem_acquire(&soon, &s, 1) == -ETIMEDOUT);
    test_check(cadre_mutex_lock(NULL, &m) == 0);
    test_check(cadre_mutex_unlock(&m) == 0);
    cadre_yield();
}

static void *does_everything(void *arg)
{
    struct cadre_group g = { .limit = 3, .queue = 2 };
    unsigned ran = 0;

    for (int i = 0; i < 50; i++)
        test_check(cadre_go(&g, i % 2 == 0 ? counts : naps_and_counts, &ran) == 0);
    test_check(cadre_wait(&g) == 0);
    test_check(get(&ran) == 50);
    use_channels();
    use_locks_and_time();
    return arg;
}

static void test_a_thread_does_everything_a_task_can(void **state)
{
    pthread_t threads[4];

    (void)state;
    does_everything(NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, does_everything, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* ---- threads that come and go ---- */

struct left {
    struct cadre_group group; /* outlives the thread */
    unsigned ran;
};

static void *starts_and_leaves(void *arg)
{
    struct left *left = arg;

    for (int i = 0; i < 100; i++)
        test_check(cadre_go(&left->group, i % 10 == 0 ? naps_and_counts : counts, &left->ran) == 0);
    return NULL;
}

static void test_tasks_of_a_thread_that_leaves_run_elsewhere(void **state)
{
    static struct left left;
    pthread_t thread;

    (void)state;
    for (unsigned i = 1; i <= 20; i++) {
        assert_int_equal(pthread_create(&thread, NULL, starts_and_leaves, &left), 0);
        pthread_join(thread, NULL);
        if (i % 2 == 0)
            doze_until(&left.ran, 100 * i); /* nobody waits for them */
        assert_int_equal(cadre_wait(&left.group), 0);
        assert_int_equal(get(&left.ran), 100 * i);
    }
}

static void test_hundreds_of_threads_come_and_go(void **state)
{
    enum { ROUNDS = 12, AT_ONCE = 25 };
    pthread_t threads[AT_ONCE];

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        static struct left lefts[AT_ONCE];

        memset(lefts, 0, sizeof lefts);
        for (int i = 0; i < AT_ONCE; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, starts_and_leaves, &lefts[i]), 0);
        for (int i = 0; i < AT_ONCE; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(cadre_wait(&lefts[i].group), 0);
            assert_int_equal(get(&lefts[i].ran), 100);
        }
    }
}

/* A destructor of thread-specific data may run after the library's own: it is served all the same. */
static pthread_key_t late_key;
static unsigned late_calls;

static void calls_late(void *rounds)
{
    unsigned ran = 0;
    struct cadre_group g = { 0 };

    test_check(cadre_go(&g, counts, &ran) == 0);
    test_check(cadre_wait(&g) == 0);
    test_check(cadre_sleep(NULL, 1) == 0);
    count(&late_calls);
    if ((uintptr_t)rounds > 1)
        pthread_setspecific(late_key, (void *)((uintptr_t)rounds - 1));
}

static void *leaves_a_key(void *arg)
{
    pthread_setspecific(late_key, (void *)(uintptr_t)2);
    return does_everything(arg);
}

static void test_destructors_of_thread_specific_data_may_call_in(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_key_create(&late_key, calls_late), 0);
    assert_int_equal(pthread_create(&thread, NULL, leaves_a_key, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(get(&late_calls), 2);
    pthread_key_delete(late_key);
}

/* ---- signals ---- */

/* How many threads are named cadre-…; each must block all signals that can be blocked. */
static int check_threads_block_signals(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    int found = 0;

    assert_non_null(tasks);
    while ((entry = readdir(tasks)) != NULL) {
        char path[300], line[256], name[64] = "";
        unsigned long long blocked = 0;
        FILE *status;

        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        status = fopen(path, "r");
        if (entry->d_name[0] == '.' || status == NULL) {
            if (status != NULL)
                fclose(status);
            continue;
        }
        while (fgets(line, sizeof line, status) != NULL) {
            sscanf(line, "Name: %60s", name);
            sscanf(line, "SigBlk: %llx", &blocked);
        }
        fclose(status);
        if (strncmp(name, "cadre-", 6) != 0)
            continue;
        found++;
        for (int signal = 1; signal < SIGRTMIN; signal++)
            if (signal != SIGKILL && signal != SIGSTOP && signal != 32 && signal != 33) /* libc keeps two */
                assert_true((blocked >> (signal - 1) & 1) == 1);
    }
    closedir(tasks);
    return found;
}

static void test_the_librarys_threads_block_all_signals(void **state)
{
    int workers = cadre_workers();

    (void)state;
    does_everything(NULL);
    assert_true(check_threads_block_signals() >= workers);
}

static unsigned handled_on;

static void handles(int signal)
{
    (void)signal;
    set(&handled_on, thread_id());
}

static void test_signals_are_handled_on_the_programs_threads(void **state)
{
    struct sigaction action = { .sa_handler = handles }, before;

    (void)state;
    cadre_workers();
    sigaction(SIGUSR1, &action, &before);
    for (int i = 0; i < 50; i++) {
        set(&handled_on, 0);
        kill(getpid(), SIGUSR1);
        doze_until(&handled_on, 1);
        assert_int_equal(get(&handled_on), (unsigned)getpid());
    }
    sigaction(SIGUSR1, &before, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thread_does_everything_a_task_can),
        cmocka_unit_test(test_tasks_of_a_thread_that_leaves_run_elsewhere),
        cmocka_unit_test(test_hundreds_of_threads_come_and_go),
        cmocka_unit_test(test_destructors_of_thread_specific_data_may_call_in),
        cmocka_unit_test(test_the_librarys_threads_block_all_signals),
        cmocka_unit_test(test_signals_are_handled_on_the_programs_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
