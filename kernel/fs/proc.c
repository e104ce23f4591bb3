/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/proc.h"

#include "fs/path.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "process/process.h"

/* What a name of proc stands for. */
enum proc_kind {
	PROC_ROOT,
	PROC_PROCESS,	   /* /proc/PID */
	PROC_DESCRIPTORS,  /* /proc/PID/fd */
	PROC_SELF,	   /* link to the caller's PID */
	PROC_MACHINE_TEXT, /* /proc/NAME */
	PROC_PROCESS_TEXT, /* /proc/PID/NAME */
	PROC_EXECUTABLE,   /* links that lead to inodes */
	PROC_DIRECTORY,
	PROC_TREE_ROOT,
	PROC_DESCRIPTOR
};

struct proc_inode {
	struct inode inode; /* inode.parent is held */
	enum proc_kind kind;
	uint32_t pid;
	uint32_t index; /* in a table of texts, or the descriptor */
	size_t name_length;
	char name[24];
};

static const struct {
	const char *name;
	void (*write)(struct text *text);
} machine_texts[] = {
	{ "cpuinfo", proc_write_cpuinfo },   { "filesystems", proc_write_filesystems },
	{ "loadavg", proc_write_load },	     { "meminfo", proc_write_meminfo },
	{ "mounts", proc_write_mounts },     { "stat", proc_write_stat },
	{ "uptime", proc_write_uptime },     { "version", proc_write_version },
};
#define MACHINE_TEXTS (sizeof machine_texts / sizeof machine_texts[0])

static void write_process_mounts(struct text *text, struct process *process)
{
	(void)process;
	proc_write_mounts(text);
}

static const struct {
	const char *name;
	void (*write)(struct text *text, struct process *process);
} process_texts[] = {
	{ "cmdline", proc_write_command }, { "comm", proc_write_name },
	{ "maps", proc_write_maps },	   { "mounts", write_process_mounts },
	{ "smaps", proc_write_smaps },
	{ "stat", proc_write_process_stat }, { "statm", proc_write_process_statm },
	{ "status", proc_write_status },
};
#define PROCESS_TEXTS (sizeof process_texts / sizeof process_texts[0])

static const struct {
	const char *name;
	enum proc_kind kind;
	uint32_t mode;
} process_members[] = {
	{ "exe", PROC_EXECUTABLE, MODE_LINK | 0777 },
	{ "cwd", PROC_DIRECTORY, MODE_LINK | 0777 },
	{ "root", PROC_TREE_ROOT, MODE_LINK | 0777 },
	{ "fd", PROC_DESCRIPTORS, MODE_DIRECTORY | 0500 },
};
#define PROCESS_MEMBERS (sizeof process_members / sizeof process_members[0])

static const struct inode_operations proc_operations;
static const struct inode_operations proc_jump_operations;

static struct proc_inode *proc_of(struct inode *inode)
{
	return (struct proc_inode *)(void *)inode; /* its first member */
}

static lh_error make(struct inode *parent, const char *name, size_t length, enum proc_kind kind,
		     uint32_t mode, uint32_t pid, uint32_t index, struct inode **made)
{
	struct proc_inode *proc = kernel_allocate(sizeof *proc);
	bool jumps = (mode & MODE_TYPE) == MODE_LINK && kind != PROC_SELF;

	if (proc == NULL)
		return LH_NO_MEMORY;
	inode_initialise(&proc->inode, jumps ? &proc_jump_operations : &proc_operations,
			 DEVICE_PROC, (uint64_t)pid << 32 | (uint64_t)kind << 16 | (index + 1),
			 mode);
	proc->kind = kind;
	proc->pid = pid;
	proc->index = index;
	proc->name_length = length < sizeof proc->name ? length : sizeof proc->name;
	memcpy(proc->name, name, proc->name_length);
	inode_hold(parent);
	proc->inode.parent = parent;
	*made = &proc->inode;
	return LH_OK;
}

static void proc_release(struct inode *inode)
{
	inode_drop(inode->parent);
	kernel_free(proc_of(inode), sizeof(struct proc_inode));
}

bool proc_name_of(struct inode *inode, const char **name, size_t *length, struct inode **above)
{
	if (inode->device != DEVICE_PROC)
		return false;
	*name = proc_of(inode)->name;
	*length = proc_of(inode)->name_length;
	*above = inode->parent;
	return true;
}

/* --- look-up --- */

static bool names_equal(const char *name, size_t length, const char *other)
{
	return strlen(other) == length && memcmp(name, other, length) == 0;
}

