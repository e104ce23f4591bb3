/* SPDX-License-Identifier: BSD-2-Clause */
/* What the oracle's files share. */
#ifndef TESTS_WORLD_ORACLE_INSIDE_H
#define TESTS_WORLD_ORACLE_INSIDE_H

#include "world/oracle.h"

/* First and last page of the region that a mapped page lies in. */
uint64_t oracle_run_begin(const oracle_space *space, uint64_t page);
uint64_t oracle_run_end(const oracle_space *space, uint64_t page);
uint64_t oracle_regions(const oracle_space *space);
uint64_t oracle_mapped(const oracle_space *space, uint64_t page, uint64_t pages);
uint64_t oracle_pages_left(const oracle_space *space);

/* Pages that the space's regions are promised; that all spaces and objects of an account and below it are, and what is
 * pinned there; whether an account, or a space's, may be promised so many more. */
uint64_t oracle_charge(const oracle_space *space);
uint64_t oracle_account_charge(const space_oracle *oracle, const lh_account *account);
bool oracle_has_room(const space_oracle *oracle, const lh_account *account, uint64_t pages);
bool oracle_may_charge(const space_oracle *oracle, unsigned n, uint64_t pages);
uint64_t oracle_object_present(const oracle_object *object);
uint64_t oracle_object_charge(const oracle_object *object);

/* May a region with these guards stand there? */
bool oracle_is_legal(const oracle_space *space, uint64_t page, uint64_t pages, uint64_t guard_before,
		     uint64_t guard_after);

/* The same once nothing else is in the range. */
bool oracle_is_legal_over(const oracle_space *space, uint64_t page, uint64_t pages, uint64_t guard_before,
			  uint64_t guard_after);
/* Where a valid request goes that is not to be OVER. */
lh_error oracle_find_place(const space_oracle *oracle, const oracle_space *space,
			   const lh_map_request *request, uint64_t *page);
/* One region reaches beyond the range on both sides. */
bool oracle_is_punched(const oracle_space *space, uint64_t page, uint64_t pages);
uint64_t oracle_regions_left(const oracle_space *space);
/* Takes what is mapped there away. */
void oracle_clear_pages(space_oracle *oracle, oracle_space *space, uint64_t page, uint64_t pages);

/*
 * A call of the library whose failure may have been ordered: again, if it was refused for that.
 * => error: an lvalue; refusal: whether it says that something failed.
 */
#define ORACLE_CALL(oracle, error, call, refusal)                                  \
	do {                                                                       \
		oracle_arm(oracle);                                                \
		(error) = (call);                                                  \
	} while (oracle_was_refused(oracle, (refusal)))

void oracle_arm(space_oracle *oracle);
bool oracle_was_refused(space_oracle *oracle, bool refusal);

/* Answers what a slow pager was asked first. => there is some. */
void oracle_answer(space_oracle *oracle);

/* In the middle of an access: what its fault has written to the page's leaf already is so. */
void oracle_catch_up(space_oracle *oracle);

/* What the machine calls back. */
bool oracle_park(void *oracle, const uint32_t *word);
void oracle_turn(void *oracle);
lh_fault oracle_fault(void *oracle, unsigned n, lh_virtual_address address, lh_rights access);

/* How a fault for an access ends; a stack may grow by that. */
lh_fault oracle_judge(space_oracle *oracle, unsigned n, uint64_t page, lh_rights access);
/* The page gets a frame of its own; or is shown, if it is not there. */
void oracle_make_own(space_oracle *oracle, oracle_page *page);
void oracle_show(space_oracle *oracle, oracle_page *page);
/* A private frame that a leaf or a pin less names. */
void oracle_let_go(space_oracle *oracle, oracle_frame *frame);
/* Pages that were truncated are no object's any more. */
void oracle_forget_pinned(space_oracle *oracle, int object, uint64_t first);
/* Object's frames that only pins hold; pages pinned at an account or below it, NULL: all. */
uint64_t oracle_pinned_orphans(const space_oracle *oracle);
uint64_t oracle_pinned_charge(const space_oracle *oracle, const lh_account *account);
/* Is the library's leaf for a page huge? */
bool oracle_is_huge(space_oracle *oracle, unsigned n, uint64_t page);

/* Takes the leaf away. */
void oracle_empty(space_oracle *oracle, oracle_page *page);

#endif
