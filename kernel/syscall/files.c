/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls on open files. */
#include "fs/path.h"
#include "fs/pipe.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/user.h"
#include "syscall/table.h"

#define TRANSFER_MAX UINT64_C(0x7ffff000) /* as Linux limits one read or write */

static uint64_t limited(uint64_t bytes)
{
	return bytes < TRANSFER_MAX ? bytes : TRANSFER_MAX;
}

/* --- read and write --- */

/* Moves one buffer; *moved is how much. */
static lh_error move(struct file *file, uint64_t address, uint64_t bytes, bool is_write,
		     const uint64_t *position, uint64_t *moved)
{
	struct transfer transfer = transfer_user(address, limited(bytes));
	uint64_t before = transfer.left;
	lh_error error;

	if (position != NULL)
		error = is_write ? file_write_at(file, &transfer, *position)
				 : file_read_at(file, &transfer, *position);
	else
		error = is_write ? file_write(file, &transfer) : file_read(file, &transfer);
	*moved = before - transfer.left;
	return error;
}

static lh_error move_call(struct call *call, bool is_write, const uint64_t *position)
{
	struct file *file;
	lh_error error;

	if (position != NULL && (int64_t)*position < 0)
		return LH_INVALID;
	LH_TRY(call_file(call, 0, &file));
	if (!user_range_is_valid(call->a[1], call->a[2])) {
		file_drop(file);
		return LH_BAD_ADDRESS;
	}
	error = move(file, call->a[1], call->a[2], is_write, position, &call->value);
	file_drop(file);
	return error;
}

lh_error call_read(struct call *call)
{
	return move_call(call, false, NULL);
}

lh_error call_write(struct call *call)
{
	return move_call(call, true, NULL);
}

lh_error call_pread64(struct call *call)
{
	return move_call(call, false, &call->a[3]);
}

lh_error call_pwrite64(struct call *call)
{
	return move_call(call, true, &call->a[3]);
}

#define VECTORS_MAX 1024u

struct vector {
	uint64_t address, bytes;
};

/* Each buffer in turn; ends at the first that is not moved whole. */
static lh_error move_vectors(struct file *file, const struct vector *vectors, uint32_t count,
			     bool is_write, uint64_t *position, uint64_t *value)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t moved = 0;
		lh_error error;

		if (vectors[i].bytes == 0)
			continue;
		error = move(file, vectors[i].address, vectors[i].bytes, is_write, position, &moved);
		*value += moved;
		if (position != NULL)
			*position += moved;
		if (error != LH_OK)
			return *value > 0 ? LH_OK : error;
		if (moved < vectors[i].bytes)
			break;
	}
	return LH_OK;
}

/* Nothing is moved if one of them lies, or ends, where no program's memory is. */
static lh_error check_vector(const struct vector *vector)
{
	if ((int64_t)vector->bytes < 0)
		return LH_INVALID;
	return user_range_is_valid(vector->address, vector->bytes) ? LH_OK : LH_BAD_ADDRESS;
}

static lh_error vector_call(struct call *call, bool is_write, uint64_t *position)
{
	uint32_t count = call_unsigned(call, 2);
	struct vector *vectors;
	struct file *file;
	lh_error error;

	if (count > VECTORS_MAX || (position != NULL && (int64_t)*position < 0))
		return LH_INVALID;
	LH_TRY(call_file(call, 0, &file));
	vectors = kernel_allocate((count + 1) * sizeof *vectors);
	if (vectors == NULL)
		error = LH_NO_MEMORY;
	else
		error = user_copy_in(vectors, call->a[1], count * sizeof *vectors);
	for (uint32_t i = 0; error == LH_OK && i < count; i++)
		error = check_vector(&vectors[i]);
	if (error == LH_OK)
		error = move_vectors(file, vectors, count, is_write, position, &call->value);
	kernel_free(vectors, (count + 1) * sizeof *vectors);
	file_drop(file);
	return error;
}

