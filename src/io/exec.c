/* SPDX-License-Identifier: MIT
 * Child processes: one call feeds a command its input, takes its output, waits for it, and ends it when the context does.
 *
 * The call waits for all of the command's descriptors at once, the process's own among them, until the process has exited and its pipes
 * are at their ends. The process is reaped last of all: as long as it is a zombie nobody else can have its number, so that signals to
 * its group can meet nobody else.
 *
 *     RUNNING --exited, and pipes at their ends--> GONE
 *     RUNNING --ctx ended, or `line` said so--> ASKED: SIGTERM to the group --the same--> GONE
 *                                               ASKED --grace is over--> KILLED: SIGKILL --exited--> GONE
 * Whoever was asked leaves nobody behind: before it is reaped its group gets a last SIGKILL. After that pipes are not waited for: a
 * grandchild that has left the group may hold them for ever. */
#include <stdio.h>
#include <string.h>

#include "group/frame.h"
#include "io/descriptor.h"

#define GRACE CADRE_SEC(2)
#define LINE_SIZE 4096 /* with the final 0 */

enum { IN, OUT, ERR, CHILD, N };
enum stage { RUNNING, ASKED, KILLED };

/* What comes out of one of the command's pipes. */
struct stream {
    char *text; /* the caller's, or NULL */
    size_t size, length;
    bool lines; /* the caller wants them one by one */
    size_t used;
    char line[LINE_SIZE]; /* what has come of the next one; without `lines`, the end of what came, for the message */
};

struct command {
    const struct cadre_command *from;
    struct pollfd fds[N]; /* ours: -1 once it is closed */
    pid_t pid;
    size_t fed;
    enum stage stage;
    int stopped; /* what `line` returned */
    bool exited;
    int status, signal, error;
    cadre_time kill_at;
    struct stream out, err;
};

/* ---- starting ---- */

/* Descriptors that the child gets, and which of them are ours to close afterwards. */
struct ends {
    int fds[3];
    bool close[3];
};

static bool wants_text(const struct cadre_command *from, int stream)
{
    return from->line != NULL || (stream == OUT ? from->out_text : from->err_text) != NULL;
}

/* The child's end of one stream: a pipe whose other end is ours, what the caller gave, or the default. */
static int open_stream(struct command *c, struct ends *ends, int stream)
{
    const struct cadre_command *from = c->from;
    const int given[] = { from->in, from->out, from->err };
    bool piped = stream == IN ? from->input_size > 0 : wants_text(from, stream) || stream == ERR;
    int pipe[2], error;

    ends->fds[stream] = given[stream] != 0 ? given[stream] : stream == IN && (from->flags & CADRE_EXEC_STDIN) == 0 ? -1 : stream;
    if (given[stream] != 0 || !piped)
        return cdr_above_standard(&ends->fds[stream], stream, &ends->close[stream]);
    error = cdr_pipe(pipe, stream == IN ? 1 : 0);
    if (error != 0)
        return error;
    c->fds[stream].fd = stream == IN ? pipe[1] : pipe[0];
    ends->fds[stream] = stream == IN ? pipe[0] : pipe[1];
    ends->close[stream] = true;
    return cdr_above_standard(&ends->fds[stream], stream, NULL);
}

static void close_ends(const struct ends *ends)
{
    for (int i = 0; i < 3; i++)
        if (ends->close[i])
            cdr_close(ends->fds[i]);
}

static void close_fd(struct command *c, int which)
{
    if (c->fds[which].fd >= 0)
        cadre_close(c->fds[which].fd);
    c->fds[which].fd = -1;
}

static int start(struct command *c)
{
    struct ends ends = { .fds = { -1, -1, -1 } };
    const struct cadre_command *from = c->from;
    struct cdr_spawn how = { from->argv, from->env, from->directory, { 0 }, (from->flags & CADRE_EXEC_KEEP_FDS) != 0 };
    int error = 0;

    for (int i = 0; i < 3 && error == 0; i++)
        error = open_stream(c, &ends, i);
    if (error == 0) {
        memcpy(how.fds, ends.fds, sizeof how.fds);
        error = cdr_spawn(&how, &c->pid, &c->fds[CHILD].fd);
    }
    close_ends(&ends);
    if (error != 0)
        for (int i = 0; i < N; i++)
            close_fd(c, i);
    return error;
}

/* ---- what comes out ---- */

/* Stop the command, unless that has been done. */
static void ask(struct command *c)
{
    bool at_once = c->from->grace < 0;

    if (c->stage != RUNNING)
        return;
    cdr_child_kill(c->pid, at_once ? CDR_KILL : CDR_TERMINATE);
    c->stage = at_once ? KILLED : ASKED;
    c->kill_at = cadre_in(c->from->grace != 0 ? c->from->grace : GRACE);
}

