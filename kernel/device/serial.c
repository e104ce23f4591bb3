/* SPDX-License-Identifier: BSD-2-Clause */
/* A 16550 (its data sheet's register names). */
#include "device/serial.h"

#include "arch/x86_64/port_io.h"

#define COM1 0x3f8
#define DATA 0
#define INTERRUPT_ENABLE 1
#define FIFO_CONTROL 2
#define LINE_CONTROL 3
#define MODEM_CONTROL 4
#define LINE_STATUS 5

#define STATUS_DATA_READY 0x01
#define STATUS_TRANSMITTER_EMPTY 0x20
#define STATUS_ABSENT 0xff

#define TURNS_MAX 100000

void serial_start(void)
{
	port_write_8(COM1 + INTERRUPT_ENABLE, 0);
	port_write_8(COM1 + LINE_CONTROL, 0x80); /* divisor latch */
	port_write_8(COM1 + DATA, 1);		 /* 115200 */
	port_write_8(COM1 + INTERRUPT_ENABLE, 0);
	port_write_8(COM1 + LINE_CONTROL, 0x03); /* 8N1 */
	port_write_8(COM1 + FIFO_CONTROL, 0x07);
	port_write_8(COM1 + MODEM_CONTROL, 0x03);
}

void serial_write(const char *bytes, size_t count)
{
	for (; count != 0; count--, bytes++) {
		for (unsigned turn = 0; turn < TURNS_MAX; turn++)
			if ((port_read_8(COM1 + LINE_STATUS) & STATUS_TRANSMITTER_EMPTY) != 0)
				break;
		port_write_8(COM1 + DATA, (uint8_t)*bytes);
	}
}

bool serial_can_read(void)
{
	uint8_t status = port_read_8(COM1 + LINE_STATUS);

	return status != STATUS_ABSENT && (status & STATUS_DATA_READY) != 0;
}

bool serial_read(uint8_t *byte)
{
	if (!serial_can_read())
		return false;
	*byte = port_read_8(COM1 + DATA);
	return true;
}
