/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One queue of a legacy virtio device over PCI (virtio 1.1, sections 2.6 and 4.1.4.8). Each buffer is
 * one descriptor, and the descriptor's number names it: buffer n is always descriptor n.
 *
 * No lock of its own: one user a queue at a time, but virtio_has_used, which anybody may ask.
 */
#ifndef KERNEL_DEVICE_VIRTIO_H
#define KERNEL_DEVICE_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include <landhold/region.h>

#include "lib/error.h"

struct virtio_queue {
	uint16_t io_base;  /* of the device */
	uint16_t number;   /* of the queue */
	uint16_t size;	   /* descriptors */
	uint16_t used_seen; /* used entries taken so far; wraps */
	volatile struct virtio_descriptor *descriptors;
	volatile uint16_t *available; /* flags, index, ring */
	volatile uint16_t *used;      /* flags, index, then pairs of 32 bits */
	lh_region memory;	      /* where these three lie */
};

/* Offsets of the legacy registers from the device's I/O base. */
#define VIRTIO_FEATURES 0
#define VIRTIO_GUEST_FEATURES 4
#define VIRTIO_QUEUE_FRAME 8
#define VIRTIO_QUEUE_SIZE 12
#define VIRTIO_QUEUE_SELECT 14
#define VIRTIO_QUEUE_NOTIFY 16
#define VIRTIO_STATUS 18
#define VIRTIO_CONFIG_VECTOR 20 /* with MSI-X enabled */
#define VIRTIO_QUEUE_VECTOR 22

#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER 2
#define VIRTIO_STATUS_DRIVER_OK 4
#define VIRTIO_NO_VECTOR 0xffff

/* Takes frames for the rings and tells the device. with_vector: its interrupts are entry 0's.
 * => LH_NO_DEVICE: no such queue; LH_NO_MEMORY. */
LH_MUST_USE lh_error virtio_queue_start(struct virtio_queue *queue, uint16_t io_base, uint16_t number,
					bool with_vector);

/* Hands a buffer to the device; it does not look before virtio_notify. */
void virtio_offer(struct virtio_queue *queue, uint16_t buffer, uint64_t physical, uint32_t bytes,
		  bool device_writes);
void virtio_notify(struct virtio_queue *queue);

/* True if the device is done with a buffer that was not taken yet. Any context. */
bool virtio_has_used(const struct virtio_queue *queue);
/* Takes one back. => false: none is done. *bytes: what the device wrote. */
bool virtio_take_used(struct virtio_queue *queue, uint16_t *buffer, uint32_t *bytes);

/* Whether the device shall interrupt when it is done with a buffer. A hint. */
void virtio_want_interrupts(struct virtio_queue *queue, bool wanted);

#endif
