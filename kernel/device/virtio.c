/* SPDX-License-Identifier: BSD-2-Clause */
#include "device/virtio.h"

#include "arch/x86_64/port_io.h"
#include "lib/string.h"
#include "memory/memory.h"

struct virtio_descriptor {
	uint64_t physical;
	uint32_t bytes;
	uint16_t flags, next;
};

#define DESCRIPTOR_DEVICE_WRITES 2
#define AVAILABLE_NO_INTERRUPT 1

/* available: */
#define FLAGS 0
#define INDEX 1
#define RING 2

static uint64_t available_bytes(uint64_t size)
{
	return size * sizeof(struct virtio_descriptor) + 6 + size * 2;
}

/* Legacy rings lie in one piece, the used ring on the next page. */
static uint64_t used_offset(uint64_t size)
{
	return (available_bytes(size) + LH_PAGE_SIZE - 1) & ~(LH_PAGE_SIZE - 1);
}

static void set_layout(struct virtio_queue *queue, uint8_t *memory)
{
	queue->descriptors = (void *)memory;
	queue->available = (void *)(memory + queue->size * sizeof(struct virtio_descriptor));
	queue->used = (void *)(memory + used_offset(queue->size));
	queue->used_seen = 0;
}

/* The register holds 32 bits of frame number: any frame below 16 TiB. */
static const lh_dma_request reach = { .mask = (UINT64_C(1) << 44) - 1 };

lh_error virtio_queue_start(struct virtio_queue *queue, uint16_t io_base, uint16_t number,
			    bool with_vector)
{
	lh_kernel_request request;
	lh_physical_address physical;

	port_write_16((uint16_t)(io_base + VIRTIO_QUEUE_SELECT), number);
	queue->io_base = io_base;
	queue->number = number;
	queue->size = port_read_16((uint16_t)(io_base + VIRTIO_QUEUE_SIZE));
	if (queue->size == 0)
		return LH_NO_DEVICE;
	request = memory_request((used_offset(queue->size) + 6 + queue->size * UINT64_C(8) + LH_PAGE_SIZE - 1) /
					 LH_PAGE_SIZE,
				 LH_RIGHT_READ | LH_RIGHT_WRITE);
	request.guard_before = request.guard_after = 1;
	LH_TRY(lh_manager_map_dma(memory_manager(), &queue->memory, &request, &reach, &physical));
	set_layout(queue, (uint8_t *)(uintptr_t)queue->memory.range.base.value);
	if (with_vector)
		port_write_16((uint16_t)(io_base + VIRTIO_QUEUE_VECTOR), 0);
	port_write_32((uint16_t)(io_base + VIRTIO_QUEUE_FRAME), (uint32_t)lh_physical_frame(physical).value);
	return LH_OK;
}

void virtio_offer(struct virtio_queue *queue, uint16_t buffer, uint64_t physical, uint32_t bytes,
		  bool device_writes)
{
	volatile struct virtio_descriptor *descriptor = &queue->descriptors[buffer];
	uint16_t index = queue->available[INDEX];

	descriptor->physical = physical;
	descriptor->bytes = bytes;
	descriptor->flags = device_writes ? DESCRIPTOR_DEVICE_WRITES : 0;
	descriptor->next = 0;
	queue->available[RING + index % queue->size] = buffer;
	__atomic_store_n(&queue->available[INDEX], (uint16_t)(index + 1), __ATOMIC_SEQ_CST);
}

void virtio_notify(struct virtio_queue *queue)
{
	port_write_16((uint16_t)(queue->io_base + VIRTIO_QUEUE_NOTIFY), queue->number);
}

bool virtio_has_used(const struct virtio_queue *queue)
{
	return __atomic_load_n(&queue->used[INDEX], __ATOMIC_SEQ_CST) != queue->used_seen;
}

bool virtio_take_used(struct virtio_queue *queue, uint16_t *buffer, uint32_t *bytes)
{
	volatile uint32_t *entry;

	if (!virtio_has_used(queue))
		return false;
	entry = (volatile uint32_t *)(void *)(uintptr_t)(queue->used + RING) +
		queue->used_seen % queue->size * 2;
	*buffer = (uint16_t)entry[0];
	*bytes = entry[1];
	queue->used_seen++;
	return true;
}

void virtio_want_interrupts(struct virtio_queue *queue, bool wanted)
{
	__atomic_store_n(&queue->available[FLAGS], (uint16_t)(wanted ? 0 : AVAILABLE_NO_INTERRUPT),
			 __ATOMIC_SEQ_CST);
}
