/* SPDX-License-Identifier: BSD-2-Clause */
/* Formats: broken descriptors are refused; entries say what the manual says. */
#include "paging/entry.h"
#include "room.h"

#include <string.h>

static const lh_paging_format *const formats[] = {
	&lh_format_x86_64_4_level, &lh_format_x86_64_5_level, &lh_format_aarch64_4k,
	&lh_format_aarch64_4k_flags, &lh_format_riscv64_sv39, &lh_format_riscv64_sv48,
	&lh_format_riscv64_sv57,
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

TEST(every_format_is_sound)
{
	for (unsigned i = 0; i < FORMATS; i++) {
		lh_paging_format format = *formats[i];

		CHECK_SOUND(lh_paging_format_check(&format));
		/* What a host may change. */
		format.leaf_at[2] = false;
		format.software_accessed = format.software_dirty = false;
		CHECK_SOUND(lh_paging_format_check(&format));
		lh_paging_format_drop_execute(&format);
		CHECK_SOUND(lh_paging_format_check(&format));
	}
}

TEST(the_riscv64_formats_are_sound_with_memory_types)
{
	for (unsigned i = 4; i < FORMATS; i++) {
		lh_paging_format format = *formats[i];

		lh_paging_format_add_svpbmt(&format);
		CHECK_SOUND(lh_paging_format_check(&format));
	}
}

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

/* What is_dirty may say of a leaf that was made with these flags. */
static uint32_t flags_born(const lh_paging_format *format, const lh_leaf *leaf, bool writable)
{
	uint32_t flags = leaf->flags;

	if (leaf->kind == LH_LEAF_PRESENT && format->software_accessed)
		flags |= LH_LEAF_ACCESSED;
	if (writable && format->software_dirty)
		flags |= LH_LEAF_DIRTY;
	return flags;
}

static lh_leaf random_leaf(const lh_paging_format *format, unsigned level)
{
	uint64_t pages = lh_level_pages(format, level);
	uint64_t last = lh_physical_frame(lh_paging_format_last(format)).value;

	return (lh_leaf){
		.kind = test_random_below(4) ? LH_LEAF_PRESENT : LH_LEAF_NO_ACCESS,
		.level = (uint8_t)level,
		.rights = (lh_rights)(1 + test_random_below(7)),
		.type = (lh_memory_type)test_random_below(LH_MEMORY_TYPE_COUNT),
		.flags = (uint32_t)test_random_below(16) & ~LH_LEAF_GLOBAL,
		.frame = { test_random_below(last + 1) / pages * pages },
	};
}

/* Two types that share their bits read as the first of them. */
static lh_memory_type first_alike(const lh_paging_format *format, lh_memory_type type, unsigned level)
{
	unsigned first = 0;

	while (format->type[first][level > 0] != format->type[type][level > 0])
		first++;
	return (lh_memory_type)first;
}

static void check_survival(const lh_paging_format *format, lh_leaf leaf, bool user)
{
	uint64_t entry = lh_entry_make_leaf(format, leaf, user);
	lh_leaf read = lh_entry_read_leaf(format, leaf.level, entry, user);
	lh_rights rights = lh_paging_format_implied(format, leaf.rights);
	bool writable = leaf.kind == LH_LEAF_PRESENT && (rights & LH_RIGHT_WRITE);

	CHECK(entry != 0);
	CHECK_SOUND(lh_entry_check(format, leaf.level, entry, user));
	CHECK(!lh_entry_is_table(format, leaf.level, entry));
	CHECK_EQUAL(read.kind, leaf.kind);
	CHECK_EQUAL(read.level, leaf.level);
	CHECK_EQUAL(read.type, first_alike(format, leaf.type, leaf.level));
	CHECK_EQUAL(read.frame.value, leaf.frame.value);
	CHECK_EQUAL(read.flags & ~LH_LEAF_GLOBAL, flags_born(format, &leaf, writable));
	if (leaf.kind == LH_LEAF_PRESENT) {
		CHECK_EQUAL(read.rights, rights);
		CHECK_EQUAL(!!(read.flags & LH_LEAF_GLOBAL), !user);
		CHECK(lh_entry_check(format, leaf.level, entry, !user) != NULL);
	}
}

TEST(every_leaf_survives_encoding)
{
	for (unsigned i = 0; i < 60000; i++) {
		lh_paging_format format = *formats[i % FORMATS];
		unsigned level = (unsigned)test_random_below(format.levels);

		if (i % FORMATS >= 4 && test_random_below(2))
			lh_paging_format_add_svpbmt(&format);
		if (test_random_below(2))
			format.software_accessed = format.software_dirty = false;
		if (format.leaf_at[level])
			check_survival(&format, random_leaf(&format, level), test_random_below(2));
	}
}

/* The CPU sets flags while the library changes the leaf: none is lost, and no other comes. */
TEST(flags_that_the_cpu_sets_meanwhile_are_carried_over)
{
	for (unsigned i = 0; i < 60000; i++) {
		lh_paging_format format = *formats[i % FORMATS];
		bool user = test_random_below(2);
		lh_leaf before = random_leaf(&format, 0), now, after;
		uint64_t entry;

		format.software_accessed = format.software_dirty = false;
		before.kind = LH_LEAF_PRESENT;
		now = after = before;
		if (test_random_below(2))
			now.flags |= LH_LEAF_ACCESSED;
		if (before.rights & LH_RIGHT_WRITE && test_random_below(2))
			now.flags |= LH_LEAF_DIRTY;
		after.flags &= (uint32_t)test_random_below(16);
		after.rights = (lh_rights)(1 + test_random_below(7));
		if (test_random_below(3) == 0)
			after.kind = LH_LEAF_NO_ACCESS;
		entry = lh_entry_carry_flags(&format, lh_entry_make_leaf(&format, before, user),
					     lh_entry_make_leaf(&format, now, user),
					     lh_entry_make_leaf(&format, after, user), user);
		after.flags |= now.flags & ~before.flags;
		CHECK_EQUAL(entry, lh_entry_make_leaf(&format, after, user));
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
			room.format.user.leaf_rights.write = bit_test(52);
		if (wrong == 2)
			room.format.user.leaf = room.format.user_leaf = bit_test(52);
		if (wrong == 3)
			room.format.user.leaf_rights.execute.mask = UINT64_C(1) << 62;
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
