/* SPDX-License-Identifier: BSD-2-Clause */
/* The page model against what POSIX and the manual pages of mmap and fork say. */
#include "harness.h"

#include <string.h>

#include "model.h"

#define BASE UINT64_C(0x10000)
#define PAGES 32

static lh_virtual_address page(uint64_t n)
{
	return lh_virtual(BASE + n * LH_PAGE_SIZE);
}

static const model_page anonymous = { .backing = MODEL_ANONYMOUS, .rights = 3, .rights_max = 7 };

static bool holds(const model_space *space, uint64_t n, const char *text)
{
	char bytes[MODEL_BYTES] = "";

	return model_read(space, page(n), bytes, MODEL_BYTES) == MODEL_OK &&
	       strcmp(bytes, text) == 0;
}

static void put(model_space *space, uint64_t n, const char *text)
{
	CHECK_EQUAL(model_write(space, page(n), text, strlen(text) + 1), MODEL_OK);
}

TEST(anonymous_pages_read_zero_until_written)
{
	model_space *space = model_space_create(page(0), PAGES);

	CHECK_EQUAL(model_access(space, page(3), LH_RIGHT_READ), MODEL_NOT_MAPPED);
	model_map(space, page(3), 2, &anonymous);
	CHECK(holds(space, 3, ""));
	put(space, 4, "four");
	CHECK(holds(space, 3, ""));
	CHECK(holds(space, 4, "four"));
	model_map(space, page(4), 1, &anonymous);
	CHECK(holds(space, 4, ""));
	put(space, 4, "again");
	CHECK_EQUAL(model_discard(space, page(4), 1), MODEL_OK);
	CHECK(holds(space, 4, ""));
	CHECK_EQUAL(model_discard(space, page(4), 2), MODEL_NOT_MAPPED);
	model_unmap(space, page(4), 1);
	CHECK_EQUAL(model_access(space, page(4), LH_RIGHT_READ), MODEL_NOT_MAPPED);
	model_space_destroy(space);
}

TEST(rights_are_those_of_the_page)
{
	model_space *space = model_space_create(page(0), PAGES);
	model_page like = anonymous;

	for (unsigned rights = 0; rights < 8; rights++) {
		like.rights = (lh_rights)rights;
		model_map(space, page(0), 1, &like);
		CHECK_EQUAL(model_access(space, page(0), LH_RIGHT_READ),
			    rights ? MODEL_OK : MODEL_NO_ACCESS);
		CHECK_EQUAL(model_access(space, page(0), LH_RIGHT_WRITE),
			    rights & 2 ? MODEL_OK : MODEL_NO_ACCESS);
		CHECK_EQUAL(model_access(space, page(0), LH_RIGHT_EXECUTE),
			    rights & 4 ? MODEL_OK : MODEL_NO_ACCESS);
	}
	like.backing = MODEL_RESERVATION;
	model_map(space, page(0), 1, &like);
	CHECK_EQUAL(model_access(space, page(0), LH_RIGHT_READ), MODEL_NO_ACCESS);
	model_space_destroy(space);
}

TEST(protect_changes_all_or_nothing)
{
	model_space *space = model_space_create(page(0), PAGES);
	model_page narrow = anonymous;

	narrow.rights = narrow.rights_max = LH_RIGHT_READ;
	model_map(space, page(0), 2, &anonymous);
	model_map(space, page(2), 1, &narrow);
	CHECK_EQUAL(model_protect(space, page(0), 3, LH_RIGHT_WRITE), MODEL_NO_ACCESS);
	CHECK_EQUAL(model_protect(space, page(1), 3, LH_RIGHT_READ), MODEL_NOT_MAPPED);
	CHECK_EQUAL(model_access(space, page(1), LH_RIGHT_WRITE), MODEL_OK);
	CHECK_EQUAL(model_protect(space, page(1), 2, LH_RIGHT_READ), MODEL_OK);
	CHECK_EQUAL(model_access(space, page(1), LH_RIGHT_WRITE), MODEL_NO_ACCESS);
	CHECK_EQUAL(model_access(space, page(0), LH_RIGHT_WRITE), MODEL_OK);
	model_space_destroy(space);
}

TEST(holes_are_found_to_the_page)
{
	model_space *space = model_space_create(page(0), PAGES);

	model_map(space, page(0), 5, &anonymous);
	model_map(space, page(8), PAGES - 8, &anonymous);
	CHECK(model_has_hole(space, page(0), PAGES, 3, 1));
	CHECK(!model_has_hole(space, page(0), PAGES, 4, 1));
	CHECK(!model_has_hole(space, page(0), 7, 3, 1));
	CHECK(!model_has_hole(space, page(6), PAGES, 3, 1));
	/* Page 5 has number 0x15: the next even one is page 6. */
	CHECK(model_has_hole(space, page(0), PAGES, 2, 2));
	CHECK(!model_has_hole(space, page(0), PAGES, 3, 2));
	CHECK(!model_has_hole(space, page(0), PAGES, 1, 4));
	model_unmap(space, page(PAGES - 1), 1);
	CHECK(model_has_hole(space, page(9), PAGES - 9, 1, 1));
	CHECK(!model_has_hole(space, page(9), PAGES, 2, 1));
	model_space_destroy(space);
}

