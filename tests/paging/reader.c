/* SPDX-License-Identifier: BSD-2-Clause */
#include "reader.h"

static uint64_t bits(uint64_t value, unsigned high, unsigned low)
{
	return value >> low & (~UINT64_C(0) >> (63 - (high - low)));
}

static bool bit(uint64_t value, unsigned n)
{
	return value >> n & 1;
}

/* Bits of the address that entries of a level and those below it translate, offset included. */
static unsigned covered(const reader_cpu *cpu, unsigned level)
{
	return cpu->page_bits + level * (cpu->page_bits - 3);
}

static unsigned root_level(const reader_cpu *cpu)
{
	unsigned level = 0;

	while (covered(cpu, level + 1) < cpu->virtual_bits)
		level++;
	return level;
}

static uint64_t entry_address(const reader_cpu *cpu, uint64_t table, unsigned level, uint64_t address)
{
	unsigned high = covered(cpu, level + 1);

	if (high > cpu->virtual_bits)
		high = cpu->virtual_bits;
	return table + 8 * bits(address, high - 1, covered(cpu, level));
}

static uint64_t entry_at(const reader_cpu *cpu, uint64_t table, unsigned level, uint64_t address)
{
	return cpu->word(cpu->context, entry_address(cpu, table, level, address));
}

static reader_page fault(const char *why)
{
	return (reader_page){ .fault = why };
}

static reader_page page_at(const reader_cpu *cpu, uint64_t base, unsigned level, uint64_t address)
{
	uint64_t offset = bits(address, covered(cpu, level) - 1, 0);

	if (bits(base, covered(cpu, level) - 1, 0) != 0)
		return fault("a block that is not aligned");
	return (reader_page){ .physical = base + offset, .level = level };
}

/* --- x86-64: Intel SDM volume 3A (June 2016), sections 4.5 and 4.6 --- */

/* Section 4.9.2: three bits choose an entry of the PAT, which is as after reset (table 11-12) but for entry 6. */
static reader_type pat_type(uint64_t entry, bool large)
{
	static const reader_type pat[] = {
		READER_WRITE_BACK, READER_WRITE_THROUGH, READER_UNCACHED, READER_UNCACHED,
		READER_WRITE_BACK, READER_WRITE_THROUGH, READER_WRITE_COMBINING, READER_UNCACHED,
	};

	return pat[bits(entry, 4, 3) + 4 * bit(entry, large ? 12 : 7)];
}

static reader_page read_x86_64(const reader_cpu *cpu, uint64_t table, uint64_t address)
{
	bool user = true, writable = true, executable = true;

	for (unsigned level = root_level(cpu);; level--) {
		uint64_t entry = entry_at(cpu, table, level, address);
		uint64_t base = entry & UINT64_C(0xffffffffff000);
		bool large = level > 0 && bit(entry, 7);
		reader_page page;

		if (!bit(entry, 0))
			return fault("not present");
		writable = writable && bit(entry, 1);
		user = user && bit(entry, 2);
		executable = executable && !bit(entry, 63);
		if (level > 0 && !large) {
			table = base;
			continue;
		}
		if (level > 2)
			return fault("PS is reserved here");
		page = page_at(cpu, large ? base & ~UINT64_C(0x1000) : base, level, address);
		page.kernel = (reader_access){ !user, !user && writable, !user && executable };
		page.user = (reader_access){ user, user && writable, user && executable };
		page.global = bit(entry, 8);
		page.accessed = bit(entry, 5);
		page.dirty = bit(entry, 6);
		page.type = pat_type(entry, large);
		page.key = (unsigned)bits(entry, 62, 59);
		return page;
	}
}

/* --- aarch64: DDI 0487 L.b, sections D8.2 to D8.5; EL0 and EL1 with PAN --- */

static bool is_ds(const reader_cpu *cpu)
{
	return cpu->virtual_bits == 52 && cpu->page_bits != 16;
}

