/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations on ranges of two spaces by four CPUs.
 *
 * Each CPU has a slice of its own in each space, in which it alone changes anything: there it
 * knows what each page must answer. The slices lie side by side, in the same tables, and their
 * regions merge with each other. And there is a slice that all of them change: there a page
 * must at least be zero or hold what somebody wrote to this very page.
 */
#include "threads/crowd.h"

#define CPUS 4
#define SPACES 2
#define SLICE 40
#define COMMON (CPUS * SLICE) /* the common slice's first page */

/* What a CPU's own page must answer. */
struct page {
	bool mapped;
	lh_rights rights;
	uint64_t value;
};

struct ranges {
	test_world world;
	uint64_t operations;
	uint64_t seed;
	struct page pages[SPACES][CPUS][SLICE];
	uint64_t random[CPUS];
	uint64_t written[CPUS];
};

/* What a CPU does next: n pages from page `first` of space `space`. */
struct place {
	unsigned cpu, space;
	bool is_own;
	uint64_t first, pages;
};

static uint64_t draw(struct ranges *ranges, unsigned cpu, uint64_t below)
{
	return crowd_random(&ranges->random[cpu], below);
}

static struct place choose(struct ranges *ranges, unsigned cpu)
{
	struct place place = { .cpu = cpu, .space = (unsigned)draw(ranges, cpu, SPACES),
			       .is_own = draw(ranges, cpu, 3) != 0,
			       .first = draw(ranges, cpu, SLICE) };
	uint64_t left = SLICE - place.first;

	place.pages = 1 + draw(ranges, cpu, left < 12 ? left : 12);
	return place;
}

static struct page *page_of(struct ranges *ranges, const struct place *place, uint64_t n)
{
	return &ranges->pages[place->space][place->cpu][place->first + n];
}

static uint64_t number(const struct place *place)
{
	return (place->is_own ? place->cpu * SLICE : COMMON) + place->first;
}

static lh_virtual_range range_of(struct ranges *ranges, const struct place *place)
{
	return world_range(&ranges->world, number(place), place->pages);
}

static uint64_t count_mapped(struct ranges *ranges, const struct place *place)
{
	uint64_t mapped = 0;

	for (uint64_t n = 0; n < place->pages; n++)
		mapped += page_of(ranges, place, n)->mapped;
	return mapped;
}

/* What the operation must have answered in an own slice; in the common one any of the two. */
static void expect(struct ranges *ranges, const struct place *place, lh_error error, bool succeeds,
		   lh_error otherwise)
{
	if (place->is_own)
		REQUIRE_EQUAL(ranges->world.machine, error, succeeds ? LH_OK : otherwise);
	else
		REQUIRE(ranges->world.machine, error == LH_OK || error == otherwise);
}

static lh_rights draw_rights(struct ranges *ranges, unsigned cpu)
{
	static const lh_rights some[] = { LH_RIGHT_NONE, READ, READ_WRITE, READ_WRITE };

	return some[draw(ranges, cpu, 4)];
}

static void do_map(struct ranges *ranges, const struct place *place)
{
	lh_map_request request = { .pages = place->pages,
				   .where = draw(ranges, place->cpu, 3) == 0 ? LH_OVER : LH_AT,
				   .address = range_of(ranges, place).base,
				   .rights = draw_rights(ranges, place->cpu) };
	bool fits = request.where == LH_OVER || count_mapped(ranges, place) == 0;
	lh_virtual_range placed;
	lh_error error = lh_space_map(ranges->world.space[place->space], &request, &placed);

	expect(ranges, place, error, fits, LH_EXISTS);
	for (uint64_t n = 0; error == LH_OK && place->is_own && n < place->pages; n++)
		*page_of(ranges, place, n) = (struct page){ true, request.rights, 0 };
}

static void do_unmap(struct ranges *ranges, const struct place *place)
{
	REQUIRE_EQUAL(ranges->world.machine,
		      lh_space_unmap(ranges->world.space[place->space], range_of(ranges, place)),
		      LH_OK);
	for (uint64_t n = 0; place->is_own && n < place->pages; n++)
		*page_of(ranges, place, n) = (struct page){ 0 };
}

static void do_protect(struct ranges *ranges, const struct place *place)
{
	lh_rights rights = draw_rights(ranges, place->cpu);
	bool whole = count_mapped(ranges, place) == place->pages;
	lh_error error = lh_space_protect(ranges->world.space[place->space], range_of(ranges, place),
					  rights);

	expect(ranges, place, error, whole, LH_NOT_MAPPED);
	for (uint64_t n = 0; error == LH_OK && place->is_own && n < place->pages; n++)
		page_of(ranges, place, n)->rights = rights;
}

