/* SPDX-License-Identifier: BSD-2-Clause */
/* What the judge's files share: judge.c the trial, cases.c, probe.c, and port.c, what the library wants. */
#ifndef TESTS_CPUS_JUDGE_H
#define TESTS_CPUS_JUDGE_H

#include "cpu.h"

/* Where user mode sees its copy of the snippets. */
#define JUDGE_USER_CODE UINT64_C(0x10000)

extern lh_frames *judge_frames;
/* Of the format under trial. */
extern const lh_paging_format *judge_format;
extern lh_directory judge_kernel, judge_user;

/* --- judge.c --- */

/* One more look; a finding if it is not good. */
void judge_count(bool good, const char *what, uint64_t address);

/* --- probe.c: pages by their addresses, in either half --- */

lh_directory *judge_directory_of(uint64_t address);
lh_leaf judge_query(uint64_t address);
uint64_t judge_level_bytes(unsigned level);
void judge_map(uint64_t address, lh_leaf leaf);
/* Whatever leaf is there. */
void judge_clear(uint64_t address);
void judge_unmap(uint64_t address, uint64_t pages);
void judge_restrict(uint64_t address, lh_rights rights);

typedef enum judge_probe { PROBE_READ, PROBE_WRITE, PROBE_FETCH } judge_probe;

/* An access, whatever comes of it. */
void judge_run(judge_probe kind, uint64_t address, uint64_t value, bool in_user_mode);
/* One access, or each of them in both modes, held against what the library says of the page. */
void judge_try_access(judge_probe kind, uint64_t address, bool in_user_mode);
void judge_try_all(uint64_t address);

/* --- cases.c --- */

void judge_rights(lh_frame_number frame);
void judge_types(lh_frame_number frame);
void judge_levels(lh_frame_number frame);
void judge_flags(lh_frame_number frame);
void judge_keys(lh_frame_number frame);
void judge_marks(lh_frame_number frame);
void judge_runs(void);
void judge_split(void);
void judge_random(const lh_frame_number *frame);

/* --- port.c --- */

void judge_put(const char *text);
void judge_put_number(uint64_t number, unsigned base);
/* Where a physical address is seen. */
void *judge_seen(uint64_t physical);
/* Ends the trial of all if it is an error. */
void judge_must(lh_error error);

#endif
