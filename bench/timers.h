/* SPDX-License-Identifier: MIT
 *
 * The delays of the question timers, in C and C++: the same for everybody, evenly spread from 0 to two seconds.
 */
#ifndef TIMERS_H
#define TIMERS_H

#include <stdint.h>

#include "bench.h"

static inline int64_t timers_delay(uint64_t *state, int64_t span)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
    return (int64_t)((*state >> 33) * (uint64_t)span >> 31);
}

/* What a run came to: CPU seconds, and how late in ms the latest was, but for one in a hundred. */
static inline void timers_figures(double *late, long n, double cpu, double *figures)
{
    for (long i = 0; i < n; i++)
        bench_require(late[i] >= 0, "a timer that was early, or never came");
    figures[0] = cpu / 1e9;
    figures[1] = bench_quantile(late, n, 0.99) / 1e6;
}

#endif
