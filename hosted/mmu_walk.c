/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page walker. Sources are section numbers of the Intel SDM, volume 3A, chapter 4:
 *
 *   4.5.1  canonical addresses             4.7  page-fault error codes
 *   4.5.4  the walk, and the tables of     4.8  accessed and dirty flags
 *          entry formats beside it         4.10 TLBs, paging-structure caches
 *   4.6.1  access rights
 *
 * A walk goes down from the root, or from the lowest cached upper entry. Each entry is
 * judged in the manual's order: not present, then reserved bits; rights are judged at
 * the end, for the whole path, since a fault for rights exists only where there is a
 * translation. The accessed flag of an upper entry is set as the walk passes it, that
 * of the mapping entry when the access is allowed. Each flag is set by a locked
 * operation; if the entry changed meanwhile, the walk starts again.
 */
#include "mmu.h"

/* "Format of a PML5 Entry", "PML4 Entry", "Page-Directory-Pointer-Table Entry",
 * "Page-Directory Entry", "Page-Table Entry": the bits they share. */
#define ENTRY_PRESENT (UINT64_C(1) << 0)
#define ENTRY_WRITABLE (UINT64_C(1) << 1)
#define ENTRY_USER (UINT64_C(1) << 2)
#define ENTRY_ACCESSED (UINT64_C(1) << 5)
#define ENTRY_DIRTY (UINT64_C(1) << 6)	/* in entries that map a page */
#define ENTRY_SIZE (UINT64_C(1) << 7)	/* PS; the PAT bit in a page-table entry */
#define ENTRY_GLOBAL (UINT64_C(1) << 8) /* in entries that map a page */
#define ENTRY_EXECUTE_DISABLE (UINT64_C(1) << 63)
#define ENTRY_ADDRESS UINT64_C(0x000ffffffffff000) /* bits 51:12 */

/* How often an entry may change under the walk before something is wrong with the test. */
#define RESTARTS_MAX 1000

/* A walk under way: where it is and what the path so far allows. */
struct walk {
	const mmu_memory *memory;
	const mmu_control *control;
	const mmu_request *request;
	mmu_tlb *tlb; /* or NULL */
	unsigned level;
	uint64_t table;
	bool writable, user, executable;
};

enum step { STEP_DOWN, STEP_DONE, STEP_RESTART };

static unsigned shift_of(unsigned level)
{
	return 12 + 9 * level;
}

/* First byte of what one entry of the level covers. */
static uint64_t covered_base(uint64_t address, unsigned level)
{
	return address & ~((UINT64_C(1) << shift_of(level)) - 1);
}

bool mmu_is_canonical(const mmu_control *control, uint64_t address)
{
	unsigned top = shift_of(control->levels) - 1; /* bit 47 or 56 */
	uint64_t above = address >> top;

	return above == 0 || above == UINT64_MAX >> top;
}

/* 4.7: W/R, U/S and I/D describe the access; I/D only where fetches can be told apart. */
static uint32_t access_error(const mmu_control *control, mmu_access access, bool user)
{
	uint32_t error = user ? MMU_ERROR_USER : 0;

	if (access == MMU_WRITE)
		error |= MMU_ERROR_WRITE;
	if (access == MMU_FETCH && (control->no_execute || control->smep))
		error |= MMU_ERROR_FETCH;
	return error;
}

/* 4.6.1, accesses of user mode: only to user-mode addresses. */
static bool user_may(const mmu_translation *page, mmu_access access)
{
	return page->user && (access != MMU_WRITE || page->writable) &&
	       (access != MMU_FETCH || page->executable);
}

/* 4.6.1, accesses of supervisor mode. */
static bool supervisor_may(const mmu_control *control, const mmu_translation *page,
			   mmu_access access)
{
	if (access == MMU_FETCH)
		return page->executable && !(page->user && control->smep);
	if (page->user && control->smap && !control->access_user)
		return false;
	return access != MMU_WRITE || page->writable || !control->write_protect;
}

uint32_t mmu_check_rights(const mmu_control *control, const mmu_translation *translation,
			  mmu_access access, bool user)
{
	bool allowed = user ? user_may(translation, access)
			    : supervisor_may(control, translation, access);

	return allowed ? 0 : access_error(control, access, user) | MMU_ERROR_PRESENT;
}

static bool maps_page(unsigned level, uint64_t entry)
{
	return level == 0 || (entry & ENTRY_SIZE) != 0;
}

/* The bits that must be 0 in a present entry of the level. */
static uint64_t reserved_bits(const mmu_control *control, unsigned level, uint64_t entry)
{
	/* bits 51:MAXPHYADDR, in every entry */
	uint64_t reserved = ENTRY_ADDRESS & ~((UINT64_C(1) << control->physical_bits) - 1);

	if (!control->no_execute)
		reserved |= ENTRY_EXECUTE_DISABLE;
	if (level >= 3 || (level == 2 && !control->gigabyte_pages))
		return reserved | ENTRY_SIZE;
	/* A 1 GiB page: bits 29:13. A 2 MiB page: bits 20:13. Bit 12 is PAT in both. */
	if (level != 0 && (entry & ENTRY_SIZE))
		reserved |= (UINT64_C(1) << shift_of(level)) - (UINT64_C(1) << 13);
	return reserved;
}

