/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where every entry into the kernel goes (entry.S calls in here).
 *
 * A page fault is one of
 *   in user mode                  resolved by the space, or the process gets a signal
 *   in a user copy (user_copy.S)  resolved by the space, or the copy fails
 *   anywhere else                 a panic
 */
#include "arch/x86_64/trap.h"

#include <stddef.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/panic.h"
#include "arch/x86_64/registers.h"
#include "cpu/percpu.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"
#include "thread/spinlock.h"
#include "thread/thread.h"

_Static_assert(offsetof(struct trap_frame, vector) == 120, "entry.S: FRAME_VECTOR");
_Static_assert(offsetof(struct trap_frame, cs) == 144, "entry.S: FRAME_CS");
_Static_assert(sizeof(struct trap_frame) % 16 == 0, "entry.S: the stack stays aligned");

#define ERROR_WRITE 2u
#define ERROR_USER 4u
#define ERROR_RESERVED_BIT 8u
#define ERROR_FETCH 16u

/* What a program may have in rflags: arithmetic, TF, DF, NT, RF, AC, ID. */
#define RFLAGS_USER UINT64_C(0x254dd5)

#define FIRST_INTERRUPT 0x30

struct exception_range {
	uint64_t from, to, fixup;
};
extern const struct exception_range exception_table_start[], exception_table_end[];

static void (*interrupt_functions[256])(struct trap_frame *);

/* Called by entry.S. */
void trap_handle(struct trap_frame *frame);
void trap_handle_on_own_stack(struct trap_frame *frame);
void trap_system_call(struct trap_frame *frame);
bool trap_leave(struct trap_frame *frame);
__attribute__((noreturn)) void trap_enter_user(struct trap_frame *frame);

static const char *exception_name(uint64_t vector)
{
	static const char *const names[] = {
		"divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode",
		"no FPU", "double fault", "coprocessor overrun", "invalid TSS", "segment not present",
		"stack fault", "general protection", "page fault", "reserved", "FPU error",
		"alignment check", "machine check", "SIMD error", "virtualization", "control protection",
	};

	return vector < sizeof(names) / sizeof(names[0]) ? names[vector] : "exception";
}

void trap_set_interrupt(unsigned vector, void (*function)(struct trap_frame *frame))
{
	if (vector < FIRST_INTERRUPT || vector >= VECTOR_SPURIOUS || interrupt_functions[vector] != NULL)
		panic("interrupt vector %#x cannot be taken", vector);
	interrupt_functions[vector] = function;
}

static void handle_interrupt(struct trap_frame *frame)
{
	if (frame->vector == VECTOR_SPURIOUS)
		return;
	if (interrupt_functions[frame->vector] != NULL)
		interrupt_functions[frame->vector](frame);
	else
		log_line("trap: interrupt %#lx that nobody asked for", frame->vector);
	apic_acknowledge();
}

static lh_rights access_of(uint64_t error_code)
{
	if ((error_code & ERROR_FETCH) != 0)
		return LH_RIGHT_EXECUTE;
	return (error_code & ERROR_WRITE) != 0 ? LH_RIGHT_WRITE : LH_RIGHT_READ;
}

/* An access that the CPU makes on a program's behalf, as to a descriptor, counts as the kernel's: it is
 * nothing that can be brought. */
static bool is_implicit(const struct trap_frame *frame)
{
	return trap_frame_is_user(frame) && (frame->error_code & ERROR_USER) == 0;
}

static lh_fault resolve(uint64_t address, uint64_t error_code)
{
	lh_space *space = thread_current()->space;

	if (space == NULL || address < USER_BASE || address >= USER_LIMIT)
		return LH_FAULT_NOT_MAPPED;
	return lh_space_fault(space, lh_virtual(address), access_of(error_code));
}

/* Where execution goes on if the instruction at rip cannot reach user memory; 0: it must. */
static uint64_t fixup_of(uint64_t rip)
{
	for (const struct exception_range *range = exception_table_start; range < exception_table_end;
	     range++)
		if (rip >= range->from && rip < range->to)
			return range->fixup;
	return 0;
}

/* What the debug exception was for; cleared for the next one. */
static uint64_t take_debug_status(void)
{
	uint64_t status = read_dr6();

	write_dr6(DR6_NOTHING);
	return status;
}

