/* SPDX-License-Identifier: MIT
 * Ending commands: SIGTERM, the grace, SIGKILL; whole groups, and those who left them; a cancel at every point of a call. */
#include <string.h>
#include <time.h>

#include "test.h"

#include "exec.h"
#include "until.h"

/* A command that says when it is ready, and a task that cancels it then. */
struct victim {
    struct cadre_ctx ctx;
    struct cadre_command command;
    struct cadre_exit exit;
    char out[256];
    unsigned ready; /* the number that its first line has, or 1 */
    bool when_stopped;
};

static int on_ready(void *arg, int stream, const char *text, size_t length)
{
    struct victim *victim = arg;

    (void)length;
    if (stream == 1 && get(&victim->ready) == 0)
        set(&victim->ready, atoi(text) > 0 ? (unsigned)atoi(text) : 1);
    return 0;
}

static int cancel_when_ready(struct cadre_ctx *ctx, void *arg)
{
    struct victim *victim = arg;
    char pid[16];
    int group;

    (void)ctx;
    until(&victim->ready, 1);
    snprintf(pid, sizeof pid, "%u", get(&victim->ready));
    if (victim->when_stopped)
        test_until(process_state(pid, &group) == 'T');
    cadre_ctx_cancel(&victim->ctx, 0, "enough");
    return 0;
}

/* Run the script until it is ready, and cancel it. */
static int cancelled(struct victim *victim, const char *script, cadre_time grace)
{
    struct cadre_group g = { 0 };
    int code;

    victim->command.out_text = victim->out;
    victim->command.out_size = sizeof victim->out;
    victim->command.line = on_ready;
    victim->command.line_arg = victim;
    victim->command.grace = grace;
    test_check(cadre_go(&g, cancel_when_ready, victim) == 0);
    code = shell(&victim->ctx, &victim->command, script, &victim->exit);
    test_check(cadre_wait(&g) == 0);
    return code;
}

#define LONG_GRACE CADRE_SEC(1000)
#define SHORT_GRACE CADRE_MS(30)

static void a_cancel_is_sigterm_first(void **state)
{
    struct victim victim = { 0 };
    int descriptors = before();

    (void)state;
    assert_int_equal(cancelled(&victim, "echo ready; exec sleep 1000", LONG_GRACE), -ECANCELED);
    assert_int_equal(victim.exit.signal, SIGTERM);
    assert_int_equal(victim.exit.status, -1);
    assert_string_equal(victim.out, "ready\n");
    assert_nothing_left(descriptors, victim.exit.pid);
}

static void who_handles_sigterm_may_finish(void **state)
{
    struct victim victim = { 0 };
    int descriptors = before();

    (void)state;
    assert_int_equal(cancelled(&victim, "trap 'echo asked; sleep 0.05; echo why >&2; exit 3' TERM; echo ready; while :; do sleep 0.01; done",
                               LONG_GRACE), -ECANCELED);
    assert_int_equal(victim.exit.signal, 0);
    assert_int_equal(victim.exit.status, 3);
    assert_string_equal(victim.out, "ready\nasked\n");
    assert_non_null(strstr(victim.exit.message, "why"));
    assert_nothing_left(descriptors, victim.exit.pid);
}

static void who_ignores_sigterm_is_killed_when_the_grace_is_over(void **state)
{
    struct victim victim = { 0 };
    int descriptors = before();

    (void)state;
    assert_int_equal(cancelled(&victim, "trap '' TERM; echo ready; sleep 1000", SHORT_GRACE), -ECANCELED);
    assert_int_equal(victim.exit.signal, SIGKILL);
    assert_true(victim.exit.time >= SHORT_GRACE);
    assert_nothing_left(descriptors, victim.exit.pid);
}

static void a_negative_grace_kills_at_once(void **state)
{
    struct victim victim = { 0 };
    int descriptors = before();

    (void)state;
    assert_int_equal(cancelled(&victim, "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.01; done", -1), -ECANCELED);
    assert_int_equal(victim.exit.signal, SIGKILL);
    assert_string_equal(victim.out, "ready\n");
    assert_nothing_left(descriptors, victim.exit.pid);
}

static void a_deadline_ends_it_too(void **state)
{
    struct cadre_exit exit = { .signal = -1 };
    int descriptors = before();

    (void)state;
    for (cadre_time step = CADRE_MS(40); exit.signal == -1; step *= 2) { /* until there is time enough to start it */
        struct cadre_ctx ctx = { .deadline = cadre_in(step) };
        struct cadre_command command = { 0 };

        assert_true(step < CADRE_SEC(60));
        assert_int_equal(shell(&ctx, &command, "exec sleep 1000", &exit), -ETIMEDOUT);
    }
    assert_int_equal(exit.signal, SIGTERM);
    assert_nothing_left(descriptors, exit.pid);
}

static void a_stopped_one_is_killed(void **state)
{
    struct victim victim = { .when_stopped = true };
    int descriptors = before();

    (void)state;
    assert_int_equal(cancelled(&victim, "echo $$; kill -STOP $$; echo never", SHORT_GRACE), -ECANCELED);
    assert_int_equal(victim.exit.signal, SIGKILL);
    assert_null(strstr(victim.out, "never"));
    assert_nothing_left(descriptors, victim.exit.pid);
}

