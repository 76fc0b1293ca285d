/* SPDX-License-Identifier: MIT
 * Errors as text, for people. */
#define _GNU_SOURCE /* strerrorname_np */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "group/group.h"

/* A buffer that takes what fits and counts what would have. */
struct text {
    char *to;
    size_t size, length;
};

static void put(struct text *text, const char *fmt, ...) CADRE_PRINTF(2, 3);
static void put(struct text *text, const char *fmt, ...)
{
    size_t used = text->length < text->size ? text->length : text->size;
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(used < text->size ? text->to + used : NULL, text->size - used, fmt, args);
    va_end(args);
    if (n > 0)
        text->length += (size_t)n;
}

static void put_code(struct text *text, int code)
{
    const char *name = code < 0 && code > -4096 ? strerrorname_np(-code) : NULL;

    if (name != NULL)
        put(text, "%s", name);
    else
        put(text, "code %d", code);
}

static void put_origin(struct text *text, const struct cadre_error *error)
{
    static const char *const told[] = {
        [CADRE_FROM_PANIC] = ", panic",      [CADRE_FROM_START] = ", not started",
        [CADRE_FROM_CANCEL] = ", cancelled", [CADRE_FROM_DEADLINE] = ", deadline",
        [CADRE_FROM_RELEASE] = ", released",
    };

    if ((size_t)error->origin < sizeof told / sizeof told[0] && told[error->origin] != NULL)
        put(text, "%s", told[error->origin]);
}

static void put_error(struct text *text, const struct cadre_error *error)
{
    if (error->group[0] != 0)
        put(text, "%s: ", error->group);
    if (error->origin == CADRE_FROM_TASK || error->origin == CADRE_FROM_PANIC)
        put(text, "task %u", error->index);
    else
        put(text, "group");
    if (error->task[0] != 0)
        put(text, " (%s)", error->task);
    put(text, ": %s [", error->message);
    put_code(text, error->code);
    put_origin(text, error);
    if (error->line != 0)
        put(text, ", %s:%d", error->file, error->line);
    put(text, "]\n");
    for (int i = 0; i < CADRE_TRACE_SIZE && error->trace[i] != NULL; i++)
        put(text, "    at %p\n", error->trace[i]);
}

int cadre_errors_format(struct cadre_group *g, char *buf, size_t size)
{
    struct text text = { buf, size, 0 };
    size_t total = cadre_group_error_count(g), kept;

    if (g == NULL || (buf == NULL && size > 0))
        return -EINVAL;
    if (size > 0)
        buf[0] = 0;
    if (total == 0)
        return 0;
    kept = g->errors != NULL && g->max_errors > 0 ? (total < g->max_errors ? total : g->max_errors) : 0;
    for (size_t i = 0; i < kept; i++)
        put_error(&text, &g->errors[i]);
    if (kept == 0) {
        struct cadre_error first = cadre_group_error(g);

        put_error(&text, &first);
        kept = 1;
    }
    put(&text, "%zu error%s", total, total == 1 ? "" : "s");
    if (total > kept)
        put(&text, ", %zu of them not kept", total - kept);
    put(&text, "\n");
    return (int)text.length;
}
