/* SPDX-License-Identifier: MIT
 * The call of a task's function, in its frame: inline, as it is in the way of every task. */
#ifndef CADRE_GROUP_RUN_H
#define CADRE_GROUP_RUN_H

#include "group/group.h"

/* What is to be done after the call of a task that failed, deferred something or has special flags. */
__attribute__((cold)) void cdr_task_conclude(const struct cdr_task *task, struct cdr_frame *frame, int code);

static inline void cdr_frame_enter(struct cdr_frame *frame, struct cdr_fiber *fiber, const struct cdr_task *task)
{
    frame->group = task->group;
    frame->index = task->index;
    frame->family = cdr_task_family(task);
    frame->deferred = NULL;
    frame->record = 0;
    frame->failed_code = 0;
    frame->panicked = frame->over = false;
    frame->name[0] = frame->name[1] = 0; /* the second one makes the stores one */
    frame->below = fiber->frame;
    fiber->frame = frame;
}

/* Call the function of a task that may start and has no flags. The group still counts it afterwards. `task` may lie where the function's own
 * tasks will. */
static inline void cdr_task_call_plain(struct cdr_fiber *fiber, const struct cdr_task *task, struct cadre_group *g)
{
    struct cdr_frame frame;
    unsigned pins = fiber->pins;
    int code;

    cdr_frame_enter(&frame, fiber, task);
    code = cdr_call(&frame.landing, task->fn, &g->p_ctx, task->arg);
    if (cdr_unlikely(code != 0 || frame.deferred != NULL))
        cdr_task_conclude(&(struct cdr_task){ .group = g }, &frame, code);
    fiber->pins = pins;
    fiber->frame = frame.below;
}

#endif
