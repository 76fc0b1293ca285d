/* SPDX-License-Identifier: MIT
 *
 * cadre.h: groups of tasks for C.
 *
 *     static int fetch(struct cadre_ctx *ctx, void *arg)
 *     {
 *         const char *url = arg;
 *         if (download(ctx, url) < 0)
 *             return cadre_fail(ctx, -EIO, "cannot fetch %s", url);
 *         return 0;
 *     }
 *
 *     int fetch_all(char **urls, int n)
 *     {
 *         struct cadre_group g = { .limit = 8, .flags = CADRE_CANCEL_ON_ERROR };
 *
 *         for (int i = 0; i < n; i++)
 *             cadre_go(&g, fetch, urls[i]);
 *         if (cadre_wait(&g) != 0)
 *             fprintf(stderr, "%s\n", cadre_group_error(&g).message);
 *         return cadre_group_error(&g).code;
 *     }
 *
 * Conventions, said once and true for every call below:
 *
 * Errors.       A call that can fail returns 0 (or a count) on success and a negative errno value otherwise.
 *               Output parameters come last and are not written on failure. No call changes errno. The first call that a thread
 *               makes may also give -ENOMEM.
 * Signals.      The library's own threads block all signals, and so do programs that a task starts on one of them, unless it
 *               says otherwise (POSIX_SPAWN_SETSIGMASK; cadre_exec does). No call may be made from a signal handler; to cancel on a
 *               signal, wait for it with cadre_wait_signal.
 * Contexts.     Every call that may block takes a context. A NULL context is the background: never cancelled, no deadline.
 *               When the context ends, a call that would have to block returns -ECANCELED (it was cancelled) or -ETIMEDOUT
 *               (its deadline passed); a call that need not block does its work all the same. cadre_sleep, cadre_block,
 *               cadre_block_copy and cadre_exec always look.
 *               The exceptions: cadre_wait, which ends when the tasks do, and cadre_ctx_unhook, which waits for a running hook.
 * Threads.      Every call may be made from every thread and from every task, unless its comment says otherwise. There is
 *               nothing to initialise: the runtime starts with the first call that needs it. A task moves to another thread
 *               only inside calls of this header; a system call, or another library's, never moves it.
 * Memory.       Every struct is the caller's, may live on the stack and is valid when zeroed. Fields marked private (p_) are
 *               not to be touched. There is nothing to free; what must be finished says so.
 * Time.         cadre_time is nanoseconds on CLOCK_MONOTONIC. A deadline is an absolute time; 0 means none.
 * Bad use.      Invalid arguments give -EINVAL. What cannot be told to the caller (releasing what was never held)
 *               prints a line and aborts, in every build.
 */
#ifndef CADRE_H
#define CADRE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/select.h> /* sigset_t */
#include <sys/types.h>

struct pollfd;   /* <poll.h> */
struct sockaddr; /* <sys/socket.h>, as is struct msghdr; socklen_t is unsigned int */
struct msghdr;

