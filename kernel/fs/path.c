/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk over a path. It is a loop, not a recursion: a symbolic link's target is put
 * in front of what is still to be walked, and the loop goes on; 40 links are followed
 * at most, as in Linux. One walk holds the tree lock from start to end, so that it sees
 * one state of the tree; nothing in it sleeps for longer than the lock itself.
 */
#include "fs/path.h"

#include "fs/proc.h"
#include "fs/tmpfs.h"
#include "lib/string.h"
#include "memory/heap.h"

#define LINKS_FOLLOWED_MAX 40u

static struct inode *the_root;

struct inode *root_inode(void)
{
	return the_root;
}

void root_inode_set(struct inode *root)
{
	the_root = root;
}

/* A walk under way. */
struct walk {
	struct inode *at;   /* held */
	const char *rest;   /* what is still to be walked */
	char *buffers;	    /* two of PATH_BYTES_MAX, from the first link on: rest lies in one */
	uint32_t which;	    /* the one that rest does not lie in */
	uint32_t links;
	bool follow;
};

/* Moves to another inode, whose holder passes to the walk. */
static void walk_to(struct walk *walk, struct inode *inode)
{
	inode_drop(walk->at);
	walk->at = inode;
}

static void walk_to_root(struct walk *walk)
{
	inode_hold(the_root);
	walk_to(walk, the_root);
}

/* The directory that really is there: the covering root where something is mounted. */
static struct inode *uncovered(struct inode *inode)
{
	struct inode *mounted = inode->mounted;

	if (mounted == NULL)
		return inode;
	inode_hold(mounted);
	inode_drop(inode);
	return mounted;
}

/* "..": the directory above; the root's is itself. NULL where the tree is cut off. */
static struct inode *directory_above(struct inode *directory)
{
	struct inode *above = directory == the_root ? the_root : directory->parent;

	if (above != NULL)
		inode_hold(above);
	return above;
}

/* Looks one component up. Under the tree lock. */
static lh_error look_up(struct inode *directory, const char *name, size_t length,
			struct inode **found)
{
	if (!inode_is_directory(directory))
		return LH_NOT_DIRECTORY;
	if (length == 1 && name[0] == '.') {
		inode_hold(directory);
		*found = directory;
		return LH_OK;
	}
	if (length == 2 && name[0] == '.' && name[1] == '.') {
		struct inode *above = directory_above(directory);

		if (above == NULL)
			return LH_NO_ENTRY;
		*found = above;
		return LH_OK;
	}
	LH_TRY(directory->operations->look_up(directory, name, length, found));
	*found = uncovered(*found);
	return LH_OK;
}

/* Cuts the next component off. => its length; 0 at the end of the path. */
static size_t next_component(struct walk *walk, const char **name)
{
	size_t length = 0;

	while (*walk->rest == '/')
		walk->rest++;
	*name = walk->rest;
	while (walk->rest[length] != '\0' && walk->rest[length] != '/')
		length++;
	walk->rest += length;
	return length;
}

static bool only_slashes(const char *text)
{
	while (*text == '/')
		text++;
	return *text == '\0';
}

/* Puts the link's target in front of the rest; the walk stands where the link stood. */
static lh_error follow_link(struct walk *walk, struct inode *link)
{
	size_t target = 0, rest = strlen(walk->rest);
	char *path;

	if (link->operations->jump != NULL) {
		struct inode *inode;

		LH_TRY(link->operations->jump(link, &inode));
		walk_to(walk, inode);
		return LH_OK;
	}
	if (++walk->links > LINKS_FOLLOWED_MAX)
		return LH_LINK_LOOP;
	if (walk->buffers == NULL)
		walk->buffers = kernel_allocate(2 * PATH_BYTES_MAX);
	if (walk->buffers == NULL)
		return LH_NO_MEMORY;
	path = walk->buffers + walk->which * PATH_BYTES_MAX;
	if (link->operations->read_link(link, path, PATH_BYTES_MAX, &target) != LH_OK ||
	    target + rest + 1 > PATH_BYTES_MAX)
		return LH_NAME_TOO_LONG;
	if (target == 0)
		return LH_NO_ENTRY;
	memcpy(path + target, walk->rest, rest + 1);
	walk->rest = path;
	walk->which ^= 1;
	if (*path == '/')
		walk_to_root(walk);
	return LH_OK;
}

