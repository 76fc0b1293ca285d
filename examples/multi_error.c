/* SPDX-License-Identifier: MIT
 * multi_error: which of a host's TCP ports accept connections? All are tried at once, and every failure is reported.
 *
 * Nothing here is a task. The work is done by an event loop in a thread of its own, as by a library with callbacks, and the
 * group only counts: cadre_group_hold for each callback that is to come, cadre_group_release with its error when it came.
 * cadre_wait waits for the last of them, and cadre_errors_format writes what went wrong as text. */
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cadre.h"

#define MAX_PORTS 1024

struct probe {
    const char *port;
    int fd;
    int code; /* what came of it */
};

static struct cadre_group probes = { .name = "probes" };
static int epoll;

/* The callback: the connection stands, or it failed. Afterwards the probe is main's. */
static void connected(struct probe *probe, int code)
{
    probe->code = code;
    if (probe->fd >= 0)
        close(probe->fd);
    cadre_group_release(&probes, code);
}

static void *event_loop(void *arg)
{
    struct epoll_event event = { 0 };
    int error;
    socklen_t size = sizeof error;

    for (;;) {
        struct probe *probe;

        if (epoll_wait(epoll, &event, 1, -1) != 1)
            continue; /* EINTR */
        probe = event.data.ptr;
        if (probe == NULL)
            return arg; /* what main asks for at the end */
        connected(probe, getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? -error : -errno);
    }
}

/* Begin to connect. Whatever happens, `connected` is called for the probe, now or later. */
static void try_to_connect(struct probe *probe, const char *host)
{
    static const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct epoll_event event = { .events = EPOLLOUT | EPOLLONESHOT, .data.ptr = probe };
    struct addrinfo *to = NULL;
    int status = getaddrinfo(host, probe->port, &hints, &to) == 0 ? 0 : -EADDRNOTAVAIL;

    if (status == 0) {
        probe->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (probe->fd < 0 || (connect(probe->fd, to->ai_addr, to->ai_addrlen) != 0 && errno != EINPROGRESS) ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, probe->fd, &event) != 0)
            status = -errno;
        freeaddrinfo(to);
    }
    if (status != 0)
        connected(probe, status);
}

int main(int argc, char **argv)
{
    static struct probe all[MAX_PORTS];
    static struct cadre_error errors[MAX_PORTS];
    static char text[MAX_PORTS * 512];
    int count = argc - 2, finish = eventfd(1, EFD_CLOEXEC);
    pthread_t thread;

    if (count < 1 || count > MAX_PORTS) {
        fputs("Usage: multi_error ADDRESS PORT...\n", stderr);
        return 64;
    }
    probes.errors = errors;
    probes.max_errors = MAX_PORTS;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || finish < 0 || pthread_create(&thread, NULL, event_loop, NULL) != 0) {
        perror("multi_error");
        return EXIT_FAILURE;
    }
    for (int i = 0; i < count; i++) {
        all[i] = (struct probe){ .port = argv[i + 2], .fd = -1 };
        cadre_group_hold(&probes);
        try_to_connect(&all[i], argv[1]);
    }
    cadre_wait(&probes);
    epoll_ctl(epoll, EPOLL_CTL_ADD, finish, &(struct epoll_event){ .events = EPOLLIN });
    pthread_join(thread, NULL);

    for (int i = 0; i < count; i++)
        printf("%s %s\n", all[i].port, all[i].code == 0 ? "open" : cadre_strerror(all[i].code));
    cadre_errors_format(&probes, text, sizeof text);
    fputs(text, stderr);
    return fclose(stdout) == 0 && cadre_group_error(&probes).code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
