/* SPDX-License-Identifier: MIT
 * What becomes of a group: its first error, all its errors, and what an error does to the rest. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "group/group.h"
#include "sync/record.h"

/* p_lock is held. */
static void add(struct cadre_group *g, struct cadre_error *error, uint64_t record)
{
    size_t at = g->p_errors;

    cdr_copy_text(error->group, sizeof error->group, g->name);
    if (error->message[0] == 0)
        cdr_copy_text(error->message, sizeof error->message, cdr_error_text(error->code, error->origin));
    if (at < g->max_errors && g->errors != NULL)
        g->errors[at] = *error;
    cdr_store_release(&g->p_errors, g->p_errors + 1);
    if (g->p_code != 0 && (g->p_state & CDR_INHERITED) == 0)
        return;
    cdr_and(&g->p_state, ~CDR_INHERITED); /* a parent's cancel only stands in until there is an error of the group's own */
    g->p_origin = error->origin;
    g->p_index = error->index;
    g->p_note = record;
    cdr_store(&g->p_code, error->code);
}

void cdr_group_error_add_locked(struct cadre_group *g, int code, enum cadre_origin origin, uint32_t index, const char *message)
{
    struct cadre_error error = { .code = code, .origin = origin, .index = index };

    cdr_copy_text(error.message, sizeof error.message, message);
    add(g, &error, message != NULL ? cdr_record_put(&error) : 0);
}

/* p_lock is held, and the error not added yet: whoever sees the error sees that nothing starts any more. */
static void shut(struct cadre_group *g)
{
    if ((g->flags & (CADRE_CANCEL_ON_ERROR | CADRE_STOP_ON_ERROR)) != 0)
        cdr_or(&g->p_word, (uint64_t)CDR_STOPPED);
}

static void stop(struct cadre_group *g, int code, enum cadre_origin origin, uint64_t record);

void cdr_group_error_add(struct cadre_group *g, int code, enum cadre_origin origin, uint32_t index)
{
    cdr_lock(cdr_group_lock_of(g));
    shut(g);
    cdr_group_error_add_locked(g, code, origin, index, NULL);
    cdr_unlock(cdr_group_lock_of(g));
    stop(g, code, origin, 0);
}

/* The first time. Out of the way, as a cause takes room on the stack. */
static __attribute__((noinline)) void note_cancel(struct cadre_group *g, int code)
{
    struct cadre_error cause = cadre_ctx_cause(&g->p_ctx);

    cdr_lock(cdr_group_lock_of(g));
    if ((g->p_state & (CDR_CANCEL_NOTED | CDR_QUIET)) == 0) {
        cdr_or(&g->p_state, CDR_CANCEL_NOTED);
        /* A group that ended its own context has said why. */
        if (cdr_load(&g->p_code) == 0) {
            cdr_group_error_add_locked(g, code, cause.origin == CADRE_FROM_DEADLINE ? CADRE_FROM_DEADLINE : CADRE_FROM_CANCEL,
                                       0, cause.message);
            cdr_or(&g->p_state, CDR_INHERITED);
        }
    }
    cdr_unlock(cdr_group_lock_of(g));
}

int cdr_group_note_cancel(struct cadre_group *g)
{
    int code = cadre_ctx_error(&g->p_ctx);

    if (code == 0)
        return -ECANCELED; /* CADRE_STOP_ON_ERROR: the error is there already */
    if ((cdr_load_acquire(&g->p_state) & (CDR_CANCEL_NOTED | CDR_QUIET)) == 0)
        note_cancel(g, code);
    return code;
}

/* The rest of what an error does to a group with a policy, once it is shut. The task that failed still counts. */
static void stop(struct cadre_group *g, int code, enum cadre_origin origin, uint64_t record)
{
    if ((g->flags & (CADRE_CANCEL_ON_ERROR | CADRE_STOP_ON_ERROR)) == 0)
        return;
    if ((g->flags & CADRE_CANCEL_ON_ERROR) != 0)
        cdr_ctx_end(&g->p_ctx, code, origin, record);
    if (cdr_load(&g->p_backlog) != NULL || cdr_load(&g->p_starters) != NULL)
        cdr_group_purge(g);
}

static __attribute__((noinline)) void failed(struct cadre_group *g, const struct cdr_frame *frame, int code)
{
    struct cadre_error error = { 0 };
    uint64_t record = 0;

    if (frame->record != 0 && frame->failed_code == code)
        cdr_record_get(frame->record, &error);
    error.code = code;
    error.origin = frame->panicked ? CADRE_FROM_PANIC : CADRE_FROM_TASK;
    error.index = frame->index;
    cdr_copy_text(error.task, sizeof error.task, frame->name);
    if (error.message[0] != 0 || error.task[0] != 0)
        record = cdr_record_put(&error);
    cdr_lock(cdr_group_lock_of(g));
    shut(g);
    add(g, &error, record);
    cdr_unlock(cdr_group_lock_of(g));
    stop(g, code, error.origin, record);
}

void cdr_group_ended_with(struct cadre_group *g, const struct cdr_frame *frame, int code)
{
    if ((code == -ECANCELED || code == -ETIMEDOUT) && !frame->panicked && cadre_ctx_error(&g->p_ctx) != 0)
        cdr_group_note_cancel(g); /* an echo of the cancel, not a failure */
    else
        failed(g, frame, code);
}

void cdr_group_released_with(struct cadre_group *g, int code)
{
    if ((code == -ECANCELED || code == -ETIMEDOUT) && cadre_ctx_error(&g->p_ctx) != 0) {
        cdr_group_note_cancel(g);
        return;
    }
    cdr_group_error_add(g, code, CADRE_FROM_RELEASE, 0);
}

void cadre_group_cancel(struct cadre_group *g, int code, const char *why)
{
    struct cadre_error error = { .code = code, .origin = CADRE_FROM_CANCEL };
    uint64_t record = 0;

    if (g == NULL)
        return;
    cdr_group_bind(g);
    (void)cadre_ctx_error(&g->p_ctx); /* may run hooks, so before the lock */
    cdr_lock(cdr_group_lock_of(g));
    if (cdr_load(&g->p_ctx.p_state) == 0) {
        if (code == 0) {
            cdr_or(&g->p_state, CDR_QUIET);
        } else {
            cdr_copy_text(error.message, sizeof error.message, why);
            record = cdr_record_put(&error);
            cdr_or(&g->p_word, (uint64_t)CDR_STOPPED);
            add(g, &error, record);
        }
    }
    cdr_unlock(cdr_group_lock_of(g));
    cdr_ctx_end(&g->p_ctx, code != 0 ? code : -ECANCELED, CADRE_FROM_CANCEL, record);
    cdr_or(&g->p_word, (uint64_t)CDR_STOPPED);
    cdr_group_purge(g);
}

/* ---- asking ---- */

struct cadre_error cadre_group_error(struct cadre_group *g)
{
    struct cadre_error error = { 0 };

    if (g == NULL || cdr_load(&g->p_code) == 0)
        return error;
    cdr_lock(cdr_group_lock_of(g));
    cdr_record_get(g->p_note, &error);
    error.code = g->p_code;
    error.origin = (enum cadre_origin)g->p_origin;
    error.index = g->p_index;
    cdr_unlock(cdr_group_lock_of(g));
    cdr_copy_text(error.group, sizeof error.group, g->name);
    if (error.message[0] == 0)
        cdr_copy_text(error.message, sizeof error.message, cdr_error_text(error.code, error.origin));
    return error;
}

size_t cadre_group_error_count(struct cadre_group *g) { return g != NULL ? cdr_load_acquire(&g->p_errors) : 0; }
