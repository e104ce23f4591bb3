/* SPDX-License-Identifier: BSD-2-Clause */
/* A process' memory: a space of the library's, and what Linux keeps beside it. */
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "process/process.h"

static const lh_space_limits limits = { .stack_pages = USER_STACK_PAGES_MAX };

lh_error user_memory_create(struct user_memory **result)
{
	struct user_memory *memory = kernel_allocate(sizeof *memory);
	lh_error error = LH_NO_MEMORY;

	if (memory == NULL)
		return LH_NO_MEMORY;
	memory->block = kernel_allocate(lh_space_size());
	if (memory->block != NULL)
		error = lh_space_create(memory_manager(), NULL, memory->block,
					&memory->space);
	if (error != LH_OK) {
		kernel_free(memory->block, lh_space_size());
		kernel_free(memory, sizeof *memory);
		return error;
	}
	lh_space_set_limits(memory->space, &limits);
	mutex_init(&memory->lock);
	memory->holders = 1;
	*result = memory;
	return LH_OK;
}

lh_error user_memory_fork(struct user_memory *memory, struct user_memory **result)
{
	struct user_memory *copy;
	lh_error error;

	LH_TRY(user_memory_create(&copy));
	mutex_lock(&memory->lock);
	error = lh_space_fork(memory->space, copy->space);
	copy->brk_start = memory->brk_start;
	copy->brk = memory->brk;
	mutex_unlock(&memory->lock);
	if (error != LH_OK) {
		user_memory_drop(copy);
		return error;
	}
	copy->stack_top = memory->stack_top;
	copy->placement = memory->placement;
	copy->executable = memory->executable;
	if (copy->executable != NULL) {
		inode_hold(copy->executable);
		(void)!inode_begin_running(copy->executable); /* as the parent does: cannot fail */
	}
	memcpy(copy->command, memory->command, sizeof copy->command);
	copy->command_length = memory->command_length;
	*result = copy;
	return LH_OK;
}

void user_memory_hold(struct user_memory *memory)
{
	__atomic_fetch_add(&memory->holders, 1, __ATOMIC_RELAXED);
}

void user_memory_drop(struct user_memory *memory)
{
	if (memory == NULL || __atomic_fetch_sub(&memory->holders, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	lh_space_destroy(memory->space);
	if (memory->executable != NULL)
		inode_end_running(memory->executable);
	inode_drop(memory->executable);
	kernel_free(memory->block, lh_space_size());
	kernel_free(memory, sizeof *memory);
}
