/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptor tables. The slots grow by doubling: the new ones are allocated before the
 * lock is taken, and put in if still needed. A file is never dropped under the lock.
 */
#include "fs/file.h"

#include "lib/string.h"
#include "memory/heap.h"

#define SLOTS_FIRST 32u

static lh_error create_sized(uint32_t size, struct descriptor_table **result)
{
	struct descriptor_table *table = kernel_allocate(sizeof *table);

	if (table == NULL)
		return LH_NO_MEMORY;
	table->slots = kernel_allocate(size * sizeof *table->slots);
	if (table->slots == NULL) {
		kernel_free(table, sizeof *table);
		return LH_NO_MEMORY;
	}
	table->size = size;
	table->holders = 1;
	*result = table;
	return LH_OK;
}

lh_error descriptor_table_create(struct descriptor_table **table)
{
	return create_sized(SLOTS_FIRST, table);
}

lh_error descriptor_table_copy(struct descriptor_table *table, struct descriptor_table **result)
{
	struct descriptor_table *copy;

	for (;;) {
		uint32_t size = __atomic_load_n(&table->size, __ATOMIC_RELAXED);
		uintptr_t interrupts;
		bool fits;

		LH_TRY(create_sized(size, &copy));
		interrupts = spinlock_take(&table->lock);
		fits = table->size <= size;
		for (uint32_t i = 0; fits && i < table->size; i++) {
			copy->slots[i] = table->slots[i];
			if (copy->slots[i].file != NULL)
				file_hold(copy->slots[i].file);
		}
		spinlock_release(&table->lock, interrupts);
		if (fits)
			break;
		descriptor_table_drop(copy);
	}
	*result = copy;
	return LH_OK;
}

