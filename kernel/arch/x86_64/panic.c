/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end: all that is known, to the debug console and the first serial port, and out of QEMU
 * with a status of its own. Takes no lock, allocates nothing; a fault in here ends it early.
 */
#include "arch/x86_64/panic.h"

#include <landhold/port.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/port_io.h"
#include "arch/x86_64/registers.h"
#include "cpu/identify.h"
#include "cpu/percpu.h"
#include "device/power.h"
#include "device/serial.h"
#include "lib/string.h"
#include "memory/memory.h"
#include "thread/thread.h"

#define BACKTRACE_FRAMES 32
#define STACK_BYTES_MAX 65536

struct symbol {
	uint32_t offset; /* from the image's base */
	uint32_t name;	 /* in symbol_names */
};
extern const struct symbol symbol_table[], symbol_table_end[];
extern const char symbol_names[];
extern const uint8_t image_text_start[], image_text_end[];

#define STOP_TURNS 100000000u

#define NOBODY UINT32_MAX
static uint32_t panicking_cpu = NOBODY; /* atomic: who is first prints, all others stop */
static uint32_t stopped;		/* atomic: CPUs */

const char *symbol_of(uint64_t address, uint64_t *offset)
{
	const struct symbol *found = NULL;

	*offset = 0;
	if (address < (uint64_t)(uintptr_t)image_text_start ||
	    address >= (uint64_t)(uintptr_t)image_text_end)
		return "?";
	for (const struct symbol *symbol = symbol_table; symbol < symbol_table_end; symbol++)
		if (symbol->offset <= address - IMAGE_BASE)
			found = symbol;
	if (found == NULL)
		return "?";
	*offset = address - IMAGE_BASE - found->offset;
	return symbol_names + found->name;
}

static void write_line(const char *line)
{
	size_t length = strlen(line);

	port_write_bytes(0xe9, line, length);
	port_write_8(0xe9, '\n');
	serial_write(line, length);
	serial_write("\r\n", 2);
}

static void LOG_FORMAT(1, 2) print(const char *format, ...)
{
	char line[256];
	va_list arguments;

	va_start(arguments, format);
	format_text_arguments(line, sizeof(line), format, arguments);
	va_end(arguments);
	write_line(line);
}

static void print_registers(const struct trap_frame *frame)
{
	print("rip %016lx  cs %02lx  rflags %08lx  vector %lu  error %lx", frame->rip, frame->cs,
	      frame->rflags, frame->vector, frame->error_code);
	print("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", frame->rax, frame->rbx, frame->rcx,
	      frame->rdx);
	print("rsi %016lx  rdi %016lx  rbp %016lx  rsp %016lx", frame->rsi, frame->rdi, frame->rbp,
	      frame->rsp);
	print("r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx", frame->r8, frame->r9, frame->r10,
	      frame->r11);
	print("r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx", frame->r12, frame->r13, frame->r14,
	      frame->r15);
}

static void print_step(uint64_t address)
{
	uint64_t offset;
	const char *name = symbol_of(address, &offset);

	print("  %016lx  %s+%#lx", address, name, offset);
}

/* Where a call returns to. Behind one that does not come back another function may begin: so the place is within it. */
static uint64_t within_call(uint64_t return_address)
{
	return return_address - 1;
}

/* Follows the frame pointers upward through one stack. */
static void print_backtrace(uint64_t rip, uint64_t rbp)
{
	uint64_t begin = rbp;

	print("backtrace:");
	print_step(rip);
	for (unsigned i = 0; i < BACKTRACE_FRAMES; i++) {
		const uint64_t *link = (const uint64_t *)(uintptr_t)rbp;

		if (rbp < DIRECT_MAP_BASE || rbp % 8 != 0 || rbp - begin > STACK_BYTES_MAX)
			break;
		if (link[1] == 0)
			break;
		print_step(within_call(link[1]));
		if (link[0] <= rbp)
			break;
		rbp = link[0];
	}
}

static void print_region(void *context, const char *text)
{
	(void)context;
	print("  %s", text);
}

