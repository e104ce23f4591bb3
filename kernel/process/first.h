/* SPDX-License-Identifier: BSD-2-Clause */
/* The first process: what boot starts, and with whose end the machine goes off. */
#ifndef KERNEL_PROCESS_FIRST_H
#define KERNEL_PROCESS_FIRST_H

#include <landhold/port.h>

#define FIRST_PID 1u

/* Tells the host the wait status and turns the machine off. */
LH_NO_RETURN void first_process_ends(uint32_t status);

#endif
