/* SPDX-License-Identifier: BSD-2-Clause */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *zeroed(uint64_t count, size_t size)
{
	void *memory = calloc((size_t)count, size);

	if (!memory) {
		fputs("model: the host is out of memory\n", stderr);
		abort();
	}
	return memory;
}

/* --- objects --- */

model_object *model_object_create(uint64_t size, uint64_t pages_max)
{
	model_object *object = zeroed(1, sizeof *object);

	object->size = size;
	object->pages = pages_max;
	object->bytes = zeroed(pages_max, sizeof *object->bytes);
	return object;
}

void model_object_destroy(model_object *object)
{
	free(object->bytes);
	free(object);
}

void model_object_fill(model_object *object, uint64_t page, const void *bytes, size_t count)
{
	memcpy(object->bytes[page], bytes, count < MODEL_BYTES ? count : MODEL_BYTES);
}

/* Does any byte of the page lie within the object? */
static bool within_object(const model_object *object, uint64_t page)
{
	return page < object->size / LH_PAGE_SIZE + (object->size % LH_PAGE_SIZE != 0);
}

static void clear_past_end(model_object *object)
{
	for (uint64_t page = 0; page < object->pages; page++) {
		for (uint64_t i = 0; i < MODEL_BYTES; i++)
			if (page * LH_PAGE_SIZE + i >= object->size)
				object->bytes[page][i] = 0;
	}
}

static void drop_copies_past_end(model_space *space, const model_object *object)
{
	for (uint64_t n = 0; n < space->count; n++) {
		model_page *page = &space->pages[n];

		if (page->mapped && page->object == object &&
		    !within_object(object, page->object_page))
			page->copied = false;
	}
}

void model_object_resize(model_object *object, uint64_t size, model_space *const *spaces,
			 size_t space_count)
{
	object->size = size;
	clear_past_end(object);
	for (size_t i = 0; i < space_count; i++)
		drop_copies_past_end(spaces[i], object);
}

/* --- spaces --- */

model_space *model_space_create(lh_virtual_address base, uint64_t pages)
{
	model_space *space = zeroed(1, sizeof *space);

	space->base = base.value;
	space->count = pages;
	space->pages = zeroed(pages, sizeof *space->pages);
	return space;
}

void model_space_destroy(model_space *space)
{
	free(space->pages);
	free(space);
}

model_page *model_page_at(const model_space *space, lh_virtual_address address)
{
	uint64_t index = (address.value - space->base) / LH_PAGE_SIZE;

	return address.value >= space->base && index < space->count ? &space->pages[index] : NULL;
}

/* Page n of a range; NULL outside the model. */
static model_page *page_of(const model_space *space, lh_virtual_address address, uint64_t n)
{
	return model_page_at(space, lh_virtual(address.value + n * LH_PAGE_SIZE));
}

void model_map(model_space *space, lh_virtual_address address, uint64_t pages,
	       const model_page *like)
{
	for (uint64_t n = 0; n < pages; n++) {
		model_page *page = page_of(space, address, n);

		if (!page)
			continue;
		*page = *like;
		page->mapped = true;
		page->copied = false;
		memset(page->bytes, 0, sizeof page->bytes);
		page->object_page = like->object_page + n;
	}
}

void model_unmap(model_space *space, lh_virtual_address address, uint64_t pages)
{
	for (uint64_t n = 0; n < pages; n++) {
		model_page *page = page_of(space, address, n);

		if (page)
			memset(page, 0, sizeof *page);
	}
}

bool model_any_mapped(const model_space *space, lh_virtual_address address, uint64_t pages)
{
	for (uint64_t n = 0; n < pages; n++) {
		const model_page *page = page_of(space, address, n);

		if (page && page->mapped)
			return true;
	}
	return false;
}

bool model_all_mapped(const model_space *space, lh_virtual_address address, uint64_t pages)
{
	for (uint64_t n = 0; n < pages; n++) {
		const model_page *page = page_of(space, address, n);

		if (!page || !page->mapped)
			return false;
	}
	return true;
}

bool model_has_hole(const model_space *space, lh_virtual_address first, uint64_t limit,
		    uint64_t pages, uint64_t alignment)
{
	for (uint64_t n = 0; n < limit && pages <= limit - n; n++) {
		lh_virtual_address at = lh_virtual(first.value + n * LH_PAGE_SIZE);

		if (at.value / LH_PAGE_SIZE % alignment == 0 && model_page_at(space, at) &&
		    page_of(space, at, pages - 1) && !model_any_mapped(space, at, pages))
			return true;
	}
	return false;
}

model_outcome model_protect(model_space *space, lh_virtual_address address, uint64_t pages,
			    lh_rights rights)
{
	if (!model_all_mapped(space, address, pages))
		return MODEL_NOT_MAPPED;
	for (uint64_t n = 0; n < pages; n++)
		if (rights & ~page_of(space, address, n)->rights_max)
			return MODEL_NO_ACCESS;
	for (uint64_t n = 0; n < pages; n++)
		page_of(space, address, n)->rights = rights;
	return MODEL_OK;
}

model_outcome model_discard(model_space *space, lh_virtual_address address, uint64_t pages)
{
	if (!model_all_mapped(space, address, pages))
		return MODEL_NOT_MAPPED;
	for (uint64_t n = 0; n < pages; n++) {
		model_page *page = page_of(space, address, n);

		page->copied = false;
		memset(page->bytes, 0, sizeof page->bytes);
	}
	return MODEL_OK;
}