#ifdef __cplusplus
extern "C" {
#endif

#define CADRE_VERSION_MAJOR 0
#define CADRE_VERSION_MINOR 1
#define CADRE_VERSION_PATCH 0

#if defined(__GNUC__)
#define CADRE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define CADRE_MUST_CHECK __attribute__((warn_unused_result))
#define CADRE_NORETURN __attribute__((noreturn))
#else
#define CADRE_PRINTF(fmt, args)
#define CADRE_MUST_CHECK
#define CADRE_NORETURN
#endif

/* A task that blocked may go on on another thread, but compilers keep the address of errno across calls: libc declares
 * that it never changes. In every file that includes this header errno is therefore asked for anew each time. */
int *cadre_errno(void);
#undef errno
#define errno (*cadre_errno())

/* ---------------------------------------------------------------------------------------------------------- time -- */

typedef int64_t cadre_time;

#define CADRE_US(n) ((cadre_time)(n) * 1000)
#define CADRE_MS(n) ((cadre_time)(n) * 1000000)
#define CADRE_SEC(n) ((cadre_time)(n) * 1000000000)
#define CADRE_FOREVER INT64_MAX

/* The time now. */
cadre_time cadre_now(void);

/* The absolute time that lies `duration` from now: a deadline. Saturates at CADRE_FOREVER; negative means in the past. */
cadre_time cadre_in(cadre_time duration);

/* -------------------------------------------------------------------------------------------------------- errors -- */

#define CADRE_MESSAGE_SIZE 256
#define CADRE_NAME_SIZE 32
#define CADRE_TRACE_SIZE 16

/* Who raised an error. */
enum cadre_origin {
    CADRE_FROM_TASK,     /* the task returned it */
    CADRE_FROM_PANIC,    /* the task called cadre_panic */
    CADRE_FROM_START,    /* a task could not be started: -ENOMEM, -EDEADLK */
    CADRE_FROM_CANCEL,   /* cadre_group_cancel, cadre_ctx_cancel or a parent's cancel */
    CADRE_FROM_DEADLINE, /* a context's deadline passed */
    CADRE_FROM_RELEASE   /* cadre_group_release reported it */
};

/* One error, complete in itself: a plain value that may be copied and kept. code 0 means that there was none. */
struct cadre_error {
    int code;
    enum cadre_origin origin;
    int line;         /* where cadre_fail or cadre_panic was called; 0: the task only returned a code */
    uint32_t index;   /* of a task: its number in its group, in the order of being accepted, from 0; two that are started at the same
                         moment by different threads may share one */
    const char *file; /* NULL when line is 0 */
    char task[CADRE_NAME_SIZE];       /* what cadre_task_name gave it, or "" */
    char group[CADRE_NAME_SIZE];      /* the group's name, or "" */
    char message[CADRE_MESSAGE_SIZE]; /* what cadre_fail was given, or the text of the code; cut to fit, never empty
                                         unless code is 0 */
    void *trace[CADRE_TRACE_SIZE];    /* CADRE_FROM_PANIC: return addresses, innermost first; NULL ends them */
};

/* The text of a code, in English: that of strerror(3) for a negative errno value. A constant string. */
const char *cadre_strerror(int code);

/* ------------------------------------------------------------------------------------------------------- context -- */

#define CADRE_SHIELDED 0x1u /* the end of the parent does not reach this context; values still do */

/* A scope of cancellation. Zeroed it is a context of its own that somebody may cancel; with a parent it also ends when
 * the parent does. Fill in the public fields before use; afterwards they are read only. A context needs no finish call
 * and must outlive every call that was given it. */
struct cadre_ctx {
    struct cadre_ctx *parent;
    cadre_time deadline;
    const void *key; /* cadre_ctx_value(ctx, key) gives value, here and in descendants */
    void *value;
    unsigned flags;
    /* private */
    uint32_t p_lock;
    int32_t p_state, p_code;
    cadre_time p_when;
    uint64_t p_note;
    void *p_links;
    void *p_link[2];
    uint32_t p_kind, p_reserved;
};

/* 0 while ctx is live, then -ECANCELED or -ETIMEDOUT. What ended it first decides for good. */
int cadre_ctx_error(struct cadre_ctx *ctx);

/* End ctx and all that derives from it, and wake whoever is blocked under it. Only the first call has an effect.
 * `code` is what the cause will say (0 is taken as -ECANCELED); `why` may be NULL and is copied. Does not wait for
 * anybody. */
void cadre_ctx_cancel(struct cadre_ctx *ctx, int code, const char *why);

/* What ended ctx: code, message, origin; for a group that cancelled itself, its first error. code 0 while ctx is live. */
struct cadre_error cadre_ctx_cause(struct cadre_ctx *ctx);

/* The earliest deadline of ctx and its ancestors, up to a shielded one; CADRE_FOREVER when there is none. */
cadre_time cadre_ctx_deadline(const struct cadre_ctx *ctx);

/* The value that the nearest context, from ctx upwards, has for key; NULL when none has. */
void *cadre_ctx_value(const struct cadre_ctx *ctx, const void *key);

typedef void cadre_hook_fn(struct cadre_ctx *ctx, void *arg);

/* A callback for the end of a context. It runs on the thread that ends the context (at a deadline: on the one that
 * notices), belongs to no task, must be short and must not block; when the context had already ended, cadre_ctx_hook
 * runs it at once. */
struct cadre_hook {
    cadre_hook_fn *fn;
    void *arg;
    /* private */
    void *p_links[16];
};

/* Add a hook, which must stay where it is until it is removed. */
int cadre_ctx_hook(struct cadre_ctx *ctx, struct cadre_hook *hook);

/* Remove a hook that was added: every added hook must be. Returns 1 when it will never run, 0 when it has run; a hook
 * that is running on another thread is waited for. Removing it from within itself is fine. */
int cadre_ctx_unhook(struct cadre_ctx *ctx, struct cadre_hook *hook);

/* --------------------------------------------------------------------------------------------------------- group -- */

/* What a task runs. ctx is its group's context. Returns 0, or any non-zero code; a negative errno by convention. */
typedef int cadre_fn(struct cadre_ctx *ctx, void *arg);

#define CADRE_CANCEL_ON_ERROR 0x1u   /* the first error cancels the group */
#define CADRE_STOP_ON_ERROR 0x2u     /* after the first error nothing more starts; what runs is not told */
#define CADRE_DISCARD_WHEN_FULL 0x4u /* cadre_go never waits: with no room it returns -EAGAIN, arg goes to drop */
#define CADRE_PINNED 0x8u            /* a task of the group stays on the thread it started on */

#define CADRE_UNBOUNDED (-1)

/* A group of tasks. Fill in options or leave them 0; options are read until the group is waited for and must not change.
 * The group must outlive its tasks: call cadre_wait before it goes out of scope. */
struct cadre_group {
    struct cadre_ctx *parent;   /* the group's context derives from it; NULL: nothing outside cancels the group */
    const char *name;           /* for errors and dumps; must outlive the group */
    int limit;                  /* most tasks running at once; 0: no limit */
    int queue;                  /* tasks that may wait for a slot before cadre_go does; CADRE_UNBOUNDED: any number */
    unsigned flags;             /* CADRE_CANCEL_ON_ERROR … */
    unsigned reserved;          /* 0 */
    void (*drop)(void *arg);    /* gets the argument of each task that was accepted and will never run, in the order of
                                   being accepted, once the running ones have ended; belongs to no task, must not block */
    struct cadre_error *errors; /* room for max_errors errors, filled in the order in which they happen */
    size_t max_errors;
    size_t stack_size;          /* bytes of stack that each task needs; 0: 128 KiB */
    /* private */
    struct cadre_ctx p_ctx;
    uint64_t p_word;
    uint32_t p_begun, p_ended, p_foreign, p_family;
    uint32_t p_lock;
    int32_t p_limit;
    void *p_backlog;
    void *p_starters;
    uint32_t p_errors, p_state;
    int32_t p_code;
    uint32_t p_origin;
    uint64_t p_note;
    uint32_t p_index, p_holds;
};

/* Start fn(ctx, arg) as a task of g. At the group's limit it waits for a slot, or queues the task, as the options say;
 * while it waits, the group's context can end it. It takes arg whatever it returns: a task that is refused has its arg
 * handed to drop before the call returns; only -EINVAL leaves arg with the caller. Returns 0, or -ENOMEM, -EAGAIN
 * (discarded), -EDEADLK (all holders of slots would wait for one), -ECANCELED or -ETIMEDOUT (the group has ended or
 * stopped). The return value may be ignored: -ENOMEM and -EDEADLK are errors of the group too, and that a cancel kept
 * tasks from running is recorded once. */
int cadre_go(struct cadre_group *g, cadre_fn *fn, void *arg);

/* As cadre_go, with a private copy of the size bytes at arg, suitably aligned for any type, that lives as long as the
 * task. drop gets the address of the copy; or arg itself, when there was no memory for one. */
int cadre_go_copy(struct cadre_group *g, cadre_fn *fn, const void *arg, size_t size);

/* As cadre_go, but never waits: -EAGAIN when there is neither a slot nor room in the queue. Takes arg only when it
 * returns 0, and a refusal is no error of the group. */
int cadre_try_go(struct cadre_group *g, cadre_fn *fn, void *arg) CADRE_MUST_CHECK;

/* Wait until every task of g has ended or was dropped, helping to run them. Returns 0 or the code of the first error
 * (cadre_group_error tells all about it). When a parent's end kept tasks from running, that is the error. Many may
 * wait: all get the same answer. A task that waits for its own group gets -EDEADLK at once. The group can be used
 * again afterwards; its first error stays until cadre_group_reset. As with errgroup, waiting ends the context of a
 * CADRE_CANCEL_ON_ERROR group; unless it failed, its next task makes it live again, so that no task sees it ended by a
 * wait. */
int cadre_wait(struct cadre_group *g);

/* Cancel g: what has not started goes to drop, what runs sees its context end. cadre_wait returns `code`, unless a
 * task failed first; code 0 is a quiet stop: cadre_wait returns 0, unless a task fails, before or after. A task that
 * stops its own group calls this rather than cadre_ctx_cancel, which counts as somebody else's cancel and is an error
 * of the group. `why` may be NULL and is copied. Does not wait. */
void cadre_group_cancel(struct cadre_group *g, int code, const char *why);

/* Count in something that is not a task (a callback that will come), so that cadre_wait waits for it … */
int cadre_group_hold(struct cadre_group *g);

/* … and count it out again, with its error or 0. Takes no slot. A release without a hold asserts. */
void cadre_group_release(struct cadre_group *g, int code);

/* Change the limit, also while tasks run: it holds for the next start, and raising it starts what waits. Unlike in the
 * option, 0 lets nothing start and a negative number means no limit. */
int cadre_group_set_limit(struct cadre_group *g, int limit);

/* Forget error, cancel and limit changes: as good as new, with the same options. -EBUSY while tasks are there. */
int cadre_group_reset(struct cadre_group *g);

/* The group's context, for calls made on its behalf outside its tasks. */
struct cadre_ctx *cadre_group_ctx(struct cadre_group *g);

/* The first error, or one with code 0. Its text is kept by the runtime until 4,096 later errors have happened in the
 * process; a group with an errors array keeps its own, for as long as the array lives. */
struct cadre_error cadre_group_error(struct cadre_group *g);

/* How many errors there were. The first min(count, max_errors) are in the errors array; the others are only counted. */
size_t cadre_group_error_count(struct cadre_group *g);

/* Write what went wrong as text: one line per error that was kept and a summary. Like snprintf, it cuts to size bytes
 * with the final 0 and returns the length that it would have needed. Nothing went wrong: "". */
int cadre_errors_format(struct cadre_group *g, char *buf, size_t size);

/* -------------------------------------------------------------------------------------------------- delayed starts -- */

/* Names one delayed start. A plain value: it may be copied and kept for as long as one likes. */
struct cadre_delayed {
    void *p_record;
    uint64_t p_id;
};

/* Start fn(ctx, arg) as a task of g when `delay` has passed, or at the time `when`; negative or in the past: now.
 * cadre_wait waits for it from this call on. If the group is cancelled or stopped before it is due, it will not start,
 * and goes to drop as the group's option says (after a parent's end, once somebody waits or it comes due). While it
 * waits it is a small record, takes no slot and no room in the queue, and this call never waits; once due it takes a
 * slot, or waits for one in its turn, whatever the queue's bound. Those of a group that are due at the same time start in
 * the order of the calls. Ownership of arg and errors are those of cadre_go. *delayed, unless NULL, names it. */
int cadre_go_after(struct cadre_group *g, cadre_time delay, cadre_fn *fn, void *arg, struct cadre_delayed *delayed);
int cadre_go_at(struct cadre_group *g, cadre_time when, cadre_fn *fn, void *arg, struct cadre_delayed *delayed);

/* Start fn(ctx, arg) again and again: one period from now, two, three … A start that comes due while the one before is
 * still waiting or running is skipped. It goes on until it is cancelled or the group is; then, once no run is under
 * way, arg goes to drop. Until then cadre_wait waits. -EINVAL when period is not positive. */
int cadre_go_every(struct cadre_group *g, cadre_time period, cadre_fn *fn, void *arg, struct cadre_delayed *delayed);

/* Cancel a delayed start of g; its arg goes to drop. Returns 1 when it will never run, or never again; 0 when it is
 * too late: it has started, or was dropped or cancelled before. */
int cadre_delayed_cancel(struct cadre_group *g, const struct cadre_delayed *delayed);

/* ---------------------------------------------------------------------------------------------------- in the task -- */

/* Attach a message, with file and line, to the running task's error, and return code:
 *     return cadre_fail(ctx, -EIO, "%s: short read", path);
 * It counts when the task returns that code; code 0 attaches nothing. Outside a task it only returns code. An error that
 * cadre_wait returned for an inner group keeps its message when the task returns its code. */
#define cadre_fail(ctx, ...) cadre_fail_at(ctx, __FILE__, __LINE__, __VA_ARGS__)
int cadre_fail_at(struct cadre_ctx *ctx, const char *file, int line, int code, const char *fmt, ...) CADRE_PRINTF(5, 6);

/* End the running task from any depth: its deferred calls run, its group gets the error -ENOTRECOVERABLE with origin
 * CADRE_FROM_PANIC, the message and a backtrace. Frames in between are abandoned, so destructors and cleanup attributes
 * there do not run. Outside a task it prints the message and aborts. */
#define cadre_panic(...) cadre_panic_at(__FILE__, __LINE__, __VA_ARGS__)
void cadre_panic_at(const char *file, int line, const char *fmt, ...) CADRE_PRINTF(3, 4) CADRE_NORETURN;

/* Call fn(arg) when the running task ends, however it ends; the last one first. The task's function has returned by
 * then: arg must not point to its local variables. Returns -ENOMEM, -EINVAL (no fn), or -EPERM outside a task; then fn
 * was not taken.
 * Deferred calls may block, but not panic. */
int cadre_defer(void (*fn)(void *arg), void *arg) CADRE_MUST_CHECK;

/* Name the running task in errors and dumps; copied and cut to CADRE_NAME_SIZE. Outside a task it does nothing. */
void cadre_task_name(const char *name);

/* Sleep for `duration`, or until ctx ends. Looks at ctx even when duration is not positive. */
int cadre_sleep(struct cadre_ctx *ctx, cadre_time duration);

/* Let other tasks, and timers that are due, run first. No cancellation point. */
void cadre_yield(void);

/* Between the two, which nest, the running task stays on its thread; cadre_pin itself may move it to one of the
 * library's. For libraries that keep state per thread. */
void cadre_pin(void);
void cadre_unpin(void);

/* ------------------------------------------------------------------------------------------------------- channel -- */

/* A queue of values between tasks, first in, first out, for any number of senders and receivers. With capacity 0 a send
 * waits for its receiver; otherwise slots is the caller's array of capacity elements.
 *     struct job slots[64];
 *     struct cadre_chan c = { .size = sizeof *slots, .capacity = 64, .slots = slots }; */
struct cadre_chan {
    size_t size; /* bytes of an element; 0: the channel carries only signals */
    size_t capacity;
    void *slots;
    void (*destroy)(void *element); /* called once for every element that was sent and never received; may be NULL */
    /* private */
    uint32_t p_lock, p_closed;
    size_t p_head, p_count;
    void *p_senders, *p_receivers;
    uint64_t p_reserved[2];
};

/* Send a copy of *element, waiting for room. -EPIPE: the channel is closed. The element is the channel's only on
 * success. */
int cadre_send(struct cadre_ctx *ctx, struct cadre_chan *c, const void *element) CADRE_MUST_CHECK;
int cadre_try_send(struct cadre_chan *c, const void *element) CADRE_MUST_CHECK; /* -EAGAIN instead of waiting */

/* Receive the oldest element, waiting for one. -EPIPE: the channel is closed and empty, which is how a loop over a channel ends:
 *     while ((rc = cadre_recv(ctx, c, &item)) == 0) …;
 *     return rc == -EPIPE ? 0 : rc;
 * A receive that returns an error took nothing. */
int cadre_recv(struct cadre_ctx *ctx, struct cadre_chan *c, void *element) CADRE_MUST_CHECK;
int cadre_try_recv(struct cadre_chan *c, void *element) CADRE_MUST_CHECK; /* -EAGAIN instead of waiting */

/* No more sends: what is there can still be received, whoever waits gets -EPIPE. Closing twice is harmless. */
void cadre_chan_close(struct cadre_chan *c);

/* Close, and destroy what was never received. Nobody may be using the channel afterwards. */
void cadre_chan_finish(struct cadre_chan *c);

/* How many elements are waiting in the channel now. */
size_t cadre_chan_length(struct cadre_chan *c);

enum cadre_select_op { CADRE_SEND = 1, CADRE_RECV, CADRE_UNTIL };

/* One thing to wait for in cadre_select. */
struct cadre_case {
    enum cadre_select_op op;
    struct cadre_chan *chan;
    void *element;       /* read by CADRE_SEND, written by CADRE_RECV */
    cadre_time deadline; /* CADRE_UNTIL: fires at this time; 0 or in the past, at once when nothing else can */
    int code;            /* set in the case that fired: 0, or -EPIPE when its channel was closed */
    /* private */
    void *p_links[8];
};

/* Wait until one of n cases can go, do it, and return its index. When several can, one is chosen at random. Returns
 * -ECANCELED or -ETIMEDOUT when ctx ended first: then no case was done. -EINVAL: no cases, an unknown op, a second
 * CADRE_UNTIL, a channel that is none. */
int cadre_select(struct cadre_ctx *ctx, struct cadre_case *cases, int n) CADRE_MUST_CHECK;

/* --------------------------------------------------------------------------------------------- semaphore and mutex -- */

/* A weighted semaphore: size units that are taken and given back. First come, first served: a small request does not
 * overtake a large one that waits. */
struct cadre_sem {
    int64_t size;
    /* private */
    int64_t p_used;
    uint32_t p_lock, p_reserved;
    void *p_waiters;
};

/* Take n units, waiting for them. -EINVAL when n is negative or more than size; that holds up nobody. */
int cadre_sem_acquire(struct cadre_ctx *ctx, struct cadre_sem *s, int64_t n) CADRE_MUST_CHECK;
int cadre_sem_try_acquire(struct cadre_sem *s, int64_t n) CADRE_MUST_CHECK; /* -EAGAIN instead of waiting */

/* Give n units back. -EINVAL, with nothing changed, when more would be free than there are. */
int cadre_sem_release(struct cadre_sem *s, int64_t n);

/* A mutex that may be held while a task is suspended. Not recursive; served first come, first served. */
struct cadre_mutex {
    /* private */
    uint32_t p_lock, p_held;
    void *p_waiters;
    const void *p_owner;
};

/* -EDEADLK when the caller holds it already, or a task below it on its stack, which cannot go on before the caller
 * ends. */
int cadre_mutex_lock(struct cadre_ctx *ctx, struct cadre_mutex *m) CADRE_MUST_CHECK;
int cadre_mutex_try_lock(struct cadre_mutex *m) CADRE_MUST_CHECK; /* -EAGAIN instead of waiting */

/* -EPERM when the caller does not hold it. */
int cadre_mutex_unlock(struct cadre_mutex *m);

/* ------------------------------------------------------------------------------------------------------------ jobs -- */

/* The calls of this part run several functions and tell what became of them, each in its own way. Every function runs
 * as a task of its own: it may block, cadre_fail, cadre_defer and cadre_panic. Nothing is left behind: whoever is not
 * needed any more is cancelled, and every call waits until all have ended, unless options->rest says otherwise. When
 * ctx ends, so do they; the call then waits for them and returns ctx's error, unless the result was certain before.
 * -EINVAL, before anything has started, when jobs or a function is NULL, n is 0 or an option is out of range; -ENOMEM
 * when something could not be started; the others are cancelled then. Inside a task, an error that such a call returns
 * keeps its message when the task returns it too. */

/* One function to run. */
struct cadre_job {
    cadre_fn *fn;
    void *arg;
    int code; /* set by the call: what fn returned, -ENOTRECOVERABLE after a panic; -ECANCELED when it never ran */
};

/* How jobs are to be run. NULL in its place, or any field zero, means the default. */
struct cadre_jobs_options {
    const char *name;           /* of the group that they form, for errors and dumps */
    int limit;                  /* most jobs running at once, the others wait in the order of the array; 0: no limit */
    size_t stack_size;          /* as in struct cadre_group */
    struct cadre_error *error;  /* gets the error that the call returns, with its message; but for -EINVAL and -ENOMEM */
    struct cadre_error *errors; /* room for n errors: that of each job, by its index; code 0 where there was none */
    struct cadre_group *rest;   /* do not wait for the losers: who is not needed is cancelled, and this group waits for them, as for
                                   one hold. What the jobs' args point to must last as long; the array of jobs need not, and
                                   is not written to after the call. When ctx ends the call returns at once. The jobs see the
                                   values of this group's context, not of ctx */
};

/* Run all jobs. The first error cancels the others and is returned; 0 when all returned 0. */
int cadre_all(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options);

/* Run all jobs to their ends, whatever they return, and return 0; their codes are in the array. Only when ctx ended and
 * kept a job from running or ended it, its error is returned. */
int cadre_settle(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options);

/* The first job to return 0 wins and the others are cancelled: returns 0, and *winner, unless NULL, is its index. When
 * all fail, the code of the last one to. */
int cadre_race(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, const struct cadre_jobs_options *options, size_t *winner);

/* Wait until k jobs have returned 0, and cancel the others: order, an array of k unless NULL, gets their indexes as
 * they came in. A failure before that cancels all and is returned. k more than n means n; k = 0 is -EINVAL. */
int cadre_take(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, size_t k, const struct cadre_jobs_options *options,
               size_t *order);

/* As cadre_all; order, an array of k, gets the indexes of the last k jobs to end, as they came in. */
int cadre_last(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, size_t k, const struct cadre_jobs_options *options,
               size_t *order);

/* As cadre_take, but failures are tolerated while k successes are still possible. The failure that makes them impossible
 * cancels the others and is returned. k = 0 and k more than n are -EINVAL. */
int cadre_quorum(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, size_t k, const struct cadre_jobs_options *options,
                 size_t *order);

/* A race that starts the jobs one after the other, each when all before it have failed or `delay` has passed since the
 * last start (Dean, Barroso: The Tail at Scale, 2013). Not positive: all at once. */
int cadre_hedge(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, cadre_time delay, const struct cadre_jobs_options *options,
                size_t *winner);

/* Run the jobs one after the other as steps: every fn gets the same `value` as its argument (the job's arg is not
 * used), which it reads and changes. Ends at the first error and returns it; later steps have code -ECANCELED. */
int cadre_waterfall(struct cadre_ctx *ctx, struct cadre_job *jobs, size_t n, void *value);

/* Run fn(ctx, arg) with `duration` as its time. A cancel that it echoes because the time is up becomes -ETIMEDOUT, any
 * other result stands. The call returns when fn does: it is fn that has to look. Not positive: fn runs, with its time
 * up. When ctx has ended, fn does not run. */
int cadre_timeout(struct cadre_ctx *ctx, cadre_time duration, cadre_fn *fn, void *arg);

/* How often and when to try again. Zero: any number of times, without delay, whatever the error. */
struct cadre_retry_options {
    uint32_t attempts;      /* tries at most, the first included; 0: until ctx ends */
    cadre_time delay;       /* before the second try */
    double factor;          /* by which the delay grows from try to try; 0 is taken as 1; at least 1 */
    cadre_time max_delay;   /* to which it grows at most; 0: no bound */
    int jitter;             /* not 0: sleep for a random time up to the delay ("full jitter": Brooker, 2015) */
    cadre_time try_timeout; /* for each try; 0: none. A try that runs out of it failed with -ETIMEDOUT */
    cadre_time deadline;    /* for everything, an absolute time; 0: none. No try starts when its delay would end after it */
    int (*again)(int code, void *arg); /* is a failure with this code worth another try? Gets fn's arg. NULL: it is */
    size_t stack_size;         /* as in struct cadre_group */
    struct cadre_error *error; /* gets the error of the last try that failed, also when ctx ended after it; or what kept any try
                                  from running; not written on success */
};

/* Call fn(ctx, arg) as a task until it returns 0, and return 0. Else the code of the last try, or ctx's error when
 * that ended it. *tries, unless NULL, says how many tries were made, also on failure; so does the error's message,
 * when there was more than one. options may be NULL. */
int cadre_retry(struct cadre_ctx *ctx, const struct cadre_retry_options *options, cadre_fn *fn, void *arg, uint32_t *tries);

/* One piece of a loop: the numbers from begin up to, but not including, end. */
typedef int cadre_range_fn(struct cadre_ctx *ctx, size_t begin, size_t end, void *arg);

/* Call fn for pieces of begin … end - 1, `grain` numbers at a time (0: a sensible size), in parallel: by as many tasks
 * as there are workers, or options->limit. Pieces are handed out in order. The first error ends the loop and is
 * returned. begin = end does nothing; begin > end is -EINVAL, as are options->error, errors and rest. */
int cadre_for(struct cadre_ctx *ctx, size_t begin, size_t end, size_t grain, cadre_range_fn *fn, void *arg,
              const struct cadre_jobs_options *options);

/* ------------------------------------------------------------------------------------------------------ pipelines -- */

/* What the tasks of a stage run. */
typedef int cadre_stage_fn(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, void *arg);

/* One step of a pipeline: `tasks` tasks that each run fn, which usually is a loop that receives from in and sends to
 * out. The first stage has no in, the last one no out: they are NULL. */
struct cadre_stage {
    cadre_stage_fn *fn;
    void *arg;
    int tasks;              /* 0 is taken as 1 */
    const char *name;       /* of its tasks, in errors */
    struct cadre_chan *out; /* where it sends to and the next stage receives from; NULL in the last one only */
};

/* Run n stages, each from the channel of the one before to its own, until all have ended. When the last task of a
 * stage ends, its channel is closed, so that the next stage's loop comes to its end; and so is the channel that it
 * received from, so that nobody sends to it in vain: a send then gives -EPIPE, which a stage may return and which is
 * no error then. The first error cancels all stages and is returned. What is left in the channels is destroyed; they
 * cannot be used again. -EINVAL: a stage without fn or, but for the last, without out; a last one with out; a negative
 * number of tasks; no stages. */
int cadre_pipeline(struct cadre_ctx *ctx, const struct cadre_stage *stages, size_t n);

/* Makes *to of *from. */
typedef int cadre_map_fn(struct cadre_ctx *ctx, const void *from, void *to, void *arg);

/* Turn elements of in into elements of out by calling fn(ctx, from, to, arg) in parallel, in the order of in: at most
 * options->limit calls at a time (0: as many as there are workers) and, with those whose turn to be sent has not come,
 * at most `window` elements (0: twice that; less than options->limit is -EINVAL). Ends when in is closed and empty, or
 * with the first error, and closes out whatever happens, -EINVAL included, which is how a receiver ends. An element of
 * in belongs to fn; so does one of out until fn has returned 0. When the call fails, elements of out that were not
 * sent go to out's destroy. options->error, errors and rest are -EINVAL. */
int cadre_map_stream(struct cadre_ctx *ctx, struct cadre_chan *in, struct cadre_chan *out, cadre_map_fn *fn, void *arg,
                     size_t window, const struct cadre_jobs_options *options);

/* ----------------------------------------------------------------------------------------- once and shared flights -- */

/* Something to be done once. Zeroed it has not been done. */
struct cadre_once {
    /* private */
    uint32_t p_done, p_reserved;
    struct cadre_mutex p_mutex;
};

/* The first caller runs fn(ctx, arg), as part of itself; others wait for that. Once it has returned 0 it is done for
 * good, and every call returns 0 at once. When it fails, its caller gets the error and the next one tries. A caller
 * whose ctx ends while it waits leaves. -EDEADLK when fn itself calls it on the same object. */
int cadre_once(struct cadre_ctx *ctx, struct cadre_once *once, cadre_fn *fn, void *arg);

/* Calls that are shared: who asks for what somebody is already getting waits for that one's result (Go's
 * singleflight). */
struct cadre_flights {
    struct cadre_group *group; /* cadre_wait on it waits for the calls, and its cancel reaches them; they take no slot. It and this
                                  struct must stay until it has been waited for */
    /* private */
    struct cadre_mutex p_mutex;
    void *p_first;
};

/* Get what the key_size bytes at key name, by fn(ctx, arg) with a copy of the size bytes at arg, that fn reads and
 * changes. If a call for the same key is under way, wait for that one instead. On success the copy, as fn left it, is
 * copied to each caller's arg. A caller whose ctx ends leaves at once with its error, and the call goes on for the
 * others; when all have left, it is cancelled. Returns what fn returned, or -EINVAL, -ENOMEM, or the error of the
 * group's context when that has ended, or ends. A fn that asks for its own key waits for itself: that is not noticed.
 * A call with the same key must have the same size, else -EINVAL. *shared, unless NULL, is 1 when the result went to
 * several. */
int cadre_flight(struct cadre_ctx *ctx, struct cadre_flights *flights, const void *key, size_t key_size, cadre_fn *fn, void *arg,
                 size_t size, int *shared);

/* --------------------------------------------------------------------- calls that block, descriptors, children, signals -- */

/* A task may make any call that blocks its thread: others carry on meanwhile, on up to CADRE_MAX_THREADS threads (an environment
 * variable; by default 256 more than there are workers). But such a call does not see its context end, and each holds a thread. The
 * calls of this part do see it. They suspend only the task; cadre_block holds a thread, but none that runs tasks. */

/* Run fn(ctx, arg) on a thread set aside for calls that block, and return what it returns. At most CADRE_BLOCK_THREADS (an environment
 * variable, 64) run at once; others wait for their turn. When ctx ends the caller leaves at once with its error: a call
 * that waits for its turn then never runs; one that has begun goes on, sees the context that it was given end, and is waited
 * for by the caller's group, so arg must last until the group has been waited for: no variable of the caller's (cadre_block_copy). fn sees
 * the values of the group's context. It may cadre_fail, cadre_defer and cadre_panic. On a plain thread, which has no group, and within
 * another such call, fn is simply called. */
int cadre_block(struct cadre_ctx *ctx, cadre_fn *fn, void *arg);

/* As cadre_block, with a copy of the size bytes at arg, suitably aligned for any type. Once fn has returned 0 the copy is copied back; who
 * left before that finds arg as it was. The safe way to use variables of the caller's. */
int cadre_block_copy(struct cadre_ctx *ctx, cadre_fn *fn, void *arg, size_t size);

/* Wait until fd can be read (POLLIN), written (POLLOUT) or what else poll(2) knows, and return the events that there are, which may be POLLERR
 * and POLLHUP too. Several may wait on one descriptor. What cannot be waited for (a regular file) is always ready.
 * -EBADF: fd is none, or was closed meanwhile: close it with cadre_close when somebody may be waiting. */
int cadre_wait_fd(struct cadre_ctx *ctx, int fd, int events) CADRE_MUST_CHECK;

/* As poll(2), for several descriptors: waits until one has an event, fills in all revents and returns how many are not 0; 0 at
 * `deadline` (an absolute time; 0: none), which unlike ctx's is no error. Negative descriptors are passed over. */
int cadre_poll(struct cadre_ctx *ctx, struct pollfd *fds, size_t n, cadre_time deadline) CADRE_MUST_CHECK;

/* Close fd as close(2) does. Who waits on it, in any call of this part, gets -EBADF. */
int cadre_close(int fd);

/* Read as read(2) does: up to size bytes, 0 at the end. Whether fd is in non-blocking mode makes no difference; a regular file
 * blocks its thread while it is read from the disk, and so may a terminal that others read from too. */
ssize_t cadre_read(struct cadre_ctx *ctx, int fd, void *buf, size_t size) CADRE_MUST_CHECK;

/* Write all size bytes, and return size; after an error some may have been written. When nobody reads it is -EPIPE, without a
 * signal. */
ssize_t cadre_write(struct cadre_ctx *ctx, int fd, const void *buf, size_t size) CADRE_MUST_CHECK;

/* Accept a connection as accept(2) does: its descriptor, which is close-on-exec and non-blocking. fd becomes non-blocking. */
int cadre_accept(struct cadre_ctx *ctx, int fd, struct sockaddr *addr, unsigned int *size) CADRE_MUST_CHECK;

/* Connect as connect(2) does. fd becomes non-blocking. After an error it is good for cadre_close only. */
int cadre_connect(struct cadre_ctx *ctx, int fd, const struct sockaddr *addr, unsigned int size) CADRE_MUST_CHECK;

/* One message of a socket, as recvmsg(2) and sendmsg(2); on a stream, part of it. MSG_DONTWAIT changes nothing. */
ssize_t cadre_recvmsg(struct cadre_ctx *ctx, int fd, struct msghdr *message, int flags) CADRE_MUST_CHECK;
ssize_t cadre_sendmsg(struct cadre_ctx *ctx, int fd, const struct msghdr *message, int flags) CADRE_MUST_CHECK;

/* Wait for one of the signals in set and return its number. Each signal that arrives goes to one waiter. From the first
 * wait on, the library handles these signals: they do nothing else any more (sigaction(2) gives one back), and one that comes
 * while nobody waits is kept for the next who does. Signals that the program has blocked are received all the same; one that was sent to
 * a single thread (raise(3), pthread_kill(3)) only when that thread does not block it, as the library's own do. -EINVAL:
 * none in set, or one that cannot be waited for (SIGKILL, SIGSTOP, SIGSEGV and the like). */
int cadre_wait_signal(struct cadre_ctx *ctx, const sigset_t *set) CADRE_MUST_CHECK;

#define CADRE_EXEC_STDIN 0x1u    /* the command has this program's standard input, rather than an empty one */
#define CADRE_EXEC_KEEP_FDS 0x2u /* it has all descriptors that are not close-on-exec, rather than the first three */

/* A program to run, and what goes in and out. Zeroed but for argv: no input; its stdout goes where the program's own goes; its
 * stderr is not shown, but its end becomes the error's message (with err = 2 it is shown). */
struct cadre_command {
    char *const *argv;     /* NULL ends it; argv[0] is looked up in PATH when it has no slash */
    char *const *env;      /* NULL ends it; NULL: the program's own */
    const char *directory; /* to run it in; NULL: the program's own */
    const void *input;     /* its stdin: input_size bytes */
    size_t input_size;
    int in, out, err;      /* descriptors to be its stdin, stdout and stderr; 0: none given */
    char *out_text;        /* room for out_size bytes of what it writes to stdout: the first that fit, with a final 0 */
    size_t out_size;
    char *err_text;        /* the same of stderr */
    size_t err_size;
    /* Called, by the caller's task, for each line of stdout (stream 1) and stderr (2), length bytes without the newline and
     * with a final 0; what is longer than 4,095 bytes comes in pieces. Not 0: stop the command, and return this. */
    int (*line)(void *arg, int stream, const char *text, size_t length);
    void *line_arg;
    cadre_time grace;      /* between SIGTERM and SIGKILL; 0: two seconds; negative: SIGKILL at once */
    unsigned flags;        /* CADRE_EXEC_STDIN … */
    unsigned reserved;     /* 0 */
};

/* What became of it. */
struct cadre_exit {
    int status;            /* with which it exited; -1: it did not */
    int signal;            /* that ended it, or 0 */
    pid_t pid;             /* it had */
    size_t out_length;     /* bytes that it wrote where they could be counted, kept or not */
    size_t err_length;
    cadre_time time;       /* from start to end */
    struct rusage usage;   /* its own, and that of children it has waited for */
    char message[CADRE_MESSAGE_SIZE]; /* the last lines of stderr, or what happened to it; "" after success */
};

/* Run a command, in a process group of its own, until it has exited and nobody holds open what it writes to and we read: background
 * processes that keep it are waited for. Returns 0 when its exit status was 0; the status when it was not; 128 + n when signal n ended
 * it; what `line` returned to stop it; ctx's error when that ended it: then the whole process group gets SIGTERM and after `grace`
 * SIGKILL, and is gone when the call returns; or a negative errno when it could not be started (-ENOENT: no such program or directory),
 * with nothing written to *result. The task's error has the message. result may be NULL. -ECHILD: somebody else has waited for the child,
 * or SIGCHLD is ignored. */
int cadre_exec(struct cadre_ctx *ctx, const struct cadre_command *command, struct cadre_exit *result);

/* ------------------------------------------------------------------------------------------------------- runtime -- */

/* How many threads run tasks at once: CADRE_WORKERS from the environment, or what the affinity mask and the cgroup's CPU
 * quota allow. Starts the runtime. A negative errno when it cannot start. */
int cadre_workers(void);

/* "major.minor.patch" of the library that is running. */
const char *cadre_version(void);

#ifdef __cplusplus
}
#endif
#endif
