/* SPDX-License-Identifier: BSD-2-Clause */
/* The page walker, against tables written from Intel SDM volume 3A (June 2016), chapter 4. */
#include "harness.h"

#include "tables.h"

#define PAGE UINT64_C(0x00007654321fe000)
#define FRAME (PAGES_FIRST + 5)

static bool faults_with(struct tables *tables, uint64_t address, mmu_access access,
			machine_mode mode, uint32_t error_code)
{
	machine_fault fault;

	return !tables_access(tables, 0, address, access, mode, &fault) &&
	       fault.error_code == error_code && fault.address.value == address &&
	       !fault.not_canonical;
}

/* --- rights --- */

/* One access and everything that it depends on. */
struct situation {
	bool user, page_user, writable, execute_disable;
	mmu_access access;
	bool wp, nxe, smep, smap, ac;
};

/*
 * Section 4.6.1, each sentence a row: what is allowed. A column is '-' where the sentence
 * does not mention it. Whatever no row allows is a fault.
 *
 *     mode page R/W XD access WP NXE SMEP SMAP AC
 */
static const char *const allowed[] = {
	/* "Data may be read (implicitly or explicitly) from any supervisor-mode address" */
	"s s - - r - - - - -",
	/* reads from user-mode addresses: SMAP 0; SMAP 1 and EFLAGS.AC 1 */
	"s u - - r - - - 0 -",
	"s u - - r - - - 1 1",
	/* writes to supervisor-mode addresses: WP 0; WP 1 and R/W 1 */
	"s s - - w 0 - - - -",
	"s s 1 - w 1 - - - -",
	/* writes to user-mode addresses: both of the above */
	"s u - - w 0 - - 0 -",
	"s u - - w 0 - - 1 1",
	"s u 1 - w 1 - - 0 -",
	"s u 1 - w 1 - - 1 1",
	/* fetches from supervisor-mode addresses: NXE 0; NXE 1 and XD 0 */
	"s s - - x - 0 - - -",
	"s s - 0 x - 1 - - -",
	/* fetches from user-mode addresses: the same, and SMEP 0 */
	"s u - - x - 0 0 - -",
	"s u - 0 x - 1 0 - -",
	/* user mode: user-mode addresses only */
	"u u - - r - - - - -",
	"u u 1 - w - - - - -",
	"u u - - x - 0 - - -",
	"u u - 0 x - 1 - - -",
};

static bool matches(char column, char zero, char one, bool value)
{
	return column == '-' || column == (value ? one : zero);
}

static bool row_matches(const char *row, const struct situation *s)
{
	return matches(row[0], 's', 'u', s->user) && matches(row[2], 's', 'u', s->page_user) &&
	       matches(row[4], '0', '1', s->writable) &&
	       matches(row[6], '0', '1', s->execute_disable) && row[8] == "rwx"[s->access] &&
	       matches(row[10], '0', '1', s->wp) && matches(row[12], '0', '1', s->nxe) &&
	       matches(row[14], '0', '1', s->smep) && matches(row[16], '0', '1', s->smap) &&
	       matches(row[18], '0', '1', s->ac);
}

static bool manual_allows(const struct situation *s)
{
	if (s->execute_disable && !s->nxe)
		return false; /* XD is a reserved bit then */
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
		if (row_matches(allowed[i], s))
			return true;
	return false;
}

static uint32_t manual_error(const struct situation *s)
{
	uint32_t error = 0x1;

	if (s->access == MMU_WRITE)
		error |= 0x2;
	if (s->user)
		error |= 0x4;
	if (s->execute_disable && !s->nxe)
		error |= 0x8;
	if (s->access == MMU_FETCH && (s->nxe || s->smep))
		error |= 0x10;
	return error;
}

