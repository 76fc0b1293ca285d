/* SPDX-License-Identifier: MIT
 * Memory from the kernel: reserved at once, resident by use. Stacks come in slabs, each stack with a guard page at its low end.
 *
 * A guard by mprotect(2) splits the mapping, and with vm.max_map_count mappings for a process that ends at about 32,000 stacks.
 * MADV_GUARD_INSTALL (Linux 6.13) marks the page in the page table instead: no mapping, and a tenth of the time. */
#define _GNU_SOURCE 1
#include "platform/os.h"

#include "platform/sanitizer.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum guard_kind { GUARD_UNKNOWN, GUARD_INSTALL, GUARD_MPROTECT };

static int guard_kind_found; /* enum guard_kind; threads that find out at the same time find the same */

size_t cdr_page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

void *cdr_map(size_t size)
{
    int saved = errno;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    errno = saved;
    return p != MAP_FAILED ? p : NULL;
}

void cdr_unmap(void *p, size_t size)
{
    int saved = errno;

    if (p != NULL)
        munmap(p, size);
    errno = saved;
}

/* Locked memory cannot be given back, but it can be cleared. */
void cdr_discard(void *p, size_t size)
{
    int saved = errno;

    if (madvise(p, size, MADV_DONTNEED) != 0)
        memset(p, 0, size);
    errno = saved;
}

/* LeakSanitizer reads what /proc/self/maps calls readable, and dies of a guard that is not to be seen there. */
#ifdef CDR_ASAN
#define INSTALL_ALLOWED false
#else
#define INSTALL_ALLOWED (getenv("CADRE_NO_GUARD_INSTALL") == NULL)
#endif

/* Does the kernel really install guards? Emulators accept advice that they do not know and ignore it. So guard a page and let
 * a system call read it: a futex wait for a value that is not there returns EAGAIN, or EFAULT when the page is guarded.
 * No signal, no process, no descriptor. */
static bool guard_install_works(void)
{
    size_t size = cdr_page_size();
    uint32_t *page = cdr_map(size);
    bool works;

    if (page == NULL)
        return false;
    works = madvise(page, size, MADV_GUARD_INSTALL) == 0 &&
            syscall(SYS_futex, page, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0) != 0 && errno == EFAULT;
    munmap(page, size);
    return works;
}

static enum guard_kind guard_kind(void)
{
    int kind = cdr_load(&guard_kind_found); /* relaxed: the value is all there is */

    if (kind == GUARD_UNKNOWN) {
        kind = INSTALL_ALLOWED && guard_install_works() ? GUARD_INSTALL : GUARD_MPROTECT;
        cdr_store(&guard_kind_found, kind);
    }
    return (enum guard_kind)kind;
}

/* Locked memory (mlockall) refuses installed guards, hence the second try. */
static bool guard(void *page, size_t size)
{
    return (guard_kind() == GUARD_INSTALL && madvise(page, size, MADV_GUARD_INSTALL) == 0) ||
           mprotect(page, size, PROT_NONE) == 0;
}

void *cdr_stacks_map(size_t size, unsigned count)
{
    int saved = errno;
    size_t total, page = cdr_page_size();
    char *base = NULL;

    if (!__builtin_mul_overflow(size, (size_t)count, &total))
        base = cdr_map(total);
    if (base != NULL) {
        /* So that a stack with one page touched costs one page. Fails where there are no huge pages. */
        madvise(base, total, MADV_NOHUGEPAGE);
        for (unsigned i = 0; i < count; i++) {
            if (!guard(base + i * size, page)) {
                munmap(base, total);
                base = NULL;
                break;
            }
        }
    }
    errno = saved;
    return base;
}

void cdr_stacks_unmap(void *base, size_t size, unsigned count) { cdr_unmap(base, size * count); }

const char *cdr_stack_guard_kind(void)
{
    int saved = errno;
    const char *name = guard_kind() == GUARD_INSTALL ? "guard-install" : "mprotect";

    errno = saved;
    return name;
}
