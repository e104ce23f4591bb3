/* SPDX-License-Identifier: BSD-2-Clause */
/* Formats: broken descriptors are refused; entries say what the manual says. */
#include "paging/entry.h"
#include "room.h"

#include <string.h>

TEST(the_x86_64_format_is_sound)
{
	lh_paging_format format = lh_format_x86_64_4_level;

	CHECK_SOUND(lh_paging_format_check(&format));
	/* What a host may take away. */
	format.execute.mask = format.execute.value = 0;
	format.leaf_at[2] = false;
	CHECK_SOUND(lh_paging_format_check(&format));
}

/* Each line breaks one thing; the finding must have the words. */
#define BROKEN(change, words)                                                                   \
	do {                                                                                    \
		lh_paging_format format = lh_format_x86_64_4_level;                             \
		const char *finding;                                                            \
		change;                                                                         \
		finding = lh_paging_format_check(&format);                                      \
		if (!finding || !strstr(finding, words))                                        \
			test_fail(__FILE__, __LINE__, "%s: found %s, not ...%s...", #change,    \
				  finding ? finding : "nothing", words);                        \
	} while (0)

TEST(broken_formats_are_refused)
{
	BROKEN(format.page_shift = 14, "page size");
	BROKEN(format.levels = 1, "number of levels");
	BROKEN(format.levels = 6, "number of levels");
	BROKEN(format.index_bits[2] = 0, "no index bits");
	BROKEN(format.index_bits[0] = 10, "larger than a page");
	BROKEN(format.index_bits[3] = 8, "add up");
	BROKEN(format.level_shift[0] = 11, "shift");
	BROKEN(format.level_shift[3] = 38, "shift");
	BROKEN(format.address_bits = 57, "add up");
	BROKEN(format.leaf_at[0] = false, "no leaves");
	BROKEN(format.user = format.write.mask, "share a bit");
	BROKEN(format.accessed = format.dirty, "share a bit");
	BROKEN(format.global = UINT64_C(1) << 12, "share a bit");
	BROKEN(format.software[0] = format.global, "share a bit");
	BROKEN(format.software[1] = format.software[0], "share a bit");
	BROKEN(format.type_mask[0] |= format.dirty, "share a bit");
	BROKEN(format.type_mask[1] |= UINT64_C(1) << 21, "share a bit");
	BROKEN(format.large_mask = format.accessed, "share a bit");
	BROKEN(format.leaf_fixed = format.user, "share a bit");
	BROKEN(format.software[2] = 0, "not one bit");
	BROKEN(format.software[1] = UINT64_C(3) << 57, "not one bit");
	BROKEN(format.address_mask |= 0x800; format.software[2] = UINT64_C(1) << 58,
	       "below the page size");
	BROKEN(format.address_mask = UINT64_C(0xffff000), "no frame of the top level");
	BROKEN(format.table_fixed |= UINT64_C(1) << 40, "address of a table");
	BROKEN(format.write.value = UINT64_C(1) << 3, "outside its mask");
	BROKEN(format.execute.value = 1, "outside its mask");
	BROKEN(format.type[1][0] = UINT64_C(1) << 62, "outside its mask");
	BROKEN(format.present_value = 0, "zero would be present");
	BROKEN(format.user = 0, "user mode");
	BROKEN(format.large_value = 0, "would be a leaf");
	BROKEN(format.table_fixed |= UINT64_C(1) << 7, "would be a leaf");
}

TEST(every_leaf_survives_encoding)
{
	const lh_paging_format *format = &lh_format_x86_64_4_level;

	for (unsigned i = 0; i < 20000; i++) {
		unsigned level = (unsigned)test_random_below(3);
		bool user = test_random_below(2);
		lh_leaf leaf = {
			.kind = test_random_below(4) ? LH_LEAF_PRESENT : LH_LEAF_NO_ACCESS,
			.level = (uint8_t)level,
			.rights = (lh_rights)(LH_RIGHT_READ | test_random_below(8)),
			.type = (lh_memory_type)test_random_below(LH_MEMORY_TYPE_COUNT),
			.flags = (uint32_t)test_random_below(16) & ~LH_LEAF_GLOBAL,
			.frame = { test_random_below(UINT64_C(1) << 40) >> 9 * level << 9 * level },
		};
		uint64_t entry = lh_entry_make_leaf(format, leaf, user);
		lh_leaf read = lh_entry_read_leaf(format, level, entry);

		CHECK(entry != 0);
		CHECK_SOUND(lh_entry_check(format, level, entry, user));
		CHECK(!lh_entry_is_table(format, level, entry));
		CHECK_EQUAL(read.kind, leaf.kind);
		CHECK_EQUAL(read.level, leaf.level);
		CHECK_EQUAL(read.type, leaf.type);
		CHECK_EQUAL(read.frame.value, leaf.frame.value);
		CHECK_EQUAL(read.flags & ~LH_LEAF_GLOBAL, leaf.flags);
		CHECK_EQUAL(entry & 1, leaf.kind == LH_LEAF_PRESENT);
		if (leaf.kind == LH_LEAF_PRESENT) {
			CHECK_EQUAL(read.rights, leaf.rights);
			CHECK_EQUAL(!!(read.flags & LH_LEAF_GLOBAL), !user);
			CHECK(lh_entry_check(format, level, entry, !user) != NULL);
		}
	}
}

TEST(an_entry_without_access_hides_its_frame)
{
	const lh_paging_format *format = &lh_format_x86_64_4_level;
	lh_leaf leaf = { .kind = LH_LEAF_NO_ACCESS, .frame = { 0x1234 } };
	uint64_t entry = lh_entry_make_leaf(format, leaf, true);

	/* L1TF: what speculation would take for the address lies above all memory. */
	CHECK_EQUAL(entry & UINT64_C(0x000ffffffffff000), ~(UINT64_C(0x1234) << 12) &
		    UINT64_C(0x000ffffffffff000));
	CHECK_EQUAL(entry & 1, 0);
	/* Even the frame whose inverse is zero leaves a trace. */
	leaf.frame = lh_frame((UINT64_C(1) << 40) - 1);
	CHECK(lh_entry_make_leaf(format, leaf, true) != 0);
}

/* The independent reader must notice a format that is sound in itself but not the CPU's. */
TEST(a_flipped_descriptor_bit_is_seen_by_the_independent_walker)
{
	for (unsigned wrong = 0; wrong < 4; wrong++) {
		test_room room;
		mmu_result found;
		lh_frame_number frame;

		room_open(&room, 1024, 1);
		if (wrong == 1)
			room.format.write.mask = room.format.write.value = UINT64_C(1) << 52;
		if (wrong == 2)
			room.format.user = UINT64_C(1) << 52;
		if (wrong == 3)
			room.format.execute.mask = UINT64_C(1) << 62;
		room_build(&room);
		frame = room_frame(&room);
		room_map(&room, &room.user, 0x5000,
			 leaf_of(frame, LH_RIGHT_READ | LH_RIGHT_WRITE));
		found = room_walk(&room, &room.user, 0x5000);
		CHECK_EQUAL(found.outcome, MMU_TRANSLATED);
		CHECK_EQUAL(found.translation.writable, wrong != 1);
		CHECK_EQUAL(found.translation.user, wrong != 2);
		CHECK_EQUAL(found.translation.executable, wrong == 3);
		room_clear(&room.user, range_of(0x5000, 1));
		lh_frame_drop(room.frames, frame);
		room_close(&room);
	}
}
