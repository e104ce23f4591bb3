/* SPDX-License-Identifier: BSD-2-Clause */
/* Small algorithms with known bugs, and the same without: instrumented, as the library is. */
#ifndef TESTS_INTERLEAVE_TOYS_H
#define TESTS_INTERLEAVE_TOYS_H

#include <stdbool.h>
#include <stdint.h>

/* --- mutual exclusion by Peterson, 1981 --- */

struct peterson {
	uint32_t wants[2];
	uint32_t turn;
	uint32_t inside; /* who is, while he is; to be seen by the other */
};

/* => pause: one turn of the waiting loop. fenced: stores are in memory before the loads. */
void peterson_enter(struct peterson *lock, unsigned self, bool fenced, void (*pause)(void));
void peterson_leave(struct peterson *lock, unsigned self);

/* --- a stack that is changed by compare and exchange (Treiber, 1986) --- */

#define TOY_NODES 3

struct toy_stack {
	uint64_t head;		  /* count of changes << 8 | index of the first node + 1, 0: none */
	uint64_t next[TOY_NODES]; /* the same, without the count */
};

/* => counted: the head's count goes up with each change. */
void toy_push(struct toy_stack *stack, uint64_t node, bool counted);
/* => the node + 1, or 0 */
uint64_t toy_pop(struct toy_stack *stack, bool counted);

/* --- a counter, each time read and written --- */

void plain_add(uint64_t *counter);
void atomic_add(uint64_t *counter);

/* --- two stores, each before a load of the other's place --- */

/* => what was loaded */
uint64_t store_then_load(uint64_t *own, uint64_t *other);

/* --- a value behind a flag, one store after the other --- */

struct message {
	uint64_t value;
	uint32_t is_there;
};

void message_send(struct message *message, uint64_t value);
/* => 0: not yet */
uint64_t message_receive(struct message *message);

#endif
