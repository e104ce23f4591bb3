/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hosted machine: RAM, CPUs and a port, inside an ordinary process.
 *
 * A machine is the port: struct lh_port is defined here, so a test hands its machine
 * to every function of the library that wants an lh_port. Any number of machines live
 * in one process; they share nothing.
 *
 *   machine.h  RAM, CPUs, the port functions, panics (machine*.c)
 *   mmu.h      page walker and TLB, by the manual alone (mmu*.c)
 *   cpu.h      accesses through TLB and tables (cpu.c)
 *   adversary.h  what a CPU could have cached, it has (adversary.c, mmu_shadow.c)
 *   threads.h  a thread for each CPU (threads.c)
 *   model.h    what each page should answer (model.c)
 *   inject.h   the n-th allocation fails, for every n (inject.c)
 *
 * RAM is one to MACHINE_SPANS_MAX spans of frames, with holes between them. A span's
 * bytes lie between two pages that trap, so that running over its end is seen. RAM
 * starts filled with MACHINE_FILL, not with zeroes: whoever needs zeroes must say so.
 *
 * Time. One thread runs all CPUs of the machine, one at a time: machine_run_on says
 * which. Or each CPU has a thread of its own, for as long as machine_run_threads runs
 * (threads.h); a CPU's state is then touched by its own thread only.
 *
 * Everything that a real machine would do silently wrong is *reported*: by a panic whose
 * message begins with "machine: ". Reports are: a frame pointer of what is no RAM; a
 * call to another CPU with interrupts off; interrupts restored out of order; parking
 * with interrupts off, or with nobody there to unpark; spinning for ever; an access
 * through a TLB entry to a frame that was freed since; a walk through a freed table.
 */
#ifndef HOSTED_MACHINE_H
#define HOSTED_MACHINE_H

#include <landhold/port.h>

#include "mmu.h"

#define MACHINE_SPANS_MAX 8
#define MACHINE_FILL 0xa7
#define MACHINE_LOG_LINES 64
#define MACHINE_LINE_MAX 256

/* A row of frames that are RAM. */
typedef struct machine_span {
	uint64_t first; /* frame number */
	uint64_t count;
} machine_span;

/* What a machine is made of. Zeroed: MACHINE_DEFAULT_FRAMES frames, from 0, one CPU. */
typedef struct machine_setup {
	machine_span spans[MACHINE_SPANS_MAX]; /* ascending, disjoint; the first with count 0
						  ends the list */
	unsigned cpus;			       /* 0: 1 */
	uint64_t seed;			       /* of lh_port_random */
	const mmu_architecture *architecture;  /* NULL: x86-64 */
	unsigned levels;		       /* of page tables: 0: 4 */
	bool process_context;		       /* PCIDs: see mmu_control */
} machine_setup;

#define MACHINE_DEFAULT_FRAMES 1024

typedef struct machine_flush {
	uint64_t event;
	lh_frame_number root;
	lh_virtual_range range;
	bool global;
} machine_flush;

typedef struct machine_cpu {
	bool interrupts;       /* on */
	unsigned depth;	       /* calls of lh_port_interrupts_off not yet restored */
	uint64_t root;	       /* frame number of the loaded directory; LH_NO_FRAME */
	uint64_t upper_root;   /* of the upper half's, where each half has one: machine_set_upper_root */
	mmu_control control;
	mmu_tlb tlb;
	uint64_t flushes;      /* lh_architecture_flush_local */
	machine_flush last_flush;
	uint64_t loads;	       /* lh_architecture_load */
	uint64_t calls;	       /* times that a call_cpus reached it */
	lh_lock_record locks;  /* what the library holds on it */
} machine_cpu;

/* A frame's shadow. */
typedef struct machine_frame {
	uint64_t freed_at; /* the machine's event number when it was last freed; 0: never */
	bool is_free;
} machine_frame;

/* What a frame is to the library; what is neither free nor a table is OTHER. */
typedef enum machine_use { MACHINE_FREE, MACHINE_TABLE, MACHINE_OTHER } machine_use;
typedef machine_use machine_frame_use(void *context, lh_frame_number frame);

/* What a test may put in place of the machine's default answers; each may be NULL. */
typedef struct machine_hooks {
	void *context;
	/* Somebody parks: let others run. => true: something happened, go on. */
	bool (*park)(void *context, const uint32_t *word);
	/* lh_port_memory_pressure; default: false. */
	bool (*memory_pressure)(void *context, uint64_t pages);
	/* lh_port_random; default: the machine's generator. */
	uint64_t (*random)(void *context);
	/* A CPU is about to flush: what does the library's state look like at that moment? */
	void (*flush)(void *context, unsigned cpu, lh_virtual_range range);
	/* A CPU's interrupts go off, or are on again: a moment at which another CPU could do
	 * anything that the locks held allow. Not while CPUs are threads. */
	void (*turn)(void *context);
	/* A function of the port begins, any of them. */
	void (*enter)(void *context, const char *function);
} machine_hooks;

