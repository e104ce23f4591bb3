/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CPU wakes in 16-bit mode, at a physical address below 1 MiB (Intel SDM volume 3A, June 2016, section 8.4:
 * INIT, then STARTUP, then STARTUP once more if need be). Its first instructions are copied there
 * through the direct map. They go over to the kernel's text under a scoped directory, whose root it can
 * load in 32-bit mode: the kernel half and that one page, to be read and executed. There it turns on
 * what the others have, and only then loads the kernel's own directory, for which it counts as active
 * from then on.
 *
 * One starts at a time. One that does not come is sent back to where it waits for STARTUP,
 * which nobody sends it any more: so page, directory and stack can be used for others.
 * Whether it came in time is settled once (enum arrival): it is only known to others, and may be called, after it
 * has come; and it is only sent back if it has not, and then never will.
 *
 * When all are up, directory and page are given back.
 */
#include "cpu/start.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/clock.h"
#include "arch/x86_64/descriptors.h"
#include "arch/x86_64/registers.h"
#include "boot/info.h"
#include "cpu/features.h"
#include "cpu/percpu.h"
#include "device/acpi.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"
#include "memory/nodes.h"
#include "memory/start.h"
#include "thread/scheduler.h"

#define ROOT_LIMIT (UINT64_C(1) << 32)
#define MILLISECOND UINT64_C(1000000)
#define WAIT_AFTER_INIT (10 * MILLISECOND)
#define WAIT_AFTER_FIRST_STARTUP (20 * MILLISECOND)
#define WAIT_AT_MOST (5000 * MILLISECOND) /* for a machine whose CPUs share few real ones */

#define ABSENT "absent-cpu="

enum arrival { AWAITED, HAS_COME, GIVEN_UP };

/* As start_cpu.S has them. */
struct start_parameters {
	uint64_t root, stack, cpu, entry;
};
extern const uint8_t start_cpu_begin[], start_cpu_end[], start_cpu_parameters[];

__attribute__((noreturn)) void cpu_begin(struct cpu *cpu); /* called by start_cpu.S */

static uint32_t timer_period; /* constant while CPUs start */
static struct thread idle_threads[KERNEL_CPUS_MAX]; /* the first CPU's is not here */

