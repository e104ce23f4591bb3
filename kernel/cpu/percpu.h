/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each CPU has of its own, found through its GS base while in the kernel. The
 * assembly entries know the offsets of the first fields (checked in percpu.c).
 *
 * Fields by who may touch them:
 *   [c] constant once the CPU runs
 *   [o] the CPU itself, interrupts off
 *   [s] the scheduler's lock
 *   [a] any, by atomic operations
 */
#ifndef KERNEL_CPU_PERCPU_H
#define KERNEL_CPU_PERCPU_H

#include <stdbool.h>
#include <stdint.h>

#include <landhold/config.h>

/* Most CPUs that the kernel has room for. */
#define KERNEL_CPUS_MAX 16

struct spinlock;
struct thread;

struct cpu {
	struct cpu *self;	   /* [c] offset 0 */
	struct thread *current;	   /* [s] offset 8: the thread that runs here */
	uint64_t kernel_stack;	   /* [o] offset 16: top of current's stack, where a user entry starts */
	uint64_t user_stack;	   /* [o] offset 24: scratch of the system-call entry */
	uint32_t number;	   /* [c] 0 to CPUs - 1 */
	uint32_t apic_identifier;  /* [c] what messages to it carry */
	uint32_t arrival;	   /* [a] while it starts: cpu/start.c */
	bool can_be_called;	   /* [a] its APIC takes messages */
	bool is_running;	   /* [a] it has come up */
	bool is_reschedule_wanted; /* [o] looked at before a return to user mode */
	struct thread *idle;	   /* [c] runs when nothing else can */
	uint64_t callers;	   /* [a] the CPUs that wait for an answer, a bit each: call.c */
	uint64_t ticks;		   /* [a] timer interrupts taken */
	uint64_t idle_ticks;	   /* [a] those of them that found the CPU idle */
	uint64_t calls_answered;   /* [a] */
#if LH_DEBUG >= 2
	const struct spinlock *spinning, *spinning_last; /* [o] held here: thread/lock_check.h */
#endif
};

/* The CPU this runs on. Stale as soon as the thread may be moved: interrupts off, or only
 * until it sleeps, yields or returns to user mode, since kernel mode is not pre-empted. */
static inline struct cpu *cpu_this(void)
{
	struct cpu *cpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* The struct of the next CPU, with its number; it is not counted yet. NULL if there is no room. The
 * same one again until cpu_add. Boot only. */
struct cpu *cpu_prepare(void);
/* The CPU that was prepared runs: it is counted from now on. Boot only. */
void cpu_add(struct cpu *cpu);

/* CPUs that run; and each of them, or the one that is about to come up. */
uint32_t cpu_count(void);
struct cpu *cpu_by_number(uint32_t number);

#endif