lh_error call_readv(struct call *call)
{
	return vector_call(call, false, NULL);
}

lh_error call_writev(struct call *call)
{
	return vector_call(call, true, NULL);
}

lh_error call_preadv(struct call *call)
{
	return vector_call(call, false, &call->a[3]);
}

lh_error call_pwritev(struct call *call)
{
	return vector_call(call, true, &call->a[3]);
}

/* --- descriptors --- */

lh_error call_close(struct call *call)
{
	return descriptor_close(process_current()->files, call_unsigned(call, 0));
}

/* Another number for the same file. */
static lh_error duplicate(uint32_t from, uint32_t lowest, bool close_on_exec, uint64_t *value)
{
	struct descriptor_table *files = process_current()->files;
	struct file *file;
	uint32_t number;
	lh_error error;

	LH_TRY(descriptor_find(files, from, &file));
	error = descriptor_install(files, file, lowest, close_on_exec, &number);
	if (error != LH_OK)
		file_drop(file);
	else
		*value = number;
	return error;
}

static lh_error duplicate_to(uint32_t from, uint32_t to, bool close_on_exec, uint64_t *value)
{
	struct descriptor_table *files = process_current()->files;
	struct file *file;
	lh_error error;

	LH_TRY(descriptor_find(files, from, &file));
	error = descriptor_replace(files, file, to, close_on_exec);
	if (error != LH_OK)
		file_drop(file);
	else
		*value = to;
	return error;
}

lh_error call_dup(struct call *call)
{
	return duplicate(call_unsigned(call, 0), 0, false, &call->value);
}

lh_error call_dup2(struct call *call)
{
	uint32_t from = call_unsigned(call, 0), to = call_unsigned(call, 1);
	struct file *file;

	if (from != to)
		return duplicate_to(from, to, false, &call->value);
	LH_TRY(call_file(call, 0, &file));
	file_drop(file);
	call->value = to;
	return LH_OK;
}

lh_error call_dup3(struct call *call)
{
	uint32_t from = call_unsigned(call, 0), to = call_unsigned(call, 1);
	uint32_t flags = call_unsigned(call, 2);

	if (from == to || (flags & ~OPEN_CLOSE_ON_EXEC) != 0)
		return LH_INVALID;
	return duplicate_to(from, to, (flags & OPEN_CLOSE_ON_EXEC) != 0, &call->value);
}

static lh_error make_pipe(uint64_t address, uint32_t flags)
{
	struct descriptor_table *files = process_current()->files;
	bool close_on_exec = (flags & OPEN_CLOSE_ON_EXEC) != 0;
	struct file *reader, *writer;
	uint32_t numbers[2];
	lh_error error;

	LH_TRY(pipe_make_ends(flags & OPEN_NON_BLOCKING, &reader, &writer));
	error = descriptor_install(files, reader, 0, close_on_exec, &numbers[0]);
	if (error != LH_OK) {
		file_drop(reader);
		file_drop(writer);
		return error;
	}
	error = descriptor_install(files, writer, 0, close_on_exec, &numbers[1]);
	if (error != LH_OK) {
		file_drop(writer);
		(void)!descriptor_close(files, numbers[0]);
		return error;
	}
	error = user_copy_out(address, numbers, sizeof numbers);
	if (error != LH_OK) {
		(void)!descriptor_close(files, numbers[0]);
		(void)!descriptor_close(files, numbers[1]);
	}
	return error;
}

lh_error call_pipe(struct call *call)
{
	return make_pipe(call->a[0], 0);
}

lh_error call_pipe2(struct call *call)
{
	uint32_t flags = call_unsigned(call, 1);

	if ((flags & ~(OPEN_CLOSE_ON_EXEC | OPEN_NON_BLOCKING)) != 0)
		return LH_INVALID;
	return make_pipe(call->a[0], flags);
}

