/* SPDX-License-Identifier: BSD-2-Clause */
/* The adversary's settle points, and its life: adversary.h. */
#include "adversary_internal.h"

#include <stdlib.h>

/* One settle point in so many sets a flag as hardware does. */
#define SETTLES_A_FLAG 4

/* One rest in so many looks through every table, touched or not: what the library changed in an upper
 * table through a pointer that it kept is found late, not never. */
#define RESTS_A_LOOK 8

static uint64_t next_random(struct machine_adversary *adversary)
{
	uint64_t x = adversary->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return adversary->random = x;
}

/* --- settling --- */

/* Why a stale entry may not be there even between its change and its flush. */
static const char *danger_of(const struct machine_adversary *adversary, const mmu_tlb_entry *entry)
{
	machine_use use;

	if (entry->is_upper)
		return adversary_use_of(adversary, entry->upper.table) == MACHINE_TABLE
			       ? NULL : "a table that a CPU can still walk is freed";
	use = adversary_use_of(adversary, entry->translation.physical);
	if (use == MACHINE_FREE)
		return "a frame that a CPU can still reach is free";
	return use == MACHINE_TABLE && entry->translation.user
		       ? "a frame that a CPU can still reach has become a table" : NULL;
}

static void check_stale(struct machine_adversary *adversary)
{
	lh_port *machine = adversary->machine;

	for (unsigned i = 0; i < machine->cpu_count; i++) {
		const mmu_tlb_entry *entry = machine->cpus[i].tlb.stale;

		for (; entry; entry = entry->stale_next) {
			const char *danger = adversary_is_shown_by(&machine->cpus[i], entry)
						     ? danger_of(adversary, entry) : NULL;

			if (danger)
				adversary_report_entry(adversary, i, entry, danger);
		}
	}
}

static bool names_nothing(void *context, const mmu_entry *entry)
{
	machine_use use = adversary_use_of(context, entry->physical);

	return use == MACHINE_FREE || (use == MACHINE_TABLE && entry->user);
}

static void check_pages(struct machine_adversary *adversary, bool touched)
{
	mmu_change page;

	if (mmu_shadow_find(&adversary->shadow, touched, 0, names_nothing, adversary, &page))
		adversary_report(adversary, "the entry for %#llx (level %u, root %#llx, value %#llx, made at event "
		       "%llu in \"%s\") names a frame that is %s", (unsigned long long)page.linear,
		       page.level, (unsigned long long)page.root, (unsigned long long)page.before,
		       (unsigned long long)page.made, adversary_operation_at(adversary, page.made),
		       adversary_use_of(adversary, page.old.physical) == MACHINE_FREE ? "free" : "a table");
}

static bool any_page(void *context, const mmu_entry *entry)
{
	(void)context;
	(void)entry;
	return true;
}

/* Another CPU than this one could write there. */
static bool is_loaded_elsewhere(const lh_port *machine, uint64_t root)
{
	for (unsigned i = 0; i < machine->cpu_count; i++)
		if (i != machine_current(machine) && adversary_has_loaded(&machine->cpus[i], root))
			return true;
	return false;
}

/* A CPU sets a flag in an entry that somebody is at work on. */
static void set_flags(struct machine_adversary *adversary)
{
	lh_port *machine = adversary->machine;
	uint64_t random = next_random(adversary);
	mmu_change page;
	uint64_t *place;
	bool writes;

	if (!adversary->shadow.architecture->sets_flags || random % SETTLES_A_FLAG != 0 ||
	    !mmu_shadow_find(&adversary->shadow, true, (unsigned)(random >> 20) % MMU_TABLE_ENTRIES,
			     any_page, NULL, &page) || !adversary_is_loaded(machine, page.root))
		return;
	writes = page.old.writable && is_loaded_elsewhere(machine, page.root);
	place = (uint64_t *)(void *)((uint8_t *)machine_bytes(machine, page.where >> LH_PAGE_SHIFT) +
				     (page.where & (LH_PAGE_SIZE - 1)));
	*place = adversary->shadow.architecture->used(page.level, *place, writes);
	mmu_shadow_note(&adversary->shadow, page.where, *place);
}

