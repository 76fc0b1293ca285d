/* SPDX-License-Identifier: MIT
 *
 * echo: a server by libuv, a handle and a buffer for each connection. With more than one thread, each has a loop and a
 * listening socket of its own, on one port (SO_REUSEPORT).
 */
#include <uv.h>

#include "../../echo.h"

struct connection {
    uv_tcp_t tcp;
    uv_write_t write;
    char buffer[ECHO_BUFFER];
};

static void on_close(uv_handle_t *handle)
{
    free(handle->data);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct connection *c = handle->data;

    (void)suggested;
    *buf = uv_buf_init(c->buffer, sizeof c->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void on_written(uv_write_t *write, int status)
{
    struct connection *c = write->data;

    if (status == 0)
        uv_read_start((uv_stream_t *)&c->tcp, give_buffer, on_read);
    else if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, on_close);
}

/* At once what goes at once; for the rest, reading waits, as there is one buffer. */
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct connection *c = stream->data;
    uv_buf_t out = uv_buf_init(buf->base, (unsigned)(n > 0 ? n : 0));
    int put;

    if (n == 0)
        return;
    if (n < 0) {
        uv_close((uv_handle_t *)stream, on_close);
        return;
    }
    put = uv_try_write(stream, &out, 1);
    if (put == (int)out.len)
        return;
    if (put > 0) {
        out.base += put;
        out.len -= (size_t)put;
    }
    c->write.data = c;
    uv_read_stop(stream);
    if (uv_write(&c->write, stream, &out, 1, on_written) != 0)
        uv_close((uv_handle_t *)stream, on_close);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct connection *c = malloc(sizeof *c);

    bench_require(status == 0 && c != NULL && uv_tcp_init(listener->loop, &c->tcp) == 0, "a connection");
    c->tcp.data = c;
    bench_require(uv_accept(listener, (uv_stream_t *)&c->tcp) == 0, "uv_accept");
    uv_read_start((uv_stream_t *)&c->tcp, give_buffer, on_read);
}

static void run_loop(void *arg)
{
    uv_loop_t loop;
    uv_tcp_t listener;

    bench_require(uv_loop_init(&loop) == 0 && uv_tcp_init(&loop, &listener) == 0 &&
                      uv_tcp_open(&listener, *(const int *)arg) == 0 &&
                      uv_listen((uv_stream_t *)&listener, ECHO_BACKLOG, on_connection) == 0,
                  "a loop");
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void serve(const int *listeners, int n)
{
    uv_thread_t thread;

    for (int i = 1; i < n; i++)
        bench_require(uv_thread_create(&thread, run_loop, (void *)(uintptr_t)&listeners[i]) == 0, "a thread");
    run_loop((void *)(uintptr_t)&listeners[0]);
}

int main(int argc, char **argv)
{
    return echo_serve(argc, argv, uv_version_string(), echo_threads(), serve);
}
