/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending copies into slots of 32 KiB, each a buffer of the transmit queue; who finds none free
 * waits for the device. Receiving keeps 64 pages in the receive queue; the link's thread
 * puts messages together from them and gives each to the receiver, and a page back to
 * the device when it is used up: a receiver that waits makes the host wait.
 *
 * Locks: send_mutex over the transmit queue and its slots. The receive queue is the link's thread's.
 */
#include "device/link.h"

#include "arch/x86_64/port_io.h"
#include "arch/x86_64/trap.h"
#include "device/pci.h"
#include "device/serial.h"
#include "device/virtio.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "thread/mutex.h"
#include "thread/scheduler.h"
#include "thread/wait.h"

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_CONSOLE 0x1003

#define HEADER_BYTES 5
#define SLOTS 8
#define SLOT_BYTES 32768
#define PAGES 64

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT };

/* A message being put together from the bytes that arrive. */
struct assembly {
	uint8_t header[HEADER_BYTES];
	size_t header_count;
	size_t length, count; /* of the payload: announced, and here so far */
	uint8_t *payload;     /* LINK_PAYLOAD_MAX bytes */
};

static bool is_present;
static struct virtio_queue receive_queue, transmit_queue;
static struct wait_queue received = WAIT_QUEUE_INIT(received);
static struct wait_queue transmitted = WAIT_QUEUE_INIT(transmitted);
static struct wait_queue receiver_set = WAIT_QUEUE_INIT(receiver_set);

static struct mutex send_mutex;
static lh_region buffers;	  /* what the device reads and writes: SLOTS slots, then PAGES pages */
static lh_physical_address buffers_physical; /* constant */
static uint8_t *slots[SLOTS];	  /* constant */
static uint32_t slots_free;	  /* send_mutex: a bit each */
static uint8_t *pages[PAGES];	  /* constant */
static struct assembly assembly;  /* the link's thread */
static void (*receiver)(char type, const uint8_t *bytes, size_t count); /* atomic */
static struct thread *receiving;  /* constant: the link's thread */

bool link_present(void)
{
	return is_present;
}

/* Where the device finds a byte of the buffers. */
static uint64_t device_address(const uint8_t *byte)
{
	return buffers_physical.value + ((uint64_t)(uintptr_t)byte - buffers.range.base.value);
}

/* --- sending --- */

static void reclaim_slots(void)
{
	uint16_t slot;
	uint32_t bytes;

	while (virtio_take_used(&transmit_queue, &slot, &bytes))
		slots_free |= UINT32_C(1) << slot;
}

/* Waits until the slots of the set, or any if it is empty, are free. send_mutex held. */
static void wait_for_slots(uint32_t wanted)
{
	for (;;) {
		reclaim_slots();
		if (wanted == 0 ? slots_free != 0 : (slots_free & wanted) == wanted)
			return;
		virtio_want_interrupts(&transmit_queue, true);
		WAIT_UNTIL(&transmitted, virtio_has_used(&transmit_queue));
		virtio_want_interrupts(&transmit_queue, false);
	}
}

static unsigned take_slot(void)
{
	unsigned slot;

	wait_for_slots(0);
	slot = (unsigned)__builtin_ctz(slots_free);
	slots_free &= ~(UINT32_C(1) << slot);
	return slot;
}

/* One message: its header and the first of its payload share a slot. */
static void send_message(char type, const uint8_t *bytes, size_t count)
{
	uint32_t length = (uint32_t)count;
	size_t used = HEADER_BYTES;

	do {
		unsigned slot = take_slot();
		size_t part = count < SLOT_BYTES - used ? count : SLOT_BYTES - used;

		if (used != 0) {
			slots[slot][0] = (uint8_t)type;
			memcpy(slots[slot] + 1, &length, sizeof(length));
		}
		memcpy(slots[slot] + used, bytes, part);
		virtio_offer(&transmit_queue, (uint16_t)slot, device_address(slots[slot]),
			     (uint32_t)(used + part), false);
		virtio_notify(&transmit_queue);
		bytes += part;
		count -= part;
		used = 0;
	} while (count != 0);
}

static void send_serial(char type, const void *bytes, size_t count)
{
	if (type == 'O' || type == 'R' || type == 'T')
		serial_write(bytes, count);
}

void link_send(char type, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;

	mutex_lock(&send_mutex);
	if (!is_present) {
		send_serial(type, bytes, count);
	} else {
		do {
			size_t part = count < LINK_PAYLOAD_MAX ? count : LINK_PAYLOAD_MAX;

			send_message(type, at, part);
			at += part;
			count -= part;
		} while (count != 0);
	}
	mutex_unlock(&send_mutex);
}

void link_flush(void)
{
	if (!is_present)
		return;
	mutex_lock(&send_mutex);
	wait_for_slots((UINT32_C(1) << SLOTS) - 1);
	mutex_unlock(&send_mutex);
}

void link_credit(uint32_t bytes)
{
	link_send('C', &bytes, sizeof(bytes));
}

/* --- receiving --- */

void link_set_receiver(void (*function)(char type, const uint8_t *bytes, size_t count))
{
	__atomic_store_n(&receiver, function, __ATOMIC_SEQ_CST);
	wake_all(&receiver_set);
}

