/* SPDX-License-Identifier: MIT
 * How much memory the process has, and what the tests of capacity may count on. */
#ifndef CADRE_TEST_MEMORY_USED_H
#define CADRE_TEST_MEMORY_USED_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Bytes resident now. */
static inline long long resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long long pages = 0;

    test_check(file != NULL && fscanf(file, "%*d %lld", &pages) == 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* Bytes that the machine could still give. */
static inline long long available(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    long long kib = 0;

    test_check(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "MemAvailable:", 13) == 0)
            kib = atoll(line + 13);
    fclose(file);
    return kib * 1024;
}

#endif