static void keep_text(struct stream *s, const char *text, size_t n)
{
    size_t room = s->text != NULL && s->length + 1 < s->size ? s->size - 1 - s->length : 0;

    if (room > 0) {
        size_t part = n < room ? n : room;

        memcpy(s->text + s->length, text, part);
        s->text[s->length + part] = 0;
    }
    s->length += n;
}

static void hand_line(struct command *c, struct stream *s)
{
    int code;

    s->line[s->used] = 0;
    if (c->stopped == 0 && c->stage == RUNNING) {
        code = c->from->line(c->from->line_arg, s == &c->out ? 1 : 2, s->line, s->used);
        if (code != 0) {
            c->stopped = code;
            ask(c);
        }
    }
    s->used = 0;
}

static void split(struct command *c, struct stream *s, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '\n')
            s->line[s->used++] = text[i];
        if (text[i] == '\n' || s->used == LINE_SIZE - 1)
            hand_line(c, s);
    }
}

/* Keep the end of what comes, for the message. */
static void keep_end(struct stream *s, const char *text, size_t n)
{
    if (n > LINE_SIZE / 2) {
        text += n - LINE_SIZE / 2;
        n = LINE_SIZE / 2;
    }
    if (s->used + n > LINE_SIZE - 1) {
        size_t keep = LINE_SIZE - 1 - n;

        memmove(s->line, s->line + s->used - keep, keep);
        s->used = keep;
    }
    memcpy(s->line + s->used, text, n);
    s->used += n;
}

static void take(struct command *c, int which)
{
    struct stream *s = which == OUT ? &c->out : &c->err;
    char text[4096];
    ssize_t n;

    while ((n = cdr_read_file(c->fds[which].fd, text, sizeof text)) > 0) {
        keep_text(s, text, (size_t)n);
        if (s->lines)
            split(c, s, text, (size_t)n);
        else
            keep_end(s, text, (size_t)n);
        if ((size_t)n < sizeof text)
            return;
    }
    if (n == -EAGAIN)
        return;
    if (s->lines && s->used > 0)
        hand_line(c, s); /* the last one, without a newline */
    close_fd(c, which);
}

static void feed(struct command *c)
{
    const char *from = (const char *)c->from->input + c->fed;
    ssize_t n = cdr_pipe_write(c->fds[IN].fd, from, c->from->input_size - c->fed);

    if (n == -EAGAIN)
        return;
    c->fed += n > 0 ? (size_t)n : 0;
    if (n < 0 || c->fed == c->from->input_size) /* a command that does not read its input to the end may do so */
        close_fd(c, IN);
}

static void look_at_child(struct command *c)
{
    int error = cdr_child_look(c->fds[CHILD].fd, &c->status, &c->signal);

    if (error == -EAGAIN)
        return;
    c->exited = true;
    c->error = error;
}

/* ---- the whole ---- */

static bool is_over(const struct command *c)
{
    return c->exited && (c->stage == KILLED || (c->fds[OUT].fd < 0 && c->fds[ERR].fd < 0));
}

static void serve(struct command *c)
{
    if (c->fds[IN].fd >= 0 && c->fds[IN].revents != 0)
        feed(c);
    for (int i = OUT; i <= ERR; i++)
        if (c->fds[i].fd >= 0 && c->fds[i].revents != 0)
            take(c, i);
    if (!c->exited && c->fds[CHILD].revents != 0)
        look_at_child(c);
}

/* 0, or the error of ctx, when that ended it. */
static int attend(struct cadre_ctx *ctx, struct command *c)
{
    int ended = 0;

    while (!is_over(c)) {
        struct pollfd fds[N];
        int n;

        memcpy(fds, c->fds, sizeof fds);
        if (c->exited)
            fds[CHILD].fd = -1;
        n = cadre_poll(c->stage == RUNNING ? ctx : NULL, fds, N, c->stage == ASKED ? c->kill_at : 0);
        for (int i = 0; i < N; i++)
            c->fds[i].revents = n > 0 ? fds[i].revents : 0;
        if (n > 0) {
            serve(c);
        } else if (n == 0) {
            cdr_child_kill(c->pid, CDR_KILL);
            c->stage = KILLED;
        } else if (c->stage == RUNNING) {
            ended = n;
            ask(c);
        } else {
            (void)cadre_sleep(NULL, CADRE_MS(1)); /* no memory: it must be joined all the same */
            for (int i = 0; i < N; i++)
                c->fds[i].revents = POLLIN;
            serve(c);
        }
    }
    return ended;
}

