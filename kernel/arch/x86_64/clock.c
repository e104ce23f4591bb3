/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The time-stamp counter and the APIC's timer are measured once against the ACPI timer of
 * QEMU's q35 (at 0x608, 24 bits, 3.579545 MHz). All go on while the host has us wait, so only
 * the moments of reading must lie close together: each is read between two looks at
 * the counter, and the closest of several tries is taken.
 */
#include "arch/x86_64/clock.h"

#include <stdbool.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/port_io.h"
#include "arch/x86_64/registers.h"
#include "lib/log.h"

#define ACPI_TIMER 0x608
#define ACPI_TIMER_HERTZ UINT64_C(3579545)
#define ACPI_TIMER_MASK 0xffffffu
#define CALIBRATION_COUNTS 35795u /* 10 ms */
#define NANOSECONDS UINT64_C(1000000000)

__extension__ typedef unsigned __int128 wide;

struct moment {
	uint64_t tsc;
	uint32_t acpi, apic;
};

static uint64_t tsc_at_boot, tsc_hertz, nanoseconds_per_count_32; /* times 2^32 */
static uint64_t realtime_offset;

static struct moment read_moment(void)
{
	struct moment best = { 0, 0, 0 };
	uint64_t closest = UINT64_MAX;

	for (unsigned try = 0; try < 8; try++) {
		uint64_t before = read_tsc(), after;
		uint32_t apic = apic_timer_read_count();
		uint32_t acpi = port_read_32(ACPI_TIMER) & ACPI_TIMER_MASK;

		after = read_tsc();
		if (after - before >= closest)
			continue;
		closest = after - before;
		best = (struct moment){ before + closest / 2, acpi, apic };
	}
	return best;
}

static uint64_t cmos(uint8_t index)
{
	port_write_8(0x70, index);
	return port_read_8(0x71);
}

static uint64_t from_bcd(uint64_t value, bool is_binary)
{
	return is_binary ? value : (value & 0xf) + (value >> 4) * 10;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar; years counted from March. */
static uint64_t days_since_1970(uint64_t year, uint64_t month, uint64_t day)
{
	uint64_t shifted_year = month <= 2 ? year - 1 : year;
	uint64_t shifted_month = month <= 2 ? month + 9 : month - 3;

	return shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400 +
	       (shifted_month * 153 + 2) / 5 + day - 1 - 719468;
}

/* Seconds since 1970 by the battery clock, which QEMU keeps in UTC. */
static uint64_t read_rtc(void)
{
	bool is_binary = (cmos(0x0b) & 4) != 0;
	uint64_t field[6]; /* second, minute, hour, day, month, year */
	static const uint8_t indices[6] = { 0, 2, 4, 7, 8, 9 };

	while ((cmos(0x0a) & 0x80) != 0)
		;
	for (unsigned i = 0; i < 6; i++)
		field[i] = from_bcd(cmos(indices[i]), is_binary);
	return days_since_1970(2000 + field[5], field[4], field[3]) * 86400 + field[2] * 3600 +
	       field[1] * 60 + field[0];
}

uint32_t clock_start(void)
{
	struct moment begin, end;
	uint64_t acpi, apic_hertz;

	apic_timer_begin_count();
	begin = read_moment();
	do
		end = read_moment();
	while (((end.acpi - begin.acpi) & ACPI_TIMER_MASK) < CALIBRATION_COUNTS);
	acpi = (end.acpi - begin.acpi) & ACPI_TIMER_MASK;
	tsc_hertz = (end.tsc - begin.tsc) * ACPI_TIMER_HERTZ / acpi;
	apic_hertz = (uint64_t)(begin.apic - end.apic) * ACPI_TIMER_HERTZ / acpi;
	if (tsc_hertz < 1000000 || apic_hertz < 1000000)
		panic("clock: time-stamp counter at %lu Hz, APIC timer at %lu Hz", tsc_hertz, apic_hertz);
	nanoseconds_per_count_32 = (NANOSECONDS << 32) / tsc_hertz;
	tsc_at_boot = end.tsc;
	realtime_offset = read_rtc() * NANOSECONDS;
	log_line("clock: time-stamp counter %lu kHz, APIC timer %lu kHz, %lu seconds since 1970",
		 tsc_hertz / 1000, apic_hertz / 1000, realtime_offset / NANOSECONDS);
	return (uint32_t)(apic_hertz / CLOCK_TICKS_PER_SECOND);
}

uint64_t clock_nanoseconds(void)
{
	return (uint64_t)((wide)(read_tsc() - tsc_at_boot) * nanoseconds_per_count_32 >> 32);
}

uint64_t clock_realtime_offset(void)
{
	return realtime_offset;
}

uint64_t clock_tsc_hertz(void)
{
	return tsc_hertz;
}
