/* SPDX-License-Identifier: BSD-2-Clause */
/* The walker must be seen to work: each kind of corrupted field is reported, and by its name. */
#include "room.h"

#include <string.h>

#define SMALL (5 * MIB)			    /* a leaf of level 0 */
#define LARGE (2 * GIB)			    /* of level 1 */
#define KERNEL_LEAF (UPPER_HALF + 3 * MIB)

static lh_frame_number build(test_room *room)
{
	lh_spare_tables spares = { 0, 0 };
	lh_leaf large = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ, .level = 1,
			  .flags = LH_LEAF_UNCOUNTED, .frame = { 512 } };
	lh_frame_number frame;

	room_open(room, 1024, 1);
	room_build(room);
	frame = room_frame(room);
	room_map(room, &room->user, SMALL, leaf_of(frame, LH_RIGHT_READ));
	room_map(room, &room->user, SMALL + 4096, leaf_of(frame, LH_RIGHT_WRITE));
	room_map(room, &room->kernel, KERNEL_LEAF, leaf_of(frame, LH_RIGHT_READ));
	CHECK_OK(lh_spare_tables_take(room->frames, 1, &spares));
	CHECK_OK(lh_directory_write_large(&room->user, lh_virtual(LARGE), large, &spares));
	return frame;
}

static void expect(lh_directory *directory, const char *words, const char *what)
{
	const char *finding = lh_directory_check(directory);

	if (!finding || !strstr(finding, words))
		test_fail(__FILE__, __LINE__, "%s: found %s, not ...%s...", what,
			  finding ? finding : "nothing", words);
}

