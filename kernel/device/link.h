/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The link with the host: messages over a virtio-serial port. Each message is one byte of
 * type, four bytes of length (little-endian), and as many bytes of payload, at most 64 KiB.
 *
 *   host -> guest: 'I' stdin data, 'E' end of input, 'W' window size
 *   guest -> host: 'O' stdout, 'R' stderr, 'T' terminal output, 'X' exit status (4 bytes, a
 *		    wait status), 'C' credit (4 bytes: so many bytes more of 'I' are welcome)
 *
 * Without a link device the console is the first serial port, both ways: 'O', 'R' and 'T' are
 * written there as they are, its input arrives as 'I', and the rest is dropped.
 */
#ifndef KERNEL_DEVICE_LINK_H
#define KERNEL_DEVICE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_PAYLOAD_MAX 65536

/* Finds the device, starts the link's thread. Boot only, in a thread. */
void link_start(void);

/* True: framed, over virtio. False: the serial port as a terminal. */
bool link_present(void);

/* Sends one message, or several if the payload is larger than one holds. Returns when the bytes have
 * been copied; may wait for room. Any number of threads: messages never mix. No spinlock. */
void link_send(char type, const void *bytes, size_t count);

/* Waits until all that was sent has left. */
void link_flush(void);

/* From now on each message is given to receiver, in a kernel thread of the link's own, which may
 * wait; meanwhile nothing more is received. What came before is kept until then. */
void link_set_receiver(void (*receiver)(char type, const uint8_t *bytes, size_t count));

/* The link's thread ends, soon; what arrives from then on stays where it is. Sending goes on. */
void link_stop_receiving(void);

/* Sends 'C': so many bytes of input are welcome beyond those before. */
void link_credit(uint32_t bytes);

#endif
