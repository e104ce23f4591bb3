/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle's accesses, and its objects. */
#include "world/oracle_inside.h"

#include <stdlib.h>
#include <string.h>

#include "adversary.h"
#include "object/object.h"

uint64_t oracle_object_pages(const oracle_object *object)
{
	return (object->size + PAGE - 1) / PAGE;
}

uint64_t oracle_object_present(const oracle_object *object)
{
	uint64_t present = 0;

	for (uint64_t page = 0; page < ORACLE_OBJECT_PAGES; page++)
		present += object->present[page];
	return present;
}

uint64_t oracle_object_charge(const oracle_object *object)
{
	if (object->file)
		return 0;
	return object->committed ? oracle_object_pages(object) : oracle_object_present(object);
}

/* Is the page absent, and may it not come? */
static bool is_refused(const space_oracle *oracle, const oracle_object *object, uint64_t page)
{
	return !object->file && !object->committed && !object->present[page] &&
	       !oracle_has_room(oracle, object->account, 1);
}

/* --- objects --- */

static void answer(oracle_work work)
{
	oracle_object *file = work.file;
	uint8_t *bytes = lh_frame_pointer(file->frames, work.frame);
	bool fails = ++file->oracle->pager_steps == file->oracle->fail_pager && file->oracle->armed;

	if (!work.writes && !fails)
		memset(bytes, 0, PAGE);
	for (unsigned word = 0; word < ORACLE_WORDS && !fails; word++) {
		uint8_t *in_memory = bytes + oracle_offsets[word];
		uint64_t *on_disk = &file->disk[work.page][word];

		if (work.writes)
			memcpy(on_disk, in_memory, 8);
		else
			memcpy(in_memory, on_disk, 8);
	}
	if (work.writes)
		lh_object_page_written(file->object, work.page, fails ? LH_IO : LH_OK);
	else
		lh_object_page_read(file->object, work.page, fails ? LH_IO : LH_OK);
}

static void begin(oracle_work work)
{
	space_oracle *oracle = work.file->oracle;

	if (!oracle->slow || oracle->work_count == ORACLE_WORK)
		answer(work);
	else
		oracle->work[oracle->work_count++] = work;
}

void oracle_answer(space_oracle *oracle)
{
	oracle_work work = oracle->work[0];

	oracle->work_count--;
	memmove(oracle->work, oracle->work + 1, oracle->work_count * sizeof work);
	answer(work);
}

static void pager_read(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	(void)object;
	begin((oracle_work){ false, file, page, frame });
}

static void pager_write(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	(void)object;
	begin((oracle_work){ true, file, page, frame });
}

static void pager_release(void *file)
{
	oracle_object *model = file;

	model->object = NULL;
}

static const lh_pager pager = { pager_read, pager_write, pager_release };

static void make_object(space_oracle *oracle, unsigned n, lh_account *account)
{
	oracle_object *model = &oracle->objects[n];
	lh_object_setup setup = { .kind = n == 1 ? LH_OBJECT_FILE : LH_OBJECT_ANONYMOUS,
				  .committed = n == 2, .account = account, .pager = &pager, .file = model,
				  .size = 20 * PAGE + 100 };

	*model = (oracle_object){ .frames = oracle->world.frames, .file = n == 1,
				  .committed = n == 2, .account = account, .size = setup.size,
				  .oracle = oracle };
	CHECK_OK(lh_object_create(oracle->world.manager, &setup, &model->object));
	if (n != 1)
		return;
	for (uint64_t page = 0; page < oracle_object_pages(model); page++)
		for (unsigned word = 0; word < ORACLE_WORDS; word++)
			if (page * PAGE + oracle_offsets[word] + 8 <= model->size)
				model->disk[page][word] = 0xf11e0000 + page * 16 + word;
}

