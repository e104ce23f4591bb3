/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aarch64 and riscv64 in the hosted machine, by tables made by hand: how accesses are judged, who sets
 * flags, and the rules by which a CPU may keep what it read. Bits are those of the manuals (DDI 0487
 * L.b, D8.3; RISC-V Privileged Architecture, "Sv39" on), written here once more, so that the tests share
 * nothing with the walker.
 */
#include "harness.h"

#include <string.h>

#include "adversary.h"
#include "cpu.h"

#define BIT(n) (UINT64_C(1) << (n))
#define FIRST UINT64_C(0x800) /* frame */
#define FRAMES 2048
#define TABLES 64
#define SPARE_TABLE (FIRST + TABLES - 1) /* empty */
#define PAGES (FIRST + TABLES)
#define LARGE UINT64_C(0xa00) /* a frame at a multiple of 2 MiB */
#define AT UINT64_C(0x2345678000)
#define ABOVE UINT64_C(0xffff002345678000) /* aarch64's upper half */

/* aarch64 */
#define VALID BIT(0)
#define PAGE_OR_TABLE BIT(1)
#define TYPE_1 BIT(2)
#define EL0 BIT(6)
#define READ_ONLY BIT(7)
#define AF BIT(10)
#define NG BIT(11)
#define DBM BIT(51)
#define PXN BIT(53)
#define UXN BIT(54)
#define PXN_TABLE BIT(59)
#define UXN_TABLE BIT(60)
#define NO_EL0_TABLE BIT(61)
#define READ_ONLY_TABLE BIT(62)
#define ARM_PAGE (VALID | PAGE_OR_TABLE | EL0 | AF | NG)
#define ARM_BLOCK (VALID | EL0 | AF | NG)

/* riscv64 */
#define V BIT(0)
#define R BIT(1)
#define W BIT(2)
#define X BIT(3)
#define U BIT(4)
#define A BIT(6)
#define D BIT(7)
#define RISCV_PAGE (V | R | W | U | A | D)

struct board {
	lh_port *machine;
	uint64_t root, next; /* frames */
	unsigned levels;
	bool arm;
	machine_use use[FRAMES];
};

static uint64_t address_bits(const struct board *board, uint64_t frame)
{
	return board->arm ? frame << 12 : frame << 10;
}

static uint64_t take_table(struct board *board)
{
	uint64_t frame = board->next++;

	memset(machine_bytes(board->machine, frame), 0, LH_PAGE_SIZE);
	board->use[frame - FIRST] = MACHINE_TABLE;
	return frame;
}

static void load(struct board *board, unsigned cpu, uint64_t root)
{
	unsigned before = machine_run_on(board->machine, cpu);
	uintptr_t interrupts = lh_port_interrupts_off(board->machine);

	lh_architecture_load(board->machine, lh_frame(root));
	lh_port_interrupts_restore(board->machine, interrupts);
	machine_run_on(board->machine, before);
}

static void flush(struct board *board, uint64_t address, uint64_t pages)
{
	lh_virtual_range range = { lh_virtual(address), pages };

	for (unsigned cpu = 0; cpu < 2; cpu++) {
		uintptr_t interrupts;

		machine_run_on(board->machine, cpu);
		interrupts = lh_port_interrupts_off(board->machine);
		lh_architecture_flush_local(board->machine, lh_frame(board->root), range, true);
		lh_port_interrupts_restore(board->machine, interrupts);
	}
	machine_run_on(board->machine, 0);
}

/* Another moment: others may have read the tables. */
static void settle(void *context)
{
	struct board *board = context;
	uintptr_t interrupts = lh_port_interrupts_off(board->machine);

	lh_port_interrupts_restore(board->machine, interrupts);
}

static void open(struct board *board, const mmu_architecture *architecture, unsigned levels)
{
	machine_setup setup = { .spans = { { FIRST, FRAMES } }, .cpus = 2, .levels = levels,
				.architecture = architecture };

	*board = (struct board){ .machine = machine_create(&setup), .next = FIRST, .levels = levels,
				 .arm = architecture->root_each };
	for (unsigned i = 0; i < FRAMES; i++)
		board->use[i] = MACHINE_OTHER;
	board->use[SPARE_TABLE - FIRST] = MACHINE_TABLE;
	memset(machine_bytes(board->machine, SPARE_TABLE), 0, LH_PAGE_SIZE);
	board->root = take_table(board);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		load(board, cpu, board->root);
}

static void close(struct board *board)
{
	machine_destroy(board->machine);
}

