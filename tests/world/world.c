/* SPDX-License-Identifier: BSD-2-Clause */
#include "world/world.h"

#include <stdlib.h>
#include <string.h>

#include "adversary.h"
#include "paging/entry.h"
#include "paging/slot.h"
#include "space/space.h"
#include "world/walkers.h"

#define FIRST_FRAME 0x100

/* --- which architecture --- */

static const world_architecture architectures[] = {
	{ "x86-64", &lh_format_x86_64_4_level, &mmu_x86_64, false },
	{ "x86-64-5", &lh_format_x86_64_5_level, &mmu_x86_64, false },
	{ "aarch64", &lh_format_aarch64_4k, &mmu_aarch64, true },
	{ "aarch64-flags", &lh_format_aarch64_4k_flags, &mmu_aarch64_flags, false },
	{ "riscv64", &lh_format_riscv64_sv48, &mmu_riscv64, true },
	{ "riscv64-flags", &lh_format_riscv64_sv57, &mmu_riscv64_flags, false },
};

static const world_architecture *used;

const world_architecture *world_architecture_at(unsigned n)
{
	return n < sizeof(architectures) / sizeof(architectures[0]) ? &architectures[n] : NULL;
}

bool world_use(const char *name)
{
	const world_architecture *architecture;

	for (unsigned n = 0; (architecture = world_architecture_at(n)) != NULL; n++)
		if (strcmp(architecture->name, name) == 0) {
			used = architecture;
			return true;
		}
	return false;
}

static const world_architecture *architecture_to_use(void)
{
	const char *name = getenv("WORLD_ARCHITECTURE");

	if (!used && !world_use(name ? name : "x86-64"))
		test_fail(__FILE__, __LINE__, "WORLD_ARCHITECTURE: there is no %s", name);
	return used;
}

/* --- life --- */

static void make_machine(test_world *world, uint64_t frames, unsigned cpus)
{
	machine_setup setup = { .spans = { { FIRST_FRAME, frames } }, .cpus = cpus };

	world->architecture = architecture_to_use();
	world->format = *world->architecture->format;
	world->format.software_accessed = world->format.software_dirty = world->architecture->software_flags;
	if (world->architecture->rules->keeps_absent)
		lh_paging_format_add_svpbmt(&world->format);
	setup.architecture = world->architecture->rules;
	setup.levels = world->format.levels;
	world->machine = machine_create(&setup);
}

void world_open_frames(test_world *world, const world_setup *setup)
{
	uint64_t count = setup->frames ? setup->frames : 2048, size;
	lh_memory_entry entries[8];
	lh_memory_map map;
	lh_physical_address carved;

	memset(world, 0, sizeof(*world));
	make_machine(world, count, setup->cpus ? setup->cpus : 2);
	lh_memory_map_init(&map, entries, 8);
	CHECK_OK(lh_memory_map_add(&map, FIRST_FRAME * PAGE, count * PAGE, LH_MEMORY_USABLE));
	CHECK_OK(lh_memory_map_normalise(&map));
	size = lh_frames_size(&map);
	CHECK_OK(lh_memory_map_carve(&map, size, PAGE, 0, &carved));
	CHECK_OK(lh_frames_create(machine_bytes(world->machine, lh_physical_frame(carved).value), size,
				  &map, setup->policy, world->machine, &world->frames));
	world->free_before = world_frame_counters(world).free;
	for (unsigned cpu = 0; cpu < WORLD_CPUS; cpu++)
		world->loaded[cpu] = -1;
	world->user = setup->user;
	if (lh_virtual_range_is_empty(world->user))
		world->user = (lh_virtual_range){ lh_virtual(WORLD_USER), WORLD_USER_PAGES };
}

static machine_use frame_use(void *context, lh_frame_number frame)
{
	const lh_frame_entry *entry = lh_frame_entry_of(context, frame);

	/* Whose last holder is gone is as good as free. */
	if (entry && entry->state != LH_FRAME_RESERVED && entry->holders == 0)
		return MACHINE_FREE;
	return entry && entry->state == LH_FRAME_TABLE ? MACHINE_TABLE : MACHINE_OTHER;
}

