/* SPDX-License-Identifier: BSD-2-Clause */
#include "thread/lock_check.h"

#include <landhold/port.h>

#if LH_DEBUG >= 2

#include "boot/info.h"
#include "cpu/percpu.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"
#include "thread/spinlock.h"
#include "thread/thread.h"

/* Before it one CPU boots alone, interrupts off from its first instruction: nobody is kept waiting. */
static bool is_booted;

lh_lock_record *lh_port_lock_record(lh_port *port)
{
	(void)port;
	return is_booted ? &thread_current()->library_locks : NULL;
}

/* As if a map lock were held: the kernel's map lock comes second then. */
static void invert(void)
{
	lh_kernel_request request = memory_request(1, LH_RIGHT_READ);
	lh_lock_record *record = lh_port_lock_record(NULL);
	lh_region region;

	record->held[0].lock = &region;
	record->held[0].kind = 0;
	record->count = 1;
	(void)!lh_manager_map(memory_manager(), &region, &request);
}

void lock_check_start(void)
{
	is_booted = true;
	log_line("boot: the order of the locks is checked");
	if (strstr(boot_info()->command_line, "lock-order=inverted") != NULL)
		invert();
}

void lock_check_may_wait(const char *what)
{
	const lh_lock_record *record = lh_port_lock_record(NULL);

	if (is_booted && !interrupts_are_on())
		panic("lock order: %s with interrupts off", what);
	if (record != NULL && record->count != 0)
		panic("lock order: %s inside %u of the library's locks", what, record->count);
}

void lock_check_may_spin(const struct spinlock *lock)
{
	const struct cpu *cpu = cpu_this();

	if (cpu->spinning_last == lock || cpu->spinning == lock)
		panic("lock order: a spinning lock is taken by its holder");
	if (cpu->spinning_last != NULL)
		panic("lock order: a spinning lock is taken inside the last of all");
	if (cpu->spinning != NULL && !lock->is_last)
		panic("lock order: two spinning locks, and neither is the last of all");
}

void lock_check_took(const struct spinlock *lock)
{
	*(lock->is_last ? &cpu_this()->spinning_last : &cpu_this()->spinning) = lock;
}

void lock_check_let_go(const struct spinlock *lock)
{
	const struct spinlock **held = lock->is_last ? &cpu_this()->spinning_last : &cpu_this()->spinning;

	if (*held != lock)
		panic("lock order: a spinning lock is let go by a CPU that does not hold it");
	*held = NULL;
}

#else

/* ISO C wants a declaration in every file. */
typedef int lock_check_is_off;

#endif