static struct situation situation_of(unsigned bits)
{
	return (struct situation){
		.user = bits & 1,	    .page_user = bits >> 1 & 1,
		.writable = bits >> 2 & 1,  .execute_disable = bits >> 3 & 1,
		.wp = bits >> 4 & 1,	    .nxe = bits >> 5 & 1,
		.smep = bits >> 6 & 1,	    .smap = bits >> 7 & 1,
		.ac = bits >> 8 & 1,	    .access = (mmu_access)(bits >> 9),
	};
}

/* The page's rights come from the entry of one level alone; the others take none away. */
static void set_path(struct tables *tables, const struct situation *s, unsigned level)
{
	for (unsigned at = 0; at < 4; at++) {
		uint64_t *entry = tables_entry(tables, PAGE, at, P | W | U);

		*entry &= ~(XD | W | U);
		*entry |= W | U;
		if (at == level && !s->writable)
			*entry &= ~W;
		if (at == level && !s->page_user)
			*entry &= ~U;
		if (at == level && s->execute_disable)
			*entry |= XD;
	}
}

TEST(every_access_is_judged_as_the_manual_says)
{
	struct tables tables = tables_make(1, 4);
	mmu_control *control = &tables.machine->cpus[0].control;

	tables_map(&tables, PAGE, 0, FRAME, P | W | U);
	for (unsigned bits = 0; bits < 3 << 9; bits++) {
		struct situation s = situation_of(bits);
		machine_mode mode = s.user ? MACHINE_USER : MACHINE_KERNEL;

		control->write_protect = s.wp;
		control->no_execute = s.nxe;
		control->smep = s.smep;
		control->smap = s.smap;
		control->access_user = s.ac;
		for (unsigned level = 0; level < 4; level++) {
			machine_fault fault;

			set_path(&tables, &s, level);
			tables_load(&tables, 0, tables.root);
			/* By a walk, and, where it was allowed, by the TLB. */
			for (unsigned time = 0; time < 2; time++) {
				bool may = tables_access(&tables, 0, PAGE, s.access, mode, &fault);

				CHECK_EQUAL(may, manual_allows(&s));
				if (!may)
					CHECK_EQUAL(fault.error_code, manual_error(&s));
			}
		}
	}
	tables_end(&tables);
}

/* A translation cached by one access is judged anew for each other one. */
TEST(a_cached_translation_is_judged_like_a_walk)
{
	struct tables tables = tables_make(1, 4);
	machine_fault fault;

	tables.machine->cpus[0].control.smap = false;
	tables_map(&tables, PAGE, 0, FRAME, P | U | XD);
	CHECK(tables_access(&tables, 0, PAGE, MMU_READ, MACHINE_KERNEL, &fault));
	CHECK(tables_access(&tables, 0, PAGE, MMU_READ, MACHINE_USER, &fault));
	CHECK(faults_with(&tables, PAGE, MMU_WRITE, MACHINE_USER, 0x7));
	CHECK(faults_with(&tables, PAGE, MMU_FETCH, MACHINE_USER, 0x15));
	CHECK(faults_with(&tables, PAGE, MMU_WRITE, MACHINE_KERNEL, 0x3));
	tables_end(&tables);
}

TEST(a_missing_entry_at_any_level_is_a_fault_without_p)
{
	for (unsigned level = 0; level < 4; level++) {
		struct tables tables = tables_make(1, 4);

		tables_map(&tables, PAGE, 0, FRAME, P | W | U);
		/* The other bits of an entry that is not present mean nothing. */
		*tables_entry(&tables, PAGE, level, P | W | U) &= ~P;
		*tables_entry(&tables, PAGE, level, P | W | U) |= XD | UINT64_C(0x7f) << 52;
		CHECK(faults_with(&tables, PAGE, MMU_READ, MACHINE_KERNEL, 0x0));
		CHECK(faults_with(&tables, PAGE, MMU_WRITE, MACHINE_KERNEL, 0x2));
		CHECK(faults_with(&tables, PAGE, MMU_READ, MACHINE_USER, 0x4));
		CHECK(faults_with(&tables, PAGE, MMU_WRITE, MACHINE_USER, 0x6));
		CHECK(faults_with(&tables, PAGE, MMU_FETCH, MACHINE_USER, 0x14));
		tables.machine->cpus[0].control.no_execute = false;
		CHECK(faults_with(&tables, PAGE, MMU_FETCH, MACHINE_USER, 0x14));
		tables.machine->cpus[0].control.smep = false;
		CHECK(faults_with(&tables, PAGE, MMU_FETCH, MACHINE_USER, 0x4));
		tables_end(&tables);
	}
}

