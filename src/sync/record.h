/* SPDX-License-Identifier: MIT
 * The texts of errors: groups and contexts have no room for them and nobody would free them, so they are kept in a ring of the
 * process and referred to by number. A text that 4,096 later ones have displaced is gone; the code stays. */
#ifndef CADRE_SYNC_RECORD_H
#define CADRE_SYNC_RECORD_H

#include "cadre.h"

#define CDR_RECORDS 4096

/* Keep a copy of the error. Returns its number, never 0. */
uint64_t cdr_record_put(const struct cadre_error *error);

/* Fetch it back; 0 when number is 0 or the text is gone, *error is then untouched. */
int cdr_record_get(uint64_t number, struct cadre_error *error);

/* What to say of an error that says nothing itself. */
const char *cdr_error_text(int code, enum cadre_origin origin);

/* Copy text into a field of fixed size, cut to fit. NULL counts as "". */
void cdr_copy_text(char *to, size_t size, const char *text);

#endif
