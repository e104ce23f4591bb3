/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/refusal.h"

#include "arch/x86_64/panic.h"
#include "boot/info.h"
#include "lib/log.h"
#include "lib/string.h"
#include "thread/thread.h"

#define OPTION "heap.refuse"

static bool is_on;	  /* constant after boot */
static uint64_t by_place; /* [a] where the call returns to that is refused; 0: none, or it has been */

void refusal_start(void)
{
	const char *at = strstr(boot_info()->command_line, OPTION);

	if (at == NULL)
		return;
	is_on = true;
	at += sizeof(OPTION) - 1;
	if (*at++ == '=')
		by_place = string_hexadecimal(&at);
}

bool refusal_is_on(void)
{
	return is_on;
}

static bool is_nth(void)
{
	struct thread *thread = thread_current();

	return thread->refusal_in != 0 && --thread->refusal_in == 0;
}

static bool is_at_place(uint64_t caller)
{
	return caller != 0 && __atomic_compare_exchange_n(&by_place, &caller, 0, false, __ATOMIC_RELAXED,
							  __ATOMIC_RELAXED);
}

bool refusal_is_due(const void *caller)
{
	uint64_t place = (uint64_t)(uintptr_t)caller, offset;
	const char *name;

	if (!is_on || (!is_nth() && !is_at_place(place)))
		return false;
	name = symbol_of(place, &offset);
	log_line("heap: refused at %#lx, to %s", place, name);
	return true;
}

void refusal_set(uint64_t nth)
{
	thread_current()->refusal_in = nth;
}

uint64_t refusal_left(void)
{
	return thread_current()->refusal_in;
}
