/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel volume 3A (June 2016), chapter 10: table 10-1 has the registers' offsets. */
#include "arch/x86_64/apic.h"

#include "arch/x86_64/port_io.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/trap.h"
#include "lib/log.h"
#include "memory/memory.h"
#include "thread/spinlock.h"

#define APIC_ID 0x020
#define APIC_TASK_PRIORITY 0x080
#define APIC_END_OF_INTERRUPT 0x0b0
#define APIC_SPURIOUS 0x0f0
#define APIC_COMMAND_LOW 0x300
#define APIC_COMMAND_HIGH 0x310
#define APIC_TIMER 0x320
#define APIC_LINT0 0x350
#define APIC_LINT1 0x360
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE 0x3e0

#define SOFTWARE_ENABLE 0x100
#define MASKED 0x10000
#define TIMER_PERIODIC 0x20000
#define DIVIDE_BY_1 0xb
#define COMMAND_ASSERT 0x4000
#define COMMAND_LEVEL 0x8000
#define COMMAND_NMI 0x400
#define COMMAND_INIT 0x500
#define COMMAND_STARTUP 0x600
#define COMMAND_PENDING 0x1000
#define BASE_ENABLED 0x800
#define BASE_ADDRESS UINT64_C(0x000ffffffffff000)

static lh_region registers_region;
static volatile uint32_t *registers;

static uint32_t read_register(uint32_t offset)
{
	return registers[offset / 4];
}

static void write_register(uint32_t offset, uint32_t value)
{
	registers[offset / 4] = value;
}

/* Both 8259s: vectors out of the exceptions' way, everything masked. */
static void mask_pic(void)
{
	port_write_8(0x20, 0x11);
	port_write_8(0xa0, 0x11);
	port_write_8(0x21, 0x20);
	port_write_8(0xa1, 0x28);
	port_write_8(0x21, 4);
	port_write_8(0xa1, 2);
	port_write_8(0x21, 1);
	port_write_8(0xa1, 1);
	port_write_8(0x21, 0xff);
	port_write_8(0xa1, 0xff);
}

void apic_map(void)
{
	uint64_t base = read_msr(MSR_APIC_BASE);
	void *pointer;
	lh_error error = lh_manager_map_bytes(memory_manager(), &registers_region,
					      lh_physical(base & BASE_ADDRESS), LH_PAGE_SIZE,
					      LH_RIGHT_READ | LH_RIGHT_WRITE, LH_MEMORY_UNCACHED, &pointer);

	if (error != LH_OK)
		panic("the local APIC cannot be mapped: %s", lh_error_string(error));
	registers = pointer;
	mask_pic();
}

void apic_start(void)
{
	write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | BASE_ENABLED);
	write_register(APIC_TASK_PRIORITY, 0);
	write_register(APIC_LINT0, MASKED);
	write_register(APIC_LINT1, MASKED);
	write_register(APIC_SPURIOUS, SOFTWARE_ENABLE | VECTOR_SPURIOUS);
}

uint32_t apic_identifier(void)
{
	return read_register(APIC_ID) >> 24;
}

void apic_acknowledge(void)
{
	write_register(APIC_END_OF_INTERRUPT, 0);
}

void apic_timer_begin_count(void)
{
	write_register(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	write_register(APIC_TIMER, MASKED | VECTOR_TIMER);
	write_register(APIC_TIMER_INITIAL, UINT32_MAX);
}

uint32_t apic_timer_read_count(void)
{
	return read_register(APIC_TIMER_CURRENT);
}

void apic_timer_start(uint32_t period)
{
	write_register(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	write_register(APIC_TIMER, TIMER_PERIODIC | VECTOR_TIMER);
	write_register(APIC_TIMER_INITIAL, period);
}

/* The two registers are one command: no interrupt's handler may send between them. */
static void send(uint32_t identifier, uint32_t command)
{
	uintptr_t interrupts = interrupts_off();

	write_register(APIC_COMMAND_HIGH, identifier << 24);
	write_register(APIC_COMMAND_LOW, command);
	while ((read_register(APIC_COMMAND_LOW) & COMMAND_PENDING) != 0)
		__asm__ volatile("pause");
	interrupts_restore(interrupts);
}

void apic_send(uint32_t identifier, uint8_t vector)
{
	send(identifier, COMMAND_ASSERT | vector);
}

void apic_send_nmi(uint32_t identifier)
{
	send(identifier, COMMAND_ASSERT | COMMAND_NMI);
}

void apic_send_init(uint32_t identifier)
{
	send(identifier, COMMAND_LEVEL | COMMAND_ASSERT | COMMAND_INIT);
	send(identifier, COMMAND_LEVEL | COMMAND_INIT);
}

void apic_send_startup(uint32_t identifier, uint8_t page)
{
	send(identifier, COMMAND_ASSERT | COMMAND_STARTUP | page);
}