static void activate_kernel(test_world *world)
{
	for (unsigned cpu = 0; cpu < world->machine->cpu_count; cpu++) {
		unsigned before = machine_run_on(world->machine, cpu);
		uintptr_t interrupts = lh_port_interrupts_off(world->machine);

		lh_manager_activate(world->manager);
		lh_port_interrupts_restore(world->machine, interrupts);
		machine_run_on(world->machine, before);
	}
}

void world_open(test_world *world, const world_setup *setup)
{
	lh_manager_setup manager;

	world_open_frames(world, setup);
	manager = (lh_manager_setup){
		.port = world->machine,
		.frames = world->frames,
		.format = &world->format,
		.user = world->user,
		.kernel = { lh_virtual(WORLD_KERNEL), UINT64_C(1) << 34 },
		.enforce_write_xor_execute = setup->enforce_write_xor_execute,
		.huge = setup->huge,
	};
	CHECK_OK(lh_manager_create(aligned_alloc(16, lh_manager_size()), &manager, &world->manager));
	if (world->format.root_each)
		machine_set_upper_root(world->machine, world->manager->kernel_directory.root);
	machine_watch(world->machine, frame_use, world->frames);
	activate_kernel(world);
	world->free_empty = world_frame_counters(world).free;
	world_settle(world);
}

void world_close(test_world *world)
{
	lh_frame_counters counters;

	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			world_destroy(world, n);
	world_settle(world);
	world_check(world);
	counters = world_frame_counters(world);
	CHECK_EQUAL(counters.free, world->free_empty);
	CHECK_EQUAL(counters.committed, 0);
	CHECK_EQUAL(counters.charged_in_use, 0);
	/* The CPUs stand on the kernel's tables to the end. */
	machine_watch(world->machine, NULL, NULL);
	lh_manager_destroy(world->manager);
	free(world->manager);
	world->manager = NULL;
	CHECK_EQUAL(world_frame_counters(world).free, world->free_before);
	CHECK_SOUND(lh_frames_check(world->frames));
	machine_destroy(world->machine);
}

lh_space *world_make(test_world *world, unsigned n)
{
	CHECK(world->space[n] == NULL);
	CHECK_OK(lh_space_create(world->manager, world->account[n],
				 aligned_alloc(16, lh_space_size()), &world->space[n]));
	return world->space[n];
}

void world_destroy(test_world *world, unsigned n)
{
	for (unsigned cpu = 0; cpu < world->machine->cpu_count; cpu++)
		if (world->loaded[cpu] == (int)n)
			world_load(world, cpu, -1);
	lh_space_destroy(world->space[n]);
	free(world->space[n]);
	world->space[n] = NULL;
	world_settle(world);
}

void world_load(test_world *world, unsigned cpu, int n)
{
	unsigned before;
	uintptr_t interrupts;

	if (world->loaded[cpu] == n)
		return;
	world_settle(world);
	before = machine_run_on(world->machine, cpu);
	interrupts = lh_port_interrupts_off(world->machine);
	if (world->loaded[cpu] >= 0)
		lh_space_deactivate(world->space[world->loaded[cpu]]);
	if (n >= 0)
		lh_space_activate(world->space[n]);
	lh_port_interrupts_restore(world->machine, interrupts);
	machine_run_on(world->machine, before);
	world->loaded[cpu] = n;
}

/* --- accesses --- */

struct resolving {
	test_world *world;
	unsigned n;
	lh_fault outcome;
};

static bool resolve(void *context, unsigned cpu, const machine_fault *fault)
{
	struct resolving *resolving = context;
	test_world *world = resolving->world;

	(void)cpu;
	if (world->fault)
		resolving->outcome = world->fault(world->fault_context, resolving->n, fault->address,
						  machine_fault_right(fault));
	else
		resolving->outcome = lh_space_fault(world->space[resolving->n], fault->address,
						    machine_fault_right(fault));
	world_settle(world);
	return resolving->outcome == LH_FAULT_OK;
}

