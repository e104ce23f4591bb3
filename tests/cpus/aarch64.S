/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU enters at _start at EL2, at the physical address, translation off. The first tables, of 4 KiB
 * whatever the library's are, show the GiB of RAM at its place, on the way, and CPU_WINDOW above it; and
 * the GiB below, as device memory.
 *
 * All runs at EL1. EL2, where no address is translated, is there because granule, width and roots are
 * three registers that change together under the feet of who changes them: EL1 asks for that.
 */
#define TABLE 3
#define NORMAL 0x701	/* a block: AF, inner shareable, Attr0 */
#define DEVICE 0x40d	/* a block: AF, Attr3 */

	.section .text.start, "ax"
	.globl _start
_start:
	adr	x0, hypervisor
	msr	vbar_el2, x0
	mov	x0, 0x80000000			/* HCR_EL2: EL1 is AArch64 */
	msr	hcr_el2, x0
	mov	x0, 0x33ff			/* CPTR_EL2: nothing traps */
	msr	cptr_el2, x0
	ldr	x0, =0x30d00800			/* SCTLR_EL1: what must be set */
	msr	sctlr_el1, x0
	mov	x0, 0x3c5			/* EL1h, DAIF */
	msr	spsr_el2, x0
	adr	x0, 1f
	msr	elr_el2, x0
	eret
1:	adrp	x1, first_user
	adrp	x2, first_kernel
	orr	x3, x1, TABLE		/* level 1 tables follow the level 0 ones */
	add	x3, x3, 0x1000
	str	x3, [x1]
	orr	x3, x2, TABLE
	add	x3, x3, 0x1000
	str	x3, [x2, 511 * 8]
	msr	ttbr0_el1, x1
	msr	ttbr1_el1, x2
	ldr	x3, =0x000044bbff		/* Attr3 to 0: 00 44 bb ff */
	msr	mair_el1, x3
	ldr	x3, =0x5b5103510		/* TCR: 48 bits each, 4 KiB, write-back, inner, IPS 48 bits */
	msr	tcr_el1, x3
	isb
	tlbi	vmalle1
	dsb	nsh
	isb
	mrs	x3, sctlr_el1
	mov	x4, 0x1005			/* M, C, I */
	orr	x3, x3, x4
	msr	sctlr_el1, x3
	isb
	ldr	x3, =1f
	br	x3
1:	ldr	x3, =stack_top
	mov	sp, x3
	ldr	x3, =vectors
	msr	vbar_el1, x3
	isb
	bl	judge_main

/* hvc: x0 to TCR_EL1, x1 and x2 to TTBR0_EL1 and TTBR1_EL1. */
	.balign	2048
hypervisor:
	.skip	0x400				/* synchronous, from a lower level */
	msr	tcr_el1, x0
	msr	ttbr0_el1, x1
	msr	ttbr1_el1, x2
	isb
	tlbi	alle1
	dsb	nsh
	isb
	eret

	.text
	.globl	cpu_run
cpu_run:
	stp	x19, x20, [sp, -96]!
	stp	x21, x22, [sp, 16]
	stp	x23, x24, [sp, 32]
	stp	x25, x26, [sp, 48]
	stp	x27, x28, [sp, 64]
	stp	x29, x30, [sp, 80]
	adrp	x9, saved_stack
	mov	x10, sp
	str	x10, [x9, :lo12:saved_stack]
	msr	elr_el1, x0
	ldr	x10, =0x4003c5			/* EL1h, DAIF, PAN */
	cbz	w3, 1f
	mov	x10, 0x3c0			/* EL0t */
1:	msr	spsr_el1, x10
	mov	x0, x1
	mov	x1, x2
	eret

trap:
	adrp	x9, saved_stack
	ldr	x10, [x9, :lo12:saved_stack]
	mov	sp, x10
	adrp	x9, cpu_last
	add	x9, x9, :lo12:cpu_last
	mrs	x10, esr_el1
	mrs	x11, far_el1
	mrs	x12, elr_el1
	stp	x0, x10, [x9]
	stp	x11, x12, [x9, 16]
	ldp	x21, x22, [sp, 16]
	ldp	x23, x24, [sp, 32]
	ldp	x25, x26, [sp, 48]
	ldp	x27, x28, [sp, 64]
	ldp	x29, x30, [sp, 80]
	ldp	x19, x20, [sp], 96
	ret

	.balign	2048
vectors:
	.rept	16
	b	trap
	.balign	128
	.endr

	.balign	65536
	.globl	cpu_snippet_read, cpu_snippet_write, cpu_snippet_end
cpu_snippet_read:
	ldr	x0, [x0]
	brk	#0
cpu_snippet_write:
	str	x1, [x0]
	brk	#0
cpu_snippet_end:

	.data
	.balign	4096
first_user:
	.skip	4096
	.quad	0, 0x40000000 + NORMAL
	.skip	510 * 8
	.globl	first_kernel
first_kernel:
	.skip	4096
	.skip	508 * 8
	.quad	0 + DEVICE, 0x40000000 + NORMAL
	.skip	2 * 8
	.globl	cpu_last
cpu_last:
	.skip	32
saved_stack:
	.quad	0
	.bss
	.balign	16
	.skip	16384
stack_top:
