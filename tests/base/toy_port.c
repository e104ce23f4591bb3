/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/toy_port.h"

#include "harness.h"

#include <stdio.h>

void lh_port_panic(lh_port *port, const char *message)
{
	if (port)
		snprintf(port->panic, sizeof(port->panic), "%s", message);
	if (port && port->on_panic)
		longjmp(*port->on_panic, 1);
	test_fail(__FILE__, __LINE__, "panic: %s", message);
}

/* The count is one CPU's: tests with threads have a port each for the spinning lock. */
uintptr_t lh_port_interrupts_off(lh_port *port)
{
	return port->interrupts_off++;
}

void lh_port_interrupts_restore(lh_port *port, uintptr_t state)
{
	port->interrupts_off = (unsigned)state;
}

lh_lock_record *lh_port_lock_record(lh_port *port)
{
	return port->locks;
}

bool lh_port_interrupts_are_on(lh_port *port)
{
	return port->interrupts_off == 0;
}

void lh_port_pause(lh_port *port)
{
	port->pauses++;
	if (port->on_pause)
		port->on_pause(port);
}

void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected)
{
	if (!port->threads) {
		port->parks++;
		if (port->on_park)
			port->on_park(port);
		return;
	}
	pthread_mutex_lock(&port->lock);
	port->parks++;
	if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == expected)
		pthread_cond_wait(&port->wake, &port->lock);
	pthread_mutex_unlock(&port->lock);
}

void lh_port_unpark(lh_port *port, const uint32_t *word)
{
	(void)word;
	if (!port->threads) {
		port->unparks++;
		return;
	}
	pthread_mutex_lock(&port->lock);
	port->unparks++;
	pthread_cond_broadcast(&port->wake);
	pthread_mutex_unlock(&port->lock);
}
