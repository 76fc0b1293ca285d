/* SPDX-License-Identifier: MIT
 * Running a task, from its first instruction to the group's count: the frame, the call, deferred calls, the outcome. */
#include <stdlib.h>

#include "group/run.h"

/* What makes a task other than most. */
#define SPECIAL (CDR_COPY_INLINE | CDR_COPY_MALLOC | CDR_TASK_PINNED | CDR_TASK_REPEATED)

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

/* ---- what most tasks have no need of, before and after the call ---- */

static __attribute__((cold, noinline)) void *prepare(struct cdr_fiber *fiber, struct cdr_task *task)
{
    if ((task->family & CDR_TASK_PINNED) != 0)
        fiber->pins++;
    if ((task->family & CDR_TASK_REPEATED) != 0)
        return cdr_delayed_argument(task);
    return (task->family & CDR_COPY_INLINE) != 0 ? &task->arg : task->arg;
}

void cdr_task_conclude(const struct cdr_task *task, struct cdr_frame *frame, int code)
{
    cdr_frame_finish(frame);
    if ((task->family & CDR_COPY_MALLOC) != 0)
        free(task->arg);
    if (code != 0 || frame->panicked)
        cdr_group_ended_with(task->group, frame, ended_how(frame, code));
    if ((task->family & CDR_TASK_REPEATED) != 0)
        cdr_delayed_again(task);
}

/* As cdr_task_call_plain, for any task; *task stays as it is meanwhile. */
static void call(struct cdr_fiber *fiber, struct cdr_task *task)
{
    struct cdr_frame frame;
    unsigned pins = fiber->pins;
    void *arg = task->arg;
    int code;

    cdr_frame_enter(&frame, fiber, task);
    if (cdr_unlikely((task->family & SPECIAL) != 0))
        arg = prepare(fiber, task);
    code = cdr_call(&frame.landing, task->fn, &task->group->p_ctx, arg);
    if (cdr_unlikely(code != 0 || frame.deferred != NULL || (task->family & SPECIAL) != 0))
        cdr_task_conclude(task, &frame, code);
    fiber->pins = pins;
    fiber->frame = frame.below;
}

void cdr_task_run(struct cdr_fiber *fiber, struct cdr_task *task)
{
    if (cdr_unlikely((task->family & CDR_TASK_DUE) != 0) && !cdr_delayed_take(task))
        cdr_group_end(task->group, fiber, (task->family & CDR_TASK_SLOT) != 0);
    else if (cdr_unlikely(cdr_group_stopped(task->group)))
        cdr_group_drop(task->group, fiber, task);
    else {
        call(fiber, task);
        cdr_group_end(task->group, fiber, (task->family & CDR_TASK_SLOT) != 0);
    }
}

bool cdr_tasks_run(struct cdr_fiber *fiber, uint32_t family, bool (*enough)(void *arg), void *arg)
{
    struct cdr_worker *w = fiber->worker;
    const struct cdr_task *task;
    bool any = false;

    while (w->helper == fiber && (enough == NULL || !enough(arg)) && (task = cdr_deque_top(&w->deque)) != NULL
           && (task->family & ~CDR_TASK_SLOT) == family) {
        struct cadre_group *g = task->group;
        bool slot = (task->family & CDR_TASK_SLOT) != 0;

        if (!cdr_deque_take_top(&w->deque))
            break; /* somebody else has it by now, and its group may be gone: nothing of that before it is ours */
        any = true;
        if (cdr_unlikely(cdr_load(&g->p_ctx.parent) != NULL || cdr_group_stopped(g))) {
            struct cdr_task copy = *task; /* hooks may push over it */

            cdr_task_run(fiber, &copy);
        } else {
            cdr_task_call_plain(fiber, task, g);
            cdr_group_end(g, fiber, slot);
        }
        w = fiber->worker;
        cdr_store(&w->picks, w->picks + 1);
    }
    return any;
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
