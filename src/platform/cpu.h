/* SPDX-License-Identifier: MIT
 * The CPU quota of a control group, apart from where a process finds it, for cdr_cpu_count and its tests. */
#ifndef CADRE_PLATFORM_CPU_H
#define CADRE_PLATFORM_CPU_H

/* How many processors the tightest CPU quota on the way from a process's group up to the top allows, rounded up; 0 when there
 * is none. `root` is where control groups are mounted (/sys/fs/cgroup), `self` the text of /proc/self/cgroup. Of version 1 the
 * controller's tree is looked for in ROOT/cpu and in ROOT/CONTROLLERS, of version 2 in ROOT. Keeps errno. */
int cdr_cgroup_quota(const char *root, const char *self);

#endif
