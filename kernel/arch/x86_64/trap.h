/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts and exceptions, as the rest of the core sees them. */
#ifndef KERNEL_ARCH_X86_64_TRAP_H
#define KERNEL_ARCH_X86_64_TRAP_H

#include "arch/x86_64/trap_frame.h"

/* Interrupt vectors. */
#define VECTOR_TIMER 0x40
#define VECTOR_LINK 0x41
#define VECTOR_CALL 0x42
#define VECTOR_RESCHEDULE 0x43
#define VECTOR_SPURIOUS 0xff

/*
 * From now on function is called for each interrupt of this vector, interrupts off, before the
 * interrupt is acknowledged. => vector: 0x30 to 0xfe, not taken yet.
 */
void trap_set_interrupt(unsigned vector, void (*function)(struct trap_frame *frame));

#endif
