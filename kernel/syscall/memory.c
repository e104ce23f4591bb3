/* SPDX-License-Identifier: BSD-2-Clause */
/* The mmap family, as the manual pages have it, on the library's strict operations. */
#include "memory/memory.h"

#include "process/map_tag.h"
#include "syscall/table.h"

#define RIGHTS_OF_PROTECTION_ALL (PROTECTION_READ | PROTECTION_WRITE | PROTECTION_EXECUTE)

static uint64_t page_ceiling(uint64_t address)
{
	return (address + LH_PAGE_SIZE - 1) & ~(LH_PAGE_SIZE - 1);
}

/* PROT_... and the library's rights have the same bits. */
static lh_rights rights_of(uint32_t protection)
{
	return (lh_rights)(protection & RIGHTS_OF_PROTECTION_ALL);
}

/* The pages of [address, address + bytes), inside user space. => LH_INVALID: not all of it. */
static lh_error user_pages(uint64_t address, uint64_t bytes, lh_virtual_range *range)
{
	if (address < USER_BASE || address >= USER_LIMIT || bytes > USER_LIMIT - address)
		return LH_INVALID;
	return lh_virtual_range_cover(lh_virtual(address), bytes, range);
}

static lh_space *current_space(void)
{
	return process_current()->memory->space;
}

/* --- mmap --- */

/* What the arguments of mmap come to. */
struct mapping {
	lh_map_request request;
	uint32_t flags;
	uint64_t bytes, hint;
};

static lh_error check_flags(const struct mapping *mapping, uint64_t offset)
{
	uint32_t type = mapping->flags & MAP_FLAG_TYPE;

	if (mapping->bytes == 0 || offset % LH_PAGE_SIZE != 0)
		return LH_INVALID;
	if (type != MAP_FLAG_SHARED && type != MAP_FLAG_PRIVATE && type != MAP_FLAG_SHARED_VALIDATE)
		return LH_INVALID;
	if ((mapping->flags & MAP_FLAG_GROWS_DOWN) != 0 &&
	    (type != MAP_FLAG_PRIVATE || (mapping->flags & MAP_FLAG_ANONYMOUS) == 0))
		return LH_INVALID;
	if (mapping->bytes > USER_LIMIT)
		return LH_NO_MEMORY;
	return LH_OK;
}

static bool is_shared(const struct mapping *mapping)
{
	return (mapping->flags & MAP_FLAG_TYPE) != MAP_FLAG_PRIVATE;
}

/* Shared anonymous memory is an object that nobody else knows; charged whole. */
static lh_error add_shared_anonymous(struct mapping *mapping)
{
	lh_object_setup setup = {
		.kind = LH_OBJECT_ANONYMOUS,
		.size = mapping->request.pages * LH_PAGE_SIZE,
		.committed = true,
	};

	mapping->request.tag = MAP_TAG_SHARED_ANONYMOUS;
	mapping->request.flags |= LH_REGION_SHARED;
	return lh_object_create(memory_manager(), &setup, &mapping->request.object);
}

static lh_error check_file(const struct file *file, const struct mapping *mapping)
{
	bool writes = is_shared(mapping) && (mapping->request.rights & LH_RIGHT_WRITE) != 0;

	if (file->operations == NULL || file->operations->map == NULL)
		return file->operations == NULL && file->inode != NULL &&
				       (file_flags(file) & OPEN_PATH) != 0
			       ? LH_BAD_DESCRIPTOR
			       : LH_NO_DEVICE;
	if (!file_is_readable(file) || (writes && !file_is_writable(file)))
		return LH_NO_ACCESS;
	return LH_OK;
}

/* => request.object is held for the caller. */
static lh_error add_file(struct mapping *mapping, struct file *file, uint64_t offset)
{
	lh_map_request *request = &mapping->request;

	LH_TRY(check_file(file, mapping));
	if (offset > (UINT64_C(1) << 62) || offset + mapping->bytes > (UINT64_C(1) << 62))
		return LH_OVERFLOW;
	LH_TRY(file->operations->map(file, offset + mapping->bytes, &request->object));
	if (request->object == NULL) /* /dev/zero */
		return is_shared(mapping) ? add_shared_anonymous(mapping) : LH_OK;
	request->object_page = offset / LH_PAGE_SIZE;
	request->tag = file->inode->number;
	if (is_shared(mapping)) {
		request->flags |= LH_REGION_SHARED;
		if (!file_is_writable(file))
			request->rights_max = LH_RIGHT_READ | LH_RIGHT_EXECUTE;
	}
	return LH_OK;
}

