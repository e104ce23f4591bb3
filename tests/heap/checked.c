/* SPDX-License-Identifier: BSD-2-Clause */
/* A checked heap: each mistake is told with who allocated and who freed. */
#include "heap/room.h"

#define FIRST ((const void *)0x1111)
#define SECOND ((const void *)0x2222)
#define THIRD ((const void *)0x3333)

static lh_virtual_address allocate_for(const void *caller, uint64_t bytes)
{
	lh_heap_request request = { bytes, 0, 0, caller };
	lh_virtual_address address;

	CHECK_OK(lh_heap_allocate_as(&heap, &request, &address));
	return address;
}

struct freeing {
	lh_virtual_address address;
	uint64_t bytes;
	const void *caller;
};

static void do_free(void *context)
{
	const struct freeing *freeing = context;

	lh_heap_free_as(&heap, freeing->address, freeing->bytes, 0, freeing->caller);
}

static void do_trim(void *context)
{
	(void)context;
	(void)lh_heap_trim(&heap);
}

static void check_says(const char *message, const char *what)
{
	CHECK(message != NULL);
	if (!strstr(message, what))
		test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", message, what);
}

static const char *panic_of(lh_virtual_address address, uint64_t bytes, const void *caller)
{
	struct freeing freeing = { address, bytes, caller };

	return machine_expect_panic(machine, do_free, &freeing);
}

static unsigned char *byte_at(lh_virtual_address address, uint64_t offset)
{
	return lh_heap_pointer(&heap, lh_virtual(address.value + offset));
}

TEST(a_second_free_is_told_with_all_three_callers)
{
	lh_virtual_address address;
	const char *message;

	begin(1000, LH_HEAP_CHECKED);
	address = allocate_for(FIRST, 40);
	lh_heap_free_as(&heap, address, 40, 0, SECOND);
	message = panic_of(address, 40, THIRD);
	check_says(message, "a second free: block 0x");
	check_says(message, " of 40 bytes, allocated by 0x1111, freed by 0x2222; now freed by 0x3333");
	check_all_returned();
	end();
}

TEST(a_wrong_size_is_told)
{
	lh_virtual_address address;

	begin(1000, LH_HEAP_CHECKED);
	address = allocate_for(FIRST, 40);
	check_says(panic_of(address, 41, THIRD), "a free with a wrong size: block 0x");
	check_says(panic_of(address, 39, THIRD), "of 40 bytes, allocated by 0x1111; now freed by 0x3333");
	lh_heap_free(&heap, address, 0);
	check_all_returned();
	end();
}

TEST(what_is_no_block_is_told)
{
	lh_virtual_address address;

	begin(1000, LH_HEAP_CHECKED);
	address = allocate_for(FIRST, 40);
	check_says(panic_of(lh_virtual(address.value + 8), 0, THIRD),
		   "not the beginning of a block at 0x");
	check_says(panic_of(lh_virtual(4096), 0, THIRD), "not an address of the heap at 0x1000; now freed");
	lh_heap_free(&heap, address, 40);
	check_all_returned();
	end();
}

static void check_overflow(uint64_t bytes)
{
	lh_virtual_address address;
	const char *message;

	begin(1000, LH_HEAP_CHECKED);
	address = allocate_for(FIRST, bytes);
	*byte_at(address, bytes) ^= 1;
	CHECK(lh_heap_check(&heap) != NULL);
	message = panic_of(address, bytes, THIRD);
	check_says(message, "a write behind the end at 0x");
	check_says(message, "allocated by 0x1111; now freed by 0x3333");
	*byte_at(address, bytes) ^= 1;
	lh_heap_free(&heap, address, bytes);
	check_all_returned();
	end();
}

/* By one byte, in every size, behind the last byte asked for; also where a class, or pages, would just do. */
TEST(an_overflow_by_one_byte_is_told_at_the_free_and_by_the_walker)
{
	for (uint64_t bytes = 1; bytes < 40000; bytes += 1 + bytes / 3)
		check_overflow(bytes);
	for (uint32_t i = 0; i < LH_HEAP_CLASSES; i++)
		check_overflow(lh_heap_class_size(i));
	for (uint64_t pages = 3; pages < 8; pages++)
		check_overflow(pages * LH_PAGE_SIZE);
}

