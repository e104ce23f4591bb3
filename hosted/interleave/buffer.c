/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Store buffers. While a fibre runs, memory shows what that fibre sees: its own stores too. When
 * it gives way, the stores that it keeps are taken back out of memory, newest first, and put in
 * again, oldest first, when it goes on. So instrumented code and the rest read plain memory, and
 * need not know.
 *
 * The compiler announces a store before it makes it: what it stored is seen when the fibre next
 * comes here (settle).
 */
#include "internal.h"

#include <string.h>


static void *at(const struct store *store)
{
	return (void *)store->address;
}

void buffer_settle(struct fibre *fibre)
{
	struct store *store = &fibre->stores[fibre->store_count - 1];

	if (!fibre->pending)
		return;
	__real_memcpy(store->new, at(store), store->size);
	fibre->pending = false;
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

void buffer_announce(struct fibre *fibre, uintptr_t address, uint32_t size)
{
	struct store *store;

	if (fibre->store_count == STORES) {
		show(fibre, &fibre->stores[0]);
		forget(fibre, 1);
	}
	store = &fibre->stores[fibre->store_count++];
	store->address = address;
	store->size = size;
	__real_memcpy(store->old, (void *)address, size);
	fibre->pending = true;
}

/* Memory shows them already, the fibre being the one that runs. */
void buffer_drain(struct fibre *fibre)
{
	buffer_settle(fibre);
	for (unsigned i = 0; i < fibre->store_count; i++)
		show(fibre, &fibre->stores[i]);
	fibre->store_count = 0;
}

void buffer_leave(struct fibre *fibre, unsigned keep)
{
	if (keep > fibre->store_count)
		keep = fibre->store_count;
	for (unsigned i = 0; i < fibre->store_count - keep; i++)
		show(fibre, &fibre->stores[i]);
	forget(fibre, fibre->store_count - keep);
	for (unsigned i = fibre->store_count; i-- > 0;) {
		struct store *store = &fibre->stores[i];

		__real_memcpy(at(store), store->old, store->size);
	}
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
	for (unsigned i = fibre->store_count; i-- > 0;) {
		const struct store *store = &fibre->stores[i];

		if (store->address < place->address + place->size &&
		    place->address < store->address + store->size)
			return (int)(fibre->store_count - i - 1);
	}
	return -1;
}
