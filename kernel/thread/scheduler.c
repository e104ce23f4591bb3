/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Round robin over one queue. A thread leaves its CPU when it sleeps, yields, ends, or when a tick
 * found it in user mode and others wait.
 */
#include "thread/scheduler.h"

#include "arch/x86_64/clock.h"
#include "arch/x86_64/descriptors.h"
#include "arch/x86_64/registers.h"
#include "lib/log.h"
#include "memory/memory.h"

void thread_switch_stacks(uint64_t *save, uint64_t load);

struct spinlock scheduler_lock = SPINLOCK_INIT;
static struct list run_queue = LIST_INIT(run_queue);	    /* scheduler_lock */
static struct list timed_sleepers = LIST_INIT(timed_sleepers); /* scheduler_lock */
static void (*tick_hook)(void);				    /* constant after boot */

static bool has_user_state(const struct thread *thread)
{
	return thread->process != NULL;
}

static void save_user_state(struct thread *thread)
{
	if (has_user_state(thread))
		__asm__ volatile("fxsave64 %0" : "=m"(thread->fpu));
}

static void load_user_state(const struct thread *thread)
{
	if (!has_user_state(thread))
		return;
	__asm__ volatile("fxrstor64 %0" : : "m"(thread->fpu));
	write_msr(MSR_FS_BASE, thread->fs_base);
	write_msr(MSR_KERNEL_GS_BASE, thread->gs_base);
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

static struct thread *next_locked(struct cpu *cpu)
{
	struct thread *current = cpu->current;
	struct list *first;

	if (current->state == THREAD_RUNNING && current != cpu->idle) {
		current->state = THREAD_RUNNABLE;
		list_append(&run_queue, &current->queue);
	}
	first = list_take_first(&run_queue);
	return first != NULL ? container_of(first, struct thread, queue) : cpu->idle;
}

void scheduler_switch_locked(void)
{
	struct cpu *cpu = cpu_this();
	struct thread *previous = cpu->current, *next = next_locked(cpu);

	cpu->is_reschedule_wanted = false;
	next->state = THREAD_RUNNING;
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

void scheduler_tick(bool was_in_user_mode)
{
	struct cpu *cpu = cpu_this();
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	cpu->ticks++;
	if (cpu->current == cpu->idle)
		cpu->idle_ticks++;
	cpu->current->run_ticks++;
	if (was_in_user_mode)
		cpu->current->user_ticks++;
	wake_timed_locked();
	if (!list_is_empty(&run_queue))
		cpu->is_reschedule_wanted = true;
	spinlock_release(&scheduler_lock, interrupts);
	if (tick_hook != NULL)
		tick_hook();
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
	list_init(&idle->queue);
	list_init(&idle->timed);
	cpu->idle = idle;
	cpu->current = idle;
	descriptors_set_kernel_stack(cpu, stack_top);
}

void scheduler_idle(void)
{
	for (;;) {
		uintptr_t interrupts = spinlock_take(&scheduler_lock);
		bool has_work = !list_is_empty(&run_queue);

		if (has_work)
			scheduler_switch_locked();
		spinlock_release(&scheduler_lock, interrupts);
		/* No interrupt fits between sti and hlt: what it would wake is not slept over. */
		(void)interrupts_off();
		if (list_is_empty(&run_queue))
			__asm__ volatile("sti\n\thlt" : : : "memory");
		else
			interrupts_restore(1);
	}
}

void thread_yield(void)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	scheduler_switch_locked();
	spinlock_release(&scheduler_lock, interrupts);
}

void thread_set_space(lh_space *space)
{
	struct thread *thread = thread_current();
	uintptr_t interrupts = interrupts_off();

	change_space(thread->space, space);
	thread->space = space;
	interrupts_restore(interrupts);
}
