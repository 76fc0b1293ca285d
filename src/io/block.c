/* SPDX-License-Identifier: MIT
 * Calls that block, on threads set aside for them.
 *
 * A call is a record that its caller and the thread that runs it share; the last of them frees it. Under its lock it goes
 *
 *     WAITING (in the queue) --a thread takes it--> RUNNING --fn returned--> DONE
 *     WAITING --the caller's context ended--> LEAVING, or taken out of the queue by the caller; it never runs
 *     RUNNING --the caller's context ended--> LEFT --fn returned--> DONE
 *
 * Who leaves a running call holds its group first, while its own task still keeps the group; the thread releases it. fn's
 * context is the call's, not the caller's, which may be gone by then: it ends when the caller leaves.
 *
 * Threads are started as calls come, up to the cap, and leave when there was nothing to do for a while. Lock order: the pool's lock before a
 * call's. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "group/group.h"
#include "sched/park.h"
#include "sync/context.h"

#define LEAVES_AFTER ((int64_t)2 * 1000 * 1000 * 1000)
#define THREADS 64

enum { WAITING, LEAVING, RUNNING, LEFT, DONE };

struct call {
    struct cdr_node node; /* in the queue */
    struct cdr_lock lock;
    uint32_t users;
    int state;
    struct cdr_block *caller; /* to be woken */
    cadre_fn *fn;
    void *arg;
    struct cadre_group *group;
    struct cadre_ctx ctx;
    uint32_t index;
    int code;
    uint64_t record; /* explains failed_code */
    int failed_code;
    _Alignas(max_align_t) unsigned char copy[];
};

static struct pool {
    struct cdr_lock lock;
    struct cdr_node *queue; /* of calls, oldest first */
    uint32_t queued, idle, threads, most;
    uint32_t word; /* grows with each call; idle threads sleep on it */
} pool;

static void forget(void) { pool = (struct pool){ 0 }; }
static __attribute__((constructor)) void survive_fork(void) { cdr_at_fork(NULL, NULL, forget); }

/* pool.lock is held. */
static uint32_t most_threads(void)
{
    int n;

    if (pool.most == 0) {
        n = cdr_environment_number("CADRE_BLOCK_THREADS", 2048);
        pool.most = n != 0 ? (uint32_t)n : THREADS;
    }
    return pool.most;
}

/* Is this one of the threads? A call from there needs no other, and must not wait for one. */
static __thread bool serving __attribute__((tls_model("initial-exec")));

static struct call *call_of(struct cdr_node *node) { return cdr_container_of(node, struct call, node); }

static void let_go(struct call *call)
{
    if (cdr_sub(&call->users, 1u) == 1)
        free(call);
}

/* ---- the threads ---- */

/* Run fn as a task would run it, with a frame to fail, defer and panic in. */
static void run(struct call *call)
{
    struct cdr_fiber *fiber = cdr_self_or_null()->fiber; /* the thread's own */
    struct cdr_frame frame = { .group = call->group, .index = call->index };
    int code;

    fiber->frame = &frame;
    code = cdr_call(&frame.landing, call->fn, &call->ctx, call->arg);
    cdr_frame_finish(&frame);
    fiber->frame = NULL;
    call->code = frame.panicked ? frame.failed_code : code;
    call->record = frame.record;
    call->failed_code = frame.failed_code;
}

/* A call has its result. */
static void conclude(struct call *call)
{
    struct cadre_group *left_behind = NULL;

    cdr_lock(&call->lock);
    if (call->state == LEFT)
        left_behind = call->group;
    else if (cdr_wait_claim(&call->caller->wait))
        cdr_wait_finish(&call->caller->wait, CDR_WOKEN);
    call->state = DONE;
    cdr_unlock(&call->lock);
    let_go(call);
    if (left_behind != NULL)
        cadre_group_release(left_behind, 0);
}

/* pool.lock is held, but for the moment. */
static void wait_for_call(int64_t until)
{
    uint32_t word = pool.word;

    pool.idle++;
    cdr_unlock(&pool.lock);
    cdr_futex_wait(&pool.word, word, until);
    cdr_lock(&pool.lock);
    pool.idle--;
}

/* pool.lock is held, so nobody leaves meanwhile. Is a call out of the queue to be run? Its caller may have been woken by the end of its
 * context, and be on its way. A thread without memory to be adopted could not release a group later: it refuses the call. */
static bool begin(struct call *call)
{
    bool adopted = cdr_self() != NULL, runs;

    cdr_lock(&call->lock);
    if ((cdr_load(&call->caller->wait.state) & CDR_WAIT_CLAIMED) != 0) {
        call->state = LEAVING;
    } else if (adopted) {
        call->state = RUNNING;
    } else {
        call->code = -ENOMEM;
        call->state = DONE;
        if (cdr_wait_claim(&call->caller->wait))
            cdr_wait_finish(&call->caller->wait, CDR_WOKEN);
    }
    runs = call->state == RUNNING;
    cdr_unlock(&call->lock);
    return runs;
}

/* pool.lock is held. The next call to run; NULL: there was none for long. */
static struct call *next(void)
{
    int64_t until = cdr_now() + LEAVES_AFTER;
    struct call *call;

