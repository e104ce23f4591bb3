/* SPDX-License-Identifier: BSD-2-Clause */
#include "thread/thread.h"

#include "arch/x86_64/registers.h"
#include "arch/x86_64/trap_frame.h"
#include "cpu/percpu.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "thread/scheduler.h"
#include "thread/selectors.h"
#include "thread/wait.h"

_Static_assert(offsetof(struct thread, saved_stack) == 0, "entry.S: thread_switch_stacks");

#define FPU_CONTROL_WORD 0x037f /* as after finit: all exceptions masked, 64-bit mantissa */
#define FPU_MXCSR 0x1f80	/* as after reset */
#define MXCSR_OFFSET 24
#define MXCSR_MASK_OFFSET 28

/* What thread_switch_stacks takes off a new thread's stack: six registers and where to go. */
#define FIRST_STACK_WORDS 7

void thread_first_entry(void);
__attribute__((noreturn)) void thread_begin(void); /* called by thread_first_entry */

static struct list dead = LIST_INIT(dead); /* scheduler_lock */
static struct wait_queue reaper_queue = WAIT_QUEUE_INIT(reaper_queue);
static uint64_t count; /* atomic */
static uint64_t made;  /* atomic: those of them in the heap */
static struct wait_queue made_queue = WAIT_QUEUE_INIT(made_queue); /* made became 0 */

struct thread *thread_current(void)
{
	struct thread *thread;

	/* One instruction: the answer stays true when the thread is moved. */
	__asm__ volatile("movq %%gs:8, %0" : "=r"(thread));
	return thread;
}

uint64_t thread_count(void)
{
	return __atomic_load_n(&count, __ATOMIC_RELAXED);
}

static void reset_image(uint8_t *image)
{
	uint16_t control = FPU_CONTROL_WORD;
	uint32_t mxcsr = FPU_MXCSR;

	memset(image, 0, 512);
	memcpy(image, &control, sizeof(control));
	memcpy(image + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
}

struct trap_frame *thread_user_frame(struct thread *thread)
{
	return (struct trap_frame *)(uintptr_t)(thread->stack_top - sizeof(struct trap_frame));
}

/* The room at the top is kept for the frame that user_enter will need. */
static void prepare_stack(struct thread *thread)
{
	uint64_t *top = (uint64_t *)thread_user_frame(thread);

	top -= FIRST_STACK_WORDS;
	memset(top, 0, FIRST_STACK_WORDS * sizeof(*top));
	top[FIRST_STACK_WORDS - 1] = (uint64_t)(uintptr_t)thread_first_entry;
	thread->saved_stack = (uint64_t)(uintptr_t)top;
}

static lh_error add_stack(struct thread *thread)
{
	lh_kernel_request request = memory_request(THREAD_STACK_PAGES, LH_RIGHT_READ | LH_RIGHT_WRITE);

	request.guard_before = 1;
	LH_TRY(lh_manager_map(memory_manager(), &thread->stack, &request));
	thread->stack_top = lh_virtual_range_last(thread->stack.range).value + 1;
	prepare_stack(thread);
	return LH_OK;
}

lh_error thread_prepare(struct thread *thread, void (*entry)(void *), void *argument)
{
	memset(thread, 0, sizeof(*thread));
	thread->state = THREAD_NEW;
	thread->entry = entry;
	thread->argument = argument;
	thread->name = "thread";
	thread->allowed_cpus = UINT64_MAX;
	list_init(&thread->queue);
	list_init(&thread->timed);
	reset_image(thread->fpu);
	LH_TRY(add_stack(thread));
	__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
	return LH_OK;
}

void thread_take_back(struct thread *thread)
{
	lh_manager_unmap(memory_manager(), &thread->stack);
	__atomic_fetch_sub(&count, 1, __ATOMIC_RELAXED);
}

lh_error thread_create(void (*entry)(void *), void *argument, struct thread **created)
{
	struct thread *thread = kernel_allocate(sizeof(*thread));
	lh_error error;

	if (thread == NULL)
		return LH_NO_MEMORY;
	error = thread_prepare(thread, entry, argument);
	if (error != LH_OK) {
		kernel_free(thread, sizeof(*thread));
		return error;
	}
	__atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
	*created = thread;
	return LH_OK;
}

void thread_destroy(struct thread *thread)
{
	thread_take_back(thread);
	kernel_free(thread, sizeof(*thread));
	if (__atomic_sub_fetch(&made, 1, __ATOMIC_SEQ_CST) == 0)
		wake_all(&made_queue);
}

bool thread_all_ended(uint64_t deadline)
{
	return WAIT_UNTIL_OR(&made_queue, __atomic_load_n(&made, __ATOMIC_SEQ_CST) == 0, deadline) == LH_OK;
}

void thread_start(struct thread *thread)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	scheduler_add_locked(thread);
	spinlock_release(&scheduler_lock, interrupts);
}

