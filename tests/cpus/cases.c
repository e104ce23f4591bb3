/* SPDX-License-Identifier: BSD-2-Clause */
/* What is tried in each format: every kind of entry, in both halves; then anything at random. */
#include "judge.h"

#define RANDOM_STEPS 3000
#define RANDOM_PAGES 12

/* A page of each half, far from the window, the snippets and the halves' ends. */
static uint64_t place(bool in_user_half, unsigned n)
{
	uint64_t top = lh_paging_entries(judge_format, judge_format->levels - 1u) > 4 ? 3 : 1;
	uint64_t far = judge_level_bytes(judge_format->levels - 1u) * top + judge_level_bytes(1) * 5 + n * LH_PAGE_SIZE;

	return in_user_half ? far : (0 - (UINT64_C(1) << (judge_format->address_bits - !judge_format->root_each))) + far;
}

/* Every set of rights, in both halves; then each made less, down to none. */
void judge_rights(lh_frame_number frame)
{
	for (unsigned trial = 0; trial < 16; trial++) {
		uint64_t address = place(trial & 8, trial & 7);
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = (lh_rights)(trial & 7), .frame = frame };

		if (leaf.rights == LH_RIGHT_NONE)
			leaf.kind = LH_LEAF_NO_ACCESS;
		judge_try_all(address);
		judge_map(address, leaf);
		judge_try_all(address);
		for (unsigned taken = 0; taken < 3; taken++) {
			judge_restrict(address, (lh_rights)(LH_RIGHTS_ALL & ~((2u << taken) - 1)));
			judge_try_all(address);
		}
		judge_clear(address);
		judge_try_all(address);
	}
}

void judge_types(lh_frame_number frame)
{
	for (unsigned type = 0; type < LH_MEMORY_TYPE_COUNT; type++) {
		uint64_t address = place(type & 1, type);
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE,
				 .type = (lh_memory_type)type, .frame = frame };

		judge_map(address, leaf);
		judge_try_all(address);
		judge_clear(address);
	}
}

/* A leaf of each level that has them; the frame is somewhere in it. */
void judge_levels(lh_frame_number frame)
{
	for (unsigned trial = 0; trial < 2u * judge_format->levels; trial++) {
		unsigned level = trial / 2;
		uint64_t physical = lh_frame_address(frame).value;
		uint64_t offset = physical & (judge_level_bytes(level) - 1);
		uint64_t address = place(trial & 1, 0) & ~(judge_level_bytes(level) - 1);
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHTS_ALL, .level = (uint8_t)level,
				 .frame = lh_physical_frame(lh_physical(physical - offset)) };

		/* The kernel's top entries are tables for ever, where every root has them. */
		if (!judge_format->leaf_at[level] ||
		    (trial % 2 == 0 && level == judge_format->levels - 1u && !judge_format->root_each))
			continue;
		judge_map(address, leaf);
		judge_try_all(address + offset);
		judge_clear(address);
		judge_try_all(address + offset);
	}
}

/* What the CPU notes by itself, a flag for a reason each. */
void judge_flags(lh_frame_number frame)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE, .frame = frame };
	uint64_t address = place(true, 1);

	if (judge_format->software_accessed)
		return;
	judge_map(address, leaf);
	judge_count((judge_query(address).flags & (LH_LEAF_ACCESSED | LH_LEAF_DIRTY)) == 0, "noted too early", address);
	judge_run(PROBE_READ, address + 8, 0, true);
	judge_count((judge_query(address).flags & LH_LEAF_ACCESSED) != 0, "accessed not noted", address);
	judge_count((judge_query(address).flags & LH_LEAF_DIRTY) == 0, "dirty noted for a read", address);
	judge_run(PROBE_WRITE, address + 8, 77, true);
	judge_count((judge_query(address).flags & LH_LEAF_DIRTY) != 0, "dirty not noted", address);
	judge_restrict(address, LH_RIGHT_READ);
	judge_count((judge_query(address).flags & LH_LEAF_DIRTY) != 0, "dirty lost with the right", address);
	judge_try_all(address);
	judge_clear(address);
}

