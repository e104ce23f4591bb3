/* SPDX-License-Identifier: BSD-2-Clause */
/* tmpfs: names. What files hold is in tmpfs_file.c. */
#include "fs/tmpfs_node.h"

#include "lib/string.h"
#include "memory/heap.h"

#define HASH_BUCKETS 2048u
#define NUMBER_BUCKETS 512u

static struct tmpfs_entry *by_name[HASH_BUCKETS];     /* [t] */
static struct tmpfs_node *by_number[NUMBER_BUCKETS];  /* [t] */
static struct spinlock number_lock; /* by_number also needs this: release may lack the tree lock */
static uint64_t numbers_given;	    /* [a] */
static uint64_t node_count;	    /* [a] */

uint64_t tmpfs_inode_count(void)
{
	return __atomic_load_n(&node_count, __ATOMIC_RELAXED);
}

/* --- nodes --- */

static void number_link(struct tmpfs_node *node)
{
	struct tmpfs_node **bucket = &by_number[node->inode.number % NUMBER_BUCKETS];
	uintptr_t interrupts = spinlock_take(&number_lock);

	node->number_next = *bucket;
	if (*bucket != NULL)
		(*bucket)->number_previous = node;
	*bucket = node;
	spinlock_release(&number_lock, interrupts);
}

static void number_unlink(struct tmpfs_node *node)
{
	uintptr_t interrupts = spinlock_take(&number_lock);

	if (node->number_next != NULL)
		node->number_next->number_previous = node->number_previous;
	if (node->number_previous != NULL)
		node->number_previous->number_next = node->number_next;
	else
		by_number[node->inode.number % NUMBER_BUCKETS] = node->number_next;
	spinlock_release(&number_lock, interrupts);
}

/* One holder more, unless the last one has gone and the inode is about to be freed. */
static bool hold_if_alive(struct inode *inode)
{
	uint32_t holders = __atomic_load_n(&inode->holders, __ATOMIC_RELAXED);

	while (holders != 0)
		if (__atomic_compare_exchange_n(&inode->holders, &holders, holders + 1, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	return false;
}

struct inode *tmpfs_find_number(uint64_t number)
{
	uintptr_t interrupts = spinlock_take(&number_lock);
	struct tmpfs_node *node = by_number[number % NUMBER_BUCKETS];
	struct inode *found = NULL;

	while (node != NULL && node->inode.number != number)
		node = node->number_next;
	if (node != NULL && hold_if_alive(&node->inode))
		found = &node->inode;
	spinlock_release(&number_lock, interrupts);
	return found;
}

static struct tmpfs_node *node_create(uint32_t mode)
{
	struct tmpfs_node *node = kernel_allocate(sizeof *node);

	if (node == NULL)
		return NULL;
	inode_initialise(&node->inode, &tmpfs_operations, DEVICE_TMPFS,
			 __atomic_add_fetch(&numbers_given, 1, __ATOMIC_RELAXED), mode);
	node->inode.links = 0;
	node->next_position = 2; /* 0 and 1 are "." and ".." */
	mutex_init(&node->lock);
	number_link(node);
	__atomic_fetch_add(&node_count, 1, __ATOMIC_RELAXED);
	return node;
}

static void tmpfs_release(struct inode *inode)
{
	struct tmpfs_node *node = tmpfs_node(inode);

	number_unlink(node);
	tmpfs_file_release(node);
	if (node->target != NULL)
		kernel_free(node->target, node->target_length + 1);
	kernel_free(node, sizeof *node);
	__atomic_fetch_sub(&node_count, 1, __ATOMIC_RELAXED);
}

/* --- entries; all under the tree lock --- */

static uint32_t hash_name(const struct tmpfs_node *directory, const char *name, size_t length)
{
	uint32_t hash = (uint32_t)directory->inode.number * 2654435761u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)name[i]) * 16777619u;
	return hash;
}

static struct tmpfs_entry *entry_find(const struct tmpfs_node *directory, const char *name,
				      size_t length)
{
	uint32_t hash = hash_name(directory, name, length);
	struct tmpfs_entry *entry = by_name[hash % HASH_BUCKETS];

	for (; entry != NULL; entry = entry->hash_next)
		if (entry->hash == hash && entry->directory == directory &&
		    entry->length == length && memcmp(entry->name, name, length) == 0)
			return entry;
	return NULL;
}

