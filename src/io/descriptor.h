/* SPDX-License-Identifier: MIT
 * Waiting for descriptors, for the other files of this layer. */
#ifndef CADRE_IO_DESCRIPTOR_H
#define CADRE_IO_DESCRIPTOR_H

#include "platform/io.h"
#include "sync/context.h"

#define CDR_ALWAYS_READY 0 /* fd is of a kind that cannot be waited for: its calls may be made, and may block */

/* As cadre_wait_fd, but it says CDR_ALWAYS_READY instead of events. */
int cdr_wait_fd(struct cadre_ctx *ctx, int fd, uint32_t events);

#endif
