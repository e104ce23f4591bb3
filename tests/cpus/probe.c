/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Probes. Each takes the library's own answer for a page and tries it: reads, writes and fetches in user mode and in
 * the kernel's. An access that is allowed must reach the very frame; one that is not must fault; accessed and dirty
 * must be set.
 */
#include "judge.h"

lh_frames *judge_frames;
lh_directory judge_kernel, judge_user;
const lh_paging_format *judge_format;

/* --- pages --- */

lh_directory *judge_directory_of(uint64_t address)
{
	return address >> 63 ? &judge_kernel : &judge_user;
}

lh_leaf judge_query(uint64_t address)
{
	return lh_directory_read(judge_directory_of(address), lh_virtual(address));
}

void judge_map(uint64_t address, lh_leaf leaf)
{
	lh_directory *directory = judge_directory_of(address);
	lh_spare_tables spares = { 0, 0 };

	leaf.flags |= LH_LEAF_UNCOUNTED;
	judge_must(lh_spare_tables_take(judge_frames, LH_PAGING_LEVELS_MAX, &spares));
	if (leaf.level > 0)
		judge_must(lh_directory_write_large(directory, lh_virtual(address), leaf, &spares));
	else
		judge_must(lh_directory_write(directory, lh_virtual(address), leaf, &spares));
	lh_spare_tables_give_back(judge_frames, &spares);
	lh_directory_announce(directory, (lh_virtual_range){ lh_virtual(address), 1 });
}

uint64_t judge_level_bytes(unsigned level)
{
	return UINT64_C(1) << judge_format->level_shift[level];
}

void judge_clear(uint64_t address)
{
	lh_virtual_range range = { lh_virtual(address), 1 };
	lh_gather gather;

	if (judge_query(address).kind == LH_LEAF_EMPTY)
		return;
	range.pages = judge_level_bytes(judge_query(address).level) >> LH_PAGE_SHIFT;
	range.base.value &= ~(judge_level_bytes(judge_query(address).level) - 1);
	lh_gather_begin(&gather, judge_directory_of(address));
	lh_directory_clear_range(judge_directory_of(address), range, &gather);
	lh_gather_finish(&gather);
}

void judge_restrict(uint64_t address, lh_rights rights)
{
	lh_virtual_range range = { lh_virtual(address), 1 };
	lh_gather gather;

	lh_gather_begin(&gather, judge_directory_of(address));
	lh_directory_restrict_range(judge_directory_of(address), range, rights, &gather);
	lh_gather_finish(&gather);
}

void judge_unmap(uint64_t address, uint64_t pages)
{
	lh_virtual_range range = { lh_virtual(address), pages };
	lh_gather gather;

	lh_gather_begin(&gather, judge_directory_of(address));
	lh_directory_clear_range(judge_directory_of(address), range, &gather);
	lh_gather_finish(&gather);
}

/* --- probes --- */

/* Where a mode's own code of the snippets is. */
static uint64_t snippet(const uint8_t *code, bool in_user_mode)
{
	return in_user_mode ? JUDGE_USER_CODE + (uint64_t)(code - cpu_snippet_read) : (uint64_t)(uintptr_t)code;
}

void judge_run(judge_probe kind, uint64_t address, uint64_t value, bool in_user_mode)
{
	if (kind == PROBE_FETCH)
		cpu_run(address, 0, 0, in_user_mode);
	else
		cpu_run(snippet(kind == PROBE_READ ? cpu_snippet_read : cpu_snippet_write, in_user_mode),
			address, value, in_user_mode);
}

/* What the library says: may this be done here? The kernel stays out of user mode's pages. */
static bool is_granted(const lh_leaf *leaf, judge_probe kind, uint64_t address, bool in_user_mode)
{
	static const lh_rights rights[] = { LH_RIGHT_READ, LH_RIGHT_WRITE, LH_RIGHT_EXECUTE };

	return leaf->kind == LH_LEAF_PRESENT && (leaf->rights & rights[kind]) != 0 &&
	       (address >> 63 == 0) == in_user_mode;
}

/* The word that the address stands for: the second of a page, the first is the breakpoint. */
static volatile uint64_t *word_behind(const lh_leaf *leaf, uint64_t address)
{
	uint64_t offset = address & (judge_level_bytes(leaf->level) - 1);

	return judge_seen(lh_frame_address(leaf->frame).value + offset);
}

/* One access, held against what the leaf says of it. */
void judge_try_access(judge_probe kind, uint64_t address, bool in_user_mode)
{
	lh_leaf leaf = judge_query(address);
	bool granted = is_granted(&leaf, kind, address, in_user_mode);
	uint64_t at = kind == PROBE_FETCH ? address : address + 8;
	uint64_t before = granted ? *word_behind(&leaf, at) : 0;
	bool allowed;

	judge_run(kind, at, before + 1, in_user_mode);
	allowed = cpu_stopped_at_breakpoint();
	judge_count(allowed == granted, granted ? "refused" : "not refused", at);
	judge_count(allowed || cpu_faulted(), "another trap", at);
	if (!allowed || !granted)
		return;
	if (kind == PROBE_FETCH)
		judge_count(cpu_last.pc == address, "elsewhere", at);
	if (kind == PROBE_READ)
		judge_count(cpu_last.value == before, "another frame read", at);
	if (kind == PROBE_WRITE)
		judge_count(*word_behind(&leaf, at) == before + 1, "another frame written", at);
	leaf = judge_query(address);
	judge_count((leaf.flags & LH_LEAF_ACCESSED) != 0, "not noted as accessed", at);
	if (kind == PROBE_WRITE)
		judge_count((leaf.flags & LH_LEAF_DIRTY) != 0 || !judge_format->dirty.mask, "not noted as dirty", at);
}

void judge_try_all(uint64_t address)
{
	for (unsigned kind = PROBE_READ; kind <= PROBE_FETCH; kind++) {
		judge_try_access((judge_probe)kind, address, true);
		judge_try_access((judge_probe)kind, address, false);
	}
}
