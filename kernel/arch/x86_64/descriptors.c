/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel volume 3A (June 2016), sections 3.4.5 (segments), 6.14.1 (gates), 7.7 (the 64-bit task state).
 * Exceptions that can find no usable stack, or hit between user and kernel, have stacks
 * of their own by the IST: double fault, NMI, machine check, debug.
 */
#include "arch/x86_64/descriptors.h"

#include <stddef.h>

#include "arch/x86_64/registers.h"
#include "arch/x86_64/trap_frame.h"
#include "lib/string.h"

#define OWN_STACKS 4
#define OWN_STACK_SIZE 8192
#define TASK_STATE_SELECTOR 0x40

struct __attribute__((packed)) task_state {
	uint32_t reserved_0;
	uint64_t stack[3];
	uint64_t reserved_1;
	uint64_t own_stack[7];
	uint64_t reserved_2;
	uint16_t reserved_3;
	uint16_t io_map;
};

struct gate {
	uint16_t offset_low, selector;
	uint8_t own_stack, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

struct __attribute__((packed)) table_pointer {
	uint16_t limit;
	uint64_t base;
};

struct tables {
	uint64_t segments[10];
	struct task_state task_state;
	uint8_t own_stacks[OWN_STACKS][OWN_STACK_SIZE] __attribute__((aligned(16)));
};

static struct tables tables[KERNEL_CPUS_MAX];
static struct gate gates[256]; /* all CPUs' */
extern const uint8_t interrupt_stubs[256][16];

static uint8_t own_stack_of(unsigned vector)
{
	switch (vector) {
	case TRAP_DOUBLE_FAULT:
		return 1;
	case TRAP_NMI:
		return 2;
	case TRAP_MACHINE_CHECK:
		return 3;
	case TRAP_DEBUG:
		return 4;
	default:
		return 0;
	}
}

static void fill_gates(void)
{
	for (unsigned vector = 0; vector < 256; vector++) {
		uint64_t entry = (uint64_t)(uintptr_t)interrupt_stubs[vector];
		bool is_for_programs = vector == TRAP_BREAKPOINT || vector == TRAP_OVERFLOW;

		gates[vector] = (struct gate){
			.offset_low = (uint16_t)entry,
			.offset_middle = (uint16_t)(entry >> 16),
			.offset_high = (uint32_t)(entry >> 32),
			.selector = KERNEL_CODE_SELECTOR,
			.own_stack = own_stack_of(vector),
			.type = is_for_programs ? 0xee : 0x8e, /* interrupt gate, DPL 3 or 0 */
		};
	}
}

static void fill_tables(struct tables *own)
{
	uint64_t base = (uint64_t)(uintptr_t)&own->task_state;
	uint64_t limit = sizeof(own->task_state) - 1;

	memset(own, 0, offsetof(struct tables, own_stacks));
	own->segments[KERNEL_CODE_SELECTOR / 8] = UINT64_C(0x00209b0000000000);
	own->segments[KERNEL_DATA_SELECTOR / 8] = UINT64_C(0x0000930000000000);
	own->segments[4] = 0; /* STAR counts from here: 32-bit user code, which there is none of */
	own->segments[USER_DATA_SELECTOR / 8] = UINT64_C(0x0000f30000000000);
	own->segments[USER_CODE_SELECTOR / 8] = UINT64_C(0x0020fb0000000000);
	own->segments[TASK_STATE_SELECTOR / 8] = limit | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
						 (base >> 24 & 0xff) << 56;
	own->segments[TASK_STATE_SELECTOR / 8 + 1] = base >> 32;
	for (unsigned i = 0; i < OWN_STACKS; i++)
		own->task_state.own_stack[i] = (uint64_t)(uintptr_t)(own->own_stacks[i] + OWN_STACK_SIZE);
	own->task_state.io_map = sizeof(own->task_state);
}

static void load_segments(const struct tables *own)
{
	struct table_pointer pointer = { sizeof(own->segments) - 1, (uint64_t)(uintptr_t)own->segments };

	__asm__ volatile("lgdt %0" : : "m"(pointer));
	__asm__ volatile("pushq %0\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:"
			 :
			 : "i"(KERNEL_CODE_SELECTOR)
			 : "rax", "memory");
	__asm__ volatile("movl %0, %%ss\n\t"
			 "movl %1, %%ds\n\t"
			 "movl %1, %%es\n\t"
			 "movl %1, %%fs\n\t"
			 "movl %1, %%gs"
			 :
			 : "r"(KERNEL_DATA_SELECTOR), "r"(0));
	__asm__ volatile("ltr %w0" : : "r"(TASK_STATE_SELECTOR));
	/* After a reset the local table is 64 KiB at address 0. */
	__asm__ volatile("lldt %w0" : : "r"(0));
}

void descriptors_load(struct cpu *cpu)
{
	struct table_pointer pointer = { sizeof(gates) - 1, (uint64_t)(uintptr_t)gates };

	if (gates[0].type == 0)
		fill_gates();
	fill_tables(&tables[cpu->number]);
	load_segments(&tables[cpu->number]);
	__asm__ volatile("lidt %0" : : "m"(pointer));
	write_msr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
	write_msr(MSR_KERNEL_GS_BASE, 0);
}

void descriptors_set_kernel_stack(struct cpu *cpu, uint64_t top)
{
	cpu->kernel_stack = top;
	tables[cpu->number].task_state.stack[0] = top;
}