enum control_command {
	DUPLICATE = 0, GET_DESCRIPTOR_FLAGS = 1, SET_DESCRIPTOR_FLAGS = 2, GET_FLAGS = 3,
	SET_FLAGS = 4, GET_LOCK = 5, SET_LOCK = 6, SET_LOCK_WAIT = 7,
	DUPLICATE_CLOSE_ON_EXEC = 1030, GET_PIPE_BYTES = 1032
};

static lh_error descriptor_control(struct call *call)
{
	struct descriptor_table *files = process_current()->files;
	uint32_t number = call_unsigned(call, 0);
	bool close_on_exec = false;

	switch (call_int(call, 1)) {
	case DUPLICATE:
	case DUPLICATE_CLOSE_ON_EXEC:
		if (call_unsigned(call, 2) >= DESCRIPTORS_MAX)
			return LH_INVALID;
		return duplicate(number, call_unsigned(call, 2),
				 call_int(call, 1) == DUPLICATE_CLOSE_ON_EXEC, &call->value);
	case GET_DESCRIPTOR_FLAGS:
		LH_TRY(descriptor_flags(files, number, &close_on_exec));
		call->value = close_on_exec;
		return LH_OK;
	default:
		return descriptor_set_flags(files, number, (call->a[2] & 1) != 0);
	}
}

/* Locks: there is one user, and processes that ask for locks here get them. */
#define LOCK_UNLOCKED 2

static lh_error answer_lock_query(uint64_t address)
{
	int16_t type = LOCK_UNLOCKED;

	return user_copy_out(address, &type, sizeof type);
}

static lh_error file_control(struct call *call, struct file *file)
{
	uint32_t flags;

	switch (call_int(call, 1)) {
	case GET_FLAGS:
		call->value = file_flags(file) | OPEN_LARGE_FILE;
		return LH_OK;
	case SET_FLAGS:
		flags = (file_flags(file) & ~OPEN_CHANGEABLE) |
			(call_unsigned(call, 2) & OPEN_CHANGEABLE);
		__atomic_store_n(&file->flags, flags, __ATOMIC_RELAXED);
		return LH_OK;
	case GET_LOCK:
		return answer_lock_query(call->a[2]);
	case SET_LOCK:
	case SET_LOCK_WAIT:
		return LH_OK;
	case GET_PIPE_BYTES:
		call->value = PIPE_BYTES;
		return file->inode != NULL && inode_type(file->inode) == MODE_FIFO
			       ? LH_OK
			       : LH_BAD_DESCRIPTOR;
	default:
		return LH_INVALID;
	}
}

lh_error call_fcntl(struct call *call)
{
	struct file *file;
	lh_error error;

	switch (call_int(call, 1)) {
	case DUPLICATE:
	case DUPLICATE_CLOSE_ON_EXEC:
	case GET_DESCRIPTOR_FLAGS:
	case SET_DESCRIPTOR_FLAGS:
		return descriptor_control(call);
	default:
		break;
	}
	LH_TRY(call_file(call, 0, &file));
	error = file_control(call, file);
	file_drop(file);
	return error;
}

#define CONTROL_CLOSE_ON_EXEC 0x5451
#define CONTROL_NO_CLOSE_ON_EXEC 0x5450
#define CONTROL_NON_BLOCKING 0x5421

static lh_error set_non_blocking(struct file *file, uint64_t address)
{
	uint32_t on, flags = file_flags(file) & ~OPEN_NON_BLOCKING;

	LH_TRY(user_copy_in(&on, address, sizeof on));
	__atomic_store_n(&file->flags, on != 0 ? flags | OPEN_NON_BLOCKING : flags,
			 __ATOMIC_RELAXED);
	return LH_OK;
}