void oracle_open(space_oracle *oracle, const world_setup *setup)
{
	memset(oracle, 0, sizeof(*oracle));
	world_open(&oracle->world, setup);
	oracle->count = oracle->world.user.pages;
	oracle->world.machine->hooks = (machine_hooks){ .context = oracle, .park = oracle_park,
							.turn = oracle_turn };
	oracle->world.fault = oracle_fault;
	oracle->world.fault_context = oracle;
	for (unsigned n = 0; n < ORACLE_OBJECTS; n++)
		make_object(oracle, n, NULL);
}

void oracle_renew_object(space_oracle *oracle, unsigned number, lh_account *account)
{
	lh_object_drop(oracle->objects[number].object);
	make_object(oracle, number, account);
}

void oracle_close(space_oracle *oracle)
{
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (oracle->space[n])
			oracle_destroy(oracle, n);
	for (unsigned n = 0; n < ORACLE_PINS; n++)
		oracle_unpin(oracle, n);
	CHECK_EQUAL(oracle->frames, 0);
	for (unsigned n = 0; n < ORACLE_OBJECTS; n++)
		lh_object_drop(oracle->objects[n].object);
	CHECK(oracle->objects[1].object == NULL);
	world_close(&oracle->world);
	inject_buffer_free(&oracle->before);
}

/* The object's page comes into being. */
static void bring(oracle_object *object, uint64_t page)
{
	if (object->present[page])
		return;
	object->present[page] = true;
	memset(object->words[page], 0, sizeof(object->words[page]));
	if (object->file)
		memcpy(object->words[page], object->disk[page], sizeof(object->words[page]));
}

/* The bytes of a word, at a place in the object, that lie before the end. */
static uint64_t keep_below(uint64_t value, uint64_t place, uint64_t end)
{
	if (place >= end)
		return 0;
	return end - place >= 8 ? value : value & ((UINT64_C(1) << 8 * (end - place)) - 1);
}

static void clear_beyond(uint64_t words[][ORACLE_WORDS], uint64_t end)
{
	for (uint64_t page = end / PAGE; page < ORACLE_OBJECT_PAGES; page++)
		for (unsigned word = 0; word < ORACLE_WORDS; word++)
			words[page][word] = keep_below(words[page][word],
						       page * PAGE + oracle_offsets[word], end);
}

void oracle_resize(space_oracle *oracle, unsigned number, uint64_t size)
{
	oracle_object *object = &oracle->objects[number];
	uint64_t end = size < object->size ? size : object->size, gone = (size + PAGE - 1) / PAGE;
	uint64_t before = oracle_object_pages(object);
	bool may = !object->committed || gone <= before ||
		   oracle_has_room(oracle, object->account, gone - before);
	lh_error error;

	machine_operation(oracle->world.machine, "resize of object %u to %llu", number,
			  (unsigned long long)size);
	ORACLE_CALL(oracle, error, lh_object_resize(object->object, size), error == LH_NO_MEMORY);
	CHECK_ERROR(error, may ? LH_OK : LH_LIMIT);
	oracle->limited += !may;
	if (!may)
		return;
	object->size = size;
	clear_beyond(object->words, end);
	clear_beyond(object->disk, end);
	for (uint64_t page = gone; page < ORACLE_OBJECT_PAGES; page++)
		object->present[page] = false;
	oracle_forget_pinned(oracle, (int)number, gone);
	for (unsigned n = 0; n < WORLD_SPACES; n++) {
		if (!oracle->space[n])
			continue;
		for (uint64_t at = 0; at < oracle->count; at++) {
			oracle_page *page = &oracle->space[n]->pages[at];

			if (page->mapped && page->object == (int)number && page->object_page >= gone)
				oracle_empty(oracle, page);
		}
	}
}

