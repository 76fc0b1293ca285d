/* SPDX-License-Identifier: MIT
 *
 * groups_1000: a thousand empty tasks and a wait, a thousand times.
 */
#include "cadre_empty.h"

int main(void)
{
    static const struct empty e = {.groups = 1000, .tasks = 1000};

    return empty_serve(&e);
}
