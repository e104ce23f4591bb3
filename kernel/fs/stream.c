/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/stream.h"

#include "device/link.h"
#include "fs/devices.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/heap.h"

#define BUFFER_BYTES 262144u
#define CREDIT_STEP 16384u /* give credit in pieces no smaller, unless the buffer is empty */

static struct {
	struct mutex lock;
	struct wait_queue queue;
	uint8_t *buffer;	   /* constant while started; NULL: not */
	uint64_t received, taken;  /* [lock], read by atomic access */
	uint64_t credited;	   /* [lock] given so far */
	bool has_ended;		   /* [a] */
} input;

static uint64_t available(void)
{
	return __atomic_load_n(&input.received, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(&input.taken, __ATOMIC_ACQUIRE);
}

static bool has_ended(void)
{
	return __atomic_load_n(&input.has_ended, __ATOMIC_ACQUIRE);
}

static size_t straight(uint64_t offset, uint64_t limit)
{
	uint64_t room = BUFFER_BYTES - offset % BUFFER_BYTES;

	return (size_t)(room < limit ? room : limit);
}

static void keep(const uint8_t *bytes, size_t count)
{
	mutex_lock(&input.lock);
	if (count > BUFFER_BYTES - available()) {
		log_line("input beyond the credit given: %zu bytes dropped", count);
		count = 0;
	}
	while (count > 0) {
		size_t step = straight(input.received, count);

		memcpy(input.buffer + input.received % BUFFER_BYTES, bytes, step);
		__atomic_store_n(&input.received, input.received + step, __ATOMIC_RELEASE);
		bytes += step;
		count -= step;
	}
	mutex_unlock(&input.lock);
}

static void receive(char type, const uint8_t *bytes, size_t count)
{
	if (type == 'I')
		keep(bytes, count);
	else if (type == 'E')
		__atomic_store_n(&input.has_ended, true, __ATOMIC_RELEASE);
	else
		return;
	wake_all(&input.queue);
	file_event();
}

/* Credit for what has become free; under the lock. => how much to give after it. */
static uint32_t settle_credit(void)
{
	uint64_t due = input.taken + BUFFER_BYTES - input.credited;

	if (due < CREDIT_STEP && available() > 0)
		return 0;
	input.credited += due;
	return (uint32_t)due;
}

lh_error stream_start(void)
{
	mutex_init(&input.lock);
	wait_queue_init(&input.queue);
	input.buffer = kernel_allocate(BUFFER_BYTES);
	if (input.buffer == NULL)
		return LH_NO_MEMORY;
	link_set_receiver(receive);
	input.credited = BUFFER_BYTES;
	link_credit(BUFFER_BYTES);
	return LH_OK;
}

void stream_stop(void)
{
	kernel_free(input.buffer, BUFFER_BYTES);
	input.buffer = NULL;
}

static lh_error drain(struct transfer *transfer)
{
	while (transfer->left > 0 && available() > 0) {
		uint64_t limit = available() < transfer->left ? available() : transfer->left;
		size_t step = straight(input.taken, limit);

		LH_TRY(transfer_give(transfer, input.buffer + input.taken % BUFFER_BYTES, step));
		__atomic_store_n(&input.taken, input.taken + step, __ATOMIC_RELEASE);
	}
	return LH_OK;
}

static lh_error stream_read(struct file *file, struct transfer *transfer, uint64_t *position)
{
	uint64_t before = transfer->left;

	(void)position;
	while (transfer->left > 0) {
		bool ended = has_ended(); /* before looking: what came first is there then */
		uint32_t credit;
		lh_error error;

		mutex_lock(&input.lock);
		error = drain(transfer);
		credit = settle_credit();
		mutex_unlock(&input.lock);
		if (credit > 0)
			link_credit(credit);
		if (transfer->left < before)
			return LH_OK;
		LH_TRY(error);
		if (ended)
			return LH_OK;
		if ((file_flags(file) & OPEN_NON_BLOCKING) != 0)
			return LH_AGAIN;
		LH_TRY(WAIT_UNTIL_INTERRUPTIBLE(&input.queue, available() > 0 || has_ended()));
	}
	return LH_OK;
}

static lh_error send(char type, struct transfer *transfer)
{
	uint64_t before = transfer->left;
	uint8_t *buffer;
	size_t capacity = before < LH_PAGE_SIZE * 4 ? (size_t)before : LH_PAGE_SIZE * 4;
	lh_error error = LH_OK;

	if (capacity == 0)
		return LH_OK;
	buffer = kernel_allocate(capacity);
	if (buffer == NULL)
		return LH_NO_MEMORY;
	while (transfer->left > 0 && error == LH_OK) {
		size_t step = transfer->left < capacity ? (size_t)transfer->left : capacity;

		error = transfer_take(transfer, buffer, step);
		if (error == LH_OK)
			link_send(type, buffer, step);
	}
	kernel_free(buffer, capacity);
	return transfer->left < before ? LH_OK : error;
}

static lh_error output_write(struct file *file, struct transfer *transfer, uint64_t *position)
{
	(void)position;
	return send((char)(uintptr_t)file->state, transfer);
}

static uint32_t input_poll(struct file *file)
{
	(void)file;
	return available() > 0 || has_ended() ? POLL_IN : 0;
}

static uint32_t output_poll(struct file *file)
{
	(void)file;
	return POLL_OUT;
}

static lh_error flush(struct file *file)
{
	(void)file;
	link_flush();
	return LH_OK;
}

static const struct file_operations input_operations = { .read = stream_read, .poll = input_poll };
static const struct file_operations output_operations = {
	.write = output_write, .poll = output_poll, .flush = flush
};

lh_error stream_open(uint64_t number, struct file *file)
{
	if (input.buffer == NULL)
		return LH_NO_DEVICE_ADDRESS;
	file->operations = number == DEVICE_STREAM_INPUT ? &input_operations : &output_operations;
	file->state = (void *)(uintptr_t)(number == DEVICE_STREAM_ERROR ? 'R' : 'O');
	return LH_OK;
}
