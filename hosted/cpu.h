/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUs of the hosted machine: memory accesses as a program makes them, through the
 * CPU's TLB and the page tables that its loaded directory has in RAM.
 *
 * A fault is handed to the caller, who gives it to the library and tries again;
 * machine_access does that loop. On every access, and on every table entry that a walk
 * reads, the machine looks at the shadow of the frame (machine.h) and reports
 *   - a frame that is no RAM;
 *   - a page reached through a TLB entry, or tables reached through a cached upper entry,
 *     whose frame is free, or was freed after the entry was made;
 *   - a walk that reads a table in a free frame.
 * machine_check_tlbs finds the same in all TLBs without waiting for an access.
 */
#ifndef HOSTED_CPU_H
#define HOSTED_CPU_H

#include "machine.h"

/* A fault, as the CPU tells its handler. */
typedef struct machine_fault {
	lh_virtual_address address;
	uint32_t error_code; /* MMU_ERROR_... */
	bool not_canonical;  /* general protection: no handler can resolve it */
} machine_fault;

/* Who makes an access: a user program, or the kernel. */
typedef enum machine_mode { MACHINE_USER, MACHINE_KERNEL } machine_mode;

/*
 * Reads, writes or fetches bytes at a virtual address on a CPU that has a directory
 * loaded. Goes page by page.
 * => false: a fault; *fault says where. The bytes of the pages before were moved.
 */
bool machine_read(lh_port *machine, unsigned cpu, lh_virtual_address address, void *to,
		  size_t bytes, machine_mode mode, machine_fault *fault);
bool machine_write(lh_port *machine, unsigned cpu, lh_virtual_address address, const void *from,
		   size_t bytes, machine_mode mode, machine_fault *fault);
/* => to may be NULL: only whether the bytes could be executed. */
bool machine_fetch(lh_port *machine, unsigned cpu, lh_virtual_address address, void *to,
		   size_t bytes, machine_mode mode, machine_fault *fault);

/* One byte, of no meaning: whether the access is possible. */
bool machine_try(lh_port *machine, unsigned cpu, lh_virtual_address address, mmu_access access,
		 machine_mode mode, machine_fault *fault);

/* The right that an access needs, and the right that a fault was about. */
lh_rights machine_access_right(mmu_access access);
lh_rights machine_fault_right(const machine_fault *fault);

/*
 * What a test does about a fault: true: resolved, try again; false: give up. Runs on the
 * CPU that faulted, with interrupts on.
 */
typedef bool machine_resolve(void *context, unsigned cpu, const machine_fault *fault);

/*
 * An access that is tried again after each fault that resolve resolves. Reports a fault
 * that comes back MACHINE_RETRIES_MAX times in a row, though it was said to be resolved.
 * => buffer: read into, or written from; NULL only for MMU_FETCH.
 * => false: resolve gave up; *fault (may be NULL) says on what.
 */
#define MACHINE_RETRIES_MAX 16
bool machine_access(lh_port *machine, unsigned cpu, lh_virtual_address address, mmu_access access,
		    void *buffer, size_t bytes, machine_mode mode, machine_resolve *resolve,
		    void *context, machine_fault *fault);

/*
 * Fills the CPU's TLB with every translation of the range that the tables have now, as
 * a CPU may do at any time without being asked (speculation). Stale entries stay.
 * => the number of pages found.
 */
uint64_t machine_speculate(lh_port *machine, unsigned cpu, lh_virtual_address address,
			   uint64_t pages);

/*
 * The CPU sets the flags that an access of user mode would set, as it may at any moment where the
 * tables allow the access, and does not make it. The TLB is not asked, and learns nothing.
 * => whether they allow it.
 */
bool machine_set_flags(lh_port *machine, unsigned cpu, lh_virtual_address address,
		       mmu_access access);

/*
 * Looks through the TLBs of all CPUs for entries that name a frame freed since they were
 * made, and for a loaded root that is free: each is a way to someone else's memory. Where an
 * adversary watches (adversary.h), any stale entry is one. Call it while the library rests.
 * => NULL if there is none, else which; valid until the next call in this thread.
 */
const char *machine_check_tlbs(lh_port *machine);

/* Entries in a CPU's TLB, upper ones included. */
size_t machine_tlb_count(const lh_port *machine, unsigned cpu);

#endif
