/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A heap under measurement. Each subject is a program of its own, the replayer linked with one
 * file that answers these; mimalloc and jemalloc are the C library's program, preloaded.
 */
#ifndef BENCH_HEAP_SUBJECT_H
#define BENCH_HEAP_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

/* Once, and once in each thread, from 0 up. */
void subject_start(void);
void subject_start_thread(unsigned number);

/* => alignment 0: the subject's own. Ends the program when there is no memory. */
uint64_t subject_allocate(uint64_t bytes, uint64_t alignment, bool zeroed);
void subject_free(uint64_t block, uint64_t bytes);
uint64_t subject_resize(uint64_t block, uint64_t bytes_before, uint64_t bytes);

/* Where the byte of a block can be reached: good as far as the page that it lies in. */
void *subject_bytes(uint64_t block, uint64_t offset);

/* Bytes of memory that the heap takes now beyond those before subject_note_memory, and the most that
 * it ever took since. After each operation of a round that is not timed. */
void subject_note_memory(void);
void subject_sample_memory(void);
uint64_t subject_peak(void);

_Noreturn void subject_fail(const char *what);

#endif
