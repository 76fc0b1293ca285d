/* SPDX-License-Identifier: MIT
 * Machine contexts for AArch64, AAPCS64: what context.h promises, with unwind information for every instruction.
 * A suspended context is its stack pointer; the stack holds, upwards from there: x19 to x28, x29, x30, d8 to d15.
 *
 * The switch ends in ret, not in br as on x86-64: with branch target identification br may only go to a landing pad, and
 * what follows a call is none. The control register (fpcr) stays the thread's. */
#if defined(__aarch64__) && !defined(CADRE_UCONTEXT)

#ifdef __ARM_FEATURE_BTI_DEFAULT
#define LANDING_PAD hint #34 /* bti c */
#else
#define LANDING_PAD
#endif

#define FRAME 160

#define FUNCTION(name) \
    .globl name; \
    .hidden name; \
    .type name, %function; \
    .balign 16; \
name:

#define END(name) .size name, . - name

/* Where each kept register lies in the frame at `base`. */
    .macro EACH_KEPT op, base
    \op x19, x20, [\base, #0]
    \op x21, x22, [\base, #16]
    \op x23, x24, [\base, #32]
    \op x25, x26, [\base, #48]
    \op x27, x28, [\base, #64]
    \op x29, x30, [\base, #80]
    \op d8, d9, [\base, #96]
    \op d10, d11, [\base, #112]
    \op d12, d13, [\base, #128]
    \op d14, d15, [\base, #144]
    .endm

/* The same for unwinders, once the registers are stored. The canonical frame address lies FRAME above the frame. */
    .macro DESCRIBE_KEPT
    .cfi_offset x19, -160
    .cfi_offset x20, -152
    .cfi_offset x21, -144
    .cfi_offset x22, -136
    .cfi_offset x23, -128
    .cfi_offset x24, -120
    .cfi_offset x25, -112
    .cfi_offset x26, -104
    .cfi_offset x27, -96
    .cfi_offset x28, -88
    .cfi_offset x29, -80
    .cfi_offset x30, -72
    .cfi_offset d8, -64
    .cfi_offset d9, -56
    .cfi_offset d10, -48
    .cfi_offset d11, -40
    .cfi_offset d12, -32
    .cfi_offset d13, -24
    .cfi_offset d14, -16
    .cfi_offset d15, -8
    .endm

    .macro FORGET_KEPT
    .irp reg, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30, d8, d9, d10, d11, d12, d13, d14, d15
    .cfi_restore \reg
    .endr
    .endm

    .text

/* void cdr_context_init(context x0, low x1, high x2, entry x3, arg x4) */
FUNCTION(cdr_context_init)
    .cfi_startproc
    LANDING_PAD
    and x2, x2, #-16
    sub x2, x2, #FRAME
    adr x5, context_start
    stp x3, x4, [x2, #0]        /* x19, x20 */
    stp xzr, x5, [x2, #80]      /* x29, x30 */
    str x2, [x0]
    ret
    .cfi_endproc
END(cdr_context_init)

/* Where a new context begins: entry in x19, its argument in x20. Its caller is nobody. */
    .type context_start, %function
    .balign 16
context_start:
    .cfi_startproc
    .cfi_undefined x30
    mov x0, x20
    blr x19
    brk #1
    .cfi_endproc
END(context_start)

/* void cdr_context_switch(from x0, to x1). The frame has the same shape on both stacks, so that one description serves
 * before and after sp moves. */
FUNCTION(cdr_context_switch)
    .cfi_startproc
    LANDING_PAD
    sub sp, sp, #FRAME
    .cfi_def_cfa_offset FRAME
    EACH_KEPT stp, sp
    DESCRIBE_KEPT
    mov x9, sp
    str x9, [x0]
    ldr x9, [x1]
    mov sp, x9
    EACH_KEPT ldp, sp
    add sp, sp, #FRAME
    .cfi_def_cfa_offset 0
    FORGET_KEPT
    ret
    .cfi_endproc
END(cdr_context_switch)

/* int cdr_call(landing x0, fn x1, ctx x2, arg x3). On the ordinary way back fn has kept the registers itself. */
FUNCTION(cdr_call)
    .cfi_startproc
    LANDING_PAD
    sub sp, sp, #FRAME
    .cfi_def_cfa_offset FRAME
    EACH_KEPT stp, sp
    DESCRIBE_KEPT
    mov x9, sp
    str x9, [x0]
    mov x9, x1
    mov x0, x2
    mov x1, x3
    blr x9
    ldp x29, x30, [sp, #80]
    add sp, sp, #FRAME
    .cfi_def_cfa_offset 0
    FORGET_KEPT
    ret
    .cfi_endproc
END(cdr_call)

/* void cdr_land(landing x0, code w1). From the first instruction on its frame is that of cdr_call. */
FUNCTION(cdr_land)
    .cfi_startproc
    LANDING_PAD
    ldr x9, [x0]
    .cfi_def_cfa x9, FRAME
    DESCRIBE_KEPT
    mov w0, w1
    EACH_KEPT ldp, x9
    add sp, x9, #FRAME
    .cfi_def_cfa sp, 0
    FORGET_KEPT
    ret
    .cfi_endproc
END(cdr_land)

#ifdef __ARM_FEATURE_BTI_DEFAULT
/* GNU_PROPERTY_AARCH64_FEATURE_1_AND = BTI: the linker keeps the property only when every object has it. */
    .section .note.gnu.property, "a"
    .balign 8
    .word 4, 16, 5
    .asciz "GNU"
    .word 0xc0000000, 4, 1, 0
#endif

#endif

    .section .note.GNU-stack, "", %progbits