static void inherit(model_page *page)
{
	if (page->not_inherited)
		memset(page, 0, sizeof *page);
	else if (page->empty_on_fork && !page->shared) {
		page->copied = false;
		memset(page->bytes, 0, sizeof page->bytes);
	}
}

model_space *model_fork(const model_space *parent)
{
	model_space *child = model_space_create(lh_virtual(parent->base), parent->count);

	memcpy(child->pages, parent->pages, (size_t)parent->count * sizeof *parent->pages);
	for (uint64_t n = 0; n < child->count; n++)
		inherit(&child->pages[n]);
	return child;
}

/* --- accesses --- */

/* Reading is implied by the other two rights on x86-64. */
static bool grants(lh_rights rights, lh_rights right)
{
	return right == LH_RIGHT_READ ? rights != LH_RIGHT_NONE : (rights & right) != 0;
}

model_outcome model_access(const model_space *space, lh_virtual_address address, lh_rights right)
{
	const model_page *page = model_page_at(space, address);

	if (!page || !page->mapped)
		return MODEL_NOT_MAPPED;
	if (page->backing == MODEL_RESERVATION || !grants(page->rights, right))
		return MODEL_NO_ACCESS;
	if (page->backing == MODEL_OBJECT && !within_object(page->object, page->object_page))
		return MODEL_BUS;
	return MODEL_OK;
}

/* Where the page's bytes are read. */
static const uint8_t *bytes_of(const model_page *page)
{
	if (page->backing == MODEL_OBJECT && !page->copied)
		return page->object->bytes[page->object_page];
	return page->bytes;
}

model_outcome model_read(const model_space *space, lh_virtual_address address, void *to,
			 size_t bytes)
{
	model_outcome outcome = model_access(space, address, LH_RIGHT_READ);

	if (outcome == MODEL_OK)
		memcpy(to, bytes_of(model_page_at(space, address)) + address.value % LH_PAGE_SIZE,
		       bytes);
	return outcome;
}

model_outcome model_write(model_space *space, lh_virtual_address address, const void *from,
			  size_t bytes)
{
	model_outcome outcome = model_access(space, address, LH_RIGHT_WRITE);
	model_page *page = model_page_at(space, address);
	uint8_t *to;

	if (outcome != MODEL_OK)
		return outcome;
	to = page->bytes;
	if (page->shared && page->backing == MODEL_OBJECT)
		to = page->object->bytes[page->object_page];
	else if (!page->copied) {
		memcpy(page->bytes, bytes_of(page), MODEL_BYTES);
		page->copied = true;
	}
	memcpy(to + address.value % LH_PAGE_SIZE, from, bytes);
	return MODEL_OK;
}

/* --- comparing --- */

static char difference[256];

static const char *differs(uint64_t address, const char *what, uint64_t subject, uint64_t model)
{
	snprintf(difference, sizeof difference,
		 "page %#" PRIx64 ": %s is %#" PRIx64 ", the model says %#" PRIx64, address, what,
		 subject, model);
	return difference;
}

static const char *compare_descriptions(uint64_t address, const model_page *is,
					const model_page *should)
{
	if (is->mapped != should->mapped)
		return differs(address, "mapped", is->mapped, should->mapped);
	if (!should->mapped)
		return NULL;
	if (is->rights != should->rights)
		return differs(address, "rights", is->rights, should->rights);
	if (is->rights_max != should->rights_max)
		return differs(address, "rights_max", is->rights_max, should->rights_max);
	if (is->shared != should->shared)
		return differs(address, "shared", is->shared, should->shared);
	return is->tag == should->tag ? NULL : differs(address, "tag", is->tag, should->tag);
}

static const char *compare_reads(const model_space *space, lh_virtual_address address,
				 const model_subject *subject)
{
	uint8_t is[MODEL_BYTES] = { 0 }, should[MODEL_BYTES] = { 0 };
	model_outcome expected = model_read(space, address, should, MODEL_BYTES);
	model_outcome outcome = subject->read(subject->context, address, is);

	if (outcome != expected) {
		snprintf(difference, sizeof difference,
			 "page %#" PRIx64 ": a read gives %s, the model says %s", address.value,
			 model_outcome_name(outcome), model_outcome_name(expected));
		return difference;
	}
	for (unsigned i = 0; i < MODEL_BYTES && outcome == MODEL_OK; i++)
		if (is[i] != should[i])
			return differs(address.value + i, "the byte", is[i], should[i]);
	return NULL;
}

const char *model_compare(const model_space *space, const model_subject *subject)
{
	const char *text = NULL;

	for (uint64_t n = 0; n < space->count && !text; n++) {
		lh_virtual_address address = lh_virtual(space->base + n * LH_PAGE_SIZE);
		model_page is = { 0 };

		if (subject->describe) {
			subject->describe(subject->context, address, &is);
			text = compare_descriptions(address.value, &is, &space->pages[n]);
		}
		if (!text)
			text = compare_reads(space, address, subject);
	}
	return text;
}

const char *model_outcome_name(model_outcome outcome)
{
	static const char *const names[] = { "ok", "not mapped", "no access", "bus error" };

	return outcome <= MODEL_BUS ? names[outcome] : "?";
}
