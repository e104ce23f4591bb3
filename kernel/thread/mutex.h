/* SPDX-License-Identifier: BSD-2-Clause */
/* A lock whose holder may wait, and whose waiters sleep. Threads only, interrupts on. */
#ifndef KERNEL_THREAD_MUTEX_H
#define KERNEL_THREAD_MUTEX_H

#include "thread/wait.h"

struct mutex {
	uint32_t word;		 /* 0 free, 1 held; by atomic operations */
	struct thread *holder;	 /* for asserts */
	struct wait_queue queue;
};

void mutex_init(struct mutex *mutex);
/* Not recursive: taking it twice is a panic. */
void mutex_lock(struct mutex *mutex);
bool mutex_try_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
bool mutex_is_mine(const struct mutex *mutex);

#endif
