/* SPDX-License-Identifier: BSD-2-Clause */
/* Life of a space, its regions' common steps, queries. */
#include "space/space.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "object/events.h"
#include "object/promise.h"
#include "object/readers.h"

size_t lh_space_size(void)
{
	return (sizeof(lh_space) + 15) & ~(size_t)15;
}

lh_error lh_space_create(lh_manager *manager, lh_account *account, void *memory, lh_space **space)
{
	lh_space *made = memory;

	*made = (lh_space){ .manager = manager, .account = account };
	LH_TRY(lh_region_tree_init(&made->tree, manager->user));
	lh_directory_init(&made->directory, manager->frames, manager->format);
	LH_TRY(lh_directory_add_root(&made->directory));
	lh_directory_share_kernel_half(&made->directory, &manager->kernel_directory);
	made->limits.regions = LH_SPACE_REGIONS_DEFAULT;
	made->may_have_huge = manager->huge == LH_HUGE_ALWAYS;
	lh_event_note(manager, LH_EVENT_SPACES);
	*space = made;
	return LH_OK;
}

/* Takes every region out, without touching a leaf: the directory's destructor does that. */
static void take_all_regions(lh_space *space, lh_region_list *dead)
{
	lh_region *region;

	while ((region = lh_region_tree_first(&space->tree)) != NULL) {
		lh_space_unlink_object(region);
		lh_region_tree_remove(&space->tree, region);
		lh_region_list_push(dead, region);
	}
}

void lh_space_destroy(lh_space *space)
{
	lh_region_list dead = { NULL, 0 };
	lh_manager *manager;

	if (!space)
		return;
	manager = space->manager;
	/* Off the objects first: from then on nobody else visits the tables. */
	take_all_regions(space, &dead);
	/* The tree's own node lies in the space: who was led to it by a region that served here, and elsewhere
	 * before, has looked by then. */
	lh_readers_wait(manager);
	lh_directory_destroy(&space->directory);
	lh_space_discharge(space, space->charged);
	lh_region_list_release(manager, &dead);
	lh_event_take_back(manager, LH_EVENT_SPACES);
}

void lh_space_activate(lh_space *space)
{
	lh_directory_activate(&space->directory);
}

void lh_space_deactivate(lh_space *space)
{
	lh_port *port = space->manager->port;

	lh_architecture_load(port, space->manager->kernel_directory.root);
	lh_directory_deactivate(&space->directory);
}

void lh_space_lock(lh_space *space)
{
	lh_mutex_lock(&space->lock, LH_LOCK_MAP, space->manager->port);
}

void lh_space_unlock(lh_space *space)
{
	lh_mutex_unlock(&space->lock, LH_LOCK_MAP, space->manager->port);
}

lh_error lh_space_charge(const lh_space *space, uint64_t pages)
{
	return lh_promise_take(space->manager, space->account, pages);
}

void lh_space_discharge(const lh_space *space, uint64_t pages)
{
	lh_promise_give_back(space->manager, space->account, pages);
}

lh_error lh_space_validate_range(const lh_space *space, lh_virtual_range range)
{
	if (!lh_virtual_range_is_valid(range) || !lh_virtual_range_covers(space->tree.total, range))
		return LH_INVALID;
	return LH_OK;
}

/* --- lists of regions --- */

lh_error lh_region_list_take(lh_manager *manager, lh_region_list *list, unsigned count)
{
	lh_region_list taken = { NULL, 0 };

	while (taken.count < count) {
		void *item;
		lh_error error = lh_pool_take(&manager->regions, &item);

		if (error != LH_OK) {
			lh_region_list_release(manager, &taken);
			return error;
		}
		lh_region_init(item, LH_BACKING_NONE, LH_RIGHT_NONE, LH_REGION_POOLED);
		lh_region_list_push(&taken, item);
	}
	while (taken.count > 0)
		lh_region_list_push(list, lh_region_list_pop(&taken));
	return LH_OK;
}

/* The object's holder goes with the region: what ends in the pool holds nothing. => as lh_pool_give_back. */
static bool release_region(lh_manager *manager, lh_region *region)
{
	lh_object *object = region->object;
	bool is_much;

	if (object)
		lh_atomic_store_relaxed(&region->object, NULL);
	is_much = lh_pool_give_back(&manager->regions, region);
	if (object)
		lh_object_drop(object);
	return is_much;
}