static void print_thread(const struct thread *thread)
{
	if (thread == NULL)
		return;
	print("thread %s, kernel stack ending at %016lx", thread->name != NULL ? thread->name : "?",
	      thread->stack_top);
	if (thread->space == NULL)
		return;
	print("regions of its space:");
	lh_space_describe_unlocked(thread->space, print_region, NULL);
}

static __attribute__((noreturn)) void stop(const struct trap_frame *frame, uint64_t address,
					   const char *reason)
{
	const struct cpu_identification *id = cpu_identification();
	const struct cpu *cpu = cpu_this();

	print("KERNEL PANIC: %s", reason);
	print("CPU %u: %s family %u model %u stepping %u %s", cpu->number, id->vendor_id_string,
	      id->display_family, id->display_model, id->stepping, id->brand_string);
	print_registers(frame);
	print("cr0 %lx  cr2 %lx  cr3 %lx  cr4 %lx  address %lx", read_cr0(), read_cr2(), read_cr3(),
	      read_cr4(), address);
	print_backtrace(frame->rip, frame->rbp);
	print_thread(cpu->current);
	print("KERNEL PANIC end");
	power_panic_exit();
}

void panic_stop_if_another_panics(void)
{
	uint32_t first = __atomic_load_n(&panicking_cpu, __ATOMIC_SEQ_CST);

	if (first == NOBODY || first == cpu_this()->number)
		return;
	__atomic_fetch_add(&stopped, 1, __ATOMIC_SEQ_CST);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

/* They get an NMI, which no lock and no loop keeps out; a CPU that is gone is not waited for. */
static void stop_others(void)
{
	uint32_t others = cpu_count() - 1;

	if (others == 0)
		return;
	for (uint32_t number = 0; number <= others; number++)
		if (number != cpu_this()->number)
			apic_send_nmi(cpu_by_number(number)->apic_identifier);
	for (uint32_t turn = 0; turn < STOP_TURNS; turn++) {
		if (__atomic_load_n(&stopped, __ATOMIC_SEQ_CST) >= others)
			return;
		__asm__ volatile("pause");
	}
	print("of %u other CPUs, %u have stopped", others, __atomic_load_n(&stopped, __ATOMIC_SEQ_CST));
}

static void begin(void)
{
	uint32_t nobody = NOBODY;

	__asm__ volatile("cli" : : : "memory");
	if (!__atomic_compare_exchange_n(&panicking_cpu, &nobody, cpu_this()->number, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		panic_stop_if_another_panics();
		print("KERNEL PANIC end: a second panic within the first");
		power_panic_exit();
	}
	stop_others();
}

void panic_at(const struct trap_frame *frame, uint64_t address, const char *format, ...)
{
	char reason[200];
	va_list arguments;

	begin();
	va_start(arguments, format);
	format_text_arguments(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	stop(frame, address, reason);
}

/* The registers as the caller of panic left them, as far as the compiler kept them. */
#define CAPTURE(frame)                                                                       \
	__asm__ volatile("movq %%rbx, %0\n\tmovq %%r12, %1\n\tmovq %%r13, %2\n\t"              \
			 "movq %%r14, %3\n\tmovq %%r15, %4\n\tpushfq\n\tpopq %5"                \
			 : "=m"((frame).rbx), "=m"((frame).r12), "=m"((frame).r13),          \
			   "=m"((frame).r14), "=m"((frame).r15), "=r"((frame).rflags))

void panic(const char *format, ...)
{
	const uint64_t *link = __builtin_frame_address(0);
	struct trap_frame frame = { .rip = within_call(link[1]), .rbp = link[0], .rsp = (uint64_t)(uintptr_t)(link + 2),
				    .cs = KERNEL_CODE_SELECTOR, .ss = KERNEL_DATA_SELECTOR };
	char reason[200];
	va_list arguments;

	CAPTURE(frame);
	begin();
	va_start(arguments, format);
	format_text_arguments(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	stop(&frame, 0, reason);
}