lh_error call_ioctl(struct call *call)
{
	uint32_t request = call_unsigned(call, 1);
	struct file *file;
	lh_error error;

	LH_TRY(call_file(call, 0, &file));
	if (request == CONTROL_CLOSE_ON_EXEC || request == CONTROL_NO_CLOSE_ON_EXEC)
		error = descriptor_set_flags(process_current()->files, call_unsigned(call, 0),
					     request == CONTROL_CLOSE_ON_EXEC);
	else if (request == CONTROL_NON_BLOCKING)
		error = set_non_blocking(file, call->a[2]);
	else if (file->operations == NULL || file->operations->control == NULL)
		error = LH_NOT_TERMINAL;
	else
		error = file->operations->control(file, request, call->a[2]);
	file_drop(file);
	return error;
}

/* --- positions and sizes --- */

enum seek_from { SEEK_FROM_START, SEEK_FROM_POSITION, SEEK_FROM_END, SEEK_DATA, SEEK_HOLE };

static lh_error new_position(const struct file *file, int64_t offset, int32_t from, uint64_t *result)
{
	uint64_t size = file->inode != NULL ? inode_size(file->inode) : 0;
	int64_t base = 0;

	switch (from) {
	case SEEK_FROM_START:
		break;
	case SEEK_FROM_POSITION:
		base = (int64_t)file->position;
		break;
	case SEEK_FROM_END:
		base = (int64_t)size;
		break;
	case SEEK_DATA: /* a file is taken for data as a whole, with a hole at its end */
	case SEEK_HOLE:
		if (offset < 0 || (uint64_t)offset >= size)
			return LH_NO_DEVICE_ADDRESS;
		*result = from == SEEK_DATA ? (uint64_t)offset : size;
		return LH_OK;
	default:
		return LH_INVALID;
	}
	if (__builtin_add_overflow(base, offset, &base))
		return LH_OVERFLOW;
	if (base < 0)
		return LH_INVALID;
	*result = (uint64_t)base;
	return LH_OK;
}

static lh_error seek(struct file *file, int64_t offset, int32_t from, uint64_t *value)
{
	bool is_directory = file->operations == NULL && file->inode != NULL;
	lh_error error;

	if (!is_directory && !file->operations->seekable)
		return LH_NOT_SEEKABLE;
	mutex_lock(&file->position_lock);
	error = new_position(file, offset, from, value);
	if (error == LH_OK)
		file->position = *value;
	mutex_unlock(&file->position_lock);
	return error;
}

lh_error call_lseek(struct call *call)
{
	struct file *file;
	lh_error error;

	LH_TRY(call_file(call, 0, &file));
	error = seek(file, (int64_t)call->a[1], call_int(call, 2), &call->value);
	file_drop(file);
	return error;
}

static lh_error resize(struct inode *inode, uint64_t size)
{
	if ((int64_t)size < 0)
		return LH_INVALID;
	if (inode_is_directory(inode))
		return LH_IS_DIRECTORY;
	return inode_resize(inode, size);
}

lh_error call_truncate(struct call *call)
{
	struct inode *inode;
	lh_error error;

	LH_TRY(call_inode(call->a[0], &inode));
	error = resize(inode, call->a[1]);
	inode_drop(inode);
	return error;
}

lh_error call_ftruncate(struct call *call)
{
	struct file *file;
	lh_error error;

	LH_TRY(call_file(call, 0, &file));
	error = file_is_writable(file) && file->inode != NULL ? resize(file->inode, call->a[1])
							      : LH_INVALID;
	file_drop(file);
	return error;
}

/* Only the plain form: make the file at least so long. */
lh_error call_fallocate(struct call *call)
{
	uint64_t end;
	struct file *file;
	lh_error error;

	if ((int64_t)call->a[2] < 0 || (int64_t)call->a[3] <= 0)
		return LH_INVALID;
	if (call_int(call, 1) != 0)
		return LH_UNSUPPORTED;
	end = call->a[2] + call->a[3];
	LH_TRY(call_file(call, 0, &file));
	if (!file_is_writable(file) || file->inode == NULL)
		error = LH_BAD_DESCRIPTOR;
	else
		error = end > inode_size(file->inode) ? resize(file->inode, end) : LH_OK;
	file_drop(file);
	return error;
}

