/* SPDX-License-Identifier: MIT
 * echo_load: opens many connections to an echo server, sends messages on all of them and looks whether they come back.
 *
 *     $ echo_load -c 10000 -n 20 127.0.0.1 7000
 *     10000 connections, 200000 messages of 64 bytes in 2.37 s: 84388 per second
 *     latency: p50 112.64 ms, p99 143.36 ms, max 151.04 ms
 *
 * First all connect, some at a time; then a task for each sends a message, waits for the echo and sends the next. The first of each kind of
 * trouble is told, and those connections end; the others go on. */
#include <argp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cadre.h"

#define MOST_CONNECTIONS 1000000
#define MOST_BYTES 65536      /* of a message: both sides' socket buffers hold it, so that writing all before reading is safe */
#define CONNECTING 256        /* at a time: fewer than servers let wait */
#define PER_ADDRESS 20000     /* connections from one loopback address: there are not many more ports */
#define TOLD 5                /* errors that are printed */

struct load {
    const char *host, *port;
    long connections, messages, size;
    double seconds;
    struct addrinfo *server;
    cadre_time end; /* 0: when all messages were sent */
    int *fds;
};

static struct load load = { .connections = 100, .messages = 100, .size = 64 };

/* ------------------------------------------------------------------------------------------------------- latencies -- */

/* How many took how long: 32 steps for each doubling of the time, so a figure is right to 3 %. Relaxed: read after the wait. */
#define STEPS 32
static atomic_ullong latencies[64 * STEPS];
static atomic_ullong messages;

static void note_latency(cadre_time t)
{
    unsigned long long ns = t < STEPS ? STEPS : (unsigned long long)t;
    int shift = 63 - __builtin_clzll(ns) - 5; /* 2^5 steps */

    atomic_fetch_add_explicit(&latencies[shift * STEPS + (int)(ns >> shift) - STEPS], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&messages, 1, memory_order_relaxed);
}

/* The time in milliseconds that so large a part of them did not exceed. */
static double quantile(double part)
{
    unsigned long long rank = (unsigned long long)(part * (double)(messages - 1)), below = 0;
    int i = 0;

    while (i < 64 * STEPS - 1 && (below += latencies[i]) <= rank)
        i++;
    return (double)((unsigned long long)(STEPS + i % STEPS + 1) << (i / STEPS)) / 1e6;
}

/* ----------------------------------------------------------------------------------------------------- connections -- */

/* From the loopback interface other addresses than the usual one can be used, each with its own ports. */
static int choose_own_address(int fd, long index)
{
    struct sockaddr_in own = { .sin_family = AF_INET };
    int one = 1;

    if (index < PER_ADDRESS || load.server->ai_family != AF_INET ||
        ntohl(((struct sockaddr_in *)(void *)load.server->ai_addr)->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        return 0;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (in_addr_t)(index / PER_ADDRESS));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    return bind(fd, (struct sockaddr *)&own, sizeof own) == 0 ? 0 : -errno;
}

static int open_connection(struct cadre_ctx *ctx, void *arg)
{
    int *fd = arg, one = 1, status;

    *fd = socket(load.server->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    status = *fd < 0 ? -errno : choose_own_address(*fd, fd - load.fds);
    if (status == 0)
        status = cadre_connect(ctx, *fd, load.server->ai_addr, load.server->ai_addrlen);
    if (status != 0)
        return cadre_fail(ctx, status, "connection %td: %s", fd - load.fds + 1, cadre_strerror(status));
    setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return 0;
}

/* Every message is another one. */
static void fill(char *message, long connection, long number)
{
    unsigned long state = (unsigned long)connection * 1000003 + (unsigned long)number;

    for (long i = 0; i < load.size; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        message[i] = (char)(state >> 56);
    }
}

/* Returns 0 or a negative errno value. */
static int send_and_compare(struct cadre_ctx *ctx, int fd, const char *message, char *echo)
{
    ssize_t n = cadre_write(ctx, fd, message, (size_t)load.size);

    for (long got = 0; n > 0 && got < load.size; got += n)
        n = cadre_read(ctx, fd, echo + got, (size_t)(load.size - got));
    if (n <= 0)
        return n < 0 ? (int)n : -ECONNRESET;
    return memcmp(message, echo, (size_t)load.size) == 0 ? 0 : -EBADMSG;
}

static int talk(struct cadre_ctx *ctx, void *arg)
{
    int *fd = arg, status = 0;
    char *message = malloc(2 * (size_t)load.size);
    cadre_time begin;

    if (message == NULL)
        return -ENOMEM;
    for (long i = 0; status == 0 && (load.end == 0 ? i < load.messages : cadre_now() < load.end); i++) {
        fill(message, fd - load.fds, i);
        begin = cadre_now();
        status = send_and_compare(ctx, *fd, message, message + load.size);
        if (status == 0)
            note_latency(cadre_now() - begin);
    }
    free(message);
    return status == 0 ? 0 : cadre_fail(ctx, status, "connection %td: %s", fd - load.fds + 1, cadre_strerror(status));
}

/* -------------------------------------------------------------------------------------------------------- all of it -- */

/* A task for each connection, `limit` at a time. Returns how many failed. */
static size_t for_each(cadre_fn *fn, int limit)
{
    struct cadre_error errors[TOLD];
    struct cadre_group g = { .limit = limit, .errors = errors, .max_errors = TOLD };
    size_t count;

    for (long i = 0; i < load.connections; i++)
        cadre_go(&g, fn, &load.fds[i]);
    cadre_wait(&g);
    count = cadre_group_error_count(&g);
    for (size_t i = 0; i < count && i < TOLD; i++)
        fprintf(stderr, "echo_load: %s\n", errors[i].message);
    if (count > TOLD)
        fprintf(stderr, "echo_load: … and %zu more\n", count - TOLD);
    return count;
}

/* Returns how many connections failed. */
static size_t run(void)
{
    size_t failed = for_each(open_connection, CONNECTING);
    cadre_time begin = cadre_now();
    double seconds;

    if (failed == 0) {
        load.end = load.seconds > 0 ? begin + (cadre_time)(load.seconds * 1e9) : 0;
        failed = for_each(talk, 0);
        seconds = (double)(cadre_now() - begin) / 1e9;
        printf("%ld connections, %llu messages of %ld bytes in %.2f s: %.0f per second\n", load.connections, messages, load.size,
               seconds, (double)messages / seconds);
        if (messages > 0)
            printf("latency: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", quantile(0.5), quantile(0.99), quantile(1));
    }
    for (long i = 0; i < load.connections; i++)
        if (load.fds[i] >= 0)
            cadre_close(load.fds[i]);
    return failed;
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

static long number(struct argp_state *state, const char *text, long most)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end != '\0' || n < 1 || n > most)
        argp_error(state, "%s: not a number from 1 to %ld", text, most);
    return n;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    char *end;

    switch (key) {
    case 'c': load.connections = number(state, text, MOST_CONNECTIONS); break;
    case 'n': load.messages = number(state, text, 1000000000); break;
    case 's': load.size = number(state, text, MOST_BYTES); break;
    case 'd':
        load.seconds = strtod(text, &end);
        if (end == text || *end != '\0' || !(load.seconds > 0 && load.seconds < 1e6))
            argp_error(state, "%s: not a number of seconds", text);
        break;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            return ARGP_ERR_UNKNOWN;
        *(state->arg_num == 0 ? &load.host : &load.port) = text;
        break;
    case ARGP_KEY_END:
        if (state->arg_num < 2)
            argp_error(state, "no host and port given");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    { "connections", 'c', "N", 0, "Open N connections (100)", 0 },
    { "messages", 'n', "N", 0, "Send N messages on each (100) …", 0 },
    { "duration", 'd', "SECONDS", 0, "… or as many as go in so much time", 0 },
    { "size", 's', "BYTES", 0, "Of a message (64)", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "HOST PORT",
    .doc = "Send messages to an echo server on many connections, compare what comes back, and tell how long it took.",
};

int main(int argc, char **argv)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    size_t failed;
    int error;

    argp_parse(&parser, argc, argv, 0, NULL, NULL);
    raise_limit();
    error = getaddrinfo(load.host, load.port, &hints, &load.server);
    if (error != 0) {
        fprintf(stderr, "echo_load: %s port %s: %s\n", load.host, load.port, gai_strerror(error));
        return EXIT_FAILURE;
    }
    load.fds = malloc((size_t)load.connections * sizeof *load.fds);
    if (load.fds == NULL) {
        fprintf(stderr, "echo_load: no memory\n");
        return EXIT_FAILURE;
    }
    memset(load.fds, 0xff, (size_t)load.connections * sizeof *load.fds); /* -1: not open */
    failed = run();
    free(load.fds);
    freeaddrinfo(load.server);
    if (fclose(stdout) != 0) {
        perror("echo_load: standard output");
        return EXIT_FAILURE;
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
