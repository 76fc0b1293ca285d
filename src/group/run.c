/* SPDX-License-Identifier: MIT
 * Running a task, from its first instruction to the group's count: the frame, the call, deferred calls, the outcome. */
#include <stdlib.h>

#include "group/group.h"

#ifdef CADRE_WATCH_MUTEXES
const char *const cdr_watching = &cdr_watch_linked; /* brings watch.c into programs that link the static library */
#endif

void cdr_frame_finish(struct cdr_frame *frame)
{
    struct cdr_deferred *deferred;

    frame->over = true;
    while ((deferred = frame->deferred) != NULL) {
        frame->deferred = deferred->next;
        deferred->fn(deferred->arg);
        free(deferred);
    }
}

/* The code that a task that panicked ends with. */
static int ended_how(const struct cdr_frame *frame, int code) { return frame->panicked ? frame->failed_code : code; }

/* What most tasks have no need of, before and after the call. */
static __attribute__((cold, noinline)) void *prepare(struct cdr_fiber *fiber, struct cdr_task *task)
{
    if ((task->family & CDR_TASK_PINNED) != 0)
        fiber->pins++;
    if ((task->family & CDR_TASK_REPEATED) != 0)
        return cdr_delayed_argument(task);
    return (task->family & CDR_COPY_INLINE) != 0 ? &task->arg : task->arg;
}

static __attribute__((cold, noinline)) void conclude(const struct cdr_task *task, struct cdr_frame *frame, int code)
{
    cdr_frame_finish(frame);
    if ((task->family & CDR_COPY_MALLOC) != 0)
        free(task->arg);
    if (code != 0 || frame->panicked)
        cdr_group_ended_with(task->group, frame, ended_how(frame, code));
    if ((task->family & CDR_TASK_REPEATED) != 0)
        cdr_delayed_again(task);
}

void cdr_task_run(struct cdr_fiber *fiber, struct cdr_task *task)
{
    const uint32_t special = CDR_COPY_INLINE | CDR_COPY_MALLOC | CDR_TASK_PINNED | CDR_TASK_REPEATED;
    struct cadre_group *g = task->group;
    unsigned pins = fiber->pins;
    struct cdr_frame frame;
    void *arg;
    int code;

    if (cdr_unlikely((task->family & CDR_TASK_DUE) != 0) && !cdr_delayed_take(task)) {
        cdr_group_end(g, fiber, (task->family & CDR_TASK_SLOT) != 0);
        return;
    }
    arg = task->arg;
    if (cdr_unlikely(cdr_group_stopped(g))) {
        cdr_group_drop(g, fiber, task);
        return;
    }
    frame.below = fiber->frame;
    frame.group = g;
    frame.index = task->index;
    frame.family = cdr_task_family(task);
    frame.deferred = NULL;
    frame.failed_code = 0;
    frame.panicked = frame.over = false;
    frame.record = 0;
    frame.name[0] = 0;
    fiber->frame = &frame;
    if (cdr_unlikely((task->family & special) != 0))
        arg = prepare(fiber, task);
    code = cdr_call(&frame.landing, task->fn, &g->p_ctx, arg);
    if (cdr_unlikely(code != 0 || frame.deferred != NULL || (task->family & special) != 0))
        conclude(task, &frame, code);
    fiber->pins = pins;
    fiber->frame = frame.below;
    cdr_group_end(g, fiber, (task->family & CDR_TASK_SLOT) != 0);
}

void cdr_task_refuse(struct cdr_fiber *fiber, const struct cdr_task *refused, int error)
{
    struct cadre_group *g = refused->group;
    struct cdr_task task = *refused;

    if ((task.family & CDR_TASK_DUE) == 0 || cdr_delayed_take(&task)) {
        if ((task.family & CDR_TASK_REPEATED) != 0)
            cdr_delayed_forget(&task);
        cdr_group_error_add(g, error, CADRE_FROM_START, task.index);
        cdr_drop_now(g, &task);
    }
    cdr_group_end(g, fiber, (task.family & CDR_TASK_SLOT) != 0);
}

size_t cdr_task_stack(const struct cdr_task *task) { return task->group->stack_size; }