/* => false: the other side has settled it. */
static bool settle(struct cpu *cpu, enum arrival arrival)
{
	uint32_t expected = AWAITED;

	return __atomic_compare_exchange_n(&cpu->arrival, &expected, arrival, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* On the new CPU, on its idle thread's stack, under the scoped directory, interrupts off. */
void cpu_begin(struct cpu *cpu)
{
	descriptors_load(cpu);
	scheduler_adopt_idle(cpu, cpu->idle, cpu->idle->stack_top);
	cpu_start_features();
	cpu_check_features();
	apic_start();
	if (apic_identifier() != cpu->apic_identifier)
		panic("CPU %u has APIC identifier %u, not %u", cpu->number, apic_identifier(),
		      cpu->apic_identifier);
	while (!settle(cpu, HAS_COME)) /* INIT is on its way */
		__asm__ volatile("pause");
	/* From when it is active in the directory, a flush must find it; interrupts come on soon. */
	__atomic_store_n(&cpu->can_be_called, true, __ATOMIC_SEQ_CST);
	lh_manager_activate(memory_manager());
	if (read_cr3() != lh_frame_address(lh_manager_kernel_root(memory_manager())).value)
		panic("CPU %u has not loaded the kernel's directory", cpu->number);
	apic_timer_start(timer_period);
	__atomic_store_n(&cpu->is_running, true, __ATOMIC_SEQ_CST);
	scheduler_idle();
}

static void write_page(const struct cpu *cpu, const lh_directory *directory)
{
	uint8_t *page = direct_pointer(MEMORY_LOW_PAGE);
	struct start_parameters parameters = {
		.root = lh_frame_address(directory->root).value,
		.stack = cpu->idle->stack_top,
		.cpu = (uint64_t)(uintptr_t)cpu,
		.entry = (uint64_t)(uintptr_t)cpu_begin,
	};

	memcpy(page, start_cpu_begin, (size_t)(start_cpu_end - start_cpu_begin));
	memcpy(page + (start_cpu_parameters - start_cpu_begin), &parameters, sizeof(parameters));
}

static bool is_running_by(const struct cpu *cpu, uint64_t deadline)
{
	while (!__atomic_load_n(&cpu->is_running, __ATOMIC_SEQ_CST)) {
		if (clock_nanoseconds() >= deadline)
			return false;
		__asm__ volatile("pause");
	}
	return true;
}

static void wait_for(uint64_t nanoseconds)
{
	uint64_t end = clock_nanoseconds() + nanoseconds;

	while (clock_nanoseconds() < end)
		__asm__ volatile("pause");
}

static bool wake(struct cpu *cpu)
{
	uint64_t deadline = clock_nanoseconds() + WAIT_AT_MOST;

	__atomic_store_n(&cpu->arrival, AWAITED, __ATOMIC_SEQ_CST);
	apic_send_init(cpu->apic_identifier);
	wait_for(WAIT_AFTER_INIT);
	apic_send_startup(cpu->apic_identifier, MEMORY_LOW_PAGE / LH_PAGE_SIZE);
	if (is_running_by(cpu, clock_nanoseconds() + WAIT_AFTER_FIRST_STARTUP))
		return true;
	apic_send_startup(cpu->apic_identifier, MEMORY_LOW_PAGE / LH_PAGE_SIZE);
	if (is_running_by(cpu, deadline))
		return true;
	if (!settle(cpu, GIVEN_UP))
		return is_running_by(cpu, UINT64_MAX);
	apic_send_init(cpu->apic_identifier);
	wait_for(WAIT_AFTER_INIT);
	return false;
}

/* => false: there is no room for more. */
static bool start_one(uint32_t identifier, const lh_directory *directory)
{
	struct cpu *cpu = cpu_prepare();

	if (cpu == NULL)
		return false;
	cpu->apic_identifier = identifier;
	lh_frames_set_node(memory_frames(), cpu->number, nodes_of_cpu(identifier));
	if (thread_prepare(&idle_threads[cpu->number], NULL, NULL) != LH_OK)
		return false;
	cpu->idle = &idle_threads[cpu->number];
	write_page(cpu, directory);
	if (!wake(cpu)) {
		log_line("cpu: the one with APIC identifier %u does not come up; it is left out", identifier);
		thread_take_back(cpu->idle);
		cpu->idle = NULL;
		return true;
	}
	cpu_add(cpu);
	return true;
}

static void start_all(const uint32_t *identifiers, size_t count, const lh_directory *directory)
{
	for (size_t i = 0; i < count; i++) {
		if (identifiers[i] == apic_identifier())
			continue;
		if (!start_one(identifiers[i], directory)) {
			log_line("cpu: there is no room for more than %u", cpu_count());
			return;
		}
	}
}

static lh_error start_scoped(const uint32_t *identifiers, size_t count)
{
	static lh_directory directory;
	lh_virtual_range page;

	LH_TRY(lh_virtual_range_make(lh_virtual(MEMORY_LOW_PAGE), 1, &page));
	LH_TRY(lh_manager_create_scoped(memory_manager(), &directory, page, LH_RIGHT_READ | LH_RIGHT_EXECUTE,
					ROOT_LIMIT));
	if (lh_frame_address(directory.root).value >= ROOT_LIMIT)
		panic("the root that other CPUs start with lies beyond their reach");
	start_all(identifiers, count, &directory);
	lh_directory_destroy(&directory);
	return LH_OK;
}

/* "absent-cpu=N" on the kernel's command line: APIC identifier N is taken for a CPU that the firmware
 * names. To see what becomes of one that never comes up. */
static size_t add_absent(uint32_t *identifiers, size_t count, size_t capacity)
{
	const char *at = strstr(boot_info()->command_line, ABSENT);
	uint32_t identifier = 0;

	if (at == NULL || count == capacity)
		return count;
	for (at += sizeof(ABSENT) - 1; *at >= '0' && *at <= '9' && identifier < 100; at++)
		identifier = identifier * 10 + (uint32_t)(*at - '0');
	memmove(identifiers + 1, identifiers, count * sizeof(*identifiers));
	identifiers[0] = identifier;
	return count + 1;
}

static size_t find(uint32_t *identifiers, size_t capacity)
{
	size_t count = acpi_find_cpus(identifiers, capacity);

	if (count > capacity) {
		log_line("cpu: of %zu, %zu are looked at", count, capacity);
		count = capacity;
	}
	return add_absent(identifiers, count, capacity);
}

void cpu_start_others(uint32_t period)
{
	uint32_t identifiers[KERNEL_CPUS_MAX + 1];
	size_t count = find(identifiers, KERNEL_CPUS_MAX + 1);
	lh_error error = LH_OK;

	timer_period = period;
	if (count > 1 && memory_has_low_page())
		error = start_scoped(identifiers, count);
	else if (count > 1)
		log_line("cpu: the firmware keeps the page where others would start");
	if (error != LH_OK)
		log_line("cpu: others cannot be started: %s", lh_error_string(error));
	memory_give_low_page_back();
	log_line("cpu: %u of %zu run; the page they started from is gone", cpu_count(),
		 count != 0 ? count : (size_t)1);
}
