/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peer maple: the maple tree of Linux 6.1, compiled here from Debian's linux-source-6.1, which
 * the makefile unpacks into the build folder. Used as Linux's memory map uses it: addresses in
 * bytes, gaps tracked, an outside lock. Nodes come from a list of free ones, so their cost is
 * that of the best allocator there could be.
 */
#include <linux/maple_tree.h>

#include "../bench.h"

struct maple_item {
	uint64_t first, pages;
	uint64_t flags;
	uint64_t padding;
	unsigned char payload[SUBJECT_PAYLOAD_BYTES];
};

struct maple_map {
	struct maple_tree tree;
	uint64_t first, end;
};

static struct kmem_cache the_cache;

struct kmem_cache *bench_maple_cache(size_t size)
{
	the_cache.size = size;
	return &the_cache;
}

/* Nodes of 256 bytes, in an array on a huge page; what is free is a list. */
static unsigned char *slab;
static size_t carved;

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t flags)
{
	void *item = cache->free;

	(void)flags;
	if (item) {
		cache->free = *(void **)item;
	} else {
		if (carved == BENCH_HUGE_PAGE / cache->size)
			carved = 0;
		if (carved == 0)
			slab = bench_memory(BENCH_HUGE_PAGE);
		item = slab + cache->size * carved++;
	}
	cache->out++;
	return item;
}

void kmem_cache_free(struct kmem_cache *cache, void *item)
{
	*(void **)item = cache->free;
	cache->free = item;
	cache->out--;
}

int kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t flags, size_t count, void **items)
{
	for (size_t i = 0; i < count; i++)
		items[i] = kmem_cache_alloc(cache, flags);
	return (int)count;
}

void kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **items)
{
	for (size_t i = 0; i < count; i++)
		kmem_cache_free(cache, items[i]);
}

static void *create(uint64_t first, uint64_t end)
{
	struct maple_map *map = calloc(1, sizeof *map);

	if (!map)
		abort();
	if (the_cache.size == 0)
		maple_tree_init();
	mt_init_flags(&map->tree, MT_FLAGS_ALLOC_RANGE | MT_FLAGS_LOCK_EXTERN);
	map->first = first << 12;
	map->end = end << 12;
	return map;
}

static void destroy(void *memory)
{
	struct maple_map *map = memory;

	__mt_destroy(&map->tree);
	free(map);
}

static size_t bytes_outside(const void *map)
{
	(void)map; /* one map lives at a time */
	return the_cache.out * the_cache.size;
}

static void *lookup(void *memory, uint64_t page)
{
	return mtree_load(&((struct maple_map *)memory)->tree, page << 12);
}

static void store(struct ma_state *state, uint64_t first, uint64_t end, void *item)
{
	mas_set_range(state, first << 12, (end << 12) - 1);
	if (mas_store_gfp(state, item, GFP_KERNEL) != 0)
		abort();
}

static bool place_lowest(void *memory, void *new, uint64_t pages)
{
	struct maple_map *map = memory;
	struct maple_item *item = new;
	MA_STATE(state, &map->tree, 0, 0);

	if (mas_empty_area(&state, map->first, map->end - 1, pages << 12) != 0)
		return false;
	item->first = state.index >> 12;
	item->pages = pages;
	store(&state, item->first, item->first + pages, item);
	return true;
}

static bool place_fixed(void *memory, void *new, uint64_t first, uint64_t pages)
{
	struct maple_map *map = memory;
	struct maple_item *item = new;
	MA_STATE(state, &map->tree, first << 12, first << 12);

	if (mas_find(&state, ((first + pages) << 12) - 1))
		return false;
	item->first = first;
	item->pages = pages;
	store(&state, first, first + pages, item);
	return true;
}

static void remove_item(void *memory, void *old)
{
	struct maple_map *map = memory;
	const struct maple_item *item = old;
	MA_STATE(state, &map->tree, 0, 0);

	store(&state, item->first, item->first + item->pages, NULL);
}

/* As Linux unmaps a middle part: the upper part is a region of its own, then a hole. */
static void punch(void *memory, void *old, uint64_t from, uint64_t to, void *new)
{
	struct maple_map *map = memory;
	struct maple_item *item = old, *spare = new;
	MA_STATE(state, &map->tree, 0, 0);

	SUBJECT_COPY_PAYLOAD(spare, item);
	spare->first = to;
	spare->pages = item->first + item->pages - to;
	item->pages = from - item->first;
	store(&state, to, to + spare->pages, spare);
	store(&state, from, to, NULL);
}

static uint64_t walk(void *memory)
{
	struct maple_map *map = memory;
	struct maple_item *item;
	uint64_t sum = 0;
	MA_STATE(state, &map->tree, 0, 0);

	mas_for_each(&state, item, ULONG_MAX)
		sum = subject_mix(sum, item->first);
	return sum;
}

static void range(const void *item, uint64_t *first, uint64_t *pages)
{
	*first = ((const struct maple_item *)item)->first;
	*pages = ((const struct maple_item *)item)->pages;
}

static uint64_t touch(const void *item)
{
	return ((const struct maple_item *)item)->flags;
}

const struct subject subject_maple = {
	.name = "maple",
	.item_bytes = sizeof(struct maple_item),
	.create = create,
	.destroy = destroy,
	.bytes_outside = bytes_outside,
	.lookup = lookup,
	.place_lowest = place_lowest,
	.place_fixed = place_fixed,
	.remove = remove_item,
	.punch = punch,
	.walk = walk,
	.range = range,
	.touch = touch,
};
