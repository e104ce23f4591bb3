/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel regions over memory that somebody else looks at too: firmware, device registers, devices
 * that read and write memory themselves.
 * With which memory type a page is seen, by these and by physical objects: object/views.h.
 */
#include "manager/kernel.h"
#include "object/views.h"

#include "base/memory.h"

static uint64_t pages_of(const lh_kernel_request *request)
{
	return lh_virtual_range_is_empty(request->specifically) ? request->placement.pages
								: request->specifically.pages;
}

lh_error lh_kernel_note_physical_locked(lh_manager *manager, lh_region *region,
					const lh_kernel_request *request,
					const struct lh_kernel_content *content)
{
	lh_view_of of = { content->frame, pages_of(request), content->type };

	return lh_view_note_locked(manager, region, &of);
}

/* --- memory that is there --- */

lh_error lh_manager_map_physical(lh_manager *manager, lh_region *region,
				 const lh_kernel_request *request, lh_physical_address physical,
				 lh_memory_type type)
{
	struct lh_kernel_content content = { .rights = request->rights, .type = type,
					     .frame = lh_physical_frame(physical).value,
					     .is_physical = true };

	lh_view_of of = { content.frame, pages_of(request), type };

	if ((physical.value & (LH_PAGE_SIZE - 1)) != 0 || type >= LH_MEMORY_TYPE_COUNT ||
	    !lh_view_is_addressable(manager, &of))
		return LH_INVALID;
	return lh_kernel_make(manager, region, request, &content);
}

lh_error lh_manager_map_bytes(lh_manager *manager, lh_region *region, lh_physical_address physical,
			      uint64_t bytes, lh_rights rights, lh_memory_type type, void **pointer)
{
	uint64_t into = physical.value & (LH_PAGE_SIZE - 1);
	lh_kernel_request request = { .rights = rights };
	lh_virtual_range cover;

	/* A cover of physical bytes, by the same arithmetic as one of virtual bytes. */
	LH_TRY(lh_virtual_range_cover(lh_virtual(physical.value), bytes, &cover));
	request.placement.pages = cover.pages;
	LH_TRY(lh_manager_map_physical(manager, region, &request,
				       lh_physical(physical.value - into), type));
	*pointer = (char *)(uintptr_t)region->range.base.value + into;
	return LH_OK;
}

/* --- rows of frames --- */

static void clear_row(lh_manager *manager, lh_frame_number first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		memset(lh_frame_pointer(manager->frames, lh_frame(first.value + i)), 0, LH_PAGE_SIZE);
}

/* => the number of the first frame that the mask cannot reach; 0: it reaches all. */
static uint64_t limit_of(uint64_t mask)
{
	return mask == UINT64_MAX ? 0 : (mask >> LH_PAGE_SHIFT) + 1;
}

static lh_error map_row(lh_manager *manager, lh_region *region, const lh_kernel_request *request,
			const lh_dma_request *dma, uint64_t count, lh_physical_address *physical)
{
	struct lh_kernel_content content = { .rights = request->rights, .row = count,
					     .type = LH_MEMORY_WRITE_BACK };
	lh_frame_number first;
	lh_error error;

	if (dma->mask < LH_PAGE_SIZE - 1 || (dma->mask & (dma->mask + 1)) != 0 || count == 0)
		return LH_INVALID;
	LH_TRY(lh_frame_allocate_contiguous(manager->frames, count, dma->alignment, limit_of(dma->mask),
					    LH_FRAME_KERNEL, &first));
	clear_row(manager, first, count);
	content.frame = first.value;
	error = lh_kernel_make(manager, region, request, &content);
	if (error == LH_OK)
		*physical = lh_frame_address(first);
	else
		lh_frame_drop_contiguous(manager->frames, first, count);
	return error;
}

lh_error lh_manager_map_dma(lh_manager *manager, lh_region *region, const lh_kernel_request *request,
			    const lh_dma_request *dma, lh_physical_address *physical)
{
	return map_row(manager, region, request, dma, pages_of(request), physical);
}

lh_error lh_manager_map_ring(lh_manager *manager, lh_region *region, const lh_kernel_request *request,
			     const lh_dma_request *dma, lh_physical_address *physical)
{
	lh_kernel_request twice = *request;
	uint64_t count = pages_of(request);

	if (count > UINT64_MAX / 2)
		return LH_INVALID;
	twice.placement.pages *= 2;
	twice.specifically.pages *= 2;
	return map_row(manager, region, &twice, dma, count, physical);
}