lh_fault world_access(test_world *world, unsigned cpu, unsigned n, uint64_t address, mmu_access access,
		      void *bytes, size_t size)
{
	struct resolving resolving = { world, n, LH_FAULT_OK };

	world_load(world, cpu, (int)n);
	world_settle(world);
	if (machine_access(world->machine, cpu, lh_virtual(address), access, bytes, size,
			   MACHINE_USER, resolve, &resolving, NULL))
		return LH_FAULT_OK;
	CHECK(resolving.outcome != LH_FAULT_OK);
	return resolving.outcome;
}

static unsigned cpu_of(const test_world *world, unsigned n)
{
	for (unsigned cpu = 0; cpu < world->machine->cpu_count; cpu++)
		if (world->loaded[cpu] == (int)n)
			return cpu;
	return 0;
}

lh_fault world_read(test_world *world, unsigned n, uint64_t address, uint64_t *value)
{
	return world_access(world, cpu_of(world, n), n, address, MMU_READ, value, sizeof(*value));
}

lh_fault world_write(test_world *world, unsigned n, uint64_t address, uint64_t value)
{
	return world_access(world, cpu_of(world, n), n, address, MMU_WRITE, &value, sizeof(value));
}

lh_fault world_fetch(test_world *world, unsigned n, uint64_t address)
{
	return world_access(world, cpu_of(world, n), n, address, MMU_FETCH, NULL, 1);
}

uint64_t world_peek(test_world *world, unsigned n, uint64_t address)
{
	uint64_t value;

	CHECK_EQUAL(world_read(world, n, address, &value), LH_FAULT_OK);
	return value;
}

void world_poke(test_world *world, unsigned n, uint64_t address, uint64_t value)
{
	CHECK_EQUAL(world_write(world, n, address, value), LH_FAULT_OK);
}

/* --- looking --- */

static bool is_in_use(void *context, lh_frame_number frame)
{
	const lh_frame_entry *entry = lh_frame_entry_of(context, frame);

	return !entry || entry->state != LH_FRAME_FREE;
}

void world_settle(test_world *world)
{
	machine_update_frames(world->machine, is_in_use, world->frames);
}

void world_check_quickly(test_world *world)
{
	world_settle(world);
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			CHECK_SOUND(lh_space_check(world->space[n]));
	CHECK_SOUND(world_check_holders(world));
	CHECK_SOUND(world_check_charges(world));
	CHECK_SOUND(machine_check_tlbs(world->machine));
	CHECK_SOUND(world_check_translations(world));
}

void world_check(test_world *world)
{
	world_check_quickly(world);
	CHECK_SOUND(lh_frames_check(world->frames));
	CHECK_SOUND(lh_manager_check(world->manager));
}

uint64_t world_page(const test_world *world, uint64_t n)
{
	return world->user.base.value + n * PAGE;
}

lh_virtual_range world_range(const test_world *world, uint64_t page, uint64_t pages)
{
	return (lh_virtual_range){ lh_virtual(world_page(world, page)), pages };
}

void world_map(test_world *world, unsigned n, uint64_t page, uint64_t pages, lh_rights rights)
{
	lh_map_request request = { .where = LH_AT, .pages = pages, .rights = rights,
				   .address = lh_virtual(world_page(world, page)) };
	lh_virtual_range placed;

	CHECK_OK(lh_space_map(world->space[n], &request, &placed));
	CHECK_EQUAL(placed.base.value, request.address.value);
	CHECK_EQUAL(placed.pages, pages);
}

void world_unmap(test_world *world, unsigned n, uint64_t page, uint64_t pages)
{
	CHECK_OK(lh_space_unmap(world->space[n], world_range(world, page, pages)));
	world_settle(world);
}