void thread_begin(void)
{
	struct thread *thread = thread_current();

	spinlock_release(&scheduler_lock, 1);
	thread->entry(thread->argument);
	thread_exit();
}

void thread_exit(void)
{
	struct thread *thread = thread_current();

	thread_set_space(NULL);
	(void)spinlock_take(&scheduler_lock);
	thread->state = THREAD_DEAD;
	list_append(&dead, &thread->queue);
	/* The lock is let go on the next thread's stack: the reaper finds this one left. */
	wake_all_locked(&reaper_queue);
	scheduler_switch_locked();
	panic("a dead thread runs");
}

static bool is_running_locked(const struct thread *thread)
{
	for (uint32_t number = 0; number < cpu_count(); number++)
		if (cpu_by_number(number)->current == thread)
			return true;
	return false;
}

static struct thread *take_dead(void)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);
	struct thread *found = NULL;

	LIST_FOR_EACH_SAFE(node, following, &dead)
	{
		struct thread *thread = container_of(node, struct thread, queue);

		if (!is_running_locked(thread)) {
			list_remove(node);
			found = thread;
			break;
		}
	}
	spinlock_release(&scheduler_lock, interrupts);
	return found;
}

static void reap(void *unused)
{
	(void)unused;
	for (;;) {
		struct thread *thread = NULL;
		void (*when_freed)(void *);
		void *argument;

		WAIT_UNTIL(&reaper_queue, (thread = take_dead()) != NULL);
		when_freed = thread->when_freed;
		argument = thread->when_freed_argument;
		thread_destroy(thread);
		if (when_freed != NULL)
			when_freed(argument);
	}
}

void thread_start_lasting(struct thread *thread, const char *name, void (*entry)(void *))
{
	lh_error error = thread_prepare(thread, entry, NULL);

	if (error != LH_OK)
		panic("the thread %s: %s", name, lh_error_string(error));
	thread->name = name;
	thread_start(thread);
}

void thread_start_reaper(void)
{
	static struct thread reaper;

	thread_start_lasting(&reaper, "reaper", reap);
}

lh_error thread_set_fs_base(uint64_t base)
{
	uintptr_t interrupts;

	if (base >= USER_LIMIT)
		return LH_NOT_PERMITTED;
	interrupts = interrupts_off();
	selectors_load(selectors_read() & ~SELECTORS_FS);
	thread_current()->fs_base = base;
	write_msr(MSR_FS_BASE, base);
	interrupts_restore(interrupts);
	return LH_OK;
}

lh_error thread_set_gs_base(uint64_t base)
{
	uintptr_t interrupts;

	if (base >= USER_LIMIT)
		return LH_NOT_PERMITTED;
	interrupts = interrupts_off();
	selectors_load(selectors_read() & ~SELECTORS_GS);
	thread_current()->gs_base = base;
	write_msr(MSR_KERNEL_GS_BASE, base);
	interrupts_restore(interrupts);
	return LH_OK;
}

void thread_save_fpu(void *image)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(image) : "memory");
}

lh_error thread_load_fpu(const void *image)
{
	uint8_t copy[512] __attribute__((aligned(16)));
	uint32_t mask, mxcsr;

	/* What this CPU says it has; 0 means the bits of the first ones. */
	thread_save_fpu(copy);
	memcpy(&mask, copy + MXCSR_MASK_OFFSET, sizeof(mask));
	memcpy(copy, image, sizeof(copy));
	memcpy(&mxcsr, copy + MXCSR_OFFSET, sizeof(mxcsr));
	if ((mxcsr & ~(mask != 0 ? mask : 0xffbf)) != 0)
		return LH_INVALID;
	__asm__ volatile("fxrstor64 %0" : : "m"(copy));
	return LH_OK;
}

void thread_reset_user_state(void)
{
	uint8_t image[512] __attribute__((aligned(16)));
	uintptr_t interrupts = interrupts_off();

	reset_image(image);
	__asm__ volatile("fxrstor64 %0" : : "m"(image));
	selectors_load(0);
	interrupts_restore(interrupts);
	(void)!thread_set_fs_base(0);
	(void)!thread_set_gs_base(0);
}

void thread_copy_user_state(struct thread *child)
{
	struct thread *parent = thread_current();

	thread_save_fpu(child->fpu);
	child->selectors = selectors_read();
	child->fs_base = parent->fs_base;
	child->gs_base = parent->gs_base;
	child->allowed_cpus = parent->allowed_cpus;
}
