/* SPDX-License-Identifier: BSD-2-Clause */
/* The hosted machine under the scheduler of interleavings: what a case's host does for it. */
#ifndef INTERLEAVE_CPUS_H
#define INTERLEAVE_CPUS_H

#include "machine.h"

/* interleave_host.begin and end: from one to the other the machine's CPUs are fibres. */
void cpus_begin(lh_port *machine);
void cpus_end(lh_port *machine);
/* interleave_host.ended: the CPU is idle from now on. */
void cpus_idle(lh_port *machine);
/* interleave_host.leave and enter. */
uintptr_t cpus_leave(const lh_port *machine);
void cpus_enter(lh_port *machine, uintptr_t kept);
/* interleave_host.written: an entry in which hardware had set a flag. */
void cpus_written(const lh_port *machine, const void *place);

#endif