static bool parse_number(const char *name, size_t length, uint32_t *number)
{
	uint32_t value = 0;

	if (length == 0 || length > 8 || (length > 1 && name[0] == '0'))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
		value = value * 10 + (uint32_t)(name[i] - '0');
	}
	*number = value;
	return true;
}

static bool process_exists(uint32_t pid)
{
	struct process *process = process_find(pid);

	process_drop(process);
	return process != NULL;
}

static lh_error look_up_root(struct inode *root, const char *name, size_t length,
			     struct inode **found)
{
	uint32_t pid;

	if (names_equal(name, length, "self"))
		return make(root, name, length, PROC_SELF, MODE_LINK | 0777, 0, 0, found);
	for (uint32_t i = 0; i < MACHINE_TEXTS; i++)
		if (names_equal(name, length, machine_texts[i].name))
			return make(root, name, length, PROC_MACHINE_TEXT, MODE_REGULAR | 0444, 0, i,
				    found);
	if (!parse_number(name, length, &pid) || !process_exists(pid))
		return LH_NO_ENTRY;
	return make(root, name, length, PROC_PROCESS, MODE_DIRECTORY | 0555, pid, 0, found);
}

static lh_error look_up_process(struct proc_inode *directory, const char *name, size_t length,
				struct inode **found)
{
	for (uint32_t i = 0; i < PROCESS_TEXTS; i++)
		if (names_equal(name, length, process_texts[i].name))
			return make(&directory->inode, name, length, PROC_PROCESS_TEXT,
				    MODE_REGULAR | 0444, directory->pid, i, found);
	for (uint32_t i = 0; i < PROCESS_MEMBERS; i++)
		if (names_equal(name, length, process_members[i].name))
			return make(&directory->inode, name, length, process_members[i].kind,
				    process_members[i].mode, directory->pid, 0, found);
	return LH_NO_ENTRY;
}

/* The table of descriptors, held; NULL: the process has none any more. */
static struct descriptor_table *hold_files(uint32_t pid)
{
	struct process *process = process_find(pid);
	struct descriptor_table *files = NULL;
	uintptr_t interrupts;

	if (process == NULL)
		return NULL;
	interrupts = process_lock();
	files = process->files;
	if (files != NULL)
		__atomic_fetch_add(&files->holders, 1, __ATOMIC_RELAXED);
	process_unlock(interrupts);
	process_drop(process);
	return files;
}

static lh_error find_descriptor(uint32_t pid, uint32_t number, struct file **file)
{
	struct descriptor_table *files = hold_files(pid);
	lh_error error = LH_NO_ENTRY;

	if (files != NULL && descriptor_find(files, number, file) == LH_OK)
		error = LH_OK;
	descriptor_table_drop(files);
	return error;
}

static lh_error look_up_descriptor(struct proc_inode *directory, const char *name, size_t length,
				   struct inode **found)
{
	struct file *file;
	uint32_t number;

	if (!parse_number(name, length, &number))
		return LH_NO_ENTRY;
	LH_TRY(find_descriptor(directory->pid, number, &file));
	file_drop(file);
	return make(&directory->inode, name, length, PROC_DESCRIPTOR, MODE_LINK | 0700,
		    directory->pid, number, found);
}

static lh_error proc_look_up(struct inode *directory, const char *name, size_t length,
			     struct inode **found)
{
	struct proc_inode *proc = proc_of(directory);

	switch (proc->kind) {
	case PROC_ROOT:
		return look_up_root(directory, name, length, found);
	case PROC_PROCESS:
		return look_up_process(proc, name, length, found);
	case PROC_DESCRIPTORS:
		return look_up_descriptor(proc, name, length, found);
	default:
		return LH_NO_ENTRY;
	}
}

/* --- links --- */

/* What a link leads to, held. */
static struct inode *target_of(struct process *process, enum proc_kind kind)
{
	struct user_memory *memory;
	struct inode *target = NULL;
	uintptr_t interrupts;

	if (kind == PROC_TREE_ROOT) {
		inode_hold(root_inode());
		return root_inode();
	}
	if (kind == PROC_DIRECTORY) {
		interrupts = process_lock();
		target = process->directory;
		if (target != NULL)
			inode_hold(target);
		process_unlock(interrupts);
		return target;
	}
	memory = process_hold_memory(process);
	if (memory != NULL && memory->executable != NULL) {
		target = memory->executable;
		inode_hold(target);
	}
	user_memory_drop(memory);
	return target;
}

