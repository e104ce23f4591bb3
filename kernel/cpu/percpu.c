/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/percpu.h"

#include <stddef.h>

#include "lib/log.h"

_Static_assert(offsetof(struct cpu, self) == 0, "cpu_this");
_Static_assert(offsetof(struct cpu, current) == 8, "thread_current");
_Static_assert(offsetof(struct cpu, kernel_stack) == 16, "entry.S: CPU_KERNEL_STACK");
_Static_assert(offsetof(struct cpu, user_stack) == 24, "entry.S: CPU_USER_STACK");

static struct cpu cpus[KERNEL_CPUS_MAX];
static uint32_t count; /* atomic */

struct cpu *cpu_prepare(void)
{
	struct cpu *cpu = &cpus[count];

	if (count == KERNEL_CPUS_MAX)
		return NULL;
	cpu->self = cpu;
	cpu->number = count;
	return cpu;
}

void cpu_add(struct cpu *cpu)
{
	if (cpu->number != count)
		panic("CPU %u is added as number %u", cpu->number, count);
	__atomic_store_n(&count, cpu->number + 1, __ATOMIC_SEQ_CST);
}

uint32_t cpu_count(void)
{
	return __atomic_load_n(&count, __ATOMIC_ACQUIRE);
}

struct cpu *cpu_by_number(uint32_t number)
{
	if (number >= KERNEL_CPUS_MAX || cpus[number].self == NULL)
		panic("there is no CPU %u", number);
	return &cpus[number];
}
