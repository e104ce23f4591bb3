/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames against a naive table of frames: who holds what, and what is promised. */
#include "small_machine.h"

#include <stdlib.h>
#include <string.h>

#define FRAMES_MOST 8192

struct model_frame {
	uint64_t number;
	uint32_t holders; /* 0: free */
	lh_frame_state state;
	bool charged;
};

static lh_frames *frames;
static struct model_frame model[FRAMES_MOST];
static uint64_t total;
static uint64_t committed;
static lh_charge_policy policy;

static void begin(lh_charge_policy wanted, const struct span *spans, size_t count)
{
	const lh_memory_map *map;

	policy = wanted;
	frames = small_machine(policy, spans, count);
	map = small_machine_map();
	total = committed = 0;
	for (size_t i = 0; i < map->count; i++)
		for (uint64_t page = 0; page < map->entries[i].length >> LH_PAGE_SHIFT; page++) {
			CHECK(total < FRAMES_MOST);
			model[total++] = (struct model_frame){
				.number = (map->entries[i].base >> LH_PAGE_SHIFT) + page
			};
		}
}

static void count_model(lh_frame_counters *counters)
{
	*counters = (lh_frame_counters){ .total = total, .committed = committed };
	for (uint64_t i = 0; i < total; i++) {
		if (model[i].holders == 0)
			counters->free++;
		else
			counters->used[model[i].state]++;
		counters->charged_in_use += model[i].charged;
	}
}

static void check_all(void)
{
	lh_frame_counters computed, expected;

	CHECK_EQUAL(small_machine_interrupts_off, 0);
	CHECK_SOUND(lh_frames_check(frames));
	lh_frames_read_counters(frames, &computed);
	count_model(&expected);
	CHECK(computed.zeroed <= computed.free);
	expected.zeroed = computed.zeroed;
	CHECK(memcmp(&computed, &expected, sizeof computed) == 0);
	for (uint64_t i = 0; i < total; i++) {
		lh_frame_entry *entry = lh_frame_entry_of(frames, lh_frame(model[i].number));

		CHECK(entry != NULL);
		CHECK_EQUAL(entry->holders, model[i].holders);
		if (model[i].holders != 0)
			CHECK_EQUAL(entry->state, model[i].state);
	}
}

static struct model_frame *find(uint64_t number)
{
	for (uint64_t i = 0; i < total; i++)
		if (model[i].number == number)
			return &model[i];
	test_fail(__FILE__, __LINE__, "a frame that never was: %#llx", (unsigned long long)number);
}

static void take_in_model(uint64_t number, lh_frame_state state, bool charged)
{
	struct model_frame *frame = find(number);

	CHECK_EQUAL(frame->holders, 0);
	*frame = (struct model_frame){ number, 1, state, charged };
}

static bool model_may_take(uint64_t count, bool charged)
{
	lh_frame_counters now;

	count_model(&now);
	if (count > now.free)
		return false;
	return charged || policy != LH_CHARGE_STRICT ||
	       now.free - count + now.charged_in_use >= committed;
}

/* The lowest row that fits, by trying all. */
static uint64_t model_row(uint64_t count, uint64_t alignment, uint64_t limit)
{
	for (uint64_t i = 0; i + count <= total; i++) {
		uint64_t fits = 0;

		if (model[i].number % alignment != 0)
			continue;
		while (fits < count && model[i + fits].holders == 0 &&
		       model[i + fits].number == model[i].number + fits &&
		       (limit == 0 || model[i + fits].number < limit))
			fits++;
		if (fits == count)
			return model[i].number;
	}
	return LH_NO_FRAME;
}

/* --- Random operations --- */

static const lh_frame_state states[] = { LH_FRAME_KERNEL, LH_FRAME_TABLE, LH_FRAME_POOL,
					 LH_FRAME_ANONYMOUS, LH_FRAME_OBJECT };

