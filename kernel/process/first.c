/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the archive that the boot loader brought to the first program. The file
 * /.landhold/start holds strings, each with its ending 0: the mode ("stream",
 * "tty ROWSxCOLUMNS" or "panic"), the number of arguments in decimal, the arguments, the
 * number of environment strings, and those; /.landhold/program holds the path. Without them
 * a shell is started on the terminal.
 */
#include "process/first.h"

#include "boot/info.h"
#include "device/link.h"
#include "fs/cpio.h"
#include "fs/devices.h"
#include "fs/path.h"
#include "fs/proc.h"
#include "fs/stream.h"
#include "fs/tmpfs.h"
#include "fs/tty.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "process/process.h"
#include "process/shutdown.h"

#define START_FILE "/.landhold/start"
#define PROGRAM_FILE "/.landhold/program"
#define START_DIRECTORY "/.landhold"
#define START_BYTES_MAX (UINT64_C(4) << 20)
#define STATUS_CANNOT_EXECUTE (127u << 8)

enum start_mode { START_STREAM, START_TERMINAL, START_PANIC };

struct start {
	enum start_mode mode;
	uint16_t rows, columns;
	char program[PATH_BYTES_MAX];
	struct program_arguments arguments;
};

/* --- the start file --- */

/* Cuts the next string off. => NULL: there is none. */
static const char *next_string(const char **at, const char *end)
{
	const char *string = *at;
	size_t length = strnlen(string, (size_t)(end - string));

	if (string + length == end)
		return NULL;
	*at = string + length + 1;
	return string;
}

static bool read_decimal(const char **text, uint32_t *value)
{
	const char *start = *text;

	*value = 0;
	while (**text >= '0' && **text <= '9' && *value < 1000000)
		*value = *value * 10 + (uint32_t)(*(*text)++ - '0');
	return *text > start;
}

static lh_error parse_mode(const char *text, struct start *start)
{
	uint32_t rows = 24, columns = 80;

	if (strcmp(text, "stream") == 0) {
		start->mode = START_STREAM;
		return LH_OK;
	}
	if (strcmp(text, "panic") == 0) {
		start->mode = START_PANIC;
		return LH_OK;
	}
	if (strncmp(text, "tty", 3) != 0)
		return LH_INVALID;
	text += text[3] == ' ' ? 4 : 3;
	if (read_decimal(&text, &rows) && *text++ == 'x' && read_decimal(&text, &columns)) {
		start->rows = (uint16_t)rows;
		start->columns = (uint16_t)columns;
	}
	start->mode = START_TERMINAL;
	return LH_OK;
}

static lh_error parse_strings(const char **at, const char *end, struct start *start,
			      uint32_t *count)
{
	const char *text = next_string(at, end);

	if (text == NULL || !read_decimal(&text, count))
		return LH_INVALID;
	for (uint32_t i = 0; i < *count; i++) {
		const char *string = next_string(at, end);

		if (string == NULL)
			return LH_INVALID;
		LH_TRY(program_arguments_add(&start->arguments, string, strlen(string)));
	}
	return LH_OK;
}

static lh_error parse_start(const char *bytes, size_t length, struct start *start)
{
	const char *at = bytes, *end = bytes + length;
	const char *mode = next_string(&at, end);

	if (mode == NULL)
		return LH_INVALID;
	LH_TRY(parse_mode(mode, start));
	LH_TRY(parse_strings(&at, end, start, &start->arguments.argument_count));
	return parse_strings(&at, end, start, &start->arguments.environment_count);
}

/* Reads a whole file; the caller frees *bytes. */
static lh_error read_file(const char *path, char **bytes, size_t *length)
{
	struct transfer transfer;
	struct file *file;
	lh_error error = LH_NO_MEMORY;

	LH_TRY(path_open(root_inode(), path, OPEN_READ_ONLY, 0, &file));
	*length = inode_size(file->inode);
	if (*length == 0 || *length > START_BYTES_MAX) {
		file_drop(file);
		return LH_INVALID;
	}
	*bytes = kernel_allocate(*length);
	if (*bytes != NULL) {
		transfer = transfer_kernel(*bytes, *length);
		error = file_read(file, &transfer);
		if (error != LH_OK)
			kernel_free(*bytes, *length);
	}
	file_drop(file);
	return error;
}

static lh_error read_program(struct start *start)
{
	char *bytes;
	size_t length, used;

	LH_TRY(read_file(PROGRAM_FILE, &bytes, &length));
	used = strnlen(bytes, length);
	while (used > 0 && bytes[used - 1] == '\n')
		used--;
	if (used > 0 && used < sizeof start->program) {
		memcpy(start->program, bytes, used);
		start->program[used] = '\0';
	}
	kernel_free(bytes, length);
	return start->program[0] != '\0' ? LH_OK : LH_INVALID;
}

static lh_error read_start(struct start *start)
{
	char *bytes;
	size_t length;
	lh_error error;

	LH_TRY(read_file(START_FILE, &bytes, &length));
	error = parse_start(bytes, length, start);
	kernel_free(bytes, length);
	LH_TRY(error);
	return read_program(start);
}

static void remove_start_files(void)
{
	(void)!path_remove(root_inode(), START_FILE, false);
	(void)!path_remove(root_inode(), PROGRAM_FILE, false);
	(void)!path_remove(root_inode(), START_DIRECTORY, true);
}

static bool exists(const char *path)
{
	struct inode *inode;

	if (path_find(root_inode(), path, true, &inode) != LH_OK)
		return false;
	inode_drop(inode);
	return true;
}

