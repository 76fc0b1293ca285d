/* SPDX-License-Identifier: MIT
 * Accepting and connecting, on local and TCP sockets, and single messages: datagrams, descriptors that are passed on. */
#define _GNU_SOURCE 1
#include "test.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "io.h"

#define ACCEPTORS 10
#define CONNECTIONS (times(300) / ACCEPTORS * ACCEPTORS)

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in inet;
    };
    socklen_t size;
};

/* A name of its own in the abstract space; nothing remains of it. */
static struct address local_address(void)
{
    static atomic_int number;
    struct address a = { .local = { .sun_family = AF_UNIX } };
    int n = snprintf(a.local.sun_path + 1, sizeof a.local.sun_path - 1, "cadre-test-%d-%d", (int)getpid(),
                     atomic_fetch_add(&number, 1));

    a.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    return a;
}

/* A port that the system chooses when it is bound. */
static struct address inet_address(void)
{
    struct address a = { .inet = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } }, .size = sizeof a.inet };

    return a;
}

static int open_socket(const struct address *a, int type)
{
    int fd = socket(a->any.sa_family, type | SOCK_CLOEXEC, 0);

    test_check(fd >= 0);
    return fd;
}

static int bind_socket(struct address *a, int type)
{
    int fd = open_socket(a, type);

    test_check(bind(fd, &a->any, a->size) == 0);
    if (a->any.sa_family == AF_INET)
        test_check(getsockname(fd, &a->any, &a->size) == 0);
    return fd;
}

static int listen_at(struct address *a, int backlog)
{
    int fd = bind_socket(a, SOCK_STREAM);

    test_check(listen(fd, backlog) == 0);
    return fd;
}

/* ---- accepting and connecting ---- */

struct fair {
    struct address address;
    int listener, n;
    atomic_int accepted, connected;
};