static lh_error jump_to_descriptor(const struct proc_inode *proc, struct inode **target)
{
	struct file *file;
	lh_error error = LH_OK;

	LH_TRY(find_descriptor(proc->pid, proc->index, &file));
	if (file->inode == NULL) {
		error = LH_NO_DEVICE_ADDRESS;
	} else {
		inode_hold(file->inode);
		*target = file->inode;
	}
	file_drop(file);
	return error;
}

static lh_error proc_jump(struct inode *link, struct inode **target)
{
	struct proc_inode *proc = proc_of(link);
	struct process *process;

	if (proc->kind == PROC_DESCRIPTOR)
		return jump_to_descriptor(proc, target);
	process = process_find(proc->pid);
	if (process == NULL)
		return LH_NO_ENTRY;
	*target = target_of(process, proc->kind);
	process_drop(process);
	return *target != NULL ? LH_OK : LH_NO_ENTRY;
}

/* What has no name in the tree: as Linux writes pipes; the device of a stream. */
static size_t describe_unnamed(const struct inode *inode, char *text, size_t size)
{
	if (inode_type(inode) == MODE_FIFO)
		return format_text(text, size, "pipe:[%llu]", (unsigned long long)inode->number);
	return format_text(text, size, "device:[%llu:%llu]",
			   (unsigned long long)(inode->represents >> 8),
			   (unsigned long long)(inode->represents & 0xff));
}

static bool is_unnamed(const struct inode *inode)
{
	return inode->links == 0 && inode->device == DEVICE_TMPFS &&
	       (inode_type(inode) == MODE_FIFO || inode_type(inode) == MODE_CHARACTER);
}

static lh_error read_self(char *target, size_t size, size_t *length)
{
	char text[16];
	struct process *process = process_current();

	*length = format_text(text, sizeof text, "%u", process != NULL ? process->pid : 0);
	if (*length > size)
		return LH_OUT_OF_DOMAIN;
	memcpy(target, text, *length);
	return LH_OK;
}

static lh_error proc_read_link(struct inode *link, char *target, size_t size, size_t *length)
{
	struct inode *inode;
	char *path;
	lh_error error = LH_OK;

	if (proc_of(link)->kind == PROC_SELF)
		return read_self(target, size, length);
	LH_TRY(proc_jump(link, &inode));
	path = kernel_allocate(PATH_BYTES_MAX);
	if (path == NULL)
		error = LH_NO_MEMORY;
	else if (is_unnamed(inode))
		*length = describe_unnamed(inode, path, PATH_BYTES_MAX);
	else
		error = path_of_inode_locked(inode, path, PATH_BYTES_MAX, length);
	if (error == LH_OK && *length > size)
		*length = size;
	if (error == LH_OK)
		memcpy(target, path, *length);
	kernel_free(path, PATH_BYTES_MAX);
	inode_drop(inode);
	return error;
}

/* --- listings --- */

/* Positions: 0 ".", 1 "..", then the fixed names, then FIRST_NUMBER + a pid or descriptor. */
#define FIRST_NUMBER UINT64_C(1000)

static bool add_fixed(struct listing *listing, uint64_t *position, const char *name, uint32_t mode)
{
	if (!listing->add(listing, name, strlen(name), *position + 1, mode, *position + 1))
		return false;
	++*position;
	return true;
}

static bool list_fixed(enum proc_kind kind, uint64_t *position, struct listing *listing)
{
	while (*position < FIRST_NUMBER) {
		uint64_t index = *position - 2;
		bool more = true;

		if (*position < 2)
			more = add_fixed(listing, position, *position == 0 ? "." : "..",
					 MODE_DIRECTORY);
		else if (kind == PROC_ROOT && index < MACHINE_TEXTS)
			more = add_fixed(listing, position, machine_texts[index].name, MODE_REGULAR);
		else if (kind == PROC_ROOT && index == MACHINE_TEXTS)
			more = add_fixed(listing, position, "self", MODE_LINK);
		else if (kind == PROC_PROCESS && index < PROCESS_TEXTS)
			more = add_fixed(listing, position, process_texts[index].name, MODE_REGULAR);
		else if (kind == PROC_PROCESS && index < PROCESS_TEXTS + PROCESS_MEMBERS)
			more = add_fixed(listing, position,
					 process_members[index - PROCESS_TEXTS].name,
					 process_members[index - PROCESS_TEXTS].mode & MODE_TYPE);
		else
			*position = FIRST_NUMBER;
		if (!more)
			return false;
	}
	return true;
}

