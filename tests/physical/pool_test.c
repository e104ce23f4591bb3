/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools against a list of the items given out. */
#include "small_machine.h"

#include <string.h>

#define ITEMS_MOST 4096

static lh_frames *frames;
static lh_pool pool;
static unsigned char *items[ITEMS_MOST];
static unsigned char marks[ITEMS_MOST];
static size_t count;

static void begin(uint32_t item_size)
{
	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 7, 60 }, { 100, 40 }));
	CHECK_OK(lh_pool_init(&pool, frames, "items", item_size));
	count = 0;
}

static uint64_t free_frames(void)
{
	lh_frame_counters counters;

	lh_frames_read_counters(frames, &counters);
	return counters.free;
}

static void check_all(void)
{
	CHECK_SOUND(lh_frames_check(frames));
	CHECK_SOUND(lh_pool_check(&pool));
	CHECK_EQUAL(lh_pool_read_counters(&pool).items, count);
	CHECK_EQUAL(free_frames() + lh_pool_read_counters(&pool).pages, 100);
	CHECK_EQUAL(small_machine_interrupts_off, 0);
	for (size_t i = 0; i < count; i++)
		for (uint32_t byte = 0; byte < pool.item_size; byte += 5)
			CHECK_EQUAL(items[i][byte], marks[i]);
}

static bool take(void)
{
	void *item = NULL;

	if (lh_pool_take(&pool, &item) != LH_OK) {
		CHECK(item == NULL);
		CHECK_EQUAL(free_frames(), 0);
		CHECK_EQUAL(count, lh_pool_read_counters(&pool).pages * pool.items_per_page);
		return false;
	}
	CHECK_EQUAL((uintptr_t)item % 16, 0);
	CHECK(count < ITEMS_MOST);
	items[count] = item;
	marks[count] = (unsigned char)test_random();
	memset(item, marks[count], pool.item_size); /* an item shared with another would show */
	count++;
	return true;
}

static void give_back(size_t index)
{
	lh_pool_give_back(&pool, items[index]);
	count--;
	items[index] = items[count];
	marks[index] = marks[count];
}

static void begin_with_fronts(uint32_t item_size)
{
	static uint64_t memory[LH_MAX_CPUS * 16] __attribute__((aligned(16)));

	begin(item_size);
	CHECK(lh_pool_fronts_size() <= sizeof memory);
	lh_pool_add_fronts(&pool, memory);
}

static const lh_cpu_set two_cpus = { { 3 } };

/* Random steps on several CPUs, with and without fronts, pages kept or not. */
static void run(uint32_t item_size, bool fronts, bool keeps)
{
	if (fronts)
		begin_with_fronts(item_size);
	else
		begin(item_size);
	if (keeps)
		lh_pool_keep_pages(&pool);
	for (unsigned step = 0; step < 3000; step++) {
		uint64_t grow = step / 500 % 2 ? 1 : 3; /* tides */

		small_machine_cpu = (unsigned)test_random_below(3);
		if (test_random_below(4) < grow && count < ITEMS_MOST)
			(void)take();
		else if (count != 0)
			give_back(test_random_below(count));
		if (test_random_below(200) == 0)
			(void)lh_pool_trim(&pool, 0, keeps ? &two_cpus : NULL);
		CHECK_SOUND(lh_frames_check(frames));
		CHECK_SOUND(lh_pool_check(&pool));
		if (step % 64 == 0)
			check_all();
	}
	while (count != 0)
		give_back(test_random_below(count));
	check_all();
	(void)lh_pool_trim(&pool, 0, NULL);
	check_all();
	CHECK_EQUAL(lh_pool_read_counters(&pool).pages, 0);
	CHECK_EQUAL(free_frames(), 100);
}

TEST(random_taking_and_giving_back_with_fronts_and_kept_pages_agrees_with_a_list)
{
	static const uint32_t sizes[] = { 16, 200, 1000, 4032 };

	for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++)
		for (unsigned mode = 1; mode < 4; mode++)
			run(sizes[s], mode & 1, mode & 2);
}

static unsigned char *looked_at;

/* Whoever still looks sees an item of the pool, not a frame that is somebody else's. */
static void look(void)
{
	CHECK_EQUAL(looked_at[0], 0x5c);
	CHECK_EQUAL(free_frames(), 99);
}

TEST(a16_a_page_that_is_kept_goes_only_after_all_its_readers_were_called)
{
	begin(64);
	lh_pool_keep_pages(&pool);
	CHECK(take());
	looked_at = items[0];
	memset(looked_at, 0x5c, 64);
	marks[0] = 0x5c;
	give_back(0);
	CHECK_EQUAL(looked_at[0], 0x5c);
	CHECK_EQUAL(lh_pool_read_counters(&pool).pages, 1);
	CHECK(take()); /* the same page serves again */
	CHECK_EQUAL(lh_pool_read_counters(&pool).pages, 1);
	CHECK_EQUAL(lh_pool_trim(&pool, 0, &two_cpus), 0);
	CHECK_EQUAL(small_machine_called.bits[0], 0); /* nothing to give, nobody is called */
	memset(looked_at, 0x5c, 64);
	give_back(0);
	small_machine_on_call = look;
	CHECK_EQUAL(lh_pool_trim(&pool, 0, &two_cpus), 1);
	CHECK_EQUAL(small_machine_called.bits[0], 3);
	CHECK_EQUAL(free_frames(), 100);
	check_all();
}

