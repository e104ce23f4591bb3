/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A directory against a naive model, a map page -> leaf, through random operations. After
 * each one, every page of interest is compared with what the library reads and with what an
 * independent page walker finds in the table bytes; the walker recounts; holders are
 * recounted; and every entry of every TLB must still be true.
 *
 * So on each architecture that the machine knows, with the formats that the library has for it. There
 * the adversary watches too, by that architecture's rules.
 *
 * Pages of interest lie on both sides of a table boundary of each level, and in one dense
 * row, longer than a gather. Ranges reach from any of them to any other.
 */
#include "adversary.h"
#include "room.h"

#include <string.h>

#include "paging/slot.h"

#define FRAMES 24
#define DENSE 160
#define AROUND 6
#define PAGES_MAX (DENSE + 5 * 2 * AROUND + AROUND)

/* What the model knows of a page. */
typedef struct test_page {
	uint64_t address;
	lh_leaf leaf;
} test_page;

typedef struct test_world {
	test_room room;
	lh_directory *directory; /* the one under test */
	uint64_t base, half;	 /* of its half: the first address, and how many bytes */
	bool watched;		 /* by the adversary, which sets flags too */
	lh_frame_number frames[FRAMES];
	test_page pages[PAGES_MAX]; /* ascending */
	unsigned count;
	unsigned cpus;
	unsigned at_once; /* leaves that were written so */
} test_world;

static void add_pages(test_world *world, uint64_t first, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		test_page *page = &world->pages[world->count++];

		page->address = world->base + first + i * LH_PAGE_SIZE;
		page->leaf = (lh_leaf){ .kind = LH_LEAF_EMPTY };
	}
}

static void add_boundary(test_world *world, uint64_t boundary)
{
	add_pages(world, boundary - AROUND * LH_PAGE_SIZE, 2 * AROUND);
}

typedef enum test_half { USER_HALF, KERNEL_HALF } test_half;

/* Both sides of each level's first boundary, of one far up, and of the end. */
static void add_all_pages(test_world *world)
{
	const lh_paging_format *format = &world->room.format;

	add_pages(world, 64 * LH_PAGE_SIZE, DENSE);
	for (unsigned level = 1; level < format->levels; level++)
		add_boundary(world, UINT64_C(1) << format->level_shift[level]);
	add_boundary(world, world->half / 4 * 3 + 6 * MIB);
	add_pages(world, world->half - AROUND * LH_PAGE_SIZE, AROUND);
}

static machine_use use_of(void *context, lh_frame_number frame)
{
	const test_world *world = context;
	const lh_frame_entry *entry = lh_frame_entry_of(world->room.frames, frame);

	if (!entry)
		return MACHINE_OTHER;
	return entry->state == LH_FRAME_FREE    ? MACHINE_FREE
	       : entry->state == LH_FRAME_TABLE ? MACHINE_TABLE : MACHINE_OTHER;
}

/* => the room is open. */
static void make_world(test_world *world, test_half half)
{
	uintptr_t interrupts;

	room_build(&world->room);
	world->directory = half == USER_HALF ? &world->room.user : &world->room.kernel;
	world->half = lh_directory_own_range(world->directory).pages << LH_PAGE_SHIFT;
	world->base = half == USER_HALF ? 0 : 0 - world->half;
	for (unsigned i = 0; i < FRAMES; i++)
		world->frames[i] = room_frame(&world->room);
	add_all_pages(world);
	if (world->room.format.root_each)
		machine_set_upper_root(world->room.machine, world->room.kernel.root);
	for (unsigned cpu = 0; cpu < world->cpus; cpu++) {
		machine_run_on(world->room.machine, cpu);
		interrupts = lh_port_interrupts_off(world->room.machine);
		lh_directory_activate(world->directory);
		lh_port_interrupts_restore(world->room.machine, interrupts);
	}
	machine_run_on(world->room.machine, 0);
	if (world->watched)
		machine_watch(world->room.machine, use_of, world);
}

