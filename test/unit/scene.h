/* SPDX-License-Identifier: MIT
 * Three jobs whose gates a test opens, in one struct. Include after test.h. */
#ifndef CADRE_TEST_SCENE_H
#define CADRE_TEST_SCENE_H

#include "gated.h"

#define N 3

/* A scene of three jobs: who opens which gate is up to the test. */
struct scene {
    struct cadre_job jobs[N];
    struct gated gated[N];
    atomic_int started, ended;
};

static inline void scene_make(struct scene *s, enum deed a, enum deed b, enum deed c)
{
    const enum deed deeds[N] = { a, b, c };

    atomic_init(&s->started, 0);
    atomic_init(&s->ended, 0);
    gated_jobs(s->jobs, s->gated, N, deeds);
    for (int i = 0; i < N; i++) {
        s->gated[i].started = &s->started;
        s->gated[i].ended = &s->ended;
    }
}

#endif
