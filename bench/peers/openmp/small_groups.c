/* SPDX-License-Identifier: MIT
 *
 * small_groups: ten empty tasks and a wait, a hundred thousand times.
 */
#include "empty.h"

int main(void)
{
    static const struct empty e = {.groups = 100000, .tasks = 10};

    return empty_serve(&e);
}
