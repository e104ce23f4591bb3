/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef KERNEL_DEVICE_POWER_H
#define KERNEL_DEVICE_POWER_H

/* Waits for the link to drain and turns the machine off (ACPI S5 of QEMU's q35). */
__attribute__((noreturn)) void power_off(void);

/* Ends QEMU by isa-debug-exit with status 85, or stops for ever. No lock, any context. */
__attribute__((noreturn)) void power_panic_exit(void);

#endif