static void end_world(test_world *world)
{
	uintptr_t interrupts;
	uint64_t drop = FRAMES;

	machine_watch(world->room.machine, NULL, NULL);

	for (unsigned cpu = 0; cpu < world->cpus; cpu++) {
		machine_run_on(world->room.machine, cpu);
		interrupts = lh_port_interrupts_off(world->room.machine);
		lh_directory_activate(&world->room.kernel);
		lh_directory_deactivate(&world->room.user);
		lh_port_interrupts_restore(world->room.machine, interrupts);
	}
	machine_run_on(world->room.machine, 0);
	lh_directory_destroy(world->directory);
	while (drop-- > 0) {
		CHECK_EQUAL(room_holders(&world->room, world->frames[drop]), 1);
		lh_frame_drop(world->room.frames, world->frames[drop]);
	}
	room_close(&world->room);
}

/* The rights as the format can keep them. */
static lh_rights rounded(const test_world *world, lh_rights rights)
{
	return lh_paging_format_implied(&world->room.format, rights);
}

/* The first type that is encoded so. */
static lh_memory_type rounded_type(const test_world *world, lh_memory_type type)
{
	const lh_paging_format *format = &world->room.format;
	unsigned first = 0;

	while (format->type[first][0] != format->type[type][0])
		first++;
	return (lh_memory_type)first;
}

static const mmu_architecture *architecture_of(const test_world *world)
{
	return world->room.machine->cpus[0].control.architecture;
}

static bool flags_come_by_themselves(const test_world *world)
{
	return world->watched && architecture_of(world)->sets_flags;
}

/* Where the CPU might fault for want of a flag, a leaf is born with it. */
static void be_born(const test_world *world, lh_leaf *leaf)
{
	const lh_paging_format *format = &world->room.format;

	if (leaf->kind != LH_LEAF_PRESENT)
		return;
	if (format->software_accessed)
		leaf->flags |= LH_LEAF_ACCESSED;
	if (format->software_dirty && (leaf->rights & LH_RIGHT_WRITE))
		leaf->flags |= LH_LEAF_DIRTY;
}

static test_page *random_page(test_world *world)
{
	return &world->pages[test_random_below(world->count)];
}

static lh_virtual_range random_range(test_world *world)
{
	uint64_t a = random_page(world)->address, b = random_page(world)->address;
	uint64_t low = a < b ? a : b, high = a < b ? b : a;

	if (test_random_below(4) == 0)
		high = low + test_random_below(8) * LH_PAGE_SIZE;
	if (high - world->base >= world->half)
		high = world->base + world->half - LH_PAGE_SIZE;
	return range_of(low, (high - low) / LH_PAGE_SIZE + 1);
}

/* --- comparing --- */

/* Those that the adversary has set are the model's from now on. */
static void accept_flags(const test_world *world, test_page *page, lh_leaf read)
{
	if (flags_come_by_themselves(world))
		page->leaf.flags |= read.flags & (LH_LEAF_ACCESSED | LH_LEAF_DIRTY);
}

static void compare_read(test_world *world, test_page *page)
{
	lh_leaf read = lh_directory_read(world->directory, lh_virtual(page->address));

	accept_flags(world, page, read);
	CHECK_EQUAL(read.kind, page->leaf.kind);
	if (read.kind == LH_LEAF_EMPTY)
		return;
	CHECK_EQUAL(read.level, 0);
	CHECK_EQUAL(read.frame.value, page->leaf.frame.value);
	CHECK_EQUAL(read.type, page->leaf.type);
	CHECK_EQUAL(read.flags & ~LH_LEAF_GLOBAL, page->leaf.flags);
	if (read.kind != LH_LEAF_PRESENT)
		return;
	CHECK_EQUAL(read.rights, page->leaf.rights);
	CHECK_EQUAL(!!(read.flags & LH_LEAF_GLOBAL), world->base != 0);
}

