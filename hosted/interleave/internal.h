/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the scheduler share. All state is of one exploration, in one thread. */
#ifndef INTERLEAVE_INTERNAL_H
#define INTERLEAVE_INTERNAL_H

#include "interleave.h"

/* --- the arena: arena.c --- */

/* Fixed, so that addresses, and with them traces, are the same in every process. */
#define ARENA_BASE UINT64_C(0x100000000000)
#define SHARED_SIZE ((LH_DEBUG >= 2 ? UINT64_C(16) : UINT64_C(32)) << 20)
#define STACK_SIZE (UINT64_C(256) << 10)
#define STACKS (INTERLEAVE_FIBRES + 1) /* one for the check */
#define STACKS_BASE (ARENA_BASE + SHARED_SIZE)
#define PRIVATE_BASE (STACKS_BASE + STACKS * STACK_SIZE)
#define PRIVATE_SIZE (UINT64_C(16) << 20)
/* Where accesses may be points: the shared part and the stacks. */
#define WATCHED_SIZE (SHARED_SIZE + STACKS * STACK_SIZE)
#define GRANULE_SHIFT 3
#define GRANULES (WATCHED_SIZE >> GRANULE_SHIFT)
#define PAGE_SHIFT 12
#define TOKENS 64 /* granules at the beginning of the shared part */

/* The C library's own, for memory of the arena: calls of memcpy are steps of who makes them. */
void *__real_memcpy(void *to, const void *from, size_t size);
int __real_memcmp(const void *a, const void *b, size_t size);

void arena_create(void);
/* While it is open, what the wrapped allocators give comes from it. */
void arena_open(bool is_open);
void arena_save(void);
void arena_restore(void);
/* Notes which pages of the shared part must be restored. => offset < SHARED_SIZE */
void arena_dirty(uint64_t offset, uint64_t size);
/* Of all that was written since it was restored. */
uint64_t arena_hash(void);
/* The first byte that differs from what was saved; 0: none. Just after restoring. */
uintptr_t arena_compare(void);

/* --- fibres: fibre.c --- */

/* Saves the running context's stack pointer in *from and goes on with another one. */
void fibre_switch(void **from, void *to);
/* The stack pointer of a context that begins with entry(). */
void *fibre_prepare(unsigned stack, void (*entry)(void));

/* --- steps --- */

enum kind {
	KIND_READ,
	KIND_WRITE,
	KIND_COPY, /* the write of a structure's assignment, whose read was a step before */
	KIND_ATOMIC_READ,
	KIND_ATOMIC_WRITE,
	KIND_CHANGE, /* reads and writes at once, or a sequentially consistent store */
	KIND_EVENT
};

static inline bool kind_writes(enum kind kind)
{
	return kind == KIND_WRITE || kind == KIND_COPY || kind == KIND_ATOMIC_WRITE ||
	       kind == KIND_CHANGE;
}

struct place {
	uintptr_t address;
	uint32_t size;
	bool writes;
	bool copies; /* what is written is read only now, from a place of an earlier step */
};

/* --- schedules --- */

#define NOBODY 15 /* makes the choice of the first fibre */

struct change {
	uint64_t step; /* of the fibre */
	uint8_t fibre;
	uint8_t to;
	uint8_t keep;  /* stores, the newest, that stay in the fibre's buffer */
	bool drains;   /* no switch: fibre `to`'s buffer is emptied down to keep */
	uint8_t cost;  /* preemptions */
};

struct schedule {
	unsigned count;
	struct change changes[INTERLEAVE_CHANGES];
};

unsigned schedule_cost(const struct schedule *schedule);
void schedule_print(const struct schedule *schedule, char *text, size_t size);
bool schedule_parse(struct schedule *schedule, const char *text);

/* --- one run: run.c --- */

enum outcome { OUTCOME_PASSED, OUTCOME_FAILED, OUTCOME_PRUNED };

enum fibre_state { FIBRE_READY, FIBRE_WAITING, FIBRE_ENDED };

struct store {
	uintptr_t address;
	uint32_t size;
	bool is_known; /* new is what was stored */
	bool is_point; /* another fibre touches the place too */
	uint8_t old[16], new[16];
};
#define STORES 32
#define WATCHED_PLACES 64

struct fibre {
	void *context;
	enum fibre_state state;
	uint64_t steps;
	const char *waits_for;
	bool asleep;
	struct place next; /* asleep: the access that it stands before */
	bool spins;	   /* has yielded */
	bool hopeful;	   /* and what it read has been written since */
	uintptr_t kept;	   /* the host's */
	/* store_buffers: */
	unsigned store_count;
	struct store stores[STORES];
	uint64_t read_modify_writes, accesses; /* counting */
};

struct candidates {
	struct change *changes;
	size_t count, capacity;
};

/* How a run differs from following its schedule. */
struct run_options {
	bool sleeps;		       /* prune */
	struct candidates *candidates; /* to be noted; or NULL */
	unsigned bound;		       /* of what is noted, the schedule's own cost included */
	bool random;		       /* by priorities */
	bool traced;
	bool counting;		       /* one fibre after the other, again and again */
	unsigned rounds;
};

