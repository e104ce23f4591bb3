/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes on their way between the kernel and whoever reads or writes a file: a buffer
 * of the running process, or one of the kernel's own. Each copy moves the transfer on.
 */
#ifndef KERNEL_FS_TRANSFER_H
#define KERNEL_FS_TRANSFER_H

#include <landhold/types.h>

struct transfer {
	uint64_t address; /* in user space, or of a kernel buffer */
	uint64_t left;	  /* bytes still to move */
	uint64_t rested;  /* value of left when other threads last had their turn */
	bool is_kernel;
};

static inline struct transfer transfer_user(uint64_t address, uint64_t bytes)
{
	return (struct transfer){
		.address = address, .left = bytes, .rested = bytes, .is_kernel = false
	};
}

static inline struct transfer transfer_kernel(const void *buffer, uint64_t bytes)
{
	return (struct transfer){
		.address = (uint64_t)(uintptr_t)buffer, .left = bytes, .rested = bytes,
		.is_kernel = true
	};
}

/*
 * To the reader. => bytes <= left. LH_BAD_ADDRESS; LH_INTERRUPTED: the process is being
 * killed, and must not be kept from it by a long transfer. On error not moved on.
 * Context: may fault; lets other threads run now and then.
 */
LH_MUST_USE lh_error transfer_give(struct transfer *transfer, const void *from, size_t bytes);
/* The same, zeroes. */
LH_MUST_USE lh_error transfer_give_zeroes(struct transfer *transfer, size_t bytes);
/* From the writer. */
LH_MUST_USE lh_error transfer_take(struct transfer *transfer, void *to, size_t bytes);

#endif
