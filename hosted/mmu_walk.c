/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page walker. What entries say is the architecture's (mmu_entry.h); here are the steps that all
 * share. Sources are section numbers of the Intel SDM, volume 3A (June 2016), chapter 4:
 *
 *   4.5    the walk, entry formats         4.8  accessed and dirty flags
 *   4.6.1  access rights                   4.10 TLBs, paging-structure caches
 *   4.7    page-fault error codes
 *
 * A walk goes down from the root, or from the lowest cached upper entry. Each entry is
 * judged in the manual's order: not present, then reserved bits; rights are judged at
 * the end, for the whole path, since a fault for rights exists only where there is a
 * translation. The accessed flag of an upper entry is set as the walk passes it, that
 * of the mapping entry when the access is allowed. Each flag is set by a locked
 * operation; if the entry changed meanwhile, the walk starts again. An architecture that sets no
 * flags faults for want of one.
 */
#include "mmu.h"

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
	mmu_entry path; /* its rights */
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
	/* bit 47 or 56; where each half has a root of its own, all the bits are translated. */
	unsigned top = shift_of(control->levels) - (control->architecture->root_each ? 0 : 1);
	uint64_t above = address >> top;

	return above == 0 || above == UINT64_MAX >> top;
}

uint64_t mmu_root_of(const mmu_control *control, const mmu_request *request)
{
	return control->architecture->root_each && request->address >> 63 != 0 ? request->upper_root
									       : request->root;
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
static bool user_may(const mmu_control *control, const mmu_translation *page, mmu_access access)
{
	if (access == MMU_FETCH)
		return page->executable && (page->user || control->architecture->fetch_apart);
	return page->user && (access == MMU_WRITE ? page->writable : page->readable);
}

/* 4.6.1, accesses of supervisor mode. */
static bool supervisor_may(const mmu_control *control, const mmu_translation *page,
			   mmu_access access)
{
	if (access == MMU_FETCH)
		return page->executable_above && !(page->user && control->smep);
	if (page->user && control->smap && !control->access_user)
		return false;
	return access == MMU_WRITE ? page->writable || !control->write_protect : page->readable;
}

uint32_t mmu_check_rights(const mmu_control *control, const mmu_translation *translation,
			  mmu_access access, bool user)
{
	bool allowed = user ? user_may(control, translation, access)
			    : supervisor_may(control, translation, access);

	return allowed ? 0 : access_error(control, access, user) | MMU_ERROR_PRESENT;
}

static void fault(const struct walk *walk, uint32_t cause, mmu_result *result)
{
	result->outcome = MMU_PAGE_FAULT;
	result->error_code =
		cause | access_error(walk->control, walk->request->access, walk->request->user);
}

/* What the path leaves, with one entry more. */
static void follow(mmu_entry *path, const mmu_entry *entry)
{
	path->readable = path->readable && entry->readable;
	path->writable = path->writable && entry->writable;
	path->user = path->user && entry->user;
	path->executable = path->executable && entry->executable;
	path->executable_above = path->executable_above && entry->executable_above;
}

/* Sees to the flags of the entry. => STEP_DOWN: they are set. */
static enum step set_flags(const struct walk *walk, uint64_t where, uint64_t entry, bool writes,
			   mmu_result *result)
{
	const mmu_architecture *architecture = walk->control->architecture;
	uint64_t expected = entry, wanted = architecture->used(walk->level, entry, writes);

	if (wanted == entry)
		return STEP_DOWN;
	if (!architecture->sets_flags) {
		fault(walk, MMU_ERROR_PRESENT, result);
		return STEP_DONE;
	}
	return walk->memory->exchange(walk->memory->context, where, &expected, wanted)
		       ? STEP_DOWN : STEP_RESTART;
}

/* The entry names a table: go down, and let the paging-structure cache keep it. */
static enum step pass(struct walk *walk, uint64_t where, uint64_t entry, const mmu_entry *seen,
		      mmu_result *result)
{
	enum step flags = set_flags(walk, where, entry, false, result);

	if (flags != STEP_DOWN)
		return flags;
	walk->table = seen->physical;
	if (walk->tlb) {
		mmu_upper upper = {
			.linear = covered_base(walk->request->address, walk->level),
			.table = walk->table,
			.level = (uint8_t)walk->level,
			.writable = walk->path.writable,
			.user = walk->path.user,
			.executable = walk->path.executable,
			.executable_above = walk->path.executable_above,
		};
		mmu_tlb_add_upper(walk->tlb, mmu_root_of(walk->control, walk->request), &upper);
	}
	walk->level--;
	return STEP_DOWN;
}

static mmu_translation translation_of(const struct walk *walk, uint64_t where,
				      const mmu_entry *seen)
{
	return (mmu_translation){
		.linear = covered_base(walk->request->address, walk->level),
		.physical = seen->physical,
		.entry = where,
		.level = (uint8_t)walk->level,
		.readable = walk->path.readable,
		.writable = walk->path.writable,
		.user = walk->path.user,
		.executable = walk->path.executable,
		.executable_above = walk->path.executable_above,
		.global = walk->control->global_pages && seen->global,
		.dirty = seen->dirty,
	};
}

/* The entry maps a page: judge the rights, set the flags, make the TLB entry. */
static enum step arrive(struct walk *walk, uint64_t where, uint64_t entry, const mmu_entry *seen,
			mmu_result *result)
{
	const mmu_request *request = walk->request;
	mmu_translation page = translation_of(walk, where, seen);
	bool writes = request->access == MMU_WRITE && !request->speculative;
	enum step flags;

	if (!request->speculative) {
		uint32_t error =
			mmu_check_rights(walk->control, &page, request->access, request->user);

		if (error) {
			fault(walk, error, result);
			return STEP_DONE;
		}
	}
	flags = set_flags(walk, where, entry, writes, result);
	if (flags != STEP_DOWN)
		return flags;
	page.dirty = page.dirty || writes;
	result->outcome = MMU_TRANSLATED;
	result->translation = page;
	result->physical =
		page.physical | (request->address & ((UINT64_C(1) << shift_of(walk->level)) - 1));
	if (walk->tlb)
		mmu_tlb_add(walk->tlb, mmu_root_of(walk->control, request), &page);
	return STEP_DONE;
}

/* There is no entry. */
static enum step miss(struct walk *walk, mmu_result *result)
{
	const mmu_request *request = walk->request;

	if (walk->tlb && walk->control->architecture->keeps_absent)
		mmu_tlb_add_absent(walk->tlb, mmu_root_of(walk->control, request), request->address,
				   walk->level);
	fault(walk, 0, result);
	return STEP_DONE;
}

/* Reads and judges one entry. */
static enum step step(struct walk *walk, mmu_result *result)
{
	const mmu_architecture *architecture = walk->control->architecture;
	uint64_t index = walk->request->address >> shift_of(walk->level) & (MMU_TABLE_ENTRIES - 1);
	uint64_t where = walk->table + index * 8;
	uint64_t entry;
	mmu_entry seen;

	if (!walk->memory->read(walk->memory->context, where, &entry)) {
		result->outcome = MMU_NO_MEMORY;
		result->missing = where;
		return STEP_DONE;
	}
	seen = architecture->read(walk->level, entry);
	if (seen.kind == MMU_ENTRY_NONE)
		return miss(walk, result);
	if (architecture->is_malformed(walk->control, walk->level, entry)) {
		fault(walk, MMU_ERROR_RESERVED | MMU_ERROR_PRESENT, result);
		return STEP_DONE;
	}
	follow(&walk->path, &seen);
	if (seen.kind == MMU_ENTRY_PAGE)
		return arrive(walk, where, entry, &seen, result);
	return pass(walk, where, entry, &seen, result);
}

/* At the root, or below the lowest upper entry that is cached for the address. */
static void start(struct walk *walk)
{
	const mmu_request *request = walk->request;
	const mmu_tlb_entry *cached = NULL;

	walk->level = walk->control->levels - 1;
	walk->table = mmu_root_of(walk->control, request);
	walk->path = (mmu_entry){ .readable = true, .writable = true, .user = true,
				  .executable = true, .executable_above = true };
	if (walk->tlb)
		cached = mmu_tlb_find_upper(walk->tlb, walk->control, walk->table, request->address);
	if (!cached)
		return;
	walk->level = cached->upper.level - 1u;
	walk->table = cached->upper.table;
	walk->path.writable = cached->upper.writable;
	walk->path.user = cached->upper.user;
	walk->path.executable = cached->upper.executable;
	walk->path.executable_above = cached->upper.executable_above;
}

mmu_result mmu_walk(const mmu_memory *memory, const mmu_control *control,
		    const mmu_request *request, mmu_tlb *tlb)
{
	struct walk walk = { .memory = memory, .control = control, .request = request, .tlb = tlb };
	mmu_result result = { 0 };

	if (!mmu_is_canonical(control, request->address)) {
		result.outcome = MMU_NOT_CANONICAL;
		return result;
	}
	if (mmu_root_of(control, request) == MMU_NO_ROOT) {
		fault(&walk, 0, &result);
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
