/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peer splay: what FreeBSD has. A top-down splay tree of regions beside a list; each entry
 * caches max_free: the largest hole directly before or after an entry of its subtree. Every
 * search, a lookup too, moves what it finds to the root. (Sleator and Tarjan, 1985; the cached
 * holes: Howell and Cox.) A lookup first tries whether the root has the page, as FreeBSD does.
 */
#include "../subject.h"

#include <stdlib.h>

struct entry {
	struct entry *child[2];
	struct entry *previous, *next; /* by address; the tree's own header ends both ways */
	uint64_t first, end;
	uint64_t max_free;
	uint64_t flags;
	unsigned char payload[SUBJECT_PAYLOAD_BYTES];
};

struct map {
	struct entry *root;
	struct entry header; /* end = the first page, first = the end of all */
};

static uint64_t free_of(const struct entry *entry)
{
	return entry ? entry->max_free : 0;
}

static void recompute(struct entry *entry)
{
	uint64_t before = entry->first - entry->previous->end;
	uint64_t after = entry->next->first - entry->end;
	uint64_t most = before > after ? before : after;

	for (unsigned side = 0; side < 2; side++)
		if (free_of(entry->child[side]) > most)
			most = free_of(entry->child[side]);
	entry->max_free = most;
}

/*
 * Top-down splaying of the entry that the page lies in, or the last one on the way there. The
 * pieces cut off at the sides are chained through the child that is not theirs, so that their
 * max_free can be recomputed from below.
 */
static struct entry *splay(struct entry *root, uint64_t page)
{
	struct entry *chain[2] = { NULL, NULL }, *piece[2];

	if (!root)
		return NULL;
	for (;;) {
		bool goes_up = page >= root->end;
		struct entry *child = root->child[goes_up];

		if ((!goes_up && page >= root->first) || !child)
			break;
		if ((goes_up ? page >= child->end : page < child->first) && child->child[goes_up]) {
			root->child[goes_up] = child->child[!goes_up];
			child->child[!goes_up] = root;
			recompute(root);
			root = child;
			child = root->child[goes_up];
		}
		root->child[goes_up] = chain[!goes_up];
		chain[!goes_up] = root;
		root = child;
	}
	for (unsigned side = 0; side < 2; side++) {
		piece[side] = root->child[side];
		while (chain[side]) {
			struct entry *next = chain[side]->child[!side];

			chain[side]->child[!side] = piece[side];
			recompute(chain[side]);
			piece[side] = chain[side];
			chain[side] = next;
		}
		root->child[side] = piece[side];
	}
	recompute(root);
	return root;
}

static void *create(uint64_t first, uint64_t end)
{
	struct map *map = calloc(1, sizeof *map);

	if (!map)
		abort();
	map->header = (struct entry){ .previous = &map->header, .next = &map->header,
				      .first = end, .end = first };
	return map;
}

static void destroy(void *map)
{
	free(map);
}

static void *lookup(void *memory, uint64_t page)
{
	struct map *map = memory;
	struct entry *root = map->root;

	if (!root)
		return NULL;
	if (page < root->first || page >= root->end)
		root = map->root = splay(root, page);
	return page >= root->first && page < root->end ? root : NULL;
}

/* Links an entry after one in the list; the neighbours in the tree are splayed to the top. */
static void link_after(struct map *map, struct entry *entry, struct entry *below)
{
	struct entry *root = map->root ? splay(map->root, entry->first) : NULL;
	struct entry *above = below->next;

	entry->previous = below;
	entry->next = above;
	below->next = above->previous = entry;
	entry->child[0] = entry->child[1] = NULL;
	if (root && root->first < entry->first) {
		entry->child[0] = root;
		entry->child[1] = root->child[1];
		root->child[1] = NULL;
		recompute(root);
		/* The entry above, leftmost on its side, has a smaller hole before it now. */
		if (entry->child[1])
			entry->child[1] = splay(entry->child[1], above->first);
	} else if (root) {
		entry->child[1] = root;
		entry->child[0] = root->child[0];
		root->child[0] = NULL;
		recompute(root);
		if (entry->child[0])
			entry->child[0] = splay(entry->child[0], below->first);
	}
	recompute(entry);
	map->root = entry;
}