static void compare_walk(test_world *world, const test_page *page)
{
	mmu_result found = room_walk(&world->room, world->directory, page->address);

	if (page->leaf.kind != LH_LEAF_PRESENT) {
		CHECK_EQUAL(found.outcome, MMU_PAGE_FAULT);
		CHECK(!(found.error_code & (MMU_ERROR_PRESENT | MMU_ERROR_RESERVED)));
		return;
	}
	CHECK_EQUAL(found.outcome, MMU_TRANSLATED);
	CHECK_EQUAL(found.physical, page->leaf.frame.value << LH_PAGE_SHIFT);
	CHECK_EQUAL(found.translation.level, 0);
	CHECK_EQUAL(found.translation.user, world->base == 0);
	CHECK_EQUAL(found.translation.writable, !!(page->leaf.rights & LH_RIGHT_WRITE));
	CHECK_EQUAL(world->base == 0 ? found.translation.executable : found.translation.executable_above,
		    !!(page->leaf.rights & LH_RIGHT_EXECUTE));
	CHECK(world->base != 0 || !found.translation.executable_above ||
	      architecture_of(world)->user_apart);
	CHECK_EQUAL(found.translation.readable, !!(page->leaf.rights & LH_RIGHT_READ));
	if (found.translation.writable || !architecture_of(world)->dirty_with_write)
		CHECK(found.translation.dirty == !!(page->leaf.flags & LH_LEAF_DIRTY) ||
		      (found.translation.dirty && flags_come_by_themselves(world)));
}

static void compare_holders(test_world *world)
{
	uint64_t leaves = 0;

	for (unsigned f = 0; f < FRAMES; f++) {
		uint32_t holders = 1;

		for (unsigned i = 0; i < world->count; i++) {
			const lh_leaf *leaf = &world->pages[i].leaf;

			if (leaf->kind != LH_LEAF_EMPTY && !(leaf->flags & LH_LEAF_UNCOUNTED) &&
			    leaf->frame.value == world->frames[f].value)
				holders++;
		}
		CHECK_EQUAL(room_holders(&world->room, world->frames[f]), holders);
	}
	for (unsigned i = 0; i < world->count; i++)
		leaves += world->pages[i].leaf.kind != LH_LEAF_EMPTY;
	CHECK_EQUAL(lh_directory_leaves(world->directory), leaves);
}

/* A TLB may know less than the tables; never another thing, nor more rights. */
static bool tlb_entry_is_true(void *context, const mmu_tlb_entry *entry)
{
	test_world *world = context;
	mmu_result found;

	if (entry->is_upper) {
		lh_frame_entry *table = lh_frame_entry_of(world->room.frames,
							  lh_frame(entry->upper.table >> 12));

		CHECK_EQUAL(table->state, LH_FRAME_TABLE);
		CHECK_EQUAL(table->holders, 1);
		CHECK_EQUAL(architecture_of(world)->read(entry->upper.level,
				*room_entry(&world->room, world->directory, entry->upper.linear,
					    entry->upper.level)).physical,
			    entry->upper.table);
		return true;
	}
	found = room_walk(&world->room, world->directory, entry->translation.linear);
	CHECK_EQUAL(found.outcome, MMU_TRANSLATED);
	CHECK_EQUAL(found.physical, entry->translation.physical);
	CHECK(found.translation.writable || !entry->translation.writable);
	CHECK(found.translation.executable || !entry->translation.executable);
	return true;
}

static void compare(test_world *world)
{
	for (unsigned i = 0; i < world->count; i++) {
		compare_read(world, &world->pages[i]);
		compare_walk(world, &world->pages[i]);
	}
	compare_holders(world);
	for (unsigned cpu = 0; cpu < world->cpus; cpu++)
		mmu_tlb_visit(&world->room.machine->cpus[cpu].tlb, tlb_entry_is_true, world);
	CHECK_SOUND(lh_directory_check(world->directory));
}

/* --- operations --- */

static lh_leaf random_leaf(test_world *world)
{
	lh_leaf leaf = leaf_of(world->frames[test_random_below(FRAMES)],
			       (lh_rights)(1 + test_random_below(7)));

	if (test_random_below(8) == 0) {
		leaf.frame = lh_frame(0xfee00);
		leaf.flags |= LH_LEAF_UNCOUNTED;
		leaf.type = rounded_type(world, (lh_memory_type)test_random_below(LH_MEMORY_TYPE_COUNT));
	}
	if (test_random_below(6) == 0)
		leaf.kind = LH_LEAF_NO_ACCESS;
	if (test_random_below(6) == 0)
		leaf.flags |= LH_LEAF_DIRTY | LH_LEAF_ACCESSED;
	return leaf;
}

static bool may_upgrade(const test_world *world, const lh_leaf *old, const lh_leaf *new)
{
	if (old->frame.value != new->frame.value || old->type != new->type ||
	    (old->flags ^ new->flags) & LH_LEAF_UNCOUNTED)
		return false;
	if (old->kind == LH_LEAF_NO_ACCESS)
		return true;
	return new->kind == LH_LEAF_PRESENT &&
	       !(old->rights & ~rounded(world, new->rights));
}