static void random_allocate(void)
{
	lh_frame_state state = states[test_random_below(5)];
	bool charged = test_random_below(3) == 0;
	lh_frame_source source = charged ? LH_FRAME_CHARGED : LH_FRAME_UNCHARGED;
	lh_frame_number frame = lh_frame(LH_NO_FRAME);
	bool possible = model_may_take(1, charged);

	if (test_random_below(2)) {
		CHECK_ERROR(lh_frame_allocate(frames, state, source, &frame),
			    possible ? LH_OK : LH_NO_MEMORY);
	} else {
		CHECK_ERROR(lh_frame_allocate_zeroed(frames, state, source, &frame),
			    possible ? LH_OK : LH_NO_MEMORY);
		for (unsigned i = 0; possible && i < LH_PAGE_SIZE; i += 64)
			CHECK_EQUAL(((unsigned char *)lh_frame_pointer(frames, frame))[i], 0);
	}
	if (!possible) {
		CHECK(lh_frame_is_none(frame));
		return;
	}
	take_in_model(frame.value, state, charged);
	memset(lh_frame_pointer(frames, frame), 0x77, LH_PAGE_SIZE);
	lh_frame_entry_of(frames, frame)->word = 99;
}

static void random_row(void)
{
	uint64_t count = 1 + test_random_below(test_random_below(3) ? 9 : 150);
	uint64_t alignment = UINT64_C(1) << test_random_below(8);
	uint64_t limit = test_random_below(2) ? 0 : model[test_random_below(total)].number;
	uint64_t expected = model_row(count, alignment, limit);
	lh_frame_number first = lh_frame(LH_NO_FRAME);

	if (!model_may_take(count, false))
		expected = LH_NO_FRAME;
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, count, alignment, limit, LH_FRAME_KERNEL,
						 &first),
		    expected == LH_NO_FRAME ? LH_NO_MEMORY : LH_OK);
	/* A lower one may be in the way of what a CPU keeps: any will do that fits as well. */
	if (expected != LH_NO_FRAME) {
		CHECK_EQUAL(first.value % alignment, 0);
		CHECK(limit == 0 || first.value + count <= limit);
	}
	for (uint64_t i = 0; expected != LH_NO_FRAME && i < count; i++)
		take_in_model(first.value + i, LH_FRAME_KERNEL, false);
}

static void drop_one(struct model_frame *frame)
{
	bool freed = lh_frame_drop(frames, lh_frame(frame->number));

	frame->holders--;
	CHECK_EQUAL(freed, frame->holders == 0);
	if (freed)
		frame->charged = false;
}

static void random_holder(void)
{
	struct model_frame *frame = &model[test_random_below(total)];

	if (frame->holders == 0)
		return;
	if (test_random_below(4) == 0) {
		lh_frame_hold(frames, lh_frame(frame->number));
		frame->holders++;
	} else {
		drop_one(frame);
	}
}

static void random_charge(void)
{
	uint64_t pages = test_random_below(total / 3 + 2);
	lh_frame_counters now;
	bool possible = true;

	count_model(&now);
	if (test_random_below(2)) {
		if (pages > committed)
			pages = committed;
		lh_charge_give_back(frames, pages);
		committed -= pages;
		return;
	}
	if (policy == LH_CHARGE_STRICT)
		possible = committed + pages <= now.free + now.charged_in_use;
	CHECK_ERROR(lh_charge_take(frames, pages), possible ? LH_OK : LH_NO_MEMORY);
	if (possible)
		committed += pages;
}

static void random_step(void)
{
	small_machine_cpu = (unsigned)test_random_below(4); /* what one keeps others must find */
	if (test_random_below(8) == 0)
		(void)lh_frames_idle(frames);
	if (test_random_below(64) == 0)
		lh_frames_drain(frames);
	switch (test_random_below(10)) {
	case 0:
		random_row();
		break;
	case 1:
		random_charge();
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		random_holder();
		break;
	default:
		random_allocate();
	}
}

TEST(random_operations_agree_with_a_table_of_frames)
{
	for (unsigned round = 0; round < 30; round++) {
		struct span spans[12];
		size_t count = random_spans(spans, 12);

		begin((lh_charge_policy)(round % 3), spans, count);
		for (unsigned step = 0; step < 600; step++) {
			random_step();
			CHECK_SOUND(lh_frames_check(frames));
			if (step % 16 == 0)
				check_all();
		}
		check_all();
		for (uint64_t i = 0; i < total; i++)
			while (model[i].holders != 0)
				drop_one(&model[i]);
		check_all();
	}
}

/* --- Every frame, once --- */