static struct entry *outermost(struct entry *entry, unsigned side)
{
	while (entry && entry->child[side])
		entry = entry->child[side];
	return entry;
}

static bool place_fixed(void *memory, void *new, uint64_t first, uint64_t pages)
{
	struct map *map = memory;
	struct entry *entry = new, *below = &map->header;

	if (map->root) {
		map->root = splay(map->root, first);
		below = map->root->first <= first ? map->root : map->root->previous;
	}
	if (below->end > first || below->next->first < first + pages)
		return false;
	entry->first = first;
	entry->end = first + pages;
	link_after(map, entry, below);
	return true;
}

/* The lowest hole that is large enough, by the entry below it. */
static struct entry *lowest_hole(struct map *map, uint64_t pages)
{
	struct entry *entry = map->root, *first = map->header.next;

	if (first->first - map->header.end >= pages)
		return &map->header;
	if (free_of(entry) < pages)
		return NULL;
	for (;;) {
		if (free_of(entry->child[0]) >= pages)
			entry = entry->child[0];
		else if (entry->first - entry->previous->end >= pages)
			return entry->previous;
		else if (entry->next->first - entry->end >= pages)
			return entry;
		else
			entry = entry->child[1];
	}
}

static bool place_lowest(void *memory, void *new, uint64_t pages)
{
	struct map *map = memory;
	struct entry *entry = new, *below = lowest_hole(map, pages);

	if (!below)
		return false;
	entry->first = below->end;
	entry->end = below->end + pages;
	link_after(map, entry, below);
	return true;
}

static void remove_entry(void *memory, void *old)
{
	struct map *map = memory;
	struct entry *entry = old, *lower, *higher;
	struct entry *root = splay(map->root, entry->first);

	lower = root->child[0];
	higher = root->child[1];
	if (lower)
		lower = splay(lower, entry->previous->first);
	if (higher)
		higher = splay(higher, entry->next->first);
	entry->previous->next = entry->next;
	entry->next->previous = entry->previous;
	if (higher)
		recompute(higher);
	if (lower) {
		lower->child[1] = higher;
		recompute(lower);
	}
	map->root = lower ? lower : higher;
}

static void punch(void *memory, void *old, uint64_t from, uint64_t to, void *new)
{
	struct map *map = memory;
	struct entry *entry = old, *spare = new;

	map->root = splay(map->root, entry->first);
	SUBJECT_COPY_PAYLOAD(spare, entry);
	spare->first = to;
	spare->end = entry->end;
	entry->end = from;
	link_after(map, spare, entry);
}

static uint64_t walk(void *memory)
{
	struct map *map = memory;
	uint64_t sum = 0;

	for (struct entry *e = map->header.next; e != &map->header; e = e->next)
		sum = subject_mix(sum, e->first);
	return sum;
}

static void range(const void *memory, uint64_t *first, uint64_t *pages)
{
	const struct entry *entry = memory;

	*first = entry->first;
	*pages = entry->end - entry->first;
}

static uint64_t touch(const void *entry)
{
	return ((const struct entry *)entry)->flags;
}

static const char *check(void *memory)
{
	struct map *map = memory;

	if (map->root && outermost(map->root, 0) != map->header.next)
		return "tree and list begin differently";
	for (struct entry *e = map->header.next; e != &map->header; e = e->next) {
		uint64_t cached = e->max_free;

		recompute(e);
		if (e->max_free != cached)
			return "a max_free was wrong";
	}
	return NULL;
}

const struct subject subject_splay = {
	.name = "splay",
	.item_bytes = sizeof(struct entry),
	.index_bytes = 4 * sizeof(void *) + sizeof(uint64_t),
	.create = create,
	.destroy = destroy,
	.lookup = lookup,
	.place_lowest = place_lowest,
	.place_fixed = place_fixed,
	.remove = remove_entry,
	.punch = punch,
	.walk = walk,
	.range = range,
	.touch = touch,
	.check = check,
};
