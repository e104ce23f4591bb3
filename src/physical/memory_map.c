/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot memory map, normalised in place.
 *
 * The entries are sorted by base, both kinds together, and swept once. The sweep
 * carries one open run of usable bytes and the last reserved byte seen; a run is
 * written out when nothing that follows can extend or cut it. Each entry read adds
 * at most one run (a usable one opens it, a reserved one cuts it in two), so the
 * runs written never overtake the entries read: no second array, no limit to hit.
 *
 * Ends are inclusive throughout, for the exclusive end of the last byte does not
 * exist; and runs are joined as bytes and only then trimmed to pages, for two parts
 * that meet within a page make that page whole.
 */
#include <landhold/memory_map.h>

struct run {
	uint64_t first, last; /* bytes, inclusive */
};

struct sweep {
	lh_memory_map *map;
	size_t written;
	bool open;	    /* there is a run that is not written yet */
	bool reserved;	    /* a reserved entry has been seen */
	struct run run;
	uint64_t reserved_last; /* its last byte, the highest so far */
};

void lh_memory_map_init(lh_memory_map *map, lh_memory_entry *entries, size_t capacity)
{
	map->entries = entries;
	map->capacity = capacity;
	map->count = 0;
	map->normalised = false;
}

lh_error lh_memory_map_add(lh_memory_map *map, uint64_t base, uint64_t length, lh_memory_kind kind)
{
	if (map->normalised || (kind != LH_MEMORY_USABLE && kind != LH_MEMORY_RESERVED))
		return LH_INVALID;
	if (length == 0)
		return LH_OK;
	if (map->count == map->capacity)
		return LH_LIMIT;
	map->entries[map->count].base = base;
	map->entries[map->count].length = length;
	map->entries[map->count].kind = kind;
	map->count++;
	return LH_OK;
}

/* --- Sorting: a heap sort, as it needs neither memory nor recursion --- */

static void sift_down(lh_memory_entry *entries, size_t root, size_t count)
{
	lh_memory_entry moved = entries[root];
	size_t child;

	while ((child = 2 * root + 1) < count) {
		if (child + 1 < count && entries[child + 1].base > entries[child].base)
			child++;
		if (entries[child].base <= moved.base)
			break;
		entries[root] = entries[child];
		root = child;
	}
	entries[root] = moved;
}

static void sort_by_base(lh_memory_entry *entries, size_t count)
{
	for (size_t root = count / 2; root-- > 0;)
		sift_down(entries, root, count);
	for (size_t end = count; end-- > 1;) {
		lh_memory_entry highest = entries[0];

		entries[0] = entries[end];
		entries[end] = highest;
		sift_down(entries, 0, end);
	}
}

/* --- The sweep --- */

/* Trims a run to whole pages. => false: no whole page in it. */
static bool trim_to_pages(struct run run, uint64_t *first_page, uint64_t *pages)
{
	uint64_t mask = LH_PAGE_SIZE - 1;
	uint64_t first = (run.first >> LH_PAGE_SHIFT) + ((run.first & mask) != 0);
	/* The page after the last whole one. */
	uint64_t after = (run.last >> LH_PAGE_SHIFT) + ((run.last & mask) == mask);

	if (after - first == UINT64_C(1) << (64 - LH_PAGE_SHIFT))
		after--;
	*first_page = first;
	*pages = after - first;
	return after > first;
}

static void write_run(struct sweep *sweep, struct run run)
{
	uint64_t first, pages;

	if (!trim_to_pages(run, &first, &pages))
		return;
	sweep->map->entries[sweep->written].base = first << LH_PAGE_SHIFT;
	sweep->map->entries[sweep->written].length = pages << LH_PAGE_SHIFT;
	sweep->map->entries[sweep->written].kind = LH_MEMORY_USABLE;
	sweep->written++;
}

static void add_usable(struct sweep *sweep, struct run run)
{
	if (sweep->reserved && run.first <= sweep->reserved_last) {
		if (run.last <= sweep->reserved_last)
			return;
		run.first = sweep->reserved_last + 1;
	}
	if (sweep->open && (run.first <= sweep->run.last || run.first - sweep->run.last == 1)) {
		if (run.last > sweep->run.last)
			sweep->run.last = run.last;
		return;
	}
	if (sweep->open)
		write_run(sweep, sweep->run);
	sweep->run = run;
	sweep->open = true;
}

