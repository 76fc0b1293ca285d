/* SPDX-License-Identifier: MIT
 * Reading and writing: every kind of descriptor in both modes, without ever blocking the thread, and what remains of a
 * transfer that a cancel or a deadline broke off. */
#define _GNU_SOURCE 1
#include "test.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <termios.h>

#include "io.h"
#include "platform/sanitizer.h" /* which of them is there */

#define READERS 20
#define LARGE ((size_t)times(4000000))

/* ---- kinds ---- */

static int read_and_write_a_file(struct cadre_ctx *ctx, void *arg)
{
    char name[] = "/tmp/cadre-test-XXXXXX", bytes[16];
    struct cadre_ctx ended = { .deadline = 1 };
    int fd = mkstemp(name);

    (void)arg;
    test_check(fd >= 0 && unlink(name) == 0);
    test_check(kept(cadre_write(ctx, fd, "0123456789", 10)) == 10);
    test_check(kept(cadre_write(&ended, fd, "abc", 3)) == 3);
    test_check(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    test_check(lseek(fd, 0, SEEK_SET) == 0);
    test_check(kept(cadre_read(&ended, fd, bytes, 4)) == 4 && memcmp(bytes, "0123", 4) == 0);
    test_check(kept(cadre_read(ctx, fd, bytes, sizeof bytes)) == 9 && memcmp(bytes, "456789abc", 9) == 0);
    test_check(kept(cadre_read(ctx, fd, bytes, sizeof bytes)) == 0);
    close(fd);
    return 0;
}

static void files_are_read_and_written_also_under_an_ended_context(void **state)
{
    (void)state;
    everywhere(read_and_write_a_file, NULL);
}

static int use_devices(struct cadre_ctx *ctx, void *arg)
{
    char bytes[100000];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    int directory = open(".", O_RDONLY | O_CLOEXEC), full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)arg;
    memset(bytes, 'x', sizeof bytes);
    test_check(kept(cadre_read(ctx, null, bytes, sizeof bytes)) == 0);
    test_check(kept(cadre_write(ctx, null, bytes, sizeof bytes)) == (ssize_t)sizeof bytes);
    test_check(kept(cadre_read(ctx, zero, bytes, 10)) == 10 && bytes[9] == 0 && bytes[10] == 'x');
    test_check(kept(cadre_read(ctx, directory, bytes, sizeof bytes)) == -EISDIR);
    test_check(full < 0 || kept(cadre_write(ctx, full, bytes, 10)) == -ENOSPC);
    close(null);
    close(zero);
    close(directory);
    close(full);
    return 0;
}

static void devices_and_directories_answer_as_they_do_to_read_and_write(void **state)
{
    (void)state;
    everywhere(use_devices, NULL);
}

static int use_counters(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx ended = { .deadline = 1 };
    uint64_t count = 7, got = 0;
    int event = eventfd(0, *(int *)arg ? EFD_NONBLOCK : 0), timer = timerfd_create(CLOCK_MONOTONIC, *(int *)arg ? TFD_NONBLOCK : 0);
    struct itimerspec soon = { .it_value = { .tv_nsec = 2000000 } };

    test_check(kept(cadre_read(&ended, event, &got, sizeof got)) == -ETIMEDOUT);
    test_check(kept(cadre_write(ctx, event, &count, sizeof count)) == 8);
    test_check(kept(cadre_read(ctx, event, &got, sizeof got)) == 8 && got == 7);
    test_check(timerfd_settime(timer, 0, &soon, NULL) == 0);
    test_check(kept(cadre_read(ctx, timer, &got, sizeof got)) == 8 && got == 1);
    test_check(kept(cadre_read(&ended, timer, &got, sizeof got)) == -ETIMEDOUT);
    close(event);
    close(timer);
    return 0;
}

static void counters_and_timers_are_waited_for_in_both_modes(void **state)
{
    (void)state;
    for (int nonblocking = 0; nonblocking < 2; nonblocking++)
        everywhere(use_counters, &nonblocking);
}

static int type_later(struct cadre_ctx *ctx, void *arg)
{
    until_waiting(1);
    test_check(kept(cadre_write(ctx, *(int *)arg, "hello\n", 6)) == 6);
    return 0;
}