TEST(a_forked_child_shares_only_what_is_shared)
{
	model_space *parent = model_space_create(page(0), PAGES), *child;
	model_object *object = model_object_create(2 * LH_PAGE_SIZE, 2);
	model_page shared = { .backing = MODEL_OBJECT, .rights = 3, .rights_max = 7,
			      .shared = true, .object = object };
	model_page left = anonymous, emptied = anonymous;

	left.not_inherited = true;
	emptied.empty_on_fork = true;
	model_map(parent, page(0), 1, &anonymous);
	model_map(parent, page(1), 2, &shared);
	model_map(parent, page(3), 1, &left);
	model_map(parent, page(4), 1, &emptied);
	for (uint64_t n = 0; n < 5; n++)
		put(parent, n, "parent");
	child = model_fork(parent);
	CHECK(holds(child, 0, "parent"));
	CHECK(holds(child, 1, "parent"));
	CHECK_EQUAL(model_access(child, page(3), LH_RIGHT_READ), MODEL_NOT_MAPPED);
	CHECK(holds(child, 4, ""));
	put(child, 0, "child");
	put(child, 2, "child");
	CHECK(holds(parent, 0, "parent"));
	CHECK(holds(parent, 2, "child"));
	put(parent, 1, "again");
	CHECK(holds(child, 1, "again"));
	model_space_destroy(child);
	model_space_destroy(parent);
	model_object_destroy(object);
}

TEST(a_private_page_of_an_object_is_a_copy_once_written)
{
	model_space *space = model_space_create(page(0), PAGES);
	model_object *object = model_object_create(3 * LH_PAGE_SIZE, 4);
	model_page private = { .backing = MODEL_OBJECT, .rights = 3, .rights_max = 7,
			       .object = object, .object_page = 1 };
	model_page shared = private;

	shared.shared = true;
	model_object_fill(object, 1, "file", 5);
	model_map(space, page(0), 2, &private);
	model_map(space, page(8), 2, &shared);
	CHECK(holds(space, 0, "file"));
	put(space, 8, "shared");
	CHECK(holds(space, 0, "shared"));
	put(space, 0, "mine");
	CHECK(holds(space, 8, "shared"));
	put(space, 8, "later");
	CHECK(holds(space, 0, "mine"));
	CHECK_EQUAL(model_discard(space, page(0), 1), MODEL_OK);
	CHECK(holds(space, 0, "later"));
	model_space_destroy(space);
	model_object_destroy(object);
}

TEST(past_the_end_of_an_object_is_a_bus_error)
{
	model_space *space = model_space_create(page(0), PAGES);
	model_object *object = model_object_create(LH_PAGE_SIZE + 1, 4);
	model_page private = { .backing = MODEL_OBJECT, .rights = 3, .rights_max = 7,
			       .object = object };

	model_map(space, page(0), 4, &private);
	CHECK_EQUAL(model_access(space, page(1), LH_RIGHT_WRITE), MODEL_OK);
	CHECK_EQUAL(model_access(space, page(2), LH_RIGHT_WRITE), MODEL_BUS);
	CHECK_EQUAL(model_access(space, page(2), LH_RIGHT_EXECUTE), MODEL_NO_ACCESS);
	model_object_fill(object, 0, "whole", 6);
	put(space, 1, "mine");
	model_object_resize(object, 2, &space, 1);
	CHECK(holds(space, 0, "wh"));
	CHECK_EQUAL(model_access(space, page(1), LH_RIGHT_READ), MODEL_BUS);
	model_object_resize(object, 4 * LH_PAGE_SIZE, &space, 1);
	CHECK(holds(space, 0, "wh"));
	CHECK(holds(space, 1, "")); /* the copy went with the truncation */
	model_space_destroy(space);
	model_object_destroy(object);
}

/* --- comparing: another model plays the library --- */

static model_outcome read_other(void *context, lh_virtual_address address,
				uint8_t bytes[MODEL_BYTES])
{
	return model_read(context, address, bytes, MODEL_BYTES);
}

static void describe_other(void *context, lh_virtual_address address, model_page *is)
{
	*is = *model_page_at(context, address);
}

static bool differs_by(const model_space *space, const model_subject *subject, const char *text)
{
	const char *finding = model_compare(space, subject);

	return finding && strstr(finding, text);
}

static void lose_page(model_page *of) { of->mapped = false; }
static void add_right(model_page *of) { of->rights |= LH_RIGHT_EXECUTE; }
static void take_rights(model_page *of) { of->rights = LH_RIGHT_NONE; }
static void narrow_max(model_page *of) { of->rights_max = LH_RIGHT_READ; }
static void share(model_page *of) { of->shared = true; }
static void tag(model_page *of) { of->tag++; }
static void spoil(model_page *of) { of->bytes[MODEL_BYTES - 1] ^= 1; }

TEST(every_difference_is_seen_and_named)
{
	static const struct {
		void (*change)(model_page *of);
		const char *text;
	} rows[] = {
		{ lose_page, "page 0x11000: mapped is 0, the model says 0x1" },
		{ add_right, "page 0x11000: rights is 0x7, the model says 0x3" },
		{ take_rights, "rights is 0" },
		{ narrow_max, "rights_max is 0x1, the model says 0x7" },
		{ share, "shared is 0x1" },
		{ tag, "tag is 0x1" },
		{ spoil, "page 0x1103f: the byte is 0x1, the model says 0" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		model_space *space = model_space_create(page(0), 2), *other;
		model_subject subject = { NULL, read_other, describe_other };

		model_map(space, page(1), 1, &anonymous);
		subject.context = other = model_fork(space);
		CHECK_SOUND(model_compare(space, &subject));
		rows[i].change(model_page_at(other, page(1)));
		CHECK(differs_by(space, &subject, rows[i].text));
		subject.describe = NULL;
		if (rows[i].change == take_rights)
			CHECK(differs_by(space, &subject,
					 "a read gives no access, the model says ok"));
		model_space_destroy(space);
		model_space_destroy(other);
	}
}
