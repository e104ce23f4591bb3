/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TLB and the paging-structure caches of one CPU: manual, section 4.10.
 *
 * Entries hang in buckets by the number of the page, of whatever size, that they are
 * for. Several may be for the same address (two sizes, two roots); any of them may be
 * used (4.10.2.3), and the one made first is: it is the stalest.
 */
#include "mmu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned shift_of(unsigned level)
{
	return 12 + 9 * level;
}

static size_t bucket_of(uint64_t address, unsigned level, bool is_upper)
{
	uint64_t page = (address >> shift_of(level)) * 8 + level * 2 + (is_upper ? 1 : 0);

	return (size_t)(page * 0x9e3779b97f4a7c15u >> 56) % MMU_BUCKETS;
}

void mmu_tlb_init(mmu_tlb *tlb, uint64_t *clock)
{
	memset(tlb, 0, sizeof *tlb);
	tlb->clock = clock;
}

/* The first byte and the level of what an entry is for. */
static uint64_t linear_of(const mmu_tlb_entry *entry)
{
	return entry->is_upper ? entry->upper.linear : entry->translation.linear;
}

static unsigned level_of(const mmu_tlb_entry *entry)
{
	return entry->is_upper ? entry->upper.level : entry->translation.level;
}

static mmu_tlb_entry *new_entry(mmu_tlb *tlb, uint64_t root, bool is_upper)
{
	mmu_tlb_entry *entry = calloc(1, sizeof *entry);

	if (!entry) {
		fputs("mmu: the host is out of memory\n", stderr);
		abort();
	}
	entry->root = root;
	entry->is_upper = is_upper;
	entry->serial = __atomic_add_fetch(tlb->clock, 1, __ATOMIC_RELAXED);
	return entry;
}

/* At the bucket's end, so that the oldest is found first. */
static void link_entry(mmu_tlb *tlb, mmu_tlb_entry *entry)
{
	mmu_tlb_entry **place =
		&tlb->buckets[bucket_of(linear_of(entry), level_of(entry), entry->is_upper)];

	while (*place)
		place = &(*place)->next;
	*place = entry;
	tlb->count++;
}

mmu_tlb_entry *mmu_tlb_add(mmu_tlb *tlb, uint64_t root, const mmu_translation *translation)
{
	mmu_tlb_entry *entry = new_entry(tlb, root, false);

	entry->translation = *translation;
	link_entry(tlb, entry);
	return entry;
}

mmu_tlb_entry *mmu_tlb_add_upper(mmu_tlb *tlb, uint64_t root, const mmu_upper *upper)
{
	mmu_tlb_entry *entry = new_entry(tlb, root, true);

	entry->upper = *upper;
	link_entry(tlb, entry);
	return entry;
}

void mmu_tlb_add_absent(mmu_tlb *tlb, uint64_t root, uint64_t address, unsigned level)
{
	uint64_t linear = address >> shift_of(level) << shift_of(level);
	const mmu_tlb_entry *entry = tlb->buckets[bucket_of(linear, level, false)];
	mmu_tlb_entry *made;

	for (; entry; entry = entry->next)
		if (entry->is_absent && entry->root == root && level_of(entry) == level &&
		    linear_of(entry) == linear)
			return;
	made = new_entry(tlb, root, false);
	made->is_absent = true;
	made->translation = (mmu_translation){ .linear = linear, .level = (uint8_t)level };
	link_entry(tlb, made);
}

static bool is_absent_at(const mmu_tlb *tlb, const mmu_control *control, uint64_t root,
			 uint64_t address, unsigned level)
{
	const mmu_tlb_entry *entry = tlb->buckets[bucket_of(address, level, false)];

	for (; entry; entry = entry->next)
		if (entry->is_absent && level_of(entry) == level &&
		    linear_of(entry) >> shift_of(level) == address >> shift_of(level) &&
		    (!control->process_context || entry->root == root))
			return true;
	return false;
}

bool mmu_tlb_has_absent(const mmu_tlb *tlb, const mmu_control *control, uint64_t root,
			uint64_t address)
{
	for (unsigned level = 0; level < control->levels; level++)
		if (is_absent_at(tlb, control, root, address, level))
			return true;
	return false;
}

