/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of execve share. */
#ifndef KERNEL_PROCESS_EXEC_H
#define KERNEL_PROCESS_EXEC_H

#include "process/elf.h"

/* A program on its way to being run. */
struct program {
	struct file *file, *interpreter; /* held; the second may be NULL */
	struct elf_plan plan, interpreter_plan;
	uint64_t bias, interpreter_bias;
	struct user_memory *memory;
	const char *path;
};

/* Finds what to run, following "#!" lines, which change the arguments.
 * => LH_NO_ACCESS: not a regular file, or nobody may execute it. */
LH_MUST_USE lh_error program_open(const char *path, struct program_arguments *arguments,
				  struct file **file);

/* Opens a file for reading, from the current directory. */
LH_MUST_USE lh_error program_open_path(const char *path, struct file **file);

/* exec_stack.c: how many pages the stack is mapped with at first. */
uint64_t program_stack_pages(const struct program_arguments *arguments);

/*
 * Writes arguments, environment and auxiliary vector below the top of the stack; the
 * memory is the current thread's. => *stack_pointer: what the program starts with.
 */
LH_MUST_USE lh_error program_write_stack(const struct program *program,
					 const struct program_arguments *arguments,
					 uint64_t *stack_pointer);

#endif