static void do_write(test_world *world)
{
	test_page *page = random_page(world);
	lh_leaf old = page->leaf, leaf = random_leaf(world);
	lh_spare_tables spares = { 0, 0 };
	lh_error error;

	if (old.kind != LH_LEAF_EMPTY && test_random_below(2)) {
		leaf.frame = old.frame;
		leaf.type = old.type;
		leaf.flags = old.flags & LH_LEAF_UNCOUNTED;
	}
	CHECK_OK(lh_directory_prepare(world->directory, range_of(page->address, 1), &spares));
	if (!(leaf.flags & LH_LEAF_UNCOUNTED))
		lh_frame_hold(world->room.frames, leaf.frame);
	if (test_random_below(2) && lh_directory_write_at_once(world->directory, lh_virtual(page->address), leaf)) {
		CHECK_EQUAL(old.kind, LH_LEAF_EMPTY);
		world->at_once++;
		error = LH_OK;
	} else {
		error = lh_directory_write(world->directory, lh_virtual(page->address), leaf, &spares);
	}
	CHECK_EQUAL(spares.count, 0);
	if (old.kind == LH_LEAF_EMPTY || may_upgrade(world, &old, &leaf)) {
		CHECK_OK(error);
		leaf.rights = rounded(world, leaf.rights);
		leaf.flags |= old.flags & (LH_LEAF_ACCESSED | LH_LEAF_DIRTY);
		be_born(world, &leaf);
		page->leaf = leaf;
	} else {
		CHECK_ERROR(error, LH_EXISTS);
	}
	if (old.kind != LH_LEAF_EMPTY && !(leaf.flags & LH_LEAF_UNCOUNTED))
		lh_frame_drop(world->room.frames, leaf.frame);
}

/* Pages of interest that lie side by side, from a random one on. */
static unsigned random_row(test_world *world, unsigned first)
{
	unsigned most = 1 + (unsigned)test_random_below(20), count = 1;

	while (count < most && first + count < world->count &&
	       world->pages[first + count].address ==
		       world->pages[first].address + count * LH_PAGE_SIZE)
		count++;
	return count;
}

static bool is_row_empty(const test_world *world, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		if (world->pages[i].leaf.kind != LH_LEAF_EMPTY)
			return false;
	return true;
}

/* A row of pages, with frames from here and there, or uncounted ones side by side. */
static void do_map(test_world *world)
{
	unsigned first = (unsigned)test_random_below(world->count), count = random_row(world, first);
	lh_virtual_range range = range_of(world->pages[first].address, count);
	lh_leaf leaf = random_leaf(world);
	lh_spare_tables spares = { 0, 0 };
	bool even = (leaf.flags & LH_LEAF_UNCOUNTED) != 0, empty = is_row_empty(world, first, count);
	lh_frame_number frames[20];
	lh_error error;

	for (unsigned i = 0; i < count; i++) {
		frames[i] = even ? lh_frame(leaf.frame.value + i) : world->frames[test_random_below(FRAMES)];
		if (!even)
			lh_frame_hold(world->room.frames, frames[i]);
	}
	CHECK_OK(lh_directory_prepare_map(world->directory, range, leaf, &spares));
	error = lh_directory_map(world->directory, range, leaf, even ? NULL : frames, &spares);
	CHECK_EQUAL(error, empty ? LH_OK : LH_EXISTS);
	CHECK(!empty || spares.count == 0);
	lh_spare_tables_give_back(world->room.frames, &spares);
	leaf.rights = rounded(world, leaf.rights);
	be_born(world, &leaf);
	for (unsigned i = 0; i < count; i++) {
		leaf.frame = frames[i];
		if (empty)
			world->pages[first + i].leaf = leaf;
		else if (!even)
			lh_frame_drop(world->room.frames, frames[i]);
	}
}

/* What a query has shown: every page that is not empty, once, in order. */
struct shown {
	test_world *world;
	unsigned next;
};