static uint64_t *entry_of(struct board *board, uint64_t root, uint64_t address, unsigned level)
{
	uint64_t frame = root;

	for (unsigned at = board->levels - 1;; at--) {
		uint64_t *entry = (uint64_t *)machine_bytes(board->machine, frame) +
				  (address >> (12 + 9 * at) & 511);

		if (at == level)
			return entry;
		if (*entry == 0)
			*entry = address_bits(board, take_table(board)) |
				 (board->arm ? VALID | PAGE_OR_TABLE : V);
		frame = board->arm ? *entry << 16 >> 28 : *entry << 10 >> 20;
	}
}

/* Writes an entry as the library would: through pointers that it asked for. */
static void write(struct board *board, unsigned level, uint64_t value)
{
	uint64_t *entry = entry_of(board, board->root, AT, level);

	for (uint64_t frame = FIRST; frame < board->next; frame++)
		(void)lh_port_frame_pointer(board->machine, lh_frame(frame));
	*entry = value;
}

static uint64_t page(const struct board *board, uint64_t n, uint64_t bits)
{
	return address_bits(board, PAGES + n) | bits;
}

static bool access_at(struct board *board, uint64_t address, mmu_access access, machine_mode mode)
{
	machine_fault fault;

	return machine_try(board->machine, 0, lh_virtual(address), access, mode, &fault);
}

static bool can(struct board *board, mmu_access access, machine_mode mode)
{
	return access_at(board, AT, access, mode);
}

/* With nothing cached. */
static bool can_afresh(struct board *board, mmu_access access, machine_mode mode)
{
	mmu_tlb_flush_all(&board->machine->cpus[0].tlb);
	return can(board, access, mode);
}

/* --- rights --- */

/* DDI 0487, table D8-64: a table's bits take away from all that is below it. */
static bool arm_allows(uint64_t table, uint64_t leaf, mmu_access access, machine_mode mode)
{
	bool el0 = (leaf & EL0) && !(table & NO_EL0_TABLE);
	bool writes = !(leaf & READ_ONLY) && !(table & READ_ONLY_TABLE);

	/* EL0 may execute what it may not read. */
	if (mode == MACHINE_USER && access == MMU_FETCH)
		return !(leaf & UXN) && !(table & UXN_TABLE);
	if (mode == MACHINE_USER && !el0)
		return false;
	if (access != MMU_FETCH)
		return access == MMU_READ || writes;
	return !(leaf & PXN) && !(table & PXN_TABLE) && !((leaf & EL0) && !(leaf & READ_ONLY));
}

TEST(aarch64_accesses_are_judged_as_the_manual_says)
{
	static const uint64_t leaf_bits[] = { EL0, READ_ONLY, UXN, PXN };
	static const uint64_t table_bits[] = { 0, NO_EL0_TABLE, READ_ONLY_TABLE, UXN_TABLE, PXN_TABLE };
	struct board board;

	open(&board, &mmu_aarch64, 4);
	for (unsigned n = 0; n < 16 * 5 * 3; n++) {
		uint64_t leaf = page(&board, 1, VALID | PAGE_OR_TABLE | AF), table = table_bits[n / 16 % 5];
		uint64_t *upper = entry_of(&board, board.root, AT, 1 + n / 80);

		for (unsigned i = 0; i < 4; i++)
			leaf |= n >> i & 1 ? leaf_bits[i] : 0;
		*entry_of(&board, board.root, AT, 0) = leaf;
		*upper |= table;
		for (unsigned i = 0; i < 6; i++) {
			mmu_access access = (mmu_access)(i % 3);
			machine_mode mode = i < 3 ? MACHINE_USER : MACHINE_KERNEL;
			bool skipped = mode == MACHINE_KERNEL && access == MMU_FETCH && table != 0;

			/* Where EL0 may write only by the leaf, the table decides: not said here. */
			if (!skipped)
				CHECK_EQUAL(can_afresh(&board, access, mode),
					    arm_allows(table, leaf, access, mode));
		}
		*upper &= ~table;
	}
	close(&board);
}

TEST(aarch64_pxn_of_a_table_keeps_the_kernel_from_executing)
{
	struct board board;

	open(&board, &mmu_aarch64, 4);
	*entry_of(&board, board.root, AT, 0) =
		page(&board, 1, VALID | PAGE_OR_TABLE | AF | READ_ONLY);
	CHECK(can_afresh(&board, MMU_FETCH, MACHINE_KERNEL));
	*entry_of(&board, board.root, AT, 2) |= PXN_TABLE;
	CHECK(!can_afresh(&board, MMU_FETCH, MACHINE_KERNEL));
	CHECK(can_afresh(&board, MMU_READ, MACHINE_KERNEL));
	close(&board);
}

