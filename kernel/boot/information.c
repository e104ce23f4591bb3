/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PVH: Xen's public/arch-x86/hvm/start_info.h. Multiboot2: its specification 2.0, section 3.6.
 * The root pointer of the ACPI tables comes with both; who has none looks where BIOSes leave it
 * (ACPI specification 6.5, section 5.2.5).
 */
#include "boot/information.h"

#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"

#define EARLY_LIMIT (UINT64_C(1) << 32)
#define MEMORY_TYPE_USABLE 1
#define MEMORY_TYPE_RESERVED 2
/* On the command line: "memory.holes=BASE+BYTES,BASE+BYTES", hexadecimal. */
#define HOLES "memory.holes="

struct pvh_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command_line, rsdp;
	uint64_t memory_map; /* version 1 and later */
	uint32_t memory_map_entries, reserved;
};

struct pvh_module {
	uint64_t physical, bytes, command_line, reserved;
};

struct pvh_memory_entry {
	uint64_t base, length;
	uint32_t type, reserved;
};

#define PVH_MAGIC 0x336ec578

struct multiboot_tag {
	uint32_t type, size; /* of the whole tag; the next one is 8-aligned behind it */
};

struct multiboot_module {
	struct multiboot_tag tag;
	uint32_t start, end;
};

struct multiboot_memory_map {
	struct multiboot_tag tag;
	uint32_t entry_size, entry_version;
};

enum {
	MULTIBOOT_END = 0,
	MULTIBOOT_COMMAND_LINE = 1,
	MULTIBOOT_MODULE = 3,
	MULTIBOOT_MEMORY_MAP = 6,
	MULTIBOOT_ACPI_OLD = 14,
	MULTIBOOT_ACPI_NEW = 15
};

struct __attribute__((packed)) acpi_pointer {
	char signature[8]; /* "RSD PTR " */
	uint8_t checksum;
	char maker[6];
	uint8_t revision;
	uint32_t table;
	/* Revision 2 and later: */
	uint32_t length;
	uint64_t extended_table;
};
#define ACPI_POINTER_OLD_BYTES 20

#define BIOS_AREA 0xe0000
#define BIOS_AREA_END 0x100000

static struct boot_info info;

const struct boot_info *boot_info(void)
{
	return &info;
}

static const void *early_pointer(uint64_t physical, uint64_t bytes)
{
	if (physical >= EARLY_LIMIT || bytes > EARLY_LIMIT - physical)
		panic("the boot loader's information lies beyond 4 GiB: %#lx", physical);
	return direct_pointer(physical);
}

static void add_memory(lh_memory_map *map, uint64_t base, uint64_t length, uint32_t type)
{
	lh_error error = lh_memory_map_add(map, base, length,
					   type == MEMORY_TYPE_USABLE ? LH_MEMORY_USABLE
								      : LH_MEMORY_RESERVED);

	log_line("memory: %#014lx + %#014lx type %u", base, length, type);
	if (error != LH_OK)
		panic("the firmware's memory map: %s", lh_error_string(error));
}

/* => true: it is a root pointer, and was taken. */
static bool take_acpi_pointer(const void *bytes)
{
	const struct acpi_pointer *pointer = bytes;
	const uint8_t *byte = bytes;
	uint8_t sum = 0;

	if (memcmp(pointer->signature, "RSD PTR ", sizeof(pointer->signature)) != 0)
		return false;
	for (size_t i = 0; i < ACPI_POINTER_OLD_BYTES; i++)
		sum = (uint8_t)(sum + byte[i]);
	if (sum != 0)
		return false;
	info.acpi_is_extended = pointer->revision >= 2 && pointer->extended_table != 0;
	info.acpi_table = info.acpi_is_extended ? pointer->extended_table : pointer->table;
	return true;
}

static void find_acpi_pointer(void)
{
	for (uint64_t at = BIOS_AREA; at < BIOS_AREA_END && info.acpi_table == 0; at += 16)
		(void)take_acpi_pointer(early_pointer(at, 16));
}