static bool compare_run(void *context, const lh_leaf_run *run)
{
	struct shown *shown = context;

	for (uint64_t i = 0; i < run->range.pages; i++) {
		uint64_t address = lh_virtual_range_page(run->range, i).value;
		test_page *page;

		while (page = &shown->world->pages[shown->next++], page->address != address)
			CHECK(page->address < run->range.base.value || page->leaf.kind == LH_LEAF_EMPTY);
		accept_flags(shown->world, page, run->leaf);
		CHECK_EQUAL(page->leaf.kind, run->leaf.kind);
		CHECK_EQUAL(page->leaf.type, run->leaf.type);
		CHECK_EQUAL(page->leaf.flags, run->leaf.flags & ~LH_LEAF_GLOBAL);
		if (run->leaf.kind == LH_LEAF_PRESENT)
			CHECK_EQUAL(page->leaf.rights, run->leaf.rights);
		if (i == 0)
			CHECK_EQUAL(page->leaf.frame.value, run->leaf.frame.value);
	}
	return true;
}

static void do_query(test_world *world)
{
	struct shown shown = { world, 0 };
	lh_virtual_range range = random_range(world);

	while (world->pages[shown.next].address < range.base.value)
		shown.next++;
	lh_directory_query(world->directory, range, compare_run, &shown);
	for (; shown.next < world->count; shown.next++)
		if (lh_virtual_range_contains(range, lh_virtual(world->pages[shown.next].address)))
			CHECK_EQUAL(world->pages[shown.next].leaf.kind, LH_LEAF_EMPTY);
}

static void do_clear(test_world *world, lh_gather *gather)
{
	test_page *page = random_page(world);

	if (test_random_below(2))
		lh_directory_clear_one(world->directory, lh_virtual(page->address));
	else
		CHECK(lh_directory_clear(world->directory, lh_virtual(page->address), gather));
	page->leaf = (lh_leaf){ .kind = LH_LEAF_EMPTY };
}

static void do_clear_range(test_world *world, lh_gather *gather)
{
	lh_virtual_range range = random_range(world);

	lh_directory_clear_range(world->directory, range, gather);
	for (unsigned i = 0; i < world->count; i++)
		if (lh_virtual_range_contains(range, lh_virtual(world->pages[i].address)))
			world->pages[i].leaf = (lh_leaf){ .kind = LH_LEAF_EMPTY };
}

static void do_restrict(test_world *world, lh_gather *gather)
{
	lh_virtual_range range = random_range(world);
	lh_rights rights = (lh_rights)test_random_below(8);

	lh_directory_restrict_range(world->directory, range, rights, gather);
	for (unsigned i = 0; i < world->count; i++) {
		lh_leaf *leaf = &world->pages[i].leaf;

		if (leaf->kind != LH_LEAF_PRESENT ||
		    !lh_virtual_range_contains(range, lh_virtual(world->pages[i].address)))
			continue;
		if ((leaf->rights & rights) == 0)
			leaf->kind = LH_LEAF_NO_ACCESS;
		leaf->rights = rounded(world, leaf->rights & rights);
	}
}

/* What a visitor does and sees. */
typedef struct test_visitor {
	test_world *world;
	lh_virtual_range range;
	unsigned next; /* page of the model to be looked at next */
	uint64_t left; /* leaves to see before it stops */
	bool stopped;
	lh_gather *gather;
} test_visitor;

static void change_leaf(test_visitor *visitor, test_page *page, lh_leaf *leaf)
{
	test_world *world = visitor->world;

	switch (test_random_below(4)) {
	case 0:
		leaf->kind = page->leaf.kind = LH_LEAF_NO_ACCESS;
		break;
	case 1:
		leaf->rights &= LH_RIGHT_READ | LH_RIGHT_EXECUTE;
		page->leaf.rights = rounded(world, leaf->rights);
		break;
	case 2:
		/* The adversary would take it for lost. */
		if (flags_come_by_themselves(world))
			return;
		leaf->flags &= ~LH_LEAF_DIRTY;
		page->leaf.flags &= ~LH_LEAF_DIRTY;
		be_born(world, &page->leaf);
		break;
	default:
		return;
	}
	lh_gather_note(visitor->gather, lh_virtual(page->address));
}