struct lh_port {
	machine_span spans[MACHINE_SPANS_MAX];
	uint8_t *bytes[MACHINE_SPANS_MAX];	   /* by span */
	machine_frame *shadows[MACHINE_SPANS_MAX]; /* by span */
	unsigned span_count;
	unsigned cpu_count;
	unsigned slot; /* the machine's place in each thread's list of current CPUs */
	machine_cpu cpus[LH_MAX_CPUS];
	machine_hooks hooks;
	uint64_t random_state;
	uint64_t events;	 /* the TLBs' clock; counts frees too, to tell which came first */
	uint64_t calls;		 /* lh_port_call_cpus */
	uint64_t parks, unparks;
	uint64_t pressures;	 /* lh_port_memory_pressure */
	uint64_t pauses;	 /* in a row, with no other port call between; not while threads */
	struct machine_adversary *adversary; /* adversary.h; NULL: nobody watches */
	struct machine_threads *threads; /* while each CPU runs on a thread of its own */
	unsigned stall_seconds;	 /* of a CPU's thread without a step; 0: the default */
	/* While CPUs are threads: whether somebody holds a frame, asked in place of the shadow,
	 * which nobody can keep then. NULL: not checked. */
	bool (*in_use)(void *context, lh_frame_number frame);
	void *in_use_context;
	uint64_t log_count;	 /* lines ever */
	char log[MACHINE_LOG_LINES][MACHINE_LINE_MAX]; /* the last ones; line n is at n % LINES */
};

/* --- life --- */

/*
 * Makes a machine. Aborts the process on a bad setup or when the host is out of memory:
 * there is no test to run then.
 */
lh_port *machine_create(const machine_setup *setup);

/* The common case: one span. */
lh_port *machine_create_simple(uint64_t first_frame, uint64_t frames, unsigned cpus);

/* Accepts NULL. */
void machine_destroy(lh_port *machine);

/* --- RAM --- */

/* Frames in all spans. */
uint64_t machine_frames(const lh_port *machine);

bool machine_is_ram(const lh_port *machine, uint64_t frame);

/* The bytes of a frame; NULL where there is no RAM. */
void *machine_bytes(const lh_port *machine, uint64_t frame);

/*
 * The shadow. A test tells the machine which frames are given out and which are free, by
 * the first two as it happens, or by the third after each step: in_use says whether a
 * frame is held by somebody. A frame is taken as in use until it was freed once.
 */
void machine_frame_allocated(lh_port *machine, lh_frame_number frame);
void machine_frame_freed(lh_port *machine, lh_frame_number frame);
void machine_update_frames(lh_port *machine, bool (*in_use)(void *context, lh_frame_number frame),
			   void *context);

/* --- CPUs --- */

/* From now on this thread runs the CPU. => the one it ran before. */
unsigned machine_run_on(lh_port *machine, unsigned cpu);

/* The CPU that this thread runs. */
unsigned machine_current(const lh_port *machine);

/* The directory of the upper half's addresses on all CPUs, on an architecture where it has a root of its
 * own, as TTBR1_EL1 says it. While a CPU has this root loaded it translates nothing in the low half. */
void machine_set_upper_root(lh_port *machine, lh_frame_number root);
/* A set of one CPU, and of all of the machine's. */
lh_cpu_set machine_cpu_set(unsigned cpu);
lh_cpu_set machine_all_cpus(const lh_port *machine);

/* --- panics and reports --- */

/*
 * Runs function(context). => the message of the panic that ended it, valid until the next
 * one in this thread; NULL if it returned. After a panic the machine's interrupts and
 * current CPU are as before the call. machine may be NULL. Nests. Whoever leaves the
 * function by a longjmp of his own (test_fail does) makes a new machine before he next
 * expects no panic: machine_create forgets expectations that were left so.
 */
const char *machine_expect_panic(lh_port *machine, void (*function)(void *context),
				 void *context);

/*
 * What an unexpected panic calls. It does not return. NULL, as at first: the test harness's
 * test_fail if the program holds one, else print and abort.
 */
void machine_set_panic_handler(void (*handler)(const char *message));

/* A report: a panic that begins with "machine: ". */
_Noreturn void machine_report(lh_port *machine, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* --- random numbers and the log --- */

void machine_seed(lh_port *machine, uint64_t seed);

/* Line back lines before the newest (0: the newest); NULL if there is none. */
const char *machine_log_line(const lh_port *machine, unsigned back);

/* True if one of the lines kept has the text in it. */
bool machine_log_has(const lh_port *machine, const char *text);

#endif
