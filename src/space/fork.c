/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fork, by sharing tables where it can, and copying them elsewhere.
 *
 *   freeze    all versions odd, and each leaf table's lock passed once: from now on no fault
 *             commits, so that leaves may go but none comes
 *   prepare   a region for each one inherited; as many tables as the parent has, but for those shared; the charge; a
 *             frame for each pinned page
 *   commit    regions cloned, and put on their objects' lists before any entry exists; leaf tables that a private
 *             anonymous region covers become SHARED in both (paging/shared.h); elsewhere each private frame gains a
 *             holder and both leaves lose the write right
 *   flush     what the parent could reach by shared tables, and its old write rights; then pinned pages are copied
 *             (paging/pinned.h), and the versions become even
 *
 * All under the parent's map lock. Faults find the versions odd and wait for it; truncation can take
 * leaves away, never add one. The child is reached by nobody but truncation, through the objects'
 * lists; that its tables stay until all leaves are in (lh_directory_keep_tables) makes the number of
 * those prepared enough.
 *
 * What is not copied: leaves that show an object's page, and the zero page (in a shared table it is there). The child
 * faults them in again; a fault is cheaper than an entry that may never be used. How the others are, a leaf
 * table or a huge leaf at a time: src/paging/copy.c. Huge leaves are split under the map lock only, so
 * that the tables counted are enough.
 */
#include "space/space.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "object/events.h"
#include "paging/copy.h"
#include "paging/plain.h"
#include "space/version.h"

struct copy {
	lh_space *parent;
	lh_space *child;
	lh_spare_tables tables;
	lh_pinned_copies pinned;
	lh_sharing sharing;
	bool may_share; /* what is wholly private anonymous memory */
	lh_gather gather; /* of the parent */
};

static bool is_inherited(const lh_region *region)
{
	return (region->flags & LH_REGION_NOT_INHERITED) == 0;
}

/* Its leaves are: those of others the child brings in by faults. */
static bool is_copied(const lh_region *region)
{
	return is_inherited(region) && (region->flags & (LH_REGION_SHARED | LH_REGION_EMPTY_ON_FORK)) == 0;
}

/*
 * Are the leaf tables that a region covers shared? Nobody but the two spaces comes to one: no object is behind it, so no
 * truncation, and no page of it is pinned. has_pins is set before a pinning fault reads the version that it commits by; so
 * one that may have committed is seen once the versions are odd.
 */
static bool is_shared(const struct copy *copy, const lh_region *region)
{
	return copy->may_share && is_copied(region) && region->backing == LH_BACKING_ANONYMOUS;
}

/* --- prepare --- */

struct counting {
	lh_frames *frames;
	lh_frame_row row; /* of the frame looked at last */
	uint64_t pinned;
};

static bool count_if_pinned(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	struct counting *counting = context;
	const lh_frame_entry *entry;

	(void)address;
	if ((leaf->flags & LH_LEAF_UNCOUNTED) != 0)
		return true;
	entry = lh_frame_entry_in(counting->frames, leaf->frame, &counting->row);
	counting->pinned += lh_atomic_load_relaxed(&entry->state) == LH_FRAME_ANONYMOUS &&
			    lh_atomic_load(&entry->pins) != 0;
	return true;
}

/* A frame for each pinned page. From the freeze on pins may go, none comes. => the pages are charged. */
static lh_error take_pinned_copies(struct copy *copy)
{
	lh_space *parent = copy->parent;
	struct counting counting = { .frames = parent->manager->frames };
	lh_region_walk walk;
	const lh_region *region = lh_region_walk_first(&walk, &parent->tree);

	if (lh_atomic_load_total(&parent->has_pins) == 0)
		return LH_OK;
	for (; region; region = lh_region_walk_next(&walk))
		if (is_copied(region))
			lh_directory_visit(&parent->directory, region->range, count_if_pinned, &counting);
	return lh_pinned_copies_take(counting.frames, counting.pinned, &copy->pinned);
}