void world_map_object(test_world *world, unsigned n, uint64_t page, uint64_t pages, lh_rights rights,
		      uint32_t flags, lh_object *object, uint64_t object_page)
{
	lh_map_request request = { .where = LH_AT, .pages = pages, .rights = rights, .flags = flags,
				   .address = lh_virtual(world_page(world, page)),
				   .object = object, .object_page = object_page };
	lh_virtual_range placed;

	CHECK_OK(lh_space_map(world->space[n], &request, &placed));
}

lh_object *world_object(test_world *world, uint64_t size, bool committed)
{
	lh_object_setup setup = { .kind = LH_OBJECT_ANONYMOUS, .size = size, .committed = committed,
				  .account = world->objects_account };
	lh_object *object;

	CHECK_OK(lh_object_create(world->manager, &setup, &object));
	return object;
}

lh_space_counters world_counters(test_world *world, unsigned n)
{
	lh_space_counters counters;

	lh_space_read_counters(world->space[n], &counters);
	return counters;
}

lh_frame_counters world_frame_counters(test_world *world)
{
	lh_frame_counters counters;

	if (world->manager)
		(void)lh_manager_trim(world->manager);
	lh_frames_read_counters(world->frames, &counters);
	return counters;
}

lh_statistics world_statistics(test_world *world)
{
	lh_statistics statistics;

	lh_manager_read_statistics(world->manager, &statistics);
	return statistics;
}

lh_leaf world_leaf(test_world *world, unsigned n, uint64_t page)
{
	lh_directory *directory = &world->space[n]->directory;
	lh_leaf leaf = lh_directory_read(directory, lh_virtual(world_page(world, page)));

	return leaf;
}

bool world_is_shared(test_world *world, unsigned n, uint64_t page)
{
	lh_slot slot;
	bool shared;

	lh_slot_find(&slot, &world->space[n]->directory, lh_virtual(world_page(world, page)));
	shared = lh_walk_is_shared(&slot.walk);
	lh_slot_close(&slot);
	return shared;
}

uint64_t world_half(const test_world *world)
{
	return UINT64_C(1) << lh_format_half_bits(&world->format);
}

uint64_t world_kernel_tables(const test_world *world)
{
	uint64_t entries = lh_paging_entries(&world->format, world->format.levels - 1u);

	return 1 + (world->format.root_each ? 0 : entries / 2);
}

bool world_faults_once(const test_world *world)
{
	return !world->architecture->rules->keeps_absent;
}

uint64_t *world_entry(test_world *world, lh_frame_number root, uint64_t address)
{
	uint64_t *entries = machine_bytes(world->machine, root.value);

	for (unsigned level = world->format.levels - 1u; level > 0; level--) {
		uint64_t entry = entries[address >> (12 + 9 * level) & 511];
		mmu_entry table = world->architecture->rules->read(level, entry);

		CHECK_EQUAL(table.kind, MMU_ENTRY_TABLE);
		entries = machine_bytes(world->machine, table.physical >> LH_PAGE_SHIFT);
	}
	return &entries[address >> 12 & 511];
}

uint64_t world_entry_with(const test_world *world, uint64_t entry, lh_rights rights, bool user)
{
	lh_leaf leaf = lh_entry_read_leaf(&world->format, 0, entry, user);

	leaf.rights = rights;
	return lh_entry_make_leaf(&world->format, leaf, user);
}

uint64_t world_leaf_pages(const lh_leaf *leaf)
{
	return UINT64_C(1) << 9 * leaf->level;
}

lh_frame_number world_frame(test_world *world, unsigned n, uint64_t page)
{
	lh_leaf leaf = world_leaf(world, n, page);
	uint64_t within = world_page(world, page) / PAGE % world_leaf_pages(&leaf);

	return leaf.kind == LH_LEAF_EMPTY ? lh_frame(LH_NO_FRAME) : lh_frame(leaf.frame.value + within);
}

uint32_t world_holders(test_world *world, lh_frame_number frame)
{
	return lh_frame_entry_of(world->frames, frame)->holders;
}
