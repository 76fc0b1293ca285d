/* SPDX-License-Identifier: MIT
 * The runtime's beginning and ends: starting the pool, adopting plain threads and letting them go, fork. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sched/worker.h"

#define MORE_THREADS 256 /* that the pool may have by default while some are stuck */

struct cdr_runtime cdr_rt;
__thread struct cdr_worker *cdr_self_tls __attribute__((tls_model("initial-exec")));

/* Memory is short where nobody can be told: try again later. */
static void pause_a_little(void)
{
    uint32_t word = 0;

    cdr_futex_wait(&word, 0, cdr_now() + 1000000);
}

/* ---- workers ---- */

static struct cdr_worker *new_worker(void)
{
    size_t size = (sizeof(struct cdr_worker) + 4095) & ~(size_t)4095;
    struct cdr_worker *w = cdr_map(size);

    if (w == NULL)
        return NULL;
    if (cdr_deque_init(&w->deque, cdr_rt.no_membarrier) < 0) {
        cdr_unmap(w, size);
        return NULL;
    }
    cdr_note_root(w, size);
    cdr_timer_shard_init(&w->timers);
    return w;
}

/* A worker that thieves can see. start_lock is held. */
static struct cdr_worker *register_worker(bool pool)
{
    struct cdr_worker *w = NULL;
    uint32_t at;

    for (at = 0; at < cdr_rt.count; at++)
        if (cdr_rt.workers[at]->retired && cdr_rt.workers[at]->pool == pool)
            break;
    if (at < cdr_rt.count) {
        w = cdr_rt.workers[at];
        cdr_store(&w->retired, false);
        return w;
    }
    if (cdr_rt.count == CDR_WORKERS_MAX || (w = new_worker()) == NULL)
        return NULL;
    w->pool = pool;
    w->id = cdr_rt.count;
    w->random = (w->id + 1) * 0x9e3779b97f4a7c15u;
    cdr_store_release(&cdr_rt.workers[cdr_rt.count], w); /* pairs with the acquire of those who scan */
    cdr_store_release(&cdr_rt.count, cdr_rt.count + 1);
    return w;
}

static void set_native(struct cdr_worker *w)
{
    struct cdr_fiber *native = &w->native;

    memset(native, 0, sizeof *native);
    native->native = true;
    native->worker = native->home = w;
    cdr_thread_stack(&native->low, &native->high);
    cdr_note_stack_native(&native->note);
    w->fiber = native;
    cdr_store(&w->thread, cdr_thread_id());
    w->errno_at = &errno;
    cdr_self_tls = w;
}

/* The calling thread is not w's any more; another one may be, later. */
static void retire(struct cdr_worker *w)
{
    cdr_self_tls = NULL;
    cdr_store(&w->thread, 0);
    cdr_lock(&cdr_rt.start_lock);
    cdr_store(&w->retired, true);
    cdr_unlock(&cdr_rt.start_lock);
}

/* ---- adopted threads ---- */

static void leave(void *arg)
{
    struct cdr_worker *w = arg;
    struct cdr_batches left = { 0 };

    while (!cdr_deque_drain(&w->deque, &left))
        pause_a_little();
    if (left.oldest != NULL)
        cdr_inject_tasks(&left);
    cdr_thread_sleeps(w);
    if (w->helper != NULL) {
        cdr_fiber_put(NULL, w->helper);
        w->helper = NULL;
    }
    retire(w);
}

/* The pools of fibers and batches outlive the fork, so they must be whole. */
static void pools_lock(void)
{
    cdr_fiber_pools_lock();
    cdr_batch_cache_lock();
}

static void pools_unlock(void)
{
    cdr_batch_cache_unlock();
    cdr_fiber_pools_unlock();
}

/* After fork(2) the child has one thread and none of the runtime's: it starts anew when it is needed. What the parent's tasks
 * hold is abandoned. */
static void in_child(void)
{
    pools_unlock();
    memset(&cdr_rt, 0, sizeof cdr_rt);
    cdr_self_tls = NULL;
    cdr_thread_set_exit(NULL);
}

static const struct cdr_lifecycle lifecycle = { leave, pools_lock, pools_unlock, in_child };

struct cdr_worker *cdr_adopt(void)
{
    int saved = errno;
    struct cdr_worker *w;