static int use_a_terminal(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_MS(2)) };
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
    struct cadre_group g = { .parent = ctx };
    struct termios mode;
    char line[16];

    (void)arg;
    test_check(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    test_check(slave >= 0 && tcgetattr(slave, &mode) == 0);
    mode.c_lflag &= ~(tcflag_t)ECHO;
    test_check(tcsetattr(slave, TCSANOW, &mode) == 0);
    test_check(kept(cadre_read(&soon, slave, line, sizeof line)) == -ETIMEDOUT);
    test_check(cadre_go(&g, type_later, &master) == 0);
    test_check(kept(cadre_read(ctx, slave, line, sizeof line)) == 6 && memcmp(line, "hello\n", 6) == 0);
    test_check(cadre_wait(&g) == 0);
    test_check(kept(cadre_write(ctx, slave, "ok", 2)) == 2);
    test_check(kept(cadre_read(ctx, master, line, sizeof line)) == 2 && memcmp(line, "ok", 2) == 0);
    close(slave);
    close(master);
    return 0;
}

static void a_terminal_is_read_line_by_line(void **state)
{
    (void)state;
    everywhere(use_a_terminal, NULL);
}

static int read_standard_input(struct cadre_ctx *ctx, void *arg)
{
    char bytes[8];

    test_check(kept(cadre_read(ctx, STDIN_FILENO, bytes, sizeof bytes)) == 3 && memcmp(bytes, "abc", 3) == 0);
    test_check(kept(cadre_read(ctx, STDIN_FILENO, bytes, sizeof bytes)) == 0);
    (void)arg;
    return 0;
}

static void standard_input_may_be_a_file_or_a_pipe(void **state)
{
    char name[] = "/tmp/cadre-test-XXXXXX";
    int before = dup(STDIN_FILENO), file = mkstemp(name), ends[2];

    (void)state;
    assert_true(file >= 0 && unlink(name) == 0);
    assert_int_equal(write(file, "abc", 3), 3);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    assert_int_equal(dup2(file, STDIN_FILENO), STDIN_FILENO);
    in_a_task(read_standard_input, NULL);
    make_pipe(ends);
    assert_int_equal(write(ends[1], "abc", 3), 3);
    close(ends[1]);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    in_a_task(read_standard_input, NULL);
    if (before >= 0)
        dup2(before, STDIN_FILENO);
    else
        close(STDIN_FILENO);
    close(before);
    close(file);
    close(ends[0]);
}

/* ---- blocking mode ---- */

struct reader {
    int fd;
    struct cadre_ctx *ctx;
    atomic_int *got;
    int result;
};

static int read_one(struct cadre_ctx *ctx, void *arg)
{
    struct reader *r = arg;
    char byte;

    (void)ctx;
    r->result = (int)kept(cadre_read(r->ctx, r->fd, &byte, 1));
    atomic_fetch_add(r->got, 1);
    return 0;
}

/* With nonblocking 0 a thread that reads what another has taken would sleep in the kernel, where no cancel reaches it. */
static void share_one_byte(void (*make)(int ends[2]), bool nonblocking)
{
    struct cadre_ctx ctx = { 0 };
    struct reader readers[READERS];
    struct cadre_group g = { 0 };
    struct plain_call call = { read_one, &readers[0] };
    atomic_int got = 0;
    int ends[2], bytes = 0;
    pthread_t thread;

    make(ends);
    set_nonblocking(ends[0], nonblocking);
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){ .fd = ends[0], .ctx = &ctx, .got = &got };
        test_check(i == 0 || cadre_go(&g, read_one, &readers[i]) == 0);
    }
    thread = thread_start(call_plainly, &call);
    until_waiting(READERS);
    put_byte(ends[1]);
    test_until(atomic_load(&got) == 1);
    until_waiting(READERS - 1);
    put_byte(ends[1]);
    test_until(atomic_load(&got) == 2);
    cadre_ctx_cancel(&ctx, 0, NULL);
    test_check(cadre_wait(&g) == 0);
    thread_join(thread);
    for (int i = 0; i < READERS; i++) {
        test_check(readers[i].result == 1 || readers[i].result == -ECANCELED);
        bytes += readers[i].result == 1;
    }
    test_check(bytes == 2);
    close_both(ends);
}

/* Can a pipe be read without blocking in either mode? Older kernels and emulators cannot tell. */
static bool pipes_know_nowait(void)
{
    int ends[2], error;
    char byte;

    make_pipe(ends);
    error = preadv2(ends[0], &(struct iovec){ &byte, 1 }, 1, -1, RWF_NOWAIT) < 0 ? errno : 0;
    close_both(ends);
    return error == EAGAIN;
}

