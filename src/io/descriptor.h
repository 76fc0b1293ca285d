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

/* What the last read of fd left there, as far as is known: nothing, when it got less than it could have. Then the next one does better to
 * wait at once than to try in vain. A guess that is wrong costs a wait that ends at once, as arming looks at what is there. */
bool cdr_fd_is_drained(int fd);
void cdr_fd_set_drained(int fd, bool drained);

#endif