/* --- reserved bits --- */

static uint64_t bits_between(unsigned low, unsigned high)
{
	return (UINT64_C(2) << high) - (UINT64_C(1) << low);
}

/* Sets each bit of the entry in turn; those of reserved and no others fault with RSVD. */
static void try_each_bit(struct tables *tables, unsigned level, uint64_t reserved, uint64_t except)
{
	uint64_t *entry = tables_entry(tables, PAGE, level, P | W | U);
	uint64_t before = *entry;

	for (unsigned bit = 0; bit < 64; bit++) {
		machine_fault fault;
		bool may;

		if (except >> bit & 1)
			continue;
		*entry = before | UINT64_C(1) << bit;
		mmu_tlb_flush_all(&tables->machine->cpus[0].tlb); /* bit 8 made a global one */
		may = tables_access(tables, 0, PAGE, MMU_READ, MACHINE_USER, &fault);
		CHECK_EQUAL(may, !(reserved >> bit & 1));
		if (!may)
			CHECK_EQUAL(fault.error_code, 0xd);
	}
	*entry = before;
}

/* An address bit moves the walk into what is no RAM; it is not the reserved bits' test. */
#define ADDRESS_BITS(physical_bits) bits_between(12, (physical_bits) - 1)

TEST(reserved_bits_of_each_entry_kind_fault)
{
	struct tables tables = tables_make(1, 4);
	mmu_control *control = &tables.machine->cpus[0].control;
	uint64_t high = bits_between(40, 51);

	control->physical_bits = 40;
	tables_map(&tables, PAGE, 0, FRAME, P | W | U);
	for (unsigned level = 1; level < 3; level++)
		try_each_bit(&tables, level, high, ADDRESS_BITS(40) | PS);
	try_each_bit(&tables, 3, high | PS, ADDRESS_BITS(40));
	try_each_bit(&tables, 0, high, ADDRESS_BITS(40));
	control->gigabyte_pages = false;
	try_each_bit(&tables, 2, high | PS, ADDRESS_BITS(40));
	control->no_execute = false;
	for (unsigned level = 0; level < 4; level++)
		try_each_bit(&tables, level, high | XD, ADDRESS_BITS(40) | PS);
	tables_end(&tables);
}

TEST(reserved_bits_of_large_pages_fault)
{
	struct tables two = tables_make(1, 4), one = tables_make(1, 4);

	two.machine->cpus[0].control.physical_bits = 46;
	tables_map(&two, PAGE, 1, FIRST_FRAME, P | W | U | PS);
	try_each_bit(&two, 1, bits_between(13, 20) | bits_between(46, 51), bits_between(21, 45));
	tables_end(&two);

	/* The gigabyte from 0 on holds the RAM at FIRST_FRAME. */
	one.machine->cpus[0].control.physical_bits = 46;
	tables_map(&one, PAGE & ~UINT64_C(0x3fffffff), 2, 0, P | W | U | PS);
	*tables_entry(&one, PAGE, 2, 0) |= UINT64_C(1) << 13;
	CHECK(faults_with(&one, PAGE, MMU_READ, MACHINE_USER, 0xd));
	*tables_entry(&one, PAGE, 2, 0) ^= UINT64_C(1) << 13 | UINT64_C(1) << 29;
	CHECK(faults_with(&one, PAGE, MMU_READ, MACHINE_USER, 0xd));
	*tables_entry(&one, PAGE, 2, 0) ^= UINT64_C(1) << 29 | UINT64_C(1) << 12;
	CHECK_EQUAL(tables_arrives(&one, 0, (PAGE & ~UINT64_C(0x3fffffff)) + (FRAME << 12)), FRAME);
	/* A CPU without 1 GiB pages: PS itself is reserved. */
	one.machine->cpus[0].control.gigabyte_pages = false;
	mmu_tlb_flush_all(&one.machine->cpus[0].tlb);
	CHECK(faults_with(&one, PAGE, MMU_READ, MACHINE_USER, 0xd));
	tables_end(&one);
}