static void deliver(char type, const uint8_t *bytes, size_t count)
{
	if (WAIT_UNTIL_OR_ENDED(&receiver_set, __atomic_load_n(&receiver, __ATOMIC_SEQ_CST) != NULL) == LH_OK)
		receiver(type, bytes, count);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void begin_payload(struct assembly *message)
{
	uint32_t length;

	memcpy(&length, message->header + 1, sizeof(length));
	/* The host end is ours as well: there is no way to find the next message again. */
	if (length > LINK_PAYLOAD_MAX)
		panic("link: the host announces a message of %u bytes", length);
	message->length = length;
	message->count = 0;
}

static void take_bytes(struct assembly *message, const uint8_t *bytes, size_t count)
{
	while (count != 0) {
		size_t part;

		if (message->header_count < HEADER_BYTES) {
			message->header[message->header_count++] = *bytes++;
			count--;
			if (message->header_count < HEADER_BYTES)
				continue;
			begin_payload(message);
		}
		part = smaller(count, message->length - message->count);
		memcpy(message->payload + message->count, bytes, part);
		message->count += part;
		bytes += part;
		count -= part;
		if (message->count == message->length) {
			deliver((char)message->header[0], message->payload, message->length);
			message->header_count = 0;
		}
	}
}

static void offer_page(uint16_t page)
{
	virtio_offer(&receive_queue, page, device_address(pages[page]), LH_PAGE_SIZE, true);
}

static void receive_from_device(void)
{
	uint16_t page;
	uint32_t bytes;

	while (virtio_take_used(&receive_queue, &page, &bytes)) {
		take_bytes(&assembly, pages[page], smaller(bytes, LH_PAGE_SIZE));
		offer_page(page);
		virtio_notify(&receive_queue);
	}
}

static void receive_from_serial(void)
{
	uint8_t bytes[64];
	size_t count = 0;

	while (count < sizeof(bytes) && serial_read(&bytes[count]))
		count++;
	deliver('I', bytes, count);
}

static void receive(void *argument)
{
	(void)argument;
	while (WAIT_UNTIL_OR_ENDED(&received, is_present ? virtio_has_used(&receive_queue) : serial_can_read()) ==
	       LH_OK) {
		if (is_present)
			receive_from_device();
		else
			receive_from_serial();
	}
	kernel_free(assembly.payload, LINK_PAYLOAD_MAX);
}

/* --- start --- */

/* Also each tick's: a serial port without its interrupt, and no harm beside MSI-X. */
static void wake_waiting(void)
{
	wake_all(&received);
	wake_all(&transmitted);
}

static void interrupt(struct trap_frame *frame)
{
	(void)frame;
	wake_waiting();
}

/* The pages are kept for ever: the last message is sent with the machine's end. */
static lh_error take_buffers(void)
{
	static const lh_dma_request anywhere = { .mask = UINT64_MAX };
	lh_kernel_request request = memory_request((SLOTS * SLOT_BYTES) / LH_PAGE_SIZE + PAGES,
						   LH_RIGHT_READ | LH_RIGHT_WRITE);
	uint8_t *at;

	assembly.payload = kernel_allocate(LINK_PAYLOAD_MAX);
	if (assembly.payload == NULL)
		return LH_NO_MEMORY;
	request.guard_before = request.guard_after = 1;
	LH_TRY(lh_manager_map_dma(memory_manager(), &buffers, &request, &anywhere, &buffers_physical));
	at = (uint8_t *)(uintptr_t)buffers.range.base.value;
	for (unsigned i = 0; i < SLOTS; i++, at += SLOT_BYTES)
		slots[i] = at;
	slots_free = (UINT32_C(1) << SLOTS) - 1;
	for (unsigned i = 0; i < PAGES; i++, at += LH_PAGE_SIZE)
		pages[i] = at;
	return LH_OK;
}

static lh_error start_device(struct pci_function function)
{
	uint16_t io_base = (uint16_t)(pci_read(function, PCI_BAR_0) & 0xfffcu);
	uint16_t status = (uint16_t)(io_base + VIRTIO_STATUS);
	bool with_vector;

	pci_write(function, PCI_COMMAND, (pci_read(function, PCI_COMMAND) & 0xffff) | PCI_COMMAND_IO |
						 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX);
	port_write_8(status, 0);
	port_write_8(status, VIRTIO_STATUS_ACKNOWLEDGE);
	port_write_8(status, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	port_write_32((uint16_t)(io_base + VIRTIO_GUEST_FEATURES), 0);
	with_vector = pci_start_msix(function, VECTOR_LINK);
	if (with_vector) {
		trap_set_interrupt(VECTOR_LINK, interrupt);
		port_write_16((uint16_t)(io_base + VIRTIO_CONFIG_VECTOR), VIRTIO_NO_VECTOR);
	}
	LH_TRY(take_buffers());
	LH_TRY(virtio_queue_start(&receive_queue, io_base, QUEUE_RECEIVE, with_vector));
	LH_TRY(virtio_queue_start(&transmit_queue, io_base, QUEUE_TRANSMIT, with_vector));
	virtio_want_interrupts(&transmit_queue, false);
	port_write_8(status, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK);
	for (uint16_t page = 0; page < PAGES; page++)
		offer_page(page);
	virtio_notify(&receive_queue);
	log_line("link: virtio console at I/O %#x, %s", io_base, with_vector ? "MSI-X" : "polled");
	return LH_OK;
}

void link_start(void)
{
	struct pci_function function;
	lh_error error = LH_OK;

	mutex_init(&send_mutex);
	if (pci_find(VIRTIO_VENDOR, VIRTIO_CONSOLE, &function)) {
		error = start_device(function);
		is_present = error == LH_OK;
	} else {
		log_line("link: none; the console is the serial port");
	}
	if (error == LH_OK)
		error = thread_create(receive, NULL, &receiving);
	if (error != LH_OK)
		panic("link: %s", lh_error_string(error));
	receiving->name = "link";
	thread_start(receiving);
	scheduler_set_tick_hook(wake_waiting);
}

void link_stop_receiving(void)
{
	thread_ask_to_end(receiving);
}
