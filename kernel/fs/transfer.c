/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/transfer.h"

#include "lib/string.h"
#include "memory/user.h"
#include "process/user_thread.h"
#include "thread/thread.h"

static void move_on(struct transfer *transfer, size_t bytes)
{
	transfer->address += bytes;
	transfer->left -= bytes;
}

#define REST_BYTES 262144u

/* The kernel is not pre-empted: who moves much lets others run. */
static lh_error rest(struct transfer *transfer)
{
	if (transfer->rested - transfer->left < REST_BYTES)
		return LH_OK;
	transfer->rested = transfer->left;
	thread_yield();
	return !transfer->is_kernel && user_thread_must_end() ? LH_INTERRUPTED : LH_OK;
}

lh_error transfer_give(struct transfer *transfer, const void *from, size_t bytes)
{
	LH_TRY(rest(transfer));
	if (transfer->is_kernel)
		memcpy((void *)(uintptr_t)transfer->address, from, bytes);
	else
		LH_TRY(user_copy_out(transfer->address, from, bytes));
	move_on(transfer, bytes);
	return LH_OK;
}

lh_error transfer_give_zeroes(struct transfer *transfer, size_t bytes)
{
	static const uint8_t zeroes[LH_PAGE_SIZE];

	while (bytes > 0) {
		size_t step = bytes < sizeof zeroes ? bytes : sizeof zeroes;

		LH_TRY(transfer_give(transfer, zeroes, step));
		bytes -= step;
	}
	return LH_OK;
}

lh_error transfer_take(struct transfer *transfer, void *to, size_t bytes)
{
	LH_TRY(rest(transfer));
	if (transfer->is_kernel)
		memcpy(to, (const void *)(uintptr_t)transfer->address, bytes);
	else
		LH_TRY(user_copy_in(to, transfer->address, bytes));
	move_on(transfer, bytes);
	return LH_OK;
}
