/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every system call with every kind of bad address, length and descriptor in each place that takes one,
 * the other arguments being good. A table says what each argument is; a line is printed for each
 * result. Those of most calls must be the lines that Linux prints.
 *
 * usage: calls [here [NUMBER...]]: also what Linux may do otherwise, or should not be asked; and
 *        these calls of which the table knows nothing, with anything in each place
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "calls.h"

/* What is nobody's to be called with nonsense: it ends or stops the caller, or is tested elsewhere. */
static const long left_out[] = {
	SYS_exit, SYS_exit_group, SYS_pause, SYS_rt_sigreturn, SYS_fork, SYS_vfork, SYS_clone,
};

/* --- good things --- */

#define AREA_PAGES ((size_t)16)
#define FILE_BYTES 65536

static char *area;	/* zeroes, and behind them nothing */
static char *read_only, *no_access;
static char path[] = "/tmp/calls-file", program_path[] = "/tmp/calls-program";
static const int the_file = 50, the_directory = 51, spare_file = 52, spare_directory = 53, other_file = 54;

static lh_error prepare_files(void)
{
	int file = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600), directory = open("/tmp", O_RDONLY | O_DIRECTORY);

	if (file == -1 || directory == -1 || ftruncate(file, FILE_BYTES) != 0)
		return last_error();
	LH_TRY(check_call(dup2(directory, STDIN_FILENO))); /* so that it does not matter what was there */
	LH_TRY(check_call(dup2(file, spare_file)));
	LH_TRY(check_call(dup2(directory, spare_directory)));
	close(directory);
	close(file);
	file = open(program_path, O_CREAT | O_RDWR | O_TRUNC, 0700);
	return check_call(file) == LH_OK ? check_call(close(file)) : last_error();
}