/* Two runs and pages at either end, in memory of their own; each page tried, and what is noted of one read of another. */
#define RUN_EDGE 3

static void map_runs(uint64_t address, uint64_t pages, lh_frame_number first)
{
	lh_virtual_range range = { lh_virtual(address), pages };
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHTS_ALL,
			 .flags = LH_LEAF_UNCOUNTED | LH_LEAF_RUNS, .frame = first };
	lh_spare_tables spares = { 0, 0 };

	for (uint64_t page = 0; page < pages; page++) {
		uint64_t *words = lh_frame_pointer(judge_frames, lh_frame(first.value + page));

		words[0] = cpu_breakpoint;
		words[1] = page;
	}
	judge_must(lh_directory_prepare_map(judge_directory_of(address), range, leaf, &spares));
	judge_must(lh_directory_map(judge_directory_of(address), range, leaf, NULL, &spares));
	lh_spare_tables_give_back(judge_frames, &spares);
	lh_directory_announce(judge_directory_of(address), range);
}

void judge_runs(void)
{
	uint64_t slots = UINT64_C(1) << judge_format->run_shift[0], pages = 2 * slots + 2 * RUN_EDGE;
	lh_frame_number first;

	if (slots == 1)
		return;
	judge_must(lh_frame_allocate_contiguous(judge_frames, 3 * slots + RUN_EDGE, slots, UINT64_MAX, LH_FRAME_KERNEL, &first));
	for (unsigned in_user_half = 0; in_user_half < 2; in_user_half++) {
		uint64_t address = place(in_user_half != 0, 0) + (slots - RUN_EDGE) * LH_PAGE_SIZE;
		uint64_t in_run = address + (RUN_EDGE + 1) * LH_PAGE_SIZE;

		map_runs(address, pages, lh_frame(first.value + slots - RUN_EDGE));
		judge_run(PROBE_WRITE, in_run + 8, 99, in_user_half != 0);
		judge_count((judge_query(in_run + LH_PAGE_SIZE).flags & LH_LEAF_ACCESSED) != 0, "accessed not noted of a run",
		      in_run);
		judge_count((judge_query(in_run + LH_PAGE_SIZE).flags & LH_LEAF_DIRTY) != 0, "dirty not noted of a run", in_run);
		for (uint64_t page = 0; page < pages; page++)
			judge_try_all(address + page * LH_PAGE_SIZE);
		judge_restrict(in_run, LH_RIGHT_READ);
		for (uint64_t page = 0; page < pages; page++)
			judge_try_all(address + page * LH_PAGE_SIZE);
		judge_unmap(address, pages);
		judge_try_all(in_run);
	}
	lh_frame_drop_contiguous(judge_frames, first, 3 * slots + RUN_EDGE);
}

/* What is not present grants nothing, whatever it keeps: here the number of a frame that is there. */
void judge_marks(lh_frame_number frame)
{
	static const lh_leaf_kind kinds[] = { LH_LEAF_NO_ACCESS, LH_LEAF_BUSY, LH_LEAF_SWAPPED, LH_LEAF_PURGED,
					      LH_LEAF_GUARD };

	for (unsigned trial = 0; trial < 2 * sizeof kinds / sizeof *kinds; trial++) {
		uint64_t address = place(trial & 1, trial);
		lh_leaf leaf = { .kind = kinds[trial / 2], .rights = LH_RIGHTS_ALL, .frame = frame };

		judge_map(address, leaf);
		judge_count(judge_query(address).kind == leaf.kind, "not what was written", address);
		judge_try_all(address);
		if (lh_leaf_is_mark(leaf.kind)) {
			leaf.kind = LH_LEAF_PRESENT;
			judge_map(address, leaf);
			judge_try_all(address);
		}
		judge_clear(address);
	}
}

