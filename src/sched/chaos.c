/* SPDX-License-Identifier: MIT
 * The chaos build's dice: a seeded generator per thread. */
#include "sched/chaos.h"

#ifdef CADRE_CHAOS
#include <stdio.h>
#include <stdlib.h>

#include "platform/os.h"

static uint64_t seed;
static uint32_t started, threads;

static uint64_t first_seed(void)
{
    uint32_t once = 0;

    if (cdr_cas(&started, &once, 1u)) {
        const char *given = getenv("CADRE_CHAOS_SEED");

        seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)cdr_now();
        if (given == NULL)
            fprintf(stderr, "cadre: chaos seed %llu\n", (unsigned long long)seed);
        cdr_store_release(&started, 2u);
    }
    while (cdr_load_acquire(&started) != 2)
        cdr_thread_yield();
    return seed;
}

bool cdr_chaos(unsigned n)
{
    static __thread uint64_t state;

    if (state == 0)
        state = (first_seed() + 1) * 0x9e3779b97f4a7c15u + cdr_add(&threads, 1u) * 2 + 1;
    state ^= state << 13; /* Marsaglia: Xorshift RNGs, 2003 */
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 20) % n == 0;
}

void cdr_chaos_point(void)
{
    if (cdr_chaos(16))
        cdr_thread_yield();
    else if (cdr_chaos(8))
        for (int i = 0; i < 200; i++)
            cdr_spin_hint();
}
#endif
