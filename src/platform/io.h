/* SPDX-License-Identifier: MIT
 * Descriptors, child processes and signals, as the operating system offers them: calls that never block, and the one place where a
 * thread waits for many descriptors at once. All keep errno and give negative errno values. */
#ifndef CADRE_PLATFORM_IO_H
#define CADRE_PLATFORM_IO_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>

/* ---- waiting for descriptors (epoll.c) ---- */

/* What happened to one descriptor; events as in poll(2). */
struct cdr_event {
    uint64_t tag;
    uint32_t events;
};
#define CDR_BELL UINT64_MAX /* the tag of the bell, which wakes who waits */

/* A set of descriptors, and its bell. 0 or a negative errno. */
int cdr_epoll_open(int *epoll, int *bell);

/* Ask to be told once of any of these events of fd; what was asked before is forgotten. add: it is not in the set yet, else -ENOENT
 * says so. -EPERM: it is of a kind that cannot be waited for. */
int cdr_epoll_arm(int epoll, int fd, uint32_t events, uint64_t tag, bool add);
void cdr_epoll_remove(int epoll, int fd);

/* Collect up to n events; wait for the first until `deadline`: 0 not at all, INT64_MAX for ever. Returns how many. */
int cdr_epoll_wait(int epoll, struct cdr_event *events, int n, int64_t deadline);

void cdr_bell_ring(int bell);
void cdr_bell_clear(int bell);

/* ---- reading and writing without blocking (transfer.c) ---- */

/* Up to size bytes: their number, or -EAGAIN when that would block. quiet: keep SIGPIPE, which the thread does not block, from coming. */
ssize_t cdr_read_now(int fd, void *buf, size_t size);
ssize_t cdr_write_now(int fd, const void *buf, size_t size, bool quiet);

/* The same as the descriptor's own mode has it. */
ssize_t cdr_read_file(int fd, void *buf, size_t size);
ssize_t cdr_write_file(int fd, const void *buf, size_t size, bool quiet);

/* -EAGAIN when they would block; the descriptor is non-blocking from then on. */
int cdr_accept_now(int fd, struct sockaddr *addr, socklen_t *size);
int cdr_connect_now(int fd, const struct sockaddr *addr, socklen_t size);
int cdr_connect_result(int fd);

ssize_t cdr_recvmsg_now(int fd, struct msghdr *message, int flags);
ssize_t cdr_sendmsg_now(int fd, const struct msghdr *message, int flags);

/* As poll(2), without waiting. */
int cdr_poll_now(struct pollfd *fds, size_t n);

int cdr_close(int fd);

/* Two ends of a pipe, close-on-exec; ours is non-blocking: ends[mine]. */
int cdr_pipe(int ends[2], int mine);

/* ---- child processes (spawn.c) ---- */

struct cdr_spawn {
    char *const *argv, *const *env;
    const char *directory;
    int fds[3]; /* to be its stdin, stdout, stderr; -1: /dev/null */
    bool keep_fds;
};

/* Start a process in a group of its own, with no signal blocked. Takes as long however large the caller is. 0 or what kept it from
 * running. *handle is a descriptor that becomes readable when it exits. */
int cdr_spawn(const struct cdr_spawn *how, pid_t *pid, int *handle);

/* *fd is to be the child's descriptor `target`: when it is one of the first three, and not that one, it would be in the way, and a copy further
 * up takes its place. *copied, unless NULL, says so; with NULL the original is closed. */
int cdr_above_standard(int *fd, int target, bool *copied);

#define CDR_TERMINATE 15 /* SIGTERM and SIGKILL, the same on all architectures */
#define CDR_KILL 9

/* Has it exited, and how? It stays a zombie, so that its number stays its own. 0, or -EAGAIN, or -ECHILD. */
int cdr_child_look(int handle, int *status, int *signal);

/* Let it go, once it has exited. */
int cdr_child_reap(int handle, struct rusage *usage);

/* To all of its group; and to itself, should it have left that. It must not have been let go. */
void cdr_child_kill(pid_t pid, int signal);

/* ---- signals (signal.c) ---- */

/* From now on these signals are counted, each by a bell. -EINVAL: none in the set, or one that must not be taken. */
int cdr_signals_take(const sigset_t *set);

/* One of these that has come: its number, or 0. */
int cdr_signals_next(const sigset_t *set);

/* Their bells, of which one can be read when one has come. Returns how many, at most CDR_SIGNALS. */
#define CDR_SIGNALS 64
size_t cdr_signals_bells(const sigset_t *set, struct pollfd *fds);

/* A descriptor that can be read when one of the signals is pending, because all block it; and to take it: its number, or 0. */
int cdr_signals_open(const sigset_t *set);
int cdr_signals_read(int fd);

#endif
