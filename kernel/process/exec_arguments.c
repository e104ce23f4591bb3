/* SPDX-License-Identifier: BSD-2-Clause */
/* Arguments of programs, and the "#!" lines that change them. */
#include "lib/string.h"
#include "fs/path.h"
#include "memory/heap.h"
#include "process/exec.h"

#define ARGUMENTS_BYTES_MAX (UINT64_C(2) << 20)
#define STRING_BYTES_MAX (UINT64_C(128) << 10)
#define SCRIPTS_NESTED_MAX 4u
#define SCRIPT_LINE_BYTES 256u

static lh_error reserve(struct program_arguments *arguments, size_t more)
{
	size_t capacity = arguments->capacity == 0 ? 4096 : arguments->capacity;
	char *bytes;

	if (more > ARGUMENTS_BYTES_MAX - arguments->used)
		return LH_ARGUMENTS_TOO_LONG;
	while (capacity < arguments->used + more)
		capacity *= 2;
	if (capacity == arguments->capacity)
		return LH_OK;
	bytes = kernel_allocate(capacity);
	if (bytes == NULL)
		return LH_NO_MEMORY;
	if (arguments->used > 0)
		memcpy(bytes, arguments->bytes, arguments->used);
	kernel_free(arguments->bytes, arguments->capacity);
	arguments->bytes = bytes;
	arguments->capacity = capacity;
	return LH_OK;
}

lh_error program_arguments_add(struct program_arguments *arguments, const char *string,
			       size_t length)
{
	if (length >= STRING_BYTES_MAX)
		return LH_ARGUMENTS_TOO_LONG;
	LH_TRY(reserve(arguments, length + 1));
	memcpy(arguments->bytes + arguments->used, string, length);
	arguments->bytes[arguments->used + length] = '\0';
	arguments->used += length + 1;
	return LH_OK;
}

void program_arguments_free(struct program_arguments *arguments)
{
	kernel_free(arguments->bytes, arguments->capacity);
	*arguments = (struct program_arguments){ 0 };
}

/* Puts the interpreter, its argument (or NULL) and the script's path where argv[0] was. */
static lh_error put_in_front(struct program_arguments *arguments, const char *interpreter,
			     const char *option, const char *script)
{
	struct program_arguments changed = { .environment_count = arguments->environment_count };
	size_t skipped = arguments->argument_count > 0 ? strlen(arguments->bytes) + 1 : 0;
	lh_error error = program_arguments_add(&changed, interpreter, strlen(interpreter));

	if (error == LH_OK && option != NULL)
		error = program_arguments_add(&changed, option, strlen(option));
	if (error == LH_OK)
		error = program_arguments_add(&changed, script, strlen(script));
	if (error == LH_OK)
		error = reserve(&changed, arguments->used - skipped);
	if (error != LH_OK) {
		program_arguments_free(&changed);
		return error;
	}
	memcpy(changed.bytes + changed.used, arguments->bytes + skipped, arguments->used - skipped);
	changed.used += arguments->used - skipped;
	changed.argument_count = arguments->argument_count + (option != NULL ? 2 : 1) +
				 (arguments->argument_count == 0 ? 1 : 0);
	program_arguments_free(arguments);
	*arguments = changed;
	return LH_OK;
}

static bool is_blank(char character)
{
	return character == ' ' || character == '\t';
}

/* Cuts "#! interpreter option" apart, in place. => LH_NOT_EXECUTABLE: no interpreter. */
static lh_error parse_line(char *line, char **interpreter, char **option)
{
	char *end = strchr(line, '\n'), *at = line + 2;

	if (end == NULL)
		return LH_NOT_EXECUTABLE;
	while (end > line && is_blank(end[-1]))
		end--;
	*end = '\0';
	while (is_blank(*at))
		at++;
	if (*at == '\0')
		return LH_NOT_EXECUTABLE;
	*interpreter = at;
	while (*at != '\0' && !is_blank(*at))
		at++;
	*option = NULL;
	if (*at == '\0')
		return LH_OK;
	*at++ = '\0';
	while (is_blank(*at))
		at++;
	*option = *at != '\0' ? at : NULL;
	return LH_OK;
}

lh_error program_open_path(const char *path, struct file **file)
{
	struct inode *directory = process_hold_directory();
	lh_error error = path_open(directory, path, OPEN_READ_ONLY, 0, file);

	inode_drop(directory);
	return error;
}

static lh_error open_executable(const char *path, struct file **result)
{
	struct file *file;

	LH_TRY(program_open_path(path, &file));
	if (inode_type(file->inode) != MODE_REGULAR ||
	    (inode_mode(file->inode) & MODE_EXECUTE_ANY) == 0) {
		file_drop(file);
		return LH_NO_ACCESS;
	}
	*result = file;
	return LH_OK;
}

/* If the file is a script, changes the arguments. => LH_AGAIN: open *next. */
static lh_error follow_script(struct file *file, const char *path,
			      struct program_arguments *arguments, char line[SCRIPT_LINE_BYTES],
			      char **next)
{
	struct transfer transfer = transfer_kernel(line, SCRIPT_LINE_BYTES - 1);
	char *option;

	memset(line, 0, SCRIPT_LINE_BYTES);
	LH_TRY(file_read_at(file, &transfer, 0));
	if (line[0] != '#' || line[1] != '!')
		return LH_OK;
	LH_TRY(parse_line(line, next, &option));
	LH_TRY(put_in_front(arguments, *next, option, path));
	return LH_AGAIN;
}

lh_error program_open(const char *path, struct program_arguments *arguments, struct file **result)
{
	char lines[2][SCRIPT_LINE_BYTES]; /* the path lies in the one that is not read into */
	struct file *file;

	for (uint32_t nested = 0; nested <= SCRIPTS_NESTED_MAX; nested++) {
		char *next = NULL;
		lh_error error;

		LH_TRY(open_executable(path, &file));
		error = follow_script(file, path, arguments, lines[nested % 2], &next);
		if (error == LH_OK) {
			*result = file;
			return LH_OK;
		}
		file_drop(file);
		if (error != LH_AGAIN)
			return error;
		path = next;
	}
	return LH_LINK_LOOP;
}
