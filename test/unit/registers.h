/* SPDX-License-Identifier: MIT
 * A call that watches the registers a callee has to keep. Compiled code cannot say what is in them, hence assembly; where there
 * is none for the processor, nothing is watched. */
#ifndef CADRE_TEST_REGISTERS_H
#define CADRE_TEST_REGISTERS_H

#include <stdint.h>

/* Fill every register that the ABI makes a callee keep with a value of its own made from seed, call fn(a, b, c, d), and
 * return 0 when all of them are as they were; otherwise the bits in which they differ. */
uint64_t test_watch_registers(void (*fn)(void), void *a, void *b, void *c, void *d, uint64_t seed);

/* clang-format off */
#define TEST_FUNCTION(body) \
    __asm__(".pushsection .text\n.globl test_watch_registers\n.balign 16\ntest_watch_registers:\n" body "\n.popsection\n")

#if defined(__x86_64__)

TEST_FUNCTION(
    ".irp reg, rbp, rbx, r12, r13, r14, r15, r9\n pushq %\\reg\n .endr\n" /* seven words: rsp is aligned for the call */
    ".set k, 1\n"
    ".irp reg, rbp, rbx, r12, r13, r14, r15\n leaq k(%r9), %\\reg\n .set k, k + 1\n .endr\n"
    "movq %rdi, %rax\n movq %rsi, %rdi\n movq %rdx, %rsi\n movq %rcx, %rdx\n movq %r8, %rcx\n"
    "call *%rax\n"
    "popq %r9\n xorl %eax, %eax\n"
    ".set k, 1\n"
    ".irp reg, rbp, rbx, r12, r13, r14, r15\n"
    "leaq k(%r9), %rcx\n xorq %\\reg, %rcx\n orq %rcx, %rax\n .set k, k + 1\n .endr\n"
    ".irp reg, r15, r14, r13, r12, rbx, rbp\n popq %\\reg\n .endr\n"
    "ret\n");

#elif defined(__aarch64__)

TEST_FUNCTION(
    "stp x29, x30, [sp, #-176]!\n"
    "stp x19, x20, [sp, #16]\n stp x21, x22, [sp, #32]\n stp x23, x24, [sp, #48]\n stp x25, x26, [sp, #64]\n"
    "stp x27, x28, [sp, #80]\n stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n stp d12, d13, [sp, #128]\n"
    "stp d14, d15, [sp, #144]\n str x5, [sp, #160]\n"
    ".set k, 1\n"
    ".irp reg, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29\n add \\reg, x5, #k\n .set k, k + 1\n .endr\n"
    ".irp reg, d8, d9, d10, d11, d12, d13, d14, d15\n add x9, x5, #k\n fmov \\reg, x9\n .set k, k + 1\n .endr\n"
    "mov x9, x0\n mov x0, x1\n mov x1, x2\n mov x2, x3\n mov x3, x4\n"
    "blr x9\n"
    "ldr x5, [sp, #160]\n mov x0, #0\n"
    ".set k, 1\n"
    ".irp reg, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29\n"
    "add x9, x5, #k\n eor x9, x9, \\reg\n orr x0, x0, x9\n .set k, k + 1\n .endr\n"
    ".irp reg, d8, d9, d10, d11, d12, d13, d14, d15\n"
    "add x9, x5, #k\n fmov x10, \\reg\n eor x9, x9, x10\n orr x0, x0, x9\n .set k, k + 1\n .endr\n"
    "ldp x19, x20, [sp, #16]\n ldp x21, x22, [sp, #32]\n ldp x23, x24, [sp, #48]\n ldp x25, x26, [sp, #64]\n"
    "ldp x27, x28, [sp, #80]\n ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n ldp d12, d13, [sp, #128]\n"
    "ldp d14, d15, [sp, #144]\n ldp x29, x30, [sp], #176\n"
    "ret\n");

#elif defined(__riscv) && __riscv_xlen == 64 && defined(__riscv_float_abi_double)

#define TEST_S "s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11\n"
#define TEST_FS "fs0, fs1, fs2, fs3, fs4, fs5, fs6, fs7, fs8, fs9, fs10, fs11\n"

TEST_FUNCTION(
    "addi sp, sp, -208\n sd ra, 0(sp)\n sd a5, 8(sp)\n"
    ".set k, 16\n"
    ".irp reg, " TEST_S " sd \\reg, k(sp)\n .set k, k + 8\n .endr\n"
    ".irp reg, " TEST_FS " fsd \\reg, k(sp)\n .set k, k + 8\n .endr\n"
    ".set k, 1\n"
    ".irp reg, " TEST_S " addi \\reg, a5, k\n .set k, k + 1\n .endr\n"
    ".irp reg, " TEST_FS " addi t1, a5, k\n fmv.d.x \\reg, t1\n .set k, k + 1\n .endr\n"
    "mv t0, a0\n mv a0, a1\n mv a1, a2\n mv a2, a3\n mv a3, a4\n"
    "jalr t0\n"
    "ld a5, 8(sp)\n li a0, 0\n"
    ".set k, 1\n"
    ".irp reg, " TEST_S " addi t1, a5, k\n xor t1, t1, \\reg\n or a0, a0, t1\n .set k, k + 1\n .endr\n"
    ".irp reg, " TEST_FS
    "addi t1, a5, k\n fmv.x.d t2, \\reg\n xor t1, t1, t2\n or a0, a0, t1\n .set k, k + 1\n .endr\n"
    ".set k, 16\n"
    ".irp reg, " TEST_S " ld \\reg, k(sp)\n .set k, k + 8\n .endr\n"
    ".irp reg, " TEST_FS " fld \\reg, k(sp)\n .set k, k + 8\n .endr\n"
    "ld ra, 0(sp)\n addi sp, sp, 208\n"
    "ret\n");

#else

uint64_t test_watch_registers(void (*fn)(void), void *a, void *b, void *c, void *d, uint64_t seed)
{
    (void)seed;
    ((void (*)(void *, void *, void *, void *))fn)(a, b, c, d);
    return 0;
}

#endif
/* clang-format on */
#endif