/* --- addresses --- */

TEST(the_index_of_each_level_and_the_offset_are_used)
{
	for (unsigned levels = 4; levels <= 5; levels++) {
		struct tables tables = tables_make(1, levels);
		unsigned top = 12 + 9 * levels - 1;

		/* Addresses that differ in one index each: every one has a page of its own. */
		for (unsigned bit = 12; bit < top; bit++)
			tables_map(&tables, UINT64_C(1) << bit, 0, PAGES_FIRST + bit, P | W | U);
		for (unsigned bit = 12; bit < top; bit++)
			CHECK_EQUAL(tables_arrives(&tables, 0, UINT64_C(1) << bit),
				    PAGES_FIRST + bit);
		tables_end(&tables);
	}
}

TEST(large_pages_take_more_of_the_address_as_offset)
{
	struct tables tables = tables_make(1, 4);

	/* The 2 MiB that begin at the RAM's first frame. */
	tables_map(&tables, 0x40000000, 1, FIRST_FRAME, P | PS);
	CHECK_EQUAL(tables_arrives(&tables, 0, 0x40000000 + (TABLES + 7) * 0x1000),
		    PAGES_FIRST + 7);
	CHECK_EQUAL(tables_arrives(&tables, 0, 0x40000000 + 511 * 0x1000), FIRST_FRAME + 511);
	CHECK_EQUAL(tables_arrives(&tables, 0, 0x40000000 + 512 * 0x1000), 0);
	tables_end(&tables);
}

TEST(addresses_that_are_not_canonical_have_no_translation)
{
	for (unsigned levels = 4; levels <= 5; levels++) {
		struct tables tables = tables_make(1, levels);
		unsigned top = 12 + 9 * levels - 1;
		uint64_t hole = UINT64_C(1) << top;
		machine_fault fault;

		for (unsigned bit = top; bit < 64; bit++) {
			uint64_t address = UINT64_C(1) << bit;

			CHECK(!tables_access(&tables, 0, address, MMU_READ, MACHINE_USER, &fault));
			CHECK(fault.not_canonical);
		}
		/* The last address below the hole and the first above it are well. */
		CHECK(!tables_access(&tables, 0, hole - 1, MMU_READ, MACHINE_USER, &fault));
		CHECK(!fault.not_canonical);
		CHECK(!tables_access(&tables, 0, -hole, MMU_READ, MACHINE_USER, &fault));
		CHECK(!fault.not_canonical);
		CHECK(!tables_access(&tables, 0, -hole - 1, MMU_READ, MACHINE_USER, &fault));
		CHECK(fault.not_canonical);
		tables_end(&tables);
	}
}

/* --- accessed and dirty --- */