/* Replaces a link that leads to an inode directly by that inode. */
static lh_error jump(struct inode **inode)
{
	struct inode *target;

	if ((*inode)->operations->jump == NULL)
		return LH_OK;
	LH_TRY((*inode)->operations->jump(*inode, &target));
	inode_drop(*inode);
	*inode = target;
	return LH_OK;
}

/* => LH_AGAIN: go on with the link's target. */
static lh_error follow_last(struct walk *walk, struct inode *link)
{
	LH_TRY(follow_link(walk, link));
	return LH_AGAIN;
}

/* The last component: fills in the place. => LH_AGAIN: a link was followed, go on. */
static lh_error walk_last(struct walk *walk, const char *name, size_t length,
			  struct path_place *place)
{
	struct inode *found = NULL;
	lh_error error = look_up(walk->at, name, length, &found);
	bool slash = *walk->rest == '/';

	if (error != LH_OK && error != LH_NO_ENTRY)
		return error;
	if (found != NULL && inode_type(found) == MODE_LINK && (walk->follow || slash)) {
		error = jump(&found);
		if (error == LH_OK && inode_type(found) == MODE_LINK)
			error = follow_last(walk, found);
		if (error != LH_OK) {
			inode_drop(found);
			return error;
		}
	}
	if (found != NULL && slash && !inode_is_directory(found)) {
		inode_drop(found);
		return LH_NOT_DIRECTORY;
	}
	memcpy(place->name, name, length);
	place->name[length] = '\0';
	place->is_plain = !(name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')));
	place->wants_directory = slash;
	place->inode = found;
	place->directory = walk->at;
	walk->at = NULL;
	return LH_OK;
}

/* A component with more behind it. */
static lh_error walk_through(struct walk *walk, const char *name, size_t length)
{
	struct inode *found;
	lh_error error;

	LH_TRY(look_up(walk->at, name, length, &found));
	if (inode_type(found) != MODE_LINK) {
		walk_to(walk, found);
		return LH_OK;
	}
	error = follow_link(walk, found);
	inode_drop(found);
	return error;
}

/* The path was "/" or a link to it: a place without a name. */
static lh_error walk_ends_at_directory(struct walk *walk, struct path_place *place)
{
	inode_hold(walk->at);
	place->inode = walk->at;
	place->directory = walk->at;
	place->name[0] = '\0';
	place->is_plain = false;
	place->wants_directory = true;
	walk->at = NULL;
	return LH_OK;
}

static lh_error walk_path(struct walk *walk, struct path_place *place)
{
	for (;;) {
		const char *name;
		size_t length = next_component(walk, &name);
		lh_error error;

		if (length == 0)
			return walk_ends_at_directory(walk, place);
		if (length > NAME_BYTES_MAX)
			return LH_NAME_TOO_LONG;
		if (!only_slashes(walk->rest)) {
			LH_TRY(walk_through(walk, name, length));
			continue;
		}
		error = walk_last(walk, name, length, place);
		if (error != LH_AGAIN)
			return error;
	}
}

lh_error path_resolve(struct inode *start, const char *path, bool follow,
		      struct path_place *place)
{
	struct walk walk = { .at = *path == '/' ? the_root : start, .rest = path, .follow = follow };
	lh_error error;

