/* SPDX-License-Identifier: MIT
 *
 * Groups of empty fibers, joined: what small_groups and groups_1000 have in common. Their stacks come from a pool. A million of them at a
 * time, as in spawn, would be as many stacks.
 */
#include <vector>

#include "boost_fiber.h"

struct empty {
    long groups, tasks;
};

template <typename Task> static void empty_groups(const struct empty *e, Task task)
{
    static boost::fibers::pooled_fixedsize_stack stacks;
    std::vector<boost::fibers::fiber> fibers;

    for (long i = 0; i < e->groups; i++) {
        for (long k = 0; k < e->tasks; k++)
            fibers.emplace_back(std::allocator_arg, stacks, task);
        for (auto &fiber : fibers)
            fiber.join();
        fibers.clear();
    }
}

static inline void empty_run(const void *arg)
{
    empty_groups(static_cast<const struct empty *>(arg), [] {});
}

static inline int empty_serve(const struct empty *e)
{
    empty_groups(e, bench_tick);
    bench_require(bench_ticks == e->groups * e->tasks, "tasks that ran");
    return boost_serve("ns/task", static_cast<double>(e->groups * e->tasks), empty_run, e);
}