/* Memory for an entry, with its name; in no directory yet. */
static struct tmpfs_entry *entry_create(const char *name)
{
	size_t length = strlen(name);
	struct tmpfs_entry *entry = kernel_allocate(sizeof *entry + length);

	if (entry == NULL)
		return NULL;
	entry->length = (uint32_t)length;
	memcpy(entry->name, name, length);
	return entry;
}

static void entry_free(struct tmpfs_entry *entry)
{
	if (entry != NULL)
		kernel_free(entry, sizeof *entry + entry->length);
}

/* Puts the entry for the node (held once more) at the end of the directory. Cannot fail. */
static void entry_link(struct tmpfs_entry *entry, struct tmpfs_node *directory,
		       struct tmpfs_node *node)
{
	struct tmpfs_entry **bucket;

	entry->directory = directory;
	entry->node = node;
	entry->position = directory->next_position++;
	entry->hash = hash_name(directory, entry->name, entry->length);
	bucket = &by_name[entry->hash % HASH_BUCKETS];
	entry->hash_next = *bucket;
	*bucket = entry;
	entry->previous = directory->last;
	entry->next = NULL;
	if (directory->last != NULL)
		directory->last->next = entry;
	else
		directory->first = entry;
	directory->last = entry;
	inode_hold(&node->inode);
	node->inode.links++;
	node->known_as = entry;
	if (inode_is_directory(&node->inode)) {
		node->inode.parent = &directory->inode;
		node->inode.links++; /* its own "." */
		directory->inode.links++; /* its ".." */
	}
	inode_touch_modified(&directory->inode);
}

/* Takes the entry out; the node's holder passes to the caller. */
static struct tmpfs_node *entry_unlink(struct tmpfs_entry *entry)
{
	struct tmpfs_node *directory = entry->directory, *node = entry->node;
	struct tmpfs_entry **link = &by_name[entry->hash % HASH_BUCKETS];

	while (*link != entry)
		link = &(*link)->hash_next;
	*link = entry->hash_next;
	if (entry->next != NULL)
		entry->next->previous = entry->previous;
	else
		directory->last = entry->previous;
	if (entry->previous != NULL)
		entry->previous->next = entry->next;
	else
		directory->first = entry->next;
	if (node->known_as == entry)
		node->known_as = NULL;
	node->inode.links--;
	if (inode_is_directory(&node->inode)) {
		node->inode.parent = NULL;
		node->inode.links--;
		directory->inode.links--;
	}
	inode_touch_modified(&directory->inode);
	inode_touch_changed(&node->inode);
	return node;
}

/* --- operations --- */

static lh_error tmpfs_look_up(struct inode *directory, const char *name, size_t length,
			      struct inode **found)
{
	struct tmpfs_entry *entry = entry_find(tmpfs_node(directory), name, length);

	if (entry == NULL)
		return LH_NO_ENTRY;
	if (entry->node->known_as == NULL)
		entry->node->known_as = entry;
	inode_hold(&entry->node->inode);
	*found = &entry->node->inode;
	return LH_OK;
}

/* "." and ".." at positions 0 and 1. => false: no room. */
static bool list_dots(struct inode *directory, uint64_t *position, struct listing *listing)
{
	const struct inode *above = directory->parent != NULL ? directory->parent : directory;

	if (*position == 0) {
		if (!listing->add(listing, ".", 1, directory->number, MODE_DIRECTORY, 1))
			return false;
		*position = 1;
	}
	if (*position == 1) {
		if (!listing->add(listing, "..", 2, above->number, MODE_DIRECTORY, 2))
			return false;
		*position = 2;
	}
	return true;
}

static lh_error tmpfs_list(struct inode *directory, uint64_t *position, struct listing *listing)
{
	struct tmpfs_entry *entry = tmpfs_node(directory)->first;

	if (!list_dots(directory, position, listing))
		return LH_OK;
	for (; entry != NULL; entry = entry->next) {
		if (entry->position < *position)
			continue;
		if (!listing->add(listing, entry->name, entry->length, entry->node->inode.number,
				  inode_mode(&entry->node->inode), entry->position + 1))
			return LH_OK;
		*position = entry->position + 1;
	}
	return LH_OK;
}

static lh_error tmpfs_read_link(struct inode *link, char *target, size_t size, size_t *length)
{
	const struct tmpfs_node *node = tmpfs_node(link);

	if (node->target_length > size)
		return LH_OUT_OF_DOMAIN;
	memcpy(target, node->target, node->target_length);
	*length = node->target_length;
	return LH_OK;
}

