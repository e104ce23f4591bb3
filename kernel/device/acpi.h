/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel asks of the ACPI tables: which CPUs there are. */
#ifndef KERNEL_DEVICE_ACPI_H
#define KERNEL_DEVICE_ACPI_H

#include <stddef.h>
#include <stdint.h>

/*
 * The local APIC identifiers of the CPUs that may be started, in the firmware's order, this one
 * among them: up to capacity. => how many there are; 0: the machine does not tell.
 * Context: boot, interrupts on or off; the manager stands.
 */
size_t acpi_find_cpus(uint32_t *identifiers, size_t capacity);

#endif