static bool riscv_allows(uint64_t leaf, bool sum, mmu_access access, machine_mode mode)
{
	uint64_t right = access == MMU_READ ? R : access == MMU_WRITE ? W : X;

	if (!(leaf & right))
		return false;
	if (mode == MACHINE_USER)
		return (leaf & U) != 0;
	return !(leaf & U) || (sum && access != MMU_FETCH);
}

TEST(riscv64_accesses_are_judged_as_the_manual_says)
{
	struct board board;

	for (unsigned levels = 3; levels <= 5; levels++) {
		open(&board, &mmu_riscv64, levels);
		for (unsigned n = 0; n < 32; n++) {
			uint64_t leaf = page(&board, 1, V | A | D) | (uint64_t)(n & 15) << 1;
			bool is_used = (leaf & (R | W)) != W && (leaf & (R | W | X)) != 0;

			board.machine->cpus[0].control.access_user = n >> 4;
			*entry_of(&board, board.root, AT, 0) = leaf;
			for (unsigned i = 0; i < 6; i++) {
				mmu_access access = (mmu_access)(i % 3);
				machine_mode mode = i < 3 ? MACHINE_USER : MACHINE_KERNEL;

				CHECK_EQUAL(can_afresh(&board, access, mode),
					    is_used && riscv_allows(leaf, n >> 4, access, mode));
			}
		}
		close(&board);
	}
}

TEST(riscv64_refuses_reserved_encodings)
{
	/* Bits 63:54, in a leaf and in a table; A, D and U in a table. */
	static const uint64_t table_bits[] = { A, D, U };
	struct board board;

	open(&board, &mmu_riscv64, 4);
	for (unsigned bit = 54; bit < 64; bit++) {
		/* One of Svpbmt's two bits alone is a memory type. */
		bool allowed = bit == 61 || bit == 62;

		*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE) | BIT(bit);
		CHECK_EQUAL(can_afresh(&board, MMU_READ, MACHINE_USER), allowed);
		*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE);
		*entry_of(&board, board.root, AT, 1) ^= BIT(bit);
		CHECK(!can_afresh(&board, MMU_READ, MACHINE_USER));
		*entry_of(&board, board.root, AT, 1) ^= BIT(bit);
	}
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE) | BIT(61) | BIT(62);
	CHECK(!can_afresh(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE);
	CHECK(can_afresh(&board, MMU_READ, MACHINE_USER));
	for (unsigned i = 0; i < 3; i++) {
		*entry_of(&board, board.root, AT, 2) ^= table_bits[i];
		CHECK(!can_afresh(&board, MMU_READ, MACHINE_USER));
		*entry_of(&board, board.root, AT, 2) ^= table_bits[i];
	}
	/* A large page that is not aligned. */
	*entry_of(&board, board.root, AT, 1) = address_bits(&board, LARGE) | RISCV_PAGE;
	CHECK(can_afresh(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 1) = address_bits(&board, LARGE + 8) | RISCV_PAGE;
	CHECK(!can_afresh(&board, MMU_READ, MACHINE_USER));
	close(&board);
}

TEST(aarch64_has_no_block_at_the_top_and_none_at_the_bottom)
{
	struct board board;

	open(&board, &mmu_aarch64, 4);
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, ARM_PAGE);
	CHECK(can_afresh(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 0) ^= PAGE_OR_TABLE;
	CHECK(!can_afresh(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 1) = address_bits(&board, LARGE) | ARM_BLOCK;
	CHECK(can_afresh(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 3) = ARM_BLOCK;
	CHECK(!can_afresh(&board, MMU_READ, MACHINE_USER));
	close(&board);
}

TEST(aarch64_translates_each_half_by_its_own_root)
{
	struct board board;
	uint64_t upper;

	open(&board, &mmu_aarch64, 4);
	upper = take_table(&board);
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, ARM_PAGE);
	*entry_of(&board, upper, ABOVE, 0) = page(&board, 2, (ARM_PAGE & ~(EL0 | NG)));
	CHECK(!access_at(&board, ABOVE, MMU_READ, MACHINE_KERNEL));
	machine_set_upper_root(board.machine, lh_frame(upper));
	CHECK(access_at(&board, ABOVE, MMU_READ, MACHINE_KERNEL));
	CHECK(!access_at(&board, ABOVE, MMU_READ, MACHINE_USER));
	CHECK(can(&board, MMU_READ, MACHINE_USER));
	/* Neither half's: bits 63:48 are not all alike. */
	CHECK(!access_at(&board, ABOVE ^ BIT(50), MMU_READ, MACHINE_KERNEL));
	/* With the upper root alone. */
	load(&board, 0, upper);
	CHECK(!can_afresh(&board, MMU_READ, MACHINE_USER));
	CHECK(access_at(&board, ABOVE, MMU_READ, MACHINE_KERNEL));
	close(&board);
}

/* --- flags --- */

TEST(flags_are_set_or_asked_for_by_a_fault)
{
	struct board board;

	open(&board, &mmu_aarch64, 4);
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, ARM_PAGE ^ AF);
	CHECK(!can_afresh(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, ARM_PAGE | READ_ONLY | DBM);
	CHECK(!can_afresh(&board, MMU_WRITE, MACHINE_USER));
	close(&board);

	open(&board, &mmu_aarch64_flags, 4);
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, (ARM_PAGE ^ AF) | READ_ONLY | DBM);
	CHECK(can_afresh(&board, MMU_READ, MACHINE_USER));
	CHECK_EQUAL(*entry_of(&board, board.root, AT, 0), page(&board, 1, ARM_PAGE | READ_ONLY | DBM));
	CHECK(can(&board, MMU_WRITE, MACHINE_USER));
	CHECK_EQUAL(*entry_of(&board, board.root, AT, 0), page(&board, 1, ARM_PAGE | DBM));
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, ARM_PAGE | READ_ONLY);
	CHECK(!can_afresh(&board, MMU_WRITE, MACHINE_USER));
	close(&board);

	open(&board, &mmu_riscv64, 3);
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE ^ A);
	CHECK(!can_afresh(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE ^ D);
	CHECK(can_afresh(&board, MMU_READ, MACHINE_USER));
	CHECK(!can_afresh(&board, MMU_WRITE, MACHINE_USER));
	close(&board);

	open(&board, &mmu_riscv64_flags, 3);
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE ^ A ^ D);
	CHECK(can_afresh(&board, MMU_READ, MACHINE_USER));
	CHECK_EQUAL(*entry_of(&board, board.root, AT, 0), page(&board, 1, RISCV_PAGE ^ D));
	CHECK(can(&board, MMU_WRITE, MACHINE_USER));
	CHECK_EQUAL(*entry_of(&board, board.root, AT, 0), page(&board, 1, RISCV_PAGE));
	close(&board);
}

