/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/events.h"

uint64_t lh_event_sum(const lh_manager *manager, lh_event event)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++)
		sum += lh_atomic_load_relaxed(&manager->events[cpu].of[event]);
	return (int64_t)sum < 0 ? 0 : sum;
}