static uint64_t output_address(const reader_cpu *cpu, uint64_t entry)
{
	if (is_ds(cpu))
		return bits(entry, 49, cpu->page_bits) << cpu->page_bits | bits(entry, 9, 8) << 50;
	if (cpu->virtual_bits == 52)
		return bits(entry, 47, 16) << 16 | bits(entry, 15, 12) << 48;
	return bits(entry, 47, cpu->page_bits) << cpu->page_bits;
}

/* The block sizes of each granule (D8.2.8 to D8.2.10); with 52 bits at one level more. */
static bool may_be_block(const reader_cpu *cpu, unsigned level)
{
	unsigned highest = cpu->page_bits == 12 ? 2 : 1;

	return level <= highest + (cpu->virtual_bits == 52);
}

/* D8.7.1, the Contiguous bit: how many entries, by granule and the manual's level (3 is 0 here). */
static uint64_t contiguous_entries(const reader_cpu *cpu, unsigned level)
{
	if (cpu->page_bits == 12)
		return 16;
	if (cpu->page_bits == 14)
		return level == 0 ? 128 : 32;
	return 32;
}

/* All entries of the set: alike but for AF, the dirty state (AP[2] with DBM, or a software bit), and addresses in a
 * row, aligned as a whole. => 0: they are not. */
static uint64_t contiguous_set(const reader_cpu *cpu, uint64_t table, unsigned level, uint64_t address)
{
	uint64_t count = contiguous_entries(cpu, level), noted = UINT64_C(1) << 10 | UINT64_C(1) << 55;
	uint64_t at = entry_address(cpu, table, level, address) & ~(8 * count - 1);
	uint64_t start = cpu->word(cpu->context, at);
	uint64_t base = output_address(cpu, start);

	if (bit(start, 51))
		noted |= UINT64_C(1) << 7;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t entry = cpu->word(cpu->context, at + 8 * i);
		uint64_t differ = entry ^ start;

		if (output_address(cpu, entry) != base + (i << covered(cpu, level)))
			return 0;
		/* Where the address is not, the bits are the same. */
		differ &= ~noted & (UINT64_C(0xfff8000000000000) | (is_ds(cpu) ? 0xff : 0xfff));
		if (differ != 0)
			return 0;
	}
	return (base >> covered(cpu, level)) % count == 0 ? count : 0;
}

/* MAIR_EL1, D8.6.1: Attr0 0xff, Attr1 0xbb, Attr2 0x44, Attr3 0x00, chosen by AttrIndx[2:0]. */
static reader_type mair_type(uint64_t entry)
{
	static const reader_type mair[8] = {
		READER_WRITE_BACK, READER_WRITE_THROUGH, READER_WRITE_COMBINING, READER_UNCACHED,
	};

	return mair[bits(entry, 4, 2)];
}

static reader_page read_aarch64(const reader_cpu *cpu, uint64_t table, uint64_t address)
{
	bool no_user = false, no_write = false, uxn = false, pxn = false;

	for (unsigned level = root_level(cpu);; level--) {
		uint64_t entry = entry_at(cpu, table, level, address);
		bool user, write, dbm;
		reader_page page;

		if (!bit(entry, 0))
			return fault("not valid");
		if (level > 0 && bit(entry, 1)) {
			table = output_address(cpu, entry);
			no_user |= bit(entry, 61);
			no_write |= bit(entry, 62);
			uxn |= bit(entry, 60);
			pxn |= bit(entry, 59);
			continue;
		}
		if (level == 0 && !bit(entry, 1))
			return fault("reserved at the last level");
		if (!may_be_block(cpu, level))
			return fault("a block where there is none");
		if (!is_ds(cpu) && bits(entry, 9, 8) != 3)
			return fault("not inner shareable");
		if (!bit(entry, 10) && !cpu->hardware_flags)
			return fault("access flag");
		page = page_at(cpu, output_address(cpu, entry), level, address);
		page.entry = entry_address(cpu, table, level, address);
		if (bit(entry, 52) && (page.run = contiguous_set(cpu, table, level, address)) == 0)
			return fault("contiguous with others that are not");
		user = bit(entry, 6) && !no_user;
		dbm = cpu->hardware_flags && bit(entry, 51);
		write = (!bit(entry, 7) || dbm) && !no_write;
		page.user = (reader_access){ user, user && write, user && !uxn && !bit(entry, 54) };
		page.kernel = (reader_access){ !user, !user && write,
					       !user && !pxn && !bit(entry, 53) };
		page.global = !bit(entry, 11);
		page.accessed = bit(entry, 10);
		page.dirty = !bit(entry, 7);
		page.type = mair_type(entry);
		return page;
	}
}

