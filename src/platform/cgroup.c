/* SPDX-License-Identifier: MIT
 * The CPU quota of a control group, versions 1 and 2. A file that is missing, unreadable or not understood sets no limit: the
 * answer only tunes the number of threads. */
#define _GNU_SOURCE 1
#include "platform/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 4096

/* Read DIR/NAME into text. False when that fails. */
static bool read_file(const char *dir, const char *name, char *text, size_t size)
{
    char path[PATH_SIZE];
    int length = snprintf(path, sizeof path, "%s/%s", dir, name), fd;
    ssize_t got;

    if (length < 0 || (size_t)length >= sizeof path)
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    got = read(fd, text, size - 1);
    close(fd);
    if (got <= 0)
        return false;
    text[got] = '\0';
    return true;
}

/* Processors for `quota` microseconds in each `period`; INT_MAX when the two are no limit. */
static int processors(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return INT_MAX;
    long long count = quota / period + (quota % period != 0);

    return count < INT_MAX ? (int)count : INT_MAX;
}

/* "max 100000" or "150000 100000" */
static int limit_v2(const char *dir)
{
    char text[64];
    long long quota, period;

    if (!read_file(dir, "cpu.max", text, sizeof text) || sscanf(text, "%lld %lld", &quota, &period) != 2)
        return INT_MAX;
    return processors(quota, period);
}

/* Two files with a number each; a quota of -1 is none. */
static int limit_v1(const char *dir)
{
    char quota[64], period[64];

    if (!read_file(dir, "cpu.cfs_quota_us", quota, sizeof quota) ||
        !read_file(dir, "cpu.cfs_period_us", period, sizeof period))
        return INT_MAX;
    return processors(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

/* The least limit from TREE/PATH up to TREE itself. A container sees its own group as TREE while PATH may still be the
 * host's: then only the last step finds a file, and it is the right one. */
static int least_limit(const char *root, const char *tree, const char *path, int (*limit)(const char *dir))
{
    char dir[PATH_SIZE];
    int length = snprintf(dir, sizeof dir, "%s%s%s", root, tree, path), least = INT_MAX;
    size_t top = strlen(root) + strlen(tree);

    if (length < 0 || (size_t)length >= sizeof dir)
        return INT_MAX;
    for (;;) {
        int here = limit(dir);
        char *slash;

        if (here < least)
            least = here;
        if (strlen(dir) <= top)
            return least;
        slash = strrchr(dir + top, '/');
        *(slash != NULL ? slash : dir + top) = '\0';
    }
}

static bool has_cpu(const char *controllers)
{
    for (const char *at = controllers; (at = strstr(at, "cpu")) != NULL; at += 3)
        if ((at == controllers || at[-1] == ',') && (at[3] == ',' || at[3] == '\0'))
            return true;
    return false;
}

/* One line of /proc/self/cgroup, ID:CONTROLLERS:PATH; version 2 has no controllers there. The line is cut in place. */
static int line_limit(const char *root, char *line)
{
    char *controllers = strchr(line, ':'), *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    char tree[PATH_SIZE];
    int plain, named;

    if (path == NULL)
        return INT_MAX;
    *controllers++ = '\0';
    *path++ = '\0';
    if (strncmp(path, "/..", 3) == 0)
        path = path + strlen(path); /* a group outside what this process may see */
    if (*controllers == '\0')
        return least_limit(root, "", path, limit_v2);
    if (!has_cpu(controllers) || snprintf(tree, sizeof tree, "/%s", controllers) >= (int)sizeof tree)
        return INT_MAX;
    plain = least_limit(root, "/cpu", path, limit_v1);
    named = least_limit(root, tree, path, limit_v1);
    return plain < named ? plain : named;
}

int cdr_cgroup_quota(const char *root, const char *self)
{
    int saved = errno, least = INT_MAX;
    char *text = strdup(self), *rest = text;

    for (char *line; rest != NULL && (line = strsep(&rest, "\n")) != NULL;) {
        int limit = line_limit(root, line);

        if (limit < least)
            least = limit;
    }
    free(text);
    errno = saved;
    return least == INT_MAX ? 0 : least;
}
