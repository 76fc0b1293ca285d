/* SPDX-License-Identifier: MIT
 * Machine contexts for x86-64, System V ABI: what context.h promises, with unwind information for every instruction.
 * A suspended context is its stack pointer; the stack holds, upwards from there: r15 r14 r13 r12 rbx rbp, return address.
 *
 * The control words (mxcsr, x87) are not saved: a task that changes them on purpose is rarer than the 30 ns that saving them
 * would cost each switch. Nothing here keeps a shadow stack, so the object does not carry the property that asks for one. */
#if defined(__x86_64__) && !defined(CADRE_UCONTEXT)

#ifdef __CET__
#define LANDING_PAD endbr64
#define NOTRACK notrack
#else
#define LANDING_PAD
#define NOTRACK
#endif

#define FUNCTION(name) \
    .globl name; \
    .hidden name; \
    .type name, @function; \
    .balign 16; \
name:

#define END(name) .size name, . - name

    .text

/* Push what a call keeps: six registers, rbp first. */
    .macro PUSH_KEPT
    .irp reg, rbp, rbx, r12, r13, r14, r15
    pushq %\reg
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \reg, 0
    .endr
    .endm

/* void cdr_context_init(context rdi, low rsi, high rdx, entry rcx, arg r8) */
FUNCTION(cdr_context_init)
    .cfi_startproc
    LANDING_PAD
    andq $-16, %rdx
    leaq context_start(%rip), %rax
    movq $0, -8(%rdx)           /* two empty words above the first frame, for those who walk by frame pointer */
    movq $0, -16(%rdx)
    movq %rax, -24(%rdx)        /* the switch goes on here, with rsp at the empty words: aligned as a call wants it */
    movq $0, -32(%rdx)          /* rbp */
    movq $0, -40(%rdx)          /* rbx */
    movq %rcx, -48(%rdx)        /* r12 */
    movq %r8, -56(%rdx)         /* r13 */
    movq $0, -64(%rdx)          /* r14 */
    movq $0, -72(%rdx)          /* r15 */
    subq $72, %rdx
    movq %rdx, (%rdi)
    ret
    .cfi_endproc
END(cdr_context_init)

/* Where a new context begins: entry in r12, its argument in r13. Its caller is nobody. */
    .type context_start, @function
    .balign 16
context_start:
    .cfi_startproc
    .cfi_undefined rip
    LANDING_PAD
    movq %r13, %rdi
    call *%r12
    ud2
    .cfi_endproc
END(context_start)

/* void cdr_context_switch(from rdi, to rsi). The frame has the same shape on both stacks, so that one description serves
 * before and after rsp moves. It ends in a jump: a ret would always miss in the processor's stack of return addresses. */
FUNCTION(cdr_context_switch)
    .cfi_startproc
    LANDING_PAD
    PUSH_KEPT
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    .irp reg, r15, r14, r13, r12, rbx, rbp
    popq %\reg
    .cfi_adjust_cfa_offset -8
    .cfi_restore \reg
    .endr
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    NOTRACK jmp *%rcx
    .cfi_endproc
END(cdr_context_switch)

/* int cdr_call(landing rdi, fn rsi, ctx rdx, arg rcx). On the ordinary way back fn has kept the registers itself. */
FUNCTION(cdr_call)
    .cfi_startproc
    LANDING_PAD
    PUSH_KEPT
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    movq %rsp, (%rdi)
    movq %rsi, %rax
    movq %rdx, %rdi
    movq %rcx, %rsi
    call *%rax
    addq $56, %rsp
    .cfi_def_cfa_offset 8
    .irp reg, rbp, rbx, r12, r13, r14, r15
    .cfi_restore \reg
    .endr
    ret
    .cfi_endproc
END(cdr_call)

/* void cdr_land(landing rdi, code esi). From the first instruction on its frame is that of cdr_call. */
FUNCTION(cdr_land)
    .cfi_startproc
    LANDING_PAD
    movq (%rdi), %rdx
    .cfi_def_cfa rdx, 64
    .cfi_offset rbp, -16
    .cfi_offset rbx, -24
    .cfi_offset r12, -32
    .cfi_offset r13, -40
    .cfi_offset r14, -48
    .cfi_offset r15, -56
    movl %esi, %eax
    movq 8(%rdx), %r15
    movq 16(%rdx), %r14
    movq 24(%rdx), %r13
    movq 32(%rdx), %r12
    movq 40(%rdx), %rbx
    movq 48(%rdx), %rbp
    leaq 56(%rdx), %rsp
    .cfi_def_cfa rsp, 8
    .irp reg, rbp, rbx, r12, r13, r14, r15
    .cfi_restore \reg
    .endr
    ret
    .cfi_endproc
END(cdr_land)

#endif

    .section .note.GNU-stack, "", @progbits
