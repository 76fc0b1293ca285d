/* SPDX-License-Identifier: MIT
 * The library's own threads: detached, with every signal blocked from their first instruction on. */
#define _GNU_SOURCE 1
#include "platform/os.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Tasks run on stacks of their own, so a thread needs little; the room is for signal frames and libc's thread-local data. */
#define STACK_ROOM (256u << 10)

/* From cdr_thread_start to the thread, which frees it. */
struct start {
    void (*fn)(void *arg);
    void *arg;
    char name[16]; /* the kernel keeps no more */
};

static void *run(void *p)
{
    struct start start = *(struct start *)p;

    free(p);
    pthread_setname_np(pthread_self(), start.name); /* by itself: a detached thread may be gone before others name it */
    start.fn(start.arg);
    return NULL;
}

static int create(struct start *start, size_t stack_size)
{
    pthread_attr_t attr;
    pthread_t thread;
    int error = pthread_attr_init(&attr);

    if (error != 0)
        return error;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack_size != 0)
        error = pthread_attr_setstacksize(&attr, stack_size);
    if (error == 0)
        error = pthread_create(&thread, &attr, run, start);
    pthread_attr_destroy(&attr);
    return error;
}

int cdr_thread_start(void (*fn)(void *arg), void *arg, const char *name)
{
    int saved = errno, error;
    struct start *start = malloc(sizeof *start);
    sigset_t all, before;

    if (start == NULL) {
        errno = saved;
        return -ENOMEM;
    }
    *start = (struct start){ .fn = fn, .arg = arg };
    snprintf(start->name, sizeof start->name, "%s", name);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits it */
    error = create(start, (size_t)PTHREAD_STACK_MIN + STACK_ROOM);
    if (error == EINVAL)
        error = create(start, 0); /* a program whose thread-local data alone are larger */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        free(start);
    errno = saved;
    return -error;
}

int cdr_thread_id(void) { return (int)gettid(); }

/* The kernel's numbers for clocks of single threads: clock_getcpuclockid(3) makes those of processes in the same way. */
int64_t cdr_thread_cpu(int id)
{
    enum { CLOCK_SCHED = 2, CLOCK_OF_THREAD = 4 };
    clockid_t clock = (clockid_t)((~(unsigned)id << 3) | CLOCK_SCHED | CLOCK_OF_THREAD);
    int saved = errno;
    struct timespec used;
    int error = clock_gettime(clock, &used);

    errno = saved;
    return error == 0 ? used.tv_sec * (int64_t)1000000000 + used.tv_nsec : -1;
}

int cdr_thread_asleep(int id)
{
    char path[48], text[128];
    const char *state = NULL;
    int saved = errno, fd;
    ssize_t n = -1;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof text - 1);
        close(fd);
    }
    if (n > 0) {
        text[n] = 0;
        state = strrchr(text, ')'); /* the name before it may hold anything */
    }
    errno = saved;
    if (state == NULL || strlen(state) < 3)
        return -1;
    return state[2] == 'S' || state[2] == 'D';
}

void cdr_thread_stack(uintptr_t *low, uintptr_t *high)
{
    int saved = errno;
    pthread_attr_t attr;
    void *base = NULL;
    size_t size = 0;

    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        if (pthread_attr_getstack(&attr, &base, &size) != 0)
            base = NULL, size = 0;
        pthread_attr_destroy(&attr);
    }
    *low = (uintptr_t)base;
    *high = (uintptr_t)base + size;
    errno = saved;
}

/* ---- the ends of threads and processes ---- */

static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct cdr_lifecycle hooks;

static void init_once(void)
{
    pthread_key_create(&exit_key, hooks.thread_exits);
    pthread_atfork(hooks.before_fork, hooks.after_fork_in_parent, hooks.after_fork_in_child);
}

void cdr_lifecycle_init(const struct cdr_lifecycle *lifecycle)
{
    hooks = *lifecycle;
    pthread_once(&once, init_once);
}

void cdr_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    pthread_atfork(before, in_parent, in_child);
}

void cdr_thread_set_exit(void *arg) { pthread_setspecific(exit_key, arg); }

void cdr_thread_yield(void) { sched_yield(); }

int cdr_backtrace(void **trace, int size)
{
    int saved = errno, n = backtrace(trace, size);

    errno = saved;
    return n;
}
