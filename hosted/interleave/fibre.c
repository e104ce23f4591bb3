/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Contexts and the switch between them. A switch saves what a called function must preserve on
 * x86-64 and exchanges stack pointers; it takes a few nanoseconds, where swapcontext asks the
 * kernel about signals each time.
 */
#include "internal.h"

#include <string.h>

#ifndef __x86_64__
#error "the switch of fibres is written for x86-64 hosts"
#endif

__asm__(".text\n"
	".globl fibre_switch\n"
	".type fibre_switch, @function\n"
	"fibre_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size fibre_switch, .-fibre_switch\n");

/* Bytes of a stack that a run may use and find clear. */
#define CLEARED (16 << 10)

void *fibre_prepare(unsigned stack, void (*entry)(void))
{
	uint64_t *top = (uint64_t *)(STACKS_BASE + (stack + 1) * STACK_SIZE);

	/* What an earlier run left there would come back in the padding of structures. */
	memset((uint8_t *)top - CLEARED, 0, CLEARED);
	/* As if entry had been called from address 0, with the stack as the ABI wants it. */
	*--top = 0;
	*--top = (uint64_t)(uintptr_t)entry;
	for (unsigned i = 0; i < 6; i++)
		*--top = 0;
	return top;
}
