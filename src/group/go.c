/* SPDX-License-Identifier: MIT
 * Starting tasks: cadre_go and its kin. The common case, a group without limit on the caller's own stack, comes first and
 * takes no atomic operation; everything else is start(). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "group/group.h"
#include "sched/chaos.h"

/* What a group's options say about each of its tasks. */
static uint32_t task_flags(const struct cadre_group *g)
{
    uint32_t flags = (g->flags & CADRE_PINNED) != 0 ? CDR_TASK_PINNED : 0;

    return g->stack_size > CDR_STACK_PROMISE ? flags | CDR_TASK_BIG : flags;
}

/* Whose waiting may help with the group's tasks: see sched/task.h. Pinned tasks are for the pool's threads only. */
static uint32_t family(struct cadre_group *g, struct cdr_worker *w, bool local)
{
    const struct cdr_fiber *fiber = w->fiber;
    uint32_t known = cdr_load(&g->p_family), fresh;

    if ((g->flags & CADRE_PINNED) != 0)
        return 0;
    if (fiber->native && known == 0) {
        fresh = ((w->id * 4099 + ++w->families) << 8 | 0x100u << 23) & ~CDR_TASK_FLAGS;
        return cdr_cas(&g->p_family, &known, fresh) ? fresh : known;
    }
    if (local && fiber->frame != NULL && known != fiber->frame->family) {
        cdr_store(&g->p_family, fiber->frame->family);
        return fiber->frame->family;
    }
    return known;
}

/* ---- refusing ---- */

static int refuse(struct cadre_group *g, const struct cdr_task *task, int code, bool keeps)
{
    if (!keeps)
        cdr_drop_now(g, task);
    return code;
}

/* A refusal that counts as the group's error. */
static int refuse_loudly(struct cadre_group *g, const struct cdr_task *task, int code, bool keeps)
{
    if (!keeps)
        cdr_group_error_add(g, code, CADRE_FROM_START, task->index);
    return refuse(g, task, code, keeps);
}

/* Has nothing but a wait ended the group? Then it is live again once the task is counted in. */
static bool only_waited_for(const struct cadre_group *g)
{
    return (cdr_load(&g->p_word) & CDR_STOPPED) == 0 && cdr_ctx_ended_by_wait(&g->p_ctx);
}

/* ---- starting ---- */

static __attribute__((cold, noinline)) int push_failed(struct cadre_group *g, struct cdr_fiber *fiber, struct cdr_task *task,
                                                       bool keeps)
{
    refuse_loudly(g, task, -ENOMEM, keeps);
    cdr_group_end(g, fiber, (task->family & CDR_TASK_SLOT) != 0);
    return -ENOMEM;
}

static int push(struct cadre_group *g, struct cdr_worker *w, struct cdr_task *task, bool keeps)
{
    if (cdr_push(w, *task) < 0)
        return push_failed(g, w->fiber, task, keeps);
    if (cdr_chaos(8))
        cadre_yield();
    return 0;
}

/* keeps: a refused argument stays with the caller, and a refusal is not an error of the group (cadre_try_go). */
static int check(struct cadre_group *g, struct cdr_worker *w, const struct cdr_task *task, bool keeps)
{
    int error;

    if (w == NULL || g->stack_size > CDR_STACK_MAX)
        return refuse_loudly(g, task, -ENOMEM, keeps);
    cdr_group_bind(g);
    if (!cdr_group_stopped(g) || only_waited_for(g))
        return 0;
    if (keeps)
        return (error = cadre_ctx_error(&g->p_ctx)) != 0 ? error : -ECANCELED;
    return refuse(g, task, cdr_group_note_cancel(g), keeps);
}