static void handle_user_exception(struct trap_frame *frame, uint64_t address)
{
	struct user_trap trap = { .vector = frame->vector, .error_code = frame->error_code,
				  .address = frame->rip, .fault = LH_FAULT_OK };

	if (frame->vector == TRAP_DEBUG)
		trap.error_code = take_debug_status();
	__asm__ volatile("sti" : : : "memory");
	if (frame->vector == TRAP_PAGE_FAULT && is_implicit(frame)) {
		trap.vector = TRAP_GENERAL_PROTECTION;
	} else if (frame->vector == TRAP_PAGE_FAULT) {
		trap.address = address;
		trap.fault = resolve(address, frame->error_code);
		if (trap.fault == LH_FAULT_OK)
			return;
	}
	process_user_trap(frame, &trap);
}

static void handle_kernel_exception(struct trap_frame *frame, uint64_t address)
{
	uint64_t fixup = fixup_of(frame->rip);

	if (frame->vector != TRAP_PAGE_FAULT || fixup == 0 || address >= USER_LIMIT ||
	    (frame->rflags & RFLAGS_IF) == 0)
		panic_at(frame, address, "%s in the kernel, error code %#lx, address %#lx",
			 exception_name(frame->vector), frame->error_code, address);
	__asm__ volatile("sti" : : : "memory");
	if (resolve(address, frame->error_code) != LH_FAULT_OK)
		frame->rip = fixup;
	__asm__ volatile("cli" : : : "memory");
}

void trap_handle(struct trap_frame *frame)
{
	uint64_t address = frame->vector == TRAP_PAGE_FAULT ? read_cr2() : 0;

	if (frame->vector >= FIRST_INTERRUPT)
		handle_interrupt(frame);
	else if (frame->vector == TRAP_PAGE_FAULT && (frame->error_code & ERROR_RESERVED_BIT) != 0)
		panic_at(frame, address, "reserved bit set in a page table, address %#lx", address);
	else if (trap_frame_is_user(frame))
		handle_user_exception(frame, address);
	else
		handle_kernel_exception(frame, address);
}

/* What is not a program's: it has no stack to wait on. */
void trap_handle_on_own_stack(struct trap_frame *frame)
{
	if (frame->vector == TRAP_NMI) {
		panic_stop_if_another_panics();
		log_line("trap: NMI at %#lx", frame->rip);
	} else if (frame->vector == TRAP_DEBUG) {
		/* The kernel sets no breakpoint: a step into an entry, which the program did not mask. */
		frame->rflags &= ~RFLAGS_TF;
	} else {
		panic_at(frame, read_cr2(), "%s", exception_name(frame->vector));
	}
}

void trap_system_call(struct trap_frame *frame)
{
	__asm__ volatile("sti" : : : "memory");
	system_call(frame);
}

uint64_t trap_sanitise_rflags(uint64_t rflags)
{
	return (rflags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF;
}

/* iretq faults in the kernel, with the program's GS, if it is made to load what it cannot. */
static void sanitise(struct trap_frame *frame)
{
	frame->cs = USER_CODE_SELECTOR;
	frame->ss = USER_DATA_SELECTOR;
	frame->rflags = trap_sanitise_rflags(frame->rflags);
	if (!trap_address_is_canonical(frame->rip))
		panic("the way back to user mode leads to %#lx", frame->rip);
}

/* Everything that is due before a return to user mode. Interrupts are off when it returns. */
bool trap_leave(struct trap_frame *frame)
{
	struct thread *thread = thread_current();

	do {
		__asm__ volatile("sti" : : : "memory");
		if (cpu_this()->is_reschedule_wanted)
			thread_yield();
		process_before_user(frame);
		__asm__ volatile("cli" : : : "memory");
	} while (cpu_this()->is_reschedule_wanted ||
		 __atomic_load_n(&thread->interrupted, __ATOMIC_RELAXED));
	sanitise(frame);
	return frame->vector == TRAP_SYSTEM_CALL && frame->rcx == frame->rip &&
	       frame->r11 == frame->rflags && frame->rip < USER_LIMIT &&
	       (frame->rflags & (RFLAGS_TF | RFLAGS_RF)) == 0;
}

void user_enter(const struct trap_frame *frame)
{
	struct trap_frame *top = thread_user_frame(thread_current());

	memmove(top, frame, sizeof(*top));
	sanitise(top);
	trap_enter_user(top);
}
