/* SPDX-License-Identifier: BSD-2-Clause */
/* The first process: what boot starts, and with whose end the machine goes off (shutdown.h). */
#ifndef KERNEL_PROCESS_FIRST_H
#define KERNEL_PROCESS_FIRST_H

#define FIRST_PID 1u

#endif