static void fault(const struct walk *walk, uint32_t cause, mmu_result *result)
{
	result->outcome = MMU_PAGE_FAULT;
	result->error_code =
		cause | access_error(walk->control, walk->request->access, walk->request->user);
}

/* Sets flags in an entry; false if it changed since it was read. */
static bool set_flags(const struct walk *walk, uint64_t where, uint64_t entry, uint64_t flags)
{
	uint64_t expected = entry;

	if ((entry & flags) == flags)
		return true;
	return walk->memory->exchange(walk->memory->context, where, &expected, entry | flags);
}

/* The entry names a table: go down, and let the paging-structure cache keep it. */
static enum step pass(struct walk *walk, uint64_t where, uint64_t entry)
{
	if (!set_flags(walk, where, entry, ENTRY_ACCESSED))
		return STEP_RESTART;
	walk->table = entry & ENTRY_ADDRESS;
	if (walk->tlb) {
		mmu_upper upper = {
			.linear = covered_base(walk->request->address, walk->level),
			.table = walk->table,
			.level = (uint8_t)walk->level,
			.writable = walk->writable,
			.user = walk->user,
			.executable = walk->executable,
		};
		mmu_tlb_add_upper(walk->tlb, walk->request->root, &upper);
	}
	walk->level--;
	return STEP_DOWN;
}

/* The entry maps a page: judge the rights, set the flags, make the TLB entry. */
static enum step arrive(struct walk *walk, uint64_t where, uint64_t entry, mmu_result *result)
{
	const mmu_request *request = walk->request;
	uint64_t offset_mask = (UINT64_C(1) << shift_of(walk->level)) - 1;
	uint64_t flags = ENTRY_ACCESSED;
	mmu_translation page = {
		.linear = covered_base(request->address, walk->level),
		.physical = entry & ENTRY_ADDRESS & ~offset_mask,
		.entry = where,
		.level = (uint8_t)walk->level,
		.writable = walk->writable,
		.user = walk->user,
		.executable = walk->executable,
		.global = walk->control->global_pages && (entry & ENTRY_GLOBAL),
		.dirty = (entry & ENTRY_DIRTY) != 0,
	};

	if (!request->speculative) {
		uint32_t error =
			mmu_check_rights(walk->control, &page, request->access, request->user);

		if (error) {
			fault(walk, error, result);
			return STEP_DONE;
		}
		if (request->access == MMU_WRITE) {
			flags |= ENTRY_DIRTY;
			page.dirty = true;
		}
	}
	if (!set_flags(walk, where, entry, flags))
		return STEP_RESTART;
	result->outcome = MMU_TRANSLATED;
	result->translation = page;
	result->physical = page.physical | (request->address & offset_mask);
	if (walk->tlb)
		mmu_tlb_add(walk->tlb, request->root, &page);
	return STEP_DONE;
}

/* Reads and judges one entry. */
static enum step step(struct walk *walk, mmu_result *result)
{
	uint64_t index = walk->request->address >> shift_of(walk->level) & 511;
	uint64_t where = walk->table + index * 8;
	uint64_t entry;

	if (!walk->memory->read(walk->memory->context, where, &entry)) {
		result->outcome = MMU_NO_MEMORY;
		result->missing = where;
		return STEP_DONE;
	}
	if (!(entry & ENTRY_PRESENT)) {
		fault(walk, 0, result);
		return STEP_DONE;
	}
	if (entry & reserved_bits(walk->control, walk->level, entry)) {
		fault(walk, MMU_ERROR_RESERVED | MMU_ERROR_PRESENT, result);
		return STEP_DONE;
	}
	walk->writable = walk->writable && (entry & ENTRY_WRITABLE);
	walk->user = walk->user && (entry & ENTRY_USER);
	walk->executable = walk->executable && !(entry & ENTRY_EXECUTE_DISABLE);
	if (maps_page(walk->level, entry))
		return arrive(walk, where, entry, result);
	return pass(walk, where, entry);
}

/* At the root, or below the lowest upper entry that is cached for the address. */
static void start(struct walk *walk)
{
	const mmu_request *request = walk->request;
	const mmu_tlb_entry *cached = NULL;

	walk->level = walk->control->levels - 1;
	walk->table = request->root & ENTRY_ADDRESS;
	walk->writable = walk->user = walk->executable = true;
	if (walk->tlb)
		cached = mmu_tlb_find_upper(walk->tlb, walk->control, request->root,
					    request->address);
	if (!cached)
		return;
	walk->level = cached->upper.level - 1u;
	walk->table = cached->upper.table;
	walk->writable = cached->upper.writable;
	walk->user = cached->upper.user;
	walk->executable = cached->upper.executable;
}

mmu_result mmu_walk(const mmu_memory *memory, const mmu_control *control,
		    const mmu_request *request, mmu_tlb *tlb)
{
	struct walk walk = { memory, control, request, tlb, 0, 0, true, true, true };
	mmu_result result = { 0 };

	if (!mmu_is_canonical(control, request->address)) {
		result.outcome = MMU_NOT_CANONICAL;
		return result;
	}
	for (unsigned restarts = 0; restarts < RESTARTS_MAX; restarts++) {
		enum step next;

		start(&walk);
		do
			next = step(&walk, &result);
		while (next == STEP_DOWN);
		if (next == STEP_DONE)
			return result;
	}
	/* The entry never holds still: as if its table could not be read. */
	result.outcome = MMU_NO_MEMORY;
	result.missing = walk.table;
	return result;
}