/* --- flushing and locks --- */

static lh_error flush(struct call *call)
{
	struct file *file;
	lh_error error = LH_OK;

	LH_TRY(call_file(call, 0, &file));
	if (file->operations != NULL && file->operations->flush != NULL)
		error = file->operations->flush(file);
	file_drop(file);
	return error;
}

lh_error call_fsync(struct call *call)
{
	return flush(call);
}

lh_error call_fdatasync(struct call *call)
{
	return flush(call);
}

lh_error call_syncfs(struct call *call)
{
	return flush(call);
}

lh_error call_sync(struct call *call)
{
	(void)call; /* memory is all there is */
	return LH_OK;
}

static lh_error check_descriptor(struct call *call)
{
	struct file *file;

	LH_TRY(call_file(call, 0, &file));
	file_drop(file);
	return LH_OK;
}

/* Advisory locks are granted: nothing here contends for them. */
lh_error call_flock(struct call *call)
{
	return check_descriptor(call);
}

lh_error call_fadvise64(struct call *call)
{
	return check_descriptor(call);
}

/* --- sendfile --- */

#define SEND_CHUNK 16384u

/* Moves one chunk; *moved 0 at the input's end. What was read but could not be written is
 * read again the next time: the position moves only by what was written. */
static lh_error send_chunk(struct file *from, struct file *to, uint64_t *position, void *buffer,
			   size_t bytes, uint64_t *moved)
{
	struct transfer in = transfer_kernel(buffer, bytes), out;

	LH_TRY(file_read_at(from, &in, *position));
	out = transfer_kernel(buffer, bytes - in.left);
	while (out.left > 0) {
		uint64_t left = out.left;

		LH_TRY(file_write(to, &out));
		*moved += left - out.left;
		*position += left - out.left;
	}
	return LH_OK;
}

static lh_error send_all(struct file *from, struct file *to, uint64_t *position, uint64_t bytes,
			 uint64_t *value)
{
	void *buffer = kernel_allocate(SEND_CHUNK);
	lh_error error = LH_OK;
	uint64_t moved = 1;

	if (buffer == NULL)
		return LH_NO_MEMORY;
	while (error == LH_OK && moved > 0 && *value < bytes && !user_thread_must_end()) {
		uint64_t left = bytes - *value;

		moved = 0;
		error = send_chunk(from, to, position, buffer,
				   left < SEND_CHUNK ? (size_t)left : SEND_CHUNK, &moved);
		*value += moved;
	}
	kernel_free(buffer, SEND_CHUNK);
	return *value > 0 ? LH_OK : error;
}

/* At the position that lies at the address, or at the file's own. */
static lh_error send_from(struct file *from, struct file *to, uint64_t address, uint64_t bytes,
			  uint64_t *value)
{
	uint64_t position;
	lh_error error;

	if (!file_is_readable(from))
		return LH_BAD_DESCRIPTOR;
	if (from->operations == NULL || !from->operations->seekable)
		return LH_INVALID;
	if (address != 0) {
		LH_TRY(user_copy_in(&position, address, sizeof position));
		LH_TRY(send_all(from, to, &position, bytes, value));
		return user_copy_out(address, &position, sizeof position);
	}
	mutex_lock(&from->position_lock);
	error = send_all(from, to, &from->position, bytes, value);
	mutex_unlock(&from->position_lock);
	return error;
}

lh_error call_sendfile(struct call *call)
{
	struct file *from, *to;
	lh_error error;

	LH_TRY(call_file(call, 0, &to));
	error = call_file(call, 1, &from);
	if (error == LH_OK) {
		/* One and the same open file would be locked twice. */
		error = from == to ? LH_INVALID
				   : send_from(from, to, call->a[2], limited(call->a[3]),
					       &call->value);
		file_drop(from);
	}
	file_drop(to);
	return error;
}

lh_error call_copy_file_range(struct call *call)
{
	(void)call;
	return LH_NO_SYSTEM_CALL;
}
