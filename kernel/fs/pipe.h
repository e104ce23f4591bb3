/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipes and FIFOs: a ring of 64 KiB between those who write and those who read. A pipe
 * without a name is a FIFO whose inode has none.
 */
#ifndef KERNEL_FS_PIPE_H
#define KERNEL_FS_PIPE_H

#include "fs/file.h"

#define PIPE_BYTES 65536u

struct pipe;

/* A pipe's two ends, flags as pipe2(2) has them. LH_NO_MEMORY. */
LH_MUST_USE lh_error pipe_make_ends(uint32_t flags, struct file **reader, struct file **writer);

/* The pipe that an inode holds. One holder. */
LH_MUST_USE lh_error pipe_create(struct pipe **pipe);
void pipe_drop(struct pipe *pipe);
/* Opens the FIFO as the file's flags say; waits for the other end unless non-blocking.
 * LH_INTERRUPTED, LH_NO_DEVICE_ADDRESS. */
LH_MUST_USE lh_error pipe_open_fifo(struct pipe *pipe, struct file *file);

#endif
