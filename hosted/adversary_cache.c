/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who could have cached what: the adversary between the shadow of the tables, which says what was
 * overwritten, and the TLBs, which then have it; and what the CPUs tell of their loads and flushes.
 */
#include "adversary_internal.h"

bool adversary_is_shown_by(const machine_cpu *cpu, const mmu_tlb_entry *entry)
{
	return !cpu->control.process_context || entry->root == cpu->root << LH_PAGE_SHIFT ||
	       (!entry->is_upper && entry->translation.global);
}

machine_use adversary_use_of(const struct machine_adversary *adversary, uint64_t physical)
{
	if (!machine_is_ram(adversary->machine, physical >> LH_PAGE_SHIFT))
		return MACHINE_OTHER;
	return adversary->use(adversary->context, lh_frame(physical >> LH_PAGE_SHIFT));
}

static const uint64_t *table(void *context, uint64_t physical)
{
	const struct machine_adversary *adversary = context;
	uint8_t *bytes = machine_bytes(adversary->machine, physical >> LH_PAGE_SHIFT);

	if (!bytes || adversary_use_of(adversary, physical) != MACHINE_TABLE)
		return NULL;
	return (const uint64_t *)(const void *)bytes;
}

static struct visit *find_visit(struct machine_adversary *adversary, unsigned cpu, uint64_t root)
{
	for (size_t i = 0; i < adversary->visit_count; i++)
		if (adversary->visits[i].cpu == cpu && adversary->visits[i].root == root)
			return &adversary->visits[i];
	return NULL;
}

bool adversary_is_loaded(const lh_port *machine, uint64_t root)
{
	for (unsigned i = 0; i < machine->cpu_count; i++)
		if (machine->cpus[i].root == root >> LH_PAGE_SHIFT)
			return true;
	return false;
}

static bool is_followed(void *context, uint64_t root)
{
	struct machine_adversary *adversary = context;

	for (size_t i = 0; i < adversary->visit_count; i++)
		if (adversary->visits[i].root == root)
			return true;
	return adversary_is_loaded(adversary->machine, root);
}

/* Could the CPU have cached the entry before it was overwritten? */
static bool may_have(struct machine_adversary *adversary, unsigned number, const mmu_change *change)
{
	const machine_cpu *cpu = &adversary->machine->cpus[number];
	const struct visit *visit;
	uint64_t pages = UINT64_C(1) << 9 * change->level;

	if (cpu->root == change->root >> LH_PAGE_SHIFT)
		return true;
	visit = find_visit(adversary, number, change->root);
	if (!visit || change->made > visit->left)
		return false;
	for (unsigned i = 0; i < visit->flush_count; i++)
		if (change->old.kind == MMU_ENTRY_TABLE ||
		    lh_virtual_range_overlaps(visit->flushes[i],
					      (lh_virtual_range){ lh_virtual(change->linear), pages }))
			return false;
	return true;
}

/* Beside what an access may have put there. */
static mmu_tlb_entry *cache(mmu_tlb *tlb, const mmu_change *change)
{
	const mmu_entry *old = &change->old;

	if (old->kind == MMU_ENTRY_TABLE)
		return mmu_tlb_add_upper(tlb, change->root, &(mmu_upper){
			.linear = change->linear, .table = old->physical,
			.level = (uint8_t)change->level, .writable = old->writable,
			.user = old->user, .executable = old->executable });
	return mmu_tlb_add(tlb, change->root, &(mmu_translation){
		.linear = change->linear, .physical = old->physical, .entry = change->where,
		.level = (uint8_t)change->level, .writable = old->writable, .user = old->user,
		.executable = old->executable, .global = old->global, .dirty = old->dirty });
}

static void overwritten(void *context, const mmu_change *change)
{
	struct machine_adversary *adversary = context;
	lh_port *machine = adversary->machine;

	for (unsigned i = 0; i < machine->cpu_count; i++) {
		mmu_tlb_entry *entry;

		if (!may_have(adversary, i, change))
			continue;
		entry = cache(&machine->cpus[i].tlb, change);
		entry->before = change->before;
		entry->after = change->after;
		entry->made = change->made;
		entry->changed = machine->events;
		mmu_tlb_mark_stale(&machine->cpus[i].tlb, entry);
		adversary->overwritten++;
	}
}

/* Does what the CPU may still have lead elsewhere than what the tables say now? */
static bool contradicts(const mmu_tlb_entry *entry, const mmu_change *change)
{
	const mmu_translation *page = &entry->translation;
	uint64_t offset = change->linear - page->linear;

	if (entry->is_upper)
		return change->new.kind == MMU_ENTRY_TABLE && entry->upper.level == change->level &&
		       entry->upper.linear == change->linear &&
		       entry->upper.table != change->new.physical;
	return change->new.kind == MMU_ENTRY_PAGE && offset < UINT64_C(4096) << 9 * page->level &&
	       page->physical + offset != change->new.physical;
}

