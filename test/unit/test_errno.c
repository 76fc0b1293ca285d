/* SPDX-License-Identifier: MIT
 * errno: no call changes it. That it travels with a task is in test_errno_moves.c. */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "cadre.h"
#include "child.h"
#include "until.h"

/* Requests for more memory than there is fail in the library, not in the sanitizers' allocators. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

#define SENTINEL 7777

/* Do it, and see that errno stays. */
#define keeps(...) \
    do { \
        errno = SENTINEL; \
        __VA_ARGS__; \
        test_check(errno == SENTINEL && #__VA_ARGS__); \
    } while (0)

#define keeps_and(expected, call) keeps(test_check((call) == (expected)))

static int returns(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    errno = EDOM; /* what others do to it is theirs */
    return arg != NULL ? *(int *)arg : 0;
}

static int moves_errno(struct cadre_ctx *ctx, void *arg)
{
    (void)arg;
    errno = ERANGE;
    cadre_sleep(ctx, CADRE_US(10));
    errno = EDOM;
    return 0;
}

static void nothing(struct cadre_ctx *ctx, void *arg) { (void)ctx, (void)arg; }
static void ignores(void *arg) { (void)arg; }

/* ---- every call, on the calling thread or in the calling task ---- */

static void call_time_and_text(void)
{
    keeps(test_check(cadre_now() > 0));
    keeps(test_check(cadre_in(1) > 0));
    keeps(test_check(cadre_in(CADRE_FOREVER) > 0));
    keeps(test_check(cadre_strerror(-EIO) != NULL));
    keeps(test_check(cadre_strerror(-99999) != NULL));
    keeps(test_check(cadre_version() != NULL));
    keeps(test_check(cadre_workers() > 0));
    keeps(cadre_yield());
    keeps(cadre_pin());
    keeps(cadre_unpin());
    keeps(cadre_task_name("with a name"));
    keeps_and(-EIO, cadre_fail(NULL, -EIO, "%s %f", "text", 1.5));
}

static void call_contexts(void)
{
    struct cadre_ctx c = { .deadline = cadre_in(CADRE_SEC(3600)) }, past = { .deadline = 1 }, live = { .parent = NULL };
    struct cadre_hook hook = { .fn = nothing }, other = { .fn = nothing }, bad = { .fn = NULL };

    keeps_and(0, cadre_ctx_error(&c));
    keeps_and(0, cadre_ctx_hook(&c, &hook));
    keeps_and(0, cadre_ctx_hook(&c, &other));
    keeps_and(-EINVAL, cadre_ctx_hook(&c, &bad));
    keeps_and(1, cadre_ctx_unhook(&c, &other));
    keeps(cadre_ctx_cancel(&c, -EIO, "why"));
    keeps_and(0, cadre_ctx_unhook(&c, &hook));
    keeps_and(-ECANCELED, cadre_ctx_error(&c));
    keeps_and(-ETIMEDOUT, cadre_ctx_error(&past));
    keeps_and(-EIO, cadre_ctx_cause(&c).code);
    keeps(test_check(cadre_ctx_deadline(&c) != 0));
    keeps(test_check(cadre_ctx_value(&c, &c) == NULL));
    keeps_and(0, cadre_sleep(&live, CADRE_US(1)));
    keeps_and(0, cadre_sleep(&live, 0));
    keeps_and(-ECANCELED, cadre_sleep(&c, CADRE_US(1)));
    past.deadline = 0;
    past = (struct cadre_ctx){ .deadline = cadre_in(CADRE_US(100)) };
    keeps_and(-ETIMEDOUT, cadre_sleep(&past, CADRE_FOREVER));
}

static void call_groups(void)
{
    struct cadre_error errors[2];
    struct cadre_group g = { .errors = errors, .max_errors = 2, .drop = ignores };
    char text[300] = "";
    int fail = -EIO;

    keeps_and(0, cadre_go(&g, returns, NULL));
    keeps_and(0, cadre_go(&g, moves_errno, NULL));
    keeps_and(0, cadre_go_copy(&g, returns, &fail, sizeof fail));
    keeps_and(0, cadre_go_copy(&g, returns, text, sizeof text));
    keeps_and(0, cadre_try_go(&g, returns, NULL));
    keeps_and(-EINVAL, cadre_go(&g, NULL, NULL));
    keeps_and(0, cadre_group_hold(&g));
    keeps(cadre_group_release(&g, 0));
    keeps_and(-EIO, cadre_wait(&g));
    keeps_and(-EIO, cadre_group_error(&g).code);
    keeps_and(1, cadre_group_error_count(&g));
    keeps(test_check(cadre_errors_format(&g, text, sizeof text) > 0));
    keeps(test_check(cadre_group_ctx(&g) != NULL));
    keeps(cadre_group_cancel(&g, -EPIPE, "why"));
    keeps_and(-ECANCELED, cadre_go(&g, returns, NULL));
    keeps_and(-ECANCELED, cadre_try_go(&g, returns, NULL));
    keeps_and(-EIO, cadre_wait(&g));
    keeps_and(0, cadre_group_reset(&g));
    keeps_and(-EINVAL, cadre_wait(NULL));
}

static void call_limited_groups(void)
{
    struct cadre_group g = { .limit = 1, .queue = 2 }, discards = { .limit = 1, .flags = CADRE_DISCARD_WHEN_FULL };

    for (int i = 0; i < 20; i++)
        keeps_and(0, cadre_go(&g, moves_errno, NULL));
    keeps_and(0, cadre_wait(&g));
    keeps_and(0, cadre_group_set_limit(&g, 0));
    keeps_and(0, cadre_go(&g, returns, NULL));
    keeps_and(0, cadre_try_go(&g, returns, NULL));
    keeps_and(-EAGAIN, cadre_try_go(&g, returns, NULL));
    keeps_and(0, cadre_group_set_limit(&g, -1));
    keeps_and(0, cadre_wait(&g));
    keeps_and(0, cadre_group_set_limit(&discards, 0));
    keeps_and(-EAGAIN, cadre_go(&discards, returns, NULL));
    keeps_and(0, cadre_wait(&discards));
}

static void call_channels(struct cadre_ctx *ended)
{
    unsigned slots[2], value = 1;
    struct cadre_chan c = { .size = sizeof value, .capacity = 2, .slots = slots, .destroy = ignores };
    struct cadre_case cases[] = { { .op = CADRE_RECV, .chan = &c, .element = &value },
                                  { .op = CADRE_UNTIL, .deadline = cadre_in(CADRE_US(100)) } };

    keeps_and(0, cadre_send(NULL, &c, &value));
    keeps_and(0, cadre_try_send(&c, &value));
    keeps_and(-EAGAIN, cadre_try_send(&c, &value));
    keeps_and(-ECANCELED, cadre_send(ended, &c, &value));
    keeps_and(2, cadre_chan_length(&c));
    keeps_and(0, cadre_recv(NULL, &c, &value));
    keeps_and(0, cadre_try_recv(&c, &value));
    keeps_and(-EAGAIN, cadre_try_recv(&c, &value));
    keeps_and(-ECANCELED, cadre_recv(ended, &c, &value));
    keeps_and(1, cadre_select(NULL, cases, 2));
    keeps_and(-ECANCELED, cadre_select(ended, cases, 1));
    keeps_and(0, cadre_send(NULL, &c, &value));
    keeps(cadre_chan_close(&c));
    keeps_and(-EPIPE, cadre_send(NULL, &c, &value));
    keeps(cadre_chan_finish(&c));
}

static void call_locks(struct cadre_ctx *ended)
{
    struct cadre_sem s = { .size = 2 };
    struct cadre_mutex m = { 0 };

    keeps_and(0, cadre_sem_acquire(NULL, &s, 2));
    keeps_and(-EAGAIN, cadre_sem_try_acquire(&s, 1));
    keeps_and(-ECANCELED, cadre_sem_acquire(ended, &s, 1));
    keeps_and(-EINVAL, cadre_sem_acquire(NULL, &s, 3));
    keeps_and(0, cadre_sem_release(&s, 2));
    keeps_and(-EINVAL, cadre_sem_release(&s, 1));
    keeps_and(0, cadre_mutex_lock(NULL, &m));
    keeps_and(-EDEADLK, cadre_mutex_lock(NULL, &m));
    keeps_and(-EAGAIN, cadre_mutex_try_lock(&m));
    keeps_and(0, cadre_mutex_unlock(&m));
    keeps_and(-EPERM, cadre_mutex_unlock(&m));
}

static int call_everything(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx ended = { 0 };

    (void)ctx, (void)arg;
    cadre_ctx_cancel(&ended, 0, NULL);
    call_time_and_text();
    call_contexts();
    call_groups();
    call_limited_groups();
    call_channels(&ended);
    call_locks(&ended);
    return 0;
}

static int defers(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    keeps_and(0, cadre_defer(ignores, NULL));
    keeps_and(-EINVAL, cadre_defer(NULL, NULL));
    return 0;
}

static void *call_everything_on_thread(void *arg)
{
    call_everything(NULL, arg);
    keeps_and(-EPERM, cadre_defer(ignores, NULL));
    return NULL;
}

static void test_no_call_changes_errno(void **state)
{
    struct cadre_group g = { 0 };
    pthread_t thread;

    (void)state;
    call_everything_on_thread(NULL);
    for (int i = 0; i < 8; i++) {
        cadre_go(&g, call_everything, NULL);
        cadre_go(&g, defers, NULL);
    }
    assert_int_equal(pthread_create(&thread, NULL, call_everything_on_thread, NULL), 0);
    assert_int_equal(cadre_wait(&g), 0);
    pthread_join(thread, NULL);
}

/* ---- failing for want of memory ---- */

static int goes_without_memory(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group g = { .parent = ctx };
    static const char small;

    (void)arg;
    /* Refused by malloc before a byte of it is read. */
    keeps_and(-ENOMEM, cadre_go_copy(&g, returns, &small, SIZE_MAX / 4));
    keeps_and(-ENOMEM, cadre_wait(&g));
    return 0;
}

static void test_a_copy_that_finds_no_memory_keeps_errno(void **state)
{
    struct cadre_group g = { 0 };

    (void)state;
    goes_without_memory(NULL, NULL);
    cadre_go(&g, goes_without_memory, NULL);
    assert_int_equal(cadre_wait(&g), 0);
}

static int takes_a_huge_stack(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group g = { .parent = ctx, .stack_size = SIZE_MAX / 2 };

    (void)arg;
    keeps_and(-ENOMEM, cadre_go(&g, returns, NULL));
    keeps_and(-ENOMEM, cadre_wait(&g));
    return 0;
}

static void test_a_stack_that_cannot_be_keeps_errno(void **state)
{
    (void)state;
    takes_a_huge_stack(NULL, NULL);
}

/* ---- the call that starts the runtime ---- */

static void first_workers(void *arg)
{
    (void)arg;
    keeps(test_check(cadre_workers() > 0));
}

static void first_go(void *arg)
{
    struct cadre_group g = { 0 };

    (void)arg;
    keeps_and(0, cadre_go(&g, returns, NULL));
    keeps_and(0, cadre_wait(&g));
}

static void first_sleep(void *arg)
{
    (void)arg;
    keeps_and(0, cadre_sleep(NULL, 1));
}

static void first_lock(void *arg)
{
    struct cadre_mutex m = { 0 };

    (void)arg;
    keeps_and(0, cadre_mutex_lock(NULL, &m));
}

static void test_the_first_call_keeps_errno(void **state)
{
    void (*const firsts[])(void *) = { first_workers, first_go, first_sleep, first_lock };

    (void)state;
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++)
        assert_true(passed(in_child(firsts[i], NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* Children first: ThreadSanitizer lets no child start threads once the parent has some. */
        cmocka_unit_test(test_the_first_call_keeps_errno),
        cmocka_unit_test(test_no_call_changes_errno),
        cmocka_unit_test(test_a_copy_that_finds_no_memory_keeps_errno),
        cmocka_unit_test(test_a_stack_that_cannot_be_keeps_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
