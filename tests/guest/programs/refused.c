/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each system call that makes the kernel allocate, with its first allocation refused, its second, and so on until
 * none is asked for any more: the call fails with ENOMEM, and what there is of names, descriptors, children and pages
 * is as it was before. Runs on a kernel with /dev/fail-nth (kernel/memory/refusal.h) alone.
 *
 * One line an act: how often it was refused, and of these how often it failed with ENOMEM, with another
 * error, went on all the same, or changed something though it failed.
 *
 * usage: refused [ARGUMENT]: with an argument it ends at once, as what was executed; 2: an allocation was refused
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#include "guest.h"

#define CONTROL "/dev/fail-nth"
#define ROOM "/tmp/refused"
#define NTH_MOST 100 /* no act asks for so many */
#define REFUSED_YET_DONE 2

#define CONTROL_NUMBER 9

static const int control = CONTROL_NUMBER;
static int pipe_ends[2], null_file;
static struct timespec no_time;

/* --- as what was executed: before the C library does anything, which would ask for memory too --- */

__attribute__((noreturn)) void executed(void);
void begin_executed(void); /* where the program begins */

__asm__(".globl begin_executed\n"
	"begin_executed:\n"
	"	cmpq $1, (%rsp)\n"
	"	je _start\n"
	"	andq $-16, %rsp\n"
	"	call executed\n");

static long call(long number, long first, long second, long third, long fourth)
{
	register long r10 __asm__("r10") = fourth;

	__asm__ volatile("syscall"
			 : "+a"(number)
			 : "D"(first), "S"(second), "d"(third), "r"(r10)
			 : "rcx", "r11", "memory");
	return number;
}

/* The thread is the one that executed, and has what was to be refused still before it. */
void executed(void)
{
	char text[16];
	long count = call(SYS_pread64, CONTROL_NUMBER, (long)text, sizeof text, 0);

	for (;;)
		(void)call(SYS_exit_group, count == 2 && text[0] == '0' ? REFUSED_YET_DONE : 0, 0, 0, 0);
}

/* --- the refusal --- */

static void set(unsigned nth)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%u", nth);

	if (pwrite(control, text, (size_t)length, 0) != length)
		abort();
}

/* => whether an allocation was refused since; none is from now on. */
static bool end_refusal(void)
{
	char text[16] = "";

	if (pread(control, text, sizeof text - 1, 0) <= 0)
		abort();
	set(0);
	return atoi(text) == 0;
}

/* --- what there is --- */

struct state {
	uint64_t names, descriptors, children, blocked;
	long pages;
};

static uint64_t mix(uint64_t hash, const char *bytes, size_t count)
{
	while (count-- != 0)
		hash = (hash ^ (unsigned char)*bytes++) * UINT64_C(1099511628211);
	return hash;
}