TEST(a17_every_page_counted_can_be_allocated_exactly_once)
{
	for (unsigned round = 0; round < 20; round++) {
		struct span spans[12];
		lh_frame_number frame;

		begin(LH_CHARGE_STRICT, spans, random_spans(spans, 12));
		CHECK_EQUAL(total, lh_memory_map_frames(small_machine_map()));
		CHECK_OK(lh_charge_take(frames, total)); /* an honest charge of all succeeds */
		committed = total;
		for (uint64_t i = 0; i < total; i++) {
			CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED,
						   &frame));
			take_in_model(frame.value, LH_FRAME_ANONYMOUS, true);
		}
		CHECK_ERROR(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &frame),
			    LH_NO_MEMORY);
		check_all();
	}
}

TEST(a18_a_row_takes_exactly_its_count_and_the_tail_stays_free)
{
	lh_frame_number first, again;
	lh_frame_counters counters;

	begin(LH_CHARGE_STRICT, SPANS({ 3, 200 }));
	CHECK_OK(lh_frame_allocate_contiguous(frames, 33, 64, 0, LH_FRAME_KERNEL, &first));
	CHECK_EQUAL(first.value, 64);
	lh_frames_read_counters(frames, &counters);
	CHECK_EQUAL(counters.free, 200 - 33);
	CHECK_OK(lh_frame_allocate_contiguous(frames, 31, 1, 0, LH_FRAME_KERNEL, &again));
	CHECK_EQUAL(again.value, 3);
	CHECK_OK(lh_frame_allocate_contiguous(frames, 31, 1, 0, LH_FRAME_KERNEL, &again));
	CHECK_EQUAL(again.value, 97); /* between the two rows, 34 to 63, are only 30 */
}

TEST(a_row_of_all_frames_of_a_span_is_found)
{
	lh_frame_number first;

	begin(LH_CHARGE_STRICT, SPANS({ 0, 10 }, { 64, 128 }, { 1000, 77 }));
	CHECK_OK(lh_frame_allocate_contiguous(frames, 128, 64, 0, LH_FRAME_KERNEL, &first));
	CHECK_EQUAL(first.value, 64);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, 78, 1, 0, LH_FRAME_KERNEL, &first),
		    LH_NO_MEMORY);
	CHECK_OK(lh_frame_allocate_contiguous(frames, 77, 0, 1077, LH_FRAME_KERNEL, &first));
	CHECK_EQUAL(first.value, 1000);
	lh_frame_drop_contiguous(frames, first, 77);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, 77, 0, 1076, LH_FRAME_KERNEL, &first),
		    LH_NO_MEMORY);
	CHECK_SOUND(lh_frames_check(frames));
}

TEST(rows_with_bad_arguments_are_refused)
{
	lh_frame_number first = lh_frame(7);

	begin(LH_CHARGE_STRICT, SPANS({ 0, 100 }));
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, 0, 1, 0, LH_FRAME_KERNEL, &first), LH_INVALID);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, 1, 3, 0, LH_FRAME_KERNEL, &first), LH_INVALID);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, 1, 1, 0, LH_FRAME_FREE, &first), LH_INVALID);
	CHECK_ERROR(lh_frame_allocate(frames, LH_FRAME_RESERVED, LH_FRAME_UNCHARGED, &first), LH_INVALID);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, UINT64_MAX, 1, 0, LH_FRAME_KERNEL, &first),
		    LH_NO_MEMORY);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, 1, UINT64_C(1) << 63, 0, LH_FRAME_KERNEL,
						 &first), LH_OK); /* frame 0 is aligned to anything */
	CHECK_EQUAL(first.value, 0);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, 1, UINT64_C(1) << 63, 0, LH_FRAME_KERNEL,
						 &first), LH_NO_MEMORY);
	CHECK_SOUND(lh_frames_check(frames));
}

/* --- Creation --- */

TEST(holes_of_terabytes_do_not_grow_the_allocator)
{
	uint64_t near, far;

	begin(LH_CHARGE_STRICT, SPANS({ 1, 1000 }, { 2000, 1000 }));
	near = lh_frames_size(small_machine_map());
	begin(LH_CHARGE_STRICT, SPANS({ 1, 1000 }, { UINT64_C(1) << 36, 1000 }));
	far = lh_frames_size(small_machine_map());
	CHECK(far <= near + LH_PAGE_SIZE);
	CHECK(lh_frame_entry_of(frames, lh_frame(UINT64_C(1) << 35)) == NULL);
	CHECK(lh_frame_entry_of(frames, lh_frame((UINT64_C(1) << 36) - 1)) == NULL);
	CHECK(lh_frame_entry_of(frames, lh_frame(0)) == NULL);
	CHECK(lh_frame_entry_of(frames, lh_frame(LH_NO_FRAME)) == NULL);
	CHECK(lh_frame_entry_of(frames, lh_frame((UINT64_C(1) << 36) + 999)) != NULL);
	check_all();
}