/* Changes one field, expects a finding with the words, and puts it back. */
#define CORRUPT(directory, field, value, words)                 \
	do {                                                    \
		__typeof__(field) before_ = (field);            \
		(field) = (__typeof__(field))(value);           \
		expect(directory, words, #field " = " #value);  \
		(field) = before_;                              \
		CHECK_SOUND(lh_directory_check(directory));     \
	} while (0)

#define BIT(n) (UINT64_C(1) << (n))

TEST(the_walker_finds_corrupted_entries)
{
	test_room room;
	lh_frame_number frame = build(&room);
	lh_directory *user = &room.user, *kernel = &room.kernel;
	uint64_t *leaf = room_entry(&room, user, SMALL, 0);
	uint64_t *upper = room_entry(&room, user, SMALL, 1);
	uint64_t *large = room_entry(&room, user, LARGE, 1);
	uint64_t *global = room_entry(&room, kernel, KERNEL_LEAF, 0);
	uint64_t *top = room_entry(&room, kernel, KERNEL_LEAF, 3);

	CHECK_SOUND(lh_directory_check(user));
	CHECK_SOUND(lh_directory_check(kernel));
	CORRUPT(user, *leaf, *leaf | BIT(11), "bits that the format does not allow");
	CORRUPT(user, *leaf, *leaf | BIT(55), "bits that the format does not allow");
	CORRUPT(user, *leaf, *leaf & ~BIT(2), "closed to user mode");
	CORRUPT(user, *leaf, *leaf | BIT(8), "is global");
	CORRUPT(user, *leaf, *leaf | BIT(4), "memory type");
	CORRUPT(user, *leaf, *leaf & ~BIT(0), "does not allow");
	CORRUPT(user, *leaf, BIT(9), "lacks its mark");
	CORRUPT(user, *leaf, 0, "miscounted");
	CORRUPT(user, *leaf, BIT(40) | 5, "does not exist");
	CORRUPT(user, *leaf, (user->root.value << 12) | 5, "names a table");
	CORRUPT(user, *upper, *upper & ~BIT(1), "takes rights away");
	CORRUPT(user, *upper, *upper & ~BIT(2), "closed to user mode");
	CORRUPT(user, *upper, *upper | BIT(9), "an upper entry has bits");
	CORRUPT(user, *upper, *upper | BIT(63), "takes rights away");
	CORRUPT(user, *upper, *upper | BIT(50), "does not exist");
	CORRUPT(user, *upper, (frame.value << 12) | 7, "no table");
	CORRUPT(user, *upper, *room_entry(&room, user, SMALL, 3), "another level");
	CORRUPT(user, *room_entry(&room, user, SMALL, 3), BIT(7) | 5 | BIT(9), "where the format");
	CORRUPT(user, *large, *large | BIT(13), "does not allow");
	CORRUPT(user, *large, *large & ~BIT(9), "nobody holds");
	CORRUPT(kernel, *global, *global | BIT(2), "open to user mode");
	CORRUPT(kernel, *global, *global & ~BIT(8), "not global");
	CORRUPT(kernel, *top, *top | BIT(2), "open to user mode");
	CORRUPT(kernel, *top, 0, "names no table");
	CORRUPT(kernel, top[-256], *upper, "has a low half");
	CORRUPT(user, *room_entry(&room, user, KERNEL_LEAF, 3), 0, "names no table");
	lh_directory_destroy(&room.kernel);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(the_walker_finds_corrupted_counts)
{
	test_room room;
	lh_frame_number frame = build(&room);
	lh_directory *user = &room.user, *kernel = &room.kernel;
	uint64_t number = *room_entry(&room, user, SMALL, 1) << 12 >> 24;
	lh_frame_entry *table = lh_frame_entry_of(room.frames, lh_frame(number));
	lh_frame_entry *root = lh_frame_entry_of(room.frames, user->root);
	lh_frame_entry *held = lh_frame_entry_of(room.frames, frame);
	lh_frame_entry *top = lh_frame_entry_of(
		room.frames, lh_frame(*room_entry(&room, kernel, KERNEL_LEAF, 3) << 12 >> 24));

	CORRUPT(user, table->holders, 2, "one holder");
	CORRUPT(user, table->holders, 0, "one holder");
	CORRUPT(user, table->state, LH_FRAME_POOL, "no table");
	CORRUPT(user, table->word, table->word + 1, "live entries");
	CORRUPT(user, table->word, table->word | BIT(14), "another level");
	CORRUPT(user, table->word, table->word | BIT(24), "chained");
	CORRUPT(user, root->word, root->word - 1, "live entries");
	CORRUPT(user, root->holders, 3, "one holder");
	CORRUPT(user, held->holders, 0, "nobody holds");
	CORRUPT(user, user->parts[0].tables, user->parts[0].tables + 1, "tables are miscounted");
	CORRUPT(user, user->parts[0].leaves, user->parts[0].leaves - 1, "leaves are miscounted");
	CORRUPT(user, user->shares_kernel_half, false, "without a kernel half");
	CORRUPT(user, user->root.value, LH_NO_FRAME, "without a root");
	CORRUPT(kernel, kernel->shares_kernel_half, true, "both owns and shares");
	CORRUPT(kernel, top->holders, 2, "one holder");
	lh_directory_destroy(&room.kernel);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(the_walker_finds_a_table_that_was_left_empty)
{
	test_room room;
	lh_frame_number frame = build(&room);
	uint64_t *leaf = room_entry(&room, &room.user, SMALL, 0);
	lh_frame_entry *table = lh_frame_entry_of(
		room.frames, lh_frame(*room_entry(&room, &room.user, SMALL, 1) << 12 >> 24));
	uint64_t before[2] = { leaf[0], leaf[1] };

	leaf[0] = leaf[1] = 0;
	table->word -= 2;
	room.user.parts[0].leaves -= 2;
	expect(&room.user, "empty table", "two leaves gone");
	leaf[0] = before[0];
	leaf[1] = before[1];
	table->word += 2;
	room.user.parts[0].leaves += 2;
	CHECK_SOUND(lh_directory_check(&room.user));
	lh_directory_destroy(&room.kernel);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}
