/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Round robin over one queue of all CPUs: whoever has nothing to do takes the next that may run
 * there, so that the load spreads by itself. A thread leaves its CPU when it sleeps, yields, ends, or when a tick
 * found it in user mode and others wait.
 *
 * An idle CPU halts. It says so in idle_cpus under the lock, after it has seen nothing for it in the
 * queue, and lets interrupts in only with the halt itself; who adds a thread takes one such CPU
 * out, on which the thread may run, and sends it VECTOR_RESCHEDULE. So no thread waits while a CPU
 * sleeps that it may have.
 *
 * A thread that leaves a CPU is taken up by another only when the lock is free again, and that is
 * let go by who runs next, on another stack and with another FPU image loaded: nobody runs on,
 * or frees, a stack that is still in use.
 */
#include "thread/scheduler.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/clock.h"
#include "arch/x86_64/descriptors.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/trap.h"
#include "cpu/call.h"
#include "lib/log.h"
#include "memory/memory.h"
#include "thread/selectors.h"

void thread_switch_stacks(uint64_t *save, uint64_t load);

struct spinlock scheduler_lock = SPINLOCK_INIT_LAST;
static struct list run_queue = LIST_INIT(run_queue);	    /* scheduler_lock */
static struct list timed_sleepers = LIST_INIT(timed_sleepers); /* scheduler_lock */
static uint64_t idle_cpus;				    /* scheduler_lock: a bit each */
static void (*tick_hook)(void);				    /* constant after boot */

_Static_assert(KERNEL_CPUS_MAX <= 64, "a word holds the idle CPUs");

static bool has_user_state(const struct thread *thread)
{
	return thread->user != NULL;
}

static void save_user_state(struct thread *thread)
{
	if (!has_user_state(thread))
		return;
	__asm__ volatile("fxsave64 %0" : "=m"(thread->fpu));
	thread->selectors = selectors_read();
}

static void load_user_state(const struct thread *thread)
{
	if (!has_user_state(thread))
		return;
	__asm__ volatile("fxrstor64 %0" : : "m"(thread->fpu));
	selectors_load(thread->selectors);
	write_msr(MSR_FS_BASE, SELECTOR_FS(thread->selectors) != 0 ? 0 : thread->fs_base);
	write_msr(MSR_KERNEL_GS_BASE, SELECTOR_GS(thread->selectors) != 0 ? 0 : thread->gs_base);
}

static void change_space(lh_space *from, lh_space *to)
{
	if (from == to)
		return;
	if (from != NULL)
		lh_space_deactivate(from);
	if (to != NULL)
		lh_space_activate(to);
}

static uint64_t bit_of(const struct cpu *cpu)
{
	return UINT64_C(1) << cpu->number;
}

static void poke(const struct cpu *cpu)
{
	if (cpu != cpu_this())
		apic_send(cpu->apic_identifier, VECTOR_RESCHEDULE);
}

static bool may_run_on(const struct thread *thread, const struct cpu *cpu)
{
	return (thread->allowed_cpus & bit_of(cpu)) != 0;
}

/* One CPU that halts is woken for the thread: where it ran last, if that is one of them. */
static void wake_idle_locked(const struct thread *thread)
{
	uint64_t candidates = idle_cpus & thread->allowed_cpus;
	struct cpu *cpu = thread->cpu;

	if (candidates == 0)
		return;
	if (cpu == NULL || (candidates & bit_of(cpu)) == 0)
		cpu = cpu_by_number((uint32_t)__builtin_ctzll(candidates));
	idle_cpus &= ~bit_of(cpu);
	poke(cpu);
}

/* The first in the queue that may run there; NULL: none. */
static struct thread *first_for_locked(const struct cpu *cpu)
{
	LIST_FOR_EACH(node, &run_queue) {
		struct thread *thread = container_of(node, struct thread, queue);

		if (may_run_on(thread, cpu))
			return thread;
	}
	return NULL;
}

static struct thread *next_locked(struct cpu *cpu)
{
	struct thread *current = cpu->current, *next;

	if (current->state == THREAD_RUNNING && current != cpu->idle) {
		current->state = THREAD_RUNNABLE;
		list_append(&run_queue, &current->queue);
		if (!may_run_on(current, cpu))
			wake_idle_locked(current);
	}
	next = first_for_locked(cpu);
	if (next == NULL)
		return cpu->idle;
	list_remove(&next->queue);
	return next;
}

void scheduler_switch_locked(void)
{
	struct cpu *cpu = cpu_this();
	struct thread *previous = cpu->current, *next = next_locked(cpu);

	cpu->is_reschedule_wanted = false;
	idle_cpus &= ~bit_of(cpu);
	next->state = THREAD_RUNNING;
	next->cpu = cpu;
	if (next == previous)
		return;
	save_user_state(previous);
	cpu->current = next;
	descriptors_set_kernel_stack(cpu, next->stack_top);
	change_space(previous->space, next->space);
	load_user_state(next);
	thread_switch_stacks(&previous->saved_stack, next->saved_stack);
}