static lh_error add_backing(struct mapping *mapping, const struct call *call)
{
	struct file *file;
	lh_error error;

	if ((mapping->flags & MAP_FLAG_ANONYMOUS) != 0)
		return is_shared(mapping) ? add_shared_anonymous(mapping) : LH_OK;
	LH_TRY(call_file(call, 4, &file));
	error = add_file(mapping, file, call->a[5]);
	file_drop(file);
	return error;
}

/* At the address and nowhere else. */
static lh_error map_fixed(struct mapping *mapping, lh_virtual_range *placed)
{
	bool no_replace = (mapping->flags & MAP_FLAG_FIXED_NO_REPLACE) != 0;

	if (mapping->hint % LH_PAGE_SIZE != 0)
		return LH_INVALID;
	if (mapping->hint > USER_LIMIT - mapping->bytes)
		return LH_NO_MEMORY;
	if (mapping->hint < USER_ADDRESS_MIN)
		return LH_NOT_PERMITTED;
	mapping->request.where = no_replace ? LH_AT : LH_OVER;
	mapping->request.address = lh_virtual(mapping->hint);
	return lh_space_map(current_space(), &mapping->request, placed);
}

/* What is tried at a place. LH_EXISTS, LH_NO_HOLE: another place may do. */
typedef lh_error place_function(void *context, lh_virtual_range *placed);

/* At the hint if that is free, else the highest hole below the stack, else any hole. => request: what the function
 * asks with. */
static lh_error place_anywhere(lh_map_request *request, uint64_t hint, place_function *try, void *context,
			       lh_virtual_range *placed)
{
	lh_error error;

	hint &= ~(LH_PAGE_SIZE - 1);
	if (hint >= USER_ADDRESS_MIN && hint <= USER_LIMIT - request->pages * LH_PAGE_SIZE) {
		request->where = LH_AT;
		request->address = lh_virtual(hint);
		error = try(context, placed);
		if (error != LH_EXISTS)
			return error;
	}
	request->where = LH_ANYWHERE;
	request->direction = LH_HIGHEST_FIRST;
	request->within = process_current()->memory->placement;
	error = request->pages > request->within.pages ? LH_NO_HOLE : try(context, placed);
	if (error != LH_NO_HOLE)
		return error;
	request->direction = LH_LOWEST_FIRST;
	request->within = (lh_virtual_range){ lh_virtual(USER_ADDRESS_MIN),
					      (USER_LIMIT - USER_ADDRESS_MIN) / LH_PAGE_SIZE };
	return try(context, placed);
}

static lh_error try_map(void *request, lh_virtual_range *placed)
{
	return lh_space_map(current_space(), request, placed);
}

lh_error call_mmap(struct call *call)
{
	struct mapping mapping = {
		.flags = call_unsigned(call, 3), .bytes = call->a[1], .hint = call->a[0]
	};
	lh_map_request *request = &mapping.request;
	lh_virtual_range placed;
	lh_error error;

	LH_TRY(check_flags(&mapping, (mapping.flags & MAP_FLAG_ANONYMOUS) != 0 ? 0 : call->a[5]));
	mapping.bytes = page_ceiling(mapping.bytes);
	request->pages = mapping.bytes / LH_PAGE_SIZE;
	request->rights = rights_of(call_unsigned(call, 2));
	if ((mapping.flags & MAP_FLAG_GROWS_DOWN) != 0) {
		request->flags |= LH_REGION_GROWS_DOWN;
		request->guard_before = USER_STACK_GUARD_PAGES;
	}
	LH_TRY(add_backing(&mapping, call));
	if ((mapping.flags & (MAP_FLAG_FIXED | MAP_FLAG_FIXED_NO_REPLACE)) != 0)
		error = map_fixed(&mapping, &placed);
	else
		error = place_anywhere(request, mapping.hint, try_map, request, &placed);
	if (request->object != NULL)
		lh_object_drop(request->object);
	if (error == LH_OK)
		call->value = placed.base.value;
	return error;
}

lh_error call_munmap(struct call *call)
{
	lh_virtual_range range;

	uint64_t address = call->a[0], bytes = call->a[1];

	if (address % LH_PAGE_SIZE != 0 || bytes == 0)
		return LH_INVALID;
	if (address < USER_BASE) { /* where nothing ever is */
		if (bytes <= USER_BASE - address)
			return LH_OK;
		bytes -= USER_BASE - address;
		address = USER_BASE;
	}
	LH_TRY(user_pages(address, bytes, &range));
	return lh_space_unmap(current_space(), range);
}

