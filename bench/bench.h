/* SPDX-License-Identifier: MIT
 *
 * The frame of every C and C++ program in this folder: it says what it is, then makes one timed run for each line on
 * stdin and answers with the nanoseconds per unit.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A wrong result ends the program: a figure for work that was not done is worth nothing. */
static inline void bench_require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "wrong result: %s\n", what);
    exit(1);
}

/* Empty tasks leave no trace, so these questions first run once, untimed, with tasks that tick. */
static long bench_ticks;

static inline void bench_tick(void)
{
    __atomic_fetch_add(&bench_ticks, 1, __ATOMIC_RELAXED); /* read after the wait, which orders it */
}

static inline double bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* First line: version, tab, unit. Then a figure per line on stdin, until its end. */
static inline int bench_serve(const char *version, const char *unit, double units, void (*run)(const void *),
                              const void *arg)
{
    printf("%s\t%s\n", version, unit);
    fflush(stdout);
    for (int c = getchar(); c != EOF; c = getchar()) {
        if (c != '\n')
            continue;
        double begin = bench_now();
        run(arg);
        printf("%.3f\n", (bench_now() - begin) / units);
        fflush(stdout);
    }
    return 0;
}

#endif
