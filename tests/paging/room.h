/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of directories share: a machine, its frames, a kernel's and a user directory. */
#ifndef TESTS_PAGING_ROOM_H
#define TESTS_PAGING_ROOM_H

#include <landhold/directory.h>

#include "harness.h"
#include "machine.h"

typedef struct test_room {
	lh_port *machine;
	lh_frames *frames;
	lh_paging_format format; /* a copy, to be changed before room_build */
	lh_directory kernel;	 /* with its half */
	lh_directory user;	 /* sharing it */
	uint64_t tables_free;	 /* free frames before the directories were made */
} test_room;

/* Machine and frames alone, of x86-64 with 4 levels, or of another kind. */
void room_open(test_room *room, uint64_t frames, unsigned cpus);
void room_open_for(test_room *room, uint64_t frames, unsigned cpus, const lh_paging_format *format,
		   const mmu_architecture *architecture);
/* The two directories, too. */
void room_build(test_room *room);
/* Destroys the directories; every table page must come back. */
void room_close(test_room *room);

uint64_t room_free_frames(test_room *room);
uint64_t room_table_frames(test_room *room);
uint32_t room_holders(test_room *room, lh_frame_number frame);

/* A frame in state ANONYMOUS, with one holder: the test. */
lh_frame_number room_frame(test_room *room);

/* All of x86-64 with 4 levels, and such a frame; and the end of both, the user directory checked. */
lh_frame_number room_open_with_frame(test_room *room);
void room_close_with_frame(test_room *room, lh_frame_number frame);

lh_leaf leaf_of(lh_frame_number frame, lh_rights rights);
lh_virtual_range range_of(uint64_t base, uint64_t pages);

/* The table entry that a level of the address has, by the manual alone; NULL: no table there. */
uint64_t *room_entry(test_room *room, lh_directory *directory, uint64_t address, unsigned level);

/* Translates by the tables in memory, changing nothing. */
mmu_result room_walk(test_room *room, lh_directory *directory, uint64_t address);

/* With a holder for the entry, and spares of its own. Must succeed. */
void room_map(test_room *room, lh_directory *directory, uint64_t address, lh_leaf leaf);

/* Clears and flushes. */
void room_clear(lh_directory *directory, lh_virtual_range range);

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define UPPER_HALF UINT64_C(0xffff800000000000)

#endif
