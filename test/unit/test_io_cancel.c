/* SPDX-License-Identifier: MIT
 * A cancel, or a deadline, at every point of every call that waits for something outside. The points are counted: each call
 * is made again and again, and its context ends one step later each time, until it returns undisturbed. Whatever the moment,
 * the call returns, nothing that it should have taken or left is lost, and nothing stays open, linked, running or allocated. */
#define _GNU_SOURCE 1
#include "test.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "io.h"
#include "platform/sanitizer.h"
#include "threads.h"

#define UNDISTURBED 20 /* so often in a row, for there is more than one schedule */
#define MOST (times(300) + 100)
#define LARGE 500000

/* What a call and its other side share. */
struct stage {
    int ends[2], other;
    size_t moved;
    atomic_int done, begun, ended;
    long result;
};

struct scene {
    const char *name;
    void (*set)(struct stage *s);
    long (*call)(struct cadre_ctx *ctx, struct stage *s);
    void (*help)(struct stage *s); /* lets the call return */
    void (*clear)(struct stage *s); /* and sees that nothing is lost */
};

/* ---- wait_fd, poll, read, recvmsg: for a byte ---- */

static void set_pair(struct stage *s) { make_pair(s->ends); }
static void set_pipe(struct stage *s) { make_pipe(s->ends); }
static void send_byte(struct stage *s) { put_byte(s->ends[1]); }

static long call_wait_fd(struct cadre_ctx *ctx, struct stage *s) { return cadre_wait_fd(ctx, s->ends[0], POLLIN); }

static long call_poll(struct cadre_ctx *ctx, struct stage *s)
{
    struct pollfd fds[20];

    for (int i = 0; i < 20; i++)
        fds[i] = (struct pollfd){ .fd = i == 7 ? s->ends[0] : i % 2 == 0 ? s->ends[1] : -1, .events = i == 7 ? POLLIN : 0 };
    return cadre_poll(ctx, fds, 20, 0);
}

static void clear_unread(struct stage *s)
{
    take_byte(s->ends[0]);
    close_both(s->ends);
}

static long call_read(struct cadre_ctx *ctx, struct stage *s)
{
    char byte;

    return cadre_read(ctx, s->ends[0], &byte, 1);
}

static long call_recvmsg(struct cadre_ctx *ctx, struct stage *s)
{
    char byte;
    struct iovec all = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr m = { .msg_iov = &all, .msg_iovlen = 1 };

    return cadre_recvmsg(ctx, s->ends[0], &m, 0);
}

static void clear_read(struct stage *s)
{
    test_check(empty(s->ends[0]) == (s->result == 1 ? 0 : 1));
    close_both(s->ends);
}

#ifndef CDR_TSAN
static void close_end(struct stage *s) { test_check(cadre_close(s->ends[0]) == 0); }

static long call_until_closed(struct cadre_ctx *ctx, struct stage *s)
{
    long result = call_read(ctx, s);

    return result == -EBADF ? 0 : result;
}

static void clear_closed(struct stage *s) { test_check(close(s->ends[1]) == 0); }
#endif

/* ---- write, sendmsg ---- */

static void set_full_pair(struct stage *s)
{
    make_pair(s->ends);
    s->moved = 0 - fill(s->ends[0]);
}

static void set_full_pipe(struct stage *s)
{
    make_pipe(s->ends);
    s->other = s->ends[0]; /* the end to be read comes first there */
    s->ends[0] = s->ends[1];
    s->ends[1] = s->other;
    s->moved = 0 - fill(s->ends[0]);
}

static long call_write(struct cadre_ctx *ctx, struct stage *s)
{
    static const char bytes[LARGE];

    return cadre_write(ctx, s->ends[0], bytes, sizeof bytes);
}

static long call_sendmsg(struct cadre_ctx *ctx, struct stage *s)
{
    static char bytes[1000];
    struct iovec all = { .iov_base = bytes, .iov_len = sizeof bytes };
    struct msghdr m = { .msg_iov = &all, .msg_iovlen = 1 };

    return cadre_sendmsg(ctx, s->ends[0], &m, 0);
}

static void make_room(struct stage *s)
{
    while (atomic_load(&s->done) == 0) {
        s->moved += empty(s->ends[1]);
        cadre_yield();
    }
}

static void clear_written(struct stage *s)
{
    s->moved += empty(s->ends[1]);
    test_check(s->result < 0 || s->moved == (size_t)s->result);
    test_check(s->moved <= LARGE);
    close_both(s->ends);
}

/* ---- accept, connect ---- */

static int listeners; /* each has a name of its own: who looks for events may keep one that is closed for a moment */
static struct sockaddr_un address(socklen_t *size)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    *size = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1
            + (socklen_t)snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "cadre-%d-%d", (int)getpid(), listeners);
    return a;
}

