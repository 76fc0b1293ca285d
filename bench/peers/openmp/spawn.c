/* SPDX-License-Identifier: MIT
 *
 * spawn: a million empty tasks in one group, then wait.
 */
#include "empty.h"

int main(void)
{
    static const struct empty e = {.groups = 1, .tasks = 1000000};

    return empty_serve(&e);
}
