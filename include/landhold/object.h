/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM objects: counted stores of pages that several regions, and read and write calls
 * beside them, share. There is one page for each (object, page number): whoever reads,
 * writes, maps or truncates sees the same frame, so all are coherent.
 *
 *   anonymous  absent pages read as zeroes and are made when first written or mapped:
 *              shared memory, files of a memory file system
 *   file       absent pages are read by the host's pager
 *   physical   frames that were there already: device memory, frame buffers
 *
 * The object's index (page number -> frame) is the authority; leaf entries are a cache
 * of it. A frame in the index is in state LH_FRAME_OBJECT, holds one holder for the
 * index, and each counted leaf one more.
 *
 * Locks: one mutex an object (order: after a space's map lock, before a directory's).
 * Never held while the pager works: a page being read is *busy*, and who needs it
 * waits holding nothing.
 */
#ifndef LANDHOLD_OBJECT_H
#define LANDHOLD_OBJECT_H

#include <landhold/account.h>
#include <landhold/region.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_object lh_object;
struct lh_manager;

/*
 * The host's callbacks behind a file object. Called with no library lock held.
 * read and write may return before the work is done; each ends by a call to
 * lh_object_page_read or lh_object_page_written, exactly once, interrupts on, no lock held.
 */
typedef struct lh_pager {
	/* Fill the frame with the file's page. Bytes past the end of the file: zeroes. */
	void (*read)(void *file, lh_object *object, uint64_t page, lh_frame_number frame);
	/* Store the frame as the file's page. Who maps it may write to it meanwhile: it is then
	 * dirty again, and what is in the file may be old and new words side by side until the
	 * next sync. */
	void (*write)(void *file, lh_object *object, uint64_t page, lh_frame_number frame);
	/* The object is gone. */
	void (*release)(void *file);
} lh_pager;

typedef enum lh_object_kind {
	LH_OBJECT_ANONYMOUS,
	LH_OBJECT_FILE,
	LH_OBJECT_PHYSICAL
} lh_object_kind;

typedef struct lh_object_setup {
	lh_object_kind kind;
	uint64_t size;		  /* bytes */
	bool committed;		  /* ANONYMOUS: charge the whole size now, so that a fault cannot
				     fail; otherwise each page is charged when it is made */
	lh_account *account;	  /* ANONYMOUS: what is promised, all or page by page, is charged to it, and so to
				     those above it; NULL: to the allocator alone */
	const lh_pager *pager;	  /* FILE */
	void *file;		  /* FILE: handed to the pager */
	lh_frame_number physical; /* PHYSICAL: first frame */
	lh_memory_type type;	  /* PHYSICAL */
} lh_object_setup;

/*
 * Makes an object with one holder. => account: of the manager's allocator; stays open until the object is gone, whose
 * last holder may be a region. => LH_INVALID: a kind's field is missing, or another's set, the size beyond 2^63, or
 * PHYSICAL's frames beyond what a table entry can name; LH_NO_MEMORY: no pool item or charge; LH_LIMIT: the account's;
 * LH_EXISTS: a page of
 * PHYSICAL is seen with another memory type, by the kernel (lh_manager_map_physical) or as another object,
 * or is one of the allocator's frames, which are seen as write-back. Nothing changed.
 * Context: no lock.
 */
LH_MUST_USE lh_error lh_object_create(struct lh_manager *manager, const lh_object_setup *setup,
				      lh_object **object);

/* One holder more, or less: the last one frees every page and calls the pager's release. Context of the
 * last one: no lock. */
void lh_object_hold(lh_object *object);
void lh_object_drop(lh_object *object);

/* Size in bytes, at this moment. */
uint64_t lh_object_size(lh_object *object);

/* Pages in the index. */
uint64_t lh_object_pages(lh_object *object);

/*
 * Sets the size. Shrinking takes every page wholly past the end out of the index and out of
 * every space that maps it (private copies too), and clears the rest of the last page;
 * touching them is a bus error from then on. Growing adds a hole, which reads as zeroes even
 * where a mapping had written past the old end.
 * => LH_NO_MEMORY, LH_LIMIT (the account's): committed, and the charge was refused; LH_INVALID: PHYSICAL, or beyond
 *    2^63. Nothing changed. Context: no lock.
 */
LH_MUST_USE lh_error lh_object_resize(lh_object *object, uint64_t size);

/*
 * The frame of a page, with a holder for the caller, who copies to or from it through
 * lh_frame_pointer and then calls lh_frame_drop. May wait for the pager.
 * => page: a page number; for LH_RIGHT_READ of an absent anonymous page the frame is
 *    LH_NO_FRAME: reads as zeroes. For LH_RIGHT_WRITE the page is made, and noted dirty.
 * => LH_BAD_ADDRESS: past the end; LH_NO_MEMORY; LH_LIMIT: the account's; LH_IO: the pager failed. Nothing changed.
 * Context: no lock.
 */
LH_MUST_USE lh_error lh_object_hold_page(lh_object *object, uint64_t page, lh_rights access,
					 lh_frame_number *frame);

/* The pager's answers. => error: LH_OK, or why not (kept for those who wait, then tried anew). */
void lh_object_page_read(lh_object *object, uint64_t page, lh_error error);
void lh_object_page_written(lh_object *object, uint64_t page, lh_error error);

/*
 * Writes the dirty pages of the range [page, page + count) back through the pager and
 * waits for them. A page is clean only after its own write succeeded.
 * => LH_IO: one of them failed and stays dirty; the others were written.
 */
LH_MUST_USE lh_error lh_object_sync(lh_object *object, uint64_t page, uint64_t count);

/* Recounts the index against the frame array. => NULL or what is wrong. */
const char *lh_object_check(lh_object *object);

#ifdef __cplusplus
}
#endif
#endif