static int accept_some(struct cadre_ctx *ctx, void *arg)
{
    struct fair *fair = arg;

    for (int i = 0; i < fair->n; i++) {
        struct address from = { .size = sizeof from.inet };
        int fd = (int)kept(cadre_accept(ctx, fair->listener, &from.any, &from.size));

        test_check(fd >= 0 && from.any.sa_family == fair->address.any.sa_family);
        test_check((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        atomic_fetch_add(&fair->accepted, 1);
        test_check(cadre_write(ctx, fd, "x", 1) == 1);
        close(fd);
    }
    return 0;
}

static int connect_some(struct cadre_ctx *ctx, void *arg)
{
    struct fair *fair = arg;
    char byte;

    for (int i = 0; i < fair->n; i++) {
        int fd = open_socket(&fair->address, SOCK_STREAM);

        test_check(kept(cadre_connect(ctx, fd, &fair->address.any, fair->address.size)) == 0);
        test_check(cadre_read(ctx, fd, &byte, 1) == 1);
        atomic_fetch_add(&fair->connected, 1);
        close(fd);
    }
    return 0;
}

/* Tasks on both sides, and a plain thread on each. */
static void meet(struct address address, int backlog)
{
    struct fair fair = { .address = address, .n = CONNECTIONS / ACCEPTORS };
    struct plain_call accepting = { accept_some, &fair }, connecting = { connect_some, &fair };
    struct cadre_group g = { 0 };
    pthread_t threads[2];

    fair.listener = listen_at(&fair.address, backlog);
    threads[0] = thread_start(call_plainly, &accepting);
    threads[1] = thread_start(call_plainly, &connecting);
    for (int i = 1; i < ACCEPTORS; i++) {
        test_check(cadre_go(&g, accept_some, &fair) == 0);
        test_check(cadre_go(&g, connect_some, &fair) == 0);
    }
    test_check(cadre_wait(&g) == 0);
    thread_join(threads[0]);
    thread_join(threads[1]);
    test_check(fair.accepted == CONNECTIONS && fair.connected == CONNECTIONS);
    close(fair.listener);
}

static void each_connection_is_accepted_once(void **state)
{
    (void)state;
    meet(local_address(), 64);
    meet(inet_address(), 64);
}

static void who_connects_waits_for_room_in_the_backlog(void **state)
{
    (void)state;
    meet(local_address(), 0);
}

static int connect_to_nobody(struct cadre_ctx *ctx, void *arg)
{
    struct address none = local_address(), closed = inet_address();
    int fd = bind_socket(&closed, SOCK_STREAM);

    (void)arg;
    close(fd);
    fd = open_socket(&closed, SOCK_STREAM);
    test_check(kept(cadre_connect(ctx, fd, &closed.any, closed.size)) == -ECONNREFUSED);
    close(fd);
    fd = open_socket(&none, SOCK_STREAM);
    test_check(kept(cadre_connect(ctx, fd, &none.any, none.size)) == -ECONNREFUSED);
    close(fd);
    return 0;
}

static void a_connection_may_be_refused(void **state)
{
    (void)state;
    everywhere(connect_to_nobody, NULL);
}

static int connect_twice(struct cadre_ctx *ctx, void *arg)
{
    struct address a = local_address();
    int listener = listen_at(&a, 5), fd = open_socket(&a, SOCK_STREAM);

    (void)arg;
    test_check(kept(cadre_connect(ctx, fd, &a.any, a.size)) == 0);
    test_check((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    test_check(kept(cadre_connect(ctx, fd, &a.any, a.size)) == -EISCONN);
    close(fd);
    close(listener);
    return 0;
}

static void what_is_connected_cannot_be_connected_again(void **state)
{
    (void)state;
    everywhere(connect_twice, NULL);
}

/* ---- cancel, deadline, closing ---- */

struct attempt {
    struct address address;
    int fd, result;
    bool connects;
    struct cadre_ctx ctx;
    atomic_int begun;
};

static int attempt(struct cadre_ctx *ctx, void *arg)
{
    struct attempt *a = arg;

    (void)ctx;
    atomic_store(&a->begun, 1);
    a->result = a->connects ? (int)kept(cadre_connect(&a->ctx, a->fd, &a->address.any, a->address.size))
                            : (int)kept(cadre_accept(&a->ctx, a->fd, NULL, NULL));
    return 0;
}

/* Fill a listener's backlog. Returns how many sockets that took. */
static int crowd_out(const struct address *a, int *fds, int most)
{
    struct cadre_ctx soon;
    int n = 0, code = 0;

    while (code == 0 && n < most) {
        soon = (struct cadre_ctx){ .deadline = cadre_in(CADRE_MS(20)) };
        fds[n] = open_socket(a, SOCK_STREAM);
        code = cadre_connect(&soon, fds[n++], &a->any, a->size);
    }
    test_check(code == -ETIMEDOUT);
    return n;
}

static void connect_in_vain(struct address address, bool plain)
{
    struct attempt a = { .address = address, .connects = true };
    struct plain_call call = { attempt, &a };
    struct cadre_group g = { 0 };
    int crowd[64], listener = listen_at(&a.address, 0), n = crowd_out(&a.address, crowd, 64);
    pthread_t thread;

    a.fd = open_socket(&a.address, SOCK_STREAM);
    if (plain)
        thread = thread_start(call_plainly, &call);
    else
        test_check(cadre_go(&g, attempt, &a) == 0);
    test_until(atomic_load(&a.begun) != 0);
    test_check(cadre_sleep(NULL, CADRE_MS(1)) == 0); /* in most runs it has blocked by then, in some not */
    cadre_ctx_cancel(&a.ctx, 0, NULL);
    test_check(cadre_wait(&g) == 0);
    if (plain)
        thread_join(thread);
    test_check(a.result == -ECANCELED);
    test_check(cadre_close(a.fd) == 0);
    for (int i = 0; i < n; i++)
        close(crowd[i]);
    close(listener);
}

static void who_waits_to_be_connected_can_be_cancelled(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        connect_in_vain(local_address(), plain);
        connect_in_vain(inet_address(), plain);
    }
}

static int accept_in_vain(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_MS(2)) }, ended = { .deadline = 1 };
    struct address a = local_address();
    int listener = listen_at(&a, 5), fd = open_socket(&a, SOCK_STREAM), got;

    (void)arg;
    test_check(kept(cadre_accept(&soon, listener, NULL, NULL)) == -ETIMEDOUT);
    test_check(connect(fd, &a.any, a.size) == 0);
    got = (int)kept(cadre_accept(&ended, listener, NULL, NULL)); /* it need not wait */
    test_check(got >= 0);
    test_check(kept(cadre_accept(&ended, listener, NULL, NULL)) == -ETIMEDOUT);
    close(got);
    close(fd);
    close(listener);
    return 0;
}

static void accepting_ends_with_its_context(void **state)
{
    (void)state;
    everywhere(accept_in_vain, NULL);
}

static void closing_the_listener_ends_accepting(void **state)
{
    struct attempt attempts[ACCEPTORS];
    struct plain_call call = { attempt, &attempts[0] };
    struct address a = inet_address();
    int listener = listen_at(&a, 5);
    struct cadre_group g = { 0 };
    pthread_t thread;

    (void)state;
    for (int i = 0; i < ACCEPTORS; i++) {
        attempts[i] = (struct attempt){ .fd = listener };
        assert_true(i == 0 || cadre_go(&g, attempt, &attempts[i]) == 0);
    }
    thread = thread_start(call_plainly, &call);
    until_waiting(ACCEPTORS);
    assert_int_equal(cadre_close(listener), 0);
    thread_join(thread);
    assert_int_equal(cadre_wait(&g), 0);
    for (int i = 0; i < ACCEPTORS; i++)
        assert_int_equal(attempts[i].result, -EBADF);
}

/* ---- messages ---- */

static struct msghdr message_of(struct iovec *all, void *bytes, size_t size)
{
    *all = (struct iovec){ .iov_base = bytes, .iov_len = size };
    return (struct msghdr){ .msg_iov = all, .msg_iovlen = 1 };
}

static int send_datagram(struct cadre_ctx *ctx, void *arg)
{
    struct address *to = arg, own = inet_address();
    int fd = bind_socket(&own, SOCK_DGRAM);
    struct iovec all;
    struct msghdr m = message_of(&all, (char[]){ "hello" }, 5);

    m.msg_name = &to->any;
    m.msg_namelen = to->size;
    until_waiting(1);
    test_check(kept(cadre_sendmsg(ctx, fd, &m, 0)) == 5);
    m.msg_iov[0].iov_len = 0;
    test_check(kept(cadre_sendmsg(ctx, fd, &m, 0)) == 0);
    close(fd);
    return 0;
}

static int exchange_datagrams(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx ended = { .deadline = 1 };
    struct address own = inet_address(), from = { .size = 0 };
    int fd = bind_socket(&own, SOCK_DGRAM);
    struct cadre_group g = { .parent = ctx };
    char bytes[8] = { 0 };
    struct iovec all;
    struct msghdr m = message_of(&all, bytes, 3);

    (void)arg;
    test_check(cadre_go(&g, send_datagram, &own) == 0);
    m.msg_name = &from.any;
    m.msg_namelen = sizeof from.inet;
    test_check(kept(cadre_recvmsg(ctx, fd, &m, MSG_PEEK)) == 3);
    test_check(kept(cadre_recvmsg(ctx, fd, &m, 0)) == 3 && memcmp(bytes, "hel", 4) == 0);
    test_check((m.msg_flags & MSG_TRUNC) != 0 && from.any.sa_family == AF_INET);
    test_check(kept(cadre_recvmsg(ctx, fd, &m, 0)) == 0); /* an empty one */
    test_check(cadre_wait(&g) == 0);
    test_check(kept(cadre_recvmsg(&ended, fd, &m, 0)) == -ETIMEDOUT);
    close(fd);
    return 0;
}

static void datagrams_keep_their_bounds_and_say_where_they_are_from(void **state)
{
    (void)state;
    everywhere(exchange_datagrams, NULL);
}

static int pass_a_descriptor(struct cadre_ctx *ctx, void *arg)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { .space = { 0 } };
    int ends[2], pipe[2], passed;
    char byte = 'x';
    struct iovec all;
    struct msghdr m = message_of(&all, &byte, 1);

    (void)arg;
    make_pair(ends);
    make_pipe(pipe);
    m.msg_control = control.space;
    m.msg_controllen = sizeof control.space;
    control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.header), &pipe[1], sizeof(int));
    test_check(kept(cadre_sendmsg(ctx, ends[0], &m, 0)) == 1);
    test_check(kept(cadre_recvmsg(ctx, ends[1], &m, MSG_CMSG_CLOEXEC)) == 1);
    memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof passed);
    put_byte(passed);
    take_byte(pipe[0]);
    close(passed);
    close_both(pipe);
    close_both(ends);
    return 0;
}

