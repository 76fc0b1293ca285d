/* SPDX-License-Identifier: MIT
 *
 * small_groups: ten empty tasks and a wait, a hundred thousand times.
 */
#include "empty.h"

int main(void)
{
    static const struct empty e = {100000, 10};

    return empty_serve(&e);
}