struct run {
	const interleave_case *of;
	void *state;
	bool store_buffers;
	struct run_options options;
	const struct schedule *schedule;
	unsigned next_change;
	unsigned cost;		 /* of the changes made */
	struct schedule taken;	 /* the changes as they were made */
	struct fibre fibres[INTERLEAVE_FIBRES];
	struct fibre *current;	 /* NULL outside the fibres */
	unsigned sleepers;
	void *main_context, *scratch;
	enum outcome outcome;
	char message[INTERLEAVE_TEXT];
	uint64_t steps, points;
	uint64_t idle_turns;	 /* yields in a row, nobody having written */
	bool grown;		 /* a place proved shared */
	uintptr_t watched[WATCHED_PLACES];
	unsigned watched_count;
	uint64_t written;	 /* bits: of those, written to by the step that was made last */
	uint64_t states;	 /* that runs ended in, so far */
	/* random: */
	uint64_t priorities[INTERLEAVE_FIBRES];
	uint64_t lowest, change_points[8];
	unsigned change_point_count;
};

extern struct run run;
/* By granule: low half: fibres that read it, high half: fibres that wrote it. Never forgotten. */
extern uint8_t touched[GRANULES];

enum outcome run_schedule(const struct schedule *schedule, const struct run_options *options);
/* Any access by instrumented code. */
void run_access(uintptr_t address, uint32_t size, enum kind kind, const void *code);
uint64_t run_random(void);
void run_seed(uint64_t seed);

/* An access is made, or a buffered store reaches memory: who slept or span for it. */
void run_note_access(const struct fibre *by, const struct place *place);
/* Somebody yields: nobody sleeps on. */
void run_wake_all(void);

static inline unsigned number_of(const struct fibre *fibre)
{
	return (unsigned)(fibre - run.fibres);
}

/* The last step's writes have been made: whoever watches is told. */
void run_settle(void);

/* Ends the run's part that is on the fibres' stacks. */
_Noreturn void run_leave(enum outcome outcome);
/* A finding that says of each fibre where it is. */
_Noreturn void run_fail_stuck(const char *what);
/* Counts a step, before it is made. */
void run_count_step(struct fibre *fibre);
/* => place, code: NULL for what is no access */
void run_trace(const struct fibre *fibre, const struct place *place, enum kind kind, bool is_point,
	       const void *code, const char *what);

/* --- who goes on: choose.c --- */

/* Another fibre goes on in place of this one, until this one's turn comes again. */
void run_switch_to(struct fibre *from, struct fibre *to);
/* The schedule's next change, if it is for this step of the fibre: it counts as made then. */
const struct change *run_scheduled(unsigned fibre, uint64_t step);
/* All changes of the schedule are made, and others are asked for. */
bool run_is_past_changes(void);
/* Before the access: makes a change; or one that priorities ask for; or notes what could be. */
void run_make_change(struct fibre *fibre, const struct place *place, const struct change *change);
void run_follow_priorities(struct fibre *fibre, const struct place *place);
void run_note_preemptions(struct fibre *fibre, const struct place *place);
/* The one to go on in place of a fibre that does not; NULL: none. => cost: of another choice */
struct fibre *run_choose(struct fibre *fibre, unsigned cost);
unsigned run_choose_first(void);

/* --- states that were checked: states.c --- */

/* => true: it was added before; it counts as reached. */
bool states_reach(uint64_t hash);
void states_add(uint64_t hash);
uint64_t states_count(void);
/* From here on states are reached anew. => how many were, and a sum of their hashes */
void states_begin(void);
uint64_t states_reached(uint64_t *sum);

/* Builds a case's start state, once. explore.c */
void explore_open(const interleave_case *of);

/* --- store buffers: buffer.c. All do nothing where the case has none. --- */

/* The compiler's code is about to write. */
void buffer_announce(struct fibre *fibre, const struct place *place, bool is_point);
void buffer_drain(struct fibre *fibre);
/* The fibre stops, keeping its newest stores to itself; it goes on and sees them again. */
void buffer_leave(struct fibre *fibre, unsigned keep);
void buffer_enter(struct fibre *fibre);
/* Of a fibre that does not run: all but the newest reach memory. */
void buffer_drain_outside(struct fibre *fibre, unsigned keep);
/* Stores of the fibre that would stay if the place's newest were to leave; -1: none is there. */
int buffer_keep_without(const struct fibre *fibre, const struct place *place);

/* --- traces: trace.c --- */

struct event {
	uint64_t step;
	uintptr_t address;
	const void *code;
	const char *what; /* KIND_EVENT */
	uint64_t value;
	uint32_t size;
	uint8_t fibre;
	uint8_t kind;
	bool is_point;
};

void trace_begin(void);
void trace_add(const struct event *event);
/* What the last event's access left in memory. */
void trace_settle(void);
uint64_t trace_hash(void);
/* => all: steps that are no points too */
void trace_print(FILE *out, bool all);

#endif