/* An entry of one level for the address. Without PCIDs the TLB has one context, and the
 * root that an entry was made from plays no part in its use. */
static const mmu_tlb_entry *find_at(const mmu_tlb *tlb, const mmu_control *control, uint64_t root,
				    uint64_t address, unsigned level, bool is_upper)
{
	const mmu_tlb_entry *entry = tlb->buckets[bucket_of(address, level, is_upper)];

	for (; entry; entry = entry->next) {
		if (entry->is_upper != is_upper || entry->is_absent || level_of(entry) != level ||
		    linear_of(entry) >> shift_of(level) != address >> shift_of(level))
			continue;
		if (!control->process_context || entry->root == root ||
		    (!is_upper && entry->translation.global))
			return entry;
	}
	return NULL;
}

const mmu_tlb_entry *mmu_tlb_find(const mmu_tlb *tlb, const mmu_control *control, uint64_t root,
				  uint64_t address)
{
	const mmu_tlb_entry *oldest = NULL;

	for (unsigned level = 0; level <= 2; level++) {
		const mmu_tlb_entry *entry = find_at(tlb, control, root, address, level, false);

		if (entry && (!oldest || entry->serial < oldest->serial))
			oldest = entry;
	}
	return oldest;
}

const mmu_tlb_entry *mmu_tlb_find_upper(const mmu_tlb *tlb, const mmu_control *control,
					uint64_t root, uint64_t address)
{
	for (unsigned level = 1; level < control->levels; level++) {
		const mmu_tlb_entry *entry = find_at(tlb, control, root, address, level, true);

		if (entry)
			return entry;
	}
	return NULL;
}

void mmu_tlb_mark_stale(mmu_tlb *tlb, mmu_tlb_entry *entry)
{
	if (entry->is_stale)
		return;
	entry->is_stale = true;
	entry->stale_next = tlb->stale;
	entry->stale_place = &tlb->stale;
	if (tlb->stale)
		tlb->stale->stale_place = &entry->stale_next;
	tlb->stale = entry;
	tlb->stale_count++;
}

static void unlink_stale(mmu_tlb *tlb, mmu_tlb_entry *entry)
{
	if (!entry->is_stale)
		return;
	*entry->stale_place = entry->stale_next;
	if (entry->stale_next)
		entry->stale_next->stale_place = entry->stale_place;
	tlb->stale_count--;
}

/* Frees the entries that goes says. */
static void remove_where(mmu_tlb *tlb, bool (*goes)(const void *context, const mmu_tlb_entry *),
			 const void *context)
{
	for (size_t i = 0; i < MMU_BUCKETS && tlb->count > 0; i++) {
		mmu_tlb_entry **place = &tlb->buckets[i];

		while (*place) {
			mmu_tlb_entry *entry = *place;

			if (!goes(context, entry)) {
				place = &entry->next;
				continue;
			}
			*place = entry->next;
			unlink_stale(tlb, entry);
			free(entry);
			tlb->count--;
		}
	}
}

static bool every_one_goes(const void *context, const mmu_tlb_entry *entry)
{
	(void)context;
	(void)entry;
	return true;
}

void mmu_tlb_flush_all(mmu_tlb *tlb)
{
	remove_where(tlb, every_one_goes, NULL);
}

void mmu_tlb_destroy(mmu_tlb *tlb)
{
	mmu_tlb_flush_all(tlb);
}

/* 4.10.4.1, MOV to CR3: upper entries are never global. */
static bool local_goes(const void *context, const mmu_tlb_entry *entry)
{
	(void)context;
	return entry->is_upper || !entry->translation.global;
}

void mmu_tlb_flush_local(mmu_tlb *tlb)
{
	remove_where(tlb, local_goes, NULL);
}

struct flush {
	uint64_t root;
	uint64_t page; /* number of the first 4 KiB page */
	uint64_t pages;
	bool any_root;
};

