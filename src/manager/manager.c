/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making and unmaking a memory manager; its statistics and walkers. Kernel regions: kernel.c.
 *
 * Construction order: pools (take no frame yet), the kernel's tree, its directory's root, the
 * kernel half, the zero page. Each step's field is empty before it, and lh_manager_destroy
 * takes any prefix.
 */
#include "object/events.h"
#include "object/object.h"
#include "object/page_index.h"
#include "object/readers.h"
#include "paging/entry.h"
#include "space/space.h"

#include "base/assert.h"
#include "base/atomic.h"

/* Of the manager itself; the fronts of its pools follow, and then, from the next cache line on, what each CPU counts. */
#define OWN_SIZE ((sizeof(lh_manager) + 15) & ~(size_t)15)
#define POOLS 3u
#define LINE 64u

size_t lh_manager_size(void)
{
	return OWN_SIZE + POOLS * lh_pool_fronts_size() + LINE + LH_MAX_CPUS * sizeof(lh_event_counts);
}

static void make_events(lh_manager *manager)
{
	unsigned char *end = (unsigned char *)manager + OWN_SIZE + POOLS * lh_pool_fronts_size();

	manager->events = (lh_event_counts *)(void *)(end + (0 - (uintptr_t)end) % LINE);
	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++)
		manager->events[cpu] = (lh_event_counts){ { 0 } };
}

/* True if the range lies in the half of the address space that the format gives to users. */
static bool is_low(const lh_paging_format *format, lh_virtual_range range)
{
	return lh_virtual_range_is_valid(range) && range.base.value != 0 &&
	       lh_virtual_range_last(range).value >> lh_format_half_bits(format) == 0;
}

static bool is_high(const lh_paging_format *format, lh_virtual_range range)
{
	unsigned top = lh_format_half_bits(format);

	return lh_virtual_range_is_valid(range) && range.base.value >> top == UINT64_MAX >> top;
}

static lh_error validate(const lh_manager_setup *setup)
{
	if (lh_paging_format_check(setup->format))
		return LH_INVALID;
	if (!is_low(setup->format, setup->user) || !is_high(setup->format, setup->kernel))
		return LH_INVALID;
	return LH_OK;
}

static lh_error make_pools(lh_manager *manager)
{
	lh_pool *pools[POOLS] = { &manager->regions, &manager->objects, &manager->nodes };
	unsigned char *fronts = (unsigned char *)manager + OWN_SIZE;

	LH_TRY(lh_pool_init(&manager->regions, manager->frames, "regions", sizeof(lh_region)));
	LH_TRY(lh_pool_init(&manager->objects, manager->frames, "objects", sizeof(lh_object)));
	LH_TRY(lh_pool_init(&manager->nodes, manager->frames, "nodes", sizeof(lh_index_node)));
	for (unsigned i = 0; i < POOLS; i++)
		lh_pool_add_fronts(pools[i], fronts + i * lh_pool_fronts_size());
	lh_pool_keep_pages(&manager->regions);
	lh_pool_keep_pages(&manager->objects);
	return LH_OK;
}

static lh_error build(lh_manager *manager, const lh_manager_setup *setup)
{
	LH_TRY(make_pools(manager));
	LH_TRY(lh_region_tree_init(&manager->kernel_tree, setup->kernel));
	LH_TRY(lh_directory_add_root(&manager->kernel_directory));
	LH_TRY(lh_directory_add_kernel_half(&manager->kernel_directory));
	return lh_frame_allocate_zeroed(manager->frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED,
					&manager->zero_frame);
}

static uint64_t scan(lh_shrinker *shrinker, unsigned priority, uint64_t most)
{
	char *within = (char *)shrinker;

	(void)priority;
	(void)most;
	return lh_readers_reclaim((lh_manager *)(void *)(within - offsetof(lh_manager, shrinker)));
}

lh_error lh_manager_create(void *memory, const lh_manager_setup *setup, lh_manager **manager)
{
	lh_manager *made = memory;
	lh_error error;

	LH_TRY(validate(setup));
	*made = (lh_manager){
		.port = setup->port,
		.frames = setup->frames,
		.format = setup->format,
		.user = setup->user,
		.enforce_write_xor_execute = setup->enforce_write_xor_execute,
		.huge = setup->huge,
		.zero_frame = { LH_NO_FRAME },
	};
	make_events(made);
	lh_directory_init(&made->kernel_directory, made->frames, made->format);
	made->shrinker.scan = scan;
	error = build(made, setup);
	if (error != LH_OK) {
		lh_manager_destroy(made);
		return error;
	}
	/* From now on other CPUs may ask for what its pools keep. */
	lh_shrinker_add(made->frames, &made->shrinker);
	*manager = made;
	return LH_OK;
}

void lh_manager_destroy(lh_manager *manager)
{
	LH_ASSERT(manager->port, lh_event_sum(manager, LH_EVENT_SPACES) == 0 &&
					 lh_event_sum(manager, LH_EVENT_OBJECTS) == 0);
	LH_ASSERT(manager->port, manager->kernel_tree.count == 0);
	lh_shrinker_remove(manager->frames, &manager->shrinker);
	if (!lh_frame_is_none(manager->zero_frame))
		lh_frame_drop(manager->frames, manager->zero_frame);
	manager->zero_frame.value = LH_NO_FRAME;
	/* Who could read looks up in a space; there is none. (Pools that were never made keep nothing.) */
	if (manager->nodes.frames) {
		(void)lh_pool_trim(&manager->regions, 0, NULL);
		(void)lh_pool_trim(&manager->objects, 0, NULL);
	}
	lh_directory_destroy(&manager->kernel_directory);
}

