/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's directories, and as much of a port as they need: one CPU. What it is asked on the way to every
 * leaf costs what it costs in a kernel: the CPU's number is read from its own memory, and interrupts off is a
 * word of that, which the compiler must store.
 */
#include "subject.h"

#include <landhold/directory.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES (TABLE_PAGES - 1) /* frame 0 is not used */

static lh_frames *frames;
static lh_directory directory;
static void *memory;

static void must(lh_error error)
{
	if (error == LH_OK)
		return;
	fprintf(stderr, "bench-paging: %s\n", lh_error_string(error));
	exit(1);
}

static void create(void)
{
	lh_memory_entry entry;
	lh_memory_map map;
	uint64_t size;

	arena_clear();
	lh_memory_map_init(&map, &entry, 1);
	must(lh_memory_map_add(&map, LH_PAGE_SIZE, FRAMES << LH_PAGE_SHIFT, LH_MEMORY_USABLE));
	must(lh_memory_map_normalise(&map));
	size = lh_frames_size(&map);
	memory = aligned_alloc(LH_PAGE_SIZE, (size + LH_PAGE_SIZE - 1) & ~(LH_PAGE_SIZE - 1));
	must(lh_frames_create(memory, size, &map, LH_CHARGE_STRICT, NULL, &frames));
	lh_directory_init(&directory, frames, &lh_format_x86_64_4_level);
	must(lh_directory_add_root(&directory));
	lh_directory_activate(&directory);
}

static void destroy(void)
{
	lh_directory_deactivate(&directory);
	lh_directory_destroy(&directory);
	free(memory);
}

static lh_virtual_range range_of(uint64_t address, unsigned level, uint64_t leaves)
{
	lh_virtual_range range = { lh_virtual(address), leaves << 9 * level };

	return range;
}

static lh_leaf leaf_of(unsigned level, uint64_t frame)
{
	return (lh_leaf){ .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE,
			  .level = (uint8_t)level, .flags = LH_LEAF_UNCOUNTED, .frame = { frame } };
}

/* What is more than one leaf, or wants a table, is out of the way of what is not. */
#define FAR static __attribute__((noinline))

FAR void map_range(uint64_t address, unsigned level, uint64_t leaves, uint64_t frame)
{
	lh_virtual_range range = range_of(address, level, leaves);
	lh_spare_tables spares = { 0, 0 };

	must(lh_directory_prepare_map(&directory, range, leaf_of(level, frame), &spares));
	must(lh_directory_map(&directory, range, leaf_of(level, frame), NULL, &spares));
	lh_spare_tables_give_back(frames, &spares);
}

FAR void map_page(uint64_t address, uint64_t frame)
{
	lh_spare_tables spares = { 0, 0 };

	must(lh_directory_prepare(&directory, range_of(address, 0, 1), &spares));
	must(lh_directory_write(&directory, lh_virtual(address), leaf_of(0, frame), &spares));
	lh_spare_tables_give_back(frames, &spares);
}

FAR void map_huge(uint64_t address, uint64_t frame)
{
	lh_spare_tables none = { 0, 0 };

	if (lh_directory_write_large(&directory, lh_virtual(address), leaf_of(1, frame), &none) != LH_OK)
		map_range(address, 1, 1, frame);
}

static void map(uint64_t address, unsigned level, uint64_t leaves, uint64_t frame)
{
	if (leaves != 1)
		map_range(address, level, leaves, frame);
	else if (level != 0)
		map_huge(address, frame);
	else if (!lh_directory_write_at_once(&directory, lh_virtual(address), leaf_of(0, frame)))
		map_page(address, frame);
}

static void protect(uint64_t address, unsigned level, uint64_t leaves)
{
	lh_gather gather;

	lh_gather_begin(&gather, &directory);
	lh_directory_restrict_range(&directory, range_of(address, level, leaves), LH_RIGHT_READ, &gather);
	lh_gather_finish(&gather);
}

static bool count_run(void *context, const lh_leaf_run *run)
{
	if (run->leaf.kind == LH_LEAF_PRESENT && (run->leaf.rights & LH_RIGHT_WRITE) != 0)
		*(uint64_t *)context += run->range.pages >> 9 * run->leaf.level;
	return true;
}

FAR uint64_t query_range(lh_virtual_range range)
{
	uint64_t count = 0;

	lh_directory_query(&directory, range, count_run, &count);
	return count;
}

static uint64_t query(uint64_t address, unsigned level, uint64_t leaves)
{
	if (leaves == 1) {
		lh_leaf leaf = lh_directory_read(&directory, lh_virtual(address));

		return leaf.kind == LH_LEAF_PRESENT && (leaf.rights & LH_RIGHT_WRITE) != 0;
	}
	return query_range(range_of(address, level, leaves));
}

FAR void unmap_range(lh_virtual_range range)
{
	lh_gather gather;

	lh_gather_begin(&gather, &directory);
	lh_directory_clear_range(&directory, range, &gather);
	lh_gather_finish(&gather);
}

static void unmap(uint64_t address, unsigned level, uint64_t leaves)
{
	if (leaves == 1 && level == 0)
		lh_directory_clear_one(&directory, lh_virtual(address));
	else
		unmap_range(range_of(address, level, leaves));
}

const struct subject landhold_subject = { "landhold", create, destroy, map, protect, query, unmap };

/* --- the port --- */

static _Thread_local struct {
	unsigned number;
	volatile uint32_t interrupts_off;
} self;

void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame)
{
	(void)port;
	return arena_page(frame.value);
}

LH_NO_RETURN void lh_port_panic(lh_port *port, const char *message)
{
	(void)port;
	fprintf(stderr, "panic: %s\n", message);
	abort();
}

unsigned lh_port_cpu(lh_port *port)
{
	(void)port;
	return *(volatile unsigned *)&self.number;
}

uintptr_t lh_port_interrupts_off(lh_port *port)
{
	uintptr_t before = self.interrupts_off;

	(void)port;
	self.interrupts_off = 1;
	return before;
}

void lh_port_interrupts_restore(lh_port *port, uintptr_t state)
{
	(void)port;
	self.interrupts_off = (uint32_t)state;
}

bool lh_port_interrupts_are_on(lh_port *port)
{
	(void)port;
	return self.interrupts_off == 0;
}

void lh_port_call_cpus(lh_port *port, const lh_cpu_set *cpus, void (*function)(void *),
		       void *argument)
{
	(void)port;
	(void)cpus;
	function(argument);
}

void lh_port_pause(lh_port *port)
{
	(void)port;
}

void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected)
{
	(void)port;
	(void)word;
	(void)expected;
}

void lh_port_unpark(lh_port *port, const uint32_t *word)
{
	(void)port;
	(void)word;
}

void lh_architecture_load(lh_port *port, lh_frame_number root)
{
	(void)port;
	(void)root;
}

void lh_architecture_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range,
				 bool global)
{
	(void)port;
	(void)root;
	(void)global;
	/* Of what an INVLPG is told, the compiler must make the address. */
	__asm__ volatile("" : : "r"(range.base.value) : "memory");
}
