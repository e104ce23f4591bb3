/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * execve(2). The new memory is built whole beside the old one: mapped, then entered
 * by this thread to clear tails and write the stack. The thread goes back to the old memory;
 * if anything has failed nothing has changed. Then the other threads end, and only if this one is
 * told to end meanwhile does it give up. Last comes the part that cannot fail. So there is no point
 * of no return to die at.
 */
#include "process/exec.h"

#include "lib/string.h"
#include "fs/path.h"
#include "memory/heap.h"
#include "memory/memory.h"

#define MAP_AREA_GAP (UINT64_C(128) << 20) /* kept for the stack, as Linux does */
#define MOVABLE_BASE UINT64_C(0x555555554000)

/* Where the stack's top may lie below the end of user memory, and what may become of a stack: segments
 * do not reach into that, wherever chance has put this one. */
#define STACK_TOPS (UINT64_C(1) << 20)
#define STACK_FLOOR                                                                              \
	(USER_LIMIT - (STACK_TOPS + USER_STACK_PAGES_MAX + USER_STACK_GUARD_PAGES + 1) * LH_PAGE_SIZE)

/* A page-aligned random distance below so many pages. */
static uint64_t random_distance(uint64_t pages)
{
	return random_64() % pages * LH_PAGE_SIZE;
}

static lh_error map_stack(struct user_memory *memory, uint64_t pages)
{
	uint64_t top = USER_LIMIT - LH_PAGE_SIZE - random_distance(STACK_TOPS);
	lh_map_request request = {
		.where = LH_AT,
		.address = lh_virtual(top - pages * LH_PAGE_SIZE),
		.pages = pages,
		.guard_before = USER_STACK_GUARD_PAGES,
		.rights = LH_RIGHT_READ | LH_RIGHT_WRITE,
		.flags = LH_REGION_GROWS_DOWN,
	};
	lh_virtual_range placed;
	uint64_t ceiling = (top - MAP_AREA_GAP - random_distance(1u << 12)) / LH_PAGE_SIZE;

	LH_TRY(lh_space_map(memory->space, &request, &placed));
	memory->stack_top = top;
	return lh_virtual_range_make(lh_virtual(USER_ADDRESS_MIN),
				     ceiling - USER_ADDRESS_MIN / LH_PAGE_SIZE,
				     &memory->placement);
}

/* Where a movable interpreter goes: the highest hole. It is taken and left again, which
 * nobody else can use: no thread runs in this memory. */
static lh_error place_interpreter(struct program *program)
{
	const struct elf_plan *plan = &program->interpreter_plan;
	lh_map_request request = {
		.where = LH_ANYWHERE,
		.pages = (plan->highest - plan->lowest) / LH_PAGE_SIZE,
		.alignment = plan->alignment / LH_PAGE_SIZE,
		.direction = LH_HIGHEST_FIRST,
		.within = program->memory->placement,
		.reservation = true,
	};
	lh_virtual_range placed;

	if (!plan->is_movable)
		return LH_NOT_EXECUTABLE;
	LH_TRY(lh_space_map(program->memory->space, &request, &placed));
	LH_TRY(lh_space_unmap(program->memory->space, placed));
	program->interpreter_bias = placed.base.value - plan->lowest;
	return LH_OK;
}

static lh_error map_program(struct program *program)
{
	struct user_memory *memory = program->memory;
	const struct elf_plan *plan = &program->plan;

	if (plan->is_movable) {
		uint64_t base = MOVABLE_BASE + random_distance(UINT64_C(1) << 28);

		base &= ~(plan->alignment - 1);
		if (plan->highest - plan->lowest > USER_LIMIT - MAP_AREA_GAP * 64 - base)
			return LH_NOT_EXECUTABLE;
		program->bias = base - plan->lowest;
	}
	if (plan->highest + program->bias > STACK_FLOOR)
		return LH_NOT_EXECUTABLE;
	LH_TRY(elf_map(memory, program->file, plan, program->bias));
	memory->brk_start = plan->highest + program->bias + random_distance(1u << 13);
	memory->brk = memory->brk_start;
	if (program->interpreter == NULL)
		return LH_OK;
	LH_TRY(place_interpreter(program));
	return elf_map(memory, program->interpreter, &program->interpreter_plan,
		       program->interpreter_bias);
}

