/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler's own tests: bugs that it must find, each beside a version that has none and is
 * explored to its end. What is not found fails.
 */
#include "interleave/cases.h"
#include "interleave/toys.h"

#include <stdlib.h>
#include <string.h>

/* --- Peterson's lock --- */

static void *open_peterson(void)
{
	return memset(aligned_alloc(64, sizeof(struct peterson)), 0, sizeof(struct peterson));
}

static void visit(struct peterson *lock, unsigned self, bool fenced)
{
	peterson_enter(lock, self, fenced, interleave_yield);
	if (lock->inside != 0)
		interleave_fail("both are inside");
	lock->inside = self + 1;
	interleave_step(&lock->inside, true, "is inside");
	if (lock->inside != self + 1)
		interleave_fail("both are inside");
	lock->inside = 0;
	interleave_step(&lock->inside, true, "goes");
	peterson_leave(lock, self);
}

static void unfenced_0(void *lock) { visit(lock, 0, false); }
static void unfenced_1(void *lock) { visit(lock, 1, false); }
static void fenced_0(void *lock) { visit(lock, 0, true); }
static void fenced_1(void *lock) { visit(lock, 1, true); }

CASE(toy_peterson_without_fence, .open = open_peterson, .fibres = 2,
     .run = { unfenced_0, unfenced_1 }, .bound = INTERLEAVE_UNBOUNDED, .store_buffers = true,
     .finding = "both are inside")
CASE(toy_peterson_without_fence_in_order, .open = open_peterson, .fibres = 2,
     .run = { unfenced_0, unfenced_1 }, .bound = INTERLEAVE_UNBOUNDED)
CASE(toy_peterson_with_fence, .open = open_peterson, .fibres = 2, .run = { fenced_0, fenced_1 },
     .bound = INTERLEAVE_UNBOUNDED, .store_buffers = true)

/* --- the stack --- */

struct stacking {
	struct toy_stack stack;
	uint64_t held[2][TOY_NODES]; /* by each fibre: nodes that it has popped */
};

static void *open_stack(void)
{
	struct stacking *stacking = aligned_alloc(64, sizeof *stacking);

	memset(stacking, 0, sizeof *stacking);
	for (uint64_t node = TOY_NODES; node-- > 0;)
		toy_push(&stacking->stack, node, false);
	return stacking;
}

static uint64_t take(struct stacking *stacking, unsigned self, bool counted)
{
	uint64_t node = toy_pop(&stacking->stack, counted);

	if (node != 0)
		stacking->held[self][node - 1]++;
	return node;
}

static void give(struct stacking *stacking, unsigned self, uint64_t node, bool counted)
{
	if (node == 0)
		return;
	stacking->held[self][node - 1]--;
	toy_push(&stacking->stack, node - 1, counted);
}

/* Pops two and pushes the first again: the head is then what it was, what follows it is not. */
static void exchange(struct stacking *stacking, bool counted)
{
	uint64_t first = take(stacking, 1, counted);

	take(stacking, 1, counted);
	give(stacking, 1, first, counted);
}

static void pop_uncounted(void *stacking) { take(stacking, 0, false); }
static void exchange_uncounted(void *stacking) { exchange(stacking, false); }
static void pop_counted(void *stacking) { take(stacking, 0, true); }
static void exchange_counted(void *stacking) { exchange(stacking, true); }

/* Each node is in one place. */
static void check_stack(void *context)
{
	struct stacking *stacking = context;
	uint64_t seen[TOY_NODES] = { 0 };

	for (uint64_t at = stacking->stack.head & 0xff; at != 0; at = stacking->stack.next[at - 1])
		if (++seen[at - 1] > 1)
			interleave_fail("the stack is a circle");
	for (unsigned node = 0; node < TOY_NODES; node++)
		if (seen[node] + stacking->held[0][node] + stacking->held[1][node] != 1)
			interleave_fail("node %u is in %llu places", node,
					(unsigned long long)(seen[node] + stacking->held[0][node] +
							     stacking->held[1][node]));
}

CASE(toy_stack_without_count, .open = open_stack, .fibres = 2,
     .run = { pop_uncounted, exchange_uncounted }, .check = check_stack,
     .bound = INTERLEAVE_UNBOUNDED, .finding = "places")
CASE(toy_stack_with_count, .open = open_stack, .fibres = 2, .run = { pop_counted, exchange_counted },
     .check = check_stack, .bound = INTERLEAVE_UNBOUNDED)

/* --- counting --- */

struct counting {
	uint64_t counter;
	uint64_t other;
	uint64_t loaded[2];
};

static void *open_counter(void)
{
	return memset(aligned_alloc(64, sizeof(struct counting)), 0, sizeof(struct counting));
}

static void add_plain(void *counting) { plain_add(&((struct counting *)counting)->counter); }
static void add_atomic(void *counting) { atomic_add(&((struct counting *)counting)->counter); }

