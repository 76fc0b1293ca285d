/* SPDX-License-Identifier: MIT
 * A task that has been accepted and not started: 32 bytes, kept by value in deques and queues. The scheduler knows how to
 * move it about; what running it means is the group layer's business. */
#ifndef CADRE_SCHED_TASK_H
#define CADRE_SCHED_TASK_H

#include <stdbool.h>

#include "cadre.h"

struct cdr_fiber;
struct cdr_worker;

struct cdr_task {
    cadre_fn *fn;
    void *arg;
    struct cadre_group *group;
    uint32_t index;  /* its number in the group */
    uint32_t family; /* see below, and the flags in the low byte */
};

/* Flags in cdr_task.family. */
#define CDR_COPY_INLINE 0x01u /* the task's argument is the address of arg, which holds a copy of it */
#define CDR_COPY_MALLOC 0x02u /* arg is a copy from malloc that the task owns */
#define CDR_TASK_DUE 0x04u       /* stands for the delayed start of its group that has been due longest; see group/delayed.h */
#define CDR_TASK_REPEATED 0x40u  /* arg is the record of a start that comes again */
#define CDR_TASK_SLOT 0x08u      /* holds one of its group's slots */
#define CDR_TASK_PINNED 0x10u    /* must stay on the thread it starts on, which must be a worker of the pool */
#define CDR_TASK_BIG 0x20u       /* its group asks for more stack than usual */
#define CDR_TASK_FLAGS 0xffu

/* A family is everything that has to end before a plain thread's cadre_wait can return: the tasks of its group, and those
 * of groups that live on the stacks of such tasks. A plain thread that waits helps its family and nobody else, so that
 * foreign work cannot hold it. Families are 24-bit numbers in the upper bits; 0 is nobody's. A number that comes round
 * again can at worst make a thread help a stranger. */
static inline uint32_t cdr_task_family(const struct cdr_task *task) { return task->family & ~CDR_TASK_FLAGS; }

/* Field by field: a record is often read right after it was written, and a load that is wider than the stores before it waits for
 * them to reach the cache. */
static inline void cdr_task_copy(struct cdr_task *to, const struct cdr_task *from)
{
    to->fn = from->fn;
    to->arg = from->arg;
    to->group = from->group;
    to->index = from->index;
    to->family = from->family;
}

static inline bool cdr_task_matches(const struct cdr_task *task, const struct cadre_group *group, uint32_t family)
{
    return (group == NULL || task->group == group) && (family == 0 || cdr_task_family(task) == family);
}

/* Implemented by the group layer. Run the task on `fiber`, to its very end; it may be on another worker afterwards. *task is the
 * caller's copy and stays where it is meanwhile. */
void cdr_task_run(struct cdr_fiber *fiber, struct cdr_task *task);

/* Implemented by the group layer. Run the tasks on top of the deque of fiber's worker that are of the family and need nothing special, as long as
 * the fiber is the worker's helper and not enough(arg); enough may be NULL. True when there were any; then the fiber may be on another
 * worker. */
bool cdr_tasks_run(struct cdr_fiber *fiber, uint32_t family, bool (*enough)(void *arg), void *arg);

/* Implemented by the group layer. The bytes of stack that a task with CDR_TASK_BIG needs. */
size_t cdr_task_stack(const struct cdr_task *task);

/* Implemented by the group layer. The task cannot be started: its group gets the error, its argument goes to drop. */
void cdr_task_refuse(struct cdr_fiber *fiber, const struct cdr_task *task, int error);

#endif
