/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Standard input, output and error of the first process as byte streams over the link.
 * Input is kept in a buffer of 256 KiB; the host may send as much as it was given credit
 * for, which is what the buffer has free.
 */
#ifndef KERNEL_FS_STREAM_H
#define KERNEL_FS_STREAM_H

#include "fs/file.h"

/* Makes the buffer, takes over the link and gives the first credit. LH_NO_MEMORY. */
LH_MUST_USE lh_error stream_start(void);
/* Gives the buffer back. => nobody reads, and the link receives no more. */
void stream_stop(void);
/* => number: one of DEVICE_STREAM_.... LH_NO_DEVICE_ADDRESS: not started. */
LH_MUST_USE lh_error stream_open(uint64_t number, struct file *file);

#endif
