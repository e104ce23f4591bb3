/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's -kernel enters at _start by the PVH note: 32 bits, paging off. The first tables show the first
 * GiB at its place, on the way, and CPU_WINDOW above it. With LEVELS 5 there is one table more above
 * (CR4.LA57 can be set only here, before paging is on).
 */
#define PHYSICAL(symbol) ((symbol) - CPU_WINDOW)
#define TABLE(symbol) .quad PHYSICAL(symbol) + 3	/* present, writable */

	.section .note.pvh, "a", @note
	.long	4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	PHYSICAL(_start)

	.section .text.start, "ax"
	.globl	_start
	.code32
_start:
#if LEVELS == 5
	movl	$PHYSICAL(first_root_5), %eax
	movl	$0x3010a0, %edx			/* CR4: PAE, PGE, LA57, SMEP, SMAP */
#else
	movl	$PHYSICAL(first_root_4), %eax
	movl	$0x3000a0, %edx
#endif
	movl	%eax, %cr3
	movl	%edx, %cr4
	movl	$0xc0000080, %ecx		/* EFER: LME, NXE */
	rdmsr
	orl	$0x900, %eax
	wrmsr
	movl	$0x80010001, %eax		/* CR0: PG, WP, PE */
	movl	%eax, %cr0
	lgdt	PHYSICAL(gdt_pointer_low)
	ljmp	$8, $PHYSICAL(1f)
	.code64
1:	movabsq	$2f, %rax
	jmp	*%rax
2:	lgdt	gdt_pointer
	movl	$16, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	movq	$stack_top, %rsp
	movl	$40, %eax
	movq	$state, %rdx			/* the TSS's base, in pieces */
	movw	%dx, gdt + 42
	shrq	$16, %rdx
	movb	%dl, gdt + 44
	movb	%dh, gdt + 47
	shrq	$16, %rdx
	movl	%edx, gdt + 48
	ltr	%ax
	movq	$trap_stack_top, %rax
	movq	%rax, state + 4			/* RSP0 */
	movl	$0x277, %ecx			/* IA32_PAT: entry 6 write-combining, the others as at reset */
	movl	$0x00070406, %eax
	movl	$0x00010406, %edx
	wrmsr
	.irp	vector, 3, 6, 13, 14		/* interrupt gates, from user mode too */
	movq	$trap_\vector, %rax
	movw	%ax, interrupts + \vector * 16
	movl	$0xee000008, interrupts + \vector * 16 + 2
	shrq	$16, %rax
	movw	%ax, interrupts + \vector * 16 + 6
	shrq	$16, %rax
	movl	%eax, interrupts + \vector * 16 + 8
	.endr
	lidt	interrupts_pointer
	call	judge_main

	.text
	.globl	cpu_run
cpu_run:
	.irp	register, rbx, rbp, r12, r13, r14, r15
	pushq	%\register
	.endr
	movq	%rsp, saved_stack
	movl	$8, %eax
	movl	$16, %r8d
	testl	%ecx, %ecx
	jz	1f
	movl	$0x23, %eax			/* user code; its data 0x1b */
	movl	$0x1b, %r8d
1:	movq	%rdi, %r9
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	pushq	%r8
	pushq	$trap_stack_top			/* not used: the snippets push nothing */
	pushq	$2
	pushq	%rax
	pushq	%r9
	iretq

trap_3:	pushq	$0				/* in the place of an error code */
	decq	8(%rsp)				/* a trap: back to the breakpoint itself */
	movl	$3, %ecx
	jmp	trap
trap_6:	pushq	$0
	movl	$6, %ecx
	jmp	trap
trap_13:
	movl	$13, %ecx
	jmp	trap
trap_14:
	movl	$14, %ecx
trap:	movq	%rax, cpu_last
	movq	%rcx, cpu_last + 8
	movq	%cr2, %rax
	movq	%rax, cpu_last + 16
	movq	8(%rsp), %rax
	movq	%rax, cpu_last + 24
	movq	saved_stack, %rsp
	.irp	register, r15, r14, r13, r12, rbp, rbx
	popq	%\register
	.endr
	ret

	.balign	4096
	.globl	cpu_snippet_read, cpu_snippet_write, cpu_snippet_end
cpu_snippet_read:
	movq	(%rdi), %rax
	int3
cpu_snippet_write:
	movq	%rsi, (%rdi)
	int3
cpu_snippet_end:

	.data
	.balign	4096
	.globl	first_root_4, first_root_5
first_root_5:
	TABLE(first_root_4)
	.skip	510 * 8
	TABLE(first_root_4)
first_root_4:
	TABLE(first_pointers)
	.skip	510 * 8
	TABLE(first_pointers)
first_pointers:
	TABLE(first_leaves)
	.skip	509 * 8
	TABLE(first_leaves)
	.skip	8
first_leaves:
	.set	leaf, 0
	.rept	512
	.quad	leaf * 0x200000 + 0x83		/* 2 MiB, present, writable */
	.set	leaf, leaf + 1
	.endr
gdt:	.quad	0, 0x00209b0000000000, 0x0000930000000000	/* none; 8: code; 16: data */
	.quad	0x0000f30000000000, 0x0020fb0000000000		/* 24, 32: user's data, code */
	.quad	0x0000890000000067, 0				/* 40: TSS */
gdt_pointer_low:
	.short	55
	.long	PHYSICAL(gdt)
gdt_pointer:
	.short	55
	.quad	gdt
interrupts_pointer:
	.short	16 * 15 - 1
	.quad	interrupts
	.globl	cpu_last
cpu_last:
	.skip	32
saved_stack:
	.quad	0
	.bss
	.balign	16
interrupts:
	.skip	16 * 15
state:	.skip	104
	.balign	16
	.skip	16384
stack_top:
	.skip	4096
trap_stack_top:

	.section .note.GNU-stack, "", @progbits