static bool add_number(struct listing *listing, uint64_t *position, uint32_t number, uint32_t mode)
{
	char name[16];
	size_t length = format_text(name, sizeof name, "%u", number);

	if (!listing->add(listing, name, length, (uint64_t)number + FIRST_NUMBER, mode,
			  (uint64_t)number + FIRST_NUMBER + 1))
		return false;
	*position = (uint64_t)number + FIRST_NUMBER + 1;
	return true;
}

static void list_processes(uint64_t *position, struct listing *listing)
{
	struct process *process;
	bool more = true;

	while (more && (process = process_next((uint32_t)(*position - FIRST_NUMBER))) != NULL) {
		more = add_number(listing, position, process->pid, MODE_DIRECTORY);
		process_drop(process);
	}
}

static void list_descriptors(uint32_t pid, uint64_t *position, struct listing *listing)
{
	struct descriptor_table *files = hold_files(pid);
	uint32_t number;

	while (files != NULL &&
	       descriptor_next(files, (uint32_t)(*position - FIRST_NUMBER), &number) &&
	       add_number(listing, position, number, MODE_LINK))
		;
	descriptor_table_drop(files);
}

static lh_error proc_list(struct inode *directory, uint64_t *position, struct listing *listing)
{
	struct proc_inode *proc = proc_of(directory);

	if (!list_fixed(proc->kind, position, listing) || *position > FIRST_NUMBER + UINT32_MAX)
		return LH_OK;
	if (proc->kind == PROC_ROOT)
		list_processes(position, listing);
	else if (proc->kind == PROC_DESCRIPTORS)
		list_descriptors(proc->pid, position, listing);
	return LH_OK;
}

/* --- texts --- */

static lh_error text_read(struct file *file, struct transfer *transfer, uint64_t *position)
{
	const struct text *text = file->state;
	uint64_t rest, bytes;

	if (*position >= text->length)
		return LH_OK;
	rest = text->length - *position;
	bytes = rest < transfer->left ? rest : transfer->left;
	LH_TRY(transfer_give(transfer, text->bytes + *position, bytes));
	*position += bytes;
	return LH_OK;
}

static void text_release(struct file *file)
{
	struct text *text = file->state;

	text_free(text);
	kernel_free(text, sizeof *text);
}

static const struct file_operations text_operations = {
	.read = text_read, .release = text_release, .seekable = true
};

static lh_error write_text(const struct proc_inode *proc, struct text *text)
{
	struct process *process;

	if (proc->kind == PROC_MACHINE_TEXT) {
		machine_texts[proc->index].write(text);
		return text->has_failed ? LH_NO_MEMORY : LH_OK;
	}
	process = process_find(proc->pid);
	if (process == NULL)
		return LH_NO_ENTRY;
	process_texts[proc->index].write(text, process);
	process_drop(process);
	return text->has_failed ? LH_NO_MEMORY : LH_OK;
}

static lh_error proc_open(struct inode *inode, struct file *file)
{
	struct text *text;
	lh_error error;

	if (file_is_writable(file))
		return LH_NO_ACCESS;
	text = kernel_allocate(sizeof *text);
	if (text == NULL)
		return LH_NO_MEMORY;
	error = write_text(proc_of(inode), text);
	if (error != LH_OK) {
		text_free(text);
		kernel_free(text, sizeof *text);
		return error;
	}
	file->state = text;
	file->operations = &text_operations;
	return LH_OK;
}

static const struct inode_operations proc_operations = {
	.look_up = proc_look_up,
	.list = proc_list,
	.read_link = proc_read_link,
	.open = proc_open,
	.release = proc_release,
};

static const struct inode_operations proc_jump_operations = {
	.read_link = proc_read_link,
	.jump = proc_jump,
	.release = proc_release,
};

static struct inode *mount_point; /* held; NULL: not mounted */

lh_error proc_mount(void)
{
	struct inode *point, *root;
	lh_error error;

	LH_TRY(path_find(root_inode(), "/proc", false, &point));
	if (!inode_is_directory(point)) {
		inode_drop(point);
		return LH_NOT_DIRECTORY;
	}
	error = make(root_inode(), "proc", 4, PROC_ROOT, MODE_DIRECTORY | 0555, 0, 0, &root);
	if (error != LH_OK) {
		inode_drop(point);
		return error;
	}
	root->links = 3;
	mount_point = point;
	tree_lock();
	point->mounted = root;
	tree_unlock();
	return LH_OK;
}

void proc_unmount(void)
{
	struct inode *root;

	if (mount_point == NULL)
		return;
	tree_lock();
	root = mount_point->mounted;
	mount_point->mounted = NULL;
	tree_unlock();
	inode_drop(root);
	inode_drop(mount_point);
	mount_point = NULL;
}
