/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What another CPU runs first, from a copy at START, in 16-bit mode, to 64-bit mode under the
 * scoped directory, and into the kernel's text. It only reads its page, which is mapped so. Segments
 * have their accessed bit set beforehand, or the CPU would write it.
 */
#define START 0x8000 /* MEMORY_LOW_PAGE */
#define AT(symbol) (START + (symbol) - start_cpu_begin)

#define CODE_32 0x08
#define DATA 0x10
#define CODE_64 0x18

	.section .rodata.start_cpu, "a"
	.balign 16
	.globl start_cpu_begin, start_cpu_end, start_cpu_parameters
	.code16
start_cpu_begin:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl gdt_pointer - start_cpu_begin
	movl %cr0, %eax
	orl $1, %eax			/* PE */
	movl %eax, %cr0
	ljmpl $CODE_32, $AT(in_32)

	.code32
in_32:
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $(1 << 5), %eax		/* PAE */
	movl %eax, %cr4
	movl AT(root), %eax
	movl %eax, %cr3
	/* NX is on before paging is: the kernel's half has entries with its bit. */
	movl $0xc0000080, %ecx
	rdmsr
	orl $((1 << 8) | (1 << 11)), %eax	/* EFER.LME, EFER.NXE */
	wrmsr
	movl $0x80010033, %eax		/* PG, WP, NE, ET, MP, PE; caches on */
	movl %eax, %cr0
	ljmpl $CODE_64, $AT(in_64)

	.code64
in_64:
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	xorl %ebp, %ebp
	movq stack(%rip), %rsp
	movq cpu(%rip), %rdi
	movq entry(%rip), %rax
	pushq $0
	jmp *%rax

	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00209b0000000000
gdt_pointer:
	.short gdt_pointer - gdt - 1
	.long AT(gdt)

	/* struct start_parameters */
	.balign 8
start_cpu_parameters:
root:
	.quad 0
stack:
	.quad 0
cpu:
	.quad 0
entry:
	.quad 0
start_cpu_end:

	.section .note.GNU-stack, "", @progbits
