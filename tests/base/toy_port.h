/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * As much of a port as the base floor calls, to look at the calls themselves: it
 * takes the place of the hosted machine's in this one test program.
 */
#ifndef TESTS_BASE_TOY_PORT_H
#define TESTS_BASE_TOY_PORT_H

#include <landhold/port.h>

#include <pthread.h>
#include <setjmp.h>

struct lh_port {
	unsigned interrupts_off;   /* calls not yet restored, on this one toy CPU */
	unsigned pauses;
	unsigned parks;
	unsigned unparks;
	char panic[160];	   /* the message of the last panic */
	jmp_buf *on_panic;	   /* where one that is expected goes on; NULL: it fails the test */
	lh_lock_record *locks;	   /* NULL: none kept */
	void (*on_pause)(lh_port *port); /* what the rest of the world does meanwhile */
	void (*on_park)(lh_port *port);
	bool threads;		   /* park for real */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	uint32_t *word;		   /* for on_pause and on_park */
};

#endif
