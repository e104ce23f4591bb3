/* SPDX-License-Identifier: BSD-2-Clause */
#include "process/shutdown.h"

#include "arch/x86_64/clock.h"
#include "device/link.h"
#include "device/power.h"
#include "fs/path.h"
#include "fs/proc.h"
#include "fs/stream.h"
#include "fs/tmpfs.h"
#include "lib/log.h"
#include "memory/heap.h"
#include "process/process.h"

#define PATIENCE UINT64_C(60000000000) /* nanoseconds that processes, and then threads, have to end in */

static struct wait_queue begun = WAIT_QUEUE_INIT(begun);
static uint32_t first_status;
static bool has_begun; /* [a] */

void shutdown_begin(uint32_t status)
{
	first_status = status;
	__atomic_store_n(&has_begun, true, __ATOMIC_SEQ_CST);
	wake_all(&begun);
}

static bool end_threads(void)
{
	process_stop_alarms();
	process_stop_huge_scan();
	link_stop_receiving();
	return thread_all_ended(clock_nanoseconds() + PATIENCE);
}

static void take_down_files(void)
{
	struct inode *root = root_inode();

	if (root == NULL)
		return;
	proc_unmount();
	root_inode_set(NULL);
	tmpfs_destroy_root(root);
}

/* Each step needs those before: who still runs could use what the next takes away. */
static void take_down(void)
{
	if (!process_end_all(clock_nanoseconds() + PATIENCE)) {
		log_line("%u processes do not end", process_count());
		return;
	}
	if (!end_threads()) {
		log_line("of the kernel's threads some do not end");
		return;
	}
	stream_stop();
	take_down_files();
}

static void shut_down(void *argument)
{
	uint8_t bytes[4];

	(void)argument;
	WAIT_UNTIL(&begun, __atomic_load_n(&has_begun, __ATOMIC_SEQ_CST));
	for (unsigned i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(first_status >> (8 * i));
	log_line("the first process ended with status %#x", first_status);
	take_down();
	kernel_heap_report_left();
	link_send('X', bytes, sizeof bytes);
	power_off();
}

void shutdown_start(void)
{
	static struct thread thread;

	thread_start_lasting(&thread, "shutdown", shut_down);
}
