/* SPDX-License-Identifier: MIT
 * echo_server: sends back what comes in, on any number of TCP connections at once, until SIGINT or SIGTERM.
 *
 *     $ echo_server -p 7000
 *     listening on 127.0.0.1 port 7000
 *     ^C
 *     10000 connections, 64000000 bytes, 0 errors
 *
 * One task accepts, and each connection has a task of its own, which reads and writes as if it were alone. All of them stop when the
 * group is cancelled: their calls return -ECANCELED. With -m at most so many are served at a time: then cadre_go waits for
 * one to end, nothing is accepted meanwhile, and who comes waits in the kernel's queue. */
#include <argp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "cadre.h"

#define BUFFER_SIZE 16384
#define BACKLOG 4096

struct server {
    const char *address, *port;
    int limit;
    int listener;
    atomic_ullong connections, bytes, errors; /* relaxed: read when all tasks have ended, which orders it */
};

static struct server server = { .address = "127.0.0.1", .port = "7" };

static void count(atomic_ullong *what, size_t n) { atomic_fetch_add_explicit(what, n, memory_order_relaxed); }

/* The argument of a connection's task is its descriptor. */
static void drop_connection(void *arg) { cadre_close((int)(intptr_t)arg); }

static int serve(struct cadre_ctx *ctx, void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buffer[BUFFER_SIZE];
    ssize_t n;

    count(&server.connections, 1);
    while ((n = cadre_read(ctx, fd, buffer, sizeof buffer)) > 0) {
        n = cadre_write(ctx, fd, buffer, (size_t)n);
        if (n < 0)
            break;
        count(&server.bytes, (size_t)n);
    }
    if (n < 0 && n != -ECANCELED)
        count(&server.errors, 1);
    cadre_close(fd);
    return 0; /* one that breaks is no reason to end the others */
}

/* Having no descriptor or memory left for another connection passes: some will end. */
static int accept_one(struct cadre_ctx *ctx)
{
    int fd, one = 1;

    while ((fd = cadre_accept(ctx, server.listener, NULL, NULL)) == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
        count(&server.errors, 1);
        fd = cadre_sleep(ctx, CADRE_MS(50));
        if (fd != 0)
            return fd;
    }
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int accept_all(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group connections = { .parent = ctx, .name = "connections", .limit = server.limit, .drop = drop_connection };
    int fd;

    (void)arg;
    while ((fd = accept_one(ctx)) >= 0)
        cadre_go(&connections, serve, (void *)(intptr_t)fd);
    cadre_wait(&connections);
    return cadre_fail(ctx, fd, "accept: %s", cadre_strerror(fd));
}

/* Returns what is wrong, or NULL. */
static const char *start_listening(void)
{
    struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *found;
    char address[NI_MAXHOST], port[NI_MAXSERV];
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    int one = 1, error = getaddrinfo(server.address, server.port, &hints, &found);

    if (error != 0)
        return gai_strerror(error);
    server.listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    error = server.listener < 0 || setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
            bind(server.listener, found->ai_addr, found->ai_addrlen) != 0 || listen(server.listener, BACKLOG) != 0 ||
            getsockname(server.listener, (struct sockaddr *)&bound, &size) != 0;
    freeaddrinfo(found);
    if (error != 0)
        return cadre_strerror(-errno);
    getnameinfo((struct sockaddr *)&bound, size, address, sizeof address, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    printf("listening on %s port %s\n", address, port);
    return fflush(stdout) == 0 ? NULL : cadre_strerror(-errno);
}

/* As many descriptors as this process may have. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    char *end;
    long n;

    if (key == 'm') {
        n = strtol(text, &end, 10);
        if (end == text || *end != '\0' || n < 1 || n > 10000000)
            argp_error(state, "%s: not a number of connections", text);
        server.limit = (int)n;
    } else if (key == 'p') {
        server.port = text;
    } else if (key == 'a') {
        server.address = text;
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "address", 'a', "ADDRESS", 0, "Listen there (127.0.0.1)", 0 },
    { "port", 'p', "PORT", 0, "Listen on that port (7); 0: any that is free", 0 },
    { "most", 'm', "N", 0, "Serve at most N connections at a time (no limit)", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .doc = "Send back what comes in on TCP connections, until SIGINT or SIGTERM.",
};

int main(int argc, char **argv)
{
    struct cadre_group g = { .name = "server", .flags = CADRE_CANCEL_ON_ERROR };
    const char *trouble;
    sigset_t signals;

    argp_parse(&parser, argc, argv, 0, NULL, NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* until somebody waits for them: none must be missed */
    raise_limit();
    trouble = start_listening();
    if (trouble != NULL) {
        fprintf(stderr, "echo_server: %s port %s: %s\n", server.address, server.port, trouble);
        return EXIT_FAILURE;
    }

    cadre_go(&g, accept_all, NULL);
    if (cadre_wait_signal(cadre_group_ctx(&g), &signals) > 0)
        cadre_group_cancel(&g, 0, "signal");
    cadre_wait(&g);

    cadre_close(server.listener);
    if (cadre_group_error(&g).code != 0)
        fprintf(stderr, "echo_server: %s\n", cadre_group_error(&g).message);
    printf("%llu connections, %llu bytes, %llu errors\n", server.connections, server.bytes, server.errors);
    return cadre_group_error(&g).code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