/* Reads the interpreter's name out of the program, opens and checks it. */
static lh_error open_interpreter(struct program *program)
{
	char path[256];
	struct transfer transfer = transfer_kernel(path, program->plan.interpreter_bytes);

	if (program->plan.interpreter_bytes == 0)
		return LH_OK;
	if (program->plan.interpreter_bytes > sizeof path)
		return LH_NOT_EXECUTABLE;
	LH_TRY(file_read_at(program->file, &transfer, program->plan.interpreter_offset));
	if (transfer.left != 0 || path[program->plan.interpreter_bytes - 1] != '\0')
		return LH_NOT_EXECUTABLE;
	LH_TRY(program_open_path(path, &program->interpreter));
	if (inode_type(program->interpreter->inode) != MODE_REGULAR ||
	    (inode_mode(program->interpreter->inode) & MODE_EXECUTE_ANY) == 0)
		return LH_NO_ACCESS;
	return elf_read(program->interpreter, &program->interpreter_plan);
}

/* Everything but what needs the memory to be entered. */
static lh_error prepare(struct program *program, struct program_arguments *arguments)
{
	LH_TRY(program_open(program->path, arguments, &program->file));
	LH_TRY(elf_read(program->file, &program->plan));
	LH_TRY(open_interpreter(program));
	LH_TRY(user_memory_create(&program->memory));
	LH_TRY(inode_begin_running(program->file->inode));
	inode_hold(program->file->inode);
	program->memory->executable = program->file->inode;
	LH_TRY(map_stack(program->memory, program_stack_pages(arguments)));
	return map_program(program);
}

/* In the new memory. */
static lh_error fill_memory(struct program *program, const struct program_arguments *arguments,
			    uint64_t *stack_pointer)
{
	LH_TRY(elf_clear_tails(&program->plan, program->bias));
	if (program->interpreter != NULL)
		LH_TRY(elf_clear_tails(&program->interpreter_plan, program->interpreter_bias));
	return program_write_stack(program, arguments, stack_pointer);
}

static void keep_command(struct user_memory *memory, const struct program_arguments *arguments)
{
	size_t length = 0;

	for (uint32_t i = 0; i < arguments->argument_count; i++)
		length += strlen(arguments->bytes + length) + 1;
	if (length > sizeof memory->command)
		length = sizeof memory->command;
	memcpy(memory->command, arguments->bytes, length);
	memory->command_length = (uint32_t)length;
}

/* The last component of the path, cut. */
static void set_name_locked(struct user_thread *user, const char *path)
{
	const char *slash = strrchr(path, '/');

	(void)!string_copy(user->name, slash != NULL ? slash + 1 : path, sizeof user->name);
	memcpy(user->process->name, user->name, sizeof user->process->name);
}

/* The process, which has one thread, becomes the program: cannot fail. */
static void commit(struct program *program, struct trap_frame *frame, uint64_t stack_pointer)
{
	struct user_thread *user = user_thread_current();
	struct process *process = user->process;
	struct user_memory *old = process->memory;
	uintptr_t interrupts;

	user_thread_leave_memory(user);
	thread_set_space(program->memory->space);
	signal_reset_for_program();
	interrupts = process_lock();
	process->memory = program->memory;
	process->has_executed = true;
	user->tid = process->pid; /* whichever thread it was */
	set_name_locked(user, program->path);
	process_unlock(interrupts);
	program->memory = NULL;
	user_memory_drop(old);
	process_return_memory(process);
	descriptor_table_close_on_exec(process->files);
	thread_reset_user_state();
	*frame = (struct trap_frame){
		.vector = frame->vector,
		.error_code = frame->error_code,
		.rip = program->interpreter != NULL
			       ? program->interpreter_plan.entry + program->interpreter_bias
			       : program->plan.entry + program->bias,
		.cs = USER_CODE_SELECTOR,
		.rflags = trap_sanitise_rflags(0),
		.rsp = stack_pointer,
		.ss = USER_DATA_SELECTOR,
	};
}

static lh_error execute(struct program *program, struct program_arguments *arguments,
			struct trap_frame *frame)
{
	struct process *process = process_current();
	uint64_t stack_pointer = 0;
	lh_error error;

	LH_TRY(prepare(program, arguments));
	thread_set_space(program->memory->space);
	error = fill_memory(program, arguments, &stack_pointer);
	thread_set_space(process->memory->space);
	if (error != LH_OK)
		return LH_NO_MEMORY;
	LH_TRY(user_thread_end_others());
	keep_command(program->memory, arguments);
	commit(program, frame, stack_pointer);
	return LH_OK;
}

lh_error process_execute(const char *path, struct program_arguments *arguments,
			 struct trap_frame *frame)
{
	struct program *program = kernel_allocate(sizeof *program);
	lh_error error;

	if (program == NULL)
		return LH_NO_MEMORY;
	program->path = path;
	error = execute(program, arguments, frame);
	file_drop(program->file);
	file_drop(program->interpreter);
	user_memory_drop(program->memory);
	kernel_free(program, sizeof *program);
	return error;
}