void oracle_object_access(space_oracle *oracle, unsigned number, uint64_t page, lh_rights access,
			  unsigned word, uint64_t value)
{
	oracle_object *object = &oracle->objects[number];
	lh_frames *frames = oracle->world.frames;
	uint64_t found;
	uint8_t *bytes;
	lh_frame_number frame;
	lh_error error;

	if (page >= oracle_object_pages(object)) {
		CHECK_ERROR(lh_object_hold_page(object->object, page, access, &frame),
			    LH_BAD_ADDRESS);
		return;
	}
	machine_operation(oracle->world.machine, "%s page %llu of object %u",
			  access == WRITE ? "write to" : "read", (unsigned long long)page, number);
	ORACLE_CALL(oracle, error, lh_object_hold_page(object->object, page, access, &frame),
		    error == LH_NO_MEMORY || error == LH_IO);
	if (access == WRITE && is_refused(oracle, object, page)) {
		CHECK_ERROR(error, LH_LIMIT);
		oracle->limited++;
		return;
	}
	CHECK_OK(error);
	if (!object->present[page] && !object->file && access == READ) {
		CHECK(lh_frame_is_none(frame));
		return;
	}
	bring(object, page);
	bytes = (uint8_t *)lh_frame_pointer(frames, frame) + oracle_offsets[word];
	memcpy(&found, bytes, 8);
	CHECK_EQUAL(found, object->words[page][word]);
	if (access == WRITE) {
		memcpy(bytes, &value, 8);
		object->words[page][word] = value;
	}
	lh_frame_drop(frames, frame);
}

void oracle_sync(space_oracle *oracle, unsigned number)
{
	oracle_object *object = &oracle->objects[number];
	lh_error error;

	machine_operation(oracle->world.machine, "sync of object %u", number);
	oracle->may_differ = true; /* what was stored is read-only, whether all of it was or not */
	ORACLE_CALL(oracle, error, lh_object_sync(object->object, 0, UINT64_MAX), error == LH_IO);
	CHECK_OK(error);
	for (uint64_t page = 0; object->file && page < ORACLE_OBJECT_PAGES; page++)
		for (unsigned word = 0; object->present[page] && word < ORACLE_WORDS; word++)
			CHECK_EQUAL(object->disk[page][word], object->words[page][word]);
}

/* --- accesses --- */

/* The page below a stack: the stack grows, if it may. */
static void grow(space_oracle *oracle, unsigned n, uint64_t page, lh_rights access)
{
	oracle_space *space = oracle->space[n];
	uint64_t first = page, last, added;
	const oracle_page *stack;
	lh_rights implied;

	while (first < space->count && !space->pages[first].mapped)
		first++;
	if (first == space->count)
		return;
	stack = &space->pages[first];
	last = oracle_run_end(space, first);
	added = first - page;
	implied = lh_paging_format_implied(&oracle->world.format, stack->rights);
	if ((stack->flags & LH_REGION_GROWS_DOWN) == 0 || (implied & access) == 0 ||
	    added > oracle_pages_left(space) || last - page + 1 > space->limits.stack_pages)
		return;
	if ((stack->flags & LH_REGION_CHARGED) != 0 && !oracle_may_charge(oracle, n, added))
		return;
	if (!oracle_is_legal(space, page, added, stack->guard_before, 0)) {
		/* Legal towards the stack itself, which the pages join: only what is below counts. */
		oracle_space without = *space;

		for (uint64_t at = first; at < space->count; at++)
			without.pages[at].mapped = false;
		if (!oracle_is_legal(&without, page, added, stack->guard_before, 0))
			return;
	}
	for (uint64_t at = page; at < first; at++) {
		space->pages[at] = *stack;
		space->pages[at].guard_before = 0;
		space->pages[at].guard_after = 0;
		space->pages[at].leaf = LEAF_EMPTY;
		space->pages[at].own = NULL;
	}
	space->pages[page].guard_before = stack->guard_before;
	space->pages[first].guard_before = 0;
}

