/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot memory map: what the firmware or boot loader says of physical memory,
 * in any shape (unsorted, overlapping, unaligned, wrapping), normalised once.
 *
 * Start-up order. Each step needs only those before it:
 *   1. the host copies its boot entries into an array: lh_memory_map_add
 *   2. lh_memory_map_normalise: every page is usable xor not
 *   3. lh_memory_map_carve: the bump allocator for what must exist before frames
 *      do: the direct map's tables, the frame array
 *   4. the direct map stands: lh_port_frame_pointer works from here on
 *   5. lh_frames_create: the frame array and allocator (frames.h)
 *   6. lh_manager_create: pools, the kernel's space (manager.h)
 *   7. the heap, on top (heap.h)
 */
#ifndef LANDHOLD_MEMORY_MAP_H
#define LANDHOLD_MEMORY_MAP_H

#include <landhold/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lh_memory_kind {
	LH_MEMORY_USABLE,
	LH_MEMORY_RESERVED /* wins over usable where the two overlap */
} lh_memory_kind;

typedef struct lh_memory_entry {
	uint64_t base;	 /* bytes, physical; any alignment before normalising */
	uint64_t length; /* bytes; base + length may wrap: clipped at 2^64 */
	lh_memory_kind kind;
} lh_memory_entry;

typedef struct lh_memory_map {
	lh_memory_entry *entries; /* the caller's array */
	size_t capacity;
	size_t count;
	bool normalised;
} lh_memory_map;

/* An empty map over the caller's array. */
void lh_memory_map_init(lh_memory_map *map, lh_memory_entry *entries, size_t capacity);

/*
 * Adds an entry as the firmware gives it. Length 0 is ignored.
 * => LH_LIMIT: the array is full; LH_INVALID: already normalised. Map unchanged.
 */
LH_MUST_USE lh_error lh_memory_map_add(lh_memory_map *map, uint64_t base, uint64_t length,
				       lh_memory_kind kind);

/*
 * Sorts, clips and joins: afterwards the entries are usable ones only, sorted,
 * disjoint, not touching, page-aligned. A page is usable if each of its bytes is in
 * some usable entry and none is in a reserved one; so parts that meet within a page
 * make a usable page, and a reserved byte reserves its page. In place, O(n log n), no
 * other memory, never more entries than before.
 * (An entry cannot say 2^64 bytes: if all of them are usable, the last page is lost.)
 * => LH_INVALID: normalised already. Map unchanged.
 */
LH_MUST_USE lh_error lh_memory_map_normalise(lh_memory_map *map);

/*
 * Takes whole pages out of a normalised map, for ever: the lowest place that fits.
 * => bytes: rounded up to pages; alignment: in bytes, a power of two of at least
 *    the page size; limit: the last byte lies below it (0: no limit).
 * => LH_NO_MEMORY: no entry is large enough. LH_LIMIT: the array is full. LH_INVALID: bytes 0,
 *    bad alignment, map not normalised. Map unchanged.
 */
LH_MUST_USE lh_error lh_memory_map_carve(lh_memory_map *map, uint64_t bytes, uint64_t alignment,
					 uint64_t limit, lh_physical_address *base);

/* Usable frames in a normalised map. */
uint64_t lh_memory_map_frames(const lh_memory_map *map);

#ifdef __cplusplus
}
#endif
#endif
