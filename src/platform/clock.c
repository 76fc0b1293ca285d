/* SPDX-License-Identifier: MIT
 * The one clock: CLOCK_MONOTONIC, which futex(2) waits by as well. */
#include "platform/os.h"

#include <time.h>

int64_t cdr_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock always exists and `now` is ours */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