void lh_region_list_release(lh_manager *manager, lh_region_list *list)
{
	bool is_much = false;

	if (list->count == 0)
		return;
	while (list->count > 0)
		is_much |= release_region(manager, lh_region_list_pop(list));
	lh_readers_trim(manager, &manager->regions, is_much);
}

/* --- regions under the map lock --- */

void lh_space_build_copy(lh_space *space, const lh_region *region, lh_region *copy)
{
	lh_region_init(copy, (lh_backing)region->backing, region->rights, region->flags);
	copy->guard_before = region->guard_before;
	copy->guard_after = region->guard_after;
	copy->owner = &space->directory;
	/* Who looked it up when it was another's may be reading still. */
	lh_atomic_store_relaxed(&copy->rights_max, region->rights_max);
	lh_atomic_store_relaxed(&copy->rights_history, region->rights_history);
	lh_atomic_store_relaxed(&copy->tag, region->tag);
	lh_atomic_store_relaxed(&copy->object, region->object);
	lh_atomic_store_relaxed(&copy->object_page, region->object_page);
	if (region->object)
		lh_object_hold(region->object);
}

void lh_space_link_object(lh_region *region)
{
	if (!region->object)
		return;
	lh_object_lock(region->object);
	lh_object_link_region_locked(region->object, region);
	lh_object_unlock(region->object);
}

void lh_space_unlink_object(lh_region *region)
{
	if (!region->object)
		return;
	lh_object_lock(region->object);
	lh_object_unlink_region_locked(region->object, region);
	lh_object_unlock(region->object);
}

lh_rights lh_space_implied_rights(const lh_space *space, lh_rights rights)
{
	return lh_paging_format_implied(space->manager->format, rights);
}

uint64_t lh_space_pages_left(const lh_space *space)
{
	uint64_t limit = space->limits.pages;

	if (limit == 0)
		return UINT64_MAX;
	return limit > space->pages ? limit - space->pages : 0;
}

uint64_t lh_space_regions_left(const lh_space *space)
{
	uint64_t limit = space->limits.regions;

	return limit > space->tree.count ? limit - space->tree.count : 0;
}

/* --- queries --- */

lh_region_info lh_region_read_info(const lh_region *region)
{
	return (lh_region_info){
		.range = region->range,
		.rights = region->rights,
		.rights_max = region->rights_max,
		.backing = region->backing,
		.flags = region->flags,
		.object = region->object,
		.object_page = region->object_page,
		.tag = region->tag,
	};
}

lh_error lh_space_query(lh_space *space, lh_virtual_address from, lh_region_info *info)
{
	const lh_region *region;

	lh_space_lock(space);
	region = lh_region_tree_find_from(&space->tree, from);
	if (region)
		*info = lh_region_read_info(region);
	lh_space_unlock(space);
	return region ? LH_OK : LH_NOT_MAPPED;
}

static uint64_t faults_of(const lh_space *space)
{
	uint64_t faults = 0;

	for (unsigned i = 0; i < LH_DIRECTORY_PARTS; i++)
		faults += lh_atomic_load_relaxed(&space->parts[i].faults);
	return faults;
}

void lh_space_read_counters(lh_space *space, lh_space_counters *counters)
{
	lh_space_lock(space);
	*counters = (lh_space_counters){
		.regions = space->tree.count,
		.pages = space->pages,
		.resident = lh_directory_leaves(&space->directory),
		.tables = lh_directory_tables(&space->directory),
		.charged = space->charged,
		.faults = faults_of(space),
	};
	lh_space_unlock(space);
}

static bool add_usage(void *context, const lh_leaf_run *run)
{
	lh_space_usage *usage = context;

	usage->resident += run->range.pages;
	if (run->leaf.level != 0)
		usage->huge += run->range.pages;
	return true;
}

void lh_space_measure(lh_space *space, lh_virtual_range range, lh_space_usage *usage)
{
	*usage = (lh_space_usage){ 0, 0 };
	if (lh_space_validate_range(space, range) == LH_OK)
		lh_directory_query(&space->directory, range, add_usage, usage);
}

void lh_space_set_limits(lh_space *space, const lh_space_limits *limits)
{
	lh_space_lock(space);
	space->limits = *limits;
	if (space->limits.regions == 0)
		space->limits.regions = LH_SPACE_REGIONS_DEFAULT;
	lh_space_unlock(space);
}

lh_frame_number lh_space_root(const lh_space *space)
{
	return space->directory.root;
}
