/* SPDX-License-Identifier: MIT
 * Child processes: one call feeds a command its input, takes its output, waits for it, and ends it when the context does.
 *
 * The call waits until the command's pipes are at their ends, which mostly is when it exits, and then for the process. It is
 * reaped last of all: as long as it is a zombie nobody else can have its number, so that signals to its group can meet nobody else.
 *
 *     RUNNING --pipes at their ends, and exited--> GONE
 *     RUNNING --ctx ended, or `line` said so--> ASKED: SIGTERM to the group --the same--> GONE
 *                                               ASKED --grace is over--> KILLED: SIGKILL --exited--> GONE
 * Whoever was asked leaves nobody behind: before it is reaped its group gets a last SIGKILL. After that pipes are not waited for: a
 * grandchild that has left the group may hold them for ever.
 *
 * A command that writes without end must hide neither the end of ctx nor that of its grace, so both are looked at in every round, and a
 * round takes in no more than a pipe holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group/frame.h"
#include "io/descriptor.h"
#include "sched/poller.h"

#define GRACE CADRE_SEC(2)
#define LINE_SIZE 4096 /* with the final 0 */
#define END_SIZE (2 * CADRE_MESSAGE_SIZE)
enum { READS = 16, PATIENCE = 16 }; /* reads of a round; rounds that need not wait, until others have a turn */

enum { IN, OUT, ERR, CHILD, N };
enum stage { RUNNING, ASKED, KILLED };

/* What comes out of one of the command's pipes. */
struct stream {
    char *text; /* the caller's, or NULL */
    size_t size, length;
    size_t used, end_used;
    char line[LINE_SIZE]; /* what has come of the next one, when the caller wants lines */
    char end[END_SIZE];   /* the last of what came, for the message */
};

/* On the heap: the frames of a task that panics, in `line`, are gone when its deferred calls run. */
struct command {
    struct cadre_ctx *ctx;
    struct cadre_command from;
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
    const struct cadre_command *from = &c->from;
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
    error = cdr_above_standard(&ends->fds[stream], stream, NULL);
    return error != 0 ? error : cdr_above_standard(&c->fds[stream].fd, -1, NULL);
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
    const struct cadre_command *from = &c->from;
    struct cdr_spawn how = { from->argv, from->env, from->directory, { 0 }, (from->flags & CADRE_EXEC_KEEP_FDS) != 0 };
    int error = cdr_poller_need(); /* what it will be waited for with */

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

/* ---- how it ends ---- */

static void look_at_child(struct command *c)
{
    int error = c->exited ? -EAGAIN : cdr_child_look(c->fds[CHILD].fd, &c->status, &c->signal);

    if (error == -EAGAIN)
        return;
    c->exited = true;
    c->error = error;
}

/* Whom somebody else has waited for is gone, and its number may be a stranger's. */
static void signal_group(struct command *c, int signal)
{
    look_at_child(c);
    if (c->error == 0)
        cdr_child_kill(c->pid, signal);
}

static void force(struct command *c)
{
    signal_group(c, CDR_KILL);
    c->stage = KILLED;
}

/* Stop the command, unless that has been done. */
static void ask(struct command *c)
{
    if (c->stage != RUNNING)
        return;
    if (c->from.grace < 0) {
        force(c);
        return;
    }
    signal_group(c, CDR_TERMINATE);
    c->stage = ASKED;
    c->kill_at = cadre_in(c->from.grace != 0 ? c->from.grace : GRACE);
}

/* ---- what comes out ---- */

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
    if (c->stage == RUNNING && cadre_ctx_error(c->ctx) == 0) { /* a pipe full of lines can take long */
        code = c->from.line(c->from.line_arg, s == &c->out ? 1 : 2, s->line, s->used);
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
        if (text[i] == '\n' || s->used == LINE_SIZE - 1)
            hand_line(c, s);
        if (text[i] != '\n')
            s->line[s->used++] = text[i];
    }
}

static void keep_end(struct stream *s, const char *text, size_t n)
{
    if (n > END_SIZE) {
        text += n - END_SIZE;
        n = END_SIZE;
    }
    if (s->end_used + n > END_SIZE) {
        size_t keep = END_SIZE - n;

        memmove(s->end, s->end + s->end_used - keep, keep);
        s->end_used = keep;
    }
    memcpy(s->end + s->end_used, text, n);
    s->end_used += n;
}