TEST(a_use_after_free_is_told_when_the_block_leaves_quarantine)
{
	lh_virtual_address address;
	const char *message;

	begin(1000, LH_HEAP_CHECKED);
	address = allocate_for(FIRST, 200);
	lh_heap_free_as(&heap, address, 200, 0, SECOND);
	CHECK_SOUND(lh_heap_check(&heap));
	*byte_at(address, 100) = 1;
	CHECK(lh_heap_check(&heap) != NULL);
	message = machine_expect_panic(machine, do_trim, NULL);
	check_says(message, "a write after the free at 0x");
	check_says(message, "of 200 bytes, allocated by 0x1111, freed by 0x2222");
	end();
}

/* Where slabs would become long, those of a checked heap stay as long as their records have room for. */
TEST(many_small_blocks_keep_their_records_apart)
{
	begin(1 << 14, LH_HEAP_CHECKED);
	while (count < 2900)
		CHECK_OK(allocate(97 + count % 16, 0, false));
	check_sound();
	while (count != 0)
		release(count - 1);
	while (count < 50)
		CHECK_OK(allocate(100000, 0, false));
	check_all_returned();
	CHECK_OK(allocate(30000, 0, false));
	release(0);
	while (count < 2000) /* also in what large ones left */
		CHECK_OK(allocate(97 + count % 16, 0, false));
	check_all_returned();
	end();
}

/* For as long as quarantine holds, nobody else is given the address. */
TEST(a_freed_block_is_not_given_out_again_at_once)
{
	lh_virtual_address address;

	begin(1000, LH_HEAP_CHECKED);
	address = allocate_for(FIRST, 100);
	lh_heap_free(&heap, address, 100);
	for (unsigned i = 0; i < 200; i++) {
		lh_virtual_address other = allocate_for(FIRST, 100);

		CHECK(other.value != address.value);
		lh_heap_free(&heap, other, 100);
	}
	check_all_returned();
	end();
}

/* --- leaks --- */

struct told {
	lh_heap_leak leaks[8];
	unsigned count;
};

static void tell(void *context, const lh_heap_leak *leak)
{
	struct told *told = context;

	CHECK(told->count < 8);
	told->leaks[told->count++] = *leak;
}

TEST(leaks_are_told_by_caller_from_a_mark_on)
{
	lh_virtual_address kept, freed;
	struct told told = { .count = 0 };
	uint64_t mark;

	begin(1000, LH_HEAP_CHECKED);
	kept = allocate_for(THIRD, 10);
	mark = lh_heap_mark(&heap);
	CHECK_EQUAL(lh_heap_report_leaks(&heap, mark, tell, &told), 0);
	(void)allocate_for(FIRST, 30000); /* before and behind the others, by its address */
	for (unsigned i = 0; i < 3; i++)
		(void)allocate_for(SECOND, 5000);
	(void)allocate_for(FIRST, 70000);
	freed = allocate_for(FIRST, 7);
	lh_heap_free(&heap, freed, 7);
	CHECK_EQUAL(lh_heap_report_leaks(&heap, mark, tell, &told), 5);
	CHECK_EQUAL(told.count, 2);
	CHECK(told.leaks[0].caller == FIRST && told.leaks[1].caller == SECOND);
	CHECK_EQUAL(told.leaks[0].blocks, 2);
	CHECK_EQUAL(told.leaks[0].bytes, 100000);
	CHECK_EQUAL(told.leaks[1].blocks, 3);
	CHECK_EQUAL(told.leaks[1].bytes, 15000);
	CHECK_EQUAL(lh_heap_report_leaks(&heap, 0, tell, &(struct told){ .count = 0 }), 6);
	lh_heap_free(&heap, kept, 10);
	end();
}

/* Without a name given, it is whoever called the heap. */
TEST(the_caller_is_whoever_called)
{
	struct told told = { .count = 0 };
	lh_virtual_address address;

	begin(1000, LH_HEAP_CHECKED);
	CHECK_OK(lh_heap_allocate(&heap, 10, 0, &address));
	CHECK_EQUAL(lh_heap_report_leaks(&heap, 0, tell, &told), 1);
	CHECK((uintptr_t)told.leaks[0].caller - (uintptr_t)test_the_caller_is_whoever_called < 4096);
	lh_heap_free(&heap, address, 10);
	check_all_returned();
	end();
}
