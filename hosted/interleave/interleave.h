/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scheduler of interleavings: every order in which a few operations of concurrent code can
 * meet, tried out one after the other, in one thread, repeatably.
 *
 * The code under test is compiled with -fsanitize=thread and linked with this instead of the
 * race detector's runtime: what the compiler puts before each load, store and atomic operation
 * then arrives here. Nothing else of the compiler's is needed and nothing of the code changes.
 *
 * Words.
 *   case       a start state, two to four operations, and what must hold when all have ended
 *   fibre      what runs one operation: a stack and a saved stack pointer
 *   arena      all memory that the case uses. Its shared part (what aligned_alloc and mmap gave
 *              while the state was built) is what the code under test works on; its private part
 *              (malloc, calloc) belongs to the surroundings, which are never interrupted
 *   step       an access of instrumented code to the shared part or to another fibre's stack, or
 *              a wait, or an end. A fibre counts its own
 *   point      a step at a place that another fibre touches too, one of the two writing: only
 *              before these can a switch make a difference
 *   change     a place where a schedule leaves the default, "go on as long as you can; then the
 *              next one": fibre f, before its n-th step, gives way to fibre t
 *   seed       a case's name and its changes, as text: it is the whole schedule (trace.c)
 *
 * How it explores. A run begins with the arena as it was saved when the state was built. The
 * first run makes no change; at each point it notes which changes could be made there. Each of
 * these is a run of its own, which notes those after its last change; and so on, up to a bound
 * of preemptions (Musuvathi and Qadeer, "Iterative context bounding for systematic testing of
 * multithreaded programs", 2007). Switches where a fibre waits or ends are free.
 *
 *   Points. Which places are shared is learnt by running. A place that proves shared late makes
 *   the exploration begin anew with what is known now, until it ends with nothing new.
 *
 *   Sleep. A fibre that gave way before an access need not be run again until another one has
 *   made an access that conflicts with it: the same happens where it gives way later, at the
 *   same price. (Godefroid, "Partial-order methods for the verification of concurrent systems",
 *   1996, of which this is the part that is sound under a bound of preemptions.) Nor does it sleep
 *   on where another one yields. Behind its access, with no point between, it may yield itself; and
 *   whose yield comes first matters: it decides for whom there is hope, and who has the turn.
 *
 * Beyond the bound there are random schedules with priorities (Burckhardt and others, "A
 * randomized scheduler with probabilistic guarantees of finding bugs", 2010).
 *
 * The memory model is sequential consistency. With store_buffers it is that of x86 and SPARC:
 * each fibre has a buffer of its stores to shared places, from which it reads itself and from
 * which they reach the others in order, but late: when it makes a locked operation, a
 * sequentially consistent store or a fence, waits, yields or ends; or in part or whole where a
 * schedule says so. Neither is the model of a machine that reorders loads.
 *
 * What is found: a failed check (interleave_fail), a crash, a deadlock (nobody can go on), a
 * livelock (all spin, or too many steps). A finding is made as short as it can be, run twice
 * to see that it repeats, and given as a seed.
 *
 * One exploration a process: what is learnt is not forgotten. One thread; no sanitizer.
 */
#ifndef INTERLEAVE_H
#define INTERLEAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define INTERLEAVE_FIBRES 4
#define INTERLEAVE_CHANGES 64 /* most of one schedule */
#define INTERLEAVE_UNBOUNDED 1000
#define INTERLEAVE_TEXT 512

/* What the surroundings of the code under test need to know. Each may be NULL. */
typedef struct interleave_host {
	/* Around the fibres' part of a run: after the state is restored, before it is checked. */
	void (*begin)(void *state);
	void (*end)(void *state);
	/* On the fibre whose operation has returned, just before it ends. */
	void (*ended)(void *state);
	/* A fibre stops, for others to run: what is to be put back when it goes on. At first that
	 * is its number. */
	uintptr_t (*leave)(void *state, unsigned fibre);
	void (*enter)(void *state, unsigned fibre, uintptr_t kept);
	/* A place that interleave_watch named was written to: it is as the writer left it, and
	 * nobody has done anything since. */
	void (*written)(void *state, const void *place);
	/* Words for a place in the arena: false: it has none. */
	bool (*describe)(void *state, uintptr_t address, char *text, size_t size);
} interleave_host;

typedef struct interleave_case {
	const char *name;
	unsigned fibres;
	/* Builds the start state in the arena; runs once. */
	void *(*open)(void);
	void (*run[INTERLEAVE_FIBRES])(void *state);
	/* After all have ended; may change the state, which is restored anyhow. */
	void (*check)(void *state);
	/* Whenever one fibre gives way to another; reads only. May be NULL. */
	void (*invariant)(void *state);
	const interleave_host *host; /* may be NULL */
	bool store_buffers;
	unsigned bound;		     /* of preemptions; INTERLEAVE_UNBOUNDED: all there are */
	const char *finding;	     /* a planted bug: the words that a finding must have in it */
	unsigned most_lines;	     /* where lines are counted: how many two fibres may both write; or */
#define INTERLEAVE_ANY 1000
} interleave_case;

typedef struct interleave_limits {
	double seconds;		/* of CPU time, for the bounded part; 0: no limit */
	double random_seconds;	/* for random schedules afterwards */
	uint64_t random_seed;
	unsigned bound;		/* in place of the case's, where it is lower; 0: the case's */
	unsigned extra;		/* added to a bound */
	bool store_buffers;	/* also where the case does not ask for them */
	bool prunes_nothing;	/* runs also what is known to be equal: to test that it is */
	bool progress;		/* a line now and then on stderr */
} interleave_limits;

typedef struct interleave_result {
	uint64_t runs;		/* to their end, but for the pruned ones */
	uint64_t pruned;	/* given up as equal to one that is run elsewhere */
	uint64_t random_runs;
	uint64_t restarts;	/* explorations begun anew, more being shared than was known */
	uint64_t points;	/* in the longest run */
	uint64_t states;	/* different ones at the end, of any run */
	uint64_t reached;	/* those of the schedules within the bound */
	uint64_t reached_sum;	/* of their hashes: with their number, which ones */
	unsigned bound;		/* of preemptions, that was explored */
	bool complete;		/* every schedule within the bound */
	bool failed;
	unsigned changes;	/* of the finding */
	uint64_t hash;		/* of its trace */
	char message[INTERLEAVE_TEXT];
	char seed[1024];
	double seconds;
} interleave_result;

/* Explores a case. => *result; the arena stays as the last run left it. */
void interleave_explore(const interleave_case *of, const interleave_limits *limits,
			interleave_result *result);

/*
 * Runs one schedule and prints it, a line a point; all: a line a step.
 * => changes: a seed without the case's name. false: it is no seed.
 */
bool interleave_replay(const interleave_case *of, const char *changes, FILE *out, bool all,
		       interleave_result *result);

/* --- from the operations, the checks, and the surroundings --- */

/* Ends the run with a finding. From anywhere in it. */
_Noreturn void interleave_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The fibre that runs; -1 outside a run's fibres. */
int interleave_current(void);

/* A step that the compiler does not see: an access of this kind to a place of the arena. */
void interleave_step(const void *place, bool writes, const char *what);

/* What a fibre has stored reaches memory now, as where a CPU takes an interrupt. */
void interleave_drain(unsigned fibre);

/* One turn of a spinning loop: others run, if any can. (Where lines are counted they are at nothing.) */
void interleave_yield(void);

/* Waits until another fibre calls interleave_wake for this one. */
void interleave_wait(const char *what);
void interleave_wake(unsigned fibre);
bool interleave_is_waiting(unsigned fibre);
bool interleave_has_ended(unsigned fibre);

/* From here to the run's end each write to the 8 bytes is told to the host's written(). */
void interleave_watch(const void *place);

/* A place in the shared part that stands for something that is no memory: 0 to 63. */
const void *interleave_token(unsigned number);

/* --- counting --- */

/*
 * Runs each fibre's operation once in turn, so many times over, without interleaving, after as many
 * rounds that are not counted.
 */
typedef struct interleave_lines {
	uint64_t written;	 /* cache lines of 64 bytes that two fibres or more both wrote */
	uint64_t shared;	 /* that one wrote and another read or wrote */
	uint64_t pages;		 /* written whole by both, and counted here only: contents */
	double read_modify_writes; /* atomic, for one operation of one fibre */
	double accesses;	 /* instrumented ones to the shared part */
	char places[INTERLEAVE_TEXT]; /* words for the lines written by both */
	bool failed;		 /* a check did: places says which */
} interleave_lines;

void interleave_count_lines(const interleave_case *of, unsigned rounds, interleave_lines *lines);

#endif