TEST(what_is_free_in_a_front_is_found_by_other_cpus)
{
	begin_with_fronts(2000);
	while (take())
		;
	CHECK_EQUAL(count, 200);
	for (small_machine_cpu = 0; small_machine_cpu < 3; small_machine_cpu++)
		give_back(0);
	small_machine_cpu = 7;
	CHECK(take() && take() && take());
	CHECK(!take());
	check_all();
}

TEST(what_a_cpu_gives_back_goes_to_the_front_it_came_from)
{
	begin_with_fronts(2000);
	small_machine_cpu = 1;
	CHECK(take() && take());
	small_machine_cpu = 2;
	CHECK(take());
	CHECK_EQUAL(pool.fronts[2].pages, 1);
	give_back(0);
	CHECK_EQUAL(pool.fronts[1].in_use, 1);
	CHECK_EQUAL(pool.fronts[2].in_use, 1);
	check_all();
	give_back(1);
	give_back(0);
	CHECK_EQUAL(lh_pool_read_counters(&pool).pages, 0);
	check_all();
}

TEST(each_front_keeps_an_empty_page_and_says_when_it_has_more)
{
	begin_with_fronts(4032);
	lh_pool_keep_pages(&pool);
	for (small_machine_cpu = 0; small_machine_cpu < 2; small_machine_cpu++)
		CHECK(take() && take());
	CHECK(!lh_pool_give_back(&pool, items[0]));
	CHECK(!lh_pool_give_back(&pool, items[2]));
	CHECK(lh_pool_give_back(&pool, items[1]));
	CHECK(lh_pool_give_back(&pool, items[3]));
	count = 0;
	check_all();
	CHECK_EQUAL(lh_pool_trim(&pool, LH_POOL_EMPTY_KEPT, NULL), 2);
	check_all();
	CHECK_EQUAL(lh_pool_read_counters(&pool).empty_pages, 2);
	CHECK_EQUAL(lh_pool_trim(&pool, 0, NULL), 2);
	CHECK_EQUAL(free_frames(), 100);
}

TEST(b30_an_item_of_another_front_cannot_be_given_back_twice)
{
	begin_with_fronts(64);
	CHECK(take() && take());
	small_machine_cpu = 1;
	(void)lh_pool_give_back(&pool, items[0]);
	CHECK_PANICS(lh_pool_give_back(&pool, items[0]));
}

TEST(random_taking_and_giving_back_agrees_with_a_list)
{
	static const uint32_t sizes[] = { 16, 40, 200, 1000, 2000, 4032 };

	for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		begin(sizes[s]);
		for (unsigned step = 0; step < 3000; step++) {
			uint64_t grow = step / 500 % 2 ? 1 : 3; /* tides */

			if (test_random_below(4) < grow && count < ITEMS_MOST)
				(void)take();
			else if (count != 0)
				give_back(test_random_below(count));
			CHECK_SOUND(lh_frames_check(frames));
			CHECK_SOUND(lh_pool_check(&pool));
			if (step % 64 == 0)
				check_all();
		}
		while (count != 0)
			give_back(test_random_below(count));
		check_all();
		CHECK_EQUAL(lh_pool_read_counters(&pool).pages, 0);
		CHECK_EQUAL(free_frames(), 100);
	}
}

TEST(a_pool_that_runs_out_loses_nothing)
{
	begin(2000);
	while (take())
		;
	CHECK_EQUAL(count, 200);
	check_all();
	give_back(0);
	CHECK(take());
	check_all();
	while (count != 0)
		give_back(count - 1);
	CHECK_EQUAL(free_frames(), 100);
}

TEST(an_item_keeps_its_bytes_while_its_page_is_in_the_pool)
{
	unsigned char *kept;

	begin(64);
	CHECK(take());
	CHECK(take());
	kept = items[0];
	memset(kept, 0x5c, 64);
	marks[0] = 0x5c;
	give_back(0);
	for (unsigned i = 0; i < 64; i++)
		CHECK_EQUAL(kept[i], 0x5c);
}

TEST(a_new_page_of_a_pool_is_zeroed)
{
	void *item;
	lh_frame_number frame;

	begin(64);
	for (unsigned i = 0; i < 100; i++) {
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
		memset(lh_frame_pointer(frames, frame), 0xee, LH_PAGE_SIZE);
	}
	CHECK(lh_frame_drop(frames, frame));
	CHECK_OK(lh_pool_take(&pool, &item));
	for (unsigned i = 0; i < 64; i++)
		CHECK_EQUAL(((unsigned char *)item)[i], 0);
}

TEST(b30_giving_an_item_back_twice_stops_the_machine)
{
	begin(64);
	CHECK(take());
	CHECK(take());
	lh_pool_give_back(&pool, items[0]);
	CHECK_PANICS(lh_pool_give_back(&pool, items[0]));
}

