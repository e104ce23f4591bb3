/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entries from interrupts, exceptions and system calls, and the ways back.
 *
 * Each entry leaves a struct trap_frame. GS: in user mode the base is the program's, in the
 * kernel it is the CPU's struct; swapgs exchanges the two on each crossing. Exceptions that can hit
 * the few instructions where the selector says kernel and GS is still the program's (NMI,
 * machine check, debug, double fault) have stacks of their own and look at the GS base itself:
 * a kernel address has its top bit set, and a program cannot load one.
 *
 * The sites of clac are patched at boot where the CPU has SMAP (smap.c); till then they are
 * a no-op of the same length.
 */
#define MSR_GS_BASE 0xc0000101
#define USER_DATA_SELECTOR 0x2b
#define USER_CODE_SELECTOR 0x33
#define TRAP_SYSTEM_CALL 0x100
#define CPU_KERNEL_STACK 16
#define CPU_USER_STACK 24
#define FRAME_CS 144	/* offsets in struct trap_frame, checked in trap.c */
#define FRAME_VECTOR 120

	.macro smap_site instruction
9:	.byte 0x0f, 0x1f, 0x00		/* nop (%rax): three bytes, as clac and stac */
	.pushsection .smap_sites, "a"
	.quad 9b
	.quad \instruction
	.popsection
	.endm

	.macro push_registers
	pushq %rdi
	pushq %rsi
	pushq %rdx
	pushq %rcx
	pushq %rax
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	.endm

	/* And drops the vector and the error code. */
	.macro pop_registers
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rax
	popq %rcx
	popq %rdx
	popq %rsi
	popq %rdi
	addq $16, %rsp
	.endm

	.text

/* One stub a vector: those for which the CPU pushes no error code push a 0. 16 bytes each. */
	.balign 16
	.globl interrupt_stubs
interrupt_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
	.else
	pushq $0
	.endif
	pushq $vector
	.if vector == 1
	jmp debug_entry
	.elseif vector == 2 || vector == 8 || vector == 18
	jmp interrupt_on_own_stack
	.else
	jmp interrupt_common
	.endif
	.set vector, vector + 1
	.endr

interrupt_common:
	cld
	push_registers
	smap_site 0
	testb $3, FRAME_CS(%rsp)
	jz 1f
	swapgs
	xorl %ebp, %ebp			/* the program's chain of frames is not ours to follow */
	movq %rsp, %rdi
	call trap_handle
	movq %rsp, %rdi
	call trap_leave			/* interrupts are off when it returns */
	swapgs
	pop_registers
	iretq
1:	movq %rsp, %rdi
	call trap_handle
	pop_registers
	iretq

/* A program's single step is a signal like others, and its stack for exceptions no place to wait
 * on: the frame goes over to the thread's own. */
debug_entry:
	testb $3, 24(%rsp)		/* cs, above vector, error code and rip */
	jz interrupt_on_own_stack
	swapgs
	pushq %rax
	movq %rsp, %rax
	movq %gs:CPU_KERNEL_STACK, %rsp
	pushq 56(%rax)			/* ss, rsp, rflags, cs, rip, error code, vector */
	pushq 48(%rax)
	pushq 40(%rax)
	pushq 32(%rax)
	pushq 24(%rax)
	pushq 16(%rax)
	pushq 8(%rax)
	movq (%rax), %rax
	swapgs
	jmp interrupt_common

interrupt_on_own_stack:
	cld
	push_registers
	smap_site 0
	movl $MSR_GS_BASE, %ecx
	rdmsr
	xorl %ebx, %ebx
	testl %edx, %edx
	js 1f
	swapgs
	incl %ebx
1:	movq %rsp, %rdi
	call trap_handle_on_own_stack
	testl %ebx, %ebx
	jz 2f
	swapgs
2:	pop_registers
	iretq

/* The syscall instruction: rcx is the return address, r11 the flags; interrupts are off by
 * SFMASK, so is AC. The stack is still the program's. */
	.globl system_call_entry
system_call_entry:
	swapgs
	movq %rsp, %gs:CPU_USER_STACK
	movq %gs:CPU_KERNEL_STACK, %rsp
	pushq $USER_DATA_SELECTOR
	pushq %gs:CPU_USER_STACK
	pushq %r11
	pushq $USER_CODE_SELECTOR
	pushq %rcx
	pushq %rax
	pushq $TRAP_SYSTEM_CALL
	push_registers
	xorl %ebp, %ebp
	movq %rsp, %rdi
	call trap_system_call
	movq %rsp, %rdi
	call trap_leave
	testb %al, %al			/* true: sysret gives just what the frame says */
	jz leave_by_iret
	pop_registers
	movq 24(%rsp), %rsp
	swapgs
	sysretq

leave_by_iret:
	swapgs
	pop_registers
	iretq

/* The syscall instruction from 32-bit code, where the CPU has one: there is none (descriptors.c). A
 * return to where it came from, with the error that Linux gives without 32-bit calls. */
	.globl system_call_entry_32
system_call_entry_32:
	movl $-38, %eax			/* ENOSYS */
	sysretl

/* void trap_enter_user(struct trap_frame *): the frame lies at the top of the stack. */
	.globl trap_enter_user
trap_enter_user:
	movq %rdi, %rsp
	xorl %ebp, %ebp
	call trap_leave
	jmp leave_by_iret

/* void thread_switch_stacks(uint64_t *save, uint64_t load) */
	.globl thread_switch_stacks
thread_switch_stacks:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret

/* Where a new thread begins: its first switch returns to here. */
	.globl thread_first_entry
thread_first_entry:
	xorl %ebp, %ebp
	call thread_begin
	ud2

	.section .note.GNU-stack, "", @progbits
