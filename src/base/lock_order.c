/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/lock_order.h"

#if LH_DEBUG >= 2

#include "base/assert.h"

#undef lh_port_interrupts_are_on /* what the checks ask is no call that is looked at */

static const char *const names[LH_LOCK_KIND_COUNT] = {
	"a map lock", "an object's lock", "a table's lock", "the accounts' lock", "a heap's lock",
	"a pool's lock", "the frames' lock",
};

#define LINE_MAX 160

/* Parts after one another; what does not fit is left out. */
static char *append(char *at, const char *end, const char *text)
{
	while (*text != '\0' && at + 1 < end)
		*at++ = *text++;
	*at = '\0';
	return at;
}

/* "lock order: a map lock taken while an object's lock is held" */
LH_NO_RETURN static void report(lh_port *port, const char *what, const char *how, const char *held)
{
	char line[LINE_MAX];
	char *at = append(line, line + LINE_MAX, "lock order: ");

	at = append(at, line + LINE_MAX, what);
	at = append(at, line + LINE_MAX, how);
	append(at, line + LINE_MAX, held);
	lh_port_panic(port, line);
}

static void require_interrupts_on(lh_port *port, const char *what)
{
	if (lh_port_lock_record(port) && !lh_port_interrupts_are_on(port))
		report(port, what, " with ", "interrupts off");
}

/* None held of the kind or a later one; of the same kind where it is only tried. */
static void check_against(lh_port *port, const void *lock, lh_lock_kind kind, bool tried)
{
	const lh_lock_record *record = lh_port_lock_record(port);

	for (uint32_t i = 0; record && i < record->count; i++) {
		uint32_t held = record->held[i].kind;

		if (record->held[i].lock == lock)
			report(port, names[kind], " taken by its holder: ", "held already");
		if (held > (uint32_t)kind || (held == (uint32_t)kind && !tried))
			report(port, names[kind], " taken while held: ", names[held]);
	}
}

void lh_order_may_take(lh_port *port, const void *lock, lh_lock_kind kind)
{
	check_against(port, lock, kind, false);
	if (kind < LH_LOCK_TABLE)
		require_interrupts_on(port, names[kind]);
}

void lh_order_may_try(lh_port *port, const void *lock, lh_lock_kind kind)
{
	check_against(port, lock, kind, true);
}

void lh_order_took(lh_port *port, const void *lock, lh_lock_kind kind)
{
	lh_lock_record *record = lh_port_lock_record(port);

	if (!record)
		return;
	LH_REQUIRE(port, record->count < LH_LOCKS_HELD_MAX);
	record->held[record->count].lock = lock;
	record->held[record->count++].kind = (uint32_t)kind;
}

void lh_order_let_go(lh_port *port, const void *lock, lh_lock_kind kind)
{
	lh_lock_record *record = lh_port_lock_record(port);
	uint32_t place;

	if (!record)
		return;
	for (place = record->count; place > 0; place--)
		if (record->held[place - 1].lock == lock)
			break;
	if (place == 0)
		report(port, names[kind], " let go by ", "who does not hold it");
	for (record->count--; place <= record->count; place++)
		record->held[place - 1] = record->held[place];
}

/* Nothing held from the kind on. */
static void require_none(lh_port *port, const char *waits, lh_lock_kind from)
{
	const lh_lock_record *record = lh_port_lock_record(port);

	for (uint32_t i = 0; record && i < record->count; i++)
		if (record->held[i].kind >= (uint32_t)from)
			report(port, waits, " waited for while held: ", names[record->held[i].kind]);
}

void lh_order_may_flush(lh_port *port)
{
	require_none(port, "a flush", LH_LOCK_TABLE);
	require_interrupts_on(port, "a flush");
}

void lh_order_may_wait(lh_port *port, const char *waits)
{
	require_none(port, waits, LH_LOCK_MAP);
	require_interrupts_on(port, waits);
}

void lh_order_may_use(lh_port *port, const char *what)
{
	require_none(port, what, LH_LOCK_TABLE);
}

void lh_order_outside(lh_port *port, const char *what)
{
	const lh_lock_record *record = lh_port_lock_record(port);

	if (record && (record->inside[0] != 0 || (record->inside[1] != 0 && lh_port_interrupts_are_on(port))))
		report(port, what, " used inside ", "a port function");
}

#else

/* ISO C wants a declaration in every file. */
typedef int lh_no_lock_order;

#endif