/* 4.10.4.1, INVLPG: "all entries in all paging-structure caches", whatever the address. */
static bool flushed_goes(const void *context, const mmu_tlb_entry *entry)
{
	const struct flush *flush = context;
	uint64_t first = entry->translation.linear >> 12;
	uint64_t count = UINT64_C(1) << (9 * entry->translation.level);

	if (!flush->any_root && entry->root != flush->root)
		return false;
	if (entry->is_upper)
		return true;
	if (!flush->any_root && entry->translation.global)
		return false;
	return first - flush->page < flush->pages || flush->page - first < count;
}

void mmu_tlb_flush_pages(mmu_tlb *tlb, uint64_t root, uint64_t address, uint64_t pages,
			 bool any_root)
{
	struct flush flush = { root, address >> 12, pages, any_root };

	remove_where(tlb, flushed_goes, &flush);
}

void mmu_tlb_visit(const mmu_tlb *tlb, bool (*visit)(void *context, const mmu_tlb_entry *entry),
		   void *context)
{
	for (size_t i = 0; i < MMU_BUCKETS; i++)
		for (const mmu_tlb_entry *entry = tlb->buckets[i]; entry; entry = entry->next)
			if (!entry->is_absent && !visit(context, entry))
				return;
}

/* --- translating --- */

/* What a fault on an address removes: its translations, of every size, global ones too, and
 * the upper entries that would be used for it (4.10.4.1, on page-fault exceptions). */
struct faulted {
	uint64_t address;
	uint64_t root;
	bool process_context;
};

static bool faulted_goes(const void *context, const mmu_tlb_entry *entry)
{
	const struct faulted *faulted = context;
	unsigned shift = shift_of(level_of(entry));
	bool is_global = !entry->is_upper && entry->translation.global;

	if (entry->is_absent)
		return false;
	if (faulted->process_context && entry->root != faulted->root && !is_global)
		return false;
	return linear_of(entry) >> shift == faulted->address >> shift;
}

static void forget_address(mmu_tlb *tlb, const mmu_control *control, const mmu_request *request)
{
	struct faulted faulted = { request->address, mmu_root_of(control, request),
				   control->process_context };

	remove_where(tlb, faulted_goes, &faulted);
}

static mmu_result answer_from(const mmu_tlb_entry *entry, uint64_t address)
{
	uint64_t mask = (UINT64_C(1) << shift_of(entry->translation.level)) - 1;

	return (mmu_result){
		.outcome = MMU_TRANSLATED,
		.translation = entry->translation,
		.physical = entry->translation.physical | (address & mask),
		.cached = true,
		.serial = entry->serial,
	};
}

/* As a walk says that there is nothing. It stays until a flush. */
static mmu_result fault_from_absent(const mmu_control *control, const mmu_request *request)
{
	static const mmu_translation none;
	uint32_t error = mmu_check_rights(control, &none, request->access, request->user);

	return (mmu_result){ .outcome = MMU_PAGE_FAULT, .error_code = error & ~MMU_ERROR_PRESENT,
			     .cached = true };
}

mmu_result mmu_translate(mmu_tlb *tlb, const mmu_memory *memory, const mmu_control *control,
			 const mmu_request *request)
{
	uint64_t root = mmu_root_of(control, request);
	const mmu_tlb_entry *entry = mmu_tlb_find(tlb, control, root, request->address);
	mmu_result result;

	if (control->architecture->keeps_absent &&
	    mmu_tlb_has_absent(tlb, control, root, request->address))
		return fault_from_absent(control, request);

	if (entry) {
		uint32_t error = mmu_check_rights(control, &entry->translation, request->access,
						  request->user);

		if (error) {
			result = (mmu_result){ .outcome = MMU_PAGE_FAULT, .error_code = error,
					       .cached = true, .serial = entry->serial };
			if (control->architecture->fault_forgets)
				forget_address(tlb, control, request);
			return result;
		}
		if (request->access != MMU_WRITE || entry->translation.dirty)
			return answer_from(entry, request->address);
		/* The dirty flag must be set in memory: the CPU walks once more, and what it
		 * then finds counts. */
		forget_address(tlb, control, request);
	}
	result = mmu_walk(memory, control, request, tlb);
	if (result.outcome == MMU_PAGE_FAULT && control->architecture->fault_forgets)
		forget_address(tlb, control, request);
	return result;
}
