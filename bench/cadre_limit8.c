/* SPDX-License-Identifier: MIT
 *
 * limit8: a million empty tasks through a group that runs at most eight at once.
 */
#include "cadre_empty.h"

int main(void)
{
    static const struct empty e = {.groups = 1, .tasks = 1000000, .limit = 8};

    return empty_serve(&e);
}