static void check_counted(struct counting *counting, uint64_t count)
{
	if (counting->counter != count)
		interleave_fail("an addition is lost");
}

static void check_two(void *counting) { check_counted(counting, 2); }
static void check_three(void *counting) { check_counted(counting, 3); }

CASE(toy_counter_plain, .open = open_counter, .fibres = 2, .run = { add_plain, add_plain },
     .check = check_two, .bound = 1, .finding = "an addition is lost")
CASE(toy_counter_plain_three, .open = open_counter, .fibres = 3,
     .run = { add_atomic, add_plain, add_atomic }, .check = check_three, .bound = 1,
     .finding = "an addition is lost")
CASE(toy_counter_atomic, .open = open_counter, .fibres = 3,
     .run = { add_atomic, add_atomic, add_atomic }, .check = check_three,
     .bound = INTERLEAVE_UNBOUNDED)

/* --- the test of a store buffer --- */

static void store_0(void *context)
{
	struct counting *counting = context;

	counting->loaded[0] = store_then_load(&counting->counter, &counting->other);
}

static void store_1(void *context)
{
	struct counting *counting = context;

	counting->loaded[1] = store_then_load(&counting->other, &counting->counter);
}

static void check_loaded(void *context)
{
	struct counting *counting = context;

	if (counting->loaded[0] == 0 && counting->loaded[1] == 0)
		interleave_fail("both loads came before both stores");
}

CASE(toy_store_buffer, .open = open_counter, .fibres = 2, .run = { store_0, store_1 },
     .check = check_loaded, .bound = INTERLEAVE_UNBOUNDED, .store_buffers = true,
     .finding = "both loads")
CASE(toy_store_buffer_in_order, .open = open_counter, .fibres = 2, .run = { store_0, store_1 },
     .check = check_loaded, .bound = INTERLEAVE_UNBOUNDED)

/* --- a message: stores stay in order in both models --- */

static void *open_message(void)
{
	return memset(aligned_alloc(64, sizeof(struct message)), 0, sizeof(struct message));
}

static void send(void *message) { message_send(message, 7); }

static void receive(void *message)
{
	uint64_t value;

	while ((value = message_receive(message)) == 0)
		interleave_yield();
	if (value != 7)
		interleave_fail("half a message");
}

CASE(toy_message, .open = open_message, .fibres = 2, .run = { send, receive },
     .bound = INTERLEAVE_UNBOUNDED, .store_buffers = true)

/* --- a turn that is handed on, and back --- */

/*
 * For two preemptions the second may find the first busy, give way before it asks, and yield only when the
 * first has yielded: the turn then goes back, and the first is first. Had the second yielded at
 * once, the turn would be its own: pruning must not take the one for the other.
 */
struct turns {
	uint64_t asked, busy; /* busy: while it is odd */
	uint64_t order;
	uint64_t arrived[2];
	bool was_busy;
};

static void *open_turns(void)
{
	return memset(aligned_alloc(64, sizeof(struct turns)), 0, sizeof(struct turns));
}

static void arrive(struct turns *turns, unsigned self)
{
	atomic_add(&turns->order);
	turns->arrived[self] = turns->order;
}

static void be_busy(void *context)
{
	struct turns *turns = context;

	atomic_add(&turns->asked);
	atomic_add(&turns->busy);
	atomic_add(&turns->busy);
	interleave_yield();
	arrive(turns, 0);
}

static void ask(void *context)
{
	struct turns *turns = context;

	interleave_step(&turns->busy, false, "looks");
	turns->was_busy = turns->busy % 2 != 0;
	if (turns->was_busy) {
		interleave_step(&turns->asked, false, "asks");
		interleave_yield();
	}
	arrive(turns, 1);
}

static void check_arrived(void *context)
{
	const struct turns *turns = context;

	if (turns->arrived[0] + turns->arrived[1] != 3)
		interleave_fail("two are one");
}

CASE(toy_turn_handed_back, .open = open_turns, .fibres = 2, .run = { be_busy, ask },
     .check = check_arrived, .bound = 2)

/* --- ends that are none --- */

static void wait_for_ever(void *context)
{
	(void)context;
	interleave_wait("for nobody");
}

static void spin_for_ever(void *context)
{
	struct message *message = context;

	while (message_receive(message) == 0)
		interleave_yield();
}

static void crash(void *context)
{
	struct message *message = context;

	if (message_receive(message) != 0)
		*(volatile int *)8 = 1;
}

CASE(toy_deadlock, .open = open_message, .fibres = 2, .run = { send, wait_for_ever },
     .finding = "deadlock")
CASE(toy_livelock, .open = open_message, .fibres = 2, .run = { spin_for_ever, spin_for_ever },
     .finding = "livelock")
CASE(toy_crash, .open = open_message, .fibres = 2, .run = { crash, send }, .bound = 1,
     .finding = "signal 11")
