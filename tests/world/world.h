/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of objects, spaces and the manager share: a hosted machine with frames, a manager
 * and some spaces, and accesses that go through the machine's TLBs and table walker, with
 * lh_space_fault behind them.
 *
 * After each fault and each world_settle the machine's shadow of the frames is brought up to date,
 * so that a stale translation of a freed frame is found at its next use, or by world_check.
 */
#ifndef TESTS_WORLD_WORLD_H
#define TESTS_WORLD_WORLD_H

#include <landhold/manager.h>

#include "cpu.h"
#include "harness.h"
#include "machine.h"

#define WORLD_SPACES 6
#define WORLD_CPUS 4
#define WORLD_OBJECTS 4
#define PAGE LH_PAGE_SIZE
#define READ LH_RIGHT_READ
#define WRITE LH_RIGHT_WRITE
#define EXECUTE LH_RIGHT_EXECUTE
#define READ_WRITE ((lh_rights)(LH_RIGHT_READ | LH_RIGHT_WRITE))

/* The kernel half's range: the upper half but its first and last GiB. */
#define WORLD_KERNEL UINT64_C(0xffff800040000000)
/* The user range that a zeroed setup gives: its tables begin and end inside it at every level. */
#define WORLD_USER_PAGES 1100
#define WORLD_USER (UINT64_C(0x8000000000) - (24 + 512) * PAGE)

/*
 * The architecture whose tables and rules the worlds have: x86-64, or what the environment's
 * WORLD_ARCHITECTURE names, or who calls world_use. Those of 48 bits and more, which have the ranges above.
 */
typedef struct world_architecture {
	const char *name;
	const lh_paging_format *format;
	const mmu_architecture *rules;
	bool software_flags; /* the CPU faults for want of a flag */
} world_architecture;

/* The n-th; NULL: no more. */
const world_architecture *world_architecture_at(unsigned n);
/* => false: there is none of that name. */
bool world_use(const char *name);

typedef struct world_setup {
	uint64_t frames;	 /* 0: 2048 */
	unsigned cpus;		 /* 0: 2 */
	lh_charge_policy policy; /* 0: strict */
	lh_virtual_range user;	 /* empty: as above */
	bool enforce_write_xor_execute;
	lh_huge_policy huge;
} world_setup;

typedef struct test_world {
	lh_port *machine;
	lh_frames *frames;
	const world_architecture *architecture;
	lh_paging_format format;
	lh_manager *manager;
	lh_virtual_range user;
	uint64_t free_before; /* free frames before the manager was made */
	uint64_t free_empty;  /* and with it, but without spaces and objects */
	lh_space *space[WORLD_SPACES];
	lh_account *account[WORLD_SPACES]; /* of a space that is made; NULL: none. The test's */
	lh_account *objects_account; /* of objects that world_object makes; NULL: none. The test's */
	lh_object *object[WORLD_OBJECTS]; /* the test's, for world_serialise to see; not owned */
	uint64_t promised;    /* pages that the test itself has charged */
	int loaded[WORLD_CPUS]; /* the space that a CPU has loaded, or -1 */
	/* In the place of lh_space_fault, where an access faults; NULL: none. */
	lh_fault (*fault)(void *context, unsigned n, lh_virtual_address address, lh_rights access);
	void *fault_context;
} test_world;

void world_open(test_world *world, const world_setup *setup);
/* Frames alone, as world_open makes them. */
void world_open_frames(test_world *world, const world_setup *setup);

/* Destroys the spaces that are left, then the manager: every frame and charge must be back. */
void world_close(test_world *world);

/* Makes space n, which there is none of. */
lh_space *world_make(test_world *world, unsigned n);
void world_destroy(test_world *world, unsigned n);

/* Loads space n on the CPU; n < 0: the kernel's directory. */
void world_load(test_world *world, unsigned cpu, int n);

/*
 * An access of user mode to space n, on the CPU given, which loads it if need be. The first fault
 * that is not resolved ends it. => what became of it.
 */
lh_fault world_access(test_world *world, unsigned cpu, unsigned n, uint64_t address, mmu_access access,
		      void *bytes, size_t size);
/* One word, on the CPU that has the space loaded, or on CPU 0. */
lh_fault world_read(test_world *world, unsigned n, uint64_t address, uint64_t *value);
lh_fault world_write(test_world *world, unsigned n, uint64_t address, uint64_t value);
lh_fault world_fetch(test_world *world, unsigned n, uint64_t address);
/* Must succeed. */
uint64_t world_peek(test_world *world, unsigned n, uint64_t address);
void world_poke(test_world *world, unsigned n, uint64_t address, uint64_t value);

/* Tells the machine which frames are free now. */
void world_settle(test_world *world);

/* Every walker, the TLBs, and the holders of every frame recounted. */
void world_check(test_world *world);
/* The same without what costs most: the manager's own walkers. */
void world_check_quickly(test_world *world);

/* --- short forms --- */

/* Page number n of the user range. */
uint64_t world_page(const test_world *world, uint64_t n);
lh_virtual_range world_range(const test_world *world, uint64_t page, uint64_t pages);

/* Maps private anonymous memory at a page of the user range. Must succeed. */
void world_map(test_world *world, unsigned n, uint64_t page, uint64_t pages, lh_rights rights);
void world_unmap(test_world *world, unsigned n, uint64_t page, uint64_t pages);
/* Maps an object's pages. Must succeed. */
void world_map_object(test_world *world, unsigned n, uint64_t page, uint64_t pages, lh_rights rights,
		      uint32_t flags, lh_object *object, uint64_t object_page);
lh_space_counters world_counters(test_world *world, unsigned n);
/* As they are once the manager's pools keep nothing. */
lh_frame_counters world_frame_counters(test_world *world);
lh_statistics world_statistics(test_world *world);
/* An anonymous object of so many bytes. Must succeed. */
lh_object *world_object(test_world *world, uint64_t size, bool committed);

/* The frame behind a page of a space, and its holders; LH_NO_FRAME where the leaf is empty. */
lh_frame_number world_frame(test_world *world, unsigned n, uint64_t page);
uint32_t world_holders(test_world *world, lh_frame_number frame);
lh_leaf world_leaf(test_world *world, unsigned n, uint64_t page);
/* Is the page's table one that spaces share? */
bool world_is_shared(test_world *world, unsigned n, uint64_t page);
/* Bytes in each half of the addresses. */
uint64_t world_half(const test_world *world);
/* Table pages that the kernel always has: its root, and its top tables where every root has them. */
uint64_t world_kernel_tables(const test_world *world);
/* Does a page fault once only? Not where the CPU keeps that it was absent. */
bool world_faults_once(const test_world *world);
/* The entry of a page's leaf in a directory, found as a CPU does. => tables lead there. */
uint64_t *world_entry(test_world *world, lh_frame_number root, uint64_t address);
/* That entry, if its leaf had other rights. */
uint64_t world_entry_with(const test_world *world, uint64_t entry, lh_rights rights, bool user);
/* Pages that a leaf spans. */
uint64_t world_leaf_pages(const lh_leaf *leaf);

#endif
