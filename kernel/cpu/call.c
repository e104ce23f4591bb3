/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One CPU runs today, so that the set can hold none but this one: a call to another would go
 * out as interrupt VECTOR_CALL from call_other, and be waited for.
 */
#include "cpu/call.h"

#include "cpu/percpu.h"
#include "lib/log.h"
#include "thread/spinlock.h"

static bool is_in(const lh_cpu_set *cpus, uint32_t number)
{
	return (cpus->bits[number / 64] >> number % 64 & 1) != 0;
}

static void call_other(uint32_t number)
{
	panic("CPU %u is in a set of CPUs to call, and does not run", number);
}

void cpu_call(const lh_cpu_set *cpus, void (*function)(void *), void *argument)
{
	uintptr_t interrupts = interrupts_off();
	uint32_t own = cpu_this()->number;

	for (uint32_t number = 0; number < LH_MAX_CPUS; number++)
		if (number != own && is_in(cpus, number))
			call_other(number);
	if (is_in(cpus, own))
		function(argument);
	interrupts_restore(interrupts);
}