static void finish(struct command *c, struct rusage *usage)
{
    if (c->stage != RUNNING) {
        cdr_child_kill(c->pid, CDR_KILL); /* whoever is left of its group */
        for (int i = OUT; i <= ERR; i++)
            if (c->fds[i].fd >= 0)
                take(c, i);
    }
    if (cdr_child_reap(c->fds[CHILD].fd, usage) != 0 && c->error == 0)
        c->error = -ECHILD;
    for (int i = 0; i < N; i++)
        close_fd(c, i);
}

/* The last lines of stderr, as many as fit; without any, what happened. */
static void explain(const struct command *c, char *message)
{
    const struct stream *s = &c->err;
    size_t n = s->lines ? 0 : s->used, begin = 0;

    while (n > 0 && s->line[n - 1] == '\n')
        n--;
    if (n > CADRE_MESSAGE_SIZE - 1) {
        begin = n - (CADRE_MESSAGE_SIZE - 1);
        for (size_t i = begin; i < n; i++)
            if (s->line[i] == '\n') {
                begin = i + 1;
                break;
            }
    }
    if (n > begin) {
        memcpy(message, s->line + begin, n - begin);
        message[n - begin] = 0;
    } else if (c->signal != 0) {
        snprintf(message, CADRE_MESSAGE_SIZE, "%s: ended by signal %d", c->from->argv[0], c->signal);
    } else {
        snprintf(message, CADRE_MESSAGE_SIZE, "%s: exit status %d", c->from->argv[0], c->status);
    }
}

static bool is_valid(const struct cadre_command *from)
{
    return from != NULL && from->argv != NULL && from->argv[0] != NULL && (from->input != NULL || from->input_size == 0)
           && (from->out_text != NULL || from->out_size == 0) && (from->err_text != NULL || from->err_size == 0) && from->in >= 0
           && from->out >= 0 && from->err >= 0 && (from->in == 0 || (from->input_size == 0 && (from->flags & CADRE_EXEC_STDIN) == 0))
           && (from->out == 0 || from->out_text == NULL) && (from->err == 0 || from->err_text == NULL)
           && (from->flags & ~(CADRE_EXEC_STDIN | CADRE_EXEC_KEEP_FDS)) == 0;
}

static void begin(struct command *c, const struct cadre_command *from)
{
    c->from = from;
    c->pid = 0;
    c->fed = 0;
    c->stage = RUNNING;
    c->stopped = c->status = c->signal = c->error = 0;
    c->exited = false;
    for (int i = 0; i < N; i++)
        c->fds[i] = (struct pollfd){ .fd = -1, .events = i == IN ? POLLOUT : POLLIN };
    c->out.text = from->out_text;
    c->out.size = from->out_size;
    c->err.text = from->err_text;
    c->err.size = from->err_size;
    c->out.length = c->err.length = c->out.used = c->err.used = 0;
    c->out.lines = c->err.lines = from->line != NULL;
    if (from->out_size > 0)
        from->out_text[0] = 0;
    if (from->err_size > 0)
        from->err_text[0] = 0;
}

/* What the call returns, with `ended` the error of ctx. */
static int outcome(const struct command *c, int ended)
{
    if (ended != 0 || c->stopped != 0 || c->error != 0)
        return ended != 0 ? ended : c->stopped != 0 ? c->stopped : c->error;
    return c->signal != 0 ? 128 + c->signal : c->status;
}

int cadre_exec(struct cadre_ctx *ctx, const struct cadre_command *command, struct cadre_exit *result)
{
    cadre_time begun = cadre_now();
    struct cadre_exit exit = { 0 };
    struct command c;
    int error, code;

    if (!is_valid(command))
        return -EINVAL;
    error = cadre_ctx_error(ctx);
    if (error != 0)
        return error;
    begin(&c, command);
    error = start(&c);
    if (error != 0)
        return cadre_fail_at(ctx, NULL, 0, error, "%s: %s", command->argv[0], cadre_strerror(error));
    error = attend(ctx, &c);
    finish(&c, &exit.usage);
    code = outcome(&c, error);
    exit.status = c.error == 0 && c.signal == 0 ? c.status : -1;
    exit.signal = c.signal;
    exit.pid = c.pid;
    exit.out_length = c.out.length;
    exit.err_length = c.err.length;
    exit.time = cadre_now() - begun;
    if (code != 0)
        explain(&c, exit.message);
    if (code > 0)
        (void)cadre_fail_at(ctx, NULL, 0, code, "%s", exit.message);
    if (result != NULL)
        *result = exit;
    return code;
}
