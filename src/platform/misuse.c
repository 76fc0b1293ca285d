/* SPDX-License-Identifier: MIT
 * The end of a process that used the library in a way that no return value can report. Written without stdio, whose locks
 * the offender may hold. */
#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static struct iovec part(const char *text)
{
    return (struct iovec){ .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
}

void cdr_misuse(const char *where, const char *message)
{
    struct iovec line[] = { part("cadre: "), part(where), part(": "), part(message), part("\n") };

    /* Nobody is left to be told when standard error is gone too. */
    if (writev(STDERR_FILENO, line, sizeof line / sizeof *line) < 0)
        abort();
    abort();
}
