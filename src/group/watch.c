/* SPDX-License-Identifier: MIT
 * What platform/watch.c asks in debug builds: which task is running here, and whether one is suspended. */
#ifdef CADRE_WATCH_MUTEXES
#include <stdio.h>

#include "group/group.h"

static const void *running(char *who, size_t size)
{
    struct cdr_worker *w = cdr_self_or_null();
    const struct cdr_frame *frame = w != NULL ? w->fiber->frame : NULL;

    if (frame == NULL)
        return NULL;
    if (frame->name[0] != 0)
        snprintf(who, size, "task \"%s\"", frame->name);
    else
        snprintf(who, size, "task %u of group \"%s\"", frame->index, frame->group->name != NULL ? frame->group->name : "");
    return w->fiber;
}

/* Asked of a fiber that may be doing anything: in builds that watch, stacks are not unmapped, only cleared, and a wrong guess costs a line on
 * stderr at worst. */
static bool suspended(const void *task)
{
    const struct cdr_fiber *fiber = task;
    const struct cdr_worker *w = cdr_load(&fiber->worker);

    return w != NULL && w->fiber != fiber;
}

static const struct cdr_mutex_watch by = { running, suspended };

static __attribute__((constructor)) void begin(void) { cdr_watch_mutexes(&by); }

const char cdr_watch_linked = 1;
#endif
