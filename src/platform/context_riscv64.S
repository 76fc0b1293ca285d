/* SPDX-License-Identifier: MIT
 * Machine contexts for RISC-V 64, LP64 and LP64D: what context.h promises, with unwind information for every instruction.
 * A suspended context is its stack pointer; the stack holds, upwards from there: ra, s0 to s11, fs0 to fs11.
 *
 * The switch leaves by way of t1: a jump through ra would make the processor consult its stack of return addresses, which
 * belongs to the stack that was left. The control register (fcsr) stays the thread's. */
#if defined(__riscv) && __riscv_xlen == 64 && !defined(CADRE_UCONTEXT)

#if defined(__riscv_float_abi_double) || defined(__riscv_float_abi_quad)
#define KEEPS_FLOATS 1
#define FRAME 208
#else
#define KEEPS_FLOATS 0
#define FRAME 112
#endif

#define FUNCTION(name) \
    .globl name; \
    .hidden name; \
    .type name, @function; \
    .balign 4; \
name:

#define END(name) .size name, . - name

/* Where each kept register lies in the frame at `base`; op and fop are the store or the load. */
    .macro EACH_KEPT op, fop, base
    .set at, 0
    .irp reg, ra, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11
    \op \reg, at(\base)
    .set at, at + 8
    .endr
#if KEEPS_FLOATS
    .irp reg, fs0, fs1, fs2, fs3, fs4, fs5, fs6, fs7, fs8, fs9, fs10, fs11
    \fop \reg, at(\base)
    .set at, at + 8
    .endr
#endif
    .endm

/* The same for unwinders, once the registers are stored. The canonical frame address lies FRAME above the frame. */
    .macro DESCRIBE_KEPT
    .set at, -FRAME
    .irp reg, ra, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11
    .cfi_offset \reg, at
    .set at, at + 8
    .endr
#if KEEPS_FLOATS
    .irp reg, fs0, fs1, fs2, fs3, fs4, fs5, fs6, fs7, fs8, fs9, fs10, fs11
    .cfi_offset \reg, at
    .set at, at + 8
    .endr
#endif
    .endm

    .macro FORGET_KEPT
    .irp reg, ra, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11
    .cfi_restore \reg
    .endr
#if KEEPS_FLOATS
    .irp reg, fs0, fs1, fs2, fs3, fs4, fs5, fs6, fs7, fs8, fs9, fs10, fs11
    .cfi_restore \reg
    .endr
#endif
    .endm

    .text

/* void cdr_context_init(context a0, low a1, high a2, entry a3, arg a4) */
FUNCTION(cdr_context_init)
    .cfi_startproc
    andi a2, a2, -16
    addi a2, a2, -FRAME
    lla t0, context_start
    sd t0, 0(a2)                /* ra */
    sd zero, 8(a2)              /* s0, the frame pointer */
    sd a3, 16(a2)               /* s1 */
    sd a4, 24(a2)               /* s2 */
    sd a2, 0(a0)
    ret
    .cfi_endproc
END(cdr_context_init)

/* Where a new context begins: entry in s1, its argument in s2. Its caller is nobody. */
    .type context_start, @function
    .balign 4
context_start:
    .cfi_startproc
    .cfi_undefined ra
    mv a0, s2
    jalr s1
    ebreak
    .cfi_endproc
END(context_start)

/* void cdr_context_switch(from a0, to a1). The frame has the same shape on both stacks, so that one description serves
 * before and after sp moves. */
FUNCTION(cdr_context_switch)
    .cfi_startproc
    addi sp, sp, -FRAME
    .cfi_def_cfa_offset FRAME
    EACH_KEPT sd, fsd, sp
    DESCRIBE_KEPT
    sd sp, 0(a0)
    ld sp, 0(a1)
    EACH_KEPT ld, fld, sp
    addi sp, sp, FRAME
    .cfi_def_cfa_offset 0
    FORGET_KEPT
    mv t1, ra
    jr t1
    .cfi_endproc
END(cdr_context_switch)

/* int cdr_call(landing a0, fn a1, ctx a2, arg a3). On the ordinary way back fn has kept the registers itself. */
FUNCTION(cdr_call)
    .cfi_startproc
    addi sp, sp, -FRAME
    .cfi_def_cfa_offset FRAME
    EACH_KEPT sd, fsd, sp
    DESCRIBE_KEPT
    sd sp, 0(a0)
    mv t1, a1
    mv a0, a2
    mv a1, a3
    jalr t1
    ld ra, 0(sp)
    addi sp, sp, FRAME
    .cfi_def_cfa_offset 0
    FORGET_KEPT
    ret
    .cfi_endproc
END(cdr_call)

/* void cdr_land(landing a0, code a1). From the first instruction on its frame is that of cdr_call. */
FUNCTION(cdr_land)
    .cfi_startproc
    ld t0, 0(a0)
    .cfi_def_cfa t0, FRAME
    DESCRIBE_KEPT
    mv a0, a1
    EACH_KEPT ld, fld, t0
    addi sp, t0, FRAME
    .cfi_def_cfa sp, 0
    FORGET_KEPT
    ret
    .cfi_endproc
END(cdr_land)

#endif

    .section .note.GNU-stack, "", @progbits
