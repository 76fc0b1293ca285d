/* SPDX-License-Identifier: MIT
 *
 * Which Fibonacci number is asked for, and how many spawns that takes: one for each call with n >= 2.
 */
#ifndef FIB_H
#define FIB_H

#include "bench.h"

struct fib_case {
    int n;
    long result, spawns;
};

static inline struct fib_case fib_pick(void)
{
    struct fib_case c;

    c.n = (int)bench_pick(32, 26);
    c.result = bench_pick(2178309, 121393);
    c.spawns = bench_pick(3524577, 196417);
    return c;
}

#endif