/* What it writes without end hides neither the cancel nor the end of its grace. */
static void an_endless_writer_is_ended(void **state)
{
    const char *const scripts[] = { "trap '' TERM; exec yes", "trap '' TERM; yes >&2 & exec yes", "exec yes" };
    int descriptors = before();

    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        struct victim victim = { 0 };

        assert_int_equal(cancelled(&victim, scripts[i], SHORT_GRACE), -ECANCELED);
        assert_int_equal(victim.exit.signal, i < 2 ? SIGKILL : SIGTERM);
        assert_nothing_left(descriptors, victim.exit.pid);
    }
}

/* ---- grandchildren ---- */

static void grandchildren_end_with_it(void **state)
{
    const char *const scripts[] = {
        "sleep 1000 & sleep 1000 & echo ready; wait",                                /* all at SIGTERM */
        "(trap '' TERM; sleep 1000) & (trap '' TERM; sleep 1000) & echo ready; wait", /* some by SIGKILL, holding the pipes */
        "(trap '' TERM; exec >/dev/null 2>&1; sleep 1000) & echo ready; exec sleep 1000", /* one that holds nothing */
    };
    int descriptors = before();

    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        struct victim victim = { 0 };

        assert_int_equal(cancelled(&victim, scripts[i], SHORT_GRACE), -ECANCELED);
        assert_int_equal(victim.exit.signal, SIGTERM);
        assert_nothing_left(descriptors, victim.exit.pid);
    }
}

static void the_call_lasts_as_long_as_somebody_holds_the_output(void **state)
{
    char text[64];
    struct cadre_command command = { .out_text = text, .out_size = sizeof text };
    struct cadre_exit exit;
    int descriptors = before();

    (void)state;
    assert_int_equal(shell(NULL, &command, "(sleep 0.1; echo late) & echo early; exit 6", &exit), 6);
    assert_string_equal(text, "early\nlate\n");
    assert_int_equal(exit.status, 6);
    assert_true(exit.time >= CADRE_MS(100));
    assert_nothing_left(descriptors, exit.pid);
}

/* Its grandchild has a session of its own, ignores SIGTERM, and keeps both pipes. */
static void who_left_the_group_does_not_hold_up_the_end(void **state)
{
    struct victim victim = { 0 };
    int descriptors = before(), group;
    char pid[16];
    unsigned stranger;

    (void)state;
    assert_int_equal(cancelled(&victim, "setsid sh -c 'echo $$; exec sleep 1000' & wait", SHORT_GRACE), -ECANCELED);
    stranger = get(&victim.ready);
    assert_true(stranger > 1);
    assert_nothing_left(descriptors, victim.exit.pid);
    snprintf(pid, sizeof pid, "%u", stranger);
    test_until(process_state(pid, &group) == 'S'); /* it lives */
    assert_int_equal(kill((pid_t)stranger, SIGKILL), 0);
}

/* ---- at every point ---- */

struct timed {
    struct cadre_ctx ctx;
    struct timespec delay;
    unsigned begun;
};

static void *cancel_after(void *arg)
{
    struct timed *timed = arg;

    doze_until(&timed->begun, 1);
    nanosleep(&timed->delay, NULL);
    cadre_ctx_cancel(&timed->ctx, 0, NULL);
    return NULL;
}

static void a_cancel_at_any_time_leaves_nothing(void **state)
{
    int descriptors = before();

    (void)state;
    for (int i = 0; i < 120; i++) {
        char text[64];
        struct cadre_command command = { .out_text = text, .out_size = sizeof text, .input = "input", .input_size = 5 };
        struct timed timed = { .delay = { .tv_nsec = i * 40000 } };
        struct cadre_exit exit = { .pid = 0 };
        pthread_t thread = thread_start(cancel_after, &timed);
        int code;

        command.grace = i % 2 == 0 ? -1 : LONG_GRACE;
        set(&timed.begun, 1);
        code = shell(&timed.ctx, &command, i % 3 != 0 ? "sleep 1000 & wait" : "echo 1; sleep 0.001 & cat >&2; echo 2", &exit);
        thread_join(thread);
        assert_true(code == -ECANCELED || (i % 3 == 0 && code == 0));
        assert_nothing_left(descriptors, exit.pid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_both(a_cancel_is_sigterm_first),
        test_in_both(who_handles_sigterm_may_finish),
        test_in_both(who_ignores_sigterm_is_killed_when_the_grace_is_over),
        test_in_both(a_negative_grace_kills_at_once),
        test_in_both(a_deadline_ends_it_too),
        test_in_both(a_stopped_one_is_killed),
        test_in_both(an_endless_writer_is_ended),
        test_in_both(grandchildren_end_with_it),
        test_in_both(the_call_lasts_as_long_as_somebody_holds_the_output),
        test_in_both(who_left_the_group_does_not_hold_up_the_end),
        test_in_both(a_cancel_at_any_time_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
