/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page model: what an address space should be, said as naively as it can be said.
 *
 * A model space is an array with one record for each page. There are no regions, no
 * tables, no sharing: fork copies every byte at once, so that what COW must look like is
 * what this looks like. Of each page's contents the first MODEL_BYTES bytes are kept;
 * tests read and write there.
 *
 * Model objects are arrays too: a page mapped shared reads and writes the object's
 * record; a page mapped private reads it until it is first written, and is a copy after.
 *
 * A test does each operation on both, the library and the model, compares what they
 * return, and calls model_compare, which asks the library through callbacks about every
 * page. Uses of the library here: its number types, nothing else.
 */
#ifndef HOSTED_MODEL_H
#define HOSTED_MODEL_H

#include <landhold/types.h>

#define MODEL_BYTES 64

/* What an access should come to. */
typedef enum model_outcome {
	MODEL_OK,
	MODEL_NOT_MAPPED, /* SIGSEGV, SEGV_MAPERR */
	MODEL_NO_ACCESS,  /* SIGSEGV, SEGV_ACCERR */
	MODEL_BUS	  /* SIGBUS: past the object's end */
} model_outcome;

typedef struct model_object {
	uint64_t size;	/* bytes */
	uint64_t pages; /* records there are; pages past the size read as zeroes if it grows */
	uint8_t (*bytes)[MODEL_BYTES];
} model_object;

typedef enum model_backing { MODEL_RESERVATION, MODEL_ANONYMOUS, MODEL_OBJECT } model_backing;

typedef struct model_page {
	bool mapped;
	model_backing backing;
	lh_rights rights, rights_max;
	bool shared;
	bool not_inherited;   /* a fork leaves it out */
	bool empty_on_fork;   /* a fork's child sees it empty */
	model_object *object; /* MODEL_OBJECT; not owned */
	uint64_t object_page;
	uint64_t tag;
	bool copied;	      /* bytes are this page's own; else it reads the object or zeroes */
	uint8_t bytes[MODEL_BYTES];
} model_page;

typedef struct model_space {
	uint64_t base;	/* address of the first page */
	uint64_t count; /* pages */
	model_page *pages;
} model_space;

/* --- objects --- */

/* All zeroes. => size in bytes, at most pages_max pages ever. */
model_object *model_object_create(uint64_t size, uint64_t pages_max);
void model_object_destroy(model_object *object);

/* The file's own bytes, as a pager would give them. */
void model_object_fill(model_object *object, uint64_t page, const void *bytes, size_t count);

/* Truncation and growth; spaces that map the object lose copies past the end. */
void model_object_resize(model_object *object, uint64_t size, model_space *const *spaces,
			 size_t space_count);

/* --- spaces --- */

model_space *model_space_create(lh_virtual_address base, uint64_t pages);
void model_space_destroy(model_space *space);

/* The record of an address; NULL outside the model's pages. */
model_page *model_page_at(const model_space *space, lh_virtual_address address);

/*
 * Ranges below are clipped to the model's pages.
 * Maps the pages over whatever was there. like: what each is; object_page is that of the
 * first. Its mapped, copied and bytes are ignored.
 */
void model_map(model_space *space, lh_virtual_address address, uint64_t pages,
	       const model_page *like);

void model_unmap(model_space *space, lh_virtual_address address, uint64_t pages);

/* True if a page of the range is mapped; if every one is. */
bool model_any_mapped(const model_space *space, lh_virtual_address address, uint64_t pages);
bool model_all_mapped(const model_space *space, lh_virtual_address address, uint64_t pages);

/*
 * Is there room for so many pages at an address that is a multiple of alignment (in
 * pages, at least 1), in the pages from first on, limit of them?
 */
bool model_has_hole(const model_space *space, lh_virtual_address first, uint64_t limit,
		    uint64_t pages, uint64_t alignment);

/*
 * => MODEL_NOT_MAPPED: the range has a hole; MODEL_NO_ACCESS: beyond some page's
 *    rights_max. Nothing changed.
 */
model_outcome model_protect(model_space *space, lh_virtual_address address, uint64_t pages,
			    lh_rights rights);

/* Drops private contents. => MODEL_NOT_MAPPED: the range has a hole. Nothing changed. */
model_outcome model_discard(model_space *space, lh_virtual_address address, uint64_t pages);

/* A copy as a fork's child is one. */
model_space *model_fork(const model_space *parent);

/* What one access, needing exactly one right, should come to. */
model_outcome model_access(const model_space *space, lh_virtual_address address, lh_rights right);

/*
 * => the bytes lie in the first MODEL_BYTES of one page. What was read or written, if the
 *    outcome is MODEL_OK; else nothing was.
 */
model_outcome model_read(const model_space *space, lh_virtual_address address, void *to,
			 size_t bytes);
model_outcome model_write(model_space *space, lh_virtual_address address, const void *from,
			  size_t bytes);

/* --- comparing --- */

/* How to ask the library. */
typedef struct model_subject {
	void *context;
	/* Does the access, of the right's kind; a read's MODEL_BYTES bytes go to *bytes. Only
	 * reads are asked for by model_compare. */
	model_outcome (*read)(void *context, lh_virtual_address address,
			      uint8_t bytes[MODEL_BYTES]);
	/* Fills in mapped, rights, rights_max, shared, tag of the page; NULL: not compared. */
	void (*describe)(void *context, lh_virtual_address address, model_page *page);
} model_subject;

/* Every page: description, outcome of a read, bytes. => NULL, or the first difference in
 * words, valid until the next call. */
const char *model_compare(const model_space *space, const model_subject *subject);

/* The name of an outcome, for messages. */
const char *model_outcome_name(model_outcome outcome);

#endif
