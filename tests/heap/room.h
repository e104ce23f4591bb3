/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A heap over the hosted machine, and a list of what it gave out: no two blocks overlap, each keeps
 * its bytes, and when all is freed every frame is back. One at a time.
 */
#ifndef TESTS_HEAP_ROOM_H
#define TESTS_HEAP_ROOM_H

#include <stdlib.h>
#include <string.h>

#include <landhold/heap.h>

#include "cpu.h"
#include "harness.h"
#include "machine.h"

#include "heap/heap_internal.h"
#include "object/machine.h"

#define FRAMES 2048
#define CPUS 2
#define BLOCKS_MOST 3000
#define HEAP_BASE UINT64_C(0xffff900000000000)

struct block {
	lh_virtual_address address;
	uint64_t bytes;
	unsigned char mark;
};

extern lh_port *machine;
extern lh_frames *frames;
extern lh_manager *manager;
extern lh_heap heap;
extern struct block blocks[BLOCKS_MOST];
extern size_t count;

/* A machine, and a heap of so many pages that begins four pages below the end of a leaf table. */
void begin(uint64_t pages, uint32_t flags);
/* Ends both; nothing, where there are none. */
void end(void);

/* Every walker; and no TLB of any CPU leads to a frame that was freed. */
void check_sound(void);
/* Frees all, and trims: every frame and table is as when the heap was made. */
void check_all_returned(void);

/* From now on this thread is the other CPU, or any. */
void use_some_cpu(void);

/* Allocates, checks the block against the list, fills it, enters it. */
lh_error allocate(uint64_t bytes, uint64_t alignment, bool zeroed);
/* The same by any wish. => its caller must be NULL */
lh_error allocate_as(const lh_heap_request *request);
/* Checks the bytes, and frees; at hand: in any context, as far as the heap goes. */
void release(size_t index);
void release_at_hand(size_t index);
/* Changes the size, and checks what must be the same. */
lh_error resize(size_t index, uint64_t bytes);
/* Mostly small, some of pages. */
uint64_t random_bytes(void);

/* Bytes of the item at an address, red zone and all. */
uint64_t item_bytes(lh_virtual_address address);
/* What the tables say of an address. */
lh_leaf leaf_at(uint64_t address);
uint64_t heap_pages(void);

/* The message of the panic that the free ends in. */
const char *panic_of_free(uint64_t address, uint64_t bytes);

#endif