static bool visit_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	test_visitor *visitor = context;
	test_page *page = &visitor->world->pages[visitor->next];

	CHECK(!visitor->stopped);
	while (page->leaf.kind == LH_LEAF_EMPTY ||
	       !lh_virtual_range_contains(visitor->range, lh_virtual(page->address))) {
		page = &visitor->world->pages[++visitor->next];
		CHECK(visitor->next < visitor->world->count);
	}
	CHECK_EQUAL(address.value, page->address);
	CHECK_EQUAL(leaf->kind, page->leaf.kind);
	CHECK_EQUAL(leaf->frame.value, page->leaf.frame.value);
	if (leaf->kind == LH_LEAF_PRESENT)
		change_leaf(visitor, page, leaf);
	visitor->next++;
	visitor->stopped = visitor->left-- == 0;
	return !visitor->stopped;
}

static void do_visit(test_world *world, lh_gather *gather)
{
	test_visitor visitor = { .world = world, .range = random_range(world), .gather = gather,
			    .left = test_random_below(2) ? UINT64_MAX : test_random_below(9) };

	lh_directory_visit(world->directory, visitor.range, visit_leaf, &visitor);
	/* If it was not stopped, nothing in the range was left out. */
	while (!visitor.stopped && visitor.next < world->count) {
		const test_page *page = &world->pages[visitor.next++];

		CHECK(page->leaf.kind == LH_LEAF_EMPTY ||
		      !lh_virtual_range_contains(visitor.range, lh_virtual(page->address)));
	}
}