static void read_pvh(uint64_t physical, lh_memory_map *map, struct boot_module *initramfs)
{
	const struct pvh_start_info *start = early_pointer(physical, sizeof(*start));
	const struct pvh_memory_entry *entries;

	if (start->magic != PVH_MAGIC || start->version == 0)
		panic("PVH: no start information with a memory map at %#lx", physical);
	if (start->command_line != 0)
		(void)string_copy(info.command_line, early_pointer(start->command_line, 1),
				  sizeof(info.command_line));
	if (start->module_count != 0) {
		const struct pvh_module *module = early_pointer(start->modules, sizeof(*module));

		initramfs->physical = module->physical;
		initramfs->bytes = module->bytes;
	}
	if (start->rsdp != 0)
		(void)take_acpi_pointer(early_pointer(start->rsdp, sizeof(struct acpi_pointer)));
	entries = early_pointer(start->memory_map,
				(uint64_t)start->memory_map_entries * sizeof(*entries));
	for (uint32_t i = 0; i < start->memory_map_entries; i++)
		add_memory(map, entries[i].base, entries[i].length, entries[i].type);
}

static void read_multiboot_memory(const struct multiboot_memory_map *tag, lh_memory_map *map)
{
	const uint8_t *at = (const uint8_t *)(tag + 1);
	const uint8_t *end = (const uint8_t *)tag + tag->tag.size;

	if (tag->entry_size < sizeof(struct pvh_memory_entry))
		panic("multiboot2: entries of %u bytes in its memory map", tag->entry_size);
	for (; (uint64_t)(end - at) >= tag->entry_size; at += tag->entry_size) {
		struct pvh_memory_entry entry; /* multiboot2 has the same layout */

		memcpy(&entry, at, sizeof(entry));
		add_memory(map, entry.base, entry.length, entry.type);
	}
}

static void read_multiboot_tag(const struct multiboot_tag *tag, lh_memory_map *map,
			       struct boot_module *initramfs)
{
	const void *whole = tag;

	if (tag->type == MULTIBOOT_COMMAND_LINE) {
		(void)string_copy(info.command_line, (const char *)(tag + 1), sizeof(info.command_line));
	} else if (tag->type == MULTIBOOT_MODULE && initramfs->bytes == 0) {
		const struct multiboot_module *module = whole;

		initramfs->physical = module->start;
		initramfs->bytes = module->end - module->start;
	} else if (tag->type == MULTIBOOT_MEMORY_MAP) {
		read_multiboot_memory(whole, map);
	} else if (tag->type == MULTIBOOT_ACPI_OLD || tag->type == MULTIBOOT_ACPI_NEW) {
		(void)take_acpi_pointer(tag + 1);
	}
}

static void read_multiboot(uint64_t physical, lh_memory_map *map, struct boot_module *initramfs)
{
	const uint32_t *size = early_pointer(physical, 8);
	const uint8_t *at = early_pointer(physical, *size), *end = at + *size;

	for (at += 8; end - at >= (ptrdiff_t)sizeof(struct multiboot_tag);) {
		const struct multiboot_tag *tag = (const void *)at;

		if (tag->size < sizeof(*tag) || tag->size > (uint64_t)(end - at))
			panic("multiboot2: a tag of %u bytes", tag->size);
		if (tag->type == MULTIBOOT_END)
			break;
		read_multiboot_tag(tag, map, initramfs);
		at += (tag->size + 7u) & ~7u;
	}
}

/* Memory that the firmware would reserve on another machine: for who has only machines without, or with bad memory. */
static void add_holes(lh_memory_map *map)
{
	const char *at = strstr(info.command_line, HOLES);

	if (at == NULL)
		return;
	at += sizeof(HOLES) - 1;
	do {
		uint64_t base = string_hexadecimal(&at), bytes;

		if (*at != '+') {
			log_line("boot: memory.holes: the rest is not BASE+BYTES,BASE+BYTES: \"%s\"", at);
			return;
		}
		at++;
		bytes = string_hexadecimal(&at);
		add_memory(map, base, bytes, MEMORY_TYPE_RESERVED);
	} while (*at++ == ',');
}

void boot_information_read(uint32_t loader, uint64_t physical, lh_memory_map *map,
			   struct boot_module *initramfs)
{
	initramfs->physical = 0;
	initramfs->bytes = 0;
	if (loader == BOOT_LOADER_PVH) {
		info.loader = "PVH";
		read_pvh(physical, map, initramfs);
	} else {
		info.loader = "multiboot2";
		read_multiboot(physical, map, initramfs);
	}
	add_holes(map);
	if (info.acpi_table == 0)
		find_acpi_pointer();
	log_line("boot: %s, initramfs %#lx + %#lx, command line \"%s\"", info.loader,
		 initramfs->physical, initramfs->bytes, info.command_line);
}

void boot_information_set_initramfs(const struct boot_module *initramfs)
{
	if (initramfs->bytes == 0)
		return;
	info.initramfs = direct_pointer(initramfs->physical);
	info.initramfs_size = initramfs->bytes;
}
