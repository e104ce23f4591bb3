/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OpenSBI enters at _start in supervisor mode, at the physical address, translation off. The first
 * tables (Sv39) show the GiB of RAM at its place, on the way, and CPU_WINDOW above it.
 */
	.section .text.start, "ax"
	.globl _start
_start:
	la	sp, stack_top
	la	t0, first_root
	srli	t0, t0, 12
	li	t1, 8 << 60			/* satp.MODE: Sv39 */
	or	t0, t0, t1
	csrw	satp, t0
	sfence.vma
	li	t1, CPU_WINDOW
	la	t0, 1f
	add	t0, t0, t1
	add	sp, sp, t1
	jr	t0
1:	la	t0, trap_entry
	csrw	stvec, t0
	la	t0, first_root
	li	t1, CPU_WINDOW
	sub	t0, t0, t1
	srli	t0, t0, 12
	li	t1, 8 << 60
	or	t0, t0, t1
	la	t1, cpu_first_satp
	sd	t0, 0(t1)
	call	judge_main

	.text
	.globl	cpu_run
cpu_run:
	addi	sp, sp, -112
	.irp	register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	sd	s\register, \register * 8(sp)
	.endr
	sd	ra, 96(sp)
	la	t0, saved_stack
	sd	sp, 0(t0)
	csrw	sepc, a0
	li	t0, 0x120			/* sstatus: SPP, SPIE */
	csrc	sstatus, t0
	li	t0, 0x100
	bnez	a3, 1f
	csrs	sstatus, t0
1:	mv	a0, a1
	mv	a1, a2
	sret

	.balign	4
trap_entry:
	la	t0, saved_stack
	ld	sp, 0(t0)
	la	t0, cpu_last
	sd	a0, 0(t0)
	csrr	t1, scause
	sd	t1, 8(t0)
	csrr	t1, stval
	sd	t1, 16(t0)
	csrr	t1, sepc
	sd	t1, 24(t0)
	.irp	register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	ld	s\register, \register * 8(sp)
	.endr
	ld	ra, 96(sp)
	addi	sp, sp, 112
	ret

	.balign	4096
	.globl	cpu_snippet_read, cpu_snippet_write, cpu_snippet_end
	.option	push
	.option	norvc
cpu_snippet_read:
	ld	a0, 0(a0)
	ebreak
cpu_snippet_write:
	sd	a1, 0(a0)
	ebreak
	.option	pop
cpu_snippet_end:

	.data
	.balign	4096
first_root:
	.quad	0, 0, (0x80000000 >> 2) + 0xcf	/* D A X W R V */
	.skip	507 * 8
	.quad	(0x80000000 >> 2) + 0xcf	/* entry 510 */
	.quad	0
	.globl	cpu_last, cpu_first_satp
cpu_last:
	.skip	32
cpu_first_satp:
	.quad	0
saved_stack:
	.quad	0
	.bss
	.balign	16
	.skip	16384
stack_top:
