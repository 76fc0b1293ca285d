/* SPDX-License-Identifier: MIT
 *
 * echo_clients VERSION PORT echo_CONNECTIONS: the load for the echo servers; knows nothing of any library. One thread, one
 * epoll set. All connections are made once; in a run each of them sends a message, waits for it to come back, looks
 * whether it is the same, and sends the next, until the run's number of requests is done.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include "echo.h"

#define MESSAGE 64
#define AT_ONCE 256
#define PER_ADDRESS 20000 /* connections from one address of ours: there are that many ports */

struct connection {
    int fd;
    int got;     /* bytes of the answer */
    double sent; /* when the message was */
    char message[MESSAGE];
};

struct load {
    struct connection *connections;
    int count, epoll;
    long requests; /* of a run */
    long begun, done, serial;
    double *times;
};

static void send_next(struct load *load, struct connection *c)
{
    load->begun++;
    c->got = 0;
    memset(c->message, (int)(load->serial & 0xff), MESSAGE);
    memcpy(c->message, &load->serial, sizeof load->serial);
    load->serial++;
    c->sent = bench_now();
    bench_require(send(c->fd, c->message, MESSAGE, MSG_NOSIGNAL) == MESSAGE, "send"); /* there is room for one */
}

static void receive(struct load *load, struct connection *c)
{
    char buffer[MESSAGE];
    ssize_t n = recv(c->fd, buffer, (size_t)(MESSAGE - c->got), 0);

    if (n < 0 && errno == EAGAIN)
        return;
    bench_require(n > 0 && memcmp(buffer, c->message + c->got, (size_t)n) == 0, "what came back");
    c->got += (int)n;
    if (c->got < MESSAGE)
        return;
    load->times[load->done++] = bench_now() - c->sent;
    if (load->begun < load->requests)
        send_next(load, c);
}

static void run(const void *arg, double *figures)
{
    struct load *load = (struct load *)(uintptr_t)arg;
    struct epoll_event events[AT_ONCE];
    double begin = bench_now();

    load->begun = load->done = 0;
    for (int i = 0; i < load->count && load->begun < load->requests; i++)
        send_next(load, &load->connections[i]);
    while (load->done < load->requests) {
        int n = epoll_wait(load->epoll, events, AT_ONCE, 30000);

        bench_require(n > 0, "no answer for 30 seconds");
        for (int i = 0; i < n; i++)
            receive(load, events[i].data.ptr);
    }
    figures[0] = (bench_now() - begin) / (double)load->requests;
    figures[1] = bench_quantile(load->times, load->requests, 0.99) / 1e3;
}

static void make_connection(struct load *load, int i, in_port_t port)
{
    struct connection *c = &load->connections[i];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;

    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (in_addr_t)(i / PER_ADDRESS));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_require(c->fd >= 0, "more descriptors than this process may have");
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    bench_require(bind(c->fd, (struct sockaddr *)&from, sizeof from) == 0 &&
                      connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0 &&
                      setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 &&
                      epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0,
                  "a connection");
}

int main(int argc, char **argv)
{
    struct load load = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    int port = argc == 4 ? atoi(argv[2]) : 0;

    load.count = argc == 4 && strncmp(argv[3], "echo_", 5) == 0 ? atoi(argv[3] + 5) : 0;
    bench_require(port > 0 && load.count > 0, "usage: echo_clients VERSION PORT echo_CONNECTIONS");
    load.requests = bench_pick(100000, 2000);
    if (load.count > load.requests)
        load.count = (int)load.requests;
    load.connections = calloc((size_t)load.count, sizeof *load.connections);
    load.times = calloc((size_t)load.requests, sizeof *load.times);
    bench_require(load.connections != NULL && load.times != NULL, "memory");
    for (int i = 0; i < load.count; i++)
        make_connection(&load, i, (in_port_t)port);
    return bench_answer(argv[1], "ns/request\tp99\tus", run, &load);
}
