/* SPDX-License-Identifier: MIT
 * errno, asked for anew at each use. libc declares its accessor as a function whose result never changes, and compilers inherit
 * that through inlining; the empty assembly and the attributes keep them from seeing through this one, with LTO too. */
#include "cadre.h"

#undef errno
#if defined(__clang__)
__attribute__((noinline))
#else
__attribute__((noipa))
#endif
int *cadre_errno(void)
{
    int *address;

    __asm__ __volatile__("" ::: "memory");
    address = __errno_location();
    __asm__ __volatile__("" : "+r"(address)::"memory");
    return address;
}