/* --- what a CPU may keep --- */

static machine_use use_of(void *context, lh_frame_number frame)
{
	const struct board *board = context;

	return board->use[frame.value - FIRST];
}

static void open_watched(struct board *board, const mmu_architecture *architecture, unsigned levels,
			 unsigned level, uint64_t value)
{
	open(board, architecture, levels);
	(void)entry_of(board, board->root, AT, level);
	machine_watch(board->machine, use_of, board);
	machine_operation(board->machine, "first");
	write(board, level, value);
	settle(board);
	flush(board, AT, 512);
	machine_operation(board->machine, "second");
}

/* The next moment brings this report; NULL: none. */
static void expect(struct board *board, const char *part)
{
	const char *message = machine_expect_panic(board->machine, settle, board);

	if (!part && message)
		test_fail(__FILE__, __LINE__, "reported: %s", message);
	if (part && (!message || !strstr(message, part)))
		test_fail(__FILE__, __LINE__, "reported: %s; not: %s", message ? message : "nothing",
			  part);
}

/* From one entry to another: in one step, by way of an absent entry without a flush, and with it. */
static void try_change(const mmu_architecture *architecture, unsigned level, uint64_t from,
		       uint64_t to, bool wants_break)
{
	static const char *const in_one_step = "changed without break-before-make";
	struct board board;

	open_watched(&board, architecture, 4, level, from);
	write(&board, level, to);
	expect(&board, wants_break ? in_one_step : NULL);
	close(&board);

	open_watched(&board, architecture, 4, level, from);
	write(&board, level, 0);
	expect(&board, NULL);
	write(&board, level, to);
	expect(&board, wants_break ? "an address leads elsewhere before it was flushed" : NULL);
	close(&board);

	open_watched(&board, architecture, 4, level, from);
	write(&board, level, 0);
	settle(&board);
	flush(&board, AT, UINT64_C(1) << 9 * level);
	write(&board, level, to);
	expect(&board, NULL);
	CHECK_SOUND(machine_check_tlbs(board.machine));
	close(&board);
}