	if (*path == '\0')
		return LH_NO_ENTRY;
	inode_hold(walk.at);
	tree_lock();
	error = walk_path(&walk, place);
	tree_unlock();
	inode_drop(walk.at);
	kernel_free(walk.buffers, 2 * PATH_BYTES_MAX);
	return error;
}

void path_place_drop(struct path_place *place)
{
	inode_drop(place->inode);
	inode_drop(place->directory);
}

lh_error path_find(struct inode *start, const char *path, bool follow, struct inode **inode)
{
	struct path_place place;

	LH_TRY(path_resolve(start, path, follow, &place));
	inode_drop(place.directory);
	if (place.inode == NULL)
		return LH_NO_ENTRY;
	*inode = place.inode;
	return LH_OK;
}

/* --- open --- */

/* Makes the missing file. Another may make it first: then that one is opened. */
static lh_error create_missing(struct path_place *place, uint32_t flags, uint32_t mode)
{
	lh_error error;

	if (place->wants_directory)
		return LH_IS_DIRECTORY;
	error = tmpfs_make(place->directory, place->name, MODE_REGULAR | mode, 0, &place->inode);
	if (error != LH_EXISTS || (flags & OPEN_EXCLUSIVE) != 0)
		return error;
	return path_find(place->directory, place->name, true, &place->inode);
}

static lh_error check_type(const struct inode *inode, uint32_t flags)
{
	bool writes = (flags & OPEN_ACCESS_MODE) != OPEN_READ_ONLY;

	if ((flags & OPEN_DIRECTORY) != 0 && !inode_is_directory(inode))
		return LH_NOT_DIRECTORY;
	if ((flags & OPEN_PATH) != 0)
		return LH_OK;
	if (inode_type(inode) == MODE_LINK)
		return LH_LINK_LOOP;
	if (inode_is_directory(inode) && (writes || (flags & OPEN_CREATE) != 0))
		return LH_IS_DIRECTORY;
	return LH_OK;
}

/* The inode to open; a new one where the flags say so. */
static lh_error find_to_open(struct path_place *place, uint32_t flags, uint32_t mode, bool *made)
{
	*made = false;
	if (place->inode != NULL) {
		if ((flags & OPEN_CREATE) != 0 && (flags & OPEN_EXCLUSIVE) != 0)
			return LH_EXISTS;
		return LH_OK;
	}
	if ((flags & OPEN_CREATE) == 0)
		return LH_NO_ENTRY;
	*made = true;
	return create_missing(place, flags, mode);
}

static lh_error open_place(struct path_place *place, uint32_t flags, uint32_t mode, struct file *file)
{
	bool made;

	LH_TRY(find_to_open(place, flags, mode, &made));
	if (!made)
		LH_TRY(check_type(place->inode, flags));
	LH_TRY(file_open_as(file, place->inode));
	if (!made && (flags & OPEN_TRUNCATE) != 0 && place->inode->operations->resize != NULL &&
	    inode_type(place->inode) == MODE_REGULAR)
		return inode_resize(place->inode, 0);
	return LH_OK;
}

/* What can fail for want of memory comes before the name is made: no file is left by an open that failed. */
static lh_error make_and_open(struct path_place *place, uint32_t flags, uint32_t mode, struct file **result)
{
	struct file *file;
	lh_error error;

	LH_TRY(file_make(flags, &file));
	error = open_place(place, flags, mode, file);
	if (error != LH_OK)
		file_drop(file);
	else
		*result = file;
	return error;
}

lh_error path_open(struct inode *start, const char *path, uint32_t flags, uint32_t mode,
		   struct file **file)
{
	bool exclusive = (flags & OPEN_CREATE) != 0 && (flags & OPEN_EXCLUSIVE) != 0;
	bool follow = (flags & OPEN_NO_FOLLOW) == 0 && !exclusive;
	struct path_place place;
	lh_error error;

