/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first instructions. Two ways in, both in 32-bit protected mode without paging, with the
 * image at its physical place:
 *
 *   PVH         %ebx: physical address of the hvm_start_info (Xen's docs/misc/pvh)
 *   multiboot2  %eax: 0x36d76289, %ebx: physical address of its information
 *
 * Early tables, good until the memory manager has its own: the first 4 GiB in 2 MiB leaves,
 * at 0 (for the step to 64 bits), at the direct map's place, and the first GiB at the image's.
 */
#define IMAGE_BASE 0xffffffff80000000
#define PHYSICAL(symbol) ((symbol) - IMAGE_BASE)

#define PRESENT_WRITABLE 0x3
#define LARGE_WRITABLE 0x83

#define LOADER_PVH 1
#define LOADER_MULTIBOOT2 2

	.section .multiboot2, "a"
	.balign 8
multiboot2_header:
	.long 0xe85250d6, 0, multiboot2_header_end - multiboot2_header
	.long -(0xe85250d6 + (multiboot2_header_end - multiboot2_header))
	/* entry address */
	.short 3, 0
	.long 12, PHYSICAL(multiboot2_entry)
	.balign 8
	/* modules on pages */
	.short 6, 0
	.long 8
	/* end */
	.short 0, 0
	.long 8
multiboot2_header_end:

	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long PHYSICAL(pvh_entry)

	.section .bss_pages, "aw", @nobits
	.balign 4096
	.globl early_root, early_direct_pointers, early_stack_top
early_root:
	.skip 4096
early_direct_pointers:
	.skip 4096
early_image_pointers:
	.skip 4096
early_directories:
	.skip 4 * 4096
early_stack:
	.skip 16384
early_stack_top:

	.section .text.boot, "ax"
	.code32
pvh_entry:
	movl $LOADER_PVH, %edi
	jmp boot_32
multiboot2_entry:
	movl $LOADER_MULTIBOOT2, %edi
	cmpl $0x36d76289, %eax
	je boot_32
1:	hlt
	jmp 1b

/* %edi: who loaded us; %ebx: what it says. Both are kept. */
boot_32:
	cli
	cld
	movl $PHYSICAL(early_stack_top), %esp

	/* CPUID leaf 0x80000001: long mode, or there is no going on. */
	movl $0x80000001, %eax
	pushl %ebx
	cpuid
	popl %ebx
	testl $(1 << 29), %edx
	jnz 2f
	movl $PHYSICAL(no_long_mode), %esi
1:	lodsb
	testb %al, %al
	jz 3f
	outb %al, $0xe9
	jmp 1b
3:	hlt
	jmp 3b

	/* 2048 leaves of 2 MiB. */
2:	movl $PHYSICAL(early_directories), %esi
	movl $LARGE_WRITABLE, %eax
	movl $2048, %ecx
1:	movl %eax, (%esi)
	movl $0, 4(%esi)
	addl $0x200000, %eax
	addl $8, %esi
	loop 1b

	/* Four directories in the pointer table that 0 and the direct map share. */
	movl $PHYSICAL(early_direct_pointers), %esi
	movl $PHYSICAL(early_directories) + PRESENT_WRITABLE, %eax
	movl $4, %ecx
1:	movl %eax, (%esi)
	addl $4096, %eax
	addl $8, %esi
	loop 1b
	movl $PHYSICAL(early_directories) + PRESENT_WRITABLE, PHYSICAL(early_image_pointers) + 510 * 8

	movl $PHYSICAL(early_direct_pointers) + PRESENT_WRITABLE, PHYSICAL(early_root)
	movl $PHYSICAL(early_direct_pointers) + PRESENT_WRITABLE, PHYSICAL(early_root) + 256 * 8
	movl $PHYSICAL(early_image_pointers) + PRESENT_WRITABLE, PHYSICAL(early_root) + 511 * 8

	movl %cr4, %eax
	orl $(1 << 5), %eax			/* PAE */
	movl %eax, %cr4
	movl $PHYSICAL(early_root), %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx			/* EFER.LME */
	rdmsr
	orl $(1 << 8), %eax
	wrmsr
	movl %cr0, %eax
	orl $((1 << 31) | (1 << 16) | 1), %eax	/* PG, WP, PE */
	movl %eax, %cr0
	lgdt PHYSICAL(early_gdt_pointer)
	ljmp $0x10, $PHYSICAL(boot_low_64)

	.code64
boot_low_64:
	movabsq $boot_entry_64, %rax
	jmp *%rax

	.globl boot_entry_64
boot_entry_64:
	movl $0x18, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq $early_stack_top, %rsp
	xorl %ebp, %ebp
	movl %edi, %edi
	movl %ebx, %esi
	/* boot_main(loader, information) */
	call boot_main
1:	hlt
	jmp 1b

	.section .rodata.boot, "a"
no_long_mode:
	.asciz "this CPU has no 64-bit mode\n"
	.balign 8
early_gdt:
	.quad 0
	.quad 0
	.quad 0x00209a0000000000	/* 0x10: 64-bit code */
	.quad 0x0000920000000000	/* 0x18: data */
early_gdt_end:
	.globl early_gdt_pointer
early_gdt_pointer:
	.short early_gdt_end - early_gdt - 1
	.long PHYSICAL(early_gdt)

	.section .note.GNU-stack, "", @progbits