TEST(what_is_no_item_of_the_pool_is_not_taken_back)
{
	lh_pool other;
	void *stranger;

	begin(64);
	CHECK(take());
	CHECK_PANICS(lh_pool_give_back(&pool, NULL));
	CHECK_PANICS(lh_pool_give_back(&pool, items[0] + 16));
	CHECK_PANICS(lh_pool_give_back(&pool, items[0] - 48)); /* the header */
	CHECK_OK(lh_pool_init(&other, frames, "other", 64));
	CHECK_OK(lh_pool_take(&other, &stranger));
	CHECK_PANICS(lh_pool_give_back(&pool, stranger));
}

TEST(sizes_that_no_page_holds_are_refused)
{
	begin(16);
	CHECK_ERROR(lh_pool_init(&pool, frames, "none", 0), LH_INVALID);
	CHECK_ERROR(lh_pool_init(&pool, frames, "large", (uint32_t)LH_PAGE_SIZE), LH_INVALID);
	CHECK_ERROR(lh_pool_init(&pool, frames, "vast", UINT32_MAX), LH_INVALID);
}

#if LH_DEBUG >= 2
TEST(every_take_from_a_pool_can_be_made_to_fail)
{
	lh_frame_steps steps;
	void *item;

	for (uint64_t fail = 0; fail <= 4; fail++) {
		bool ok[3];

		begin(64);
		lh_frames_fail_at(frames, fail);
		for (unsigned i = 0; i < 3; i++) /* steps: item, frame, item, item */
			ok[i] = lh_pool_take(&pool, &item) == LH_OK;
		CHECK_EQUAL(ok[0], fail != 1 && fail != 2);
		CHECK_EQUAL(ok[0] + ok[1] + ok[2], fail == 0 ? 3 : 2);
		CHECK_EQUAL(lh_pool_read_counters(&pool).items, fail == 0 ? 3 : 2);
		CHECK_SOUND(lh_pool_check(&pool));
		lh_frames_read_steps(frames, &steps);
		CHECK_EQUAL(steps.pool_items, 3);
	}
}
#endif

/* --- The walker --- */

struct page_words { /* what pool.c keeps at the beginning of a page */
	uint64_t pool, frame, next, previous;
	uint32_t in_use, front;
	uint64_t bits;
};

static struct page_words *page_of(void *item)
{
	return (struct page_words *)((uintptr_t)item & ~(uintptr_t)(LH_PAGE_SIZE - 1));
}

#define CHECK_FINDS(field, wrong)                                                  \
	do {                                                                       \
		__typeof__(field) right_ = (field);                                \
		(field) = (__typeof__(field))(wrong);                              \
		CHECK(lh_pool_check(&pool) != NULL);                               \
		(field) = right_;                                                  \
		CHECK_SOUND(lh_pool_check(&pool));                                 \
	} while (0)

TEST(the_walker_of_a_pool_finds_each_corrupted_field)
{
	struct page_words *page;

	begin(64);
	for (unsigned i = 0; i < 70; i++)
		CHECK(take());
	page = page_of(items[69]);
	check_all();
	CHECK_FINDS(pool.own.in_use, 69);
	CHECK_FINDS(pool.own.pages, 3);
	CHECK_FINDS(pool.own.partial, LH_NO_FRAME);
	CHECK_FINDS(pool.own.partial, page_of(items[0])->frame);
	CHECK_FINDS(page->pool, 0);
	CHECK_FINDS(page->frame, 9);
	CHECK_FINDS(page->next, page_of(items[0])->frame);
	CHECK_FINDS(page->next, 3);
	CHECK_FINDS(page->previous, 7);
	CHECK_FINDS(page->in_use, 0);
	CHECK_FINDS(page->front, 1);
	CHECK_FINDS(page->bits, page->bits | UINT64_C(1) << 63);
	CHECK_FINDS(page->bits, 0);
	CHECK_FINDS(lh_frame_entry_of(frames, lh_frame(page->frame))->word, 0);
}

TEST(the_walker_of_a_pool_with_fronts_finds_each_corrupted_field)
{
	struct page_words *page;

	begin_with_fronts(64);
	lh_pool_keep_pages(&pool);
	CHECK(take());
	small_machine_cpu = 1;
	CHECK(take() && take());
	page = page_of(items[1]);
	check_all();
	CHECK_FINDS(page->front, 0);
	CHECK_FINDS(page->front, pool.front_count);
	CHECK_FINDS(pool.fronts[1].in_use, 1);
	CHECK_FINDS(pool.fronts[1].partial, LH_NO_FRAME);
	CHECK_FINDS(pool.fronts[1].partial, page_of(items[0])->frame);
	give_back(2);
	give_back(1);
	CHECK_FINDS(pool.fronts[1].empty, LH_NO_FRAME);
	CHECK_FINDS(pool.fronts[1].empty_pages, 0);
	CHECK_FINDS(pool.fronts[0].empty, page->frame);
}
