/* SPDX-License-Identifier: BSD-2-Clause */
#include "threads/crowd.h"

static bool is_held(void *context, lh_frame_number frame)
{
	const lh_frame_entry *entry = lh_frame_entry_of(context, frame);

	return entry && __atomic_load_n(&entry->holders, __ATOMIC_RELAXED) != 0;
}

void crowd_open(test_world *world, uint64_t frames, unsigned cpus)
{
	world_open(world, &(world_setup){ .frames = frames, .cpus = cpus });
	world->machine->in_use = is_held;
	world->machine->in_use_context = world->frames;
}

struct program {
	test_world *world;
	machine_program *program;
	void *context;
};

static void run_and_leave(void *context, unsigned cpu)
{
	struct program *program = context;

	program->program(program->context, cpu);
	crowd_load(program->world, cpu, -1);
}

void crowd_run(test_world *world, machine_program *program, void *context)
{
	struct program run = { world, program, context };

	world_settle(world);
	CHECK_SOUND(machine_run_threads(world->machine, run_and_leave, &run));
	world_check(world);
}

crowd_before crowd_note(test_world *world)
{
	return (crowd_before){ world_frame_counters(world), world_statistics(world) };
}

void crowd_compare(test_world *world, const crowd_before *before)
{
	crowd_before now = crowd_note(world);

	CHECK_EQUAL(now.frames.free, before->frames.free);
	CHECK_EQUAL(now.frames.committed, before->frames.committed);
	CHECK_EQUAL(now.frames.charged_in_use, before->frames.charged_in_use);
	CHECK_EQUAL(now.statistics.table_pages, before->statistics.table_pages);
	CHECK_EQUAL(now.statistics.user_regions, before->statistics.user_regions);
	CHECK_EQUAL(now.statistics.kernel_regions, before->statistics.kernel_regions);
	CHECK_EQUAL(now.statistics.spaces, before->statistics.spaces);
	CHECK_EQUAL(now.statistics.objects, before->statistics.objects);
}

/* --- by a CPU's thread --- */

void crowd_load(test_world *world, unsigned cpu, int n)
{
	uintptr_t interrupts;

	if (world->loaded[cpu] == n)
		return;
	interrupts = lh_port_interrupts_off(world->machine);
	if (world->loaded[cpu] >= 0)
		lh_space_deactivate(world->space[world->loaded[cpu]]);
	if (n >= 0)
		lh_space_activate(world->space[n]);
	lh_port_interrupts_restore(world->machine, interrupts);
	world->loaded[cpu] = n;
}

struct resolving {
	lh_space *space;
	lh_fault outcome;
};

static bool resolve(void *context, unsigned cpu, const machine_fault *fault)
{
	struct resolving *resolving = context;

	(void)cpu;
	resolving->outcome = lh_space_fault(resolving->space, fault->address,
					    machine_fault_right(fault));
	return resolving->outcome == LH_FAULT_OK;
}

static lh_fault touch(test_world *world, unsigned cpu, uint64_t address, mmu_access access,
		      uint64_t *word)
{
	struct resolving resolving = { world->space[world->loaded[cpu]], LH_FAULT_OK };

	if (machine_access(world->machine, cpu, lh_virtual(address), access, word, sizeof(*word),
			   MACHINE_USER, resolve, &resolving, NULL))
		return LH_FAULT_OK;
	REQUIRE(world->machine, resolving.outcome != LH_FAULT_OK);
	return resolving.outcome;
}

lh_fault crowd_read(test_world *world, unsigned cpu, uint64_t address, uint64_t *value)
{
	return touch(world, cpu, address, MMU_READ, value);
}

lh_fault crowd_write(test_world *world, unsigned cpu, uint64_t address, uint64_t value)
{
	return touch(world, cpu, address, MMU_WRITE, &value);
}

bool crowd_read_kernel(test_world *world, unsigned cpu, uint64_t address, uint64_t *value)
{
	machine_fault fault;

	return machine_read(world->machine, cpu, lh_virtual(address), value, sizeof(*value),
			    MACHINE_KERNEL, &fault);
}

bool crowd_write_kernel(test_world *world, unsigned cpu, uint64_t address, uint64_t value)
{
	machine_fault fault;

	return machine_write(world->machine, cpu, lh_virtual(address), &value, sizeof(value),
			     MACHINE_KERNEL, &fault);
}

uint64_t crowd_random(uint64_t *state, uint64_t below)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (*state >> 33) % below;
}
