/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two maps are made of the firmware's. The first, without the image, is what the direct map shows:
 * usable memory and the initramfs. The second, without the initramfs and what is carved here,
 * is what the frame allocator gets. The image is left out of the direct map, so that no
 * second, writable view of its text exists.
 */
#include "memory/start.h"

#include "cpu/identify.h"
#include "cpu/percpu.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"
#include "memory/nodes.h"

#define MAP_CAPACITY 256
#define DIRECT_REGIONS_MAX 64
#define EARLY_LIMIT (UINT64_C(1) << 32)
#define GIGABYTE (UINT64_C(1) << 30)
#define LARGE_PAGE (UINT64_C(1) << 21)
#define EARLY_PRESENT_WRITABLE 0x3
#define EARLY_LARGE_WRITABLE 0x83

/* The first pages: the firmware's tables for 16-bit code. In their midst, where other CPUs start: it is
 * usable memory, and taken out of the allocator's hands until they have (cpu/start.c). */
#define LOW_RESERVED 0x10000
_Static_assert(MEMORY_LOW_PAGE % LH_PAGE_SIZE == 0 && MEMORY_LOW_PAGE + LH_PAGE_SIZE < LOW_RESERVED,
	       "the low page is among those that are otherwise reserved");

extern const uint8_t image_start[], image_end[], image_text_start[], image_text_end[];
extern const uint8_t image_rodata_start[], image_rodata_end[], image_data_start[], image_data_end[];
extern uint64_t early_direct_pointers[512];

static lh_manager *manager;
static lh_paging_format format; /* of this CPU: constant once the manager stands */
static lh_memory_entry direct_entries[MAP_CAPACITY];
static lh_region direct_regions[DIRECT_REGIONS_MAX];
static lh_region text_region, rodata_region, data_region;
static lh_frame_number low_frame = { LH_NO_FRAME };

lh_manager *memory_manager(void)
{
	return manager;
}

lh_frames *memory_frames(void)
{
	return lh_manager_frames(manager);
}

lh_kernel_request memory_request(uint64_t pages, lh_rights rights)
{
	lh_kernel_request request;

	memset(&request, 0, sizeof(request));
	request.placement.pages = pages;
	request.placement.within.base = lh_virtual(REGIONS_BASE);
	request.placement.within.pages = REGIONS_PAGES;
	request.rights = rights;
	return request;
}

static void must(lh_error error, const char *what)
{
	if (error != LH_OK)
		panic("memory: %s: %s", what, lh_error_string(error));
}

static uint64_t image_physical(const uint8_t *symbol)
{
	return (uint64_t)(uintptr_t)symbol - IMAGE_BASE;
}

/* What the direct map shows. The array stays: later steps walk it. */
static void make_direct_entries(lh_memory_map *firmware, lh_memory_map *direct)
{
	uint64_t behind = MEMORY_LOW_PAGE + LH_PAGE_SIZE;

	must(lh_memory_map_add(firmware, 0, MEMORY_LOW_PAGE, LH_MEMORY_RESERVED), "low memory");
	must(lh_memory_map_add(firmware, behind, LOW_RESERVED - behind, LH_MEMORY_RESERVED), "low memory");
	must(lh_memory_map_add(firmware, image_physical(image_start),
			       (uint64_t)(image_end - image_start), LH_MEMORY_RESERVED),
	     "the image's place");
	lh_memory_map_init(direct, direct_entries, MAP_CAPACITY);
	for (size_t i = 0; i < firmware->count; i++)
		must(lh_memory_map_add(direct, firmware->entries[i].base, firmware->entries[i].length,
				       firmware->entries[i].kind),
		     "copying the memory map");
	must(lh_memory_map_normalise(direct), "normalising the memory map");
	if (direct->count == 0 || direct->count > DIRECT_REGIONS_MAX)
		panic("memory: %zu pieces of usable memory", direct->count);
}

static uint64_t end_of(const lh_memory_map *map)
{
	const lh_memory_entry *last = &map->entries[map->count - 1];

	return last->base + last->length;
}

/* The early direct map ends at 4 GiB: more of the same kind up to the end of memory. */
static void extend_early_map(lh_memory_map *usable, uint64_t end)
{
	for (uint64_t base = EARLY_LIMIT; base < end; base += GIGABYTE) {
		lh_physical_address table;
		uint64_t *entries;

		if (base / GIGABYTE >= 512)
			panic("memory: more than 512 GiB");
		/* So aligned, the low page is not taken for it. */
		must(lh_memory_map_carve(usable, LH_PAGE_SIZE, LOW_RESERVED, EARLY_LIMIT, &table),
		     "a table of the early direct map");
		entries = direct_pointer(table.value);
		for (uint64_t i = 0; i < 512; i++)
			entries[i] = (base + i * LARGE_PAGE) | EARLY_LARGE_WRITABLE;
		early_direct_pointers[base / GIGABYTE] = table.value | EARLY_PRESENT_WRITABLE;
	}
}

/* Nothing else usable lies below its end: so it is this page, or none if the firmware has it. */
static void take_low_page(lh_frames *frames)
{
	if (lh_frame_allocate_contiguous(frames, 1, 1, MEMORY_LOW_PAGE / LH_PAGE_SIZE + 1, LH_FRAME_KERNEL,
					 &low_frame) != LH_OK)
		low_frame = lh_frame(LH_NO_FRAME);
}

bool memory_has_low_page(void)
{
	return !lh_frame_is_none(low_frame);
}

