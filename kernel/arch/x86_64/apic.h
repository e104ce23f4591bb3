/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC of each CPU: its timer, the acknowledgement of interrupts, messages to others. */
#ifndef KERNEL_ARCH_X86_64_APIC_H
#define KERNEL_ARCH_X86_64_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* Maps the registers and masks the PIC of old. Once, on the first CPU; the manager stands. */
void apic_map(void);
/* Turns this CPU's own APIC on. Interrupts off. */
void apic_start(void);

/* The identifier that messages to this CPU carry. */
uint32_t apic_identifier(void);

void apic_acknowledge(void);

/* Counts down from 2^32 - 1, once, without an interrupt; and what is left. For calibration. */
void apic_timer_begin_count(void);
uint32_t apic_timer_read_count(void);

/* An interrupt VECTOR_TIMER on this CPU after each period, a count of the timer, from now on. */
void apic_timer_start(uint32_t period);

/* An interrupt of this vector to one CPU. Any context; the APIC of this CPU is on. */
void apic_send(uint32_t identifier, uint8_t vector);
void apic_send_nmi(uint32_t identifier);

/* Puts a CPU into the state after reset, where it waits for the next one. */
void apic_send_init(uint32_t identifier);
/* Makes it begin in 16-bit mode at page * 4096, if it waits for that. */
void apic_send_startup(uint32_t identifier, uint8_t page);

#endif
