/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fork, by copying tables.
 *
 *   prepare   a region for each one inherited; as many tables as the parent has; the charge
 *   commit    regions cloned, and put on their objects' lists before any entry exists; each
 *             private frame gains a holder and both leaves lose the write right
 *   flush     the parent's old write rights
 *
 * All under the parent's map lock: faults, which commit under it, cannot change a region or a
 * leaf meanwhile; truncation can take leaves away, never add one. The child is reached by nobody
 * but truncation, through the objects' lists.
 *
 * What is not copied: leaves that show an object's page, and the zero page. The child faults
 * them in again; a fault is cheaper than an entry that may never be used.
 *
 * Two directory locks are held at once here and nowhere else: the parent's, then the child's.
 */
#include "space/space.h"

#include "base/assert.h"
#include "base/atomic.h"

struct copy {
	lh_space *parent;
	lh_space *child;
	lh_spare_tables tables;
	lh_gather gather; /* of the parent */
	const lh_region *region; /* whose leaves are copied */
};

static bool is_inherited(const lh_region *region)
{
	return (region->flags & LH_REGION_NOT_INHERITED) == 0;
}

/* --- prepare --- */

static lh_error prepare(struct copy *copy, lh_region_list *spares, uint64_t *charge)
{
	lh_space *parent = copy->parent;
	lh_manager *manager = parent->manager;
	const lh_region *region = lh_region_tree_first(&parent->tree);
	unsigned regions = 0;
	lh_error error;

	for (*charge = 0; region; region = lh_region_tree_next(region)) {
		if (!is_inherited(region))
			continue;
		regions++;
		*charge += lh_region_charge(region);
	}
	LH_TRY(lh_charge_take(manager->frames, *charge));
	error = lh_region_list_take(manager, spares, regions);
	if (error == LH_OK)
		error = lh_spare_tables_take(manager->frames, parent->directory.tables - 1, &copy->tables);
	if (error != LH_OK) {
		lh_region_list_release(manager, spares);
		lh_charge_give_back(manager->frames, *charge);
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

/*
 * Publish, then visit (object.h): the child's region is on the object's list already, and who
 * truncates may have visited it when it was empty. Under the child's directory lock.
 */
static bool is_cut_off(const lh_region *region, lh_virtual_address address)
{
	return region->object &&
	       !lh_object_has_page(region->object, lh_region_object_page(region, address));
}

static bool copy_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	struct copy *copy = context;
	lh_directory *directory = &copy->child->directory;
	uintptr_t interrupts;
	lh_error error = LH_OK;

	if (!is_private_page(copy, leaf))
		return true;
	if ((leaf->rights & LH_RIGHT_WRITE) != 0) {
		leaf->rights &= (lh_rights)~LH_RIGHT_WRITE;
		lh_gather_note(&copy->gather, address);
	}
	interrupts = lh_directory_lock(directory);
	if (!is_cut_off(copy->region, address)) {
		lh_frame_hold(copy->parent->manager->frames, leaf->frame);
		error = lh_directory_write_locked(directory, address, *leaf, &copy->tables);
	}
	lh_directory_unlock(directory, interrupts);
	LH_REQUIRE(copy->parent->manager->port, error == LH_OK);
	return true;
}

static void copy_region(struct copy *copy, const lh_region *region, lh_region_list *spares)
{
	clone_region(copy, region, spares);
	if ((region->flags & (LH_REGION_SHARED | LH_REGION_EMPTY_ON_FORK)) != 0)
		return;
	copy->region = region;
	lh_directory_visit(&copy->parent->directory, region->range, copy_leaf, copy);
}

static lh_error fork_locked(struct copy *copy, lh_region_list *spares)
{
	const lh_region *region;
	uint64_t charge;

	LH_TRY(prepare(copy, spares, &charge));
	lh_gather_begin(&copy->gather, &copy->parent->directory);
	for (region = lh_region_tree_first(&copy->parent->tree); region;
	     region = lh_region_tree_next(region))
		if (is_inherited(region))
			copy_region(copy, region, spares);
	lh_gather_finish(&copy->gather);
	copy->child->limits = copy->parent->limits;
	return LH_OK;
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
