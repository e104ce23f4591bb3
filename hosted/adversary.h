/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The adversary: a machine whose CPUs have cached everything that they could have.
 *
 * A CPU may walk the tables at any moment, for an address that no program touched, and keep what
 * it read, translations and upper entries, until a flush that covers them. So a test that touches
 * some pages on some CPU finds a missing flush by luck. The adversary takes the worst for granted:
 *
 *     each entry that the library overwrites was cached, at that moment, by every CPU from whose
 *     root a path led to it, and stays so until that CPU flushes it.
 *
 * The shadow of the tables (mmu_shadow.h) says what is overwritten; the old entry is then put into
 * the TLB of each such CPU (mmu.h), marked stale. What removes entries there is as before: a flush,
 * a load, a fault on the address. So a program's access through a stale entry goes where a real
 * one could; and no access is needed, for at every settle point the machine itself reports
 *
 *   - a stale entry whose frame is free, or whose table is no table any more;
 *   - an entry that comes to name another place while a CPU still has the old one, by the library's
 *     own promise: a mapping appears only after the flush of what was there;
 *   - where the manual asks for break-before-make (aarch64): an entry that is changed to another place,
 *     size or memory type, or becomes global, in one step, or while a CPU still has the old one;
 *   - a present entry in a table that was touched, which names a free frame, or a table's;
 *   - a table that a root leads to, and that is free;
 *   - an accessed or dirty flag that the hardware set and the library lost;
 *   - a page that changes between the moment it was mapped and the end of the operation: another
 *     CPU could read what was there before it was zeroed or filled;
 * and at rest (machine_check_tlbs): any stale entry at all.
 *
 * Where a CPU may keep that an entry was absent (riscv64), each that could have read it then has done so:
 * what was mapped faults there until a flush.
 *
 * A report names the entry, when and in which operation it was made and overwritten, and the last
 * flush of the CPU that still has it.
 *
 * Accessed and dirty flags are set at random, as hardware may do at any moment through any cached
 * entry, from a generator of the machine's own, so that a run repeats.
 *
 * Settle points are: interrupts going off or on, a call of other CPUs, a flush, a load, a pause,
 * a park, and each access. Between two of them the library runs alone.
 *
 * Tags. With process contexts a CPU that left a root still has what it could have cached while the
 * root was loaded, but for what it flushed since. Such entries are judged when the root is loaded
 * again.
 *
 * While CPUs are threads the adversary sleeps; it begins anew afterwards.
 */
#ifndef HOSTED_ADVERSARY_H
#define HOSTED_ADVERSARY_H

#include "machine.h"

/* Begins to watch: from here on each root that is loaded is followed. use: NULL ends it. */
void machine_watch(lh_port *machine, machine_frame_use *use, void *context);

/* Names what the library is about to do, for reports. */
void machine_operation(lh_port *machine, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Entries overwritten so far that some CPU had; 0 while nobody watches. */
uint64_t machine_overwritten(const lh_port *machine);

/* Stale entries that the CPU still has. */
size_t machine_stale_count(const lh_port *machine, unsigned cpu);

#endif
