/* SPDX-License-Identifier: MIT
 * Workers: the threads that run tasks, and what they share. A worker is a thread of the pool, or a plain thread that called in and
 * was adopted.
 *
 * At most rt.target workers compute at a time: each holds a token. A pool thread has one unless it is parked. An adopted thread
 * takes one, if there is one, when it starts tasks; keeps it while it runs its own code; and gives it up when it sleeps, or
 * when the monitor takes it back because the thread is busy elsewhere while tasks wait:
 *
 *     pool:     (parked) --wake_one, with a token--> (running) --nothing found--> (searching) --nothing found--> (parked)
 *               (running) --stuck in the kernel, says the monitor--> (lent: others have the token) --back in the scheduler--> (running)
 *     adopted:  NONE --token free--> OUTSIDE <--in cdr_help--> INSIDE;   OUTSIDE --monitor--> NONE;   any --sleeps--> NONE
 */
#ifndef CADRE_SCHED_WORKER_H
#define CADRE_SCHED_WORKER_H

#include "sched/deque.h"
#include "sched/fiber.h"
#include "sched/timer.h"

enum { CDR_TOKEN_NONE, CDR_TOKEN_OUTSIDE, CDR_TOKEN_INSIDE };

struct cdr_worker {
    struct cdr_deque deque;

    /* The worker's own. */
    struct cdr_fiber *fiber;    /* the one it is on */
    void (*after)(void *arg);   /* to be done on the next stack, once the old one is left: see cdr_switch */
    void *after_arg;
    struct cdr_fiber_cache fibers;
    int *errno_at;              /* where its thread's errno is: valid on any stack, unlike what compilers keep */
    uint32_t picks;             /* scheduling decisions taken; the monitor looks whether it moves */
    uint32_t streak;            /* how many of them in a row came from the slot */
    uint32_t eager, eager_picks; /* calls in a row that did not have to wait for a descriptor, and since which decision */
    uint64_t random;
    bool pool;
    bool retired;               /* its thread has ended; the struct waits for another one */
    unsigned id;
    int thread;                 /* its thread's number in the kernel */
    unsigned homed;             /* suspended fibers that must come back to it */

    /* An adopted thread's. */
    struct cdr_fiber native;    /* also where a pool thread starts */
    struct cdr_fiber *helper;   /* runs the tasks that the thread helps with, and waits in its loop in between */
    uint32_t help_family;
    uint32_t families;          /* how many it has handed out */
    bool (*help_done)(void *arg);
    void *help_arg;

    /* Shared. */
    CDR_OWN_LINE struct cdr_fiber *slot; /* the fiber made ready last: runs next. Only the owner fills it, the monitor may empty it */
    struct cdr_lock ready_lock;
    struct cdr_fiber_queue ready;  /* fibers to resume, oldest first; thieves take from it */
    struct cdr_fiber_queue pinned; /* those that only this worker may resume */
    struct cdr_timer_shard timers;
    uint32_t token;                /* CDR_TOKEN_…; of adopted threads only */
    uint32_t wake;                 /* what a parked pool thread sleeps on; see idle.c */
    uint32_t listening;            /* it keeps time and sleeps in the poller, where only the bell wakes it */
    uint32_t finishes;             /* what the thread sleeps on in a wait of its own: grows when one is finished, maybe after it is gone */
    bool idle;                     /* in rt.idle; under rt.idle_lock */
    struct cdr_worker *idle_next;
    int64_t sleep_until;           /* while it keeps time */
    uint32_t lent;                 /* the token of a pool thread that is stuck in the kernel is with others; under idle_lock */
    uint32_t seen_picks;           /* the monitor's notes */
    uint32_t seen_helps, helps;
    uint32_t stuck_picks, stuck_signs;
    int64_t stuck_cpu, stuck_since;
};

#define CDR_WORKERS_MAX 4096 /* threads that can be adopted at a time, the pool's included */

struct cdr_runtime {
    uint32_t state;
    struct cdr_lock start_lock;
    int target;                                  /* workers that may compute at a time, and threads in the pool at rest */
    int most;                                    /* threads that the pool may have while some are stuck in the kernel */
    uint32_t alive;                              /* threads that it has; written under idle_lock */
    struct cdr_worker *workers[CDR_WORKERS_MAX]; /* never freed, so that thieves need no protection */
    uint32_t count;
    bool no_membarrier, monitored;

    CDR_OWN_LINE int32_t tokens; /* free ones; negative: somebody has to give one up. Written under idle_lock */
    uint32_t searching;          /* pool threads that look for work: no need to wake another */
    struct cdr_lock idle_lock;
    struct cdr_worker *idle; /* last in, first out */
    uint32_t idle_count, lent_count;
    struct cdr_worker *timekeeper;

    CDR_OWN_LINE struct cdr_lock inject_lock; /* for what comes from threads without a deque */
    struct cdr_fiber_queue injected;
    struct cdr_batches injected_tasks;
    uint32_t injected_any;

    CDR_OWN_LINE uint32_t monitor_word;
    uint32_t dormant;
};

extern struct cdr_runtime cdr_rt;
extern __thread struct cdr_worker *cdr_self_tls __attribute__((tls_model("initial-exec")));

/* The calling thread's worker; the thread is adopted when it is new. NULL when there is no memory for that. Only for the
 * entry of public calls: after a suspension, fiber->worker is the way, since compilers keep thread-local addresses. */
