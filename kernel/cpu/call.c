/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CPU waits for one call at a time, so that each has one record for what it asks. It notes
 * itself among the target's callers and sends VECTOR_CALL, unless somebody's interrupt is on its way
 * already; the target's handler takes all callers at once and does what each asks.
 *
 * Who waits has interrupts on and so answers meanwhile: two CPUs that call each other both go on.
 * Answering takes no lock that is held across a call, and sends none.
 */
#include "cpu/call.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/trap.h"
#include "cpu/percpu.h"
#include "lib/log.h"
#include "thread/spinlock.h"

_Static_assert(KERNEL_CPUS_MAX <= 64, "a word holds the callers");
_Static_assert(KERNEL_CPUS_MAX <= LH_MAX_CPUS, "a set holds every CPU");

struct call {
	void (*function)(void *);
	void *argument;
	uint32_t left; /* atomic: targets that have not answered */
};

static struct call calls[KERNEL_CPUS_MAX]; /* by the number of who calls */

static bool is_in(const lh_cpu_set *cpus, uint32_t number)
{
	return (cpus->bits[number / 64] >> number % 64 & 1) != 0;
}

static uint32_t count_others(const lh_cpu_set *cpus, uint32_t own)
{
	uint32_t others = 0;

	for (uint32_t number = 0; number < LH_MAX_CPUS; number++)
		if (number != own && is_in(cpus, number))
			others++;
	return others;
}

static void call_other(struct cpu *target, uint32_t own)
{
	if (!__atomic_load_n(&target->can_be_called, __ATOMIC_SEQ_CST))
		panic("CPU %u is in a set of CPUs to call, and does not run", target->number);
	if (__atomic_fetch_or(&target->callers, UINT64_C(1) << own, __ATOMIC_SEQ_CST) == 0)
		apic_send(target->apic_identifier, VECTOR_CALL);
}

void cpu_call(const lh_cpu_set *cpus, void (*function)(void *), void *argument)
{
	uint32_t own = cpu_this()->number; /* it stays: nothing here sleeps */
	struct call *call = &calls[own];

	if (!interrupts_are_on())
		panic("other CPUs are called with interrupts off");
	if (__atomic_load_n(&call->left, __ATOMIC_RELAXED) != 0)
		panic("CPU %u calls within a call", own);
	call->function = function;
	call->argument = argument;
	__atomic_store_n(&call->left, count_others(cpus, own), __ATOMIC_SEQ_CST);
	for (uint32_t number = 0; number < LH_MAX_CPUS; number++)
		if (number != own && is_in(cpus, number))
			call_other(cpu_by_number(number), own);
	if (is_in(cpus, own)) {
		uintptr_t interrupts = interrupts_off();

		function(argument);
		interrupts_restore(interrupts);
	}
	while (__atomic_load_n(&call->left, __ATOMIC_ACQUIRE) != 0)
		__asm__ volatile("pause");
}

static void answer(struct trap_frame *frame)
{
	struct cpu *own = cpu_this();
	uint64_t callers = __atomic_exchange_n(&own->callers, 0, __ATOMIC_SEQ_CST);

	(void)frame;
	for (; callers != 0; callers &= callers - 1) {
		struct call *call = &calls[__builtin_ctzll(callers)];

		call->function(call->argument);
		__atomic_fetch_add(&own->calls_answered, 1, __ATOMIC_RELAXED);
		__atomic_fetch_sub(&call->left, 1, __ATOMIC_RELEASE);
	}
}

void cpu_call_start(void)
{
	trap_set_interrupt(VECTOR_CALL, answer);
}
