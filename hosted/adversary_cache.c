/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who could have cached what: the adversary between the shadow of the tables, which says what was
 * overwritten, and the TLBs, which then have it; and what the CPUs tell of their loads and flushes.
 */
#include "adversary_internal.h"

bool adversary_is_shown_by(const machine_cpu *cpu, const mmu_tlb_entry *entry)
{
	return !cpu->control.process_context || adversary_has_loaded(cpu, entry->root) ||
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

bool adversary_has_loaded(const machine_cpu *cpu, uint64_t root)
{
	return cpu->root == root >> LH_PAGE_SHIFT || cpu->upper_root == root >> LH_PAGE_SHIFT;
}

bool adversary_is_loaded(const lh_port *machine, uint64_t root)
{
	for (unsigned i = 0; i < machine->cpu_count; i++)
		if (adversary_has_loaded(&machine->cpus[i], root))
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

	if (adversary_has_loaded(cpu, change->root))
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
			.user = old->user, .executable = old->executable,
			.executable_above = old->executable_above });
	return mmu_tlb_add(tlb, change->root, &(mmu_translation){
		.linear = change->linear, .physical = old->physical, .entry = change->where,
		.level = (uint8_t)change->level, .readable = old->readable,
		.writable = old->writable, .user = old->user, .executable = old->executable,
		.executable_above = old->executable_above, .global = old->global, .dirty = old->dirty });
}

/* Of what the manual wants an absent entry and a flush between: DDI 0487 L.b, D8.17.1. */
static bool wants_break(const mmu_entry *old, const mmu_entry *new)
{
	return old->kind != new->kind || old->physical != new->physical ||
	       old->attributes != new->attributes || (new->global && !old->global);
}

static const mmu_architecture *architecture_of(const struct machine_adversary *adversary)
{
	return adversary->shadow.architecture;
}

static void check_break(struct machine_adversary *adversary, const mmu_change *change)
{
	if (!architecture_of(adversary)->break_before_make || change->old.kind == MMU_ENTRY_NONE ||
	    change->new.kind == MMU_ENTRY_NONE || !wants_break(&change->old, &change->new))
		return;
	adversary_report(adversary, "the entry for %#llx (level %u, root %#llx, made at event %llu in \"%s\") was "
			 "%#llx and is %#llx: changed without break-before-make",
			 (unsigned long long)change->linear, change->level,
			 (unsigned long long)change->root, (unsigned long long)change->made,
			 adversary_operation_at(adversary, change->made),
			 (unsigned long long)change->before, (unsigned long long)change->after);
}

static void overwritten(void *context, const mmu_change *change)
{
	struct machine_adversary *adversary = context;
	lh_port *machine = adversary->machine;

	check_break(adversary, change);

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

static uint64_t bytes_of(unsigned level)
{
	return UINT64_C(1) << (MMU_PAGE_SHIFT + MMU_INDEX_BITS * level);
}

/* Two pages of any size: a byte in both leads elsewhere. */
static bool disagree(const mmu_translation *old, const mmu_change *change)
{
	uint64_t ahead = change->linear - old->linear, behind = old->linear - change->linear;

	if (ahead < bytes_of(old->level))
		return old->physical + ahead != change->new.physical;
	return behind < bytes_of(change->level) && old->physical != change->new.physical + behind;
}

static bool overlap(const mmu_translation *old, const mmu_change *change)
{
	return change->linear - old->linear < bytes_of(old->level) ||
	       old->linear - change->linear < bytes_of(change->level);
}

/* With break-before-make it may not be cached in another size either, or with another memory type, or
 * as not global where it is that now. */
static bool breaks_rule(const struct machine_adversary *adversary, const mmu_tlb_entry *entry,
			const mmu_change *change)
{
	const mmu_architecture *architecture = architecture_of(adversary);
	mmu_entry old;

	if (!architecture->break_before_make)
		return false;
	if (entry->is_upper)
		return change->new.kind == MMU_ENTRY_PAGE && entry->upper.level == change->level &&
		       entry->upper.linear == change->linear;
	if (change->new.kind == MMU_ENTRY_TABLE)
		return entry->translation.level == change->level &&
		       entry->translation.linear == change->linear;
	old = architecture->read(entry->translation.level, entry->before);
	return overlap(&entry->translation, change) &&
	       (entry->translation.level != change->level ||
		old.attributes != change->new.attributes || (change->new.global && !old.global));
}

/* Does what the CPU may still have lead elsewhere than what the tables say now? */
static bool contradicts(const struct machine_adversary *adversary, const mmu_tlb_entry *entry,
			const mmu_change *change)
{
	if (breaks_rule(adversary, entry, change))
		return true;
	if (entry->is_upper)
		return change->new.kind == MMU_ENTRY_TABLE && entry->upper.level == change->level &&
		       entry->upper.linear == change->linear &&
		       entry->upper.table != change->new.physical;
	return change->new.kind == MMU_ENTRY_PAGE && disagree(&entry->translation, change);
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

/* Who could walk to the entry may have kept that there was none: as hardware that caches this may. */
static void keep_absent(struct machine_adversary *adversary, const mmu_change *change)
{
	lh_port *machine = adversary->machine;

	if (!architecture_of(adversary)->keeps_absent || change->old.kind != MMU_ENTRY_NONE)
		return;
	for (unsigned i = 0; i < machine->cpu_count; i++)
		if (adversary_has_loaded(&machine->cpus[i], change->root))
			mmu_tlb_add_absent(&machine->cpus[i].tlb, change->root, change->linear,
					   change->level);
}

static void made(void *context, const mmu_change *change)
{
	struct machine_adversary *adversary = context;
	lh_port *machine = adversary->machine;

	for (unsigned i = 0; i < machine->cpu_count; i++) {
		const mmu_tlb_entry *entry = machine->cpus[i].tlb.stale;

		for (; entry; entry = entry->stale_next)
			if (adversary_is_shown_by(&machine->cpus[i], entry) && contradicts(adversary, entry, change))
				adversary_report_entry(adversary, i, entry,
					     "an address leads elsewhere before it was flushed");
	}
	keep_absent(adversary, change);
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
	mmu_shadow_add_root(&adversary->shadow, machine->cpus[number].root << LH_PAGE_SHIFT,
			    machine->cpus[number].root == machine->cpus[number].upper_root);
	if (before == LH_NO_FRAME || before == machine->cpus[number].root)
		return;
	leave(adversary, number, before << LH_PAGE_SHIFT);
	if (!is_followed(adversary, before << LH_PAGE_SHIFT))
		mmu_shadow_remove_root(&adversary->shadow, before << LH_PAGE_SHIFT);
}
