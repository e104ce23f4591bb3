/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An intrusive, circular, doubly linked list. The head and the members are the same
 * struct; an empty head, and a member that is in no list, point at themselves, so that
 * removing twice is harmless. No lock of its own.
 */
#ifndef KERNEL_LIB_LIST_H
#define KERNEL_LIB_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *previous;
};

#define LIST_INIT(name) { &(name), &(name) }

/* The struct that holds this member. */
#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

static inline void list_init(struct list *list)
{
	list->next = list;
	list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

/* Puts the node before position: with a head as position, at the end of the list. */
static inline void list_insert_before(struct list *position, struct list *node)
{
	node->next = position;
	node->previous = position->previous;
	position->previous->next = node;
	position->previous = node;
}

static inline void list_append(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}

static inline void list_prepend(struct list *head, struct list *node)
{
	list_insert_before(head->next, node);
}

/* Takes the node out of whatever list it is in; it is then in none. */
static inline void list_remove(struct list *node)
{
	node->previous->next = node->next;
	node->next->previous = node->previous;
	list_init(node);
}

/* The first node, taken out; NULL if the list is empty. */
static inline struct list *list_take_first(struct list *head)
{
	struct list *node = head->next;

	if (node == head)
		return NULL;
	list_remove(node);
	return node;
}

/* Nothing may be removed during the first; the second allows removing the node visited. */
#define LIST_FOR_EACH(node, head) \
	for (struct list *node = (head)->next; node != (head); node = node->next)
#define LIST_FOR_EACH_SAFE(node, following, head)                                           \
	for (struct list *node = (head)->next, *following = node->next; node != (head);     \
	     node = following, following = node->next)

#endif