/* A huge leaf that is split, a page of it restricted; and one that is split and put together again. */
void judge_split(void)
{
	lh_spare_tables spares = { 0, 0 };
	lh_frame_number first;

	judge_must(lh_frame_allocate_contiguous(judge_frames, 2, 2, UINT64_MAX, LH_FRAME_KERNEL, &first));
	for (unsigned trial = 0; trial < 4; trial++) {
		uint64_t physical = lh_frame_address(first).value, offset = physical & (judge_level_bytes(1) - 1);
		uint64_t start = place(trial & 1, 0) & ~(judge_level_bytes(1) - 1), address = start + offset;
		lh_directory *directory = judge_directory_of(address);
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHTS_ALL, .level = 1,
				 .flags = LH_LEAF_DIRTY | LH_LEAF_ACCESSED,
				 .frame = lh_physical_frame(lh_physical(physical - offset)) };
		lh_virtual_range page = { lh_virtual(address), 1 };

		for (uint64_t n = 0; n < 2; n++)
			*(uint64_t *)judge_seen(physical + n * LH_PAGE_SIZE) = cpu_breakpoint;
		judge_map(start, leaf);
		judge_try_all(address);
		judge_must(lh_directory_prepare_split(directory, page, &spares));
		judge_must(lh_directory_split(directory, page, &spares));
		lh_spare_tables_give_back(judge_frames, &spares);
		judge_count(judge_query(address).level == 0, "not split", address);
		if (trial < 2)
			judge_restrict(address, LH_RIGHT_READ);
		else
			judge_count(lh_directory_promote(directory, lh_virtual(address), 1), "not put together", address);
		judge_try_all(address);
		judge_try_all(address + LH_PAGE_SIZE);
		judge_unmap(start, judge_level_bytes(1) >> LH_PAGE_SHIFT);
		judge_try_all(address);
	}
	lh_frame_drop_contiguous(judge_frames, first, 2);
}

/* A protection key of a page is what the CPU finds there, and no other. */
void judge_keys(lh_frame_number frame)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE, .frame = frame };
	uint64_t address = place(true, 1);

	for (unsigned key = 1; key < 16 && judge_format->key != 0 && cpu_refuse_key(key); key++) {
		leaf.key = (uint8_t)key;
		judge_map(address, leaf);
		judge_run(PROBE_READ, address + 8, 0, true);
		judge_count(cpu_faulted(), "its key not refused", address);
		cpu_refuse_key(key ^ 1);
		judge_run(PROBE_READ, address + 8, 0, true);
		judge_count(cpu_stopped_at_breakpoint(), "refused by another key", address);
		judge_clear(address);
	}
	if (judge_format->key != 0)
		cpu_refuse_key(0);
}

/* Maps, takes rights away and clears at random, around the borders of tables; each page is
 * tried after each step. */
void judge_random(const lh_frame_number *frame)
{
	for (unsigned step = 0; step < RANDOM_STEPS; step++) {
		uint64_t n = lh_port_random(NULL) % RANDOM_PAGES;
		uint64_t border = judge_level_bytes(1 + (unsigned)(n % (judge_format->levels - 1u)));
		uint64_t address = place(n & 1, 0) / border * border + (n / 2) * LH_PAGE_SIZE -
				   2 * LH_PAGE_SIZE;
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .frame = frame[lh_port_random(NULL) % 2],
				 .rights = (lh_rights)(1 + lh_port_random(NULL) % 7) };
		lh_leaf now = judge_query(address);

		if (now.kind == LH_LEAF_EMPTY)
			judge_map(address, leaf);
		else if (lh_port_random(NULL) % 2)
			judge_restrict(address, (lh_rights)(lh_port_random(NULL) % 8));
		else
			judge_clear(address);
		judge_try_access((judge_probe)(lh_port_random(NULL) % 3), address, lh_port_random(NULL) % 2);
		judge_try_access((judge_probe)(lh_port_random(NULL) % 3), address, n & 1);
	}
	judge_count(lh_directory_check(&judge_user) == NULL, "the walker's finding in user mode's half", 0);
	judge_count(lh_directory_check(&judge_kernel) == NULL, "the walker's finding in the kernel's half", 0);
}
