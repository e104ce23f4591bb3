/* SPDX-License-Identifier: BSD-2-Clause */
/* Which memory is near which CPUs, as the firmware says (ACPI's SRAT). */
#ifndef KERNEL_MEMORY_NODES_H
#define KERNEL_MEMORY_NODES_H

#include <landhold/frames.h>

/* Reads the table. => before memory_start's own direct map: through the early one, below 4 GiB. */
void nodes_read(void);

/* What was read; none on a machine of one node. Constant afterwards. */
const lh_node_range *nodes_ranges(size_t *count);

/* The node of the CPU with this APIC identifier; 0 if nothing is said. */
unsigned nodes_of_cpu(uint32_t identifier);

/* One line a node: what it has. */
void nodes_log(lh_frames *frames, const lh_memory_map *usable);

#endif