static void add_reserved(struct sweep *sweep, struct run cut)
{
	if (!sweep->reserved || cut.last > sweep->reserved_last)
		sweep->reserved_last = cut.last;
	sweep->reserved = true;
	if (!sweep->open || cut.first > sweep->run.last || cut.last < sweep->run.first)
		return;
	if (cut.first > sweep->run.first)
		write_run(sweep, (struct run){ sweep->run.first, cut.first - 1 });
	sweep->open = cut.last < sweep->run.last;
	sweep->run.first = cut.last + 1;
}

lh_error lh_memory_map_normalise(lh_memory_map *map)
{
	struct sweep sweep = { .map = map };

	if (map->normalised)
		return LH_INVALID;
	sort_by_base(map->entries, map->count);
	for (size_t i = 0; i < map->count; i++) {
		lh_memory_entry entry = map->entries[i];
		struct run run = { entry.base, entry.base + (entry.length - 1) };

		if (entry.length == 0)
			continue;
		if (run.last < run.first)
			run.last = UINT64_MAX;
		if (entry.kind == LH_MEMORY_USABLE)
			add_usable(&sweep, run);
		else
			add_reserved(&sweep, run);
	}
	if (sweep.open)
		write_run(&sweep, sweep.run);
	map->count = sweep.written;
	map->normalised = true;
	return LH_OK;
}

/* --- Carving --- */

/*
 * The lowest place in an entry for so many bytes (whole pages), aligned, its last
 * byte below the limit.
 */
static bool fits(const lh_memory_entry *entry, uint64_t bytes, uint64_t alignment, uint64_t limit,
		 uint64_t *place)
{
	uint64_t skip = (alignment - (entry->base & (alignment - 1))) & (alignment - 1);

	if (skip >= entry->length || entry->length - skip < bytes)
		return false;
	*place = entry->base + skip;
	return limit == 0 || *place + (bytes - 1) < limit;
}

static void remove_entry(lh_memory_map *map, size_t index)
{
	map->count--;
	for (size_t i = index; i < map->count; i++)
		map->entries[i] = map->entries[i + 1];
}

static void insert_entry(lh_memory_map *map, size_t index, uint64_t base, uint64_t length)
{
	for (size_t i = map->count; i > index; i--)
		map->entries[i] = map->entries[i - 1];
	map->entries[index].base = base;
	map->entries[index].length = length;
	map->entries[index].kind = LH_MEMORY_USABLE;
	map->count++;
}

static lh_error cut_out(lh_memory_map *map, size_t index, uint64_t place, uint64_t bytes)
{
	lh_memory_entry *entry = &map->entries[index];
	uint64_t before = place - entry->base;
	uint64_t after = entry->length - before - bytes;

	if (before != 0 && after != 0 && map->count == map->capacity)
		return LH_LIMIT;
	if (before == 0 && after == 0) {
		remove_entry(map, index);
	} else if (before == 0) {
		entry->base += bytes;
		entry->length = after;
	} else {
		entry->length = before;
		if (after != 0)
			insert_entry(map, index + 1, place + bytes, after);
	}
	return LH_OK;
}

lh_error lh_memory_map_carve(lh_memory_map *map, uint64_t bytes, uint64_t alignment, uint64_t limit,
			     lh_physical_address *base)
{
	uint64_t whole = (bytes + (LH_PAGE_SIZE - 1)) & ~(LH_PAGE_SIZE - 1);
	uint64_t place;

	if (!map->normalised || bytes == 0 || alignment < LH_PAGE_SIZE ||
	    (alignment & (alignment - 1)) != 0)
		return LH_INVALID;
	if (whole < bytes)
		return LH_NO_MEMORY;
	for (size_t i = 0; i < map->count; i++) {
		if (!fits(&map->entries[i], whole, alignment, limit, &place))
			continue;
		LH_TRY(cut_out(map, i, place, whole));
		*base = lh_physical(place);
		return LH_OK;
	}
	return LH_NO_MEMORY;
}

uint64_t lh_memory_map_frames(const lh_memory_map *map)
{
	uint64_t frames = 0;

	for (size_t i = 0; i < map->count; i++)
		frames += map->entries[i].length >> LH_PAGE_SHIFT;
	return frames;
}
