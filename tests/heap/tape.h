/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tape for the heap: bytes that say what to do to one, beside the list of what it gave out
 * (room.h), which is the oracle. Every string of bytes is a tape:
 *
 *     the first byte    the heap: bit 0 checked; bits 1 and 2 how large its reservation is
 *     then records of four bytes, one an operation; a short last one is filled with zeroes:
 *
 *     byte  0     1     2      3
 *           what  size  which  trouble
 *
 *     which    the block, modulo how many there are; or the alignment, a power of two
 *     trouble  0 to 127: none. 128 and up: the n-th frame that is asked for is refused
 *
 * After each record the heap's counters must be those of the list, whether it went well or not; after
 * every eighth all walkers run; when the tape ends, all is freed, and every frame must be back.
 */
#ifndef TESTS_HEAP_TAPE_H
#define TESTS_HEAP_TAPE_H

#include <stddef.h>
#include <stdint.h>

#define TAPE_RECORD 4
#define TAPE_BYTES_MAX (1 + 256 * TAPE_RECORD)

/* Plays the tape; what is wrong ends in test_fail. */
void heap_tape_play(const uint8_t *bytes, size_t size);

/* A tape of so many records, from the harness's random numbers: blocks come and go by tides. => bytes */
size_t heap_tape_generate(uint8_t *bytes, size_t records);

#endif
