/* SPDX-License-Identifier: BSD-2-Clause */
/* Formats of this build's page size are sound; what is put into an entry comes out of it. */
#include "paging/entry.h"
#include "formats.h"
#include "room.h"

TEST(every_format_is_sound)
{
	const test_format *kind;

	for (unsigned n = 0; (kind = test_format_at(n)) != NULL; n++) {
		lh_paging_format format = *kind->format;

		CHECK_SOUND(lh_paging_format_check(&format));
		/* What a host may change. */
		if (kind->architecture == READER_RISCV64) {
			lh_paging_format_add_svpbmt(&format);
			lh_paging_format_add_svnapot(&format);
		}
		CHECK_SOUND(lh_paging_format_check(&format));
		format.leaf_at[2] = false;
		format.key = 0;
		format.software_accessed = format.software_dirty = false;
		CHECK_SOUND(lh_paging_format_check(&format));
		lh_paging_format_drop_execute(&format);
		CHECK_SOUND(lh_paging_format_check(&format));
	}
}

/* One of this build's, with or without what a host may add. */
static lh_paging_format random_format(void)
{
	lh_paging_format format;
	const test_format *kind;
	unsigned count = 0;

	while (test_format_at(count))
		count++;
	kind = test_format_at((unsigned)test_random_below(count));
	format = *kind->format;
	if (kind->has_svpbmt) {
		lh_paging_format_add_svpbmt(&format);
		lh_paging_format_add_svnapot(&format);
	}
	return format;
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
		.key = format->key == 0 ? 0 : (uint8_t)test_random_below(16),
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
	CHECK_EQUAL(read.key, leaf.key);
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
		lh_paging_format format = random_format();
		unsigned level = (unsigned)test_random_below(format.levels);

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
		lh_paging_format format = random_format();
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

/*
 * L1TF: a CPU may speculate by an entry that is not present as if it were. What it would take for the address
 * must lie where no memory is: above half of all that entries can name, of which a host may use the lower.
 */
TEST(an_entry_that_is_not_present_names_no_memory_to_speculation)
{
	static const lh_leaf_kind kinds[] = { LH_LEAF_NO_ACCESS, LH_LEAF_BUSY, LH_LEAF_SWAPPED,
					      LH_LEAF_PURGED, LH_LEAF_GUARD };

	for (unsigned i = 0; i < 20000; i++) {
		lh_paging_format format = random_format();
		unsigned level = (unsigned)test_random_below(format.levels);
		lh_leaf leaf = random_leaf(&format, level), read;
		uint64_t half = lh_paging_format_last(&format).value / 2;
		bool user = test_random_below(2);
		uint64_t entry;

		if (!format.leaf_at[level])
			continue;
		leaf.kind = kinds[i % 5];
		leaf.frame.value &= lh_physical_frame(lh_physical(half)).value;
		entry = lh_entry_make_leaf(&format, leaf, user);
		CHECK(entry != 0 && !lh_entry_is_present(&format, entry));
		CHECK_SOUND(lh_entry_check(&format, level, entry, user));
		CHECK(lh_entry_address(&format, entry & lh_level_frame_mask(&format, level)).value > half);
		read = lh_entry_read_leaf(&format, level, entry, user);
		CHECK_EQUAL(read.kind, leaf.kind);
		CHECK_EQUAL(read.frame.value, leaf.frame.value);
		CHECK_EQUAL(read.rights, LH_RIGHT_NONE);
		if (lh_leaf_is_mark(leaf.kind))
			CHECK(!lh_entry_is_counted(&format, entry));
	}
}

/* A table's frame lies at a page's bounds, not at those of what the entry spans. */
TEST(a_shared_leaf_names_a_table_and_is_like_no_other)
{
	for (unsigned i = 0; i < 20000; i++) {
		lh_paging_format format = random_format();
		uint64_t half = lh_physical_frame(lh_physical(lh_paging_format_last(&format).value / 2)).value;
		lh_leaf leaf = { .kind = LH_LEAF_SHARED, .level = 1, .frame = { test_random() & half } };
		uint64_t entry = lh_entry_make_leaf(&format, leaf, true);

		CHECK_SOUND(lh_entry_check(&format, 1, entry, true));
		CHECK(lh_entry_check(&format, 1, entry, false) != NULL && lh_entry_check(&format, 0, entry, true) != NULL);
		CHECK(lh_entry_is_shared(&format, entry) && !lh_entry_is_present(&format, entry));
		CHECK(!lh_entry_is_counted(&format, entry) && !lh_entry_is_busy(&format, entry));
		CHECK_EQUAL(lh_entry_shared_table(&format, entry).value, leaf.frame.value);
		CHECK_EQUAL(lh_entry_read_leaf(&format, 1, entry, true).kind, LH_LEAF_SHARED);
		CHECK(lh_entry_address(&format, entry & lh_level_frame_mask(&format, 0)).value >
		      lh_paging_format_last(&format).value / 2);
		leaf = random_leaf(&format, 1);
		if (format.leaf_at[1])
			CHECK(!lh_entry_is_shared(&format, lh_entry_make_leaf(&format, leaf, true)));
	}
}

/* PCID: CR3, bits 11:0; ASID: TTBRn_EL1, bits 63:48, and satp, bits 59:44. */
static uint64_t tag_of(reader_architecture architecture)
{
	return architecture == READER_X86_64	? UINT64_C(0xfff)
	       : architecture == READER_AARCH64 ? UINT64_C(0xffff000000000000) : UINT64_C(0x0ffff00000000000);
}

TEST(the_root_register_holds_root_and_tag)
{
	const test_format *kind;

	for (unsigned n = 0; (kind = test_format_at(n)) != NULL; n++) {
		const lh_paging_format *format = kind->format;
		uint64_t last = lh_physical_frame(lh_paging_format_last(format)).value;
		uint64_t base = lh_paging_format_root(format, lh_frame(0), 0);

		CHECK_EQUAL(base, format->root_fixed);
		CHECK_EQUAL(lh_paging_format_root(format, lh_frame(0), 0xffff) - base, tag_of(kind->architecture));
		CHECK_EQUAL(lh_paging_format_root(format, lh_frame(0), 1) - base,
			    format->root_tag & (0 - format->root_tag));
		CHECK_EQUAL(lh_paging_format_root(format, lh_frame(1), 5) & format->root_tag,
			    5 * (format->root_tag & (0 - format->root_tag)));
		/* A root may lie wherever a frame may. */
		for (uint64_t bit = 1; bit <= last / 2; bit *= 2)
			CHECK(lh_paging_format_root(format, lh_frame(bit), 0) != base);
	}
}