/* The area where nothing lies behind it, nor the end of user memory near. */
static lh_error prepare_memory(void)
{
	LH_TRY(map_pages(1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, &read_only));
	LH_TRY(map_pages(1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, &no_access));
	area = mmap((void *)0x200000000, AREA_PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return area != MAP_FAILED ? LH_OK : last_error();
}

/* What a call before may have spoilt. */
static void restore(void)
{
	int file;

	dup2(spare_file, the_file);
	dup2(spare_directory, the_directory);
	lseek(the_file, 0, SEEK_SET);
	lseek(the_directory, 0, SEEK_SET);
	file = open(path, O_CREAT | O_RDWR, 0600);
	if (file != other_file)
		dup2(file, other_file);
	close(file);
	memset(area, 0, 8 * PAGE);
}

/* --- bad things --- */

struct value {
	const char *name;
	uint64_t value;
};

#define ADDRESSES 15
#define LENGTHS 8
#define DESCRIPTORS 6

static size_t bad_addresses(struct value *values, bool is_written, size_t size)
{
	uint64_t end = (uint64_t)(uintptr_t)area + AREA_PAGES * PAGE;
	const struct value all[ADDRESSES] = {
		{ "null", 0 },
		{ "low", 8 },
		{ "beyond user memory", UINT64_C(0x7ffffffff000) },
		{ "across its end", UINT64_C(0x7fffffffefff) },
		{ "not canonical", UINT64_C(0x800000000000) },
		{ "the kernel's first", UINT64_C(0xffff800000000000) },
		{ "the direct map", UINT64_C(0xffff800000100000) },
		{ "the kernel's image", UINT64_C(0xffffffff80100000) },
		{ "the last byte", UINT64_MAX },
		{ "wrapping", UINT64_MAX - 3 },
		{ "the top bit", UINT64_C(1) << 63 },
		{ "unmapped", end },
		{ "half mapped", end - (size > 1 ? size / 2 : 0) },
		{ "no access", (uint64_t)(uintptr_t)no_access },
		{ "read only", (uint64_t)(uintptr_t)read_only },
	};

	memcpy(values, all, sizeof all);
	return is_written ? ADDRESSES : ADDRESSES - 1;
}

static size_t bad_lengths(struct value *values)
{
	const struct value all[LENGTHS] = {
		{ "0", 0 }, { "1", 1 }, { "the area and one", AREA_PAGES * PAGE + 1 }, { "2^31", UINT64_C(1) << 31 },
		{ "2^32 + 1", (UINT64_C(1) << 32) + 1 }, { "2^63 - 1", INT64_MAX }, { "2^63", UINT64_C(1) << 63 },
		{ "-1", UINT64_MAX },
	};

	memcpy(values, all, sizeof all);
	return LENGTHS;
}

static size_t bad_descriptors(struct value *values, uint64_t good)
{
	const struct value all[DESCRIPTORS] = {
		{ "closed", 70 }, { "-1", UINT64_MAX }, { "huge", INT32_MAX }, { "negative", UINT64_C(0x80000000) },
		{ "beyond the table", 1u << 20 }, { "with its upper half set", (UINT64_C(5) << 32) + good },
	};

	memcpy(values, all, sizeof all);
	return DESCRIPTORS;
}

/* --- the arguments of one call --- */

/* Two buffers of 8 bytes, as a vector in the area. */
static uint64_t good_vector(uint64_t base)
{
	struct iovec *vector = (struct iovec *)(void *)(area + 4096);

	vector[0] = (struct iovec){ area + 8192, 8 };
	vector[1] = (struct iovec){ (void *)(uintptr_t)base, 8 };
	return (uint64_t)(uintptr_t)vector;
}

static uint64_t good_value(const struct argument *argument, size_t place)
{
	switch (argument->kind) {
	case 'd':
		return (uint64_t)the_file;
	case 'D':
		return (uint64_t)the_directory;
	case 'e':
		return (uint64_t)other_file;
	case 'x':
		return (uint64_t)(uintptr_t)program_path;
	case 'p':
		return (uint64_t)(uintptr_t)path;
	case 's':
		return (uint64_t)(uintptr_t)"calls-file";
	case 'v':
		return good_vector((uint64_t)(uintptr_t)area + 8200);
	case 'n':
		return (uint64_t)argument->number;
	case 'l':
		return (uint64_t)argument[-1].number;
	default:
		return argument->is_optional ? 0 : (uint64_t)(uintptr_t)area + place * 512;
	}
}

static size_t bad_values(const struct argument *argument, struct value *values)
{
	size_t size = (size_t)argument->number;

	switch (argument->kind) {
	case 'd':
	case 'D':
	case 'e':
		return bad_descriptors(values, good_value(argument, 0));
	case 'l':
		return bad_lengths(values);
	case 'n':
		return argument->is_optional ? bad_addresses(values, true, 8) : 0;
	case 'v':
		return bad_addresses(values, false, 32);
	case 'o':
	case 'w':
	case 'a':
		return bad_addresses(values, true, size);
	default:
		return bad_addresses(values, false, size);
	}
}

/* Of a buffer that begins well, Linux moves what there is to the byte, this kernel by steps that may
 * be none: both are right. */
static bool is_as_far_as_it_goes(const struct argument *argument, const char *value, long result)
{
	return strchr("wbv", argument->kind) != NULL && strstr(value, "half mapped") != NULL &&
	       (result > 0 || (result == -1 && errno == EFAULT));
}

static void say(const struct call *call, const struct argument *argument, size_t place, const char *value,
		long result)
{
	printf("%s, argument %zu, %s: ", call->name, place + 1, value);
	if (is_as_far_as_it_goes(argument, value, result))
		printf("as far as it goes\n");
	else if (result == -1)
		printf("%s (%d)\n", lh_error_name(lh_error_from_errno(errno)), errno);
	else
		printf("%s\n", argument->kind == 'l' && result > 0 ? "something" : "no error");
}

static long make_call(const struct call *call, const uint64_t *a)
{
	return syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void fill_good(const struct argument *arguments, size_t count, uint64_t *values)
{
	memset(values, 0, 6 * sizeof *values);
	for (size_t i = 0; i < count; i++)
		values[i] = good_value(&arguments[i], i);
}

/* A good vector with a bad base in it. */
static void try_bases(const struct call *call, const struct argument *arguments, size_t count, size_t place)
{
	struct value bad[ADDRESSES];
	size_t values = bad_addresses(bad, true, 8);

	for (size_t i = 0; i < values; i++) {
		uint64_t a[6];
		char name[64];

		restore();
		fill_good(arguments, count, a);
		a[place] = good_vector(bad[i].value);
		snprintf(name, sizeof name, "a base %s", bad[i].name);
		say(call, &arguments[place], place, name, make_call(call, a));
	}
}

static void try_place(const struct call *call, const struct argument *arguments, size_t count, size_t place)
{
	struct value bad[ADDRESSES];
	size_t values = bad_values(&arguments[place], bad);

	for (size_t i = 0; i < values; i++) {
		uint64_t a[6];

		restore();
		fill_good(arguments, count, a);
		a[place] = bad[i].value;
		say(call, &arguments[place], place, bad[i].name, make_call(call, a));
	}
	if (arguments[place].kind == 'v')
		try_bases(call, arguments, count, place);
}

static void on_alarm(int number)
{
	(void)number;
}

/* What a good argument lets wait is interrupted. */
static void interrupt_always(void)
{
	struct itimerval often = { { 0, 30000 }, { 0, 30000 } };
	struct sigaction action = { .sa_flags = 0 };

	action.sa_handler = on_alarm;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static void try_call(void *context)
{
	const struct call *call = context;
	struct argument arguments[6] = { { 0, false, 0 } };
	size_t count = parse(call->arguments, arguments);

	setpgid(0, 0);
	interrupt_always();
	for (size_t place = 0; place < count; place++)
		try_place(call, arguments, count, place);
}

static lh_error try_in_child(const struct call *call)
{
	struct call copy = *call;
	int status;

	LH_TRY(run_in_child(try_call, &copy, &status));
	if (status != 0)
		printf("%s: ends with %s\n", call->name, status_text(status));
	return LH_OK;
}

/* --- calls that the table does not know --- */

static bool is_known(long number)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (calls[i].number == number)
			return true;
	for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
		if (left_out[i] == number)
			return true;
	return false;
}

static lh_error try_unknown(long number)
{
	char name[32];
	const struct call call = { name, number, "a a a a a a", ONLY_HERE };

	snprintf(name, sizeof name, "call %ld", number);
	return is_known(number) ? LH_OK : try_in_child(&call);
}

static lh_error run(int argc, char **argv)
{
	bool here = argc > 1 && strcmp(argv[1], "here") == 0;

	LH_TRY(prepare_files());
	LH_TRY(prepare_memory());
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (here || calls[i].where == ANYWHERE)
			LH_TRY(try_in_child(&calls[i]));
	for (int i = 2; i < argc; i++)
		LH_TRY(try_unknown(strtol(argv[i], NULL, 10)));
	unlink(path);
	unlink(program_path);
	return LH_OK;
}

int main(int argc, char **argv)
{
	return report("calls", run(argc, argv));
}