void descriptor_table_drop(struct descriptor_table *table)
{
	if (table == NULL || __atomic_fetch_sub(&table->holders, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	for (uint32_t i = 0; i < table->size; i++)
		file_drop(table->slots[i].file);
	kernel_free(table->slots, table->size * sizeof *table->slots);
	kernel_free(table, sizeof *table);
}

/* Makes room for the number. */
static lh_error grow(struct descriptor_table *table, uint32_t number)
{
	uint32_t size = SLOTS_FIRST, old_size;
	struct descriptor *slots, *old;
	uintptr_t interrupts;

	while (size <= number)
		size *= 2;
	slots = kernel_allocate(size * sizeof *slots);
	if (slots == NULL)
		return LH_NO_MEMORY;
	interrupts = spinlock_take(&table->lock);
	old = table->slots;
	old_size = table->size;
	if (old_size < size) {
		memcpy(slots, old, old_size * sizeof *old);
		table->slots = slots;
		__atomic_store_n(&table->size, size, __ATOMIC_RELAXED);
	} else {
		old = slots; /* somebody was quicker */
		old_size = size;
	}
	spinlock_release(&table->lock, interrupts);
	kernel_free(old, old_size * sizeof *old);
	return LH_OK;
}

/* => file: NULL, nothing is put there. => LH_AGAIN: no room in the slots there are; *number is where it would go. */
static lh_error try_install(struct descriptor_table *table, struct file *file, uint32_t lowest,
			    bool close_on_exec, uint32_t *number)
{
	uintptr_t interrupts = spinlock_take(&table->lock);
	uint32_t at = lowest;
	lh_error error = LH_AGAIN;

	while (at < table->size && table->slots[at].file != NULL)
		at++;
	if (at >= DESCRIPTORS_MAX) {
		error = LH_TOO_MANY_OPEN;
	} else if (at < table->size) {
		if (file != NULL)
			table->slots[at] = (struct descriptor){ file, close_on_exec };
		error = LH_OK;
	}
	spinlock_release(&table->lock, interrupts);
	*number = at;
	return error;
}

lh_error descriptor_install(struct descriptor_table *table, struct file *file, uint32_t lowest,
			    bool close_on_exec, uint32_t *number)
{
	for (;;) {
		lh_error error = try_install(table, file, lowest, close_on_exec, number);

		if (error != LH_AGAIN)
			return error;
		LH_TRY(grow(table, *number));
	}
}

lh_error descriptor_make_room(struct descriptor_table *table)
{
	uint32_t number;

	return descriptor_install(table, NULL, 0, false, &number);
}

lh_error descriptor_replace(struct descriptor_table *table, struct file *file, uint32_t number,
			    bool close_on_exec)
{
	struct file *old;
	uintptr_t interrupts;

	if (number >= DESCRIPTORS_MAX)
		return LH_BAD_DESCRIPTOR;
	if (number >= __atomic_load_n(&table->size, __ATOMIC_RELAXED))
		LH_TRY(grow(table, number));
	interrupts = spinlock_take(&table->lock);
	old = table->slots[number].file;
	table->slots[number] = (struct descriptor){ file, close_on_exec };
	spinlock_release(&table->lock, interrupts);
	file_drop(old);
	return LH_OK;
}

/* The slot of an open descriptor, under the lock; NULL: not open. */
static struct descriptor *slot_of(struct descriptor_table *table, uint32_t number)
{
	if (number >= table->size || table->slots[number].file == NULL)
		return NULL;
	return &table->slots[number];
}

lh_error descriptor_find(struct descriptor_table *table, uint32_t number, struct file **file)
{
	uintptr_t interrupts = spinlock_take(&table->lock);
	struct descriptor *slot = slot_of(table, number);

	if (slot != NULL) {
		file_hold(slot->file);
		*file = slot->file;
	}
	spinlock_release(&table->lock, interrupts);
	return slot != NULL ? LH_OK : LH_BAD_DESCRIPTOR;
}

lh_error descriptor_close(struct descriptor_table *table, uint32_t number)
{
	uintptr_t interrupts = spinlock_take(&table->lock);
	struct descriptor *slot = slot_of(table, number);
	struct file *file = NULL;

	if (slot != NULL) {
		file = slot->file;
		*slot = (struct descriptor){ NULL, false };
	}
	spinlock_release(&table->lock, interrupts);
	file_drop(file);
	return file != NULL ? LH_OK : LH_BAD_DESCRIPTOR;
}

lh_error descriptor_flags(struct descriptor_table *table, uint32_t number, bool *close_on_exec)
{
	uintptr_t interrupts = spinlock_take(&table->lock);
	struct descriptor *slot = slot_of(table, number);

	if (slot != NULL)
		*close_on_exec = slot->close_on_exec;
	spinlock_release(&table->lock, interrupts);
	return slot != NULL ? LH_OK : LH_BAD_DESCRIPTOR;
}

lh_error descriptor_set_flags(struct descriptor_table *table, uint32_t number, bool close_on_exec)
{
	uintptr_t interrupts = spinlock_take(&table->lock);
	struct descriptor *slot = slot_of(table, number);

	if (slot != NULL)
		slot->close_on_exec = close_on_exec;
	spinlock_release(&table->lock, interrupts);
	return slot != NULL ? LH_OK : LH_BAD_DESCRIPTOR;
}

void descriptor_table_close_on_exec(struct descriptor_table *table)
{
	uint32_t number = 0;

	for (; descriptor_next(table, number, &number); number++) {
		bool close_on_exec = false;

		if (descriptor_flags(table, number, &close_on_exec) == LH_OK && close_on_exec)
			(void)!descriptor_close(table, number);
	}
}

bool descriptor_next(struct descriptor_table *table, uint32_t from, uint32_t *number)
{
	uintptr_t interrupts = spinlock_take(&table->lock);
	uint32_t at = from;

	while (at < table->size && table->slots[at].file == NULL)
		at++;
	if (at < table->size)
		*number = at;
	at = at < table->size;
	spinlock_release(&table->lock, interrupts);
	return at != 0;
}