static lh_error prepare(struct copy *copy, lh_region_list *spares)
{
	lh_space *parent = copy->parent;
	lh_manager *manager = parent->manager;
	lh_tables_passed copied = { .count = 0 }, others = { .count = 0 };
	uint64_t charge = 0;
	unsigned regions = 0;
	lh_region_walk walk;
	const lh_region *region = lh_region_walk_first(&walk, &parent->tree);
	lh_error error;

	for (; region; region = lh_region_walk_next(&walk)) {
		/* No leaf lies elsewhere; also where nothing is copied a fault may be committing. */
		lh_directory_pass_locks(&parent->directory, region->range, is_shared(copy, region),
					is_copied(region) ? &copied : &others);
		if (!is_inherited(region))
			continue;
		regions++;
		charge += lh_region_charge(region);
	}
	LH_TRY(lh_space_charge(copy->child, charge));
	error = lh_region_list_take(manager, spares, regions);
	if (error == LH_OK)
		error = lh_spare_tables_take(manager->frames, copied.count, &copy->tables);
	if (error == LH_OK)
		error = take_pinned_copies(copy);
	if (error != LH_OK) {
		lh_region_list_release(manager, spares);
		lh_space_discharge(copy->child, charge);
	}
	return error;
}

/* --- commit --- */

static lh_region *clone_region(struct copy *copy, const lh_region *region, lh_region_list *spares)
{
	lh_space *child = copy->child;
	lh_region *clone = lh_region_list_pop(spares);
	lh_error error;

	lh_space_build_copy(child, region, clone);
	error = lh_region_tree_place_specifically(&child->tree, clone, region->range);
	LH_REQUIRE(child->manager->port, error == LH_OK);
	lh_space_link_object(clone);
	child->pages += clone->range.pages;
	child->charged += lh_region_charge(clone);
	return clone;
}

/*
 * Under the object's lock no truncation comes between a leaf's being taken from the parent and its
 * being put into the child: one that did would clear the first and not find the second.
 */
static void copy_region(struct copy *copy, const lh_region *region, lh_region_list *spares)
{
	clone_region(copy, region, spares);
	if (!is_copied(region))
		return;
	copy->sharing.is_allowed = is_shared(copy, region);
	if (region->object)
		lh_object_lock(region->object);
	lh_directory_copy(&copy->parent->directory, &copy->child->directory, region->range, &copy->tables,
			  lh_atomic_load_total(&copy->parent->has_pins) != 0 ? &copy->pinned : NULL,
			  &copy->sharing, &copy->gather);
	if (region->object)
		lh_object_unlock(region->object);
}

/* The part that cannot fail. */
static void commit(struct copy *copy, lh_region_list *spares)
{
	lh_region_walk walk;
	const lh_region *region = lh_region_walk_first(&walk, &copy->parent->tree);

	lh_gather_begin(&copy->gather, &copy->parent->directory);
	lh_plain_learn_from(&copy->child->directory, &copy->parent->directory);
	lh_directory_keep_tables(&copy->child->directory);
	for (; region; region = lh_region_walk_next(&walk))
		if (is_inherited(region))
			copy_region(copy, region, spares);
	lh_directory_let_tables_go(&copy->child->directory);
	lh_gather_finish(&copy->gather);
	lh_directory_share_end(&copy->parent->directory, &copy->sharing);
	lh_pinned_copies_fill(copy->parent->manager->frames, &copy->pinned);
	copy->child->limits = copy->parent->limits;
}

static lh_error fork_locked(struct copy *copy, lh_region_list *spares)
{
	lh_space *parent = copy->parent;
	lh_error error;

	lh_space_begin_taking(parent, parent->tree.total);
	/* Straddling is looked for by pieces (huge.c): so a leaf table is to be one. */
	copy->may_share = lh_manager_can_huge(parent->manager) && lh_atomic_load_total(&parent->has_pins) == 0;
	error = prepare(copy, spares);
	if (error == LH_OK)
		commit(copy, spares);
	lh_space_end_taking(parent, parent->tree.total);
	return error;
}

lh_error lh_space_fork(lh_space *parent, lh_space *child)
{
	struct copy copy = { .parent = parent, .child = child };
	lh_region_list spares = { NULL, 0 };
	lh_error error;

	if (parent == child || parent->manager != child->manager || child->tree.count != 0)
		return LH_INVALID;
	lh_space_lock(parent);
	child->may_have_huge = parent->may_have_huge;
	error = fork_locked(&copy, &spares);
	lh_space_unlock(parent);
	lh_spare_tables_give_back(parent->manager->frames, &copy.tables);
	lh_pinned_copies_give_back(parent->manager->frames, &copy.pinned);
	lh_region_list_release(parent->manager, &spares);
	if (error == LH_OK)
		lh_event_note(parent->manager, LH_EVENT_FORKS);
	return error;
}