lh_fault oracle_judge(space_oracle *oracle, unsigned n, uint64_t page, lh_rights access)
{
	const oracle_space *space = oracle->space[n];
	const oracle_page *at = &space->pages[page];
	const oracle_object *object;

	if (!at->mapped)
		grow(oracle, n, page, access);
	if (!at->mapped)
		return LH_FAULT_NOT_MAPPED;
	if (at->backing == LH_BACKING_NONE || at->rights == LH_RIGHT_NONE)
		return LH_FAULT_NO_ACCESS;
	if ((lh_paging_format_implied(&oracle->world.format, at->rights) & access) == 0)
		return LH_FAULT_NO_ACCESS;
	object = at->object >= 0 ? &oracle->objects[at->object] : NULL;
	if (object && at->object_page >= oracle_object_pages(object))
		return LH_FAULT_BUS;
	if (object && at->leaf == LEAF_EMPTY && is_refused(oracle, object, at->object_page))
		return LH_FAULT_BUS;
	return LH_FAULT_OK;
}

static const uint64_t zeroes[ORACLE_WORDS];

static const uint64_t *contents(space_oracle *oracle, const oracle_page *page)
{
	if (page->leaf == LEAF_OWN)
		return page->own->words;
	return page->object >= 0 ? oracle->objects[page->object].words[page->object_page] : zeroes;
}

void oracle_make_own(space_oracle *oracle, oracle_page *page)
{
	oracle_frame *made;

	if (page->leaf == LEAF_OWN && page->own->references == 1)
		return;
	if (page->object >= 0 && page->leaf != LEAF_OWN)
		bring(&oracle->objects[page->object], page->object_page);
	made = calloc(1, sizeof(*made));
	made->references = 1;
	memcpy(made->words, contents(oracle, page), sizeof(made->words));
	oracle_empty(oracle, page);
	page->leaf = LEAF_OWN;
	page->own = made;
	oracle->frames++;
}

void oracle_show(space_oracle *oracle, oracle_page *page)
{
	if (page->leaf != LEAF_EMPTY)
		return;
	page->leaf = page->object >= 0 ? LEAF_SHOWN : LEAF_ZERO;
	if (page->object >= 0)
		bring(&oracle->objects[page->object], page->object_page);
}

/* What the oracle says becomes of an access that is allowed. *value: what is read, or to write. */
static void perform(space_oracle *oracle, oracle_page *page, mmu_access access, unsigned word,
		    uint64_t *value)
{
	if (access != MMU_WRITE) {
		oracle_show(oracle, page);
		*value = contents(oracle, page)[word];
	} else if ((page->flags & LH_REGION_SHARED) != 0) {
		oracle_show(oracle, page);
		oracle->objects[page->object].words[page->object_page][word] = *value;
	} else {
		oracle_make_own(oracle, page);
		page->own->words[word] = *value;
	}
}

bool oracle_is_huge(space_oracle *oracle, unsigned n, uint64_t page)
{
	lh_leaf leaf = world_leaf(&oracle->world, n, page);

	return leaf.kind != LH_LEAF_EMPTY && leaf.level == 1;
}

/* A huge leaf that was not there: might it come? Then all its pages have. */
static void adopt_huge(space_oracle *oracle, unsigned n, uint64_t page)
{
	oracle_space *space = oracle->space[n];
	uint64_t below = world_page(&oracle->world, page) / PAGE % 512, first = page - below;

	if (space->pages[page].leaf != LEAF_EMPTY || !oracle_is_huge(oracle, n, page))
		return;
	CHECK(below <= page && first + 512 <= space->count);
	CHECK(oracle_run_begin(space, page) <= first && oracle_run_end(space, page) >= first + 511);
	for (uint64_t at = first; at < first + 512; at++) {
		CHECK_EQUAL(space->pages[at].leaf, LEAF_EMPTY);
		CHECK_EQUAL(space->pages[at].backing, LH_BACKING_ANONYMOUS);
		CHECK_EQUAL(space->pages[at].flags & (LH_REGION_HUGE | LH_REGION_CHARGED),
			    LH_REGION_HUGE | LH_REGION_CHARGED);
		oracle_make_own(oracle, &space->pages[at]);
	}
	oracle->huge++;
}

