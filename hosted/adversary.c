/* SPDX-License-Identifier: BSD-2-Clause */
/* The adversary: adversary.h. */
#include "adversary.h"

#include "machine_internal.h"
#include "mmu_shadow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPERATION_MAX 96
#define FRESH_MAX 64
#define VISITS_MAX 32
#define VISIT_FLUSHES_MAX 16

/* One settle point in so many sets a flag as hardware does. */
#define SETTLES_A_FLAG 4

/* One rest in so many looks through every table, touched or not: what the library changed through a
 * pointer that it kept is found late, not never. */
#define RESTS_A_LOOK 8

struct operation {
	uint64_t event;
	unsigned cpu;
	char text[OPERATION_MAX];
};

/* A page that was mapped in the operation under way. */
struct fresh {
	uint64_t frame, sum, linear, event;
};

/* With process contexts: a root that a CPU has left. */
struct visit {
	unsigned cpu;
	uint64_t root, left; /* event */
	unsigned flush_count;
	lh_virtual_range flushes[VISIT_FLUSHES_MAX]; /* since it left */
};

struct machine_adversary {
	lh_port *machine;
	mmu_shadow shadow;
	machine_frame_use *use;
	void *context;
	bool inside; /* settling: not again from what that calls */
	uint64_t overwritten, rests;
	uint64_t random;
	struct operation *operations;
	size_t operation_count, operation_room;
	struct fresh fresh[FRESH_MAX];
	size_t fresh_count;
	struct visit visits[VISITS_MAX];
	size_t visit_count;
};

static uint64_t next_random(struct machine_adversary *adversary)
{
	uint64_t x = adversary->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return adversary->random = x;
}

/* --- what is said of an event --- */

void machine_operation(lh_port *machine, const char *format, ...)
{
	struct machine_adversary *adversary = machine->adversary;
	struct operation *operation;
	va_list arguments;

	if (!adversary || machine->threads)
		return;
	if (adversary->operation_count == adversary->operation_room) {
		adversary->operation_room = adversary->operation_room * 2 + 64;
		adversary->operations = realloc(adversary->operations, adversary->operation_room *
								sizeof *adversary->operations);
		if (!adversary->operations)
			abort();
	}
	operation = &adversary->operations[adversary->operation_count++];
	operation->event = machine->events;
	operation->cpu = machine_current(machine);
	va_start(arguments, format);
	vsnprintf(operation->text, sizeof operation->text, format, arguments);
	va_end(arguments);
}

/* The operation in which an event happened. */
static const char *operation_at(const struct machine_adversary *adversary, uint64_t event)
{
	size_t low = 0, high = adversary->operation_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (adversary->operations[middle].event < event)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? adversary->operations[low - 1].text : "the beginning";
}

static bool is_shown_by(const machine_cpu *cpu, const mmu_tlb_entry *entry)
{
	return !cpu->control.process_context || entry->root == cpu->root << LH_PAGE_SHIFT ||
	       (!entry->is_upper && entry->translation.global);
}

static size_t describe(const struct machine_adversary *adversary, unsigned number,
		       const mmu_tlb_entry *entry, char *text, size_t room)
{
	const machine_cpu *cpu = &adversary->machine->cpus[number];
	int length = snprintf(
		text, room,
		"CPU %u may still have the %s entry of level %u for %#llx (value %#llx, root %#llx), "
		"made at event %llu in \"%s\", %s at event %llu in \"%s\" (value %#llx); its last "
		"flush: event %llu, root %#llx, %llu pages from %#llx%s",
		number, entry->is_upper ? "upper" : "page",
		entry->is_upper ? entry->upper.level : entry->translation.level,
		(unsigned long long)(entry->is_upper ? entry->upper.linear
						     : entry->translation.linear),
		(unsigned long long)entry->before, (unsigned long long)entry->root,
		(unsigned long long)entry->made, operation_at(adversary, entry->made),
		entry->after ? "changed" : "cleared", (unsigned long long)entry->changed,
		operation_at(adversary, entry->changed), (unsigned long long)entry->after,
		(unsigned long long)cpu->last_flush.event,
		(unsigned long long)cpu->last_flush.root.value << LH_PAGE_SHIFT,
		(unsigned long long)cpu->last_flush.range.pages,
		(unsigned long long)cpu->last_flush.range.base.value,
		cpu->last_flush.global ? ", global" : "");

	return length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
}

__attribute__((format(printf, 2, 3))) _Noreturn static void
report(struct machine_adversary *adversary, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	adversary->inside = false;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	machine_report(adversary->machine, "%s; in \"%s\" on CPU %u", text,
		       operation_at(adversary, adversary->machine->events + 1),
		       machine_current(adversary->machine));
}

_Noreturn static void report_entry(struct machine_adversary *adversary, unsigned cpu,
				   const mmu_tlb_entry *entry, const char *what)
{
	char text[900];

	describe(adversary, cpu, entry, text, sizeof text);
	report(adversary, "%s: %s", what, text);
}

/* --- what the shadow asks and says --- */

static machine_use use_of(const struct machine_adversary *adversary, uint64_t physical)
{
	if (!machine_is_ram(adversary->machine, physical >> LH_PAGE_SHIFT))
		return MACHINE_OTHER;
	return adversary->use(adversary->context, lh_frame(physical >> LH_PAGE_SHIFT));
}

