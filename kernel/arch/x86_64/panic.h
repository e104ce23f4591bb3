/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef KERNEL_ARCH_X86_64_PANIC_H
#define KERNEL_ARCH_X86_64_PANIC_H

#include "arch/x86_64/trap_frame.h"
#include "lib/log.h"

/* As panic, with the registers of what was interrupted, and the address that it touched. */
__attribute__((noreturn)) void panic_at(const struct trap_frame *frame, uint64_t address,
					const char *format, ...) LOG_FORMAT(3, 4);

/* Does not return if another CPU panics: the NMI's handler. */
void panic_stop_if_another_panics(void);

/*
 * The function that an address of the kernel's text lies in. => *offset: bytes from its start.
 * "?" where there is none.
 */
const char *symbol_of(uint64_t address, uint64_t *offset);

#endif
