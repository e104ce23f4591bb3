/* SPDX-License-Identifier: BSD-2-Clause */
#include "thread/mutex.h"

#include "lib/log.h"
#include "thread/lock_check.h"
#include "thread/thread.h"

void mutex_init(struct mutex *mutex)
{
	mutex->word = 0;
	mutex->holder = NULL;
	wait_queue_init(&mutex->queue);
}

bool mutex_try_lock(struct mutex *mutex)
{
	if (__atomic_exchange_n(&mutex->word, 1u, __ATOMIC_SEQ_CST) != 0)
		return false;
	mutex->holder = thread_current();
	return true;
}

void mutex_lock(struct mutex *mutex)
{
	lock_check_may_wait("a mutex is taken");
	if (mutex_is_mine(mutex))
		panic("a mutex is taken twice by one thread");
	WAIT_UNTIL(&mutex->queue, mutex_try_lock(mutex));
}

void mutex_unlock(struct mutex *mutex)
{
	if (!mutex_is_mine(mutex))
		panic("a mutex is let go by a thread that does not hold it");
	mutex->holder = NULL;
	__atomic_store_n(&mutex->word, 0u, __ATOMIC_SEQ_CST);
	wake_one(&mutex->queue);
}

bool mutex_is_mine(const struct mutex *mutex)
{
	return mutex->holder == thread_current();
}