static const uint64_t *table(void *context, uint64_t physical)
{
	const struct machine_adversary *adversary = context;
	uint8_t *bytes = machine_bytes(adversary->machine, physical >> LH_PAGE_SHIFT);

	if (!bytes || use_of(adversary, physical) != MACHINE_TABLE)
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

static bool is_loaded(const lh_port *machine, uint64_t root)
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
	return is_loaded(adversary->machine, root);
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

static uint64_t sum_of(const lh_port *machine, uint64_t frame)
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
		(struct fresh){ frame, sum_of(adversary->machine, frame), change->linear,
				adversary->machine->events };
}

static void made(void *context, const mmu_change *change)
{
	struct machine_adversary *adversary = context;
	lh_port *machine = adversary->machine;

	for (unsigned i = 0; i < machine->cpu_count; i++) {
		const mmu_tlb_entry *entry = machine->cpus[i].tlb.stale;

		for (; entry; entry = entry->stale_next)
			if (is_shown_by(&machine->cpus[i], entry) && contradicts(entry, change))
				report_entry(adversary, i, entry,
					     "an address leads elsewhere before it was flushed");
	}
	note_fresh(adversary, change);
}

static void lost(void *context, const mmu_change *change)
{
	report(context, "the entry for %#llx (level %u, root %#llx) was %#llx and is %#llx: a flag that "
	       "the hardware set is lost", (unsigned long long)change->linear, change->level,
	       (unsigned long long)change->root, (unsigned long long)change->before,
	       (unsigned long long)change->after);
}

static void gone(void *context, const mmu_change *change)
{
	report(context, "root %#llx leads to the table of level %u in frame %#llx for %#llx, which is "
	       "none any more", (unsigned long long)change->root, change->level,
	       (unsigned long long)change->where >> LH_PAGE_SHIFT,
	       (unsigned long long)change->linear);
}

/* --- settling --- */

/* Why a stale entry may not be there even between its change and its flush. */
static const char *danger_of(const struct machine_adversary *adversary, const mmu_tlb_entry *entry)
{
	machine_use use;

	if (entry->is_upper)
		return use_of(adversary, entry->upper.table) == MACHINE_TABLE
			       ? NULL : "a table that a CPU can still walk is freed";
	use = use_of(adversary, entry->translation.physical);
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
			const char *danger = is_shown_by(&machine->cpus[i], entry)
						     ? danger_of(adversary, entry) : NULL;

			if (danger)
				report_entry(adversary, i, entry, danger);
		}
	}
}

static bool names_nothing(void *context, const mmu_entry *entry)
{
	machine_use use = use_of(context, entry->physical);

	return use == MACHINE_FREE || (use == MACHINE_TABLE && entry->user);
}

static void check_pages(struct machine_adversary *adversary, bool touched)
{
	mmu_change page;

	if (mmu_shadow_find(&adversary->shadow, touched, 0, names_nothing, adversary, &page))
		report(adversary, "the entry for %#llx (level %u, root %#llx, value %#llx, made at event "
		       "%llu in \"%s\") names a frame that is %s", (unsigned long long)page.linear,
		       page.level, (unsigned long long)page.root, (unsigned long long)page.before,
		       (unsigned long long)page.made, operation_at(adversary, page.made),
		       use_of(adversary, page.old.physical) == MACHINE_FREE ? "free" : "a table");
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
		if (i != machine_current(machine) && machine->cpus[i].root == root >> LH_PAGE_SHIFT)
			return true;
	return false;
}

/* A CPU sets a flag in an entry that somebody is at work on. */
static void set_flags(struct machine_adversary *adversary)
{
	lh_port *machine = adversary->machine;
	uint64_t random = next_random(adversary), flags = mmu_x86_64.accessed;
	mmu_change page;
	uint64_t *place;

	if (random % SETTLES_A_FLAG != 0 ||
	    !mmu_shadow_find(&adversary->shadow, true, (unsigned)(random >> 20) % MMU_TABLE_ENTRIES,
			     any_page, NULL, &page) || !is_loaded(machine, page.root))
		return;
	if (page.old.writable && is_loaded_elsewhere(machine, page.root))
		flags |= mmu_x86_64.dirty;
	place = (uint64_t *)(void *)((uint8_t *)machine_bytes(machine, page.where >> LH_PAGE_SHIFT) +
				     (page.where & (LH_PAGE_SIZE - 1)));
	*place |= flags;
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

		if (sum_of(machine, fresh->frame) == fresh->sum ||
		    use_of(adversary, fresh->frame << LH_PAGE_SHIFT) != MACHINE_OTHER)
			continue;
		adversary->fresh_count = 0;
		report(adversary, "frame %#llx has other bytes than when it was mapped at %#llx, at event "
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
			if (!is_shown_by(&machine->cpus[i], entry))
				continue;
			describe(adversary, i, entry, text, room);
			return text;
		}
	}
	return NULL;
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

/* --- life --- */

static void begin(struct machine_adversary *adversary)
{
	mmu_shadow_user user = { adversary, table, is_followed, overwritten, made, lost, gone };
	lh_port *machine = adversary->machine;

	mmu_shadow_init(&adversary->shadow, &mmu_x86_64, machine->cpus[0].control.levels,
			&machine->events, &user);
	for (unsigned i = 0; i < machine->cpu_count; i++)
		if (machine->cpus[i].root != LH_NO_FRAME)
			mmu_shadow_add_root(&adversary->shadow,
					    machine->cpus[i].root << LH_PAGE_SHIFT);
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
