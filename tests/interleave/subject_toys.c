/* SPDX-License-Identifier: BSD-2-Clause */
#include "interleave/toys.h"

/* The race detector knows no fences, and gcc says so; the runtime here does. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif

#define LOAD(place) __atomic_load_n(place, __ATOMIC_ACQUIRE)
#define STORE(place, value) __atomic_store_n(place, value, __ATOMIC_RELEASE)

void peterson_enter(struct peterson *lock, unsigned self, bool fenced, void (*pause)(void))
{
	unsigned other = 1 - self;

	STORE(&lock->wants[self], 1);
	STORE(&lock->turn, other);
	if (fenced)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	while (LOAD(&lock->wants[other]) != 0 && LOAD(&lock->turn) == other)
		pause();
}

void peterson_leave(struct peterson *lock, unsigned self)
{
	STORE(&lock->wants[self], 0);
}

#define INDEX UINT64_C(0xff)

static bool exchange_head(struct toy_stack *stack, uint64_t seen, uint64_t first, bool counted)
{
	uint64_t count = counted ? (seen & ~INDEX) + INDEX + 1 : 0;

	return __atomic_compare_exchange_n(&stack->head, &seen, count | first, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void toy_push(struct toy_stack *stack, uint64_t node, bool counted)
{
	uint64_t seen;

	do {
		seen = LOAD(&stack->head);
		STORE(&stack->next[node], seen & INDEX);
	} while (!exchange_head(stack, seen, node + 1, counted));
}

uint64_t toy_pop(struct toy_stack *stack, bool counted)
{
	uint64_t seen, next;

	do {
		seen = LOAD(&stack->head);
		if ((seen & INDEX) == 0)
			return 0;
		next = LOAD(&stack->next[(seen & INDEX) - 1]);
	} while (!exchange_head(stack, seen, next, counted));
	return seen & INDEX;
}

void plain_add(uint64_t *counter)
{
	++*counter;
}

void atomic_add(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

uint64_t store_then_load(uint64_t *own, uint64_t *other)
{
	*own = 1;
	return *other;
}

/* Plain stores: their order is the machine's. */
void message_send(struct message *message, uint64_t value)
{
	message->value = value;
	STORE(&message->is_there, 1);
}

uint64_t message_receive(struct message *message)
{
	return LOAD(&message->is_there) != 0 ? message->value : 0;
}