TEST(b19_aarch64_wants_a_break_before_it_is_made_anew)
{
	uint64_t first = PAGES << 12 | ARM_PAGE, large = LARGE << 12 | ARM_BLOCK;
	uint64_t table = SPARE_TABLE << 12 | VALID | PAGE_OR_TABLE;
	static const mmu_architecture *const both[] = { &mmu_aarch64, &mmu_aarch64_flags };

	for (unsigned i = 0; i < 2; i++) {
		try_change(both[i], 0, first, (PAGES + 1) << 12 | ARM_PAGE, true);
		try_change(both[i], 0, first, first | TYPE_1, true);
		try_change(both[i], 0, first, first ^ NG, true);
		/* Rights and flags go by a write and a flush. */
		try_change(both[i], 0, first, first | READ_ONLY, false);
		try_change(both[i], 0, first, first | UXN, false);
		try_change(both[i], 0, first ^ NG, first, false);
		/* A block that becomes a table, and back. */
		try_change(both[i], 1, large, table, true);
		try_change(both[i], 1, table, large, true);
	}
}

/* On others only what leads elsewhere is wrong. */
TEST(other_architectures_may_change_the_memory_type_in_one_step)
{
	uint64_t first = PAGES << 10 | RISCV_PAGE;
	struct board board;

	open_watched(&board, &mmu_riscv64, 4, 0, first);
	write(&board, 0, first | BIT(61));
	expect(&board, NULL);
	CHECK(machine_stale_count(board.machine, 1) != 0);
	flush(&board, AT, 1);
	CHECK_SOUND(machine_check_tlbs(board.machine));
	close(&board);
}

TEST(riscv64_may_keep_that_an_entry_was_absent)
{
	struct board board;

	/* By an access that faulted. */
	open(&board, &mmu_riscv64, 3);
	(void)entry_of(&board, board.root, AT, 0);
	CHECK(!can(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE);
	CHECK(!can(&board, MMU_READ, MACHINE_USER));
	CHECK(!can(&board, MMU_READ, MACHINE_USER));
	flush(&board, AT + LH_PAGE_SIZE, 1);
	CHECK(!can(&board, MMU_READ, MACHINE_USER));
	flush(&board, AT, 1);
	CHECK(can(&board, MMU_READ, MACHINE_USER));
	close(&board);
	/* Though nobody touched it; at a level above too. */
	for (unsigned level = 0; level < 2; level++) {
		open(&board, &mmu_riscv64, 3);
		(void)entry_of(&board, board.root, AT, level);
		machine_watch(board.machine, use_of, &board);
		write(&board, level, address_bits(&board, LARGE) | RISCV_PAGE);
		settle(&board);
		CHECK(!can(&board, MMU_READ, MACHINE_USER));
		/* A stale absence leads nowhere. */
		CHECK_SOUND(machine_check_tlbs(board.machine));
		flush(&board, AT, 1);
		CHECK(can(&board, MMU_READ, MACHINE_USER));
		close(&board);
	}
}

TEST(others_keep_only_what_is_present)
{
	struct board board;

	open(&board, &mmu_aarch64, 4);
	(void)entry_of(&board, board.root, AT, 0);
	CHECK(!can(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, ARM_PAGE);
	CHECK(can(&board, MMU_READ, MACHINE_USER));
	close(&board);
}

TEST(a_fault_for_rights_removes_nothing_on_aarch64_and_riscv64)
{
	struct board board;

	open(&board, &mmu_aarch64, 4);
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, ARM_PAGE | READ_ONLY);
	CHECK(can(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, ARM_PAGE);
	for (unsigned i = 0; i < 2; i++)
		CHECK(!can(&board, MMU_WRITE, MACHINE_USER));
	flush(&board, AT, 1);
	CHECK(can(&board, MMU_WRITE, MACHINE_USER));
	close(&board);

	open(&board, &mmu_riscv64, 5);
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE ^ W);
	CHECK(can(&board, MMU_READ, MACHINE_USER));
	*entry_of(&board, board.root, AT, 0) = page(&board, 1, RISCV_PAGE);
	for (unsigned i = 0; i < 2; i++)
		CHECK(!can(&board, MMU_WRITE, MACHINE_USER));
	flush(&board, AT, 1);
	CHECK(can(&board, MMU_WRITE, MACHINE_USER));
	close(&board);
}
