/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's start, in the order in which things come to be able to do something:
 * exceptions, what the CPU is, memory, time, threads, other CPUs, devices, the first process.
 */
#include <landhold/memory_map.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/clock.h"
#include "arch/x86_64/descriptors.h"
#include "arch/x86_64/trap.h"
#include "boot/hooks.h"
#include "boot/information.h"
#include "cpu/call.h"
#include "cpu/features.h"
#include "cpu/identify.h"
#include "cpu/percpu.h"
#include "cpu/start.h"
#include "device/link.h"
#include "device/serial.h"
#include "lib/log.h"
#include "memory/memory.h"
#include "memory/nodes.h"
#include "memory/start.h"
#include "thread/lock_check.h"
#include "thread/scheduler.h"

#define FIRMWARE_ENTRIES 256

extern const uint8_t early_stack_top[];

/* Called by start.S. */
void boot_main(uint32_t loader, uint64_t information);

static lh_memory_entry firmware_entries[FIRMWARE_ENTRIES];
static struct thread first_idle;
static uint32_t timer_period;

static void start_cpu(void)
{
	struct cpu *cpu = cpu_prepare();

	cpu_add(cpu);
	descriptors_load(cpu);
	scheduler_adopt_idle(cpu, &first_idle, (uint64_t)(uintptr_t)early_stack_top);
	cpu_identify();
	cpu_patch_sites();
	cpu_start_features();
	cpu_log_features();
}

static void start_memory(uint32_t loader, uint64_t information)
{
	lh_memory_map map;
	struct boot_module initramfs;

	lh_memory_map_init(&map, firmware_entries, FIRMWARE_ENTRIES);
	boot_information_read(loader, information, &map, &initramfs);
	memory_port_start();
	memory_start(&map, &initramfs);
	heap_start();
	boot_information_set_initramfs(&initramfs);
}

static void tick(struct trap_frame *frame)
{
	scheduler_tick(trap_frame_is_user(frame));
}

static void start_time(void)
{
	struct cpu *cpu = cpu_this();

	apic_map();
	apic_start();
	cpu->apic_identifier = apic_identifier();
	/* What it kept so far is of the first node. */
	lh_frames_drain(memory_frames());
	lh_frames_set_node(memory_frames(), cpu->number, nodes_of_cpu(cpu->apic_identifier));
	cpu->can_be_called = true;
	cpu->is_running = true;
	timer_period = clock_start();
	trap_set_interrupt(VECTOR_TIMER, tick);
	cpu_call_start();
	scheduler_start();
	apic_timer_start(timer_period);
}

/* In a thread: what may have to wait. */
static void finish(void *argument)
{
	(void)argument;
	lock_check_start();
	cpu_start_others(timer_period);
	link_start();
	memory_audit();
	log_line("boot: done after %lu ms", clock_nanoseconds() / 1000000);
	process_start_first();
}

static void start_threads(void)
{
	struct thread *thread;
	lh_error error;

	thread_start_reaper();
	error = thread_create(finish, NULL, &thread);
	if (error != LH_OK)
		panic("the first thread: %s", lh_error_string(error));
	thread->name = "boot";
	thread_start(thread);
}

void boot_main(uint32_t loader, uint64_t information)
{
	serial_start();
	log_line("Landhold");
	start_cpu();
	start_memory(loader, information);
	start_time();
	start_threads();
	scheduler_idle();
}
