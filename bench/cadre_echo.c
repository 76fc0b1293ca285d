/* SPDX-License-Identifier: MIT
 *
 * echo: a server with a task for each connection, which sends back whatever it reads.
 */
#include <cadre.h>

#include "echo.h"

static int serve_one(struct cadre_ctx *ctx, void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buffer[ECHO_BUFFER];
    ssize_t n;

    while ((n = cadre_read(ctx, fd, buffer, sizeof buffer)) > 0)
        if ((n = cadre_write(ctx, fd, buffer, (size_t)n)) < 0)
            break;
    cadre_close(fd);
    return n == -ECONNRESET || n == -EPIPE ? 0 : (int)n;
}

static int accept_all(struct cadre_ctx *ctx, void *arg)
{
    struct cadre_group connections = {.parent = ctx};
    int fd;

    while ((fd = cadre_accept(ctx, *(const int *)arg, NULL, NULL)) >= 0)
        cadre_go(&connections, serve_one, (void *)(intptr_t)fd);
    fprintf(stderr, "accept: %s\n", cadre_strerror(fd));
    cadre_wait(&connections);
    return fd;
}

static void serve(const int *listeners, int n)
{
    struct cadre_group g = {0};

    (void)n;
    cadre_go(&g, accept_all, (void *)(uintptr_t)listeners);
    cadre_wait(&g);
    exit(1);
}

int main(int argc, char **argv)
{
    return echo_serve(argc, argv, cadre_version(), 1, serve);
}