static void take(struct command *c, int which)
{
    struct stream *s = which == OUT ? &c->out : &c->err;
    char text[4096];
    ssize_t n = 0;

    for (int i = 0; i < READS && (n = cdr_read_file(c->fds[which].fd, text, sizeof text)) > 0; i++) {
        keep_text(s, text, (size_t)n);
        keep_end(s, text, (size_t)n);
        if (c->from.line != NULL)
            split(c, s, text, (size_t)n);
    }
    if (n > 0 || n == -EAGAIN)
        return;
    if (s->used > 0)
        hand_line(c, s); /* the last one, without a newline */
    close_fd(c, which);
}

static void feed(struct command *c)
{
    const char *from = (const char *)c->from.input + c->fed;
    ssize_t n = cdr_write_file(c->fds[IN].fd, from, c->from.input_size - c->fed, true);

    if (n == -EAGAIN)
        return;
    c->fed += n > 0 ? (size_t)n : 0;
    if (n < 0 || c->fed == c->from.input_size) /* a command that does not read its input to the end may do so */
        close_fd(c, IN);
}

/* ---- the whole ---- */

/* Is the process all that is waited for? */
static bool is_at_end(const struct command *c) { return c->stage == KILLED || (c->fds[OUT].fd < 0 && c->fds[ERR].fd < 0); }

static bool is_over(const struct command *c) { return c->exited && is_at_end(c); }

/* Wait until something can be done, or ctx ends, or the command's grace. 0, or an error: then everything is looked at. */
static int await(struct command *c)
{
    struct pollfd fds[N];
    int n;

    memcpy(fds, c->fds, sizeof fds);
    if (!is_at_end(c))
        fds[CHILD].fd = -1;
    n = cadre_poll(c->stage == RUNNING ? c->ctx : NULL, fds, N, c->stage == ASKED ? c->kill_at : 0);
    for (int i = 0; i < N; i++)
        c->fds[i].revents = n > 0 ? fds[i].revents : n == 0 ? (short)0 : POLLIN;
    return n < 0 ? n : 0;
}

static void serve(struct command *c)
{
    if (c->fds[IN].fd >= 0 && c->fds[IN].revents != 0)
        feed(c);
    for (int i = OUT; i <= ERR; i++)
        if (c->fds[i].fd >= 0 && c->fds[i].revents != 0)
            take(c, i);
    if (is_at_end(c))
        look_at_child(c);
}

/* 0, or the error of ctx, when that ended it; or what kept it from being waited for. */
static int attend(struct command *c)
{
    int ended = 0;

    for (unsigned round = 1; !is_over(c); round++) {
        int error = c->stage == RUNNING ? cadre_ctx_error(c->ctx) : 0;

        if (error == 0)
            error = await(c);
        if (error != 0 && c->stage == RUNNING) {
            ended = error;
            ask(c);
        } else if (error != 0) {
            (void)cadre_sleep(NULL, CADRE_MS(1)); /* no memory: it must be joined all the same */
        }
        if (c->stage == ASKED && c->kill_at <= cadre_now())
            force(c);
        serve(c);
        if (round % PATIENCE == 0)
            cadre_yield();
    }
    return ended;
}

