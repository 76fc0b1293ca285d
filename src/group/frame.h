/* SPDX-License-Identifier: MIT
 * The frame of a running task: what cadre_fail, cadre_defer and cadre_panic work on. It lies on the stack that the task runs on,
 * linked to the frames of the tasks below, which are waiting for it to end. */
#ifndef CADRE_GROUP_FRAME_H
#define CADRE_GROUP_FRAME_H

#include "sched/worker.h"

struct cdr_deferred {
    struct cdr_deferred *next;
    void (*fn)(void *arg);
    void *arg;
};

/* Filled for each task: in an order in which that takes few stores. */
struct cdr_frame {
    struct cadre_group *group;
    uint32_t index, family;
    struct cdr_deferred *deferred;
    uint64_t record;
    int failed_code;   /* the code that `record` explains */
    bool panicked;
    bool over;         /* the task's function has ended: only its deferred calls run */
    char name[CADRE_NAME_SIZE];
    struct cdr_frame *below;
    struct cdr_landing landing;
};

/* The task's function has ended: run what it deferred. */
void cdr_frame_finish(struct cdr_frame *frame);

/* The running task's frame, NULL outside tasks. */
static inline struct cdr_frame *cdr_frame_now(void)
{
    struct cdr_worker *w = cdr_self_or_null();

    return w != NULL ? w->fiber->frame : NULL;
}

#endif