/* --- riscv64: Privileged Architecture, section Sv39 and after it; SUM clear --- */

/* Svnapot: 16 entries of the last level, the same but for A and D. => 0: they are not. */
static uint64_t napot_set(const reader_cpu *cpu, uint64_t table, uint64_t address)
{
	uint64_t at = entry_address(cpu, table, 0, address) & ~UINT64_C(127);
	uint64_t start = cpu->word(cpu->context, at);

	for (uint64_t i = 0; i < 16; i++)
		if (((cpu->word(cpu->context, at + 8 * i) ^ start) & ~UINT64_C(0xc0)) != 0)
			return 0;
	return bits(start, 13, 10) == 8 ? 16 : 0;
}

static reader_page read_riscv64(const reader_cpu *cpu, uint64_t table, uint64_t address)
{
	for (unsigned level = root_level(cpu);; level--) {
		uint64_t entry = entry_at(cpu, table, level, address);
		bool user = bit(entry, 4);
		reader_access access;
		reader_page page;

		if (!bit(entry, 0))
			return fault("not valid");
		if (bits(entry, 60, 54) != 0 || (bit(entry, 63) && (!cpu->has_napot || level > 0)))
			return fault("reserved bits");
		if (!bit(entry, 1) && bit(entry, 2))
			return fault("writable and not readable");
		if (bits(entry, 3, 1) == 0) {
			if (level == 0 || bit(entry, 4) || bits(entry, 7, 6) != 0)
				return fault("a table with bits of a leaf, or below the last level");
			table = bits(entry, 53, 10) << 12;
			continue;
		}
		if (!bit(entry, 6) && !cpu->hardware_flags)
			return fault("accessed is clear");
		page = page_at(cpu, bits(entry, 53, 10) << 12, level, address);
		page.entry = entry_address(cpu, table, level, address);
		if (bit(entry, 63)) {
			page.run = napot_set(cpu, table, address);
			if (page.run == 0)
				return fault("no run that Svnapot has");
			page.physical = bits(entry, 53, 14) << 16 | bits(address, 15, 0);
		}
		access = (reader_access){ bit(entry, 1),
					  bit(entry, 2) && (bit(entry, 7) || cpu->hardware_flags),
					  bit(entry, 3) };
		if (user)
			page.user = access;
		else
			page.kernel = access;
		/* Svpbmt: 0 as the platform has it, 1 NC, 2 IO. */
		page.type = bits(entry, 62, 61) == 0   ? READER_WRITE_BACK
			    : bits(entry, 62, 61) == 1 ? READER_WRITE_COMBINING : READER_UNCACHED;
		page.global = bit(entry, 5);
		page.accessed = bit(entry, 6);
		page.dirty = bit(entry, 7);
		return page;
	}
}

reader_page reader_read(const reader_cpu *cpu, uint64_t root, uint64_t address)
{
	switch (cpu->architecture) {
	case READER_X86_64:
		return read_x86_64(cpu, root, address);
	case READER_AARCH64:
		return read_aarch64(cpu, root, address);
	case READER_RISCV64:
		break;
	}
	return read_riscv64(cpu, root, address);
}