static void listen_in(struct stage *s, int backlog)
{
    socklen_t size = 0;
    struct sockaddr_un a = (listeners++, address(&size));

    s->ends[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s->ends[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    test_check(bind(s->ends[0], (struct sockaddr *)&a, size) == 0 && listen(s->ends[0], backlog) == 0);
}

static void connect_end(struct stage *s)
{
    socklen_t size;
    struct sockaddr_un a = address(&size);

    test_check(connect(s->ends[1], (struct sockaddr *)&a, size) == 0);
}

static void set_listener(struct stage *s) { listen_in(s, 5); }

static long call_accept(struct cadre_ctx *ctx, struct stage *s)
{
    s->other = cadre_accept(ctx, s->ends[0], NULL, NULL);
    return s->other;
}

static void clear_accepted(struct stage *s)
{
    if (s->result < 0)
        s->other = accept(s->ends[0], NULL, NULL); /* it is still there */
    test_check(s->other >= 0 && close(s->other) == 0);
    close_both(s->ends);
}

/* A listener without room: a connection waits there already. */
static void set_full_listener(struct stage *s)
{
    listen_in(s, 0);
    connect_end(s);
    s->other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long call_connect(struct cadre_ctx *ctx, struct stage *s)
{
    socklen_t size;
    struct sockaddr_un a = address(&size);

    return cadre_connect(ctx, s->other, (struct sockaddr *)&a, size);
}

static void accept_one(struct stage *s)
{
    int fd = accept(s->ends[0], NULL, NULL);

    test_check(fd >= 0 && close(fd) == 0);
}

static void clear_connected(struct stage *s)
{
    test_check(cadre_close(s->other) == 0);
    close_both(s->ends);
}

/* ---- block, wait_signal ---- */

static void do_nothing(struct stage *s) { (void)s; }

static int work(struct cadre_ctx *ctx, void *arg)
{
    struct stage *s = *(struct stage **)arg;

    (void)ctx;
    atomic_fetch_add(&s->begun, 1);
    cadre_yield();
    atomic_fetch_add(&s->ended, 1);
    *(struct stage **)arg = NULL;
    return 0;
}

static long call_block(struct cadre_ctx *ctx, struct stage *s)
{
    static struct stage *shared; /* which the call may still use when we have left */
    long result;

    shared = s;
    result = cadre_block(ctx, work, &shared);
    test_check(result != 0 || shared == NULL);
    return result;
}

static long call_block_copy(struct cadre_ctx *ctx, struct stage *s)
{
    struct stage *mine = s;
    long result = cadre_block_copy(ctx, work, &mine, sizeof mine);

    test_check(mine == (result == 0 ? NULL : s));
    return result;
}

/* The group has been waited for. */
static void clear_called(struct stage *s)
{
    test_check(s->begun == s->ended && s->ended <= 1);
    test_check(s->result < 0 || s->ended == 1);
}

static sigset_t the_signal(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    return set;
}

/* The program's end otherwise. */
static void set_signal(struct stage *s)
{
    struct cadre_ctx ended = { .deadline = 1 };
    sigset_t set = the_signal();

    (void)s;
#ifdef CDR_TSAN
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* it puts handlers off for as long as a thread sleeps */
#endif
    test_check(cadre_wait_signal(&ended, &set) == -ETIMEDOUT);
}

static long call_wait_signal(struct cadre_ctx *ctx, struct stage *s)
{
    sigset_t set = the_signal();

    (void)s;
    return cadre_wait_signal(ctx, &set);
}

static void send_signal(struct stage *s)
{
    (void)s;
    test_check(kill(getpid(), SIGRTMIN) == 0);
}

static void clear_signal(struct stage *s)
{
    struct cadre_ctx ended = { .deadline = 1 }, bound = { .deadline = cadre_in(CADRE_SEC(60)) };
    sigset_t set = the_signal();

    test_check(s->result > 0 || cadre_wait_signal(&bound, &set) == SIGRTMIN);
    test_check(cadre_wait_signal(&ended, &set) == -ETIMEDOUT);
}

static const struct scene scenes[] = {
    { "wait_fd", set_pair, call_wait_fd, send_byte, clear_unread },
    { "poll", set_pair, call_poll, send_byte, clear_unread },
    { "read from a socket", set_pair, call_read, send_byte, clear_read },
    { "read from a pipe", set_pipe, call_read, send_byte, clear_read },
#ifndef CDR_TSAN /* for which closing what somebody reads is a race; here it is what is asked for */
    { "read, until close", set_pair, call_until_closed, close_end, clear_closed },
#endif
    { "recvmsg", set_pair, call_recvmsg, send_byte, clear_read },
    { "write to a socket", set_full_pair, call_write, make_room, clear_written },
    { "write to a pipe", set_full_pipe, call_write, make_room, clear_written },
    { "sendmsg", set_full_pair, call_sendmsg, make_room, clear_written },
    { "accept", set_listener, call_accept, connect_end, clear_accepted },
    { "connect", set_full_listener, call_connect, accept_one, clear_connected },
    { "block", do_nothing, call_block, do_nothing, clear_called },
    { "block_copy", do_nothing, call_block_copy, do_nothing, clear_called },
    { "wait_signal", set_signal, call_wait_signal, send_signal, clear_signal },
};

/* ---- one run ---- */

/* How the context ends: after so many turns of other tasks, so much time of another thread, or at a deadline. */
enum how { BY_TURNS, BY_TIME, AT_DEADLINE, HOWS };

struct act {
    const struct scene *scene;
    struct stage stage;
    struct cadre_ctx ctx;
    enum how how;
    int k;
    atomic_int started;
    bool disturbed;
};

static int act_call(struct cadre_ctx *ctx, void *arg)
{
    struct act *act = arg;

    (void)ctx;
    atomic_store(&act->started, 1);
    act->stage.result = act->scene->call(&act->ctx, &act->stage);
    atomic_store(&act->stage.done, 1);
    return 0;
}

static int act_help(struct cadre_ctx *ctx, void *arg)
{
    struct act *act = arg;

    (void)ctx;
    for (int turns = 0; turns < 10; turns += atomic_load(&act->started))
        cadre_yield(); /* the call is under way, mostly */
    act->scene->help(&act->stage);
    return 0;
}

static void *act_cancel(void *arg)
{
    struct act *act = arg;

    while (act->k > 0 && atomic_load(&act->started) == 0) /* the first time, the context ends before the call */
        cadre_yield();
    for (int i = 0; i < act->k && atomic_load(&act->stage.done) == 0; i++) {
        if (act->how == BY_TURNS)
            cadre_yield();
        else
            for (int j = 0; j < 200; j++)
                atomic_load(&act->started);
    }
    act->disturbed = atomic_load(&act->stage.done) == 0;
    cadre_ctx_cancel(&act->ctx, 0, NULL);
    return NULL;
}

static int act_cancel_by_turns(struct cadre_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)act_cancel(arg);
    return 0;
}

/* True when the end of the context came before that of the call. */
static bool perform(const struct scene *scene, enum how how, int k)
{
    struct act act = { .scene = scene, .how = how, .k = k };
    struct cadre_group g = { 0 };
    pthread_t thread;

    scene->set(&act.stage);
    if (how == BY_TIME)
        thread = thread_start(act_cancel, &act);
    if (how == AT_DEADLINE)
        act.ctx.deadline = cadre_in(CADRE_US(1) * k);
    test_check(cadre_go(&g, act_call, &act) == 0);
    test_check(cadre_go(&g, act_help, &act) == 0);
    if (how == BY_TURNS)
        test_check(cadre_go(&g, act_cancel_by_turns, &act) == 0);
    test_check(cadre_wait(&g) == 0);
    if (how == BY_TIME)
        thread_join(thread);
    test_check(act.stage.result >= 0 || act.stage.result == (how == AT_DEADLINE ? -ETIMEDOUT : -ECANCELED));
    test_check(act.stage.result >= 0 || how == AT_DEADLINE || act.disturbed);
    test_check(act.ctx.p_links == NULL);
    scene->clear(&act.stage);
    return how == AT_DEADLINE ? act.stage.result < 0 : act.disturbed;
}

/* Returns how many points there were. */
static int perform_at_each_point(const struct scene *scene, enum how how)
{
    int undisturbed = 0, k = 0;

    for (; k < MOST && undisturbed < UNDISTURBED; k++)
        undisturbed = perform(scene, how, k) ? 0 : undisturbed + 1;
    return k - undisturbed;
}

/* ---- all of them ---- */

struct resources {
    int descriptors;
    size_t memory;
};

static struct resources resources_now(void)
{
    struct resources r = { .descriptors = open_descriptors() };

#ifdef __GLIBC__
    r.memory = mallinfo2().uordblks;
#endif
    return r;
}

static void perform_all(enum how how)
{
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        int points = perform_at_each_point(&scenes[i], how);

        print_message("%s: %d points\n", scenes[i].name, points);
    }
}

static void perform_twice(enum how how)
{
    struct resources before, after;

    perform_all(how); /* so that everything is there that stays */
    before = resources_now();
    perform_all(how);
    after = resources_now();
    assert_int_equal(after.descriptors, before.descriptors);
    assert_true(after.memory < before.memory + 100000); /* less than a word for each call */
    assert_int_equal(cdr_poller.waits, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child */
}

static void a_call_that_is_cancelled_at_any_step_loses_nothing(void **state)
{
    (void)state;
    perform_twice(BY_TURNS);
}

static void a_call_that_is_cancelled_at_any_moment_loses_nothing(void **state)
{
    (void)state;
    perform_twice(BY_TIME);
}

static void a_call_whose_deadline_passes_at_any_moment_loses_nothing(void **state)
{
    (void)state;
    perform_twice(AT_DEADLINE);
}

static void all_threads_are_gone_in_the_end(void **state)
{
    (void)state;
    test_until(threads_now() <= cadre_workers() + 3); /* the workers, this one, the monitor, a sanitizer's */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_is_cancelled_at_any_step_loses_nothing),
        cmocka_unit_test(a_call_that_is_cancelled_at_any_moment_loses_nothing),
        cmocka_unit_test(a_call_whose_deadline_passes_at_any_moment_loses_nothing),
        cmocka_unit_test(all_threads_are_gone_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
