/* SPDX-License-Identifier: BSD-2-Clause */
/* The first serial port (COM1), polled. */
#ifndef KERNEL_DEVICE_SERIAL_H
#define KERNEL_DEVICE_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 115200 8N1 with its FIFO; no interrupts. */
void serial_start(void);

/* Writes bytes as they are; gives up on one that the port does not take. Any context. */
void serial_write(const char *bytes, size_t count);

/* True if a byte has arrived. Any context. */
bool serial_can_read(void);

/* True, and the byte, if one has arrived. Any context. */
bool serial_read(uint8_t *byte);

#endif