void memory_give_low_page_back(void)
{
	lh_frames *frames = memory_frames();

	if (lh_frame_is_none(low_frame))
		return;
	if (!lh_frame_drop(frames, low_frame))
		panic("the page where other CPUs start is held by somebody");
	/* It can be had again, like any other. */
	take_low_page(frames);
	if (lh_frame_is_none(low_frame) || !lh_frame_drop(frames, low_frame))
		panic("the page where other CPUs start is not free");
	low_frame = lh_frame(LH_NO_FRAME);
}

static lh_frames *make_frames(lh_memory_map *usable)
{
	lh_frames_machine machine = { .cpus = KERNEL_CPUS_MAX };
	lh_physical_address base;
	lh_frames *frames;
	uint64_t size;

	machine.ranges = nodes_ranges(&machine.range_count);
	size = lh_frames_size_on(usable, &machine);
	must(lh_memory_map_carve(usable, size, LH_PAGE_SIZE, 0, &base), "room for the frame array");
	must(lh_frames_create_on(direct_pointer(base.value), size, usable, &machine,
				 LH_CHARGE_HEURISTIC, NULL, &frames),
	     "the frame allocator");
	take_low_page(frames);
	log_line("memory: %lu frames, frame array of %lu KiB", lh_memory_map_frames(usable), size / 1024);
	nodes_log(frames, usable);
	return frames;
}

static void make_manager(lh_frames *frames)
{
	lh_manager_setup setup;
	lh_frame_number first;
	uint64_t pages = (lh_manager_size() + LH_PAGE_SIZE - 1) / LH_PAGE_SIZE;

	format = lh_format_x86_64_4_level;
	format.leaf_at[2] = cpu_identification()->has_gigabyte_pages;
	memset(&setup, 0, sizeof(setup));
	setup.frames = frames;
	setup.format = &format;
	must(lh_virtual_range_make(lh_virtual(USER_BASE), (USER_LIMIT - USER_BASE) / LH_PAGE_SIZE,
				   &setup.user),
	     "the user range");
	must(lh_virtual_range_make(lh_virtual(DIRECT_MAP_BASE), UINT64_C(1) << 35, &setup.kernel),
	     "the kernel range");
	must(lh_frame_allocate_contiguous(frames, pages, 1, 0, LH_FRAME_KERNEL, &first),
	     "room for the manager");
	must(lh_manager_create(lh_frame_pointer(frames, first), &setup, &manager), "the manager");
}

static void map_fixed(lh_region *region, uint64_t virtual, uint64_t physical, uint64_t bytes,
		      lh_rights rights, const char *what)
{
	lh_kernel_request request;

	memset(&request, 0, sizeof(request));
	must(lh_virtual_range_make(lh_virtual(virtual), bytes / LH_PAGE_SIZE, &request.specifically), what);
	request.rights = rights;
	must(lh_manager_map_physical(manager, region, &request, lh_physical(physical), LH_MEMORY_WRITE_BACK),
	     what);
}

static void map_image(lh_region *region, const uint8_t *start, const uint8_t *end, lh_rights rights,
		      const char *what)
{
	map_fixed(region, (uint64_t)(uintptr_t)start, image_physical(start), (uint64_t)(end - start), rights,
		  what);
}

static void map_kernel(const lh_memory_map *direct)
{
	map_image(&text_region, image_text_start, image_text_end, LH_RIGHT_READ | LH_RIGHT_EXECUTE, "the text");
	map_image(&rodata_region, image_rodata_start, image_rodata_end, LH_RIGHT_READ, "the read-only data");
	map_image(&data_region, image_data_start, image_data_end, LH_RIGHT_READ | LH_RIGHT_WRITE, "the data");
	for (size_t i = 0; i < direct->count; i++)
		map_fixed(&direct_regions[i], DIRECT_MAP_BASE + direct->entries[i].base,
			  direct->entries[i].base, direct->entries[i].length,
			  LH_RIGHT_READ | LH_RIGHT_WRITE, "the direct map");
}

void memory_start(lh_memory_map *firmware, const struct boot_module *initramfs)
{
	lh_memory_map direct;

	make_direct_entries(firmware, &direct);
	must(lh_memory_map_add(firmware, initramfs->physical, initramfs->bytes, LH_MEMORY_RESERVED),
	     "the initramfs");
	must(lh_memory_map_normalise(firmware), "normalising the memory map");
	extend_early_map(firmware, end_of(&direct));
	nodes_read();
	make_manager(make_frames(firmware));
	map_kernel(&direct);
	lh_manager_activate(manager);
	log_line("memory: the kernel runs on its own tables");
}

static void print_finding(void *context, lh_virtual_address address, const char *what)
{
	(void)context;
	log_line("audit: %016lx %s", address.value, what);
}

static void check_low_half(void)
{
	const uint64_t *entries = lh_frame_pointer(memory_frames(), lh_manager_kernel_root(manager));

	for (unsigned i = 0; i < 256; i++)
		if (entries[i] != 0)
			panic("audit: the kernel's directory has a low half: entry %u is %#lx", i, entries[i]);
}

void memory_audit(void)
{
	uint64_t findings = lh_manager_audit(manager, print_finding, NULL);

	check_low_half();

	if (findings != 0)
		panic("audit: %lu mappings of the kernel have rights that they must not have", findings);
	log_line("audit: nothing of the kernel is writable and executable, or reachable by user code");
}
