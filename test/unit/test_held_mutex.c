/* SPDX-License-Identifier: MIT
 * Debug builds say when a task is suspended while it holds a pthread mutex that others wait for. Skipped in other builds. */
#include "test.h"

#ifdef CADRE_WATCH_MUTEXES
#include <unistd.h>

#include "child.h"
#include "tasks.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_int held;

static int holds_and_sleeps(struct cadre_ctx *ctx, void *arg)
{
    cadre_time duration = *(const cadre_time *)arg;

    cadre_task_name("holder");
    pthread_mutex_lock(&mutex);
    atomic_store(&held, 1);
    if (duration > 0)
        (void)cadre_sleep(ctx, duration);
    else
        usleep(400000); /* the thread sleeps, the task is not suspended */
    pthread_mutex_unlock(&mutex);
    return 0;
}

static int waits(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    cadre_task_name("waiter");
    while (atomic_load(&held) == 0)
        (void)cadre_sleep(ctx, CADRE_US(100));
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    return 0;
}

/* In a child, with stderr in a pipe. */
static void hold_and_wait(void *arg)
{
    static cadre_time duration;
    struct cadre_group g = { 0 };
    int *out = arg;

    duration = out[2] != 0 ? CADRE_MS(900) : 0;
    setenv("CADRE_CHAOS_SEED", "1", 0); /* or it would be printed */
    dup2(out[1], STDERR_FILENO);
    test_check(cadre_go(&g, holds_and_sleeps, &duration) == 0);
    test_check(cadre_go(&g, waits, NULL) == 0);
    test_check(cadre_wait(&g) == 0);
}

static ssize_t said(int for_long, char *text, size_t size)
{
    int out[3] = { 0, 0, for_long };
    ssize_t n, got = 0;

    assert_int_equal(pipe(out), 0);
    assert_true(passed(in_child(hold_and_wait, out)));
    close(out[1]);
    while ((n = read(out[0], text + got, size - 1 - (size_t)got)) > 0)
        got += n;
    close(out[0]);
    text[got] = 0;
    return got;
}

static void a_mutex_held_by_a_suspended_task_is_reported_with_both_names(void **state)
{
    char text[1024];

    (void)state;
    assert_true(said(1, text, sizeof text) > 0);
    assert_non_null(strstr(text, "task \"waiter\" waits for a pthread mutex that task \"holder\" holds"));
    assert_ptr_equal(strstr(text, "waits for"), strstr(text, "waits for a pthread mutex"));
}

static void a_mutex_held_by_a_task_that_is_not_suspended_is_not(void **state)
{
    char text[1024];

    (void)state;
    assert_int_equal(said(0, text, sizeof text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_held_by_a_suspended_task_is_reported_with_both_names),
        cmocka_unit_test(a_mutex_held_by_a_task_that_is_not_suspended_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) { return 77; }
#endif
