/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Store buffers. While a fibre runs, memory shows what that fibre sees: its own stores too. When
 * it gives way, the stores that it keeps are taken back out of memory, newest first, and put in
 * again, oldest first, when it goes on. So instrumented code and the rest read plain memory, and
 * need not know.
 *
 * The compiler announces a store before it makes it, so what it stored is looked up later: when
 * the place is about to be written again, or when the fibre gives way. In an assignment of a
 * structure gcc announces the store, then the load, then makes both: a fibre that gives way
 * between has not made its newest store yet. It then finds the old value, and forgets the entry.
 */
#include "internal.h"

static void *at(const struct store *store)
{
	return (void *)store->address;
}

static bool overlaps(const struct store *store, const struct place *place)
{
	return store->address < place->address + place->size &&
	       place->address < store->address + store->size;
}

static void look_up(struct store *store)
{
	if (!store->is_known)
		__real_memcpy(store->new, at(store), store->size);
	store->is_known = true;
}

static void show(const struct fibre *fibre, const struct store *store)
{
	struct place place = { store->address, store->size, true, false };

	run_note_access(fibre, &place);
}

static void forget(struct fibre *fibre, unsigned count)
{
	for (unsigned i = count; i < fibre->store_count; i++)
		fibre->stores[i - count] = fibre->stores[i];
	fibre->store_count -= count;
}

void buffer_announce(struct fibre *fibre, const struct place *place, bool is_point)
{
	struct store *store;

	for (unsigned i = 0; i < fibre->store_count; i++)
		if (overlaps(&fibre->stores[i], place))
			look_up(&fibre->stores[i]);
	if (fibre->store_count == STORES) {
		show(fibre, &fibre->stores[0]);
		forget(fibre, 1);
	}
	store = &fibre->stores[fibre->store_count++];
	store->address = place->address;
	store->size = place->size;
	store->is_point = is_point;
	store->is_known = false;
	__real_memcpy(store->old, at(store), store->size);
}

/* Memory shows them already, the fibre being the one that runs. */
void buffer_drain(struct fibre *fibre)
{
	for (unsigned i = 0; i < fibre->store_count; i++)
		show(fibre, &fibre->stores[i]);
	fibre->store_count = 0;
}

/* The newest is not made yet, or changes nothing. */
static void forget_unmade(struct fibre *fibre)
{
	const struct store *newest = &fibre->stores[fibre->store_count - 1];

	if (fibre->store_count != 0 && __real_memcmp(at(newest), newest->old, newest->size) == 0)
		fibre->store_count--;
}

void buffer_leave(struct fibre *fibre, unsigned keep)
{
	if (keep == 0) {
		buffer_drain(fibre);
		return;
	}
	for (unsigned i = 0; i + keep < fibre->store_count; i++)
		show(fibre, &fibre->stores[i]);
	if (keep < fibre->store_count)
		forget(fibre, fibre->store_count - keep);
	forget_unmade(fibre);
	for (unsigned i = 0; i < fibre->store_count; i++)
		look_up(&fibre->stores[i]);
	for (unsigned i = fibre->store_count; i-- > 0;)
		__real_memcpy(at(&fibre->stores[i]), fibre->stores[i].old, fibre->stores[i].size);
}

void buffer_enter(struct fibre *fibre)
{
	for (unsigned i = 0; i < fibre->store_count; i++) {
		struct store *store = &fibre->stores[i];

		__real_memcpy(store->old, at(store), store->size);
		__real_memcpy(at(store), store->new, store->size);
	}
}

static bool has_store_to(const struct fibre *fibre, const struct store *store)
{
	const struct place place = { store->address, store->size, true, false };

	return buffer_keep_without(fibre, &place) >= 0;
}

void buffer_drain_outside(struct fibre *fibre, unsigned keep)
{
	unsigned count = fibre->store_count > keep ? fibre->store_count - keep : 0;

	for (unsigned i = 0; i < count; i++) {
		struct store *store = &fibre->stores[i];

		/* Who runs has written there too: its own reaches memory first. */
		if (run.current && has_store_to(run.current, store))
			buffer_drain(run.current);
		__real_memcpy(at(store), store->new, store->size);
		show(fibre, store);
	}
	forget(fibre, count);
}

int buffer_keep_without(const struct fibre *fibre, const struct place *place)
{
	for (unsigned i = fibre->store_count; i-- > 0;)
		if (overlaps(&fibre->stores[i], place))
			return (int)(fibre->store_count - i - 1);
	return -1;
}
