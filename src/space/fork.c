/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fork, by copying tables.
 *
 *   freeze    all versions odd, and each leaf table's lock passed once: from now on no fault
 *             commits, so that leaves may go but none comes
 *   prepare   a region for each one inherited; as many tables as the parent has; the charge
 *   commit    regions cloned, and put on their objects' lists before any entry exists; each
 *             private frame gains a holder and both leaves lose the write right
 *   flush     the parent's old write rights; then the versions become even
 *
 * All under the parent's map lock. Faults find the versions odd and wait for it; truncation can take
 * leaves away, never add one. The child is reached by nobody but truncation, through the objects'
 * lists; that its tables stay until all leaves are in (lh_directory_keep_tables) makes the number of
 * those prepared enough.
 *
 * What is not copied: leaves that show an object's page, and the zero page. The child faults
 * them in again; a fault is cheaper than an entry that may never be used.
 *
 * A few leaves at a time are taken under the lock of the parent's table and put under the lock of the
 * child's, never both at once.
 */
#include "space/space.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "paging/slot.h"
#include "space/version.h"

/* Leaves of the parent that are on their way to the child. */
#define LEAVES_AT_A_TIME 32

struct copied {
	lh_virtual_address address;
	lh_leaf leaf; /* with the holder that the child's entry will have */
};

struct copy {
	lh_space *parent;
	lh_space *child;
	lh_spare_tables tables;
	lh_gather gather; /* of the parent */
	unsigned count;
	struct copied leaves[LEAVES_AT_A_TIME];
};

static bool is_inherited(const lh_region *region)
{
	return (region->flags & LH_REGION_NOT_INHERITED) == 0;
}

/* --- prepare --- */

static lh_error prepare(struct copy *copy, lh_region_list *spares)
{
	lh_space *parent = copy->parent;
	lh_manager *manager = parent->manager;
	const lh_region *region = lh_region_tree_first(&parent->tree);
	uint64_t charge = 0, tables;
	unsigned regions = 0;
	lh_error error;

	for (; region; region = lh_region_tree_next(region)) {
		if (!is_inherited(region))
			continue;
		regions++;
		charge += lh_region_charge(region);
	}
	tables = lh_directory_pass_locks(&parent->directory, parent->tree.total);
	LH_TRY(lh_charge_take(manager->frames, charge));
	error = lh_region_list_take(manager, spares, regions);
	if (error == LH_OK)
		error = lh_spare_tables_take(manager->frames, tables, &copy->tables);
	if (error != LH_OK) {
		lh_region_list_release(manager, spares);
		lh_charge_give_back(manager->frames, charge);
	}
	return error;
}

/* --- commit --- */

static lh_region *clone_region(struct copy *copy, const lh_region *region, lh_region_list *spares)
{
	lh_space *child = copy->child;
	lh_region *clone = lh_region_list_pop(spares);
	lh_error error;

	lh_region_init(clone, (lh_backing)region->backing, region->rights, region->flags);
	clone->guard_before = region->guard_before;
	clone->guard_after = region->guard_after;
	clone->rights_max = region->rights_max;
	clone->rights_history = region->rights_history;
	clone->tag = region->tag;
	clone->object = region->object;
	clone->object_page = region->object_page;
	clone->owner = &child->directory;
	error = lh_region_tree_place_specifically(&child->tree, clone, region->range);
	LH_REQUIRE(child->manager->port, error == LH_OK);
	if (clone->object)
		lh_object_hold(clone->object);
	lh_space_link_object(clone);
	child->pages += clone->range.pages;
	child->charged += lh_region_charge(clone);
	return clone;
}

/* Only a private page, present or kept without access, is the child's too. */
static bool is_private_page(const struct copy *copy, const lh_leaf *leaf)
{
	lh_frame_entry *entry;

	if ((leaf->flags & LH_LEAF_UNCOUNTED) != 0)
		return false;
	entry = lh_frame_entry_of(copy->parent->manager->frames, leaf->frame);
	return entry && entry->state == LH_FRAME_ANONYMOUS;
}