/* A shell on the terminal, where nothing else was said. */
static lh_error default_start(struct start *start)
{
	static const char *const environment[] = { "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root",
						   "TERM=linux" };

	program_arguments_free(&start->arguments);
	start->mode = START_TERMINAL;
	start->rows = 24;
	start->columns = 80;
	(void)!string_copy(start->program, exists("/bin/sh") ? "/bin/sh" : "/bin/busybox",
			   sizeof start->program);
	LH_TRY(program_arguments_add(&start->arguments, "sh", 2));
	start->arguments.argument_count = 1;
	for (size_t i = 0; i < sizeof environment / sizeof environment[0]; i++)
		LH_TRY(program_arguments_add(&start->arguments, environment[i],
					     strlen(environment[i])));
	start->arguments.environment_count = sizeof environment / sizeof environment[0];
	return LH_OK;
}

/* --- starting --- */

static lh_error install(struct descriptor_table *files, const char *path, uint64_t device,
			uint32_t flags)
{
	struct inode *inode;
	struct file *file;
	uint32_t number;
	lh_error error;

	if (path != NULL)
		LH_TRY(path_find(root_inode(), path, true, &inode));
	else
		LH_TRY(tmpfs_make_unnamed(MODE_CHARACTER | 0600, device, &inode));
	error = file_open_inode(inode, flags, &file);
	inode_drop(inode);
	LH_TRY(error);
	error = descriptor_install(files, file, 0, false, &number);
	if (error != LH_OK)
		file_drop(file);
	return error;
}

static lh_error open_streams(struct descriptor_table *files)
{
	LH_TRY(install(files, NULL, DEVICE_STREAM_INPUT, OPEN_READ_ONLY));
	LH_TRY(install(files, NULL, DEVICE_STREAM_OUTPUT, OPEN_WRITE_ONLY));
	return install(files, NULL, DEVICE_STREAM_ERROR, OPEN_WRITE_ONLY);
}

static lh_error open_terminal(struct descriptor_table *files)
{
	for (int i = 0; i < 3; i++)
		LH_TRY(install(files, "/dev/tty", 0, OPEN_READ_WRITE));
	return LH_OK;
}

static lh_error start_devices(struct start *start, struct process *process)
{
	if (start->mode == START_TERMINAL) {
		terminal_start(start->rows, start->columns, process->session);
		return open_terminal(process->files);
	}
	LH_TRY(stream_start());
	return open_streams(process->files);
}

/* The process that this kernel thread becomes. */
static lh_error fill_first(struct process *process)
{
	struct user_thread *user;

	LH_TRY(user_memory_create(&process->memory));
	LH_TRY(descriptor_table_create(&process->files));
	inode_hold(root_inode());
	process->directory = root_inode();
	LH_TRY(user_thread_adopt(process, &user));
	process_publish(process, NULL, user);
	thread_current()->user = user;
	thread_set_space(process->memory->space);
	return LH_OK;
}

static lh_error make_first(struct process **process)
{
	lh_error error;

	LH_TRY(process_create(process));
	error = fill_first(*process);
	process_drop(*process); /* the list's holder stays; without it this was the last */
	return error;
}

static lh_error mount_all(void)
{
	const struct boot_info *info = boot_info();
	struct inode *root;
	lh_error error;

	file_systems_initialise();
	LH_TRY(tmpfs_create_root(&root));
	root_inode_set(root);
	if (info->initramfs != NULL) {
		error = cpio_unpack(info->initramfs, info->initramfs_size);
		if (error != LH_OK)
			log_line("the initial file system is cut short: %s", lh_error_string(error));
	}
	LH_TRY(devices_create_nodes());
	return proc_mount();
}

static lh_error set_up(struct start *start, struct process **process)
{
	LH_TRY(mount_all());
	if (read_start(start) != LH_OK)
		LH_TRY(default_start(start));
	remove_start_files();
	LH_TRY(process_start_alarms());
	LH_TRY(process_start_huge_scan());
	LH_TRY(make_first(process));
	return start_devices(start, *process);
}

/* To the log and to the host. */
static void say(const char *what, const char *program, lh_error error)
{
	char line[512];
	size_t length = format_text(line, sizeof line, "landhold: %s %s: %s\n", what, program,
				    lh_error_string(error));

	log_line("%s %s: %s", what, program, lh_error_string(error));
	link_send('R', line, length < sizeof line ? length : sizeof line - 1);
}

static lh_error execute(struct start *start, struct trap_frame *frame)
{
	struct process *process;
	lh_error error = set_up(start, &process);

	if (error != LH_OK) {
		say("cannot start", start->program, error);
		return error;
	}
	error = process_execute(start->program, &start->arguments, frame);
	if (error != LH_OK)
		say("cannot execute", start->program, error);
	else if (start->mode == START_PANIC)
		panic("asked for by the start file");
	return error;
}

/* Without a first process the machine ends as if that had. */
void process_start_first(void)
{
	struct start *start = kernel_allocate(sizeof *start);
	struct trap_frame frame = { .vector = TRAP_SYSTEM_CALL };
	lh_error error = LH_NO_MEMORY;

	shutdown_start();
	if (start == NULL) {
		say("cannot start", "", error);
	} else {
		error = execute(start, &frame);
		program_arguments_free(&start->arguments);
		kernel_free(start, sizeof *start);
	}
	if (error == LH_OK)
		user_enter(&frame);
	if (process_current() != NULL)
		process_exit(STATUS_CANNOT_EXECUTE);
	shutdown_begin(STATUS_CANNOT_EXECUTE);
}
