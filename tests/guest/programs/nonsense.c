/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls with random numbers and arguments, many a child: whatever they do to the
 * child, the kernel must go on, and keep nothing of it. For the reference kernel only: on a
 * machine that matters, random system calls by root do harm.
 *
 * usage: nonsense SEED CHILDREN CALLS
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest.h"

#define NUMBERS 460u

static uint64_t state;
static char bytes[65536];
static uint64_t pointers[16];
static volatile int sink;

/* Names are made and removed below /tmp only, so that the caller can clear them away. */
static const char *const paths[] = {
	"/tmp/a", "/tmp/b", "/tmp/d/x", "/tmp/d", "/tmp/l", "", ".", "..", "/", "/proc",
	"/proc/self/maps", "/proc/self/fd", "/proc/self/fd/1", "/proc/self/exe", "/proc/1/stat",
};

/* Calls that would end the child, stop it for long, or reach beyond it. */
static const long left_out[] = {
	SYS_exit, SYS_exit_group, SYS_pause, SYS_kill, SYS_tkill, SYS_rt_sigsuspend, SYS_setpgid,
	SYS_setsid, SYS_alarm, SYS_setitimer, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_nanosleep,
	SYS_clock_nanosleep, SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_wait4, SYS_waitid,
	SYS_futex, SYS_vfork, SYS_clone3,
};

static uint64_t random_bits(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t address_of(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

/* An argument of a kind that some call finds plausible, or hard. */
static uint64_t argument(void)
{
	switch (random_bits() % 14) {
	case 0:
		return 0;
	case 1:
		return random_bits() % 16;
	case 2:
		return -(random_bits() % 200);
	case 3:
		return address_of(bytes) + random_bits() % 256;
	case 4:
	case 5:
		return address_of(paths[random_bits() % (sizeof paths / sizeof *paths)]);
	case 6:
		return random_bits();
	case 7:
		return UINT64_C(0x7fffffffe000) + random_bits() % 8192;
	case 8:
		return UINT64_C(0xffff800000000000) + random_bits() % 4096 * PAGE;
	case 9:
		return address_of(pointers);
	case 10:
		return PAGE * (random_bits() % 64);
	case 11:
		return UINT64_C(1) << (random_bits() % 64);
	case 12:
		return UINT64_C(0x10000000) + PAGE * (random_bits() % 64);
	default:
		return random_bits() % 1024;
	}
}

static long number(void)
{
	for (;;) {
		long chosen = (long)(random_bits() % NUMBERS);
		bool allowed = true;

		for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
			allowed = allowed && left_out[i] != chosen;
		/* New processes are rare, lest they fill the machine. */
		if (allowed && ((chosen != SYS_fork && chosen != SYS_clone) || random_bits() % 8 == 0))
			return chosen;
	}
}

struct plan {
	uint64_t seed, calls;
};

static void make_nonsense(void *context)
{
	const struct plan *plan = context;

	state = plan->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	setpgid(0, 0);
	alarm(1); /* a read of a pipe of its own would never end */
	sink = chdir("/tmp/d") | open("/dev/zero", O_RDWR) | open("/dev/full", O_RDWR);
	for (size_t i = 0; i < 16; i++)
		pointers[i] = argument();
	for (uint64_t left = plan->calls; left > 0; left--) {
		long call = number();
		long result = syscall(call, argument(), argument(), argument(), argument(), argument(),
				      argument());

		if ((call == SYS_fork || call == SYS_clone) && result == 0 && left > 20)
			left = 20;
	}
	_exit(0);
}

static lh_error prepare_files(void)
{
	int file;

	LH_TRY(check_call(mkdir("/tmp/d", 0777)));
	LH_TRY(check_call(symlink("/tmp/a", "/tmp/l")));
	file = open("/tmp/a", O_CREAT | O_RDWR, 0666);
	return check_call(file) == LH_OK ? check_call(close(file)) : last_error();
}

static lh_error run(uint64_t seed, uint64_t children, uint64_t calls)
{
	int status;

	LH_TRY(prepare_files());
	for (uint64_t child = 0; child < children; child++) {
		struct plan plan = { seed * 1000003 + child, calls };

		LH_TRY(run_in_child(make_nonsense, &plan, &status));
	}
	return LH_OK;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return report("nonsense", LH_INVALID);
	return report("nonsense", run(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10),
				      strtoull(argv[3], NULL, 10)));
}