void scheduler_add_locked(struct thread *thread)
{
	thread->state = THREAD_RUNNABLE;
	list_append(&run_queue, &thread->queue);
	wake_idle_locked(thread);
}

void scheduler_poke_locked(const struct thread *thread)
{
	if (thread->state == THREAD_RUNNING)
		poke(thread->cpu);
}

void scheduler_wake_locked(struct thread *thread)
{
	if (thread->state != THREAD_SLEEPING)
		return;
	list_remove(&thread->timed);
	scheduler_add_locked(thread);
}

void scheduler_set_deadline_locked(struct thread *thread, uint64_t deadline)
{
	thread->deadline = deadline;
	if (deadline != THREAD_NO_DEADLINE)
		list_append(&timed_sleepers, &thread->timed);
}

static void wake_timed_locked(void)
{
	uint64_t now;

	if (list_is_empty(&timed_sleepers))
		return;
	now = clock_nanoseconds();
	LIST_FOR_EACH_SAFE(node, following, &timed_sleepers)
	{
		struct thread *thread = container_of(node, struct thread, timed);

		if (thread->deadline <= now)
			scheduler_wake_locked(thread);
	}
}

/* Of a counter that only its own CPU writes, interrupts off. */
static void count_up(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

void scheduler_tick(bool was_in_user_mode)
{
	struct cpu *cpu = cpu_this();
	struct thread *current = cpu->current;
	uintptr_t interrupts;

	count_up(&cpu->ticks);
	if (current == cpu->idle)
		count_up(&cpu->idle_ticks);
	count_up(&current->run_ticks);
	if (was_in_user_mode)
		count_up(&current->user_ticks);
	interrupts = spinlock_take(&scheduler_lock);
	/* One CPU's tick is enough for what is not its own. */
	if (cpu->number == 0)
		wake_timed_locked();
	if (first_for_locked(cpu) != NULL || !may_run_on(current, cpu))
		cpu->is_reschedule_wanted = true;
	spinlock_release(&scheduler_lock, interrupts);
	if (cpu->number == 0 && tick_hook != NULL)
		tick_hook();
}

/* The way out of the interrupt looks at what has changed; an idle CPU at its queue. */
static void rescheduled(struct trap_frame *frame)
{
	(void)frame;
}

void scheduler_start(void)
{
	trap_set_interrupt(VECTOR_RESCHEDULE, rescheduled);
}

void scheduler_set_tick_hook(void (*hook)(void))
{
	tick_hook = hook;
}

void scheduler_adopt_idle(struct cpu *cpu, struct thread *idle, uint64_t stack_top)
{
	idle->name = "idle";
	idle->state = THREAD_RUNNING;
	idle->stack_top = stack_top;
	idle->allowed_cpus = bit_of(cpu);
	idle->cpu = cpu;
	list_init(&idle->queue);
	list_init(&idle->timed);
	cpu->idle = idle;
	cpu->current = idle;
	descriptors_set_kernel_stack(cpu, stack_top);
}

void scheduler_idle(void)
{
	bool zeroes_more = true;

	for (;;) {
		uintptr_t interrupts = spinlock_take(&scheduler_lock);

		if (first_for_locked(cpu_this()) != NULL) {
			scheduler_switch_locked();
			spinlock_release(&scheduler_lock, interrupts);
			continue;
		}
		/* A page is zeroed ahead of time, and the queue looked at again. */
		if (zeroes_more) {
			spinlock_release(&scheduler_lock, interrupts);
			zeroes_more = lh_frames_idle(memory_frames());
			continue;
		}
		idle_cpus |= bit_of(cpu_this());
		spinlock_release(&scheduler_lock, 0);
		/* No interrupt fits between sti and hlt: what it would wake is not slept over. */
		__asm__ volatile("sti\n\thlt" : : : "memory");
		zeroes_more = true;
	}
}

void thread_yield(void)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	scheduler_switch_locked();
	spinlock_release(&scheduler_lock, interrupts);
}

uint64_t thread_set_allowed_cpus(struct thread *thread, uint64_t cpus)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);
	uint64_t wrong = 0;

	thread->allowed_cpus = cpus;
	if (thread->state == THREAD_RUNNABLE)
		wake_idle_locked(thread);
	if (thread->state == THREAD_RUNNING && thread != cpu_this()->current)
		wrong = bit_of(thread->cpu) & ~cpus;
	spinlock_release(&scheduler_lock, interrupts);
	return wrong;
}

static void want_turn(void *unused)
{
	(void)unused;
	cpu_this()->is_reschedule_wanted = true;
}

void thread_send_away(uint64_t cpus)
{
	const lh_cpu_set set = { { cpus } };

	if (cpus != 0)
		cpu_call(&set, want_turn, NULL);
}

void thread_set_space(lh_space *space)
{
	struct thread *thread = thread_current();
	uintptr_t interrupts = interrupts_off();

	change_space(thread->space, space);
	thread->space = space;
	interrupts_restore(interrupts);
}