const struct inode_operations tmpfs_operations = {
	.look_up = tmpfs_look_up,
	.list = tmpfs_list,
	.read_link = tmpfs_read_link,
	.open = tmpfs_file_open,
	.resize = tmpfs_file_resize,
	.release = tmpfs_release,
};

lh_error tmpfs_create_root(struct inode **root)
{
	struct tmpfs_node *node = node_create(MODE_DIRECTORY | 0755);

	if (node == NULL)
		return LH_NO_MEMORY;
	node->inode.links = 2;
	node->inode.parent = &node->inode;
	*root = &node->inode;
	return LH_OK;
}

/* Without recursion: down to what is empty or no directory, which goes; and up from where all is gone. */
static void remove_all(struct tmpfs_node *root)
{
	struct tmpfs_node *at = root;

	while (root->first != NULL) {
		struct tmpfs_entry *entry = at->first;

		if (entry == NULL) {
			at = tmpfs_node(at->inode.parent);
		} else if (entry->node->first != NULL) {
			at = entry->node;
		} else {
			inode_drop(&entry_unlink(entry)->inode);
			entry_free(entry);
		}
	}
}

void tmpfs_destroy_root(struct inode *root)
{
	tree_lock();
	remove_all(tmpfs_node(root));
	tree_unlock();
	inode_drop(root);
}

/* A directory that names can be put into. Under the tree lock. */
static lh_error check_directory(struct inode *directory)
{
	if (directory->operations != &tmpfs_operations)
		return LH_NOT_PERMITTED;
	if (!inode_is_directory(directory))
		return LH_NOT_DIRECTORY;
	return tmpfs_node(directory)->is_removed ? LH_NO_ENTRY : LH_OK;
}

/* Links a node under a new name, if there still is none. */
static lh_error link_new(struct inode *directory, const char *name, struct tmpfs_node *node)
{
	struct tmpfs_entry *entry = entry_create(name);
	lh_error error;

	if (entry == NULL)
		return LH_NO_MEMORY;
	tree_lock();
	error = check_directory(directory);
	if (error == LH_OK && entry_find(tmpfs_node(directory), name, entry->length) != NULL)
		error = LH_EXISTS;
	if (error == LH_OK)
		entry_link(entry, tmpfs_node(directory), node);
	tree_unlock();
	if (error != LH_OK)
		entry_free(entry);
	return error;
}

lh_error tmpfs_make(struct inode *directory, const char *name, uint32_t mode, uint64_t represents,
		    struct inode **made)
{
	struct tmpfs_node *node = node_create(mode);
	lh_error error;

	if (node == NULL)
		return LH_NO_MEMORY;
	node->inode.represents = represents;
	error = link_new(directory, name, node);
	if (error != LH_OK)
		inode_drop(&node->inode);
	else
		*made = &node->inode;
	return error;
}

lh_error tmpfs_make_unnamed(uint32_t mode, uint64_t represents, struct inode **made)
{
	struct tmpfs_node *node = node_create(mode);

	if (node == NULL)
		return LH_NO_MEMORY;
	node->inode.represents = represents;
	*made = &node->inode;
	return LH_OK;
}

lh_error tmpfs_make_link(struct inode *directory, const char *name, const char *target)
{
	struct tmpfs_node *node = node_create(MODE_LINK | 0777);
	size_t length = strlen(target);
	lh_error error = LH_NO_MEMORY;

	if (node == NULL)
		return LH_NO_MEMORY;
	node->target = kernel_allocate(length + 1);
	if (node->target != NULL) {
		memcpy(node->target, target, length + 1);
		node->target_length = length;
		node->inode.size = length;
		error = link_new(directory, name, node);
	}
	inode_drop(&node->inode);
	return error;
}

lh_error tmpfs_link(struct inode *directory, const char *name, struct inode *inode)
{
	if (inode->operations != &tmpfs_operations)
		return LH_CROSS_DEVICE;
	LH_TRY(link_new(directory, name, tmpfs_node(inode)));
	inode_touch_changed(inode);
	return LH_OK;
}

/* Whether the node may lose this name. */
static lh_error check_removal(const struct tmpfs_node *node, bool is_directory)
{
	if (inode_is_directory(&node->inode) != is_directory)
		return is_directory ? LH_NOT_DIRECTORY : LH_IS_DIRECTORY;
	if (node->inode.mounted != NULL)
		return LH_BUSY;
	return node->first != NULL ? LH_NOT_EMPTY : LH_OK;
}

