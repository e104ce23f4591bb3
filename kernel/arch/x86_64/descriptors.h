/* SPDX-License-Identifier: BSD-2-Clause */
/* The segment and interrupt descriptors, and the task state with the stacks of each CPU. */
#ifndef KERNEL_ARCH_X86_64_DESCRIPTORS_H
#define KERNEL_ARCH_X86_64_DESCRIPTORS_H

#include "cpu/percpu.h"

/* Loads this CPU's own tables, and its GS base with cpu. Interrupts off. */
void descriptors_load(struct cpu *cpu);

/* Where an entry from user mode begins to push. Interrupts off. */
void descriptors_set_kernel_stack(struct cpu *cpu, uint64_t top);

#endif