/* Under the lock of the parent's table: write right off, holder on. */
static bool take_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	struct copy *copy = context;

	if (!is_private_page(copy, leaf))
		return true;
	if ((leaf->rights & LH_RIGHT_WRITE) != 0) {
		leaf->rights &= (lh_rights)~LH_RIGHT_WRITE;
		lh_gather_note(&copy->gather, address);
	}
	lh_frame_hold(copy->parent->manager->frames, leaf->frame);
	copy->leaves[copy->count] = (struct copied){ address, *leaf };
	/* No CPU translates by the child yet: what is busy in the parent is not so there. */
	if (leaf->kind == LH_LEAF_BUSY)
		copy->leaves[copy->count].leaf.kind = LH_LEAF_NO_ACCESS;
	copy->count++;
	return copy->count < LEAVES_AT_A_TIME;
}

/* Opens the child's slot for an address, or moves to it. *open: whether the slot is open already. */
static void open_slot(struct copy *copy, lh_slot *slot, lh_virtual_address address, bool *open)
{
	lh_error error;

	if (*open && lh_slot_move(slot, address))
		return;
	if (*open)
		lh_slot_close(slot);
	error = lh_slot_open(slot, &copy->child->directory, address, 0, &copy->tables);
	LH_REQUIRE(copy->parent->manager->port, error == LH_OK);
	*open = true;
}

/* Under the lock of the child's table, with none of the parent's. */
static void put_leaves(struct copy *copy)
{
	bool open = false;
	lh_slot slot;
	lh_error error;

	for (unsigned i = 0; i < copy->count; i++) {
		const struct copied *copied = &copy->leaves[i];

		open_slot(copy, &slot, copied->address, &open);
		error = lh_slot_write(&slot, copied->leaf);
		LH_REQUIRE(copy->parent->manager->port, error == LH_OK);
	}
	if (open)
		lh_slot_close(&slot);
}

/* What of a range lies behind an address in it. => false: nothing. */
static bool go_behind(lh_virtual_range *range, lh_virtual_address address)
{
	uint64_t done = lh_virtual_range_index(*range, address) + 1;

	if (done == range->pages)
		return false;
	range->base = lh_virtual_range_page(*range, done);
	range->pages -= done;
	return true;
}

static void copy_leaves(struct copy *copy, const lh_region *region)
{
	lh_virtual_range rest = region->range;

	do {
		copy->count = 0;
		lh_directory_visit(&copy->parent->directory, rest, take_leaf, copy);
		put_leaves(copy);
	} while (copy->count == LEAVES_AT_A_TIME &&
		 go_behind(&rest, copy->leaves[LEAVES_AT_A_TIME - 1].address));
}

/*
 * Under the object's lock no truncation comes between a leaf's being taken from the parent and its
 * being put into the child: one that did would clear the first and not find the second.
 */
static void copy_region(struct copy *copy, const lh_region *region, lh_region_list *spares)
{
	clone_region(copy, region, spares);
	if ((region->flags & (LH_REGION_SHARED | LH_REGION_EMPTY_ON_FORK)) != 0)
		return;
	if (region->object)
		lh_object_lock(region->object);
	copy_leaves(copy, region);
	if (region->object)
		lh_object_unlock(region->object);
}

/* The part that cannot fail. */
static void commit(struct copy *copy, lh_region_list *spares)
{
	const lh_region *region;

	lh_gather_begin(&copy->gather, &copy->parent->directory);
	lh_directory_keep_tables(&copy->child->directory);
	for (region = lh_region_tree_first(&copy->parent->tree); region;
	     region = lh_region_tree_next(region))
		if (is_inherited(region))
			copy_region(copy, region, spares);
	lh_directory_let_tables_go(&copy->child->directory);
	lh_gather_finish(&copy->gather);
	copy->child->limits = copy->parent->limits;
}

static lh_error fork_locked(struct copy *copy, lh_region_list *spares)
{
	lh_space *parent = copy->parent;
	lh_error error;

	lh_space_begin_taking(parent, parent->tree.total);
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
	error = fork_locked(&copy, &spares);
	lh_space_unlock(parent);
	lh_spare_tables_give_back(parent->manager->frames, &copy.tables);
	lh_region_list_release(parent->manager, &spares);
	if (error == LH_OK)
		lh_atomic_add(&parent->manager->counts.forks, 1u);
	return error;
}
