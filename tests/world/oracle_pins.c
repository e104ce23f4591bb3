/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle's pins: what a device sees is what the space sees, as long as the page is there. */
#include "world/oracle_inside.h"

#include <string.h>

#include "adversary.h"

static bool is_private_and_charged(const oracle_page *page)
{
	return (page->flags & (LH_REGION_SHARED | LH_REGION_CHARGED)) == LH_REGION_CHARGED;
}

static lh_error error_of(lh_fault outcome)
{
	static const lh_error errors[] = { [LH_FAULT_OK] = LH_OK, [LH_FAULT_NO_MEMORY] = LH_NO_MEMORY,
					   [LH_FAULT_NOT_MAPPED] = LH_NOT_MAPPED,
					   [LH_FAULT_NO_ACCESS] = LH_NO_ACCESS,
					   [LH_FAULT_BUS] = LH_BAD_ADDRESS };

	return errors[outcome];
}

/* What becomes of the pages, one after the other, up to the first that cannot be had. */
static lh_error bring_pages(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages,
			    lh_rights access)
{
	for (uint64_t at = page; at < page + pages; at++) {
		oracle_page *there = &oracle->space[n]->pages[at];
		lh_error error = error_of(oracle_judge(oracle, n, at, access));

		if (error != LH_OK)
			return error;
		if (is_private_and_charged(there))
			oracle_make_own(oracle, there);
		else
			oracle_show(oracle, there);
	}
	return LH_OK;
}

static void note_pages(space_oracle *oracle, oracle_pinned *pins, unsigned n, uint64_t page)
{
	for (uint64_t i = 0; i < pins->pinned.pages; i++) {
		const oracle_page *there = &oracle->space[n]->pages[page + i];

		pins->pages[i].own = there->own;
		pins->pages[i].object = there->leaf == LEAF_SHOWN ? there->object : -1;
		pins->pages[i].object_page = there->object_page;
		pins->pages[i].is_gone = false;
		if (there->own)
			there->own->pins++;
	}
}

lh_error oracle_pin(space_oracle *oracle, unsigned number, unsigned n, uint64_t page, uint64_t pages,
		    lh_rights access)
{
	oracle_pinned *pins = &oracle->pins[number];
	lh_error expected = oracle_may_charge(oracle, n, pages) ? LH_OK : LH_LIMIT, error;

	CHECK(pins->pinned.pages == 0 && pages <= ORACLE_PIN_PAGES);
	machine_operation(oracle->world.machine, "pin of %llu pages from %llu of space %u to %s",
			  (unsigned long long)pages, (unsigned long long)page, n,
			  access == WRITE ? "write" : "read");
	oracle->may_differ = true; /* pages that were brought in stay */
	ORACLE_CALL(oracle, error,
		    lh_space_pin(oracle->world.space[n], world_range(&oracle->world, page, pages), access,
				 number % 2 ? LH_PIN_LONG : LH_PIN_SHORT, pins->frames, &pins->pinned),
		    error == LH_NO_MEMORY || error == LH_BAD_ADDRESS);
	if (expected == LH_OK) {
		/* What is pinned is promised before the pages come. */
		lh_pinned answer = pins->pinned;

		pins->pinned = (lh_pinned){ .account = oracle->world.account[n], .pages = pages };
		expected = bring_pages(oracle, n, page, pages, access);
		pins->pinned = answer;
	}
	oracle->may_differ = false;
	CHECK_ERROR(error, expected);
	world_settle(&oracle->world);
	if (error != LH_OK)
		return error;
	CHECK_EQUAL(pins->pinned.pages, pages);
	pins->writes = access == WRITE;
	note_pages(oracle, pins, n, page);
	oracle->world.promised += pages;
	return LH_OK;
}

void oracle_unpin(space_oracle *oracle, unsigned number)
{
	oracle_pinned *pins = &oracle->pins[number];
	uint64_t pages = pins->pinned.pages;

	if (pages == 0)
		return;
	machine_operation(oracle->world.machine, "unpin of %llu pages", (unsigned long long)pages);
	oracle->world.promised -= pages;
	lh_space_unpin(&pins->pinned);
	for (uint64_t i = 0; i < pages; i++) {
		oracle_frame *own = pins->pages[i].own;

		if (!own)
			continue;
		own->pins--;
		oracle_let_go(oracle, own);
	}
	world_settle(&oracle->world);
}

/* The words that the page has; NULL: nobody says. */
static uint64_t *words_of(space_oracle *oracle, const oracle_pinned *pins, uint64_t index)
{
	if (pins->pages[index].own)
		return pins->pages[index].own->words;
	if (pins->pages[index].object < 0 || pins->pages[index].is_gone)
		return NULL;
	return oracle->objects[pins->pages[index].object].words[pins->pages[index].object_page];
}

void oracle_device(space_oracle *oracle, unsigned number, uint64_t index, unsigned word, uint64_t value)
{
	oracle_pinned *pins = &oracle->pins[number];
	uint64_t *words, found;
	uint8_t *bytes;

	if (index >= pins->pinned.pages)
		return;
	words = words_of(oracle, pins, index);
	bytes = (uint8_t *)lh_frame_pointer(oracle->world.frames, pins->frames[index]) +
		oracle_offsets[word];
	memcpy(&found, bytes, 8);
	if (words)
		CHECK_EQUAL(found, words[word]);
	if (!words || !pins->writes)
		return;
	memcpy(bytes, &value, 8);
	words[word] = value;
}

/* --- what is counted --- */

void oracle_forget_pinned(space_oracle *oracle, int object, uint64_t first)
{
	for (unsigned n = 0; n < ORACLE_PINS; n++)
		for (uint64_t i = 0; i < oracle->pins[n].pinned.pages; i++)
			if (oracle->pins[n].pages[i].object == object &&
			    oracle->pins[n].pages[i].object_page >= first)
				oracle->pins[n].pages[i].is_gone = true;
}

static bool is_met_before(const space_oracle *oracle, unsigned number, uint64_t index)
{
	lh_frame_number frame = oracle->pins[number].frames[index];

	for (unsigned n = 0; n <= number; n++)
		for (uint64_t i = 0; i < oracle->pins[n].pinned.pages && (n < number || i < index); i++)
			if (oracle->pins[n].frames[i].value == frame.value)
				return true;
	return false;
}

uint64_t oracle_pinned_orphans(const space_oracle *oracle)
{
	uint64_t orphans = 0;

	for (unsigned n = 0; n < ORACLE_PINS; n++)
		for (uint64_t i = 0; i < oracle->pins[n].pinned.pages; i++)
			orphans += oracle->pins[n].pages[i].is_gone && !is_met_before(oracle, n, i);
	return orphans;
}

uint64_t oracle_pinned_charge(const space_oracle *oracle, const lh_account *account)
{
	uint64_t charge = 0;

	for (unsigned n = 0; n < ORACLE_PINS; n++) {
		const lh_account *at = oracle->pins[n].pinned.account;

		while (account && at && at != account)
			at = at->parent;
		if (!account || at)
			charge += oracle->pins[n].pinned.pages;
	}
	return charge;
}