/* --- mremap --- */

#define REMAP_FLAGS (REMAP_FLAG_MAY_MOVE | REMAP_FLAG_FIXED | REMAP_FLAG_DONT_UNMAP)

struct remapping {
	uint64_t address, old_bytes, bytes, hint;
	uint32_t flags;
	lh_remap_request request;
};

static lh_error check_remap_flags(const struct remapping *remapping)
{
	uint32_t flags = remapping->flags;

	if ((flags & ~REMAP_FLAGS) != 0 || remapping->address % LH_PAGE_SIZE != 0)
		return LH_INVALID;
	if ((flags & (REMAP_FLAG_FIXED | REMAP_FLAG_DONT_UNMAP)) != 0 && (flags & REMAP_FLAG_MAY_MOVE) == 0)
		return LH_INVALID;
	if ((flags & REMAP_FLAG_DONT_UNMAP) != 0 && remapping->old_bytes != remapping->bytes)
		return LH_INVALID;
	return LH_OK;
}

/* The new place, of which FIXED says that it is the only one, and DONT_UNMAP alone that it is preferred. */
static lh_error check_new_address(const struct remapping *remapping)
{
	uint64_t to = remapping->hint, from = remapping->address;

	if ((remapping->flags & (REMAP_FLAG_FIXED | REMAP_FLAG_DONT_UNMAP)) == 0)
		return LH_OK;
	if (to % LH_PAGE_SIZE != 0 || remapping->bytes > USER_LIMIT || to > USER_LIMIT - remapping->bytes)
		return LH_INVALID;
	if (from < to + remapping->bytes && to < from + remapping->old_bytes)
		return LH_INVALID;
	return (remapping->flags & REMAP_FLAG_FIXED) != 0 && to < USER_ADDRESS_MIN ? LH_NOT_PERMITTED : LH_OK;
}

/* A mapping begins at the address, or goes on there; else EFAULT. */
static lh_error check_mapped(uint64_t address)
{
	lh_region_info info;

	if (address < USER_BASE || address >= USER_LIMIT ||
	    lh_space_query(current_space(), lh_virtual(address), &info) != LH_OK ||
	    info.range.base.value > address)
		return LH_BAD_ADDRESS;
	return LH_OK;
}

/* What is cut off may be in several mappings. As on Linux it is gone even if what follows is refused. */
static lh_error cut_tail(struct remapping *remapping)
{
	lh_virtual_range range;
	uint64_t tail = remapping->address + remapping->bytes;

	if (remapping->old_bytes <= remapping->bytes)
		return LH_OK;
	LH_TRY(user_pages(tail, remapping->old_bytes - remapping->bytes, &range));
	LH_TRY(lh_space_unmap(current_space(), range));
	remapping->old_bytes = remapping->bytes;
	return LH_OK;
}

static lh_error try_remap(void *request, lh_virtual_range *placed)
{
	return lh_space_remap(current_space(), request, placed);
}

static lh_error remap(struct remapping *remapping, lh_virtual_range *placed)
{
	lh_remap_request *request = &remapping->request;
	bool dont_unmap = (remapping->flags & REMAP_FLAG_DONT_UNMAP) != 0;
	lh_error error;

	request->range = (lh_virtual_range){ lh_virtual(remapping->address), remapping->old_bytes / LH_PAGE_SIZE };
	request->to.pages = remapping->bytes / LH_PAGE_SIZE;
	if ((remapping->flags & REMAP_FLAG_FIXED) != 0) {
		request->to.where = LH_OVER;
		request->to.address = lh_virtual(remapping->hint);
	} else if (!dont_unmap) {
		request->flags = LH_REMAP_STAY;
		error = try_remap(request, placed);
		if (error != LH_NO_HOLE || (remapping->flags & REMAP_FLAG_MAY_MOVE) == 0)
			return error;
	}
	request->flags = LH_REMAP_MOVE | (dont_unmap ? LH_REMAP_KEEP : 0);
	if ((remapping->flags & REMAP_FLAG_FIXED) != 0)
		return try_remap(request, placed);
	return place_anywhere(&request->to, dont_unmap ? remapping->hint : 0, try_remap, request, placed);
}

/* The library says EFAULT's reasons in other words, and knows of guards, which FIXED does not keep on Linux. */
static lh_error remap_error(lh_error error)
{
	return error == LH_NOT_MAPPED ? LH_BAD_ADDRESS : error == LH_EXISTS ? LH_NO_MEMORY : error;
}

