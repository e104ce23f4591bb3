/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF64 programs: reading, checking, mapping. */
#ifndef KERNEL_PROCESS_ELF_H
#define KERNEL_PROCESS_ELF_H

#include "fs/file.h"
#include "process/process.h"

#define ELF_SEGMENTS_MAX 32u

struct elf_segment {
	uint64_t address, offset, file_bytes, bytes; /* as in the file: address not moved */
	lh_rights rights;
};

/* What a file's headers say, checked. */
struct elf_plan {
	struct elf_segment segments[ELF_SEGMENTS_MAX]; /* ascending, none overlaps */
	uint32_t segment_count;
	uint32_t header_count;	  /* program headers */
	bool is_movable;	  /* ET_DYN */
	uint64_t lowest, highest; /* page-aligned range of all segments */
	uint64_t alignment;	  /* largest of the segments, at least a page */
	uint64_t entry;
	uint64_t headers;	  /* address of the program headers; 0: in no segment */
	uint64_t interpreter_offset, interpreter_bytes; /* 0 bytes: none */
};

/*
 * Reads and checks the headers. => LH_NOT_EXECUTABLE: not an ELF64 program for this
 * machine, or malformed in any way; LH_IO, LH_NO_MEMORY.
 */
LH_MUST_USE lh_error elf_read(struct file *file, struct elf_plan *plan);

/*
 * Maps all segments into a memory that no thread runs in. => bias: what is added to
 * every address. => LH_NO_MEMORY and the like: what is mapped stays, for the memory's end.
 */
LH_MUST_USE lh_error elf_map(struct user_memory *memory, struct file *file,
			     const struct elf_plan *plan, uint64_t bias);

/* Clears what lies behind the file's bytes in the last page of each writable segment. The
 * memory is the current thread's. */
LH_MUST_USE lh_error elf_clear_tails(const struct elf_plan *plan, uint64_t bias);

#endif
