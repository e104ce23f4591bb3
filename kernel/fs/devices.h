/* SPDX-License-Identifier: BSD-2-Clause */
/* Character devices: null, zero, full, random, the terminal, and the standard streams. */
#ifndef KERNEL_FS_DEVICES_H
#define KERNEL_FS_DEVICES_H

#include "fs/file.h"

#define DEVICE_NULL DEVICE_NUMBER(1, 3)
#define DEVICE_ZERO DEVICE_NUMBER(1, 5)
#define DEVICE_FULL DEVICE_NUMBER(1, 7)
#define DEVICE_RANDOM DEVICE_NUMBER(1, 8)
#define DEVICE_URANDOM DEVICE_NUMBER(1, 9)
#define DEVICE_TERMINAL DEVICE_NUMBER(5, 0) /* the process' own */
#define DEVICE_CONSOLE DEVICE_NUMBER(5, 1)
/* Which allocation is refused: memory/refusal.h. Majors 240 to 254 are for local use. */
#define DEVICE_FAIL_NTH DEVICE_NUMBER(241, 0)
/* The byte streams to and from the host. */
#define DEVICE_STREAM_INPUT DEVICE_NUMBER(240, 0)
#define DEVICE_STREAM_OUTPUT DEVICE_NUMBER(240, 1)
#define DEVICE_STREAM_ERROR DEVICE_NUMBER(240, 2)

/* Opens what the inode's device number stands for. => LH_NO_DEVICE_ADDRESS: nothing. */
LH_MUST_USE lh_error device_open(struct inode *inode, struct file *file);

/* Makes /dev with its nodes, and /proc, /tmp and /root where they are missing. */
LH_MUST_USE lh_error devices_create_nodes(void);

#endif