/* Of several amounts of memory, so that the whole pages that the size is rounded to hide nothing. */
TEST(the_size_asked_for_suffices_after_the_carvings_it_promises)
{
	static lh_memory_entry entries[64];
	const lh_frames_machine one_cpu = { .cpus = 1 };
	lh_memory_map map;
	lh_physical_address base;
	lh_frames *made;
	uint64_t size;
	void *memory;

	for (uint64_t more = 0; more < 32; more++) {
		uint64_t bytes = (UINT64_C(16) << 20) + more * 9 * LH_PAGE_SIZE;

		lh_memory_map_init(&map, entries, 64);
		CHECK_OK(lh_memory_map_add(&map, 0, bytes, LH_MEMORY_USABLE));
		CHECK_OK(lh_memory_map_normalise(&map));
		size = lh_frames_size_on(&map, &one_cpu);
		CHECK(size * 100 < bytes); /* at most 1 % of memory */
		for (uint64_t i = 1; i <= 8; i++) /* each of a place that cuts an entry in two */
			CHECK_OK(lh_memory_map_carve(&map, LH_PAGE_SIZE, UINT64_C(1) << (13 + i), 0, &base));
		CHECK(map.count >= 8);
		memory = aligned_alloc(LH_PAGE_SIZE, size);
		CHECK_OK(lh_frames_create_on(memory, size, &map, &one_cpu, LH_CHARGE_STRICT, NULL, &made));
		CHECK_SOUND(lh_frames_check(made));
		free(memory);
	}
}

/* Pieces of so many pages, so far apart. => bytes that the allocator takes for a page of memory. */
static double cost_of_pieces(size_t count, uint64_t pages, uint64_t distance)
{
	const lh_frames_machine one_cpu = { .cpus = 1 };
	lh_memory_entry *entries = malloc(count * sizeof *entries);
	lh_memory_map map;
	uint64_t size;

	lh_memory_map_init(&map, entries, count);
	for (size_t i = 0; i < count; i++)
		CHECK_OK(lh_memory_map_add(&map, i * distance * LH_PAGE_SIZE, pages * LH_PAGE_SIZE, LH_MEMORY_USABLE));
	CHECK_OK(lh_memory_map_normalise(&map));
	CHECK_EQUAL(map.count, count);
	size = lh_frames_size_on(&map, &one_cpu);
	free(entries);
	return (double)size / (double)(count * pages);
}

TEST(pieces_of_some_size_cost_at_most_a_hundredth_of_what_they_are)
{
	const double hundredth = LH_PAGE_SIZE / 100.0;

	for (size_t count = 1000; count < 9000; count += 97) { /* the table of sections is a power of two */
		CHECK(cost_of_pieces(count, 20, 1 << 18) <= hundredth);
		CHECK(cost_of_pieces(count, 8, 9) <= hundredth);
	}
	CHECK(cost_of_pieces(4097, 20, 1 << 18) <= hundredth);
	CHECK(cost_of_pieces(10, 1 << 15, 1 << 22) < 16.6);
}

TEST(memory_for_caches_follows_the_number_of_cpus)
{
	const lh_frames_machine machine = { .cpus = 3 }, all = { .cpus = LH_MAX_CPUS };
	const lh_frames_machine too_many = { .cpus = LH_MAX_CPUS + 1 };
	lh_frame_number taken[3];
	lh_frames *made = NULL;

	frames = small_machine_on(LH_CHARGE_STRICT, &machine, SPANS({ 1, 4000 }));
	CHECK_EQUAL(lh_frames_size_on(small_machine_map(), &all), lh_frames_size(small_machine_map()));
	CHECK(lh_frames_size_on(small_machine_map(), &machine) + (LH_MAX_CPUS - 4) * 320 <
	      lh_frames_size(small_machine_map()));
	CHECK_EQUAL(lh_frames_size_on(small_machine_map(), &too_many), 0);
	CHECK_ERROR(lh_frames_create_on(frames, UINT64_C(1) << 30, small_machine_map(), &too_many,
					LH_CHARGE_STRICT, NULL, &made), LH_INVALID);
	for (small_machine_cpu = 0; small_machine_cpu < 3; small_machine_cpu++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED,
					   &taken[small_machine_cpu]));
	small_machine_cpu = 1;
	for (unsigned i = 0; i < 3; i++)
		CHECK(lh_frame_drop(frames, taken[i]));
	lh_frames_set_node(frames, 3, 0);
	CHECK_SOUND(lh_frames_check(frames));
	lh_frames_drain(frames);
	CHECK_SOUND(lh_frames_check(frames));
	small_machine_cpu = 3;
	CHECK_PANICS((void)lh_frame_drop(frames, taken[0]));
}