static void a_message_may_carry_a_descriptor(void **state)
{
    (void)state;
    everywhere(pass_a_descriptor, NULL);
}

static int call_wrongly(struct cadre_ctx *ctx, void *arg)
{
    struct address a = local_address();
    int fd = open_socket(&a, SOCK_STREAM);

    (void)arg;
    test_check(kept(cadre_accept(ctx, fd, &a.any, NULL)) == -EINVAL);
    test_check(kept(cadre_accept(ctx, fd, NULL, &a.size)) == -EINVAL);
    test_check(kept(cadre_accept(ctx, fd, NULL, NULL)) == -EINVAL); /* nobody listens */
    test_check(kept(cadre_connect(ctx, fd, NULL, 0)) == -EINVAL);
    test_check(kept(cadre_recvmsg(ctx, fd, NULL, 0)) == -EINVAL);
    test_check(kept(cadre_sendmsg(ctx, fd, NULL, 0)) == -EINVAL);
    test_check(kept(cadre_accept(ctx, -1, NULL, NULL)) == -EBADF);
    test_check(kept(cadre_connect(ctx, -1, &a.any, a.size)) == -EBADF);
    close(fd);
    return 0;
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    everywhere(call_wrongly, NULL);
}

/* A local datagram socket can always be written, poll(2) says, whether or not a message's receiver has room for it. */
static int send_to_a_full_receiver(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_MS(20)) };
    struct address to = local_address();
    int receiver = bind_socket(&to, SOCK_DGRAM), fd = open_socket(&to, SOCK_DGRAM), sent = 0;
    struct iovec all;
    struct msghdr m = message_of(&all, (char[]){ "hello" }, 5);
    ssize_t code;

    (void)arg;
    m.msg_name = &to.any;
    m.msg_namelen = to.size;
    while ((code = cadre_sendmsg(&soon, fd, &m, 0)) == 5)
        sent++;
    test_check(code == -ETIMEDOUT && sent > 0);
    test_check(kept(cadre_sendmsg(&soon, fd, &m, 0)) == -ETIMEDOUT);
    drain(receiver, 5);
    test_check(kept(cadre_sendmsg(&soon, fd, &m, 0)) == 5);
    close(fd);
    close(receiver);
    return 0;
}

static void a_datagram_waits_for_its_receiver_under_the_context(void **state)
{
    (void)state;
    everywhere(send_to_a_full_receiver, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_connection_is_accepted_once),
        cmocka_unit_test(who_connects_waits_for_room_in_the_backlog),
        cmocka_unit_test(a_connection_may_be_refused),
        cmocka_unit_test(what_is_connected_cannot_be_connected_again),
        cmocka_unit_test(who_waits_to_be_connected_can_be_cancelled),
        cmocka_unit_test(accepting_ends_with_its_context),
        cmocka_unit_test(closing_the_listener_ends_accepting),
        cmocka_unit_test(datagrams_keep_their_bounds_and_say_where_they_are_from),
        cmocka_unit_test(a_message_may_carry_a_descriptor),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(a_datagram_waits_for_its_receiver_under_the_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
