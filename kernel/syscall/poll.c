/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll(2) and select(2): look at all files, and if none is ready wait for any event of
 * any file, then look again.
 */
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/user.h"
#include "syscall/table.h"

struct poll_entry {
	int32_t descriptor;
	uint16_t wanted, found;
};

static uint32_t poll_one(int32_t descriptor, uint32_t wanted)
{
	struct file *file;
	uint32_t events;

	if (descriptor < 0)
		return 0;
	if (descriptor_find(process_current()->files, (uint32_t)descriptor, &file) != LH_OK)
		return POLL_INVALID;
	events = file_poll(file);
	file_drop(file);
	/* The same conditions under their other names: POLLRDNORM, POLLWRNORM. */
	if ((events & POLL_IN) != 0)
		events |= 0x40;
	if ((events & POLL_OUT) != 0)
		events |= 0x100;
	return events & (wanted | POLL_ERROR | POLL_HANG_UP);
}

static uint64_t poll_all(struct poll_entry *entries, uint32_t count)
{
	uint64_t ready = 0;

	for (uint32_t i = 0; i < count; i++) {
		entries[i].found = (uint16_t)poll_one(entries[i].descriptor, entries[i].wanted);
		ready += entries[i].found != 0;
	}
	return ready;
}

/* Until one is ready, or the deadline: then *ready is 0. LH_INTERRUPTED. */
static lh_error poll_wait(struct poll_entry *entries, uint32_t count, uint64_t deadline,
			  uint64_t *ready)
{
	for (;;) {
		uint32_t events = file_event_count();
		lh_error error;

		*ready = poll_all(entries, count);
		if (*ready > 0 || deadline == 0)
			return LH_OK;
		error = file_event_wait(events, deadline);
		if (error == LH_TIMED_OUT) {
			*ready = poll_all(entries, count);
			return LH_OK;
		}
		LH_TRY(error);
	}
}

static lh_error poll(uint64_t address, uint32_t count, uint64_t deadline, uint64_t *value)
{
	size_t bytes = count * sizeof(struct poll_entry);
	struct poll_entry *entries;
	lh_error error;

	if (count > DESCRIPTORS_MAX)
		return LH_INVALID;
	entries = kernel_allocate(bytes + 1);
	if (entries == NULL)
		return LH_NO_MEMORY;
	error = user_copy_in(entries, address, bytes);
	if (error == LH_OK)
		error = poll_wait(entries, count, deadline, value);
	if (error == LH_OK)
		error = user_copy_out(address, entries, bytes);
	kernel_free(entries, bytes + 1);
	return error;
}

lh_error call_poll(struct call *call)
{
	int32_t milliseconds = call_int(call, 2);
	uint64_t deadline = WAIT_FOREVER;

	if (milliseconds >= 0)
		deadline = milliseconds == 0 ? 0 : call_deadline(call, (uint64_t)milliseconds * 1000000);
	return poll(call->a[0], call_unsigned(call, 1), deadline, &call->value);
}

/* A time from now; an address of 0 means for ever. */
static lh_error read_deadline(const struct call *call, uint64_t address, uint64_t *deadline)
{
	uint64_t time;

	*deadline = WAIT_FOREVER;
	if (address == 0)
		return LH_OK;
	LH_TRY(call_read_timespec(address, &time));
	*deadline = time == 0 ? 0 : call_deadline(call, time);
	return LH_OK;
}

/* Replaces the mask for the length of a call, if one is given. */
static lh_error take_mask(uint64_t address, uint64_t bytes, bool *taken)
{
	uint64_t mask;

	*taken = false;
	if (address == 0)
		return LH_OK;
	if (bytes != sizeof mask)
		return LH_INVALID;
	LH_TRY(user_copy_in(&mask, address, sizeof mask));
	signal_replace_mask(mask);
	*taken = true;
	return LH_OK;
}

/* After an interruption the signal is delivered first, then the mask comes back. */
static void give_mask_back(bool taken, lh_error error)
{
	if (taken && error != LH_INTERRUPTED)
		signal_restore_mask();
}

lh_error call_ppoll(struct call *call)
{
	uint64_t deadline;
	bool taken;
	lh_error error;

	LH_TRY(read_deadline(call, call->a[2], &deadline));
	LH_TRY(take_mask(call->a[3], call->a[4], &taken));
	error = poll(call->a[0], call_unsigned(call, 1), deadline, &call->value);
	give_mask_back(taken, error);
	return error;
}

/* --- select --- */

#define SELECT_WORDS (DESCRIPTORS_MAX / 64)

