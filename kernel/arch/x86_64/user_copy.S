/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions that touch user memory. A page fault in one of the ranges that the exception
 * table names is resolved like the program's own; if that is refused, execution goes on at the
 * range's fixup, which returns false. Addresses were checked against USER_LIMIT by the callers.
 */
	.macro smap_site instruction
9:	.byte 0x0f, 0x1f, 0x00
	.pushsection .smap_sites, "a"
	.quad 9b
	.quad \instruction
	.popsection
	.endm
#define CLAC 0
#define STAC 1

	.macro may_fault from, to, fixup
	.pushsection .exception_table, "a"
	.quad \from, \to, \fixup
	.popsection
	.endm

/* What is as long as this is moved by the string instructions, which take long to begin (lib/string.c). */
	.set LONG_BYTES, 1024

	.text

/* bool user_move(void *to, const void *from, size_t bytes) */
	.globl user_move
user_move:
	smap_site STAC
1:	cmpq $LONG_BYTES, %rdx
	jae 5f
4:	cmpq $32, %rdx
	jb 2f
	movq (%rsi), %rax
	movq 8(%rsi), %rcx
	movq 16(%rsi), %r8
	movq 24(%rsi), %r9
	movq %rax, (%rdi)
	movq %rcx, 8(%rdi)
	movq %r8, 16(%rdi)
	movq %r9, 24(%rdi)
	addq $32, %rsi
	addq $32, %rdi
	subq $32, %rdx
	jmp 4b
5:	movq %rdx, %rcx
	shrq $3, %rcx
	rep movsq
	andl $7, %edx
2:	testq %rdx, %rdx
	jz 3f
	movb (%rsi), %al
	movb %al, (%rdi)
	incq %rsi
	incq %rdi
	decq %rdx
	jmp 2b
3:	smap_site CLAC
	movl $1, %eax
	ret
	may_fault 1b, 3b, user_access_failed

/* bool user_zero(void *to, size_t bytes) */
	.globl user_zero
user_zero:
	smap_site STAC
	xorl %eax, %eax
1:	cmpq $LONG_BYTES, %rsi
	jae 5f
4:	cmpq $32, %rsi
	jb 2f
	movq %rax, (%rdi)
	movq %rax, 8(%rdi)
	movq %rax, 16(%rdi)
	movq %rax, 24(%rdi)
	addq $32, %rdi
	subq $32, %rsi
	jmp 4b
5:	movq %rsi, %rcx
	shrq $3, %rcx
	rep stosq
	andl $7, %esi
2:	testq %rsi, %rsi
	jz 3f
	movb %al, (%rdi)
	incq %rdi
	decq %rsi
	jmp 2b
3:	smap_site CLAC
	movl $1, %eax
	ret
	may_fault 1b, 3b, user_access_failed

/* bool user_move_string(char *to, const char *from, size_t capacity, size_t *copied): up to and with
 * the 0, or capacity bytes. */
	.globl user_move_string
user_move_string:
	smap_site STAC
	xorl %r8d, %r8d
1:	cmpq %rdx, %r8
	jae 3f
	movb (%rsi,%r8), %al
	movb %al, (%rdi,%r8)
	incq %r8
	testb %al, %al
	jnz 1b
3:	smap_site CLAC
	movq %r8, (%rcx)
	movl $1, %eax
	ret
	may_fault 1b, 3b, user_access_failed

/* bool user_exchange_32(uint32_t *to, uint32_t expected, uint32_t desired, uint32_t *seen) */
	.globl user_exchange_32
user_exchange_32:
	smap_site STAC
	movl %esi, %eax
1:	lock cmpxchgl %edx, (%rdi)
2:	smap_site CLAC
	movl %eax, (%rcx)
	movl $1, %eax
	ret
	may_fault 1b, 2b, user_access_failed

user_access_failed:
	smap_site CLAC
	xorl %eax, %eax
	ret

	.section .note.GNU-stack, "", @progbits
