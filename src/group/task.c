/* SPDX-License-Identifier: MIT
 * What a running task can say and ask: fail, panic, defer, its name. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "group/group.h"
#include "sync/record.h"

static void explain(struct cdr_frame *frame, struct cadre_error *error, const char *file, int line, const char *fmt,
                    va_list args) CADRE_PRINTF(5, 0);
static void explain(struct cdr_frame *frame, struct cadre_error *error, const char *file, int line, const char *fmt,
                    va_list args)
{
    error->file = file;
    error->line = line;
    if (vsnprintf(error->message, sizeof error->message, fmt, args) < 0)
        cdr_copy_text(error->message, sizeof error->message, fmt);
    frame->failed_code = error->code;
    frame->record = cdr_record_put(error);
}

int cadre_fail_at(struct cadre_ctx *ctx, const char *file, int line, int code, const char *fmt, ...)
{
    struct cdr_frame *frame = cdr_frame_now();
    struct cadre_error error = { .code = code, .origin = CADRE_FROM_TASK };
    int saved = errno;
    va_list args;

    (void)ctx;
    if (frame != NULL && code != 0) {
        va_start(args, fmt);
        explain(frame, &error, file, line, fmt, args);
        va_end(args);
    }
    errno = saved;
    return code;
}

void cadre_panic_at(const char *file, int line, const char *fmt, ...)
{
    struct cdr_frame *frame = cdr_frame_now();
    struct cadre_error error = { .code = -ENOTRECOVERABLE, .origin = CADRE_FROM_PANIC };
    va_list args;
    int frames;

    va_start(args, fmt);
    if (frame == NULL || frame->over) {
        fprintf(stderr, "cadre: panic %s, at %s:%d: ", frame == NULL ? "outside a task" : "in a deferred call", file, line);
        vfprintf(stderr, fmt, args);
        fputc('\n', stderr);
        abort();
    }
    frames = cdr_backtrace(error.trace, CADRE_TRACE_SIZE);
    if (frames < CADRE_TRACE_SIZE)
        error.trace[frames] = NULL;
    explain(frame, &error, file, line, fmt, args);
    va_end(args);
    frame->panicked = true;
    cdr_note_no_return();
    cdr_land(&frame->landing, error.code);
}

int cadre_defer(void (*fn)(void *arg), void *arg)
{
    struct cdr_frame *frame = cdr_frame_now();
    struct cdr_deferred *deferred;
    int saved = errno;

    if (fn == NULL)
        return -EINVAL;
    if (frame == NULL)
        return -EPERM;
    deferred = malloc(sizeof *deferred);
    if (deferred == NULL) {
        errno = saved;
        return -ENOMEM;
    }
    *deferred = (struct cdr_deferred){ frame->deferred, fn, arg };
    frame->deferred = deferred;
    return 0;
}

void cadre_task_name(const char *name)
{
    struct cdr_frame *frame = cdr_frame_now();

    if (frame != NULL)
        cdr_copy_text(frame->name, sizeof frame->name, name);
}

int cadre_workers(void)
{
    int error = cdr_started() ? 0 : cdr_start();

    return error != 0 ? error : cdr_load(&cdr_rt.target);
}

#define TEXT(x) TEXT_(x)
#define TEXT_(x) #x

const char *cadre_version(void)
{
    return TEXT(CADRE_VERSION_MAJOR) "." TEXT(CADRE_VERSION_MINOR) "." TEXT(CADRE_VERSION_PATCH);
}
