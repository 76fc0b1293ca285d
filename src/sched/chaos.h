/* SPDX-License-Identifier: MIT
 * The chaos build: at marked points the scheduler delays, yields, wakes thieves or migrates at random, from a seed that is printed
 * and can be given back in CADRE_CHAOS_SEED. In other builds the points are nothing. */
#ifndef CADRE_SCHED_CHAOS_H
#define CADRE_SCHED_CHAOS_H

#include <stdbool.h>

#ifdef CADRE_CHAOS
/* True about once in `n` times. */
bool cdr_chaos(unsigned n);
/* Delay the thread now and then, to widen races. */
void cdr_chaos_point(void);
#else
static inline bool cdr_chaos(unsigned n)
{
    (void)n;
    return false;
}
static inline void cdr_chaos_point(void) {}
#endif

#endif