TEST(creation_refuses_bad_memory_and_maps)
{
	static lh_memory_entry entries[4];
	static unsigned char memory[64 * 1024] __attribute__((aligned(65536)));
	static const lh_node_range range = { 0, 10, LH_NODES_MOST };
	const lh_frames_machine unknown_node = { .ranges = &range, .range_count = 1 };
	lh_memory_map map;
	lh_frames *made = NULL;

	lh_memory_map_init(&map, entries, 4);
	CHECK_OK(lh_memory_map_add(&map, 0, 100 * LH_PAGE_SIZE, LH_MEMORY_USABLE));
	CHECK_EQUAL(lh_frames_size(&map), 0);
	CHECK_ERROR(lh_frames_create(memory, sizeof memory, &map, LH_CHARGE_STRICT, NULL, &made), LH_INVALID);
	CHECK_OK(lh_memory_map_normalise(&map));
	CHECK_ERROR(lh_frames_create(memory + 64, 32768, &map, LH_CHARGE_STRICT, NULL, &made), LH_INVALID);
	CHECK_ERROR(lh_frames_create(NULL, 32768, &map, LH_CHARGE_STRICT, NULL, &made), LH_INVALID);
	CHECK_ERROR(lh_frames_create(memory, 2048, &map, LH_CHARGE_STRICT, NULL, &made), LH_INVALID);
	CHECK_ERROR(lh_frames_create(memory, sizeof memory, &map, (lh_charge_policy)3, NULL, &made), LH_INVALID);
	CHECK(made == NULL);
	entries[0].length += 1;
	CHECK_EQUAL(lh_frames_size(&map), 0);
	entries[0].length -= 1;
	entries[1] = (lh_memory_entry){ 100 * LH_PAGE_SIZE, LH_PAGE_SIZE, LH_MEMORY_USABLE };
	map.count = 2; /* it touches the first */
	CHECK_EQUAL(lh_frames_size(&map), 0);
	entries[1].base += LH_PAGE_SIZE;
	CHECK(lh_frames_size(&map) != 0);
	entries[1].length = UINT64_C(17) << 40; /* more than there are numbers for */
	CHECK_EQUAL(lh_frames_size(&map), 0);
	map.count = 1;
	CHECK_EQUAL(lh_frames_size_on(&map, &unknown_node), 0);
	CHECK_OK(lh_frames_create(memory, sizeof memory, &map, LH_CHARGE_STRICT, NULL, &made));
	CHECK_SOUND(lh_frames_check(made));
	CHECK_EQUAL(sizeof(lh_frame_entry), 16);
}

TEST(an_allocator_of_nothing_is_sound_and_empty)
{
	lh_frame_number frame;

	begin(LH_CHARGE_STRICT, NULL, 0);
	CHECK_ERROR(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame), LH_NO_MEMORY);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, 1, 1, 0, LH_FRAME_KERNEL, &frame), LH_NO_MEMORY);
	CHECK_ERROR(lh_charge_take(frames, 1), LH_NO_MEMORY);
	check_all();
}

TEST(many_spans_in_one_section_and_many_sections_are_all_found)
{
	struct span spans[200];

	for (unsigned i = 0; i < 200; i++)
		spans[i] = (struct span){ i < 100 ? i * 5 : i * UINT64_C(100000), 1 + i % 3 };
	begin(LH_CHARGE_STRICT, spans, 200);
	check_all();
	for (uint64_t i = 0; i < 100; i++)
		CHECK(lh_frame_entry_of(frames, lh_frame(i * 5 + 4)) == NULL);
}