static void finish(struct command *c, struct rusage *usage)
{
    if (c->stage != RUNNING) {
        signal_group(c, CDR_KILL); /* whoever is left of its group */
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
    const char *name = c->from.argv[0];
    size_t n = s->end_used, begin = 0;

    while (n > 0 && s->end[n - 1] == '\n')
        n--;
    if (n > CADRE_MESSAGE_SIZE - 1) {
        const char *cut = s->end + n - CADRE_MESSAGE_SIZE, *newline = memchr(cut, '\n', CADRE_MESSAGE_SIZE);

        begin = newline != NULL ? (size_t)(newline + 1 - s->end) : n - (CADRE_MESSAGE_SIZE - 1);
    }
    for (size_t i = begin; i < n; i++)
        *message++ = s->end[i] != 0 ? s->end[i] : '?';
    *message = 0;
    if (n > begin)
        return;
    if (c->error != 0)
        snprintf(message, CADRE_MESSAGE_SIZE, "%s: %s", name, cadre_strerror(c->error));
    else if (c->signal != 0)
        snprintf(message, CADRE_MESSAGE_SIZE, "%s: ended by signal %d", name, c->signal);
    else
        snprintf(message, CADRE_MESSAGE_SIZE, "%s: exit status %d", name, c->status);
}

static bool is_valid(const struct cadre_command *from)
{
    return from != NULL && from->argv != NULL && from->argv[0] != NULL && (from->input != NULL || from->input_size == 0)
           && (from->out_text != NULL || from->out_size == 0) && (from->err_text != NULL || from->err_size == 0) && from->in >= 0
           && from->out >= 0 && from->err >= 0 && (from->in != 0) + (from->input_size != 0) + ((from->flags & CADRE_EXEC_STDIN) != 0) <= 1
           && (from->out == 0 || from->out_text == NULL) && (from->err == 0 || from->err_text == NULL)
           && (from->flags & ~(CADRE_EXEC_STDIN | CADRE_EXEC_KEEP_FDS)) == 0;
}

static void stream_begin(struct stream *s, char *text, size_t size)
{
    s->text = text;
    s->size = size;
    s->length = s->used = s->end_used = 0;
    if (size > 0)
        text[0] = 0;
}

/* NULL: no memory. */
static struct command *begin(struct cadre_ctx *ctx, const struct cadre_command *from)
{
    int saved = errno;
    struct command *c = malloc(sizeof *c);

    errno = saved;
    if (c == NULL)
        return NULL;
    memset(c, 0, offsetof(struct command, out));
    c->ctx = ctx;
    c->from = *from;
    for (int i = 0; i < N; i++)
        c->fds[i] = (struct pollfd){ .fd = -1, .events = i == IN ? POLLOUT : POLLIN };
    stream_begin(&c->out, from->out_text, from->out_size);
    stream_begin(&c->err, from->err_text, from->err_size);
    return c;
}

/* `line` has panicked, and the caller's variables are gone. */
static void abandon(void *arg)
{
    struct command *c = arg;
    struct rusage usage;

    c->out.text = c->err.text = NULL;
    close_fd(c, IN);
    ask(c);
    (void)attend(c);
    finish(c, &usage);
    free(c);
}

/* Only `line` may panic. Outside a task that is the end of the program. */
static int guard(struct command *c)
{
    int error = c->from.line != NULL ? cadre_defer(abandon, c) : 0;

    return error == -EPERM ? 0 : error;
}

/* Not left to the end of the task, which may run many commands. */
static void unguard(struct command *c)
{
    struct cdr_frame *frame = cdr_frame_now();
    struct cdr_deferred **link = frame != NULL ? &frame->deferred : NULL, *deferred = NULL;

    if (link == NULL || c->from.line == NULL)
        return;
    while ((deferred = *link) != NULL && deferred->arg != c)
        link = &deferred->next;
    if (deferred != NULL)
        *link = deferred->next;
    free(deferred);
}

static int run(struct command *c, struct cadre_exit *exit)
{
    int error = attend(c), code;

    finish(c, &exit->usage);
    code = error != 0 ? error : c->stopped != 0 ? c->stopped : c->error;
    if (code == 0)
        code = c->signal != 0 ? 128 + c->signal : c->status;
    exit->status = c->error == 0 && c->signal == 0 ? c->status : -1;
    exit->signal = c->signal;
    exit->pid = c->pid;
    exit->out_length = c->out.length;
    exit->err_length = c->err.length;
    if (code != 0)
        explain(c, exit->message);
    if (code != 0 && error == 0 && c->stopped == 0)
        (void)cadre_fail_at(c->ctx, NULL, 0, code, "%s", exit->message);
    return code;
}

static int not_started(struct cadre_ctx *ctx, const struct cadre_command *command, int error)
{
    const char *name = command->argv[0], *place = command->directory, *why = cadre_strerror(error);

    if (place != NULL)
        return cadre_fail_at(ctx, NULL, 0, error, "%s: %s (in %s)", name, why, place);
    return cadre_fail_at(ctx, NULL, 0, error, "%s: %s", name, why);
}

int cadre_exec(struct cadre_ctx *ctx, const struct cadre_command *command, struct cadre_exit *result)
{
    cadre_time begun = cadre_now();
    struct cadre_exit exit = { 0 };
    struct command *c;
    int code = is_valid(command) ? cadre_ctx_error(ctx) : -EINVAL;

    if (code != 0)
        return code;
    c = begin(ctx, command);
    if (c == NULL)
        return -ENOMEM;
    code = guard(c);
    if (code == 0) {
        code = start(c);
        if (code == 0)
            code = run(c, &exit);
        else
            (void)not_started(ctx, command, code);
        unguard(c);
    }
    if (exit.pid != 0 && result != NULL) {
        exit.time = cadre_now() - begun;
        *result = exit;
    }
    free(c);
    return code;
}