uint64_t adversary_sum_of(const lh_port *machine, uint64_t frame)
{
	const uint64_t *words = machine_bytes(machine, frame);
	uint64_t sum = 0xcbf29ce484222325;

	for (size_t i = 0; i < LH_PAGE_SIZE / 8; i++)
		sum = (sum ^ words[i]) * 0x100000001b3;
	return sum;
}

static void note_fresh(struct machine_adversary *adversary, const mmu_change *change)
{
	uint64_t frame = change->new.physical >> LH_PAGE_SHIFT;

	if (change->level != 0 || change->new.kind != MMU_ENTRY_PAGE ||
	    adversary->fresh_count == FRESH_MAX || !machine_is_ram(adversary->machine, frame))
		return;
	adversary->fresh[adversary->fresh_count++] =
		(struct fresh){ frame, adversary_sum_of(adversary->machine, frame), change->linear,
				adversary->machine->events };
}

static void made(void *context, const mmu_change *change)
{
	struct machine_adversary *adversary = context;
	lh_port *machine = adversary->machine;

	for (unsigned i = 0; i < machine->cpu_count; i++) {
		const mmu_tlb_entry *entry = machine->cpus[i].tlb.stale;

		for (; entry; entry = entry->stale_next)
			if (adversary_is_shown_by(&machine->cpus[i], entry) && contradicts(entry, change))
				adversary_report_entry(adversary, i, entry,
					     "an address leads elsewhere before it was flushed");
	}
	note_fresh(adversary, change);
}

static void lost(void *context, const mmu_change *change)
{
	adversary_report(context, "the entry for %#llx (level %u, root %#llx) was %#llx and is %#llx: a "
			 "flag that the hardware set is lost", (unsigned long long)change->linear,
			 change->level, (unsigned long long)change->root,
			 (unsigned long long)change->before, (unsigned long long)change->after);
}

static void gone(void *context, const mmu_change *change)
{
	adversary_report(context, "root %#llx leads to the table of level %u in frame %#llx for %#llx, "
			 "which is none any more", (unsigned long long)change->root, change->level,
			 (unsigned long long)change->where >> LH_PAGE_SHIFT,
			 (unsigned long long)change->linear);
}

mmu_shadow_user adversary_shadow_user(struct machine_adversary *adversary)
{
	return (mmu_shadow_user){ adversary, table, is_followed, overwritten, made, lost, gone };
}

/* --- what the CPUs tell --- */

void machine_note_pointer(lh_port *machine, uint64_t frame)
{
	if (machine->adversary && !machine->threads)
		mmu_shadow_touch(&machine->adversary->shadow, frame << LH_PAGE_SHIFT);
}

void machine_note_hardware(lh_port *machine, uint64_t physical, uint64_t entry)
{
	if (machine->adversary && !machine->threads)
		mmu_shadow_note(&machine->adversary->shadow, physical, entry);
}

void machine_note_flush(lh_port *machine, lh_frame_number root, lh_virtual_range range, bool global)
{
	unsigned number = machine_current(machine);
	machine_cpu *cpu = &machine->cpus[number];
	struct visit *visit = machine->adversary && !machine->threads
				      ? find_visit(machine->adversary, number, root.value << LH_PAGE_SHIFT)
				      : NULL;

	cpu->last_flush = (machine_flush){ __atomic_load_n(&machine->events, __ATOMIC_RELAXED), root,
					   range, global };
	if (!visit || cpu->root == root.value)
		return;
	/* What does not fit in is taken for a flush of everything. */
	if (visit->flush_count == VISIT_FLUSHES_MAX)
		*visit = machine->adversary->visits[--machine->adversary->visit_count];
	else
		visit->flushes[visit->flush_count++] = range;
}

/* What the CPU could have cached from the root that it leaves stays, with process contexts. */
static void leave(struct machine_adversary *adversary, unsigned number, uint64_t root)
{
	struct visit *visit = find_visit(adversary, number, root);

	if (!adversary->machine->cpus[number].control.process_context)
		return;
	if (!visit && adversary->visit_count < VISITS_MAX)
		visit = &adversary->visits[adversary->visit_count++];
	if (visit)
		*visit = (struct visit){ .cpu = number, .root = root,
					 .left = adversary->machine->events };
}

void machine_note_load(lh_port *machine, uint64_t before)
{
	struct machine_adversary *adversary = machine->adversary;
	unsigned number = machine_current(machine);

	if (!adversary || machine->threads)
		return;
	mmu_shadow_add_root(&adversary->shadow, machine->cpus[number].root << LH_PAGE_SHIFT);
	if (before == LH_NO_FRAME || before == machine->cpus[number].root)
		return;
	leave(adversary, number, before << LH_PAGE_SHIFT);
	if (!is_followed(adversary, before << LH_PAGE_SHIFT))
		mmu_shadow_remove_root(&adversary->shadow, before << LH_PAGE_SHIFT);
}