static int admit(struct cadre_group *g, struct cdr_worker *w, struct cdr_task *task, bool keeps)
{
    struct cdr_fiber *fiber = w->fiber;
    int admitted = cdr_group_admit(g, task, fiber, !keeps && (g->flags & CADRE_DISCARD_WHEN_FULL) == 0);

    if (admitted == 0)
        return push(g, fiber->worker == w ? w : cdr_self(), task, keeps);
    if (admitted == 1)
        return 0;
    if (admitted == -EAGAIN)
        return refuse(g, task, admitted, keeps);
    if (admitted == -ECANCELED || admitted == -ETIMEDOUT)
        return refuse(g, task, cdr_group_note_cancel(g), keeps);
    return refuse_loudly(g, task, admitted, keeps);
}

static int start_limited(struct cadre_group *g, struct cdr_worker *w, struct cdr_task *task, bool keeps)
{
    struct cdr_fiber *fiber = w->fiber;
    int result;

    task->family |= family(g, w, false) | task_flags(g);
    if ((g->flags & CADRE_CANCEL_ON_ERROR) == 0)
        return admit(g, w, task, keeps);
    /* The call itself counts, as a hold: wherever the task is counted in, the round goes on. */
    cdr_group_count_in(g);
    cdr_add(&g->p_holds, 1u);
    cdr_group_keep_round(g);
    result = admit(g, w, task, keeps);
    cdr_sub(&g->p_holds, 1u);
    cdr_group_end_shared(g, fiber, false);
    return result;
}

/* A group whose rounds end must be known to have an owner who counts plainly; the first start says so. */
static bool may_count_plainly(struct cadre_group *g)
{
    if ((g->flags & CADRE_CANCEL_ON_ERROR) == 0 || (cdr_load(&g->p_word) & CDR_OWNED) != 0)
        return true;
    cdr_or(&g->p_word, (uint64_t)CDR_OWNED);
    return false;
}

static int start(struct cadre_group *g, struct cdr_task *task, bool keeps)
{
    struct cdr_worker *w = cdr_self();
    int error = check(g, w, task, keeps);
    bool local;

    if (error != 0)
        return error;
    if (cdr_group_is_limited(g))
        return start_limited(g, w, task, keeps);
    local = cdr_group_is_local(g, w->fiber) && (cdr_load(&g->p_word) & CDR_NOT_LOCAL) == 0;
    task->family |= family(g, w, local) | task_flags(g);
    if (local && may_count_plainly(g)) {
        task->index = g->p_begun + cdr_load(&g->p_foreign);
        cdr_store(&g->p_begun, g->p_begun + 1);
        cdr_compiler_barrier(); /* pairs with the membarrier of whoever ends a round */
        cdr_group_keep_round(g);
    } else {
        cdr_group_count_in(g);
        cdr_group_keep_round(g);
        task->index = cdr_group_next_index(g);
    }
    return push(g, w, task, keeps);
}

int cdr_go_check(struct cadre_group *g, struct cdr_worker *w, struct cdr_task *task)
{
    int error = check(g, w, task, false);

    if (error == 0)
        (void)family(g, w, false);
    return error;
}

int cdr_go_refuse(struct cadre_group *g, const struct cdr_task *task, int code) { return refuse_loudly(g, task, code, false); }

uint32_t cdr_go_family(const struct cadre_group *g)
{
    return task_flags(g) | ((g->flags & CADRE_PINNED) != 0 ? 0 : cdr_load(&g->p_family));
}

bool cdr_go_valid(const struct cadre_group *g, cadre_fn *fn)
{
    return g != NULL && fn != NULL && g->limit >= 0 && g->limit <= CDR_SLOTS_MAX && g->queue >= CADRE_UNBOUNDED;
}

/* The options that fit into two words. */
static inline bool has_options(const struct cadre_group *g)
{
    uint64_t options[2];

    _Static_assert(offsetof(struct cadre_group, reserved) == offsetof(struct cadre_group, limit) + 12, "four in a row");
    memcpy(options, &g->limit, sizeof options);
    return (options[0] | options[1]) != 0;
}