    for (;;) {
        while (pool.queue != NULL) {
            call = call_of(cdr_list_take(&pool.queue));
            pool.queued--;
            if (begin(call))
                return call;
            let_go(call);
        }
        if (cdr_now() >= until)
            return NULL;
        wait_for_call(until);
    }
}

static void thread(void *unused)
{
    struct call *call;

    (void)unused;
    serving = true;
    cdr_lock(&pool.lock);
    while ((call = next()) != NULL) {
        cdr_unlock(&pool.lock);
        run(call);
        conclude(call);
        cdr_lock(&pool.lock);
    }
    pool.threads--;
    cdr_unlock(&pool.lock);
}

/* ---- the callers ---- */

/* 0, or why there is no thread to run it on. */
static int submit(struct call *call)
{
    int error = 0;

    cdr_lock(&pool.lock);
    cdr_list_append(&pool.queue, &call->node);
    if (++pool.queued > pool.idle && pool.threads < most_threads()) {
        pool.threads++;
        error = cdr_thread_start(thread, NULL, "cadre-block");
        if (error != 0 && --pool.threads > 0)
            error = 0; /* another one will come to it */
        if (error != 0) {
            cdr_list_remove(&pool.queue, &call->node);
            pool.queued--;
        }
    }
    cdr_add(&pool.word, 1u);
    cdr_unlock(&pool.lock);
    cdr_futex_wake(&pool.word, 1);
    return error;
}

/* The caller's context has ended. True when the call has returned meanwhile all the same. */
static bool leave(struct call *call)
{
    bool done;

    cdr_lock(&pool.lock);
    cdr_lock(&call->lock);
    done = call->state == DONE;
    if (call->state == WAITING) {
        cdr_list_remove(&pool.queue, &call->node);
        pool.queued--;
        call->users--;
    } else if (call->state == RUNNING) {
        (void)cadre_group_hold(call->group);
        call->state = LEFT;
    }
    cdr_unlock(&call->lock);
    cdr_unlock(&pool.lock);
    return done;
}

static int wait_for(struct call *call, struct cdr_block *block)
{
    enum cdr_reason reason = cdr_block_park(block, INT64_MAX);
    int error = 0;

    if (reason != CDR_WOKEN) {
        error = cdr_block_error(block, reason);
        if (leave(call))
            error = 0;
        else
            cadre_ctx_cancel(&call->ctx, error, NULL);
    }
    cdr_block_leave(block);
    return error;
}

static struct call *make(struct cadre_ctx *ctx, cadre_fn *fn, void *arg, size_t size, const struct cdr_frame *frame)
{
    int saved = errno;
    struct call *call = size <= SIZE_MAX - sizeof *call ? malloc(sizeof *call + size) : NULL;
    cadre_time deadline = cadre_ctx_deadline(ctx);

    errno = saved;
    if (call == NULL)
        return NULL;
    *call = (struct call){ .users = 2, .fn = fn, .arg = arg, .group = frame->group, .index = frame->index };
    call->ctx.parent = cadre_group_ctx(frame->group);
    call->ctx.flags = CADRE_SHIELDED;
    call->ctx.deadline = deadline != CADRE_FOREVER ? deadline : 0;
    if (size > 0)
        call->arg = memcpy(call->copy, arg, size);
    return call;
}

/* In a task, by way of another thread. */
static int block(struct cadre_ctx *ctx, cadre_fn *fn, void *arg, size_t size)
{
    struct cdr_fiber *fiber = cdr_self_or_null()->fiber;
    struct cdr_frame *frame = fiber->frame;
    struct call *call = make(ctx, fn, arg, size, frame);
    struct cdr_block waits;
    int result;

    if (call == NULL)
        return -ENOMEM;
    result = cdr_block_enter(&waits, fiber, ctx);
    if (result != 0) {
        free(call);
        return result;
    }
    call->caller = &waits;
    result = submit(call);
    if (result != 0) {
        cdr_block_leave(&waits);
        free(call);
        return result;
    }
    result = wait_for(call, &waits);
    if (result == 0) {
        result = call->code;
        if (result == 0 && size > 0)
            memcpy(arg, call->copy, size);
        if (result != 0 && call->record != 0 && call->failed_code == result) {
            frame->failed_code = result;
            frame->record = call->record;
        }
    }
    let_go(call);
    return result;
}

/* On a plain thread, or on one that is there for this, fn is simply called. */
static bool needs_thread(void) { return cdr_frame_now() != NULL && !serving; }

static int check(struct cadre_ctx *ctx, cadre_fn *fn)
{
    if (fn == NULL)
        return -EINVAL;
    return cdr_self() == NULL ? -ENOMEM : cadre_ctx_error(ctx);
}

int cadre_block(struct cadre_ctx *ctx, cadre_fn *fn, void *arg)
{
    int error = check(ctx, fn);

    if (error != 0)
        return error;
    return needs_thread() ? block(ctx, fn, arg, 0) : fn(ctx, arg);
}

int cadre_block_copy(struct cadre_ctx *ctx, cadre_fn *fn, void *arg, size_t size)
{
    int error = arg == NULL || size == 0 ? -EINVAL : check(ctx, fn);

    if (error != 0)
        return error;
    return needs_thread() ? block(ctx, fn, arg, size) : fn(ctx, arg);
}