static void one_of_many_readers_gets_a_byte_and_the_others_go_on_waiting(void **state)
{
    (void)state;
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        if (nonblocking || pipes_know_nowait())
            share_one_byte(make_pipe, nonblocking);
        share_one_byte(make_pair, nonblocking);
    }
}

static void reading_and_writing_leave_the_mode_as_it_is(void **state)
{
    int ends[2];

    (void)state;
    make_pipe(ends);
    assert_int_equal(cadre_write(NULL, ends[1], "x", 1), 1);
    take_byte(ends[0]);
    assert_int_equal(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    close_both(ends);
}

/* ---- large writes ---- */

struct stream {
    int ends[2];
    size_t size;
    unsigned char *bytes;
};

static int write_all(struct cadre_ctx *ctx, void *arg)
{
    struct stream *s = arg;

    test_check(kept(cadre_write(ctx, s->ends[1], s->bytes, s->size)) == (ssize_t)s->size);
    test_check(shutdown(s->ends[1], SHUT_WR) == 0 || close(s->ends[1]) == 0);
    return 0;
}

static int read_slowly(struct cadre_ctx *ctx, void *arg)
{
    struct stream *s = arg;
    unsigned char part[3000];
    size_t done = 0;
    ssize_t got;

    while ((got = cadre_read(ctx, s->ends[0], part, 1 + done % sizeof part)) > 0) {
        test_check(done + (size_t)got <= s->size && memcmp(part, s->bytes + done, (size_t)got) == 0);
        done += (size_t)got;
        if (done % 7 == 0)
            cadre_yield();
    }
    test_check(got == 0 && done == s->size);
    return 0;
}

static void carry(void (*make)(int ends[2]), bool nonblocking, bool plain)
{
    struct stream s = { .size = LARGE, .bytes = malloc(LARGE) };
    struct plain_call call = { write_all, &s };
    struct cadre_group g = { 0 };
    pthread_t thread;

    make(s.ends);
    set_nonblocking(s.ends[0], nonblocking);
    set_nonblocking(s.ends[1], nonblocking);
    for (size_t i = 0; i < s.size; i++)
        s.bytes[i] = (unsigned char)(i ^ i >> 8 ^ i >> 16);
    test_check(cadre_go(&g, read_slowly, &s) == 0);
    if (plain)
        thread = thread_start(call_plainly, &call);
    else
        test_check(cadre_go(&g, write_all, &s) == 0);
    test_check(cadre_wait(&g) == 0);
    if (plain)
        thread_join(thread);
    close(s.ends[0]);
    if (make != make_pipe)
        close(s.ends[1]);
    free(s.bytes);
}

static void make_small_pair(int ends[2])
{
    int size = 4096;

    make_pair(ends);
    test_check(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
}

static void a_large_write_is_complete_however_slow_the_reader(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        carry(make_pipe, (i & 1) != 0, (i & 2) != 0);
        carry(make_small_pair, (i & 1) != 0, (i & 2) != 0);
    }
}

static int write_in_vain(struct cadre_ctx *ctx, void *arg)
{
    static const char bytes[1 << 20];
    struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_MS(5)) }, ended = { .deadline = 1 };
    int *ends = arg;

    test_check(kept(cadre_write(&soon, ends[1], bytes, sizeof bytes)) == -ETIMEDOUT);
    test_check(kept(cadre_write(&ended, ends[1], bytes, 1)) == -ETIMEDOUT);
    test_check(empty(ends[0]) > 0); /* some of it has been written */
    test_check(kept(cadre_write(&ended, ends[1], bytes, 1)) == 1);
    test_check(empty(ends[0]) == 1);
    return 0;
}

static void a_write_that_nobody_makes_room_for_ends_with_its_context(void **state)
{
    int ends[2];

    (void)state;
    make_pipe(ends);
    everywhere(write_in_vain, ends);
    close_both(ends);
    make_pair(ends);
    everywhere(write_in_vain, ends);
    close_both(ends);
}

/* ---- the other end is gone ---- */

static int write_to_nobody(struct cadre_ctx *ctx, void *arg)
{
    int pair[2], pipe[2];
    char byte;

    (void)arg;
    make_pair(pair);
    make_pipe(pipe);
    close(pair[0]);
    close(pipe[0]);
    test_check(kept(cadre_write(ctx, pair[1], "x", 1)) == -EPIPE);
    test_check(kept(cadre_write(ctx, pipe[1], "x", 1)) == -EPIPE);
    test_check(kept(cadre_read(ctx, pair[1], &byte, 1)) == 0);
    close(pair[1]);
    close(pipe[1]);
    return 0;
}

