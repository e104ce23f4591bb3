/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gathers: out of use, flush, then free, in that order.
 *
 * The flush. Our entries are cleared first; then the generation goes up and the set of
 * active CPUs is read, both sequentially consistent. A CPU that activates the directory
 * sets its bit and then loads the root, which empties its TLB. So a CPU that we do not
 * see in the set walks only tables without our entries.
 *
 * Where a CPU's walks are not in the order of its loads (aarch64: DDI 0487 L.b, section D8.2.6.1), this takes a
 * barrier, of the CPU that wrote and before the set is read, whether or not it has anything to flush itself.
 *
 * Tables are reached by software too (walk.h): where some are to be freed, those who walk without
 * running the directory are called as well. They have nothing to flush; that they answer is what
 * is waited for. It is needed also where the hardware flushes other CPUs by itself.
 *
 * A kernel's leaves are global, every active CPU translates by them under any root.
 */
#include "base/lock_order.h"
#include "paging/slot.h"

#define FRAME_MASK ((UINT64_C(1) << LH_GATHER_LEVEL_SHIFT) - 1)

void lh_gather_note_range(lh_gather *gather, lh_virtual_range range)
{
	lh_virtual_range *span = &gather->span;
	uint64_t last;

	if (lh_virtual_range_is_empty(*span)) {
		*span = range;
		return;
	}
	last = lh_virtual_range_last_page(*span).value;
	if (lh_virtual_range_last_page(range).value > last)
		last = lh_virtual_range_last_page(range).value;
	if (range.base.value < span->base.value)
		span->base = range.base;
	span->pages = ((last - span->base.value) >> LH_PAGE_SHIFT) + 1;
}

void lh_gather_note(lh_gather *gather, lh_virtual_address address)
{
	lh_virtual_range page = { lh_virtual(address.value & ~(LH_PAGE_SIZE - 1)), 1 };

	lh_gather_note_range(gather, page);
}

void lh_gather_add_table(lh_gather *gather, lh_frame_number table)
{
	lh_chain_push(gather->directory->frames, &gather->tables, table);
}

/* What the CPUs that flush are told. */
typedef struct flush_order {
	lh_port *port;
	lh_frame_number root;
	lh_virtual_range span;
	bool global;
} flush_order;

static void flush_here(void *argument)
{
	const flush_order *order = argument;

	lh_architecture_flush_local(order->port, order->root, order->span, order->global);
}

/* The CPUs to call. => true: none of them but this one. */
static bool read_cpus(const lh_gather *gather, unsigned cpu, lh_cpu_set *cpus)
{
	lh_directory *directory = gather->directory;
	bool alone = true;

	for (unsigned i = 0; i < sizeof(cpus->bits) / sizeof(cpus->bits[0]); i++) {
		uint64_t mine = i == lh_cpu_word(cpu) ? lh_cpu_bit(cpu) : 0;

		cpus->bits[i] = lh_atomic_load_total(&directory->active.bits[i]);
		if (gather->tables != 0 || gather->calls_walkers)
			cpus->bits[i] |= lh_atomic_load_total(&directory->walkers.bits[i]);
		if (cpus->bits[i] & ~mine)
			alone = false;
	}
	return alone;
}

static bool has_cpu(const lh_cpu_set *cpus, unsigned cpu)
{
	return (cpus->bits[lh_cpu_word(cpu)] & lh_cpu_bit(cpu)) != 0;
}

static flush_order order_for(const lh_gather *gather)
{
	const lh_directory *directory = gather->directory;

	return (flush_order){ directory->port, directory->root, gather->span, gather->global };
}

/* What this CPU has written to tables is before whatever other CPUs walk from now on. */
static void order_writes(const lh_gather *gather, const flush_order *order)
{
	lh_virtual_range nothing = { order->span.base, 0 };

	if (gather->directory->format->present_order)
		lh_architecture_flush_local(order->port, order->root, nothing, false);
}

/* Publishes the flush; does it, where no other CPU must. => interrupts off. *cpus: who must. */
static bool flush_if_alone(const lh_gather *gather, flush_order *order, lh_cpu_set *cpus)
{
	unsigned cpu = lh_port_cpu(order->port);

	order_writes(gather, order);
	lh_atomic_add(&gather->directory->generation, UINT64_C(1));
	if (!read_cpus(gather, cpu, cpus))
		return false;
	if (has_cpu(cpus, cpu))
		flush_here(order);
	return true;
}

static void flush(const lh_gather *gather)
{
	lh_port *port = gather->directory->port;
	flush_order order = order_for(gather);
	lh_cpu_set cpus;
	uintptr_t interrupts;
	bool alone;

	lh_order_may_flush(port);
	/* Interrupts off: this CPU stays this CPU until it has flushed. */
	interrupts = lh_port_interrupts_off(port);
	alone = flush_if_alone(gather, &order, &cpus);
	lh_port_interrupts_restore(port, interrupts);
	if (!alone)
		lh_port_call_cpus(port, &cpus, flush_here, &order);
}

bool lh_gather_flush_here(lh_gather *gather)
{
	flush_order order = order_for(gather);
	lh_cpu_set cpus;

	if (!flush_if_alone(gather, &order, &cpus)) {
		lh_atomic_store_relaxed(&gather->directory->leaves_busy, 1u);
		return false;
	}
	gather->span.pages = 0;
	return true;
}

void lh_gather_flush_noted(lh_gather *gather)
{
	if (!lh_virtual_range_is_empty(gather->span))
		flush(gather);
	gather->span.pages = 0;
}

/* The last who leaves a shared table opens it. */
static __attribute__((noinline)) void drop_shared(const lh_directory *directory, lh_frame_number table)
{
	uint64_t chain = 0;

	if (!lh_table_leave(lh_table_entry(directory->frames, table)))
		return;
	lh_chain_push(directory->frames, &chain, table);
	lh_chain_drop(directory->frames, directory->format, chain);
}

static inline void drop_gathered(const lh_directory *directory, lh_frame_number first, uint64_t level)
{
	if (__builtin_expect(level == LH_GATHER_SHARED, 0))
		drop_shared(directory, first);
	else
		lh_leaf_drop(directory->frames, directory->format, first, (unsigned)level);
}

void lh_gather_flush(lh_gather *gather)
{
	lh_directory *directory = gather->directory;

	lh_gather_flush_noted(gather);
	for (uint32_t i = 0; i < gather->frame_count; i++)
		drop_gathered(directory, lh_frame(gather->frames[i] & FRAME_MASK),
			      gather->frames[i] >> LH_GATHER_LEVEL_SHIFT);
	if (gather->tables != 0)
		lh_chain_drop(directory->frames, directory->format, gather->tables);
	lh_gather_begin(gather, directory);
}
