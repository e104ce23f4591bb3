/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the adversary's files share: adversary.c (settle points, life), adversary_cache.c (who could
 * have cached what), adversary_report.c (words).
 */
#ifndef HOSTED_ADVERSARY_INTERNAL_H
#define HOSTED_ADVERSARY_INTERNAL_H

#include "adversary.h"
#include "machine_internal.h"
#include "mmu_shadow.h"

#define OPERATION_MAX 96
#define FRESH_MAX 64
#define VISITS_MAX 32
#define VISIT_FLUSHES_MAX 16

struct operation {
	uint64_t event;
	unsigned cpu;
	char text[OPERATION_MAX];
};

/* A page that was mapped in the operation under way. */
struct fresh {
	uint64_t frame, sum, linear, event;
};

/* With process contexts: a root that a CPU has left. */
struct visit {
	unsigned cpu;
	uint64_t root, left; /* event */
	unsigned flush_count;
	lh_virtual_range flushes[VISIT_FLUSHES_MAX]; /* since it left */
};

struct machine_adversary {
	lh_port *machine;
	mmu_shadow shadow;
	machine_frame_use *use;
	void *context;
	bool inside; /* settling: not again from what that calls */
	uint64_t overwritten, rests;
	uint64_t random;
	struct operation *operations;
	size_t operation_count, operation_room;
	struct fresh fresh[FRESH_MAX];
	size_t fresh_count;
	struct visit visits[VISITS_MAX];
	size_t visit_count;
};

/* --- adversary_report.c --- */

/* The operation in which an event happened. */
const char *adversary_operation_at(const struct machine_adversary *adversary, uint64_t event);

/* What a CPU may still have, in words. => their length. */
size_t adversary_describe(const struct machine_adversary *adversary, unsigned cpu,
			  const mmu_tlb_entry *entry, char *text, size_t room);

_Noreturn void adversary_report(struct machine_adversary *adversary, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
_Noreturn void adversary_report_entry(struct machine_adversary *adversary, unsigned cpu,
				      const mmu_tlb_entry *entry, const char *what);

/* --- adversary_cache.c --- */

/* What the shadow of the tables asks, and is told what it finds. */
mmu_shadow_user adversary_shadow_user(struct machine_adversary *adversary);

machine_use adversary_use_of(const struct machine_adversary *adversary, uint64_t physical);

/* A number made from all bytes of a frame. */
uint64_t adversary_sum_of(const lh_port *machine, uint64_t frame);

/* True if the CPU would use the entry now: with process contexts, one of the root that is loaded. */
bool adversary_is_shown_by(const machine_cpu *cpu, const mmu_tlb_entry *entry);

/* The CPU walks from the root, in one half or in both. */
bool adversary_has_loaded(const machine_cpu *cpu, uint64_t root);
/* Some CPU does. */
bool adversary_is_loaded(const lh_port *machine, uint64_t root);

#endif
