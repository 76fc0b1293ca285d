/* SPDX-License-Identifier: MIT
 *
 * The frame of the echo servers: a program PROGRAM echo_CONNECTIONS opens its listening sockets and forks. The child
 * serves; the program itself becomes the load generator (echo_clients.c), which is the same for all and takes over stdin
 * and stdout, so that whoever asks sees a program like any other. The server ends when the load generator does.
 */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#include <arpa/inet.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "bench.h"

#define ECHO_BUFFER 4096   /* what a server reads at once, at most */
#define ECHO_BACKLOG 4096
#define ECHO_MOST_LOOPS 16

/* As many descriptors as this process may have. */
static inline void echo_all_descriptors(void)
{
    struct rlimit most;

    bench_require(getrlimit(RLIMIT_NOFILE, &most) == 0, "getrlimit");
    most.rlim_cur = most.rlim_max;
    bench_require(setrlimit(RLIMIT_NOFILE, &most) == 0, "setrlimit");
}

/* How many threads are to serve. */
static inline int echo_threads(void)
{
    const char *text = getenv("BENCH_THREADS");
    int n = text != NULL ? atoi(text) : 1;

    return n < 1 ? 1 : n < ECHO_MOST_LOOPS ? n : ECHO_MOST_LOOPS;
}

/* A listening socket on this port of the loopback interface, on any when it is 0; says which. */
static inline int echo_listen(int shared, in_port_t *port)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = *port;
    bench_require(fd >= 0 && (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof shared) == 0) &&
                      bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, ECHO_BACKLOG) == 0 &&
                      getsockname(fd, (struct sockaddr *)&address, &size) == 0,
                  "a listening socket");
    *port = address.sin_port;
    return fd;
}

/* Become the load generator, which lies beside this program or one folder up. */
static inline void echo_become_load(const char *version, in_port_t port, const char *question)
{
    char own[PATH_MAX], path[PATH_MAX + 32], number[8];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);

    bench_require(n > 0, "/proc/self/exe");
    own[n] = '\0';
    dirname(own);
    snprintf(number, sizeof number, "%d", ntohs(port));
    snprintf(path, sizeof path, "%s/echo_clients", own);
    execl(path, path, version, number, question, (char *)NULL);
    snprintf(path, sizeof path, "%s/../echo_clients", own);
    execl(path, path, version, number, question, (char *)NULL);
    bench_require(0, "echo_clients is not there");
}

/* serve(listeners, n) never returns. */
static inline int echo_serve(int argc, char **argv, const char *version, int listeners,
                             void (*serve)(const int *listeners, int n))
{
    int fds[ECHO_MOST_LOOPS];
    in_port_t port = 0;
    pid_t above = getpid();

    bench_require(argc >= 2, "usage: PROGRAM echo_CONNECTIONS");
    echo_all_descriptors();
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < listeners; i++)
        fds[i] = echo_listen(listeners > 1, &port);
    if (fork() != 0)
        echo_become_load(version, port, argv[1]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == above)
        serve(fds, listeners);
    return 0;
}

#endif