	LH_TRY(path_resolve(start, path, follow, &place));
	error = make_and_open(&place, flags, mode & MODE_PERMISSIONS, file);
	path_place_drop(&place);
	return error;
}

/* --- what changes names --- */

/* The place of a name to be made: nothing there yet, and a name that can be given. */
static lh_error resolve_new(struct inode *start, const char *path, struct path_place *place)
{
	LH_TRY(path_resolve(start, path, false, place));
	if (place->inode == NULL && place->is_plain)
		return LH_OK;
	path_place_drop(place);
	return LH_EXISTS;
}

lh_error path_make(struct inode *start, const char *path, uint32_t mode, uint64_t represents)
{
	struct path_place place;
	struct inode *made = NULL;
	lh_error error;

	LH_TRY(resolve_new(start, path, &place));
	if (place.wants_directory && (mode & MODE_TYPE) != MODE_DIRECTORY)
		error = LH_NO_ENTRY;
	else
		error = tmpfs_make(place.directory, place.name, mode, represents, &made);
	inode_drop(made);
	path_place_drop(&place);
	return error;
}

lh_error path_make_link(struct inode *start, const char *path, const char *target)
{
	struct path_place place;
	lh_error error;

	if (*target == '\0')
		return LH_NO_ENTRY;
	LH_TRY(resolve_new(start, path, &place));
	error = place.wants_directory ? LH_NO_ENTRY
				      : tmpfs_make_link(place.directory, place.name, target);
	path_place_drop(&place);
	return error;
}

static lh_error remove_place(struct path_place *place, bool directory)
{
	if (!place->is_plain) {
		if (!directory)
			return LH_IS_DIRECTORY;
		if (place->name[0] == '\0')
			return LH_BUSY;
		return place->name[1] == '.' ? LH_NOT_EMPTY : LH_INVALID;
	}
	if (place->inode == NULL)
		return LH_NO_ENTRY;
	if (place->inode->device != place->directory->device)
		return LH_BUSY; /* the root of a mount */
	return tmpfs_remove(place->directory, place->name, directory);
}

lh_error path_remove(struct inode *start, const char *path, bool directory)
{
	struct path_place place;
	lh_error error;

	LH_TRY(path_resolve(start, path, false, &place));
	error = remove_place(&place, directory);
	path_place_drop(&place);
	return error;
}

lh_error path_link(struct inode *inode, struct inode *start, const char *path)
{
	struct path_place place;
	lh_error error;

	if (inode_is_directory(inode))
		return LH_NOT_PERMITTED;
	LH_TRY(resolve_new(start, path, &place));
	error = place.wants_directory ? LH_NO_ENTRY
				      : tmpfs_link(place.directory, place.name, inode);
	path_place_drop(&place);
	return error;
}

static lh_error rename_places(struct path_place *from, struct path_place *to, bool no_replace)
{
	bool directory;

	if (!from->is_plain || !to->is_plain)
		return LH_BUSY;
	if (from->inode == NULL)
		return LH_NO_ENTRY;
	directory = inode_is_directory(from->inode);
	if (!directory && (from->wants_directory || to->wants_directory))
		return LH_NOT_DIRECTORY;
	if (no_replace && to->inode != NULL)
		return LH_EXISTS;
	return tmpfs_rename(from->directory, from->name, to->directory, to->name, no_replace);
}

lh_error path_rename(struct inode *old_start, const char *old_path, struct inode *new_start,
		     const char *new_path, bool no_replace)
{
	struct path_place *places = kernel_allocate(2 * sizeof *places);
	lh_error error;

	if (places == NULL)
		return LH_NO_MEMORY;
	error = path_resolve(old_start, old_path, false, &places[0]);
	if (error == LH_OK) {
		error = path_resolve(new_start, new_path, false, &places[1]);
		if (error == LH_OK) {
			error = rename_places(&places[0], &places[1], no_replace);
			path_place_drop(&places[1]);
		}
		path_place_drop(&places[0]);
	}
	kernel_free(places, 2 * sizeof *places);
	return error;
}

/* --- the way back --- */

#define NAME_DELETED "/ (deleted)"

/* Writes "/name" in front of *start. => false: no room. */
static bool prepend(char *path, size_t *start, const char *name, size_t length)
{
	if (*start < length + 1)
		return false;
	*start -= length;
	memcpy(path + *start, name, length);
	path[--*start] = '/';
	return true;
}

/* Builds the path backwards from the end of the buffer; LH_NO_ENTRY: it has none. */
static lh_error collect(struct inode *inode, char *path, size_t *start)
{
	while (inode != the_root) {
		const char *name;
		size_t length;
		struct inode *above;

		if (!tmpfs_name_of(inode, &name, &length, &above) &&
		    !proc_name_of(inode, &name, &length, &above))
			return LH_NO_ENTRY;
		if (!prepend(path, start, name, length))
			return LH_OUT_OF_DOMAIN;
		inode = above;
	}
	return LH_OK;
}

lh_error path_of_inode_locked(struct inode *inode, char *path, size_t size, size_t *length)
{
	size_t start = size;
	lh_error error;

	if (size < sizeof NAME_DELETED)
		return LH_OUT_OF_DOMAIN;
	path[--start] = '\0';
	error = collect(inode, path, &start);
	if (error == LH_NO_ENTRY) {
		memcpy(path, NAME_DELETED, sizeof NAME_DELETED);
		*length = sizeof NAME_DELETED - 1;
		return LH_OK;
	}
	LH_TRY(error);
	if (start == size - 1)
		path[--start] = '/';
	*length = size - 1 - start;
	memmove(path, path + start, *length + 1);
	return LH_OK;
}

lh_error path_of_inode(struct inode *inode, char *path, size_t size, size_t *length)
{
	lh_error error;

	tree_lock();
	error = path_of_inode_locked(inode, path, size, length);
	tree_unlock();
	return error;
}