TEST(whether_any_of_a_row_is_memory_is_right_at_its_ends)
{
	begin(LH_CHARGE_STRICT, SPANS({ 10, 5 }, { 100, 1 }));
	for (uint64_t first = 0; first < 110; first++)
		for (uint64_t pages = 0; pages < 110; pages++) {
			bool has_any = first < 15 && first + pages > 10 && pages != 0;

			has_any |= first <= 100 && first + pages > 100;
			CHECK_EQUAL(lh_frames_have_any(frames, lh_frame(first), pages), has_any);
		}
	CHECK(lh_frames_have_any(frames, lh_frame(50), UINT64_MAX));
	CHECK(!lh_frames_have_any(frames, lh_frame(101), UINT64_MAX));
}

/* --- Holders --- */

TEST(b23_counting_holders_stops_before_it_wraps)
{
	lh_frame_number frame;

	begin(LH_CHARGE_STRICT, SPANS({ 5, 10 }));
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &frame));
	lh_frame_entry_of(frames, frame)->holders = UINT32_MAX - LH_MAX_CPUS - 1;
	lh_frame_hold(frames, frame);
	CHECK_SOUND(lh_frames_check(frames));
	CHECK_PANICS_SAYING("more holders than can be counted", lh_frame_hold(frames, frame));
}

TEST(b30_dropping_a_frame_twice_stops_the_machine)
{
	lh_frame_number frame;

	begin(LH_CHARGE_STRICT, SPANS({ 5, 10 }));
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &frame));
	CHECK(lh_frame_drop(frames, frame));
	CHECK_PANICS_SAYING("dropped that nobody holds", (void)lh_frame_drop(frames, frame));
}

#if LH_DEBUG >= 2
static lh_frame_number dropped_again;

static void drop_again(void)
{
	small_machine_on_pointer = NULL;
	(void)lh_frame_drop(frames, dropped_again);
}

/* The other CPU comes while the first fills the frame with poison, before the entry is a free one's. */
static void drop_twice_at_once(unsigned order)
{
	begin(LH_CHARGE_STRICT, SPANS({ 8, 16 }));
	CHECK_OK(lh_frame_allocate_order(frames, order, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
					 LH_FRAME_UNCHARGED, &dropped_again));
	small_machine_on_pointer = drop_again;
	CHECK_PANICS_SAYING("a frame was dropped", (void)lh_frame_drop(frames, dropped_again));
}

TEST(b30_dropping_a_frame_twice_at_the_same_moment_stops_the_machine)
{
	drop_twice_at_once(0);
	drop_twice_at_once(3);
}
#endif

/* Through one row over frames of two spans, some with more holders, until none is held. */
TEST(frames_dropped_in_a_row_are_freed_by_the_last_holder)
{
	lh_frame_row row = { 0, 0, NULL };
	unsigned holders[20];
	lh_frame_number frame[20], other;

	begin(LH_CHARGE_STRICT, SPANS({ 5, 12 }, { 100, 8 }));
	for (unsigned i = 0; i < 20; i++) {
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &frame[i]));
		holders[i] = 1 + (unsigned)test_random_below(4);
		for (unsigned n = 1; n < holders[i]; n++)
			lh_frame_hold(frames, frame[i]);
	}
	for (unsigned left = 20; left != 0;) {
		unsigned count = 0, most = (unsigned)test_random_below(9);
		lh_frame_number each[8];

		for (; count < most && left != 0;) {
			unsigned i = (unsigned)test_random_below(20);

			if (holders[i] == 0)
				continue;
			each[count++] = frame[i];
			left -= --holders[i] == 0;
		}
		lh_frame_drop_each(frames, each, count, &row);
		for (unsigned i = 0; i < 20; i++)
			CHECK_EQUAL(lh_frame_entry_of(frames, frame[i])->holders, holders[i]);
	}
	CHECK_SOUND(lh_frames_check(frames));
	CHECK_PANICS(lh_frame_drop_each(frames, &frame[0], 1, &row));
	other = lh_frame(50);
	CHECK_PANICS(lh_frame_drop_each(frames, &other, 1, &row));
}