TEST(accessed_and_dirty_flags_are_set_as_the_manual_says)
{
	struct tables tables = tables_make(1, 4);
	uint64_t *leaf = tables_entry(&tables, PAGE, 0, P | W | U);
	machine_fault fault;

	*leaf = FRAME << 12 | P | U;
	CHECK(faults_with(&tables, PAGE, MMU_WRITE, MACHINE_USER, 0x7));
	CHECK_EQUAL(*leaf & (A | D), 0);
	*leaf |= W;
	CHECK(tables_access(&tables, 0, PAGE, MMU_READ, MACHINE_USER, &fault));
	CHECK_EQUAL(*leaf & (A | D), A);
	CHECK(tables_access(&tables, 0, PAGE, MMU_WRITE, MACHINE_USER, &fault));
	CHECK_EQUAL(*leaf & (A | D), A | D);
	for (unsigned level = 1; level < 4; level++)
		CHECK_EQUAL(*tables_entry(&tables, PAGE, level, 0) & (A | D), A);
	tables_end(&tables);
}

TEST(the_dirty_flag_is_set_again_only_after_a_flush)
{
	struct tables tables = tables_make(1, 4);
	uint64_t *leaf = tables_entry(&tables, PAGE, 0, P | W | U);
	machine_fault fault;

	*leaf = FRAME << 12 | P | W | U;
	CHECK(tables_access(&tables, 0, PAGE, MMU_WRITE, MACHINE_USER, &fault));
	*leaf &= ~(A | D);
	/* The TLB remembers that it is dirty: the flag in memory stays clear, and a library
	 * that cleans a page without a flush loses writes. */
	CHECK(tables_access(&tables, 0, PAGE, MMU_WRITE, MACHINE_USER, &fault));
	CHECK_EQUAL(*leaf & (A | D), 0);
	tables_flush(&tables, 0, PAGE, 1, false);
	CHECK(tables_access(&tables, 0, PAGE, MMU_WRITE, MACHINE_USER, &fault));
	CHECK_EQUAL(*leaf & (A | D), A | D);
	tables_end(&tables);
}

TEST(a_first_write_through_a_clean_entry_asks_the_tables_again)
{
	struct tables tables = tables_make(1, 4);
	uint64_t *leaf = tables_entry(&tables, PAGE, 0, P | W | U);
	machine_fault fault;

	*leaf = FRAME << 12 | P | W | U;
	CHECK(tables_access(&tables, 0, PAGE, MMU_READ, MACHINE_USER, &fault));
	*leaf = 0;
	CHECK(tables_access(&tables, 0, PAGE, MMU_READ, MACHINE_USER, &fault));
	CHECK(faults_with(&tables, PAGE, MMU_WRITE, MACHINE_USER, 0x6));
	tables_end(&tables);
}

/* The flags of an entry that changes under the walk's locked operation are not lost. */
struct meddler {
	uint64_t *entry;
	uint64_t becomes;
	unsigned left;
};

static bool meddle_read(void *context, uint64_t physical, uint64_t *entry)
{
	struct meddler *meddler = context;

	(void)physical;
	*entry = *meddler->entry;
	return true;
}

static bool meddle_exchange(void *context, uint64_t physical, uint64_t *expected, uint64_t desired)
{
	struct meddler *meddler = context;

	(void)physical;
	if (meddler->left > 0) {
		meddler->left--;
		*meddler->entry = meddler->becomes;
	}
	if (*meddler->entry != *expected)
		return false;
	*meddler->entry = desired;
	return true;
}

TEST(an_entry_that_changes_under_the_walk_is_read_again)
{
	/* One table that names itself: each level reads the same entry. */
	uint64_t entry = 0x1000 | P | W | U;
	struct meddler meddler = { &entry, 0x1000 | P | U, 1 };
	mmu_memory memory = { &meddler, meddle_read, meddle_exchange };
	mmu_control control = { .architecture = &mmu_x86_64, .levels = 4, .physical_bits = 52,
				.write_protect = true };
	mmu_request request = { .root = 0x1000, .access = MMU_WRITE, .user = true };
	mmu_result result = mmu_walk(&memory, &control, &request, NULL);

	CHECK_EQUAL(result.outcome, MMU_PAGE_FAULT);
	CHECK_EQUAL(result.error_code, 0x7);
	CHECK_EQUAL(entry, 0x1000 | P | U | A);
}
