/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: its timer, and the acknowledgement of interrupts. */
#ifndef KERNEL_ARCH_X86_64_APIC_H
#define KERNEL_ARCH_X86_64_APIC_H

#include <stdint.h>

/* Maps the registers, masks the PIC of old, turns this CPU's APIC on. Once; the manager stands. */
void apic_start(void);

/* The identifier that messages to this CPU carry. */
uint32_t apic_identifier(void);

void apic_acknowledge(void);

/* Counts down from 2^32 - 1, once, without an interrupt; and what is left. For calibration. */
void apic_timer_begin_count(void);
uint32_t apic_timer_read_count(void);

/* An interrupt VECTOR_TIMER after each period, a count of the timer, from now on. */
void apic_timer_start(uint32_t period);

#endif
