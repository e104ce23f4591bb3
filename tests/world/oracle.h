/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What spaces and objects should be, page by page, kept beside them. It knows more than the
 * hosted machine's page model: which leaf each page must have, which frames are shared by whom
 * after forks, where regions begin and end, guards, limits and charges; so that every counter
 * and every placement can be foretold.
 *
 * Of each page three words are kept: at its first byte, in the middle, and at its last word.
 * A region is a run of pages with equal attributes: neighbours that could be one are one.
 *
 * Huge leaves. Whether one comes where it may is the library's affair, for that takes frames in a row: the oracle looks,
 * and judges that it might. Nor is it foretold when one is split; but what its pages are, and to whom, is.
 *
 * Failures. oracle->fail_frames and fail_pager order that the n-th step of the next operation
 * fails. If it is refused for that, the spaces must be as before, and it is done again.
 *
 * Meanwhile. oracle->meanwhile, if set, is called once in the middle of the next access, where the
 * fault waits for a pager that is slow, or turns interrupts off or on for the meanwhile_at-th time
 * with no space and no object locked. What it does comes before the access.
 */
#ifndef TESTS_WORLD_ORACLE_H
#define TESTS_WORLD_ORACLE_H

#include "inject.h"
#include "world/world.h"

#define ORACLE_WORDS 3
#define ORACLE_OBJECTS 3
#define ORACLE_OBJECT_PAGES 72

/* Where in a page the words lie. */
extern const uint64_t oracle_offsets[ORACLE_WORDS];

struct space_oracle;

typedef struct oracle_frame {
	unsigned references; /* leaves */
	unsigned pins;
	uint64_t words[ORACLE_WORDS];
} oracle_frame;

typedef enum oracle_leaf { LEAF_EMPTY, LEAF_ZERO, LEAF_OWN, LEAF_SHOWN } oracle_leaf;

typedef struct oracle_page {
	bool mapped;
	lh_backing backing;
	lh_rights rights, rights_max, history;
	uint32_t flags;		   /* LH_REGION_SHARED and so on, and CHARGED */
	uint32_t guard_before;	   /* of a region's first page */
	uint32_t guard_after;	   /* of its last */
	uint64_t tag;
	int object;		   /* or -1 */
	uint64_t object_page;
	oracle_leaf leaf;
	oracle_frame *own;	   /* LEAF_OWN */
} oracle_page;

typedef struct oracle_space {
	lh_space_limits limits;
	uint64_t count; /* of pages */
	oracle_page pages[WORLD_USER_PAGES];
} oracle_space;

typedef struct oracle_object {
	lh_object *object;
	lh_frames *frames;
	bool file, committed;
	lh_account *account; /* the test's; NULL: none */
	uint64_t size;
	bool present[ORACLE_OBJECT_PAGES];
	uint64_t words[ORACLE_OBJECT_PAGES][ORACLE_WORDS];
	uint64_t disk[ORACLE_OBJECT_PAGES][ORACLE_WORDS]; /* what the pager has stored */
	struct space_oracle *oracle;
} oracle_object;

/* Pages that are pinned. */
#define ORACLE_PINS 4
#define ORACLE_PIN_PAGES 10

typedef struct oracle_pinned {
	lh_pinned pinned; /* of no pages: not in use */
	bool writes;
	lh_frame_number frames[ORACLE_PIN_PAGES];
	struct {
		oracle_frame *own;	/* of a private page; else */
		int object;		/* -1: the zero page */
		uint64_t object_page;
		bool is_gone;		/* truncated: nobody shows the frame any more */
	} pages[ORACLE_PIN_PAGES];
} oracle_pinned;

/* What a slow pager has not answered yet. */
typedef struct oracle_work {
	bool writes;
	oracle_object *file;
	uint64_t page;
	lh_frame_number frame;
} oracle_work;
#define ORACLE_WORK 16

typedef struct space_oracle {
	test_world world;
	oracle_space *space[WORLD_SPACES];
	oracle_object objects[ORACLE_OBJECTS];
	oracle_pinned pins[ORACLE_PINS];
	unsigned frames; /* private ones that are held or pinned */
	uint64_t count;	 /* pages of the user range, at most WORLD_USER_PAGES */

	uint64_t fail_frames, fail_pager; /* the step of the next operation that fails; 0: none */
	bool armed, may_differ;
	uint64_t pager_steps;
	inject_buffer before;
	uint64_t refused; /* operations, so far */

	bool slow; /* the pager answers only who parks */
	unsigned work_count;
	oracle_work work[ORACLE_WORK];

	void (*meanwhile)(void *context);
	void *context;
	unsigned meanwhile_at, turns;
	uint64_t happened; /* in the middle of an access, so far */
	uint64_t huge;	   /* huge leaves that were brought, so far */
	uint64_t collapsed; /* and that were put together */
	uint64_t limited;  /* what an object's account refused, so far */
	bool between; /* an access is under way, and something else happens */
	bool inside; /* an access is under way: */
	unsigned busy_space;
	uint64_t busy_page;
	lh_frame_number busy_frame; /* which its leaf named before */
} space_oracle;

void oracle_open(space_oracle *oracle, const world_setup *setup);
void oracle_close(space_oracle *oracle);
/* The object is made anew, as it was first, with an account. => nobody maps it. */
void oracle_renew_object(space_oracle *oracle, unsigned number, lh_account *account);
void oracle_make(space_oracle *oracle, unsigned n, const lh_space_limits *limits);
void oracle_destroy(space_oracle *oracle, unsigned n);

/*
 * Each does the operation on the library and on the oracle, and fails the test where the
 * two come to different ends. => how it ended.
 */
lh_error oracle_map(space_oracle *oracle, unsigned n, const lh_map_request *request, int object);
lh_error oracle_unmap(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages);
lh_error oracle_protect(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages,
			lh_rights rights);
/* request: range and to.address are made of the pages. */
lh_error oracle_remap(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages,
		      const lh_remap_request *request, uint64_t to);
lh_error oracle_discard(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages);
lh_error oracle_advise(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages, lh_advice advice);
lh_error oracle_collapse(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages);
lh_error oracle_fork(space_oracle *oracle, unsigned parent, unsigned child);
/* The pins of a number, which are not in use; to at most ORACLE_PIN_PAGES pages. */
lh_error oracle_pin(space_oracle *oracle, unsigned number, unsigned n, uint64_t page, uint64_t pages,
		    lh_rights access);
/* Pins that are in use or not. */
void oracle_unpin(space_oracle *oracle, unsigned number);
/* Somebody reads by the frame's physical address, and writes if he may, one of the pinned pages. */
void oracle_device(space_oracle *oracle, unsigned number, uint64_t index, unsigned word, uint64_t value);
/* word: one of ORACLE_WORDS. A write writes value. */
lh_fault oracle_access(space_oracle *oracle, unsigned cpu, unsigned n, uint64_t page, mmu_access access,
		       unsigned word, uint64_t value);
void oracle_resize(space_oracle *oracle, unsigned object, uint64_t size);
void oracle_object_access(space_oracle *oracle, unsigned object, uint64_t page, lh_rights access,
			  unsigned word, uint64_t value);
void oracle_sync(space_oracle *oracle, unsigned object);

/* Regions, leaves, contents and counters of everything; and what each CPU reads of the space that
 * it has loaded, through its TLB. */
void oracle_compare(space_oracle *oracle);

/* What was set to happen meanwhile happens now, if it has not. */
void oracle_flush_meanwhile(space_oracle *oracle);

/* Pages of the object that its size covers. */
uint64_t oracle_object_pages(const oracle_object *object);

#endif
