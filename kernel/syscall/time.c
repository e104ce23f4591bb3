/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks, sleep, alarms. */
#include "arch/x86_64/clock.h"
#include "memory/user.h"
#include "syscall/table.h"

enum clock { CLOCK_WALL = 0, CLOCK_SINCE_BOOT = 1, CLOCK_PROCESS = 2, CLOCK_THREAD = 3, CLOCK_RAW = 4,
	     CLOCK_WALL_COARSE = 5, CLOCK_COARSE = 6, CLOCK_BOOT = 7 };

#define NANOSECONDS_A_TICK UINT64_C(10000000)

static lh_error read_clock(int32_t clock, uint64_t *nanoseconds)
{
	uint64_t user, kernel;

	switch (clock) {
	case CLOCK_WALL:
	case CLOCK_WALL_COARSE:
		*nanoseconds = (uint64_t)wall_clock_nanoseconds();
		return LH_OK;
	case CLOCK_SINCE_BOOT:
	case CLOCK_RAW:
	case CLOCK_COARSE:
	case CLOCK_BOOT:
		*nanoseconds = clock_nanoseconds();
		return LH_OK;
	case CLOCK_THREAD:
		*nanoseconds = thread_current()->run_ticks * NANOSECONDS_A_TICK;
		return LH_OK;
	case CLOCK_PROCESS:
		process_read_ticks(process_current(), &user, &kernel);
		*nanoseconds = (user + kernel) * NANOSECONDS_A_TICK;
		return LH_OK;
	default:
		return LH_INVALID;
	}
}

static lh_error give_timespec(uint64_t address, uint64_t nanoseconds)
{
	struct linux_timespec time = timespec_of(nanoseconds);

	return user_copy_out(address, &time, sizeof time);
}

lh_error call_clock_gettime(struct call *call)
{
	uint64_t now;

	LH_TRY(read_clock(call_int(call, 0), &now));
	return give_timespec(call->a[1], now);
}

lh_error call_clock_getres(struct call *call)
{
	int32_t clock = call_int(call, 0);
	uint64_t now;
	bool is_ticks = clock == CLOCK_PROCESS || clock == CLOCK_THREAD;

	LH_TRY(read_clock(clock, &now));
	if (call->a[1] == 0)
		return LH_OK;
	return give_timespec(call->a[1], is_ticks ? NANOSECONDS_A_TICK : 1);
}

lh_error call_clock_settime(struct call *call)
{
	(void)call;
	return LH_NOT_PERMITTED;
}

lh_error call_gettimeofday(struct call *call)
{
	struct linux_timeval time = timeval_of((uint64_t)wall_clock_nanoseconds());
	uint32_t zone[2] = { 0, 0 };

	if (call->a[0] != 0)
		LH_TRY(user_copy_out(call->a[0], &time, sizeof time));
	return call->a[1] == 0 ? LH_OK : user_copy_out(call->a[1], zone, sizeof zone);
}

lh_error call_time(struct call *call)
{
	uint64_t seconds = (uint64_t)wall_clock_nanoseconds() / 1000000000;

	call->value = seconds;
	return call->a[0] == 0 ? LH_OK : user_copy_out(call->a[0], &seconds, sizeof seconds);
}

/* --- sleep --- */

static lh_error sleep_until(uint64_t deadline)
{
	static struct wait_queue nothing = WAIT_QUEUE_INIT(nothing);
	lh_error error = WAIT_UNTIL_OR(&nothing, clock_nanoseconds() >= deadline, deadline);

	return error == LH_TIMED_OUT ? LH_OK : error;
}

/* => remaining: where to put what was left when a signal came; 0: nowhere. */
static lh_error sleep_for(const struct call *call, uint64_t time, uint64_t remaining)
{
	uint64_t deadline = call_deadline(call, time), now;
	lh_error error = sleep_until(deadline);

	if (error != LH_INTERRUPTED || remaining == 0)
		return error;
	now = clock_nanoseconds();
	LH_TRY(give_timespec(remaining, deadline > now ? deadline - now : 0));
	return LH_INTERRUPTED;
}

lh_error call_nanosleep(struct call *call)
{
	uint64_t time;

	LH_TRY(call_read_timespec(call->a[0], &time));
	return sleep_for(call, time, call->a[1]);
}

#define SLEEP_ABSOLUTE 1u

lh_error call_clock_nanosleep(struct call *call)
{
	int32_t clock = call_int(call, 0);
	uint64_t time, offset = clock_realtime_offset();

	if (clock != CLOCK_WALL && clock != CLOCK_SINCE_BOOT && clock != CLOCK_BOOT)
		return LH_INVALID;
	LH_TRY(call_read_timespec(call->a[2], &time));
	if ((call_unsigned(call, 1) & SLEEP_ABSOLUTE) == 0)
		return sleep_for(call, time, call->a[3]);
	if (clock == CLOCK_WALL)
		time = time > offset ? time - offset : 0;
	return sleep_until(time);
}

/* --- alarms --- */

lh_error call_alarm(struct call *call)
{
	uint64_t left, interval;

	process_set_alarm((uint64_t)call_unsigned(call, 0) * 1000000000, 0, &left, &interval);
	call->value = (left + 999999999) / 1000000000;
	return LH_OK;
}

struct interval_timer {
	struct linux_timeval interval, value;
};

#define TIMER_REAL 0

static lh_error nanoseconds_of(const struct linux_timeval *time, uint64_t *nanoseconds)
{
	if (time->seconds < 0 || time->microseconds < 0 || time->microseconds >= 1000000)
		return LH_INVALID;
	if (time->seconds > INT64_MAX / 2000000000)
		*nanoseconds = INT64_MAX / 2;
	else
		*nanoseconds = (uint64_t)time->seconds * 1000000000 +
			       (uint64_t)time->microseconds * 1000;
	return LH_OK;
}

static lh_error give_timer(uint64_t address, uint64_t left, uint64_t interval)
{
	struct interval_timer timer = { timeval_of(interval), timeval_of(left) };

	return user_copy_out(address, &timer, sizeof timer);
}

lh_error call_setitimer(struct call *call)
{
	struct interval_timer timer = { 0 };
	uint64_t value, interval, left, old_interval;

	if (call_int(call, 0) != TIMER_REAL)
		return LH_INVALID;
	if (call->a[1] != 0)
		LH_TRY(user_copy_in(&timer, call->a[1], sizeof timer));
	LH_TRY(nanoseconds_of(&timer.value, &value));
	LH_TRY(nanoseconds_of(&timer.interval, &interval));
	process_set_alarm(value, interval, &left, &old_interval);
	return call->a[2] == 0 ? LH_OK : give_timer(call->a[2], left, old_interval);
}

lh_error call_getitimer(struct call *call)
{
	uint64_t left, interval;

	if (call_int(call, 0) != TIMER_REAL)
		return LH_INVALID;
	process_read_alarm(&left, &interval);
	return give_timer(call->a[1], left, interval);
}