static int write_to_nobody_from_the_pool(struct cadre_ctx *ctx, void *arg)
{
    cadre_pin(); /* off the threads that only help */
    test_check(write_to_nobody(ctx, arg) == 0);
    cadre_unpin();
    return 0;
}

/* Neither one that ends the program, nor one that is left pending where it is blocked. */
static void writing_where_nobody_reads_raises_no_signal(void **state)
{
    void (*before)(int) = signal(SIGPIPE, SIG_DFL);
    sigset_t set, mask, pending;

    (void)state;
    everywhere(write_to_nobody, NULL);
    in_a_task(write_to_nobody_from_the_pool, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, &mask);
    assert_int_equal(write_to_nobody(NULL, NULL), 0);
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    signal(SIGPIPE, before);
}

static void closing_ends_reads_and_writes(void **state)
{
    struct cadre_ctx ctx = { 0 };
    atomic_int got = 0;
    int ends[2];
    struct reader reader = { .ctx = &ctx, .got = &got };
    struct cadre_group g = { 0 };

    (void)state;
    make_pair(ends);
    reader.fd = ends[0];
    assert_int_equal(cadre_go(&g, read_one, &reader), 0);
    until_waiting(1);
    assert_int_equal(cadre_close(ends[0]), 0);
    assert_int_equal(cadre_wait(&g), 0);
    assert_int_equal(reader.result, -EBADF);
    close(ends[1]);
}

/* ---- arguments ---- */

static int call_wrongly(struct cadre_ctx *ctx, void *arg)
{
    int ends[2];
    char byte;

    (void)arg;
    make_pair(ends);
    test_check(kept(cadre_read(ctx, ends[0], NULL, 1)) == -EINVAL);
    test_check(kept(cadre_write(ctx, ends[0], NULL, 1)) == -EINVAL);
    test_check(kept(cadre_write(ctx, ends[0], &byte, SIZE_MAX)) == -EINVAL);
    test_check(kept(cadre_write(ctx, ends[0], NULL, 0)) == 0);
    test_check(kept(cadre_read(ctx, -1, &byte, 1)) == -EBADF);
    test_check(kept(cadre_write(ctx, -1, "x", 1)) == -EBADF);
    close_both(ends);
    test_check(kept(cadre_read(ctx, ends[0], &byte, 1)) == -EBADF);
    test_check(kept(cadre_write(ctx, ends[0], "x", 1)) == -EBADF);
    return 0;
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    everywhere(call_wrongly, NULL);
}

static int write_more_than_fits(struct cadre_ctx *ctx, void *arg)
{
    uint64_t nearly_all = UINT64_MAX - 10, more = 100;
    struct cadre_ctx soon = { .parent = ctx, .deadline = cadre_in(CADRE_MS(5)) }, ended = { .deadline = 1 };
    int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    (void)arg;
    test_check(kept(cadre_write(ctx, event, &nearly_all, sizeof nearly_all)) == 8);
    test_check(kept(cadre_write(&soon, event, &more, sizeof more)) == -ETIMEDOUT);
    test_check(kept(cadre_write(&ended, event, &more, sizeof more)) == -ETIMEDOUT);
    close(event);
    return 0;
}

static void what_is_ready_but_not_for_so_much_is_waited_for_under_the_context(void **state)
{
    (void)state;
    everywhere(write_more_than_fits, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_and_written_also_under_an_ended_context),
        cmocka_unit_test(devices_and_directories_answer_as_they_do_to_read_and_write),
        cmocka_unit_test(counters_and_timers_are_waited_for_in_both_modes),
        cmocka_unit_test(a_terminal_is_read_line_by_line),
        cmocka_unit_test(standard_input_may_be_a_file_or_a_pipe),
        cmocka_unit_test(one_of_many_readers_gets_a_byte_and_the_others_go_on_waiting),
        cmocka_unit_test(reading_and_writing_leave_the_mode_as_it_is),
        cmocka_unit_test(a_large_write_is_complete_however_slow_the_reader),
        cmocka_unit_test(a_write_that_nobody_makes_room_for_ends_with_its_context),
        cmocka_unit_test(writing_where_nobody_reads_raises_no_signal),
        cmocka_unit_test(closing_ends_reads_and_writes),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(what_is_ready_but_not_for_so_much_is_waited_for_under_the_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
