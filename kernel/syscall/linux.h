/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The numbers and layouts of the Linux x86-64 system-call interface that more than
 * one file here needs, as the manual pages and the System V ABI give them. Numbers
 * that a single file needs stand in that file.
 */
#ifndef KERNEL_SYSCALL_LINUX_H
#define KERNEL_SYSCALL_LINUX_H

#include <stdint.h>

/* File types and permissions: inode(7). Octal, as everywhere. */
#define MODE_TYPE 0170000u
#define MODE_FIFO 0010000u
#define MODE_CHARACTER 0020000u
#define MODE_DIRECTORY 0040000u
#define MODE_BLOCK 0060000u
#define MODE_REGULAR 0100000u
#define MODE_LINK 0120000u
#define MODE_SOCKET 0140000u
#define MODE_PERMISSIONS 07777u
#define MODE_EXECUTE_ANY 0111u

/* open(2) */
#define OPEN_ACCESS_MODE 3u
#define OPEN_READ_ONLY 0u
#define OPEN_WRITE_ONLY 1u
#define OPEN_READ_WRITE 2u
#define OPEN_CREATE 0100u
#define OPEN_EXCLUSIVE 0200u
#define OPEN_NO_TERMINAL 0400u
#define OPEN_TRUNCATE 01000u
#define OPEN_APPEND 02000u
#define OPEN_NON_BLOCKING 04000u
#define OPEN_LARGE_FILE 0100000u
#define OPEN_DIRECTORY 0200000u
#define OPEN_NO_FOLLOW 0400000u
#define OPEN_CLOSE_ON_EXEC 02000000u
#define OPEN_PATH 010000000u
/* What fcntl(F_SETFL) may change. */
#define OPEN_CHANGEABLE (OPEN_APPEND | OPEN_NON_BLOCKING)

/* The *at calls. */
#define AT_CURRENT_DIRECTORY (-100)
#define AT_NO_FOLLOW_LINK 0x100u
#define AT_REMOVE_DIRECTORY 0x200u
#define AT_FOLLOW_LINK 0x400u
#define AT_EMPTY_PATH 0x1000u

#define PATH_BYTES_MAX 4096u /* with the NUL */
#define NAME_BYTES_MAX 255u
#define PIPE_ATOMIC_BYTES 4096u

/* poll(2) */
#define POLL_IN 0x001u
#define POLL_OUT 0x004u
#define POLL_ERROR 0x008u
#define POLL_HANG_UP 0x010u
#define POLL_INVALID 0x020u

/* mmap(2) */
#define PROTECTION_READ 1u
#define PROTECTION_WRITE 2u
#define PROTECTION_EXECUTE 4u
#define MAP_FLAG_SHARED 0x01u
#define MAP_FLAG_PRIVATE 0x02u
#define MAP_FLAG_SHARED_VALIDATE 0x03u
#define MAP_FLAG_TYPE 0x0fu
#define MAP_FLAG_FIXED 0x10u
#define MAP_FLAG_ANONYMOUS 0x20u
#define MAP_FLAG_GROWS_DOWN 0x0100u
#define MAP_FLAG_FIXED_NO_REPLACE 0x100000u

/* mremap(2) */
#define REMAP_FLAG_MAY_MOVE 1u
#define REMAP_FLAG_FIXED 2u
#define REMAP_FLAG_DONT_UNMAP 4u

struct linux_timespec {
	int64_t seconds;
	int64_t nanoseconds;
};

struct linux_timeval {
	int64_t seconds;
	int64_t microseconds;
};

/* stat(2) */
struct linux_stat {
	uint64_t device;
	uint64_t inode;
	uint64_t links;
	uint32_t mode;
	uint32_t user;
	uint32_t group;
	uint32_t padding;
	uint64_t represents; /* the device that a device node stands for */
	int64_t size;
	int64_t block_size;
	int64_t blocks; /* of 512 bytes */
	struct linux_timespec accessed, modified, changed;
	int64_t reserved[3];
};
_Static_assert(sizeof(struct linux_stat) == 144, "stat(2) has 144 bytes on x86-64");

/* Signals: signal(7). */
#define SIGNAL_HANG_UP 1
#define SIGNAL_INTERRUPT 2
#define SIGNAL_QUIT 3
#define SIGNAL_ILLEGAL 4
#define SIGNAL_TRAP 5
#define SIGNAL_ABORT 6
#define SIGNAL_BUS 7
#define SIGNAL_FLOATING_POINT 8
#define SIGNAL_KILL 9
#define SIGNAL_SEGMENT 11
#define SIGNAL_PIPE 13
#define SIGNAL_ALARM 14
#define SIGNAL_TERMINATE 15
#define SIGNAL_CHILD 17
#define SIGNAL_CONTINUE 18
#define SIGNAL_STOP 19
#define SIGNAL_TERMINAL_STOP 20
#define SIGNAL_TERMINAL_INPUT 21
#define SIGNAL_TERMINAL_OUTPUT 22
#define SIGNAL_URGENT 23
#define SIGNAL_WINDOW 28
#define SIGNAL_BAD_CALL 31
#define SIGNAL_MAX 64

#endif