TEST(frames_that_are_free_or_not_ours_cannot_be_held_or_dropped)
{
	static const char reserved[] = "held or dropped what is no usable memory";

	begin(LH_CHARGE_STRICT, SPANS({ 5, 10 }));
	CHECK_PANICS_SAYING("a free frame was held", lh_frame_hold(frames, lh_frame(6)));
	begin(LH_CHARGE_STRICT, SPANS({ 5, 10 }));
	CHECK_PANICS_SAYING(reserved, lh_frame_hold(frames, lh_frame(4)));
	CHECK_PANICS_SAYING(reserved, (void)lh_frame_drop(frames, lh_frame(15)));
	CHECK_PANICS_SAYING(reserved, (void)lh_frame_drop(frames, lh_frame(LH_NO_FRAME)));
}

/* Who holds what is free, and lets go of it again, is found as who lets go. */
TEST(a_free_frame_that_got_a_holder_is_not_freed_again)
{
	begin(LH_CHARGE_STRICT, SPANS({ 5, 10 }));
	lh_frame_entry_of(frames, lh_frame(7))->holders = 1;
	CHECK_PANICS_SAYING("a free frame was dropped", (void)lh_frame_drop(frames, lh_frame(7)));
}

TEST(a_free_frame_that_is_held_is_not_given_out)
{
	lh_frame_number frame;

	begin(LH_CHARGE_STRICT, SPANS({ 5, 1 }));
	lh_frame_entry_of(frames, lh_frame(5))->holders = 1;
	CHECK_PANICS_SAYING("a free frame was held, or given back twice",
			    (void)(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &frame) == LH_OK));
}

TEST(what_is_pinned_or_free_is_not_split)
{
	lh_frame_number first;

	begin(LH_CHARGE_STRICT, SPANS({ 0, 64 }));
	CHECK_OK(lh_frame_allocate_order(frames, 3, LH_ANY_NODE, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &first));
	CHECK_OK(lh_frame_pin(frames, first, 1, LH_PIN_SHORT));
	CHECK_PANICS_SAYING("split that are free or pinned", lh_frame_split(frames, first));
	lh_frame_unpin(frames, first, 1, LH_PIN_SHORT);
	lh_frame_split(frames, first);
	lh_frame_drop_contiguous(frames, first, 8);
	CHECK_PANICS_SAYING("split that are free or pinned", lh_frame_split(frames, first));
}

TEST(a_pinned_frame_cannot_be_freed)
{
	lh_frame_number frame;

	begin(LH_CHARGE_STRICT, SPANS({ 5, 10 }));
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &frame));
	lh_frame_entry_of(frames, frame)->pins = 1;
	CHECK_PANICS_SAYING("a pinned frame lost its last holder", (void)lh_frame_drop(frames, frame));
}

#if LH_DEBUG >= 2
static void write_to_a_freed_frame(void)
{
	lh_frame_number frame;
	unsigned char *bytes;

	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &frame));
	bytes = lh_frame_pointer(frames, frame);
	(void)lh_frame_drop(frames, frame);
	bytes[LH_PAGE_SIZE - 1] ^= 1;
}

TEST(writing_to_a_freed_frame_is_found_when_it_is_given_out_again)
{
	lh_frame_number frame;

	begin(LH_CHARGE_STRICT, SPANS({ 5, 1 }));
	write_to_a_freed_frame();
	CHECK_PANICS_SAYING("written to after it was freed",
			    (void)(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &frame) == LH_OK));
}

TEST(writing_to_a_freed_frame_is_found_when_it_is_zeroed_ahead_of_time)
{
	begin(LH_CHARGE_STRICT, SPANS({ 5, 40 }));
	write_to_a_freed_frame();
	CHECK_PANICS_SAYING("written to after it was freed", (void)lh_frames_idle(frames));
}
#endif

/* --- Promises --- */

TEST(the_worked_example_of_the_header_holds)
{
	lh_frame_number frame;

	begin(LH_CHARGE_STRICT, SPANS({ 0, 100 }));
	CHECK_OK(lh_charge_take(frames, 60));
	for (unsigned i = 0; i < 20; i++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &frame));
	for (unsigned i = 0; i < 40; i++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &frame));
	CHECK_ERROR(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &frame), LH_NO_MEMORY);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, 1, 1, 0, LH_FRAME_TABLE, &frame), LH_NO_MEMORY);
	CHECK_ERROR(lh_charge_take(frames, 1), LH_NO_MEMORY);
	for (unsigned i = 0; i < 40; i++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &frame));
	CHECK_SOUND(lh_frames_check(frames));
}