/* Sets for reading, writing, exceptions; and the entries they come to. */
struct selection {
	uint64_t sets[3][SELECT_WORDS];
	struct poll_entry entries[DESCRIPTORS_MAX];
	uint32_t count;
};

static const uint16_t select_events[3] = { POLL_IN | POLL_HANG_UP | POLL_ERROR,
					   POLL_OUT | POLL_ERROR, 0x2 /* POLLPRI */ };

static bool is_in(const uint64_t *set, uint32_t number)
{
	return (set[number / 64] >> (number % 64) & 1) != 0;
}

static void build_entries(struct selection *selection, uint32_t limit)
{
	for (uint32_t number = 0; number < limit; number++) {
		uint16_t wanted = 0;

		for (int set = 0; set < 3; set++)
			if (is_in(selection->sets[set], number))
				wanted |= (uint16_t)(select_events[set] | 0x8000);
		if (wanted != 0)
			selection->entries[selection->count++] = (struct poll_entry){
				.descriptor = (int32_t)number, .wanted = wanted & 0x7fff
			};
	}
}

/* Puts what was found back into the sets. => LH_BAD_DESCRIPTOR. */
static lh_error build_sets(struct selection *selection, uint64_t *value)
{
	uint64_t result[3][SELECT_WORDS];

	memset(result, 0, sizeof result);
	*value = 0;
	for (uint32_t i = 0; i < selection->count; i++) {
		uint32_t number = (uint32_t)selection->entries[i].descriptor;

		if ((selection->entries[i].found & POLL_INVALID) != 0)
			return LH_BAD_DESCRIPTOR;
		for (int set = 0; set < 3; set++) {
			if (!is_in(selection->sets[set], number) ||
			    (selection->entries[i].found & select_events[set]) == 0)
				continue;
			result[set][number / 64] |= UINT64_C(1) << (number % 64);
			++*value;
		}
	}
	memcpy(selection->sets, result, sizeof result);
	return LH_OK;
}

/* Only events that some set asks for count as ready: a hang-up does for reading. */
static lh_error run_selection(struct selection *selection, const struct call *call, uint32_t limit,
			      uint64_t deadline, uint64_t *value)
{
	size_t bytes = (limit + 7) / 8;
	uint64_t ready;

	for (int set = 0; set < 3; set++)
		if (call->a[set + 1] != 0)
			LH_TRY(user_copy_in(selection->sets[set], call->a[set + 1], bytes));
	build_entries(selection, limit);
	LH_TRY(poll_wait(selection->entries, selection->count, deadline, &ready));
	LH_TRY(build_sets(selection, value));
	for (int set = 0; set < 3; set++)
		if (call->a[set + 1] != 0)
			LH_TRY(user_copy_out(call->a[set + 1], selection->sets[set], bytes));
	return LH_OK;
}

static lh_error select(struct call *call, uint64_t deadline)
{
	int32_t given = call_int(call, 0);
	uint32_t limit = given > (int32_t)DESCRIPTORS_MAX ? DESCRIPTORS_MAX : (uint32_t)given;
	struct selection *selection;
	lh_error error;

	if (given < 0)
		return LH_INVALID;
	selection = kernel_allocate(sizeof *selection);
	if (selection == NULL)
		return LH_NO_MEMORY;
	error = run_selection(selection, call, limit, deadline, &call->value);
	kernel_free(selection, sizeof *selection);
	return error;
}

lh_error call_select(struct call *call)
{
	uint64_t deadline = WAIT_FOREVER;
	struct linux_timeval time;

	if (call->a[4] != 0) {
		LH_TRY(user_copy_in(&time, call->a[4], sizeof time));
		if (time.seconds < 0 || time.microseconds < 0)
			return LH_INVALID;
		if (time.seconds < INT64_MAX / 1000000000 - 1 && time.microseconds < INT64_MAX / 2000)
			deadline = call_deadline(call, (uint64_t)time.seconds * 1000000000 +
							       (uint64_t)time.microseconds * 1000);
		if (time.seconds == 0 && time.microseconds == 0)
			deadline = 0;
	}
	return select(call, deadline);
}

lh_error call_pselect6(struct call *call)
{
	uint64_t deadline, mask[2] = { 0, 0 };
	bool taken;
	lh_error error;

	LH_TRY(read_deadline(call, call->a[4], &deadline));
	if (call->a[5] != 0)
		LH_TRY(user_copy_in(mask, call->a[5], sizeof mask));
	LH_TRY(take_mask(mask[0], mask[1], &taken));
	error = select(call, deadline);
	give_mask_back(taken, error);
	return error;
}