struct cdr_worker *cdr_adopt(void);
static inline struct cdr_worker *cdr_self(void)
{
    struct cdr_worker *w = cdr_self_tls;

    return cdr_likely(w != NULL) ? w : cdr_adopt();
}
static inline struct cdr_worker *cdr_self_or_null(void) { return cdr_self_tls; }

/* Start the pool unless it runs. 0, -EAGAIN (no thread could be started), -ENOMEM. */
int cdr_start(void);
static inline bool cdr_started(void) { return cdr_load_acquire(&cdr_rt.state) != 0; }

/* ---- running (loop.c) ---- */

/* What every fiber runs. */
void cdr_fiber_main(void *fiber);

/* Push a task of the running thread's worker and see that somebody will run it. 0 or -ENOMEM. */
int cdr_push_slow(struct cdr_worker *w, int found);
static inline int cdr_push(struct cdr_worker *w, struct cdr_task task)
{
    int found = cdr_deque_push(&w->deque, task);

    return cdr_likely(found == 0) ? 0 : cdr_push_slow(w, found);
}

/* Leave `from`, which is running, for `to`; then, on to's stack, do after(arg). Returns when somebody switches back to it.
 * dying: that will never be. */
void cdr_switch(struct cdr_fiber *from, struct cdr_fiber *to, void (*after)(void *arg), void *arg, bool dying);

/* Leave the running fiber, which is not native, for whatever is to be done next; then after(arg). False when there was no stack to go
 * on with: nothing happened. */
bool cdr_suspend(struct cdr_fiber *fiber, void (*after)(void *arg), void *arg);

/* A suspended fiber can go on. From any thread. */
void cdr_ready(struct cdr_fiber *fiber);

/* As cdr_ready, but behind all others. */
void cdr_ready_last(struct cdr_fiber *fiber);

/* The calling thread is adopted and on its native stack: run tasks of the family until done(arg) or until none are found. all: there are
 * none once it is done, so that one need not ask while there are. */
void cdr_help(struct cdr_worker *w, uint32_t family, bool (*done)(void *arg), void *arg, bool all);

/* ---- finding work (steal.c) ---- */

struct cdr_found {
    struct cdr_task task;    /* task.fn != NULL: run it */
    struct cdr_fiber *fiber; /* else resume this */
};

/* Look once through what others have; the patience of a search is counted by *round. */
bool cdr_search(struct cdr_worker *w, struct cdr_found *found, unsigned round);
bool cdr_take_injected(struct cdr_worker *w, struct cdr_found *found);
bool cdr_steal_family(struct cdr_worker *w, uint32_t family);
bool cdr_work_visible(const struct cdr_worker *w);

/* ---- sleeping and waking (idle.c) ---- */

/* There is work that somebody should look at: wake a parked thread, unless one is looking already. */
void cdr_wake_one(void);

/* The pool thread has nothing to do: give up its token and sleep until there is. False when the thread is to end instead. */
bool cdr_idle(struct cdr_worker *w);

/* More tokens are out than may be: give up this worker's. False when the thread is to end. */
bool cdr_surrender(struct cdr_worker *w);

/* The worker's token goes to others, as its thread is stuck; and comes back. Either does nothing when it is so already; lending is
 * refused to an idle worker, which has none. */
bool cdr_lend(struct cdr_worker *w);
bool cdr_take_back(struct cdr_worker *w);

/* `home` has a pinned fiber to resume. */
void cdr_wake_home(struct cdr_worker *home);

bool cdr_token_take(struct cdr_worker *w, uint32_t state);

/* The thread itself is about to sleep in a call: give up its token, let others see its tasks. Afterwards a thread of the pool
 * takes one again. */
void cdr_thread_sleeps(struct cdr_worker *w);
void cdr_thread_woke(struct cdr_worker *w);

/* A timer became the earliest of its shard. */
void cdr_timer_changed(struct cdr_worker *w, int64_t when);

/* The timekeeper, the parked thread that waits for the first timer and for descriptors: have it look again; and see that there is one,
 * or soon will be. */
void cdr_keeper_poke(void);
void cdr_keeper_need(struct cdr_worker *w);

/* When the first of all timers is due, INT64_MAX when there is none. */
int64_t cdr_earliest_timer(void);

/* The shard for a timer that the calling thread starts. */
struct cdr_timer_shard *cdr_timer_shard(struct cdr_worker *w);

/* What is in the worker's slot goes where others see it. */
void cdr_share_slot(struct cdr_worker *w);

/* The worker's own dice: Marsaglia, Xorshift RNGs, 2003. */
static inline uint64_t cdr_random(struct cdr_worker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

/* A number from 1 to most in the environment; 0 when there is none. */
int cdr_environment_number(const char *variable, int most);

/* One more thread for the pool, which takes a token. False when there are as many as may be, or none could be started. */
bool cdr_pool_grow(void);

/* Is the worker's thread stuck in a system call? For the monitor, who asks now and then (blocked.c). */
bool cdr_is_stuck(struct cdr_worker *w, int64_t now);

/* ---- the monitor (monitor.c) ---- */

int cdr_monitor_start(void);
void cdr_monitor_wake(void);

/* ---- in the queues of threads that are gone or have none ---- */
void cdr_inject(struct cdr_fiber *fiber);
void cdr_inject_tasks(struct cdr_batches *tasks);

#endif
