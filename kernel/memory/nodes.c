/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI specification 6.5, section 5.2.16: the system resource affinity table. It is read before the
 * frame allocator stands, so in place, through the early direct map; what lies beyond that or
 * is not whole is taken for a machine of one node. Proximity domains are any numbers: nodes
 * are numbered as they are met.
 */
#include "memory/nodes.h"

#include "boot/info.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"

#define EARLY_LIMIT (UINT64_C(1) << 32)
#define TABLE_BYTES_MAX (UINT32_C(1) << 20)
#define RANGES_MAX 64
#define CPUS_MAX 256
#define ENABLED 1u

struct __attribute__((packed)) header {
	char signature[4];
	uint32_t length; /* of the whole table */
	uint8_t revision, checksum;
	char maker[6], maker_table[8];
	uint32_t maker_revision, creator, creator_revision;
};

#define SRAT_ENTRIES (sizeof(struct header) + 12)

enum { SRAT_LOCAL_APIC = 0, SRAT_MEMORY = 1 };

struct __attribute__((packed)) local_apic_affinity {
	uint8_t type, length;
	uint8_t domain_low, identifier;
	uint32_t flags;
	uint8_t sapic, domain_high[3];
	uint32_t clock_domain;
};

struct __attribute__((packed)) memory_affinity {
	uint8_t type, length;
	uint32_t domain;
	uint16_t reserved;
	uint64_t base, bytes;
	uint32_t reserved_too;
	uint32_t flags;
	uint64_t reserved_as_well;
};

static lh_node_range ranges[RANGES_MAX];
static size_t range_count;
static uint32_t domains[LH_NODES_MOST];
static unsigned node_count;
static uint8_t node_of_cpu[CPUS_MAX];

/* NULL: the table cannot be read here, or is not whole. */
static const struct header *table_at(uint64_t physical)
{
	const struct header *header = direct_pointer(physical);
	const uint8_t *bytes = direct_pointer(physical);
	uint8_t sum = 0;

	if (physical == 0 || physical >= EARLY_LIMIT - TABLE_BYTES_MAX ||
	    header->length < sizeof *header || header->length > TABLE_BYTES_MAX)
		return NULL;
	for (uint32_t i = 0; i < header->length; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return sum == 0 ? header : NULL;
}

static const struct header *find_srat(void)
{
	const struct boot_info *info = boot_info();
	const struct header *root = table_at(info->acpi_table);
	size_t bytes = info->acpi_is_extended ? 8 : 4;

	for (size_t at = sizeof *root; root && at + bytes <= root->length; at += bytes) {
		const struct header *table;
		uint64_t physical = 0;

		memcpy(&physical, (const uint8_t *)root + at, bytes);
		table = table_at(physical);
		if (table && memcmp(table->signature, "SRAT", 4) == 0)
			return table;
	}
	return NULL;
}

/* The node of a domain; those beyond what the library can tell apart are the last one's. */
static unsigned node_of_domain(uint32_t domain)
{
	for (unsigned node = 0; node < node_count; node++)
		if (domains[node] == domain)
			return node;
	if (node_count == LH_NODES_MOST)
		return node_count - 1;
	domains[node_count] = domain;
	return node_count++;
}

static void take_memory(const struct memory_affinity *entry)
{
	if ((entry->flags & ENABLED) == 0 || entry->bytes < LH_PAGE_SIZE || range_count == RANGES_MAX)
		return;
	ranges[range_count].base = entry->base / LH_PAGE_SIZE;
	ranges[range_count].pages = entry->bytes / LH_PAGE_SIZE;
	ranges[range_count++].node = node_of_domain(entry->domain);
}

static void take_cpu(const struct local_apic_affinity *entry)
{
	uint32_t domain = entry->domain_low | (uint32_t)entry->domain_high[0] << 8 |
			  (uint32_t)entry->domain_high[1] << 16 | (uint32_t)entry->domain_high[2] << 24;

	if ((entry->flags & ENABLED) != 0)
		node_of_cpu[entry->identifier] = (uint8_t)node_of_domain(domain);
}

void nodes_read(void)
{
	const struct header *srat = find_srat();
	const uint8_t *at = (const uint8_t *)srat + SRAT_ENTRIES, *end;

	if (!srat)
		return;
	for (end = (const uint8_t *)srat + srat->length; end - at >= 2 && at[1] >= 2 && at[1] <= end - at;
	     at += at[1]) {
		if (at[0] == SRAT_MEMORY && at[1] >= sizeof(struct memory_affinity))
			take_memory((const void *)at);
		else if (at[0] == SRAT_LOCAL_APIC && at[1] >= sizeof(struct local_apic_affinity))
			take_cpu((const void *)at);
	}
}

const lh_node_range *nodes_ranges(size_t *count)
{
	*count = range_count;
	return ranges;
}

unsigned nodes_of_cpu(uint32_t identifier)
{
	return identifier < CPUS_MAX ? node_of_cpu[identifier] : 0;
}

void nodes_log(lh_frames *frames, const lh_memory_map *usable)
{
	for (unsigned node = 0; node < node_count && node_count > 1; node++) {
		uint64_t count = 0;

		for (size_t i = 0; i < usable->count; i++)
			for (uint64_t page = 0; page < usable->entries[i].length / LH_PAGE_SIZE; page++)
				count += lh_frame_node(frames,
						       lh_frame(usable->entries[i].base / LH_PAGE_SIZE +
								page)) == node;
		log_line("memory: node %u has %lu frames", node, count);
	}
}