/* A group like most: on the caller's stack, with nothing set that start() would have to look at. Where there is no membarrier no such
 * group is counted plainly, but there every push is a slow one. */
static inline bool is_plain(const struct cadre_group *g, const struct cdr_worker *w)
{
    return (w->fiber->frame != NULL || cdr_load(&g->p_family) != 0) && cdr_group_is_near(g, w->fiber) && !has_options(g)
           && g->parent == NULL && g->stack_size == 0 && (uint32_t)cdr_load(&g->p_word) == 0
           && (cdr_load(&g->p_limit) | cdr_load(&g->p_ctx.p_state)) == 0;
}

/* The common case of a group with a limit and nothing else: there is a slot. -EAGAIN: it is another case. */
static inline int go_into_slot(struct cadre_group *g, struct cdr_task *task)
{
    struct cdr_worker *w = cdr_self_or_null();
    uint32_t known = cdr_load(&g->p_family);

    if (w == NULL || (known == 0 && w->fiber->native) || g->limit <= 0 || g->flags != 0 || g->parent != NULL || g->stack_size != 0
        || cdr_load(&g->p_ctx.p_state) != 0 || !cdr_group_take_slot(g, task))
        return -EAGAIN;
    task->family = known | CDR_TASK_SLOT;
    return push(g, w, task, false);
}

/* cadre_go for everything else, out of its way. */
static __attribute__((noinline)) int go_slow(struct cadre_group *g, cadre_fn *fn, void *arg)
{
    struct cdr_task task = { .fn = fn, .arg = arg, .group = g };
    int result;

    if (!cdr_go_valid(g, fn))
        return -EINVAL;
    result = go_into_slot(g, &task);
    return result != -EAGAIN ? result : start(g, &task, false);
}

int cadre_go(struct cadre_group *g, cadre_fn *fn, void *arg)
{
    struct cdr_worker *w = cdr_self_or_null();
    struct cdr_task *task;

    if (cdr_unlikely(fn == NULL || g == NULL || w == NULL || !is_plain(g, w) || (task = cdr_deque_room(&w->deque)) == NULL || cdr_chaos(2)))
        return go_slow(g, fn, arg);
    task->fn = fn;
    task->arg = arg;
    task->group = g;
    task->index = g->p_begun + cdr_load(&g->p_foreign);
    task->family = cdr_likely(w->fiber->frame != NULL) ? w->fiber->frame->family : cdr_load(&g->p_family);
    cdr_store(&g->p_family, task->family);
    cdr_store(&g->p_begun, g->p_begun + 1);
    return cdr_likely(cdr_deque_push_in_room(&w->deque) == 0) ? 0 : cdr_push_slow(w, CDR_PUSH_REQUESTED);
}

int cadre_try_go(struct cadre_group *g, cadre_fn *fn, void *arg)
{
    struct cdr_task task = { .fn = fn, .arg = arg, .group = g };

    return cdr_go_valid(g, fn) ? start(g, &task, true) : -EINVAL;
}

int cadre_go_copy(struct cadre_group *g, cadre_fn *fn, const void *arg, size_t size)
{
    struct cdr_task task = { .fn = fn, .group = g };
    int saved = errno;

    if (!cdr_go_valid(g, fn) || (arg == NULL && size > 0))
        return -EINVAL;
    if (size <= sizeof task.arg) { /* the copy is the field itself */
        task.family = CDR_COPY_INLINE;
        if (size > 0)
            memcpy(&task.arg, arg, size);
        return start(g, &task, false);
    }
    task.arg = malloc(size);
    errno = saved;
    if (task.arg == NULL) {
        cdr_group_error_add(g, -ENOMEM, CADRE_FROM_START, 0);
        if (g->drop != NULL)
            g->drop((void *)(uintptr_t)arg);
        return -ENOMEM;
    }
    task.family = CDR_COPY_MALLOC;
    memcpy(task.arg, arg, size);
    return start(g, &task, false);
}
