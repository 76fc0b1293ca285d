/* SPDX-License-Identifier: MIT
 * Waiting for descriptors, for the other files of this layer. */
#ifndef CADRE_IO_DESCRIPTOR_H
#define CADRE_IO_DESCRIPTOR_H

#include "platform/io.h"
#include "sync/context.h"

#define CDR_ALWAYS_READY 0 /* fd is of a kind that cannot be waited for: its calls may be made, and may block */

/* As cadre_wait_fd, but it says CDR_ALWAYS_READY instead of events. fiber: the running one. Who calls this in a loop has asked for it
 * once, at its beginning: compilers may keep the address of what is thread-local, and the thread may be another one after each wait. */
int cdr_wait_fd(struct cadre_ctx *ctx, struct cdr_fiber *fiber, int fd, uint32_t events);

#endif
