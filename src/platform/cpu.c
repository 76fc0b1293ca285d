/* SPDX-License-Identifier: MIT
 * Processors: how many there are for this process, and the memory barrier that reaches all of them. */
#define _GNU_SOURCE 1
#include "platform/cpu.h"
#include "platform/os.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SELF_CGROUP_SIZE 8192
#define MOST_PROCESSORS ((size_t)1 << 20)

/* The size of the affinity mask; the kernel refuses a buffer that is smaller than its own. 0 when it cannot be told. */
static int affinity_count(void)
{
    for (size_t processors = 1024; processors <= MOST_PROCESSORS; processors *= 2) {
        size_t size = CPU_ALLOC_SIZE(processors);
        cpu_set_t *set = CPU_ALLOC(processors);
        int count = 0, error = 0;

        if (set == NULL)
            return 0;
        if (sched_getaffinity(0, size, set) == 0)
            count = CPU_COUNT_S(size, set);
        else
            error = errno;
        CPU_FREE(set);
        if (error != EINVAL)
            return count;
    }
    return 0;
}

/* /proc/self/cgroup has a line per hierarchy; what does not fit is not read. */
static int quota(void)
{
    char text[SELF_CGROUP_SIZE];
    size_t length = 0;
    ssize_t got;
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    while (length < sizeof text - 1 && (got = read(fd, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    close(fd);
    text[length] = '\0';
    return cdr_cgroup_quota("/sys/fs/cgroup", text);
}

int cdr_cpu_count(void)
{
    int saved = errno, count = affinity_count(), most = quota();

    if (count <= 0)
        count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (most > 0 && most < count)
        count = most;
    errno = saved;
    return count > 0 ? count : 1;
}

static int membarrier(int command) { return (int)syscall(SYS_membarrier, command, 0, 0); }

bool cdr_membarrier_init(void)
{
    const int needed = MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    int saved = errno, known = getenv("CADRE_NO_MEMBARRIER") == NULL ? membarrier(MEMBARRIER_CMD_QUERY) : 0;
    bool usable = known > 0 && (known & needed) == needed && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;

    errno = saved;
    return usable;
}

/* Going on without the barrier would lose tasks silently: a filter that forbids the call half-way ends the process. */
void cdr_membarrier(void)
{
    int saved = errno;

    cdr_require(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0, "membarrier(2) stopped working");
    errno = saved;
}
