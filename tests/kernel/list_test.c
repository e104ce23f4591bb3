/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/list.h"

#include "harness.h"

struct member {
	int number;
	struct list node;
};

static int number_of(struct list *node)
{
	return container_of(node, struct member, node)->number;
}

TEST(a_list_keeps_the_order_in_which_it_was_filled)
{
	struct list head = LIST_INIT(head);
	struct member members[5];
	int expected = 0;

	for (int i = 1; i < 5; i++) {
		members[i].number = i;
		list_append(&head, &members[i].node);
	}
	members[0].number = 0;
	list_prepend(&head, &members[0].node);
	LIST_FOR_EACH(node, &head)
	CHECK_EQUAL(number_of(node), expected++);
	CHECK_EQUAL(expected, 5);
	for (int i = 0; i < 5; i++)
		CHECK_EQUAL(number_of(list_take_first(&head)), i);
	CHECK(list_is_empty(&head) && list_take_first(&head) == NULL);
}

TEST(removing_twice_and_while_walking_is_harmless)
{
	struct list head = LIST_INIT(head);
	struct member members[6];
	int left = 0;

	for (int i = 0; i < 6; i++) {
		members[i].number = i;
		list_append(&head, &members[i].node);
	}
	LIST_FOR_EACH_SAFE(node, following, &head)
	{
		if (number_of(node) % 2 == 0) {
			list_remove(node);
			list_remove(node);
		}
	}
	LIST_FOR_EACH(node, &head)
	CHECK_EQUAL(number_of(node), 1 + 2 * left++);
	CHECK_EQUAL(left, 3);
}
