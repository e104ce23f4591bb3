/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the machine share and its users do not need. */
#ifndef HOSTED_MACHINE_INTERNAL_H
#define HOSTED_MACHINE_INTERNAL_H

#include "machine.h"

/* The shadow of a frame; NULL where there is no RAM. */
machine_frame *machine_shadow(const lh_port *machine, uint64_t frame);

/* Drops expectations of a panic whose functions were left by a longjmp. */
void machine_forget_expectations(void);

#endif
