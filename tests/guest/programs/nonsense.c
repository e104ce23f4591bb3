/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random system calls, many a child: half of them with arguments of the kinds that the call expects, of
 * which some are then changed, half with any number and anything. Whatever they do to the child, the
 * kernel must go on, and keep nothing of it. For the reference kernel only: on a machine that matters,
 * random system calls by root do harm.
 *
 * usage: nonsense SEED CHILDREN CALLS
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "calls.h"

#define NUMBERS 460u
#define WAIT_AT_MOST 10 /* hundredths of a second, for a child */

static uint64_t state;
static char bytes[65536];
static uint64_t pointers[16];
static volatile int sink;
static volatile uint64_t *made; /* calls, of all children: in memory that they share */

/* Names are made and removed below /tmp only, so that the caller can clear them away. */
static const char *const paths[] = {
	"/tmp/a", "/tmp/b", "/tmp/d/x", "/tmp/d", "/tmp/l", "", ".", "..", "/", "/proc",
	"/proc/self/maps", "/proc/self/fd", "/proc/self/fd/1", "/proc/self/exe", "/proc/1/stat",
};

/* Calls that would end the child, take it out of its group, or reach beyond it. */
static const long left_out[] = {
	SYS_exit, SYS_exit_group, SYS_kill, SYS_tkill, SYS_tgkill, SYS_setpgid, SYS_setsid, SYS_vfork, SYS_clone3,
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

/* New processes are rare, lest they fill the machine. */
static bool is_allowed(long number)
{
	for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
		if (left_out[i] == number)
			return false;
	return (number != SYS_fork && number != SYS_clone) || random_bits() % 8 == 0;
}

/* An argument that the call may find good. */
static uint64_t good_argument(const struct argument *kind)
{
	switch (kind->kind) {
	case 'd':
	case 'D':
	case 'e':
		return random_bits() % 12;
	case 'p':
	case 'x':
	case 's':
		return address_of(paths[random_bits() % (sizeof paths / sizeof *paths)]);
	case 'v':
		return address_of(pointers);
	case 'n':
		return random_bits() % 2 ? (uint64_t)kind->number : UINT64_C(1) << random_bits() % 32;
	case 'l':
		return random_bits() % 2 ? (uint64_t)kind[-1].number : random_bits() % sizeof bytes;
	default:
		return kind->is_optional && random_bits() % 2 ? 0 : address_of(bytes) + random_bits() % 16 * 512;
	}
}

/* A call and its arguments. => the number. */
static long choose_call(uint64_t *arguments)
{
	const struct call *call = &calls[random_bits() % (sizeof calls / sizeof *calls)];
	struct argument kinds[6] = { { 0, false, 0 } };
	size_t known = 0;
	long number = call->number;

	if (random_bits() % 2)
		known = parse(call->arguments, kinds);
	else
		number = (long)(random_bits() % NUMBERS);
	for (size_t i = 0; i < 6; i++)
		arguments[i] = i < known && random_bits() % 5 ? good_argument(&kinds[i]) : argument();
	return is_allowed(number) ? number : SYS_getppid;
}

struct plan {
	uint64_t seed, calls;
};

static void on_alarm(int number)
{
	(void)number;
}

/* Calls that wait are interrupted, unless one before has seen to it that they are not. */
static void interrupt_often(void)
{
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	struct sigaction action = { .sa_flags = 0 };

	action.sa_handler = on_alarm;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static _Noreturn void make_nonsense(const struct plan *plan)
{
	state = plan->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	setpgid(0, 0);
	interrupt_often();
	sink = chdir("/tmp/d") | open("/dev/zero", O_RDWR) | open("/dev/full", O_RDWR);
	for (size_t i = 0; i < 16; i++)
		pointers[i] = argument();
	for (uint64_t left = plan->calls; left > 0; left--) {
		uint64_t a[6];
		long call = choose_call(a);
		long result = syscall(call, a[0], a[1], a[2], a[3], a[4], a[5]);

		++*made;
		if ((call == SYS_fork || call == SYS_clone) && result == 0 && left > 20)
			left = 20;
	}
	_exit(0);
}

/* A child that waits for what does not come, or has blocked what would end it, is killed, with those
 * that it has made. */
static lh_error run_for_a_while(struct plan *plan)
{
	pid_t child = -1;
	int status;

	LH_TRY(fork_process(&child));
	if (child == 0)
		make_nonsense(plan);
	setpgid(child, child);
	for (int left = WAIT_AT_MOST; left > 0; left--) {
		pid_t ended = waitpid(child, &status, WNOHANG);

		if (ended != 0) {
			kill(-child, SIGKILL); /* who is left of its group */
			return ended == child ? LH_OK : last_error();
		}
		LH_TRY(check_call(usleep(10000)));
	}
	kill(-child, SIGKILL);
	return wait_for(child, &status);
}

static lh_error prepare_files(void)
{
	int file;

	LH_TRY(check_call(mkdir("/tmp/d", 0777)));
	LH_TRY(check_call(symlink("/tmp/a", "/tmp/l")));
	file = open("/tmp/a", O_CREAT | O_RDWR, 0666);
	return check_call(file) == LH_OK ? check_call(close(file)) : last_error();
}

static lh_error run(uint64_t seed, uint64_t children, uint64_t calls_each)
{
	char *shared = NULL;

	LH_TRY(prepare_files());
	LH_TRY(map_pages(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &shared));
	made = (volatile uint64_t *)(void *)shared;
	for (uint64_t child = 0; child < children; child++) {
		struct plan plan = { seed * 1000003 + child, calls_each };

		LH_TRY(run_for_a_while(&plan));
	}
	printf("%llu calls were made\n", (unsigned long long)*made);
	return LH_OK;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return report("nonsense", LH_INVALID);
	return report("nonsense", run(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10),
				      strtoull(argv[3], NULL, 10)));
}