/* A write that is in the middle has given the page a frame of its own, if the leaf names another than before; the
 * frame that it names still may have become the page's own since it was seen. */
void oracle_catch_up(space_oracle *oracle)
{
	oracle_page *page = &oracle->space[oracle->busy_space]->pages[oracle->busy_page];
	lh_leaf leaf = world_leaf(&oracle->world, oracle->busy_space, oracle->busy_page);
	lh_frame_number frame = world_frame(&oracle->world, oracle->busy_space, oracle->busy_page);
	const lh_frame_entry *entry;

	adopt_huge(oracle, oracle->busy_space, oracle->busy_page);
	if (leaf.kind == LH_LEAF_EMPTY)
		return;
	entry = lh_frame_entry_of(oracle->world.frames, frame);
	if ((leaf.flags & LH_LEAF_UNCOUNTED) != 0 || entry->state == LH_FRAME_OBJECT)
		oracle_show(oracle, page);
	else if (page->leaf != LEAF_OWN || frame.value != oracle->busy_frame.value || entry->holders == 1 ||
		 entry->pins != 0)
		oracle_make_own(oracle, page);
}

/* What a fault brought in stays in the object, though something else came in its way. */
static void note_brought(space_oracle *oracle, int number, uint64_t page)
{
	oracle_object *object = number >= 0 ? &oracle->objects[number] : NULL;

	if (object && lh_page_index_get(&object->object->index, page) != 0)
		bring(object, page);
}

lh_fault oracle_access(space_oracle *oracle, unsigned cpu, unsigned n, uint64_t page, mmu_access access,
		       unsigned word, uint64_t value)
{
	uint64_t address = world_page(&oracle->world, page) + oracle_offsets[word], moved = value;
	const oracle_page before = oracle->space[n]->pages[page];
	/* Where nothing is mapped the judgement may be that a stack grows, which is done by it. */
	const lh_fault earlier = before.mapped ? oracle_judge(oracle, n, page,
						       machine_access_right(access))
					       : LH_FAULT_OK;
	lh_fault outcome, expected;

	machine_operation(oracle->world.machine, "%s page %llu of space %u on CPU %u",
			  access == MMU_WRITE ? "write to" : access == MMU_READ ? "read" : "fetch from",
			  (unsigned long long)page, n, cpu);
	/* A stack that grew stays grown, whether its page was had or not; a huge leaf that was split stays so. */
	oracle->may_differ = !before.mapped || oracle_is_huge(oracle, n, page);
	world_load(&oracle->world, cpu, (int)n);
	oracle->busy_frame = world_frame(&oracle->world, n, page); /* a look, too, is a turn */
	oracle->inside = before.mapped;
	oracle->busy_space = n;
	oracle->busy_page = page;
	oracle->turns = 0;
	outcome = world_access(&oracle->world, cpu, n, address, access, &moved, 8);
	oracle->inside = false;
	note_brought(oracle, before.object, before.object_page);
	expected = oracle_judge(oracle, n, page, machine_access_right(access));
	/* A refusal is as old as the fault's look at the region, which it does not hold. */
	if (outcome == LH_FAULT_OK || outcome != earlier)
		CHECK_EQUAL(outcome, expected);
	oracle->limited += outcome == LH_FAULT_BUS && before.object_page < ORACLE_OBJECT_PAGES &&
			   is_refused(oracle, &oracle->objects[before.object], before.object_page);
	if (outcome != LH_FAULT_OK)
		return outcome;
	if (access == MMU_WRITE)
		adopt_huge(oracle, n, page);
	perform(oracle, &oracle->space[n]->pages[page], access, word, &value);
	CHECK_EQUAL(moved, value);
	return LH_FAULT_OK;
}
