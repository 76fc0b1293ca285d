/* SPDX-License-Identifier: MIT
 * Debug builds watch pthread mutexes: one that a task holds while it is suspended holds up whole threads, and with bad luck all of them
 * for ever. So pthread_mutex_lock and its kin are stood in for, and who waits long for a mutex whose holder is suspended says so, once.
 * The program behaves as before; what tasks should use is struct cadre_mutex. Who holds, and whether that one is suspended, the layers above say.
 *
 * The table of holders has a lock of its own, under which only `suspended` is called. */
#ifdef CADRE_WATCH_MUTEXES
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "platform/os.h"

#define HOLDERS 1024
#define PATIENCE_MS 300

static struct holder {
    pthread_mutex_t *mutex; /* NULL: free */
    const void *task;
    char who[CDR_WHO_SIZE];
    bool reported;
} holders[HOLDERS];
static struct cdr_lock lock;

static int (*real_lock)(pthread_mutex_t *mutex);
static int (*real_trylock)(pthread_mutex_t *mutex);
static int (*real_unlock)(pthread_mutex_t *mutex);

static const struct cdr_mutex_watch *watch;

void cdr_watch_mutexes(const struct cdr_mutex_watch *by) { watch = by; }

static void forget_all(void)
{
    memset(holders, 0, sizeof holders);
    lock = (struct cdr_lock){ 0 };
}

static __attribute__((constructor)) void survive_fork(void) { cdr_at_fork(NULL, NULL, forget_all); }

static __attribute__((constructor)) void resolve(void)
{
    /* The detour through void ** is POSIX's own: a function's address comes as a pointer to an object. */
    *(void **)(void *)&real_trylock = dlsym(RTLD_NEXT, "pthread_mutex_trylock");
    *(void **)(void *)&real_unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    *(void **)(void *)&real_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
}

/* The lock is held. */
static struct holder *find(const pthread_mutex_t *mutex)
{
    size_t at = (size_t)((uintptr_t)mutex * 0x9e3779b97f4a7c15u >> 54) % HOLDERS;

    for (size_t i = 0; i < HOLDERS; i++)
        if (holders[(at + i) % HOLDERS].mutex == mutex)
            return &holders[(at + i) % HOLDERS];
    return NULL;
}

static void note(pthread_mutex_t *mutex)
{
    char who[CDR_WHO_SIZE];
    const void *task = watch != NULL ? watch->running(who, sizeof who) : NULL;
    struct holder *holder;

    if (task == NULL)
        return;
    cdr_lock(&lock);
    holder = find(mutex);
    if (holder == NULL)
        holder = find(NULL);
    if (holder != NULL) {
        holder->mutex = mutex;
        holder->task = task;
        holder->reported = false;
        memcpy(holder->who, who, sizeof who);
    }
    cdr_unlock(&lock);
}

static void forget(const pthread_mutex_t *mutex)
{
    struct holder *holder;

    cdr_lock(&lock);
    holder = find(mutex);
    if (holder != NULL)
        holder->mutex = NULL;
    cdr_unlock(&lock);
}

static void complain(const pthread_mutex_t *mutex)
{
    char waiter[CDR_WHO_SIZE] = "a thread", who[CDR_WHO_SIZE];
    struct holder *holder;
    bool suspended = false;

    cdr_lock(&lock);
    holder = find(mutex);
    if (holder != NULL && !holder->reported && watch->suspended(holder->task)) {
        suspended = holder->reported = true;
        memcpy(who, holder->who, sizeof who);
    }
    cdr_unlock(&lock);
    if (!suspended)
        return;
    (void)watch->running(waiter, sizeof waiter);
    fprintf(stderr, "cadre: %s waits for a pthread mutex that %s holds while it is suspended; use struct cadre_mutex there\n", waiter,
            who);
}

static struct timespec soon(void)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += PATIENCE_MS * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_nsec -= 1000000000L;
        at.tv_sec++;
    }
    return at;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    int error;

    if (real_lock == NULL)
        resolve();
    error = real_trylock(mutex);
    while (error == EBUSY || error == ETIMEDOUT) {
        struct timespec at = soon();

        error = pthread_mutex_timedlock(mutex, &at);
        if (error == ETIMEDOUT)
            complain(mutex);
    }
    if (error == EINVAL) /* a kind that knows no timeout */
        error = real_lock(mutex);
    if (error == 0)
        note(mutex);
    return error;
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    int error;

    if (real_lock == NULL)
        resolve();
    error = real_trylock(mutex);
    if (error == 0)
        note(mutex);
    return error;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (real_lock == NULL)
        resolve();
    forget(mutex);
    return real_unlock(mutex);
}
#endif