/* Without a library that allocates in between. */
static void look_at_names(struct state *state)
{
	static char buffer[8192];
	int directory = open(ROOM, O_RDONLY | O_DIRECTORY);
	long count;

	state->names = 1;
	while ((count = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0)
		for (long at = 0; at < count;) {
			unsigned short length;

			memcpy(&length, buffer + at + 16, sizeof length);
			state->names = mix(state->names, buffer + at + 19, strlen(buffer + at + 19));
			at += length;
		}
	close(directory);
}

static struct state look(void)
{
	struct state state = { .pages = status_number("VmSize") };

	(void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &state.blocked, sizeof state.blocked);
	look_at_names(&state);
	for (int number = 0; number < 1024; number++)
		if (fcntl(number, F_GETFD) != -1)
			state.descriptors = mix(state.descriptors + (uint64_t)number, "d", 1);
	state.children = waitpid(-1, NULL, WNOHANG) == -1 ? 0 : 1;
	return state;
}

static bool same(const struct state *a, const struct state *b)
{
	return a->names == b->names && a->descriptors == b->descriptors && a->children == b->children &&
	       a->blocked == b->blocked && a->pages == b->pages;
}

/* --- acts: -1 and errno, or what undo wants --- */

static long act_open(void)
{
	return open("old", O_RDONLY);
}

static long act_create(void)
{
	return open("new", O_RDWR | O_CREAT | O_EXCL, 0600);
}

static long act_open_through_link(void)
{
	return open("link", O_RDONLY);
}

static long act_mkdir(void)
{
	return mkdir("new", 0700);
}

static long act_symlink(void)
{
	return symlink("somewhere", "new");
}

static long act_link(void)
{
	return link("old", "new");
}

static long act_rename(void)
{
	return rename("old", "new");
}

static long act_unlink(void)
{
	return unlink("old");
}

static long act_fifo(void)
{
	return mkfifo("new", 0600);
}

static long act_open_fifo(void)
{
	return open("fifo", O_RDWR);
}

static long act_stat(void)
{
	struct stat stat;

	return lstat("link", &stat);
}

static long act_getcwd(void)
{
	char path[300];

	return syscall(SYS_getcwd, path, sizeof path) > 0 ? 0 : -1;
}

static long act_readlink(void)
{
	char target[300];

	return readlink("link", target, sizeof target) > 0 ? 0 : -1;
}

static long act_proc_link(void)
{
	char target[300];

	return readlink("/proc/self/exe", target, sizeof target) > 0 ? 0 : -1;
}

static long act_list(void)
{
	char buffer[2048];
	int directory = open(".", O_RDONLY | O_DIRECTORY);
	long count;
	int error;

	if (directory == -1)
		return -1;
	count = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
	error = errno;
	close(directory);
	errno = error;
	return count == -1 ? -1 : 0;
}

static long read_proc(const char *path)
{
	static char text[65536];
	int file = open(path, O_RDONLY);
	long count;

	if (file == -1)
		return -1;
	count = read(file, text, sizeof text);
	close(file);
	return count > 0 ? 0 : -1;
}

static long act_maps(void)
{
	return read_proc("/proc/self/maps");
}

static long act_smaps(void)
{
	return read_proc("/proc/self/smaps");
}

static long act_status(void)
{
	return read_proc("/proc/self/status");
}

static long act_statm(void)
{
	return read_proc("/proc/self/statm");
}

static long act_command(void)
{
	return read_proc("/proc/self/cmdline");
}

static long act_meminfo(void)
{
	return read_proc("/proc/meminfo");
}

static long act_pipe(void)
{
	return pipe(pipe_ends);
}

static void undo_pipe(long result)
{
	(void)result;
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static long act_descriptor_from(void)
{
	return fcntl(null_file, F_DUPFD, 300);
}

static long act_many_descriptors(void)
{
	return dup2(null_file, 700);
}

/* All numbers are taken that there is room for: a table has room for a power of two. */
static void take_descriptors(void)
{
	while (dup(null_file) < 127)
		;
}

static void undo_create_above_all(long result)
{
	for (int number = null_file + 1; number <= (int)result; number++)
		if (number != CONTROL_NUMBER)
			close(number);
	unlink("new");
}

static long act_readv(void)
{
	char bytes[4];
	struct iovec parts[2] = { { bytes, 2 }, { bytes + 2, 2 } };
	int zero = open("/dev/zero", O_RDONLY);
	long count;
	int error;

	if (zero == -1)
		return -1;
	count = readv(zero, parts, 2);
	error = errno;
	close(zero);
	errno = error;
	return count == 4 ? 0 : -1;
}

static long act_write_to_stream(void)
{
	return write(STDERR_FILENO, "", 0) == 0 && write(STDERR_FILENO, ".", 1) == 1 ? 0 : -1;
}

static long act_sendfile(void)
{
	int file = open("old", O_RDONLY);
	long count;
	int error;

	if (file == -1)
		return -1;
	count = sendfile(null_file, file, NULL, 2);
	error = errno;
	close(file);
	errno = error;
	return count == 2 ? 0 : -1;
}

static long act_write_and_map(void)
{
	int file = open("new", O_RDWR | O_CREAT, 0600);
	char *memory = MAP_FAILED;
	int error;

	if (file == -1)
		return -1;
	if (write(file, "abc", 3) == 3)
		memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	error = errno;
	close(file);
	errno = error;
	if (memory == MAP_FAILED)
		return -1;
	memory[0]++;
	return munmap(memory, PAGE);
}

static long act_poll(void)
{
	struct pollfd polled = { .fd = null_file, .events = POLLIN };

	return poll(&polled, 1, 0);
}

static long act_ppoll(void)
{
	struct pollfd polled = { .fd = null_file, .events = POLLIN };

	return ppoll(&polled, 1, &no_time, NULL);
}

static long act_ppoll_with_mask(void)
{
	struct pollfd polled = { .fd = null_file, .events = POLLIN };
	sigset_t mask;

	sigfillset(&mask);
	return ppoll(&polled, 1, &no_time, &mask);
}

static long act_select(void)
{
	struct timeval none = { 0, 0 };
	fd_set set_of_one;

	FD_ZERO(&set_of_one);
	FD_SET(null_file, &set_of_one);
	return select(null_file + 1, &set_of_one, NULL, NULL, &none);
}

static void note_signal(int number)
{
	(void)number;
}

static long act_pselect(void)
{
	fd_set set_of_one;

	FD_ZERO(&set_of_one);
	FD_SET(null_file, &set_of_one);
	return pselect(null_file + 1, &set_of_one, NULL, NULL, &no_time, NULL);
}

static long act_chmod(void)
{
	return chmod("old", 0600);
}

static long act_truncate(void)
{
	return truncate("old", 3);
}

static long act_execute_nothing(void)
{
	char *const nothing[] = { NULL };

	return execve("/nonexistent", nothing, nothing) == -1 && errno == ENOENT ? 0 : -1;
}

static long act_signals(void)
{
	struct sigaction action = { .sa_handler = note_signal };
	struct itimerval soon = { { 0, 0 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };

	if (sigaction(SIGUSR1, &action, NULL) == -1 || sigaction(SIGALRM, &action, NULL) == -1)
		return -1;
	if (kill(getpid(), SIGUSR1) == -1 || setitimer(ITIMER_REAL, &soon, NULL) == -1)
		return -1;
	pause();
	return setitimer(ITIMER_REAL, &never, NULL);
}

static long wait_for_end(pid_t child)
{
	int status;

	if (child == -1 || waitpid(child, &status, 0) != child)
		return -1;
	if (WIFSIGNALED(status)) {
		errno = EFAULT;
		return -1;
	}
	errno = WEXITSTATUS(status);
	return WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == REFUSED_YET_DONE ? WEXITSTATUS(status) : -1;
}

static long act_fork(void)
{
	pid_t child = (pid_t)syscall(SYS_fork);

	if (child == 0)
		_exit(0);
	return wait_for_end(child);
}

static void *thread_main(void *argument)
{
	return argument;
}

/* The library says EAGAIN for what the kernel says, whatever that is. */
static long make_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, thread_main, NULL);

	errno = error == EAGAIN ? ENOMEM : error;
	return error == 0 ? pthread_join(thread, NULL) : -1;
}

/* --- acts of a child: it refuses itself, and says by its status what came of it --- */

static unsigned nth_of_child;

static void execute(const char *path)
{
	static char number[] = "0", name[] = "refused";
	char *arguments[] = { name, number, NULL }, *environment[] = { NULL };
	int error;

	set(nth_of_child);
	execve(path, arguments, environment);
	error = errno;
	(void)end_refusal();
	_exit(error);
}

static long execute_in_child(const char *path)
{
	pid_t child = (pid_t)syscall(SYS_fork);

	if (child == 0)
		execute(path);
	return wait_for_end(child);
}

static long act_execute(void)
{
	return execute_in_child("/proc/self/exe");
}

static long act_execute_script(void)
{
	return execute_in_child(ROOM "/script");
}

/* --- */

static void undo_close(long result)
{
	close((int)result);
}

static void undo_new(long result)
{
	(void)result;
	unlink("new");
}

static void undo_new_open(long result)
{
	close((int)result);
	unlink("new");
}

static void undo_new_directory(long result)
{
	(void)result;
	rmdir("new");
}

static void undo_rename(long result)
{
	(void)result;
	rename("new", "old");
}

static void make_old(long result)
{
	int file = open("old", O_WRONLY | O_CREAT, 0600);

	(void)result;
	if (write(file, "xyz", 3) != 3)
		abort();
	close(file);
}

static const struct act {
	const char *name;
	long (*act)(void);
	void (*undo)(long result);
	bool in_child;	   /* it refuses itself */
	bool may_be_half;  /* more than one call: the first may have been done */
	bool once;	   /* what was had is kept */
} acts[] = {
	{ "open", act_open, undo_close, false, false, false },
	{ "create", act_create, undo_new_open, false, false, false },
	{ "open through a link", act_open_through_link, undo_close, false, false, false },
	{ "mkdir", act_mkdir, undo_new_directory, false, false, false },
	{ "symlink", act_symlink, undo_new, false, false, false },
	{ "link", act_link, undo_new, false, false, false },
	{ "rename", act_rename, undo_rename, false, false, false },
	{ "unlink", act_unlink, make_old, false, false, false },
	{ "mkfifo", act_fifo, undo_new, false, false, false },
	{ "open a fifo", act_open_fifo, undo_close, false, false, false },
	{ "lstat", act_stat, NULL, false, false, false },
	{ "getcwd", act_getcwd, NULL, false, false, false },
	{ "readlink", act_readlink, NULL, false, false, false },
	{ "readlink in proc", act_proc_link, NULL, false, false, false },
	{ "list", act_list, NULL, false, false, false },
	{ "read maps", act_maps, NULL, false, false, false },
	{ "read smaps", act_smaps, NULL, false, false, false },
	{ "read status", act_status, NULL, false, false, false },
	{ "read statm", act_statm, NULL, false, false, false },
	{ "read cmdline", act_command, NULL, false, false, false },
	{ "read meminfo", act_meminfo, NULL, false, false, false },
	{ "pipe", act_pipe, undo_pipe, false, false, false },
	{ "create above all", act_create, undo_create_above_all, false, false, true },
	{ "dup from far up on", act_descriptor_from, undo_close, false, false, true },
	{ "dup2 far up", act_many_descriptors, undo_close, false, false, true },
	{ "readv", act_readv, NULL, false, false, false },
	{ "write to the stream", act_write_to_stream, NULL, false, false, false },
	{ "sendfile", act_sendfile, NULL, false, false, false },
	{ "write and map", act_write_and_map, undo_new, false, true, false },
	{ "poll", act_poll, NULL, false, false, false },
	{ "ppoll", act_ppoll, NULL, false, false, false },
	{ "ppoll with a mask", act_ppoll_with_mask, NULL, false, false, false },
	{ "select", act_select, NULL, false, false, false },
	{ "pselect", act_pselect, NULL, false, false, false },
	{ "chmod", act_chmod, NULL, false, false, false },
	{ "truncate", act_truncate, NULL, false, false, false },
	{ "execute nothing", act_execute_nothing, NULL, false, false, false },
	{ "signals", act_signals, NULL, false, false, false },
	{ "fork", act_fork, NULL, false, false, false },
	{ "thread", make_thread, NULL, false, false, false },
	{ "execute", act_execute, NULL, true, false, false },
	{ "execute a script", act_execute_script, NULL, true, false, false },
};

struct tally {
	unsigned refused, no_memory, other, went_on, changed;
	int other_error;
};

/* => false: nothing was refused any more. */
static bool try_nth(const struct act *act, unsigned nth, struct tally *tally)
{
	struct state before = look(), after;
	bool refused;
	long result;
	int error;

	nth_of_child = nth;
	if (!act->in_child)
		set(nth);
	result = act->act();
	error = errno;
	refused = act->in_child ? result != 0 : end_refusal();
	if (result != -1 && act->undo != NULL)
		act->undo(result);
	if (result == -1 && act->may_be_half)
		unlink("new");
	after = look();
	tally->changed += !same(&before, &after) && (result == -1 || !act->once);
	tally->refused += refused;
	if (result != -1)
		tally->went_on += refused;
	else if (error == ENOMEM && refused)
		tally->no_memory++;
	else
		tally->other++, tally->other_error = error;
	return refused;
}

static void refuse_each(const struct act *act)
{
	struct tally tally = { 0 };
	unsigned nth = 1;
	/* Once before, so that the library has what it keeps, and pages are there. */
	long result = act->in_child || act->once ? -1 : act->act();

	if (result != -1 && act->undo != NULL)
		act->undo(result);
	if (act->undo == undo_create_above_all)
		take_descriptors();
	while (nth < NTH_MOST && try_nth(act, nth, &tally))
		nth++;
	printf("%s: refused %u, no memory %u, other %u (%d), went on %u, changed %u%s\n", act->name, tally.refused,
	       tally.no_memory, tally.other, tally.other_error, tally.went_on, tally.changed,
	       nth == NTH_MOST ? ", without an end" : "");
}

static lh_error make_room(void)
{
	int script;

	(void)mkdir(ROOM, 0700);
	LH_TRY(check_call(chdir(ROOM)));
	make_old(0);
	LH_TRY(check_call(symlink("old", "link")));
	LH_TRY(check_call(mkfifo("fifo", 0600)));
	script = open("script", O_WRONLY | O_CREAT, 0700);
	if (write(script, "#!/proc/self/exe\n", 17) != 17)
		return last_error();
	close(script);
	null_file = open("/dev/null", O_RDWR);
	return check_call(null_file);
}

static void clear_room(void)
{
	static const char *const names[] = { "old", "new", "link", "fifo", "script" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		unlink(names[i]);
	if (chdir("/") == 0)
		rmdir(ROOM);
}

static lh_error run(void)
{
	LH_TRY(make_room());
	for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
		refuse_each(&acts[i]);
	clear_room();
	return LH_OK;
}

int main(int count, char **arguments)
{
	int opened = open(CONTROL, O_RDWR);

	(void)count;
	(void)arguments;
	if (opened == -1 || dup2(opened, CONTROL_NUMBER) == -1)
		return report("refused", last_error());
	return report("refused", run());
}