static lh_error remove_locked(struct inode *directory, const char *name, bool is_directory,
			      struct tmpfs_entry **removed)
{
	struct tmpfs_entry *entry;

	LH_TRY(check_directory(directory));
	entry = entry_find(tmpfs_node(directory), name, strlen(name));
	if (entry == NULL)
		return LH_NO_ENTRY;
	LH_TRY(check_removal(entry->node, is_directory));
	entry->node->is_removed = is_directory;
	(void)entry_unlink(entry);
	*removed = entry;
	return LH_OK;
}

lh_error tmpfs_remove(struct inode *directory, const char *name, bool is_directory)
{
	struct tmpfs_entry *removed = NULL;
	lh_error error;

	tree_lock();
	error = remove_locked(directory, name, is_directory, &removed);
	tree_unlock();
	if (removed != NULL)
		inode_drop(&removed->node->inode);
	entry_free(removed);
	return error;
}

/* --- rename --- */

/* True if inner is outer or lies below it. */
static bool lies_within(const struct inode *inner, const struct inode *outer)
{
	while (inner != NULL && inner != outer && inner != inner->parent)
		inner = inner->parent;
	return inner == outer;
}

/* Whether what is moved may replace what has the new name. */
static lh_error check_replacement(const struct tmpfs_node *node, const struct tmpfs_entry *target,
				  bool no_replace)
{
	if (target == NULL)
		return LH_OK;
	if (no_replace)
		return LH_EXISTS;
	return check_removal(target->node, inode_is_directory(&node->inode));
}

/* What a rename takes out and must free after the lock. */
struct replaced {
	struct tmpfs_entry *old_name, *target;
};

static lh_error rename_locked(struct inode *old_directory, const char *old_name,
			      struct inode *new_directory, struct tmpfs_entry *fresh,
			      bool no_replace, struct replaced *replaced)
{
	struct tmpfs_entry *entry, *target;
	struct tmpfs_node *node;

	LH_TRY(check_directory(old_directory));
	LH_TRY(check_directory(new_directory));
	entry = entry_find(tmpfs_node(old_directory), old_name, strlen(old_name));
	if (entry == NULL)
		return LH_NO_ENTRY;
	target = entry_find(tmpfs_node(new_directory), fresh->name, fresh->length);
	node = entry->node;
	if (target != NULL && target->node == node && !no_replace)
		return LH_AGAIN; /* two names of one file: nothing to do */
	if (inode_is_directory(&node->inode) && lies_within(new_directory, &node->inode))
		return LH_INVALID;
	if (node->inode.mounted != NULL)
		return LH_BUSY;
	LH_TRY(check_replacement(node, target, no_replace));
	if (target != NULL) {
		target->node->is_removed = inode_is_directory(&target->node->inode);
		(void)entry_unlink(target);
	}
	(void)entry_unlink(entry);
	entry_link(fresh, tmpfs_node(new_directory), node);
	*replaced = (struct replaced){ entry, target };
	return LH_OK;
}

lh_error tmpfs_rename(struct inode *old_directory, const char *old_name,
		      struct inode *new_directory, const char *new_name, bool no_replace)
{
	struct tmpfs_entry *fresh = entry_create(new_name);
	struct replaced replaced = { NULL, NULL };
	lh_error error;

	if (fresh == NULL)
		return LH_NO_MEMORY;
	tree_lock();
	error = rename_locked(old_directory, old_name, new_directory, fresh, no_replace, &replaced);
	tree_unlock();
	if (error != LH_OK)
		entry_free(fresh);
	if (replaced.old_name != NULL)
		inode_drop(&replaced.old_name->node->inode);
	if (replaced.target != NULL)
		inode_drop(&replaced.target->node->inode);
	entry_free(replaced.old_name);
	entry_free(replaced.target);
	return error == LH_AGAIN ? LH_OK : error;
}

bool tmpfs_name_of(struct inode *inode, const char **name, size_t *length, struct inode **above)
{
	const struct tmpfs_entry *entry;

	if (inode->operations != &tmpfs_operations || tmpfs_node(inode)->known_as == NULL)
		return false;
	entry = tmpfs_node(inode)->known_as;
	*name = entry->name;
	*length = entry->length;
	*above = &entry->directory->inode;
	return true;
}