static void do_discard(struct ranges *ranges, const struct place *place)
{
	bool whole = count_mapped(ranges, place) == place->pages;
	lh_error error = lh_space_discard(ranges->world.space[place->space], range_of(ranges, place));

	expect(ranges, place, error, whole, LH_NOT_MAPPED);
	for (uint64_t n = 0; error == LH_OK && place->is_own && n < place->pages; n++)
		page_of(ranges, place, n)->value = 0;
}

/* How an access to one of the CPU's own pages must end. */
static lh_fault outcome_of(const struct page *page, bool writes)
{
	if (!page->mapped)
		return LH_FAULT_NOT_MAPPED;
	if (page->rights == LH_RIGHT_NONE || (writes && (page->rights & WRITE) == 0))
		return LH_FAULT_NO_ACCESS;
	return LH_FAULT_OK;
}

static void check_outcome(struct ranges *ranges, const struct place *place, const struct page *page,
			  bool writes, lh_fault outcome)
{
	lh_port *machine = ranges->world.machine;

	if (place->is_own)
		REQUIRE_EQUAL(machine, outcome, outcome_of(page, writes));
	else
		REQUIRE(machine, outcome == LH_FAULT_OK || outcome == LH_FAULT_NOT_MAPPED ||
					 outcome == LH_FAULT_NO_ACCESS);
}

static void do_write(struct ranges *ranges, const struct place *place, uint64_t n)
{
	test_world *world = &ranges->world;
	struct page *page = page_of(ranges, place, n);
	uint64_t which = number(place) + n;
	uint64_t value = ++ranges->written[place->cpu] << 24 | (place->space + 1) << 20 |
			 which << 4 | (place->cpu + 1);
	lh_fault outcome = crowd_write(world, place->cpu, world_page(world, which), value);

	check_outcome(ranges, place, page, true, outcome);
	if (place->is_own && outcome == LH_FAULT_OK)
		page->value = value;
}

static void do_read(struct ranges *ranges, const struct place *place, uint64_t n)
{
	test_world *world = &ranges->world;
	const struct page *page = page_of(ranges, place, n);
	uint64_t which = number(place) + n, value = 0;
	lh_fault outcome = crowd_read(world, place->cpu, world_page(world, which), &value);

	check_outcome(ranges, place, page, false, outcome);
	if (outcome != LH_FAULT_OK)
		return;
	if (place->is_own)
		REQUIRE_EQUAL(world->machine, value, page->value);
	else
		REQUIRE(world->machine, value == 0 || ((value >> 4 & 0xffff) == which &&
						       (value >> 20 & 0xf) == place->space + 1));
}

static void do_accesses(struct ranges *ranges, struct place *place)
{
	test_world *world = &ranges->world;

	/* Loading a space is rarer than using it. */
	if (world->loaded[place->cpu] < 0 || draw(ranges, place->cpu, 6) == 0)
		crowd_load(world, place->cpu, (int)place->space);
	place->space = (unsigned)world->loaded[place->cpu];
	if (draw(ranges, place->cpu, 4) == 0)
		(void)machine_speculate(world->machine, place->cpu,
					lh_virtual(world_page(world, 0)), COMMON + SLICE);
	for (uint64_t n = 0; n < place->pages; n++) {
		if (draw(ranges, place->cpu, 2) == 0)
			do_write(ranges, place, n);
		else
			do_read(ranges, place, n);
	}
}

static void work(void *context, unsigned cpu)
{
	struct ranges *ranges = context;

	for (uint64_t i = 0; i < ranges->operations; i++) {
		struct place place = choose(ranges, cpu);

		machine_step(ranges->world.machine, "operation on a range");
		switch (draw(ranges, cpu, 8)) {
		case 0: do_map(ranges, &place); break;
		case 1: do_map(ranges, &place); break;
		case 2: do_unmap(ranges, &place); break;
		case 3: do_protect(ranges, &place); break;
		case 4: do_discard(ranges, &place); break;
		default: do_accesses(ranges, &place); break;
		}
	}
}

static void run(unsigned cpus, uint64_t operations)
{
	static struct ranges ranges;
	crowd_before before;

	ranges = (struct ranges){ .operations = operations };
	crowd_open(&ranges.world, 4096, cpus);
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		ranges.random[cpu] = test_random();
	before = crowd_note(&ranges.world);
	for (unsigned n = 0; n < SPACES; n++)
		world_make(&ranges.world, n);
	crowd_run(&ranges.world, work, &ranges);
	for (unsigned n = 0; n < SPACES; n++)
		world_destroy(&ranges.world, n);
	crowd_compare(&ranges.world, &before);
	world_close(&ranges.world);
}

TEST(ranges_of_two_spaces_by_four_cpus)
{
	run(4, 12000);
}

TEST(ranges_of_two_spaces_by_two_cpus)
{
	run(2, 12000);
}
