/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of proc that tell of the machine. */
#include "arch/x86_64/clock.h"
#include "cpu/identify.h"
#include "cpu/percpu.h"
#include "fs/proc.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "process/process.h"

#define KIBIBYTES_A_PAGE (LH_PAGE_SIZE / 1024)

static void add_size(struct text *text, const char *name, uint64_t pages)
{
	text_add(text, "%-16s%8llu kB\n", name, (unsigned long long)(pages * KIBIBYTES_A_PAGE));
}

static void add_count(struct text *text, const char *name, uint64_t count)
{
	text_add(text, "%-16s%8llu\n", name, (unsigned long long)count);
}

/* Linux' lines first; then plain counts, which programs that read those skip. What the heap
 * keeps for the next time is given back before, so that equal states give equal numbers. */
void proc_write_meminfo(struct text *text)
{
	struct kernel_heap_use heap;
	lh_statistics statistics;

	(void)kernel_heap_trim();
	kernel_heap_read_use(&heap);
	lh_manager_read_statistics(memory_manager(), &statistics);
	add_size(text, "MemTotal:", statistics.frames.total);
	add_size(text, "MemFree:", statistics.frames.free);
	add_size(text, "MemAvailable:", statistics.frames.free);
	add_size(text, "Buffers:", 0);
	add_size(text, "Cached:", statistics.frames.used[LH_FRAME_OBJECT]);
	add_size(text, "SwapTotal:", 0);
	add_size(text, "SwapFree:", 0);
	add_size(text, "AnonPages:", statistics.frames.used[LH_FRAME_ANONYMOUS]);
	add_size(text, "Shmem:", statistics.frames.used[LH_FRAME_OBJECT]);
	add_size(text, "KernelStack:", thread_count() * THREAD_STACK_PAGES);
	add_size(text, "PageTables:", statistics.table_pages);
	add_size(text, "Committed_AS:", statistics.frames.committed);
	add_count(text, "FreeFrames:", statistics.frames.free);
	add_count(text, "TablePages:", statistics.table_pages);
	add_count(text, "Regions:", statistics.user_regions + statistics.kernel_regions);
	add_count(text, "Charges:", statistics.frames.committed);
	add_count(text, "Objects:", statistics.objects);
	add_count(text, "Spaces:", statistics.spaces);
	add_count(text, "PoolItems:", statistics.pool_items);
	add_count(text, "HeapItems:", heap.items);
	add_count(text, "HeapBytes:", heap.bytes);
	add_count(text, "HeapFrames:", heap.frames);
	add_count(text, "KernelFrames:", statistics.frames.used[LH_FRAME_KERNEL]);
	add_count(text, "PoolFrames:", statistics.frames.used[LH_FRAME_POOL]);
	add_count(text, "TableFrames:", statistics.frames.used[LH_FRAME_TABLE]);
	add_count(text, "Faults:", statistics.faults);
	add_count(text, "FaultsZero:", statistics.faults_zero);
	add_count(text, "FaultsFresh:", statistics.faults_fresh);
	add_count(text, "FaultsCopied:", statistics.faults_copied);
	add_count(text, "FaultsReused:", statistics.faults_reused);
	add_count(text, "FaultsObject:", statistics.faults_object);
	add_count(text, "FaultsUpgraded:", statistics.faults_upgraded);
	add_count(text, "FaultsRefused:", statistics.faults_refused);
	add_count(text, "Forks:", statistics.forks);
}

static void write_processor(struct text *text, uint32_t number)
{
	const struct cpu_identification *id = cpu_identification();
	uint64_t kilohertz = clock_tsc_hertz() / 1000;

	text_add(text, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\n", number,
		 id->vendor_id_string, id->display_family, id->display_model);
	text_add(text, "model name\t: %s\nstepping\t: %u\ncpu MHz\t\t: %llu.%03llu\n",
		 id->brand_string[0] != '\0' ? id->brand_string : "unknown", id->stepping,
		 (unsigned long long)(kilohertz / 1000), (unsigned long long)(kilohertz % 1000));
	if (id->cache_size != 0)
		text_add(text, "cache size\t: %u KB\n", id->cache_size);
	text_add(text, "fpu\t\t: yes\nwp\t\t: yes\nflags\t\t: %s\n", id->features_string);
	text_add(text, "clflush size\t: %u\naddress sizes\t: %u bits physical, %u bits virtual\n",
		 id->clflush_size, id->physical_address_bits, id->virtual_address_bits);
	if (id->hypervisor_vendor_id_string[0] != '\0')
		text_add(text, "hypervisor\t: %s\n", id->hypervisor_vendor_id_string);
	text_add(text, "\n");
}

void proc_write_cpuinfo(struct text *text)
{
	for (uint32_t i = 0; i < cpu_count(); i++)
		write_processor(text, i);
}

void proc_write_mounts(struct text *text)
{
	text_add(text, "tmpfs / tmpfs rw 0 0\nproc /proc proc rw 0 0\n");
}

void proc_write_filesystems(struct text *text)
{
	text_add(text, "nodev\ttmpfs\nnodev\tproc\n");
}

void proc_write_version(struct text *text)
{
	text_add(text, "Landhold reference kernel, system calls as of Linux 5.10 x86-64\n");
}

static uint64_t idle_ticks(void)
{
	uint64_t ticks = 0;

	for (uint32_t i = 0; i < cpu_count(); i++)
		ticks += __atomic_load_n(&cpu_by_number(i)->idle_ticks, __ATOMIC_RELAXED);
	return ticks;
}

static uint64_t all_ticks(void)
{
	uint64_t ticks = 0;

	for (uint32_t i = 0; i < cpu_count(); i++)
		ticks += __atomic_load_n(&cpu_by_number(i)->ticks, __ATOMIC_RELAXED);
	return ticks;
}

void proc_write_uptime(struct text *text)
{
	uint64_t hundredths = clock_nanoseconds() / 10000000;
	uint64_t idle = idle_ticks() * 100 / CLOCK_TICKS_PER_SECOND;

	text_add(text, "%llu.%02llu %llu.%02llu\n", (unsigned long long)(hundredths / 100),
		 (unsigned long long)(hundredths % 100), (unsigned long long)(idle / 100),
		 (unsigned long long)(idle % 100));
}

void proc_write_load(struct text *text)
{
	text_add(text, "0.00 0.00 0.00 1/%u %u\n", process_count(), process_last_pid());
}

static void write_cpu_ticks(struct text *text, const struct cpu *cpu)
{
	uint64_t idle = __atomic_load_n(&cpu->idle_ticks, __ATOMIC_RELAXED);
	uint64_t busy = __atomic_load_n(&cpu->ticks, __ATOMIC_RELAXED) - idle;

	text_add(text, "cpu%u 0 0 %llu %llu 0 0 0 0 0 0\n", cpu->number, (unsigned long long)busy,
		 (unsigned long long)idle);
}

void proc_write_stat(struct text *text)
{
	uint64_t idle = idle_ticks(), busy = all_ticks() - idle;
	uint64_t boot = clock_realtime_offset() / 1000000000;

	text_add(text, "cpu  0 0 %llu %llu 0 0 0 0 0 0\n", (unsigned long long)busy,
		 (unsigned long long)idle);
	for (uint32_t i = 0; i < cpu_count(); i++)
		write_cpu_ticks(text, cpu_by_number(i));
	text_add(text, "btime %llu\nprocesses %u\nprocs_running 1\nprocs_blocked 0\n",
		 (unsigned long long)boot, process_last_pid());
}
