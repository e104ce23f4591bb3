/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/user.h"

#include "memory/memory.h"

/* user_copy.S. => false: user memory could not be reached. */
bool user_move(void *to, const void *from, size_t bytes);
bool user_zero(void *to, size_t bytes);
bool user_move_string(char *to, const char *from, size_t capacity, size_t *copied);
bool user_exchange_32(uint32_t *to, uint32_t expected, uint32_t desired, uint32_t *seen);

bool user_range_is_valid(uint64_t address, uint64_t bytes)
{
	return address <= USER_LIMIT && bytes <= USER_LIMIT - address;
}

lh_error user_copy_in(void *to, uint64_t from, size_t bytes)
{
	if (!user_range_is_valid(from, bytes) || !user_move(to, (const void *)(uintptr_t)from, bytes))
		return LH_BAD_ADDRESS;
	return LH_OK;
}

lh_error user_copy_out(uint64_t to, const void *from, size_t bytes)
{
	if (!user_range_is_valid(to, bytes) || !user_move((void *)(uintptr_t)to, from, bytes))
		return LH_BAD_ADDRESS;
	return LH_OK;
}

lh_error user_clear(uint64_t to, size_t bytes)
{
	if (!user_range_is_valid(to, bytes) || !user_zero((void *)(uintptr_t)to, bytes))
		return LH_BAD_ADDRESS;
	return LH_OK;
}

lh_error user_copy_string(char *to, uint64_t from, size_t capacity, size_t *length)
{
	size_t copied, limit = capacity;

	if (from >= USER_LIMIT)
		return LH_BAD_ADDRESS;
	if (limit > USER_LIMIT - from)
		limit = USER_LIMIT - from;
	if (!user_move_string(to, (const char *)(uintptr_t)from, limit, &copied))
		return LH_BAD_ADDRESS;
	if (copied == 0 || to[copied - 1] != 0)
		return limit < capacity ? LH_BAD_ADDRESS : LH_NAME_TOO_LONG;
	*length = copied - 1;
	return LH_OK;
}

lh_error user_compare_exchange_32(uint64_t to, uint32_t expected, uint32_t desired, uint32_t *seen)
{
	if (to % sizeof(uint32_t) != 0)
		return LH_INVALID;
	if (!user_range_is_valid(to, sizeof(uint32_t)) ||
	    !user_exchange_32((uint32_t *)(uintptr_t)to, expected, desired, seen))
		return LH_BAD_ADDRESS;
	return LH_OK;
}
