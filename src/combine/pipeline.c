/* SPDX-License-Identifier: MIT
 * Pipelines: one group for the tasks of all stages, and a count for each stage that says when its channels are to be
 * closed.
 *
 * A stage has ended well when all its tasks have, and only then are its channels closed. A task that fails, panics or
 * was cancelled is never counted out: the group's cancel ends the others. Were the channel closed behind a failure too,
 * the next stage could take what it got until then for everything there was, and conclude its work before it hears of
 * the error. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cadre.h"

struct station {
    const struct cadre_stage *stage;
    struct cadre_chan *in;
    struct station *before;  /* who sends to in */
    atomic_int left;         /* tasks that have not ended well */
    atomic_bool unwanted;    /* the next stage has ended and closed out */
};

static int tasks_of(const struct cadre_stage *stage) { return stage->tasks == 0 ? 1 : stage->tasks; }

static bool is_valid(const struct cadre_stage *stages, size_t n)
{
    if (stages == NULL || n == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (stages[i].fn == NULL || stages[i].tasks < 0 || (stages[i].out == NULL) != (i + 1 == n))
            return false;
    return true;
}

/* One of the tasks has ended well. The last one's decrement has seen the others', and what they did before. */
static void leave(struct station *station)
{
    if (atomic_fetch_sub_explicit(&station->left, 1, memory_order_acq_rel) != 1)
        return;
    if (station->before != NULL)
        atomic_store_explicit(&station->before->unwanted, true, memory_order_release); /* first: with the load in run */
    cadre_chan_close(station->in);
    cadre_chan_close(station->stage->out);
}

static int run(struct cadre_ctx *ctx, void *arg)
{
    struct station *station = arg;
    const struct cadre_stage *stage = station->stage;
    int code;

    if (stage->name != NULL)
        cadre_task_name(stage->name);
    code = stage->fn(ctx, station->in, stage->out, stage->arg);
    if (code == -EPIPE && atomic_load_explicit(&station->unwanted, memory_order_acquire))
        code = 0;
    if (code == 0)
        leave(station);
    return code;
}

static void prepare(struct station *stations, const struct cadre_stage *stages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        stations[i].stage = &stages[i];
        stations[i].in = i > 0 ? stages[i - 1].out : NULL;
        stations[i].before = i > 0 ? &stations[i - 1] : NULL;
        atomic_init(&stations[i].left, tasks_of(&stages[i]));
        atomic_init(&stations[i].unwanted, false);
    }
}

/* A task that cannot be started is an error of the group, which ends the others. */
static int run_all(struct cadre_ctx *ctx, struct station *stations, size_t n)
{
    struct cadre_group g = { .parent = ctx, .name = "pipeline", .flags = CADRE_CANCEL_ON_ERROR };
    bool going = true;

    for (size_t i = 0; i < n && going; i++)
        for (int task = tasks_of(stations[i].stage); task > 0 && going; task--)
            going = cadre_go(&g, run, &stations[i]) == 0;
    return cadre_wait(&g);
}

int cadre_pipeline(struct cadre_ctx *ctx, const struct cadre_stage *stages, size_t n)
{
    struct station *stations;
    int saved = errno, code = -ENOMEM;

    if (!is_valid(stages, n))
        return -EINVAL;
    stations = calloc(n, sizeof *stations);
    if (stations != NULL) {
        prepare(stations, stages, n);
        code = run_all(ctx, stations, n);
        free(stations);
    }
    errno = saved;
    for (size_t i = 0; i + 1 < n; i++)
        cadre_chan_finish(stages[i].out);
    return code;
}