TEST(a_charged_frame_that_is_freed_opens_its_promise_again)
{
	lh_frame_number charged, other;

	begin(LH_CHARGE_STRICT, SPANS({ 0, 1 }));
	CHECK_OK(lh_charge_take(frames, 1));
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &charged));
	(void)lh_frame_drop(frames, charged);
	CHECK_ERROR(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &other), LH_NO_MEMORY);
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &charged));
	(void)lh_frame_drop(frames, charged);
	lh_charge_give_back(frames, 1);
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &other));
}

TEST(the_three_policies_differ_in_what_they_promise)
{
	begin(LH_CHARGE_STRICT, SPANS({ 0, 10 }));
	CHECK_ERROR(lh_charge_take(frames, UINT64_MAX), LH_NO_MEMORY);
	CHECK_ERROR(lh_charge_take(frames, 11), LH_NO_MEMORY);
	CHECK_OK(lh_charge_take(frames, 10));
	CHECK_ERROR(lh_charge_take(frames, UINT64_MAX - 9), LH_NO_MEMORY);
	CHECK_OK(lh_charge_take(frames, 0));
	begin(LH_CHARGE_HEURISTIC, SPANS({ 0, 10 }));
	CHECK_ERROR(lh_charge_take(frames, 11), LH_NO_MEMORY);
	for (unsigned i = 0; i < 5; i++)
		CHECK_OK(lh_charge_take(frames, 10));
	CHECK_SOUND(lh_frames_check(frames));
	begin(LH_CHARGE_ALWAYS, SPANS({ 0, 10 }));
	CHECK_OK(lh_charge_take(frames, UINT64_C(1) << 62));
	CHECK_OK(lh_charge_take(frames, 10));
	CHECK_ERROR(lh_charge_take(frames, 1), LH_NO_MEMORY);
	CHECK_ERROR(lh_charge_take(frames, UINT64_MAX), LH_NO_MEMORY);
	CHECK_SOUND(lh_frames_check(frames));
}

TEST(giving_back_more_than_was_promised_stops_the_machine)
{
	lh_frame_counters counters;

	begin(LH_CHARGE_STRICT, SPANS({ 0, 10 }));
	CHECK_OK(lh_charge_take(frames, 3));
	lh_charge_give_back(frames, 4);
	CHECK(lh_frames_check(frames) != NULL);
	CHECK_PANICS_SAYING("more was given back than was promised", lh_frames_read_counters(frames, &counters));
	begin(LH_CHARGE_STRICT, SPANS({ 0, 10 }));
	lh_charge_give_back(frames, 1);
	CHECK_PANICS_SAYING("more was given back than was promised", lh_frames_drain(frames));
}

/* --- Failure on demand --- */

#if LH_DEBUG >= 2
TEST(the_step_asked_for_fails_and_changes_nothing)
{
	lh_frame_number frame;
	lh_frame_steps steps;

	for (uint64_t fail = 0; fail <= 5; fail++) {
		begin(LH_CHARGE_STRICT, SPANS({ 0, 10 }));
		lh_frames_fail_at(frames, fail);
		CHECK_ERROR(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &frame),
			    fail == 1 ? LH_NO_MEMORY : LH_OK);
		if (fail != 1)
			take_in_model(frame.value, LH_FRAME_TABLE, false);
		CHECK_ERROR(lh_charge_take(frames, 2), fail == 2 ? LH_NO_MEMORY : LH_OK);
		committed = fail == 2 ? 0 : 2;
		CHECK_ERROR(lh_frame_allocate_contiguous(frames, 1, 1, 0, LH_FRAME_KERNEL, &frame),
			    fail == 3 ? LH_NO_MEMORY : LH_OK);
		if (fail != 3)
			take_in_model(frame.value, LH_FRAME_KERNEL, false);
		CHECK_ERROR(lh_frame_allocate_zeroed(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED,
						     &frame),
			    fail == 4 ? LH_NO_MEMORY : LH_OK);
		if (fail != 4)
			take_in_model(frame.value, LH_FRAME_TABLE, false);
		check_all();
		lh_frames_read_steps(frames, &steps);
		CHECK_EQUAL(lh_frames_steps(frames), 4);
		CHECK_EQUAL(steps.frames[LH_FRAME_TABLE], 2);
		CHECK_EQUAL(steps.frames[LH_FRAME_KERNEL], 1);
		CHECK_EQUAL(steps.charges, 1);
		CHECK_EQUAL(steps.pool_items, 0);
	}
}
#endif