lh_error call_mremap(struct call *call)
{
	struct remapping remapping = {
		.address = call->a[0],
		.old_bytes = call->a[1],
		.bytes = call->a[2],
		.flags = call_unsigned(call, 3),
		.hint = call->a[4],
	};
	lh_virtual_range placed;
	lh_error error;

	LH_TRY(check_remap_flags(&remapping));
	remapping.old_bytes = page_ceiling(remapping.old_bytes);
	remapping.bytes = page_ceiling(remapping.bytes);
	if (remapping.bytes == 0)
		return LH_INVALID;
	LH_TRY(check_mapped(remapping.address));
	LH_TRY(check_new_address(&remapping));
	LH_TRY(cut_tail(&remapping));
	if (remapping.old_bytes > USER_LIMIT - remapping.address)
		return LH_BAD_ADDRESS;
	if (remapping.bytes > USER_LIMIT)
		return LH_NO_MEMORY;
	error = remap(&remapping, &placed);
	if (error == LH_OK)
		call->value = placed.base.value;
	return remap_error(error);
}

/* --- operations on what is mapped --- */

/* Called for each part of the range that one region covers. */
typedef lh_error part_function(lh_virtual_range part, const lh_region_info *info, uint64_t argument);

/*
 * Calls for each mapped part in order; ends at the first error. => LH_NOT_MAPPED: there is
 * a hole. stop_at_hole: what lies beyond the first hole is left alone.
 */
static lh_error for_each_part(lh_virtual_range range, bool stop_at_hole, part_function *function,
			      uint64_t argument)
{
	uint64_t at = range.base.value, end = at + range.pages * LH_PAGE_SIZE;
	bool has_hole = false;

	while (at < end) {
		lh_virtual_range part;
		lh_region_info info;

		if (lh_space_query(current_space(), lh_virtual(at), &info) != LH_OK ||
		    !lh_virtual_range_intersect(info.range, range, &part))
			return LH_NOT_MAPPED;
		if (info.range.base.value > at) {
			has_hole = true;
			if (stop_at_hole)
				return LH_NOT_MAPPED;
		} else {
			/* The part before at was seen already. */
			part.pages -= (at - part.base.value) / LH_PAGE_SIZE;
			part.base = lh_virtual(at);
		}
		LH_TRY(function(part, &info, argument));
		at = part.base.value + part.pages * LH_PAGE_SIZE;
	}
	return has_hole ? LH_NOT_MAPPED : LH_OK;
}

static lh_error protect_part(lh_virtual_range part, const lh_region_info *info, uint64_t rights)
{
	(void)info;
	return lh_space_protect(current_space(), part, (lh_rights)rights);
}

lh_error call_mprotect(struct call *call)
{
	uint32_t protection = call_unsigned(call, 2);
	struct user_memory *memory = process_current()->memory;
	lh_virtual_range range;
	lh_error error;

	if (call->a[0] % LH_PAGE_SIZE != 0 || (protection & ~RIGHTS_OF_PROTECTION_ALL) != 0)
		return LH_INVALID;
	if (call->a[1] == 0)
		return LH_OK;
	if (user_pages(call->a[0], call->a[1], &range) != LH_OK)
		return LH_NO_MEMORY;
	error = lh_space_protect(memory->space, range, rights_of(protection));
	if (error != LH_NOT_MAPPED && error != LH_NO_ACCESS)
		return error;
	/* Linux changes what comes before the hole, or before the region that forbids it. */
	mutex_lock(&memory->lock);
	error = for_each_part(range, true, protect_part, rights_of(protection));
	mutex_unlock(&memory->lock);
	return error;
}

#define ADVICE_DONT_NEED 4
#define ADVICE_HUGE 14
#define ADVICE_NO_HUGE 15
#define ADVICE_COLLAPSE 25
#define HUGE_PAGES 512u

static lh_error discard_part(lh_virtual_range part, const lh_region_info *info, uint64_t argument)
{
	(void)info;
	(void)argument;
	return lh_space_discard(current_space(), part);
}

static lh_error advise_part(lh_virtual_range part, const lh_region_info *info, uint64_t advice)
{
	(void)info;
	return lh_space_advise(current_space(), part,
			       advice == ADVICE_HUGE ? LH_ADVICE_HUGE : LH_ADVICE_NO_HUGE);
}

/* Pages that are there become huge ones, where 2 MiB, aligned, lie wholly in the part. Linux refuses a mapping that has
 * no such. */
