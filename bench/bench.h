/* SPDX-License-Identifier: MIT
 *
 * The frame of every C and C++ program in this folder: it says what it is, then makes one timed run for each line on
 * stdin and answers with its figures. And what several of them measure with.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A wrong result ends the program: a figure for work that was not done is worth nothing. */
static inline void bench_require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "wrong result: %s\n", what);
    exit(1);
}

/* A size: as the question says, or a small one when BENCH_QUICK is set, for checks. */
static inline long bench_pick(long full, long quick)
{
    return getenv("BENCH_QUICK") == NULL ? full : quick;
}

/* Empty tasks leave no trace, so these questions first run once, untimed, with tasks that tick. */
static long bench_ticks;

static inline void bench_tick(void)
{
    __atomic_fetch_add(&bench_ticks, 1, __ATOMIC_RELAXED); /* read after the wait, which orders it */
}

/* The time on this clock, in nanoseconds. */
static inline double bench_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline double bench_now(void)
{
    return bench_clock(CLOCK_MONOTONIC);
}

/* CPU time of the whole process. */
static inline double bench_cpu(void)
{
    return bench_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* Bytes of memory that the process has resident. */
static inline double bench_resident(void)
{
    long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    bench_require(f != NULL && fscanf(f, "%ld %ld", &size, &resident) == 2, "/proc/self/statm");
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* Real sleep of the calling thread, unknown to the library that is measured. */
static inline void bench_sleep(double ns)
{
    struct timespec t;

    t.tv_sec = (time_t)(ns / 1e9);
    t.tv_nsec = (long)(ns - (double)t.tv_sec * 1e9);
    nanosleep(&t, NULL);
}

static inline int bench_by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The value that `share` of the n are not above; sorts them. */
static inline double bench_quantile(double *values, long n, double share)
{
    qsort(values, (size_t)n, sizeof *values, bench_by_size);
    return values[(long)(share * (double)(n - 1))];
}

/* How many figures these units are for: "ns/task" for one; "ns/task\tmemory\tbytes" for two, of which the second belongs
 * to the question NAME_memory. */
static inline int bench_figures(const char *units)
{
    int tabs = 0;

    for (; *units != '\0'; units++)
        tabs += *units == '\t';
    return tabs / 2 + 1;
}

#define BENCH_MOST_FIGURES 4

/* First line: version and units. Then, for each line on stdin until its end, one with the figures of a run. */
static inline int bench_answer(const char *version, const char *units, void (*run)(const void *arg, double *figures),
                               const void *arg)
{
    double figures[BENCH_MOST_FIGURES];
    int n = bench_figures(units);

    printf("%s\t%s\n", version, units);
    fflush(stdout);
    for (int c = getchar(); c != EOF; c = getchar()) {
        if (c != '\n')
            continue;
        run(arg, figures);
        for (int i = 0; i < n; i++)
            printf("%.3f%c", figures[i], i + 1 < n ? '\t' : '\n');
        fflush(stdout);
    }
    return 0;
}

struct bench_timed {
    void (*run)(const void *arg);
    const void *arg;
    double units;
};

static inline void bench_run_timed(const void *arg, double *figures)
{
    const struct bench_timed *timed = (const struct bench_timed *)arg;
    double begin = bench_now();

    timed->run(timed->arg);
    figures[0] = (bench_now() - begin) / timed->units;
}

/* The usual question: one figure, nanoseconds of wall-clock time for each of the units of a run. */
static inline int bench_serve(const char *version, const char *unit, double units, void (*run)(const void *),
                              const void *arg)
{
    struct bench_timed timed;

    timed.run = run;
    timed.arg = arg;
    timed.units = units;
    return bench_answer(version, unit, bench_run_timed, &timed);
}

#endif
