/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tape: bytes that say what to do to a machine with some processes, CPUs and files, beside the
 * oracle (tests/world/oracle.h), which says what must come of it.
 *
 * Every string of bytes is a tape. It is read in records of eight bytes, one an operation; a short
 * last record is filled with zeroes. So a record can be taken out or made simpler without changing
 * what the others mean, which is what a shrinker and a fuzzer need:
 *
 *     byte  0     1        2      3      4       5      6       7
 *           what  who      place  places rights  how    value   trouble
 *
 *     who      the space, 0 to 2 (low four bits), and the CPU, 0 or 1 (the others)
 *     how      of a mapping: its kind, where; of an access: the word, or from TAPE_HOW_BELOW on
 *              that it is below the range; of a file: the bytes beyond; of a pin: whether to write; of
 *              advice: which, and whether fresh memory is mapped there first; or that what is there is to be
 *              put together; of a remapping: how (two bits), where (two);
 *              to the place of value; rights: so many pages more, or fewer
 *     trouble  0 to 63: none. 64 to 127: the n-th allocation fails (frames, tables, pool items,
 *              charges). 128 to 159: the n-th answer of the pager is an error. 160 to 191: the
 *              pager is slow. 192 and up: the *next* record happens in the middle of this one's
 *              fault, at its n-th turn (or while it waits for the pager, which then is slow);
 *              so may the one after that, and so on.
 *
 * What a record asks of a space or a place that is not there is made to fit: numbers are taken
 * modulo what there is. After each record everything is compared and every walker runs.
 */
#ifndef TESTS_FUZZ_TAPE_H
#define TESTS_FUZZ_TAPE_H

#include <stddef.h>
#include <stdio.h>

#include "world/oracle.h"

#define TAPE_RECORD 8
#define TAPE_RECORDS_MAX 512
#define TAPE_HOW_BELOW 240

typedef enum tape_what {
	TAPE_MAP,
	TAPE_UNMAP,
	TAPE_PROTECT,
	TAPE_DISCARD,
	TAPE_READ,
	TAPE_WRITE,
	TAPE_FETCH,
	TAPE_FORK,
	TAPE_DESTROY,
	TAPE_LOAD,
	TAPE_SPECULATE,
	TAPE_OBJECT_READ,
	TAPE_OBJECT_WRITE,
	TAPE_RESIZE,
	TAPE_SYNC,
	TAPE_LIMIT,
	TAPE_PIN,
	TAPE_UNPIN,
	TAPE_DEVICE,
	TAPE_ADVISE,
	TAPE_REMAP,
	TAPE_WHAT_COUNT
} tape_what;

enum { TAPE_BYTE_WHAT, TAPE_BYTE_WHO, TAPE_BYTE_PLACE, TAPE_BYTE_PLACES, TAPE_BYTE_RIGHTS, TAPE_BYTE_HOW,
       TAPE_BYTE_VALUE, TAPE_BYTE_TROUBLE };

/*
 * The size of the world that a tape is played on. A tape names places in a space, not pages: the
 * first and the last TAPE_PLACES / 2 pages of a range, so that a range of places may cover a whole
 * leaf table though only its ends are ever touched.
 */
typedef struct tape_scale {
	uint64_t pages;	  /* of each space's range */
	uint64_t before;  /* of them, those before the first border of tables */
	unsigned spaces;  /* 1 to 3 */
	lh_charge_policy policy;
} tape_scale;

#define TAPE_PLACES UINT64_C(68)

uint64_t tape_places(const tape_scale *scale);
uint64_t tape_page(const tape_scale *scale, uint64_t place);

extern const tape_scale tape_scale_default;
extern const tape_scale tape_scale_tiny; /* exhaust.c */

/* A world with space 0 made, to be played on. */
void tape_open(space_oracle *oracle, const tape_scale *scale);

/* Plays the records. A difference or a report ends in test_fail. UNCHECKED: what each operation
 * answers is compared, and nothing else. */
typedef enum tape_check { TAPE_UNCHECKED, TAPE_CHECKED } tape_check;
void tape_play(space_oracle *oracle, const tape_scale *scale, const uint8_t *bytes, size_t count,
	       tape_check check);

/* A world, the tape, the end. => *counts may be NULL. */
typedef struct tape_counts {
	uint64_t records, refused, overwritten, huge, collapsed;
} tape_counts;
void tape_run(const tape_scale *scale, const uint8_t *bytes, size_t count, tape_counts *counts);

/* In words, a line a record; as hexadecimal digits, one line. */
void tape_print(FILE *out, const tape_scale *scale, const uint8_t *bytes, size_t count);
void tape_print_hex(FILE *out, const uint8_t *bytes, size_t count);
/* => bytes read, at most room; SIZE_MAX: not hexadecimal. */
size_t tape_read_hex(const char *text, uint8_t *bytes, size_t room);

/* A tape of so many records, the same for the same seed. */
void tape_generate(uint64_t seed, uint8_t *bytes, size_t records);

#endif