static lh_error collapse_part(lh_virtual_range part, const lh_region_info *info, uint64_t argument)
{
	uint64_t before = info->range.base.value / LH_PAGE_SIZE % HUGE_PAGES;

	(void)argument;
	if (info->range.pages < (HUGE_PAGES - before) % HUGE_PAGES + HUGE_PAGES)
		return LH_INVALID;
	return lh_space_collapse(current_space(), part);
}

/* Advice that may be ignored without anybody being able to tell. */
static bool is_only_advice(int32_t advice)
{
	return (advice >= 0 && advice <= 3) || advice == 8 || advice == 12 || advice == 13 || advice == 16 || advice == 17 ||
	       advice == 20 || advice == 21;
}

/* What an advice does to each part; NULL: nothing. => false: there is no such advice. */
static bool find_advice(int32_t advice, part_function **function)
{
	*function = advice == ADVICE_DONT_NEED				     ? discard_part
		    : advice == ADVICE_COLLAPSE				     ? collapse_part
		    : advice == ADVICE_HUGE || advice == ADVICE_NO_HUGE ? advise_part
									     : NULL;
	return *function != NULL || is_only_advice(advice);
}

lh_error call_madvise(struct call *call)
{
	int32_t advice = call_int(call, 2);
	part_function *function;
	lh_virtual_range range;

	if (call->a[0] % LH_PAGE_SIZE != 0 || !find_advice(advice, &function))
		return LH_INVALID;
	if (call->a[1] == 0)
		return LH_OK;
	if (call->a[1] > UINT64_MAX - LH_PAGE_SIZE || call->a[0] > UINT64_MAX - page_ceiling(call->a[1]))
		return LH_INVALID;
	if (user_pages(call->a[0], call->a[1], &range) != LH_OK)
		return LH_NO_MEMORY;
	return function != NULL ? for_each_part(range, false, function, (uint64_t)advice) : LH_OK;
}

static lh_error nothing_to_do(lh_virtual_range part, const lh_region_info *info, uint64_t argument)
{
	(void)part;
	(void)info;
	(void)argument;
	return LH_OK;
}

#define SYNC_ASYNCHRONOUS 1u
#define SYNC_INVALIDATE 2u
#define SYNC_NOW 4u

/* Files are memory: a mapping and its file are one already. */
lh_error call_msync(struct call *call)
{
	uint32_t flags = call_unsigned(call, 2);
	lh_virtual_range range;

	if (call->a[0] % LH_PAGE_SIZE != 0 ||
	    (flags & ~(SYNC_ASYNCHRONOUS | SYNC_INVALIDATE | SYNC_NOW)) != 0 ||
	    (flags & (SYNC_ASYNCHRONOUS | SYNC_NOW)) == (SYNC_ASYNCHRONOUS | SYNC_NOW))
		return LH_INVALID;
	if (call->a[1] == 0)
		return LH_OK;
	if (user_pages(call->a[0], call->a[1], &range) != LH_OK)
		return LH_NO_MEMORY;
	return for_each_part(range, false, nothing_to_do, 0);
}

/* --- brk --- */

static lh_error grow_heap(struct user_memory *memory, uint64_t from, uint64_t to)
{
	lh_map_request request = {
		.where = LH_AT,
		.address = lh_virtual(from),
		.pages = (to - from) / LH_PAGE_SIZE,
		.rights = LH_RIGHT_READ | LH_RIGHT_WRITE,
	};
	lh_virtual_range placed;

	return lh_space_map(memory->space, &request, &placed);
}

/* Moves the break. Under the memory's lock; on error nothing changed. */
static lh_error move_break(struct user_memory *memory, uint64_t brk)
{
	uint64_t old_end = page_ceiling(memory->brk), end;

	if (brk < memory->brk_start || brk >= USER_LIMIT)
		return LH_INVALID;
	end = page_ceiling(brk);
	if (end > old_end) {
		LH_TRY(grow_heap(memory, old_end, end));
	} else if (end < old_end) {
		lh_virtual_range range;

		LH_TRY(user_pages(end, old_end - end, &range));
		LH_TRY(lh_space_unmap(memory->space, range));
	}
	memory->brk = brk;
	return LH_OK;
}

/* Gives the break there is now, moved or not: that is how its callers see failure. */
lh_error call_brk(struct call *call)
{
	struct user_memory *memory = process_current()->memory;

	mutex_lock(&memory->lock);
	if (call->a[0] != memory->brk)
		(void)!move_break(memory, call->a[0]);
	call->value = memory->brk;
	mutex_unlock(&memory->lock);
	return LH_OK;
}
