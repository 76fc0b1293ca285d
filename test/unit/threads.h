/* SPDX-License-Identifier: MIT
 * How many threads the process has. Include after test.h. */
#ifndef CADRE_TEST_THREADS_H
#define CADRE_TEST_THREADS_H

#include <dirent.h>

static inline int threads_now(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;

    test_check(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

#endif
