/* SPDX-License-Identifier: BSD-2-Clause */
/* Each kind of inversion, and what else the record of held locks must catch. */
#include "base/lock.h"

#include "base/toy_port.h"
#include "harness.h"

#include <string.h>

static const char *const names[LH_LOCK_KIND_COUNT] = {
	"a map lock", "an object's lock", "a table's lock", "the accounts' lock", "a heap's lock",
	"a pool's lock", "the frames' lock",
};

static uint32_t words[LH_LOCK_KIND_COUNT][2];

struct toy {
	lh_port port;
	lh_lock_record record;
	jmp_buf end;
};

static void take(lh_port *port, unsigned kind, unsigned which)
{
	if (kind < LH_LOCK_TABLE)
		lh_mutex_lock(&words[kind][which], (lh_lock_kind)kind, port);
	else
		(void)lh_spin_lock(&words[kind][which], (lh_lock_kind)kind, port);
}

static void try(lh_port *port, unsigned kind, unsigned which)
{
	lh_order_may_try(port, &words[kind][which], (lh_lock_kind)kind);
	lh_order_took(port, &words[kind][which], (lh_lock_kind)kind);
}

/* What is taken first, then second, by which function. => the report; NULL: all is well. */
static const char *take_two(unsigned first, unsigned second, unsigned which,
			    void (*how)(lh_port *, unsigned, unsigned))
{
	static struct toy toy;

	memset(words, 0, sizeof(words));
	memset(&toy, 0, sizeof(toy));
	toy.port.locks = &toy.record;
	toy.port.on_panic = &toy.end;
	if (setjmp(toy.end) != 0)
		return toy.port.panic;
	take(&toy.port, first, 0);
	/* A mutex under a spinning lock: its order is what shall be reported here. */
	toy.port.interrupts_off = 0;
	how(&toy.port, second, which);
	CHECK_EQUAL(toy.record.count, 2);
	return NULL;
}

static void check_report(const char *report, unsigned second, unsigned first)
{
	CHECK(report != NULL);
	CHECK(strstr(report, "lock order") != NULL);
	CHECK(strstr(report, names[second]) != NULL);
	CHECK(strstr(report, names[first]) != NULL);
}

TEST(a_lock_is_taken_only_after_those_before_it_in_the_order)
{
	for (unsigned first = 0; first < LH_LOCK_KIND_COUNT; first++) {
		for (unsigned second = 0; second < LH_LOCK_KIND_COUNT; second++) {
			const char *report = take_two(first, second, 1, take);

			if (second > first)
				CHECK(report == NULL);
			else
				check_report(report, second, first);
		}
	}
}

TEST(two_of_a_kind_are_allowed_where_the_second_is_tried)
{
	for (unsigned first = 0; first < LH_LOCK_KIND_COUNT; first++) {
		for (unsigned second = 0; second < LH_LOCK_KIND_COUNT; second++) {
			const char *report = take_two(first, second, 1, try);

			if (second >= first)
				CHECK(report == NULL);
			else
				check_report(report, second, first);
		}
	}
}

TEST(a_lock_that_its_holder_takes_again_is_reported_and_not_waited_for)
{
	for (unsigned kind = 0; kind < LH_LOCK_KIND_COUNT; kind++) {
		const char *report = take_two(kind, kind, 0, take);

		CHECK(report != NULL && strstr(report, "held already") != NULL);
		report = take_two(kind, kind, 0, try);
		CHECK(report != NULL && strstr(report, "held already") != NULL);
	}
}

/* What a call says, with a lock of the kind held (LH_LOCK_KIND_COUNT: none), interrupts off or on. */
static const char *call(void (*function)(lh_port *), unsigned held, bool deaf)
{
	static struct toy toy;

	memset(words, 0, sizeof(words));
	memset(&toy, 0, sizeof(toy));
	toy.port.locks = &toy.record;
	toy.port.on_panic = &toy.end;
	if (setjmp(toy.end) != 0)
		return toy.port.panic;
	if (held < LH_LOCK_KIND_COUNT)
		take(&toy.port, held, 0);
	toy.port.interrupts_off = deaf ? 1 : 0;
	function(&toy.port);
	return NULL;
}

static void flush(lh_port *port)
{
	lh_order_may_flush(port);
}

static void ask_pager(lh_port *port)
{
	lh_order_may_wait(port, "a pager's read");
}

static void take_mutex(lh_port *port)
{
	take(port, LH_LOCK_OBJECT, 1);
}

static void let_go_of_a_stranger(lh_port *port)
{
	words[LH_LOCK_POOL][0] = 1;
	lh_spin_unlock(&words[LH_LOCK_POOL][0], LH_LOCK_POOL, port, 0);
}

TEST(a_flush_is_waited_for_under_mutexes_alone_and_with_interrupts_on)
{
	for (unsigned held = 0; held <= LH_LOCK_KIND_COUNT; held++) {
		const char *report = call(flush, held, false);

		if (held < LH_LOCK_TABLE || held == LH_LOCK_KIND_COUNT)
			CHECK(report == NULL);
		else
			CHECK(strstr(report, "a flush") && strstr(report, names[held]));
	}
	CHECK(strstr(call(flush, LH_LOCK_MAP, true), "interrupts off") != NULL);
}

TEST(the_host_is_waited_for_with_nothing_held)
{
	for (unsigned held = 0; held < LH_LOCK_KIND_COUNT; held++) {
		const char *report = call(ask_pager, held, false);

		CHECK(report && strstr(report, "a pager's read") && strstr(report, names[held]));
	}
	CHECK(call(ask_pager, LH_LOCK_KIND_COUNT, false) == NULL);
	CHECK(strstr(call(ask_pager, LH_LOCK_KIND_COUNT, true), "interrupts off") != NULL);
}

TEST(no_mutex_is_taken_with_interrupts_off)
{
	const char *report = call(take_mutex, LH_LOCK_KIND_COUNT, true);

	CHECK(report && strstr(report, names[LH_LOCK_OBJECT]) && strstr(report, "interrupts off"));
}

TEST(who_lets_go_of_a_lock_holds_it)
{
	const char *report = call(let_go_of_a_stranger, LH_LOCK_KIND_COUNT, false);

	CHECK(report && strstr(report, names[LH_LOCK_POOL]));
}

TEST(locks_may_be_let_go_in_any_order)
{
	lh_lock_record record = { 0 };
	lh_port port = { .locks = &record };

	memset(words, 0, sizeof(words));
	take(&port, LH_LOCK_MAP, 0);
	take(&port, LH_LOCK_OBJECT, 0);
	take(&port, LH_LOCK_HEAP, 0);
	lh_mutex_unlock(&words[LH_LOCK_MAP][0], LH_LOCK_MAP, &port);
	CHECK_EQUAL(record.count, 2);
	take(&port, LH_LOCK_FRAMES, 0);
	lh_spin_unlock(&words[LH_LOCK_HEAP][0], LH_LOCK_HEAP, &port, 0);
	lh_spin_unlock(&words[LH_LOCK_FRAMES][0], LH_LOCK_FRAMES, &port, 0);
	lh_mutex_unlock(&words[LH_LOCK_OBJECT][0], LH_LOCK_OBJECT, &port);
	CHECK_EQUAL(record.count, 0);
}
