/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's q35: its firmware puts the ACPI power-management block at 0x600, so that its
 * control register is 0x604; SLP_EN with sleep type 0 is S5 there. Not read from the ACPI
 * tables: this kernel runs on that machine only.
 */
#include "device/power.h"

#include "arch/x86_64/port_io.h"
#include "device/link.h"

#define PM_CONTROL 0x604
#define PM_SLEEP_ENABLE 0x2000
#define DEBUG_EXIT 0xf4
#define DEBUG_EXIT_PANIC 0x2a /* QEMU exits with 2 * 0x2a + 1 = 85 */

static __attribute__((noreturn)) void halt_for_ever(void)
{
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

void power_off(void)
{
	link_flush();
	port_write_16(PM_CONTROL, PM_SLEEP_ENABLE);
	halt_for_ever();
}

void power_panic_exit(void)
{
	port_write_32(DEBUG_EXIT, DEBUG_EXIT_PANIC);
	halt_for_ever();
}
