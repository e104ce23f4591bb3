/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each CPU has of its own, found through its GS base while in the kernel. The
 * assembly entries know the offsets of the first fields (checked in percpu.c).
 */
#ifndef KERNEL_CPU_PERCPU_H
#define KERNEL_CPU_PERCPU_H

#include <stdbool.h>
#include <stdint.h>

/* Most CPUs that the kernel has room for. */
#define KERNEL_CPUS_MAX 16

struct thread;

struct cpu {
	struct cpu *self;	   /* offset 0 */
	struct thread *current;	   /* offset 8: the thread that runs here */
	uint64_t kernel_stack;	   /* offset 16: top of current's stack, where a user entry starts */
	uint64_t user_stack;	   /* offset 24: scratch of the system-call entry */
	uint32_t number;	   /* 0 to CPUs - 1 */
	bool is_reschedule_wanted; /* looked at before a return to user mode; written here only */
	struct thread *idle;	   /* runs when nothing else can */
	uint64_t ticks;		   /* timer interrupts taken */
	uint64_t idle_ticks;	   /* those of them that found the CPU idle */
};

/* The CPU this runs on. Stale as soon as the thread may be moved: interrupts off, or only
 * for what stays true (current). */
static inline struct cpu *cpu_this(void)
{
	struct cpu *cpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* The struct of one CPU more; NULL if there is no room. Boot only. */
struct cpu *cpu_add(void);

/* CPUs that run; and each of them. */
uint32_t cpu_count(void);
struct cpu *cpu_by_number(uint32_t number);

#endif