static bool write_memory(void *context, uint64_t physical, uint64_t *expected, uint64_t desired)
{
	uint64_t *entry = (uint64_t *)((uint8_t *)machine_bytes(context, physical >> 12) +
				       (physical & 4095));

	return __atomic_compare_exchange_n(entry, expected, desired, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static bool read_memory(void *context, uint64_t physical, uint64_t *entry)
{
	uint8_t *bytes = machine_bytes(context, physical >> 12);

	if (bytes)
		memcpy(entry, bytes + (physical & 4095), sizeof(*entry));
	return bytes != NULL;
}

/* A CPU uses a page, through its TLB: accessed and dirty bits appear. */
static void do_touch(test_world *world)
{
	test_page *page = random_page(world);
	machine_cpu *cpu = &world->room.machine->cpus[test_random_below(world->cpus)];
	mmu_memory memory = { world->room.machine, read_memory, write_memory };
	mmu_request request = { .root = world->directory->root.value << 12,
				.upper_root = world->directory->root.value << 12,
				.address = page->address, .user = world->base == 0,
				.access = test_random_below(2) ? MMU_WRITE : MMU_READ };
	lh_rights wanted = request.access == MMU_WRITE ? LH_RIGHT_WRITE : LH_RIGHT_READ;
	mmu_result result = mmu_translate(&cpu->tlb, &memory, &cpu->control, &request);

	/* After an upgrade a stale entry may fault once; and where absence is kept, after a mapping. It
	 * is gone then, or who handles the fault sees to it. */
	if (result.outcome == MMU_PAGE_FAULT && !architecture_of(world)->fault_forgets)
		mmu_tlb_flush_pages(&cpu->tlb, request.root, page->address, 1, true);
	if (result.outcome == MMU_PAGE_FAULT)
		result = mmu_translate(&cpu->tlb, &memory, &cpu->control, &request);
	if (page->leaf.kind != LH_LEAF_PRESENT || !(page->leaf.rights & wanted)) {
		CHECK_EQUAL(result.outcome, MMU_PAGE_FAULT);
		return;
	}
	CHECK_EQUAL(result.outcome, MMU_TRANSLATED);
	page->leaf.flags |= LH_LEAF_ACCESSED;
	if (request.access == MMU_WRITE)
		page->leaf.flags |= LH_LEAF_DIRTY;
}

static void fill_dense(test_world *world)
{
	for (unsigned i = 0; i < DENSE; i++) {
		test_page *page = &world->pages[i];

		if (page->leaf.kind != LH_LEAF_EMPTY)
			continue;
		page->leaf = leaf_of(world->frames[i % FRAMES], LH_RIGHT_READ | LH_RIGHT_WRITE);
		room_map(&world->room, world->directory, page->address, page->leaf);
		page->leaf.rights = rounded(world, page->leaf.rights);
		be_born(world, &page->leaf);
	}
}

/* Another frame in the place of one that is there: absent and flushed in between. */
static void do_replace(test_world *world)
{
	test_page *page = random_page(world);
	lh_virtual_address address = lh_virtual(page->address);
	lh_leaf leaf = leaf_of(world->frames[test_random_below(FRAMES)],
			       (lh_rights)(1 + test_random_below(7)));
	lh_spare_tables spares = { 0, 0 };
	lh_gather gather;
	lh_slot slot;

	if (page->leaf.kind != LH_LEAF_PRESENT || page->leaf.frame.value == leaf.frame.value)
		return;
	lh_frame_hold(world->room.frames, leaf.frame);
	lh_gather_begin(&gather, world->directory);
	CHECK_OK(lh_slot_open(&slot, world->directory, address, 0, &spares));
	lh_slot_withdraw(&slot, leaf, &gather);
	lh_slot_close(&slot);
	lh_gather_flush(&gather);
	CHECK_OK(lh_slot_open(&slot, world->directory, address, 0, &spares));
	CHECK(lh_slot_settle(&slot, leaf));
	lh_slot_close(&slot);
	lh_gather_finish(&gather);
	leaf.rights = rounded(world, leaf.rights);
	be_born(world, &leaf);
	page->leaf = leaf;
}

static void do_step(test_world *world)
{
	lh_gather gather;

	lh_gather_begin(&gather, world->directory);
	switch (test_random_below(40)) {
	case 0:
		fill_dense(world);
		break;
	case 1:
	case 2:
		do_clear_range(world, &gather);
		break;
	case 3:
	case 4:
		do_restrict(world, &gather);
		break;
	case 5:
	case 6:
		do_visit(world, &gather);
		break;
	case 7:
	case 8:
		do_clear(world, &gather);
		break;
	case 9:
	case 10:
	case 11:
		do_map(world);
		break;
	case 12:
		do_query(world);
		break;
	case 13:
	case 14:
		do_replace(world);
		break;
	default:
		if (test_random_below(2))
			do_write(world);
		else
			do_touch(world);
	}
	lh_gather_finish(&gather);
}

static void run(test_world *world, test_half half, unsigned steps)
{
	make_world(world, half);
	for (unsigned i = 0; i < steps; i++) {
		do_step(world);
		compare(world);
	}
	end_world(world);
}

static void run_here(test_half half, bool no_execute, unsigned steps)
{
	test_world world = { .cpus = 2 };

	room_open(&world.room, 2048, world.cpus);
	if (!no_execute)
		lh_paging_format_drop_execute(&world.room.format);
	for (unsigned cpu = 0; cpu < world.cpus; cpu++)
		world.room.machine->cpus[cpu].control.no_execute = no_execute;
	run(&world, half, steps);
	CHECK(world.at_once > 0);
}

TEST(random_operations_agree_with_the_model_in_the_low_half)
{
	run_here(USER_HALF, true, 2500);
}

TEST(random_operations_agree_with_the_model_in_the_kernel_half)
{
	run_here(KERNEL_HALF, true, 1000);
}

TEST(random_operations_agree_with_the_model_without_no_execute)
{
	run_here(USER_HALF, false, 1000);
}

/* In both halves, with the adversary. */
static void run_for(const lh_paging_format *format, const mmu_architecture *architecture,
		    bool software_flags)
{
	for (unsigned half = USER_HALF; half <= KERNEL_HALF; half++) {
		test_world world = { .cpus = 2, .watched = true };

		room_open_for(&world.room, 2048, world.cpus, format, architecture);
		world.room.format.software_accessed = world.room.format.software_dirty = software_flags;
		run(&world, (test_half)half, 80);
	}
}

TEST(random_operations_agree_with_the_model_on_x86_64)
{
	run_for(&lh_format_x86_64_4_level, &mmu_x86_64, false);
	run_for(&lh_format_x86_64_5_level, &mmu_x86_64, false);
}

TEST(random_operations_agree_with_the_model_on_aarch64)
{
	run_for(&lh_format_aarch64_4k, &mmu_aarch64, true);
	run_for(&lh_format_aarch64_4k_flags, &mmu_aarch64_flags, false);
}

TEST(random_operations_agree_with_the_model_on_riscv64)
{
	run_for(&lh_format_riscv64_sv39, &mmu_riscv64, true);
	run_for(&lh_format_riscv64_sv48, &mmu_riscv64_flags, false);
	run_for(&lh_format_riscv64_sv57, &mmu_riscv64, true);
}
