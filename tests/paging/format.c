/* SPDX-License-Identifier: BSD-2-Clause */
/* Broken descriptors are refused, and one that is not the CPU's is seen by the independent walker. */
#include "paging/entry.h"
#include "room.h"

#include <string.h>

/* Each line breaks one thing; the finding must have the words. */
#define BROKEN_IN(name, change, words)                                                          \
	do {                                                                                    \
		lh_paging_format format = name;                                                 \
		const char *finding;                                                            \
		change;                                                                         \
		finding = lh_paging_format_check(&format);                                      \
		if (!finding || !strstr(finding, words))                                        \
			test_fail(__FILE__, __LINE__, "%s: found %s, not ...%s...", #change,    \
				  finding ? finding : "nothing", words);                        \
	} while (0)
#define BROKEN(change, words) BROKEN_IN(lh_format_x86_64_4_level, change, words)

static lh_entry_test bit_test(unsigned bit)
{
	return (lh_entry_test){ UINT64_C(1) << bit, UINT64_C(1) << bit };
}

TEST(formats_of_a_broken_shape_are_refused)
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
	BROKEN(format.address[0].mask |= 0x800, "below the page size");
	BROKEN(format.address[0].mask = UINT64_C(0xffff000), "no frame of the top level");
	BROKEN(format.address[1].mask = UINT64_C(0x1000), "overlap");
	BROKEN(format.address[1] = ((lh_address_part){ 0x200, 38 }); , "overlap");
}

TEST(formats_whose_fields_share_bits_are_refused)
{
	BROKEN(format.user.leaf_rights.write = bit_test(2), "share a bit");
	BROKEN(format.kernel.leaf_rights.execute = bit_test(8), "share a bit");
	BROKEN(format.accessed = format.dirty.mask, "share a bit");
	BROKEN(format.dirty_kept = format.software[0], "share a bit");
	BROKEN(format.kernel.leaf = bit_test(12), "share a bit");
	BROKEN(format.software[0] = UINT64_C(1) << 8, "share a bit");
	BROKEN(format.software[1] = format.software[0], "share a bit");
	BROKEN(format.type_mask[0] |= format.dirty.mask, "share a bit");
	BROKEN(format.type_mask[1] |= UINT64_C(1) << 21, "share a bit");
	BROKEN(format.leaf_fixed[0] = UINT64_C(1) << 2, "share a bit");
	BROKEN(format.table.mask |= UINT64_C(1) << 40, "share a bit");
	BROKEN(format.user.table = bit_test(40), "share a bit");
	BROKEN(format.table_accessed = UINT64_C(1) << 2, "share a bit");
	BROKEN(format.software[1] = UINT64_C(3) << 57, "not one bit");
	BROKEN(format.mark = UINT64_C(1) << 57, "two bits");
	BROKEN(format.mark = UINT64_C(5) << 56, "two bits");
	BROKEN(format.mark = UINT64_C(3) << 5, "share a bit");
	BROKEN(format.dirty_kept = UINT64_C(3) << 57, "not one bit");
}

TEST(formats_whose_entries_would_be_mistaken_are_refused)
{
	BROKEN(format.user.leaf_rights.write.value = UINT64_C(1) << 3, "outside its mask");
	BROKEN(format.kernel.table_rights.execute.value = 1, "outside its mask");
	BROKEN(format.user_leaf.value |= 1, "outside its mask");
	BROKEN(format.type[1][0] = UINT64_C(1) << 62, "outside its mask");
	BROKEN(format.present.value = 0, "zero would be present");
	BROKEN(format.user.leaf.value = format.kernel.leaf.value, "another half");
	BROKEN(format.kernel.leaf.value |= format.user_leaf.value, "another half");
	BROKEN(format.user.table.value = 0, "would not pass");
	BROKEN(format.table.value = format.table.mask, "another kind");
	BROKEN(format.leaf_fixed[1] = 0, "another kind");
	BROKEN_IN(lh_format_riscv64_sv39, format.table.mask = UINT64_C(1) << 63, "another kind");
	BROKEN_IN(lh_format_aarch64_4k, format.leaf_fixed[1] |= 2, "another kind");
	BROKEN_IN(lh_format_aarch64_4k_flags, format.dirty_kept = 0x80, "share a bit");
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
			room.format.user.leaf_rights.write = bit_test(52);
		if (wrong == 2)
			room.format.user.leaf = room.format.user_leaf = bit_test(52);
		if (wrong == 3)
			room.format.user.leaf_rights.execute.mask = UINT64_C(1) << 62, room.format.key = 0;
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