    if (!cdr_started() && cdr_start() < 0) {
        errno = saved;
        return NULL;
    }
    cdr_lock(&cdr_rt.start_lock);
    w = register_worker(false);
    cdr_unlock(&cdr_rt.start_lock);
    if (w != NULL) {
        set_native(w);
        cdr_thread_set_exit(w);
    }
    errno = saved;
    return w;
}

/* ---- the pool ---- */

/* A thread comes with a token, or did not come after all. */
static void add_thread(int32_t n)
{
    cdr_lock(&cdr_rt.idle_lock);
    cdr_store(&cdr_rt.alive, cdr_rt.alive + (uint32_t)n);
    cdr_store(&cdr_rt.tokens, cdr_rt.tokens - n);
    cdr_unlock(&cdr_rt.idle_lock);
}

static void pool_thread(void *arg)
{
    struct cdr_worker *w = arg;
    struct cdr_fiber *fiber;

    set_native(w);
    while ((fiber = cdr_fiber_get(&w->fibers, 0, cdr_fiber_main)) == NULL)
        pause_a_little();
    cdr_switch(&w->native, fiber, NULL, NULL, false);
    /* Back here the thread is not needed any more: see cdr_idle. */
    while ((fiber = w->fibers.free) != NULL) {
        w->fibers.free = fiber->next;
        w->fibers.count--;
        cdr_fiber_put(NULL, fiber);
    }
    retire(w);
}

int cdr_environment_number(const char *variable, int most)
{
    const char *text = getenv(variable);
    char *end = NULL;
    long n = text != NULL ? strtol(text, &end, 10) : 0;

    if (text == NULL || end == text || *end != 0 || n < 1)
        return 0;
    return n < most ? (int)n : most;
}

static int worker_target(void)
{
    int n = cdr_environment_number("CADRE_WORKERS", 1024);

    return n != 0 ? n : cdr_cpu_count();
}

static int most_threads(int target)
{
    int n = cdr_environment_number("CADRE_MAX_THREADS", 2048);

    return n == 0 ? target + MORE_THREADS : n > target ? n : target;
}

bool cdr_pool_grow(void)
{
    struct cdr_worker *w = NULL;
    bool grown;

    cdr_lock(&cdr_rt.start_lock);
    if (cdr_load(&cdr_rt.alive) < (uint32_t)cdr_rt.most)
        w = register_worker(true);
    if (w != NULL) {
        add_thread(1);
        if (cdr_thread_start(pool_thread, w, "cadre-worker") < 0) {
            add_thread(-1);
            cdr_store(&w->retired, true);
            w = NULL;
        }
    }
    grown = w != NULL;
    cdr_unlock(&cdr_rt.start_lock);
    return grown;
}

/* start_lock is held. Threads start with a token, and give it back as they find nothing to do. */
static int start_pool(void)
{
    int target = worker_target(), started = 0;

    cdr_lifecycle_init(&lifecycle);
    cdr_rt.no_membarrier = !cdr_membarrier_init();
    if (!cdr_rt.monitored && cdr_monitor_start() < 0)
        return -EAGAIN;
    cdr_rt.monitored = true;
    for (int i = 0; i < target; i++) {
        struct cdr_worker *w = register_worker(true);

        if (w == NULL)
            break;
        if (cdr_thread_start(pool_thread, w, "cadre-worker") < 0) {
            w->pool = false; /* serves as an adopted thread's, later */
            cdr_store(&w->retired, true);
            break;
        }
        started++;
    }
    if (started == 0)
        return -EAGAIN;
    cdr_store(&cdr_rt.most, most_threads(target));
    cdr_store_release(&cdr_rt.target, started);
    cdr_lock(&cdr_rt.idle_lock);
    cdr_store(&cdr_rt.alive, (uint32_t)started);
    cdr_unlock(&cdr_rt.idle_lock);
    return 0;
}

int cdr_start(void)
{
    int rc = 0;

    cdr_lock(&cdr_rt.start_lock);
    if (cdr_rt.state == 0) {
        rc = start_pool();
        if (rc == 0)
            cdr_store_release(&cdr_rt.state, 1u);
    }
    cdr_unlock(&cdr_rt.start_lock);
    return rc;
}
