/* SPDX-License-Identifier: MIT
 * Checks of what must hold: always on for wrong use by the caller, in debug builds for our own invariants. */
#ifndef CADRE_BASE_CHECK_H
#define CADRE_BASE_CHECK_H

#include <assert.h>

/* An invariant of the library; compiled out with NDEBUG. */
#define cdr_assert(condition) assert(condition)

/* Wrong use that cannot be reported to the caller: prints the message and aborts, in every build. */
#define cdr_require(condition, message) ((condition) ? (void)0 : cdr_misuse(__func__, (message)))
__attribute__((noreturn, cold)) void cdr_misuse(const char *where, const char *message);

#endif
