/* SPDX-License-Identifier: BSD-2-Clause */
/* Each CPU has a record of its own of what the library holds on it; parking keeps it. */
#include "base/lock.h"
#include "threads.h"

#include "harness.h"

#include <stdio.h>
#include <string.h>

struct order {
	lh_port *machine;
	uint32_t map, object, frames;
	unsigned turns;
	unsigned inverts; /* the CPU that does; none: >= the number of CPUs */
};

/* In order, all CPUs at once, so that they park on each other's locks. */
static void take_in_order(struct order *order)
{
	lh_port *machine = order->machine;
	uintptr_t interrupts;

	lh_mutex_lock(&order->map, LH_LOCK_MAP, machine);
	lh_mutex_lock(&order->object, LH_LOCK_OBJECT, machine);
	interrupts = lh_spin_lock(&order->frames, LH_LOCK_FRAMES, machine);
	lh_spin_unlock(&order->frames, LH_LOCK_FRAMES, machine, interrupts);
	lh_mutex_unlock(&order->map, LH_LOCK_MAP, machine);
	lh_order_may_flush(machine);
	lh_mutex_unlock(&order->object, LH_LOCK_OBJECT, machine);
	lh_order_may_wait(machine, "nothing");
}

static void work(void *context, unsigned cpu)
{
	struct order *order = context;

	for (unsigned turn = 0; turn < order->turns; turn++) {
		machine_step(order->machine, "take locks");
		take_in_order(order);
	}
	if (cpu != order->inverts)
		return;
	lh_mutex_lock(&order->object, LH_LOCK_OBJECT, order->machine);
	lh_mutex_lock(&order->map, LH_LOCK_MAP, order->machine);
}

static const char *run(unsigned inverts)
{
	static char message[256];
	struct order order = { .machine = machine_create_simple(0, 16, 4), .turns = 500,
			       .inverts = inverts };
	const char *report = machine_run_threads(order.machine, work, &order);

	snprintf(message, sizeof(message), "%s", report ? report : "");
	machine_destroy(order.machine);
	return message;
}

TEST(cpus_that_keep_the_order_are_not_reported)
{
	CHECK_EQUAL(strcmp(run(4), ""), 0);
}

TEST(an_inversion_on_one_cpu_of_several_is_reported)
{
	const char *report = run(2);

	CHECK(strstr(report, "lock order: a map lock taken while held: an object's lock") != NULL);
}