void machine_settle(lh_port *machine, bool keep)
{
	struct machine_adversary *adversary = machine->adversary;

	if (!adversary || machine->threads || adversary->inside)
		return;
	adversary->inside = true;
	mmu_shadow_compare(&adversary->shadow, true);
	check_stale(adversary);
	check_pages(adversary, true);
	set_flags(adversary);
	if (!keep)
		mmu_shadow_compare(&adversary->shadow, false);
	adversary->inside = false;
}

/* The operation is over: what it mapped must hold what it held when it was mapped. */
void machine_settle_operation(lh_port *machine)
{
	struct machine_adversary *adversary = machine->adversary;

	if (!adversary || machine->threads)
		return;
	machine_settle(machine, false);
	for (size_t i = 0; i < adversary->fresh_count; i++) {
		const struct fresh *fresh = &adversary->fresh[i];

		if (adversary_sum_of(machine, fresh->frame) == fresh->sum ||
		    adversary_use_of(adversary, fresh->frame << LH_PAGE_SHIFT) != MACHINE_OTHER)
			continue;
		adversary->fresh_count = 0;
		adversary_report(adversary, "frame %#llx has other bytes than when it was mapped at %#llx, at event "
		       "%llu", (unsigned long long)fresh->frame, (unsigned long long)fresh->linear,
		       (unsigned long long)fresh->event);
	}
	adversary->fresh_count = 0;
}

const char *machine_check_rest(lh_port *machine, char *text, size_t room)
{
	struct machine_adversary *adversary = machine->adversary;

	if (!adversary || machine->threads)
		return NULL;
	machine_settle_operation(machine);
	if (adversary->rests++ % RESTS_A_LOOK == 0) {
		adversary->inside = true;
		mmu_shadow_compare_all(&adversary->shadow);
		check_pages(adversary, false);
		adversary->inside = false;
	}
	for (unsigned i = 0; i < machine->cpu_count; i++) {
		const mmu_tlb_entry *entry = machine->cpus[i].tlb.stale;

		for (; entry; entry = entry->stale_next) {
			if (!adversary_is_shown_by(&machine->cpus[i], entry))
				continue;
			adversary_describe(adversary, i, entry, text, room);
			return text;
		}
	}
	return NULL;
}

/* --- life --- */

static void begin(struct machine_adversary *adversary)
{
	mmu_shadow_user user = adversary_shadow_user(adversary);
	lh_port *machine = adversary->machine;

	mmu_shadow_init(&adversary->shadow, machine->cpus[0].control.architecture,
			machine->cpus[0].control.levels, &machine->events, &user);
	for (unsigned i = 0; i < machine->cpu_count; i++) {
		const machine_cpu *cpu = &machine->cpus[i];

		if (cpu->root != LH_NO_FRAME && cpu->root != cpu->upper_root)
			mmu_shadow_add_root(&adversary->shadow, cpu->root << LH_PAGE_SHIFT, false);
		if (cpu->upper_root != LH_NO_FRAME)
			mmu_shadow_add_root(&adversary->shadow, cpu->upper_root << LH_PAGE_SHIFT, true);
	}
}

void machine_watch(lh_port *machine, machine_frame_use *use, void *context)
{
	struct machine_adversary *adversary = machine->adversary;

	if (adversary) {
		mmu_shadow_clear(&adversary->shadow);
		free(adversary->operations);
		free(adversary);
		machine->adversary = NULL;
	}
	if (!use)
		return;
	adversary = calloc(1, sizeof *adversary);
	if (!adversary)
		abort();
	*adversary = (struct machine_adversary){ .machine = machine, .use = use, .context = context,
						 .random = machine->random_state * 2 + 1 };
	machine->adversary = adversary;
	begin(adversary);
}

void machine_watch_again(lh_port *machine)
{
	if (!machine->adversary)
		return;
	mmu_shadow_clear(&machine->adversary->shadow);
	machine->adversary->fresh_count = 0;
	begin(machine->adversary);
}

uint64_t machine_overwritten(const lh_port *machine)
{
	return machine->adversary ? machine->adversary->overwritten : 0;
}

size_t machine_stale_count(const lh_port *machine, unsigned cpu)
{
	return machine->cpus[cpu].tlb.stale_count;
}