lh_frame_number lh_manager_kernel_root(const lh_manager *manager)
{
	return manager->kernel_directory.root;
}

void lh_manager_activate(lh_manager *manager)
{
	lh_directory_activate(&manager->kernel_directory);
}

lh_frames *lh_manager_frames(lh_manager *manager)
{
	return manager->frames;
}

static uint64_t items_of(const lh_pool *pool)
{
	return lh_pool_read_counters(pool).items;
}

/* Parts may have changed since they were read: none wraps. */
static void count_reserve_as_free(lh_frame_counters *counters, uint64_t pages)
{
	if (pages > counters->used[LH_FRAME_POOL])
		pages = counters->used[LH_FRAME_POOL];
	counters->used[LH_FRAME_POOL] -= pages;
	counters->free += pages;
}

void lh_manager_read_statistics(lh_manager *manager, lh_statistics *statistics)
{
	*statistics = (lh_statistics){
		.user_regions = items_of(&manager->regions),
		.kernel_regions = lh_event_sum(manager, LH_EVENT_KERNEL_REGIONS),
		.spaces = lh_event_sum(manager, LH_EVENT_SPACES),
		.objects = lh_event_sum(manager, LH_EVENT_OBJECTS),
		.faults_zero = lh_event_sum(manager, LH_EVENT_ZERO),
		.faults_fresh = lh_event_sum(manager, LH_EVENT_FRESH),
		.faults_huge = lh_event_sum(manager, LH_EVENT_HUGE),
		.faults_split = lh_event_sum(manager, LH_EVENT_SPLIT),
		.faults_opened = lh_event_sum(manager, LH_EVENT_OPENED),
		.faults_copied = lh_event_sum(manager, LH_EVENT_COPIED),
		.faults_reused = lh_event_sum(manager, LH_EVENT_REUSED),
		.faults_object = lh_event_sum(manager, LH_EVENT_OBJECT),
		.faults_upgraded = lh_event_sum(manager, LH_EVENT_UPGRADED),
		.faults_refused = lh_event_sum(manager, LH_EVENT_REFUSED),
		.forks = lh_event_sum(manager, LH_EVENT_FORKS),
	};
	statistics->faults = statistics->faults_zero + statistics->faults_fresh + statistics->faults_copied +
			     statistics->faults_object + statistics->faults_upgraded +
			     statistics->faults_refused;
	statistics->pool_items =
		statistics->user_regions + items_of(&manager->objects) + items_of(&manager->nodes);
	lh_frames_estimate_counters(manager->frames, &statistics->frames);
	count_reserve_as_free(&statistics->frames, lh_readers_reserve(manager));
	statistics->table_pages = statistics->frames.used[LH_FRAME_TABLE];
}

uint64_t lh_manager_trim(lh_manager *manager)
{
	return lh_readers_reclaim(manager);
}

/* --- audit --- */

struct audit {
	uint64_t findings;
	void (*finding)(void *context, lh_virtual_address address, const char *what);
	void *context;
};

static void judge(void *context, lh_virtual_address address, const lh_leaf *leaf, bool user)
{
	struct audit *audit = context;
	lh_rights both = LH_RIGHT_WRITE | LH_RIGHT_EXECUTE;
	const char *what = NULL;

	if ((leaf->rights & both) == both)
		what = "writable and executable";
	if (!lh_address_is_user(address) && user)
		what = "the kernel's, reachable by user mode";
	if (!what)
		return;
	audit->findings++;
	if (audit->finding)
		audit->finding(audit->context, address, what);
}

uint64_t lh_manager_audit(lh_manager *manager,
			  void (*finding)(void *context, lh_virtual_address address, const char *what),
			  void *context)
{
	struct audit audit = { 0, finding, context };

	lh_directory_audit(&manager->kernel_directory, judge, &audit);
	return audit.findings;
}

/* What is so only while nobody is at work. */
static const char *check_rest(lh_manager *manager)
{
	const lh_frame_entry *zero = lh_frame_entry_of(manager->frames, manager->zero_frame);

	if (!zero || zero->state != LH_FRAME_KERNEL || zero->holders != 1)
		return "the zero page is not the manager's own";
	if (lh_event_sum(manager, LH_EVENT_KERNEL_REGIONS) != manager->kernel_tree.count)
		return "the manager miscounts its kernel regions";
	if (lh_atomic_load(&manager->surplus.holding) != 0 ||
	    lh_atomic_load(&manager->surplus.waiting) != 0)
		return "somebody may still hold, or wait for, a frame beyond what was promised";
	return NULL;
}

const char *lh_manager_check(lh_manager *manager)
{
	const char *finding = lh_frames_check(manager->frames);

	if (!finding)
		finding = lh_pool_check(&manager->regions);
	if (!finding)
		finding = lh_pool_check(&manager->objects);
	if (!finding)
		finding = lh_pool_check(&manager->nodes);
	if (!finding)
		finding = lh_region_tree_check(&manager->kernel_tree);
	if (!finding)
		finding = lh_directory_check(&manager->kernel_directory);
	if (!finding && items_of(&manager->objects) != lh_event_sum(manager, LH_EVENT_OBJECTS))
		finding = "the manager miscounts its objects";
	if (!finding)
		finding = lh_views_check(manager);
	return finding ? finding : check_rest(manager);
}
