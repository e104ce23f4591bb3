/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI specification 6.5: sections 5.2.6 (headers), 5.2.7 and 5.2.8 (RSDT, XSDT), 5.2.12 (MADT). A
 * table is mapped while it is read. What it says of lengths is believed only within itself.
 */
#include "device/acpi.h"

#include "boot/info.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"

#define TABLE_BYTES_MAX (UINT32_C(1) << 20)

struct __attribute__((packed)) header {
	char signature[4];
	uint32_t length; /* of the whole table */
	uint8_t revision, checksum;
	char maker[6], maker_table[8];
	uint32_t maker_revision, creator, creator_revision;
};

struct table {
	lh_region region;
	const struct header *header;
};

/* The entries of the MADT. */
#define MADT_ENTRIES (sizeof(struct header) + 8)
#define MADT_LOCAL_APIC 0
#define MADT_LOCAL_X2APIC 9
#define CPU_ENABLED 1u
#define IDENTIFIER_MAX 254 /* the last that a message of this kind can carry */

struct __attribute__((packed)) local_apic {
	uint8_t type, length;
	uint8_t processor, identifier;
	uint32_t flags;
};

static bool map(struct table *table, uint64_t physical, uint64_t bytes)
{
	void *pointer;
	lh_error error = lh_manager_map_bytes(memory_manager(), &table->region, lh_physical(physical), bytes,
					      LH_RIGHT_READ, LH_MEMORY_WRITE_BACK, &pointer);

	if (error != LH_OK) {
		log_line("acpi: the table at %#lx cannot be mapped: %s", physical, lh_error_string(error));
		return false;
	}
	table->header = pointer;
	return true;
}

static void close(struct table *table)
{
	lh_manager_unmap(memory_manager(), &table->region);
}

static bool is_whole(const struct header *header)
{
	const uint8_t *bytes = (const uint8_t *)header;
	uint8_t sum = 0;

	for (uint32_t i = 0; i < header->length; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return sum == 0;
}

/* => false: nothing is mapped. */
static bool open(struct table *table, uint64_t physical)
{
	uint32_t length;

	memset(table, 0, sizeof(*table));
	if (!map(table, physical, sizeof(struct header)))
		return false;
	length = table->header->length;
	close(table);
	if (length < sizeof(struct header) || length > TABLE_BYTES_MAX || !map(table, physical, length))
		return false;
	if (is_whole(table->header))
		return true;
	log_line("acpi: the table at %#lx has a wrong sum", physical);
	close(table);
	return false;
}

/* Opens the table with this signature that the root table names. */
static bool find(struct table *found, const struct header *root, bool is_extended, const char *signature)
{
	const uint8_t *entry = (const uint8_t *)(root + 1), *end = (const uint8_t *)root + root->length;
	size_t bytes = is_extended ? 8 : 4;

	for (; (size_t)(end - entry) >= bytes; entry += bytes) {
		uint64_t physical = 0;

		memcpy(&physical, entry, bytes);
		if (!open(found, physical))
			continue;
		if (memcmp(found->header->signature, signature, 4) == 0)
			return true;
		close(found);
	}
	return false;
}

static bool open_madt(struct table *madt)
{
	const struct boot_info *info = boot_info();
	struct table root;
	bool is_found;

	if (info->acpi_table == 0 || !open(&root, info->acpi_table))
		return false;
	is_found = find(madt, root.header, info->acpi_is_extended, "APIC");
	close(&root);
	return is_found;
}

static bool is_usable(const struct local_apic *entry)
{
	return entry->type == MADT_LOCAL_APIC && entry->length >= sizeof(*entry) &&
	       (entry->flags & CPU_ENABLED) != 0 && entry->identifier <= IDENTIFIER_MAX;
}

static size_t read_madt(const struct header *madt, uint32_t *identifiers, size_t capacity)
{
	const uint8_t *at = (const uint8_t *)madt + MADT_ENTRIES, *end = (const uint8_t *)madt + madt->length;
	size_t count = 0;

	while (end - at >= 2 && at[1] >= 2 && at[1] <= end - at) {
		const struct local_apic *entry = (const void *)at;

		if (is_usable(entry)) {
			if (count < capacity)
				identifiers[count] = entry->identifier;
			count++;
		} else if (at[0] == MADT_LOCAL_X2APIC) {
			log_line("acpi: a CPU that only an x2APIC reaches is left out");
		}
		at += at[1];
	}
	return count;
}

size_t acpi_find_cpus(uint32_t *identifiers, size_t capacity)
{
	struct table madt;
	size_t count;

	if (!open_madt(&madt)) {
		log_line("acpi: there is no table of CPUs");
		return 0;
	}
	count = read_madt(madt.header, identifiers, capacity);
	close(&madt);
	return count;
}
