/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What C cannot say. QEMU's -kernel enters at pvh_entry: 32 bits, paging off, %ebx the physical
 * address of the start information (Xen's docs/misc/pvh). Step 4 of docs/PORTING.md: the early
 * tables show the first GiB at the direct map's place, at the image's and, on the way, at 0.
 */
#define IMAGE_BASE 0xffffffff80000000
#define PHYSICAL(symbol) ((symbol) - IMAGE_BASE)
#define TABLE(symbol) .quad PHYSICAL(symbol) + 3	/* present, writable */

	.section .note.pvh, "a", @note
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long PHYSICAL(pvh_entry)

	.data
	.balign 4096
early_root:
	TABLE(early_pointers)		/* 0 */
	.skip 255 * 8
	TABLE(early_pointers)		/* DIRECT_MAP_BASE */
	.skip 254 * 8
	TABLE(early_pointers)		/* IMAGE_BASE, with entry 510 of the next */
early_pointers:
	TABLE(early_leaves)
	.skip 509 * 8
	TABLE(early_leaves)
	.skip 8
early_leaves:
	.set leaf, 0
	.rept 512
	.quad leaf * 0x200000 + 0x83	/* 2 MiB, present, writable */
	.set leaf, leaf + 1
	.endr
gdt:	.quad 0, 0x00209b0000000000	/* none; 8: 64-bit code */
gdt_pointer_low: .short 15; .long PHYSICAL(gdt)
gdt_pointer: .short 15; .quad gdt

	.bss
	.balign 16
	.skip 16384
stack_top:

	.text
	.globl pvh_entry, page_fault_entry, user_read, user_write, user_access_end
	.code32
pvh_entry:
	movl $PHYSICAL(early_root), %eax
	movl %eax, %cr3
	movl $0xa0, %eax		/* CR4: PAE, PGE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx		/* EFER: LME, NXE */
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl $0x80010001, %eax		/* CR0: PG, WP (read-only also in ring 0), PE */
	movl %eax, %cr0
	lgdt PHYSICAL(gdt_pointer_low)
	ljmp $8, $PHYSICAL(1f)
	.code64
1:	lgdt gdt_pointer
	xorl %eax, %eax
	movl %eax, %ss			/* none; iretq would look for PVH's in our table */
	movq $stack_top, %rsp
	movl %ebx, %edi
	movq $kernel_main, %rax
	call *%rax			/* to the image's place; does not return */

page_fault_entry:			/* builds a struct fault_frame */
	.irp register, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbx
	pushq %\register
	.endr
	movq %rsp, %rdi
	call page_fault
	.irp register, rbx, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
	popq %\register
	.endr
	addq $8, %rsp
	iretq

/* A fault from here up to user_access_end may be refused: it goes on there. */
user_read:
	movq (%rdi), %rax
	movq %rax, (%rsi)
	jmp 1f
user_write:
	movq %rsi, (%rdi)
1:	movl $1, %eax
	ret
user_access_end:
	xorl %eax, %eax
	ret

	.section .note.GNU-stack, "", @progbits
