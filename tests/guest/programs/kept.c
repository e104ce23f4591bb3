/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers that must be kept: all that a program has, across system calls, page faults, signals,
 * single steps, other processes; and what a new program, a new page and the kernel's answers hold
 * that nobody put there. It begins before the C library does: at saved_entry.
 *
 * The list of what was not as it must be is printed; it must be empty, here and on Linux.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>

#include "acts.h"

#define GENERAL_REGISTERS 15
#define VECTOR_BYTES 256

/* In the order of the assembly below. */
static const char *const names[GENERAL_REGISTERS] = {
	"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};
enum { RAX = 0, RCX = 2, R11 = 10 };

struct registers {
	uint64_t general[GENERAL_REGISTERS];
	uint64_t flags;
	uint8_t vectors[VECTOR_BYTES];
	uint32_t mxcsr;
	uint16_t control;
} __attribute__((aligned(16)));

/* Used by name in the assembly. */
struct registers before, after, initial;
uint64_t saved_stack;
void (*between)(void);
void exchange_registers(void);
void saved_entry(void);

#define EACH_VECTOR(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD_VECTOR(n) "movdqa before+128+16*" #n "(%rip), %xmm" #n "\n\t"
#define STORE_VECTOR(n) "movdqa %xmm" #n ", after+128+16*" #n "(%rip)\n\t"
#define INITIAL_VECTOR(n) "movdqa %xmm" #n ", initial+128+16*" #n "(%rip)\n\t"
#define EACH_GENERAL(X, base)                                                                     \
	X(base, "rax", "0") X(base, "rbx", "8") X(base, "rcx", "16") X(base, "rdx", "24")             \
	X(base, "rsi", "32") X(base, "rdi", "40") X(base, "rbp", "48") X(base, "r8", "56")            \
	X(base, "r9", "64") X(base, "r10", "72") X(base, "r11", "80") X(base, "r12", "88")            \
	X(base, "r13", "96") X(base, "r14", "104") X(base, "r15", "112")
#define LOAD(base, name, at) "movq " base "+" at "(%rip), %" name "\n\t"
#define STORE(base, name, at) "movq %" name ", " base "+" at "(%rip)\n\t"

/* Loads all registers from before, calls between, and stores them into after. */
__asm__(".text\nexchange_registers:\n\t"
	"pushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
	"movq %rsp, saved_stack(%rip)\n\t"
	EACH_VECTOR(LOAD_VECTOR)
	"ldmxcsr before+384(%rip)\n\tfldcw before+388(%rip)\n\t"
	"pushq before+120(%rip)\n\tpopfq\n\t"
	EACH_GENERAL(LOAD, "before")
	"call *between(%rip)\n\t"
	EACH_GENERAL(STORE, "after")
	"pushfq\n\tpopq after+120(%rip)\n\tcld\n\t"
	EACH_VECTOR(STORE_VECTOR)
	"stmxcsr after+384(%rip)\n\tfnstcw after+388(%rip)\n\t"
	"movl $0x1f80, -4(%rsp)\n\tldmxcsr -4(%rsp)\n\tfninit\n\tpushq $0x202\n\tpopfq\n\t"
	"cmpq saved_stack(%rip), %rsp\n\tje 1f\n\tud2\n1:\t"
	"popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n\tret\n\t"
	/* What the program began with, before anything else ran. */
	".globl saved_entry\nsaved_entry:\n\t"
	EACH_GENERAL(STORE, "initial")
	"pushfq\n\tpopq initial+120(%rip)\n\t"
	EACH_VECTOR(INITIAL_VECTOR)
	"stmxcsr initial+384(%rip)\n\tfnstcw initial+388(%rip)\n\t"
	"jmp _start\n");
_Static_assert(offsetof(struct registers, flags) == 120, "the assembly above");
_Static_assert(offsetof(struct registers, vectors) == 128, "the assembly above");
_Static_assert(offsetof(struct registers, mxcsr) == 384, "the assembly above");
_Static_assert(offsetof(struct registers, control) == 388, "the assembly above");

static int wrong;

static void complain(const char *act, const char *what, uint64_t found, uint64_t wanted)
{
	wrong++;
	printf("%s: %s is %#llx, not %#llx\n", act, what, (unsigned long long)found, (unsigned long long)wanted);
}

/* --- what is between --- */

void call_getppid(void), call_yield(void), call_unknown(void), call_far(void), touch_fresh(void), touch_shared(void);
void raise_here(void), break_here(void), step_here(void), sleep_here(void);
char *touched;
uint64_t own_pid, pause_nanoseconds[2] = { 0, 15000000 };

__asm__(".text\n"
	"call_getppid:\n\tmovl $110, %eax\n\tsyscall\n\tret\n"
	"call_yield:\n\tmovl $24, %eax\n\tsyscall\n\tret\n"
	"call_unknown:\n\tmovl $400, %eax\n\tsyscall\n\tret\n"
	"call_far:\n\tmovq $-1, %rax\n\tsyscall\n\tret\n"
	"touch_fresh:\n\tmovq touched(%rip), %rax\n\tmovb $1, (%rax)\n\tret\n"
	"touch_shared:\n\tmovq touched(%rip), %rax\n\tmovb $2, (%rax)\n\tret\n"
	"raise_here:\n\tmovq own_pid(%rip), %rdi\n\tmovl $10, %esi\n\tmovl $62, %eax\n\tsyscall\n\tret\n"
	"break_here:\n\tint3\n\tret\n"
	"step_here:\n\tpushfq\n\torq $0x100, (%rsp)\n\tpopfq\n\tnop\n\tnop\n\tret\n"
	"sleep_here:\n\tleaq pause_nanoseconds(%rip), %rdi\n\tmovl $0, %esi\n\tmovl $35, %eax\n\tsyscall\n\tret\n");

static void fresh_page(void)
{
	if (private_pages(1, &touched) != LH_OK)
		_exit(99);
}

/* Shared with a child that is gone, or still there: the write copies. */
static void shared_page(void)
{
	pid_t child;

	fresh_page();
	*touched = 1;
	child = fork();
	if (child == 0) {
		usleep(20000);
		_exit(0);
	}
}

static const struct between {
	const char *name;
	void (*function)(void);
	void (*prepare)(void);
	uint32_t changes; /* a bit for each register that may change */
} betweens[] = {
	{ "getppid", call_getppid, NULL, 1u << RAX | 1u << RCX | 1u << R11 },
	{ "sched_yield", call_yield, NULL, 1u << RAX | 1u << RCX | 1u << R11 },
	{ "an unknown call", call_unknown, NULL, 1u << RAX | 1u << RCX | 1u << R11 },
	{ "a call of no number", call_far, NULL, 1u << RAX | 1u << RCX | 1u << R11 },
	{ "a sleep", sleep_here, NULL, 1u << RAX | 1u << RCX | 1u << R11 | 1u << 4 | 1u << 5 },
	{ "a fault of a fresh page", touch_fresh, fresh_page, 1u << RAX },
	{ "a fault of a shared page", touch_shared, shared_page, 1u << RAX },
	{ "a signal", raise_here, NULL, 1u << RAX | 1u << RCX | 1u << R11 | 1u << 4 | 1u << 5 },
	{ "a breakpoint", break_here, NULL, 0 },
	{ "a single step", step_here, NULL, 0 },
};

#define FLAGS_ARITHMETIC UINT64_C(0x8d5)
#define FLAG_DIRECTION UINT64_C(0x400)

static void choose_registers(uint64_t round, uint64_t flags)
{
	uint64_t value = round * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (int i = 0; i < GENERAL_REGISTERS; i++)
		before.general[i] = value = value * UINT64_C(6364136223846793005) + 1442695040888963407;
	for (int i = 0; i < VECTOR_BYTES; i++)
		before.vectors[i] = (uint8_t)((value = value * UINT64_C(6364136223846793005) + 1) >> 56);
	before.flags = 0x202 | flags;
	before.mxcsr = 0x1f80 | (uint32_t)(round % 4) << 13;
	before.control = (uint16_t)(0x037f & ~0x0c00) | (uint16_t)((round % 4) << 10);
}

static void compare(const struct between *between_these)
{
	const char *name = between_these->name;

	for (int i = 0; i < GENERAL_REGISTERS; i++)
		if ((between_these->changes >> i & 1) == 0 && after.general[i] != before.general[i])
			complain(name, names[i], after.general[i], before.general[i]);
	for (int i = 0; i < VECTOR_BYTES; i++)
		if (after.vectors[i] != before.vectors[i]) {
			complain(name, "a byte of the vector registers", after.vectors[i], before.vectors[i]);
			break;
		}
	/* The or that sets TF changes others by itself. */
	if ((after.flags ^ before.flags) & ~(between_these->function == step_here ? FLAGS_ARITHMETIC : 0))
		complain(name, "the flags", after.flags, before.flags);
	if (after.mxcsr != before.mxcsr)
		complain(name, "mxcsr", after.mxcsr, before.mxcsr);
	if (after.control != before.control)
		complain(name, "the x87 control word", after.control, before.control);
}

/* Handlers see the direction flag clear, as the C library's code counts on, and disturb all they can. */
static void disturb(int number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;
	uint64_t flags;
	double spoilt = number * 1.5;

	(void)info;
	__asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
	if (flags & (FLAG_DIRECTION | 0x100))
		complain("a handler", "its flags", flags, 0x202);
	__asm__ volatile("movsd %0, %%xmm0\n\tmovsd %0, %%xmm7\n\tmovsd %0, %%xmm15\n\tfldl %0" : : "m"(spoilt)
			 : "xmm0", "xmm7", "xmm15");
	if (number == SIGTRAP)
		interrupted->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)0x100;
}

static void keep_all(void)
{
	static const uint64_t flags[] = { 0, FLAGS_ARITHMETIC, FLAG_DIRECTION, FLAG_DIRECTION | FLAGS_ARITHMETIC };

	for (uint64_t round = 0; round < 16; round++)
		for (size_t i = 0; i < sizeof betweens / sizeof *betweens; i++) {
			choose_registers(round, flags[round % 4]);
			if (betweens[i].prepare)
				betweens[i].prepare();
			between = betweens[i].function;
			exchange_registers();
			compare(&betweens[i]);
		}
	while (wait(NULL) > 0)
		continue;
}

/* --- what nobody put there --- */

static void check_initial(void)
{
	for (int i = 0; i < GENERAL_REGISTERS; i++)
		if (initial.general[i] != 0)
			complain("a new program", names[i], initial.general[i], 0);
	for (int i = 0; i < VECTOR_BYTES; i++)
		if (initial.vectors[i] != 0) {
			complain("a new program", "a byte of the vector registers", initial.vectors[i], 0);
			break;
		}
	if (initial.mxcsr != 0x1f80)
		complain("a new program", "mxcsr", initial.mxcsr, 0x1f80);
	if (initial.control != 0x037f)
		complain("a new program", "the x87 control word", initial.control, 0x037f);
	if ((initial.flags & ~UINT64_C(0x246)) != 0)
		complain("a new program", "the flags", initial.flags, 0x202);
}

/* Small negative numbers, and Linux' vsyscall page, lie higher. */
static bool is_of_kernel(uint64_t word)
{
	return word >= UINT64_C(0xffff800000000000) && word < UINT64_C(0xfffffffff0000000);
}

/* No word of an answer lies in the kernel's half. */
static void check_answer(const char *name, const void *bytes, size_t count)
{
	for (size_t at = 0; at + 8 <= count; at++) {
		uint64_t word;

		memcpy(&word, (const char *)bytes + at, sizeof word);
		if (is_of_kernel(word))
			complain(name, "a word", word, 0);
	}
}

static char answer[65536];

/* Twice with other bytes there before: what differs was not written, what is beyond size must differ. */
static void check_filled(const char *name, long call, uint64_t first, uint64_t second, int at, size_t size)
{
	static char other[sizeof answer];
	uint64_t arguments[4] = { first, second, 0, 0 };

	memset(answer, 0x5a, sizeof answer);
	arguments[at] = (uint64_t)(uintptr_t)answer;
	if (syscall(call, arguments[0], arguments[1], arguments[2], arguments[3]) < 0)
		return;
	memset(other, 0xa5, sizeof other);
	arguments[at] = (uint64_t)(uintptr_t)other;
	if (syscall(call, arguments[0], arguments[1], arguments[2], arguments[3]) < 0)
		return;
	for (size_t i = 0; i < size + 64; i++) {
		bool untouched = answer[i] == 0x5a && other[i] == (char)0xa5;

		if (untouched != (i >= size))
			complain(name, untouched ? "a byte that was not written, at" : "a byte beyond the end, at", i, size);
	}
	check_answer(name, answer, size);
}

static void check_answers(void)
{
	uint64_t root = (uint64_t)(uintptr_t)"/";

	check_filled("stat", SYS_stat, root, 0, 1, sizeof(struct stat));
	check_filled("lstat", SYS_lstat, root, 0, 1, sizeof(struct stat));
	check_filled("fstat", SYS_fstat, 1, 0, 1, sizeof(struct stat));
	check_filled("statfs", SYS_statfs, root, 0, 1, sizeof(struct statfs));
	check_filled("uname", SYS_uname, 0, 0, 0, sizeof(struct utsname));
	check_filled("sysinfo", SYS_sysinfo, 0, 0, 0, sizeof(struct sysinfo));
	check_filled("getrusage", SYS_getrusage, 0, 0, 1, sizeof(struct rusage));
	check_filled("times", SYS_times, 0, 0, 0, sizeof(struct tms));
	check_filled("getrlimit", SYS_getrlimit, 7, 0, 1, 16);
	check_filled("clock_gettime", SYS_clock_gettime, 0, 0, 1, 16);
	check_filled("clock_getres", SYS_clock_getres, 0, 0, 1, 16);
	check_filled("gettimeofday", SYS_gettimeofday, 0, 0, 0, 16);
	check_filled("getitimer", SYS_getitimer, 0, 0, 1, 32);
	check_filled("sigaltstack", SYS_sigaltstack, 0, 0, 1, sizeof(stack_t));
	check_filled("pipe", SYS_pipe, 0, 0, 0, 8);
	check_filled("prctl(PR_GET_NAME)", SYS_prctl, 16, 0, 1, 16);
}

/* All of a proc file, of which no number may be a kernel address. */
static void check_proc(const char *path)
{
	int file = open(path, O_RDONLY);
	ssize_t count, total = 0;

	if (file == -1)
		return;
	while (total < (ssize_t)sizeof answer - 1 &&
	       (count = read(file, answer + total, sizeof answer - 1 - (size_t)total)) > 0)
		total += count;
	close(file);
	answer[total] = 0;
	for (const char *at = strstr(answer, "ffff"); at != NULL; at = strstr(at + 1, "ffff"))
		if (strspn(at, "0123456789abcdef") == 16 && is_of_kernel(strtoull(at, NULL, 16)))
			complain(path, "an address of the kernel's", strtoull(at, NULL, 16), 0);
	if (memchr(answer, 0, (size_t)total) != NULL && strstr(path, "cmdline") == NULL)
		complain(path, "a zero byte", 1, 0);
}

static void check_proc_files(void)
{
	static const char *const paths[] = {
		"/proc/meminfo", "/proc/self/maps", "/proc/self/stat", "/proc/self/status", "/proc/self/statm",
		"/proc/self/cmdline", "/proc/stat", "/proc/cpuinfo", "/proc/uptime", "/proc/loadavg",
		"/proc/1/stat", "/proc/1/status", "/proc/mounts", "/proc/version",
	};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		check_proc(paths[i]);
}

/* Pages of every kind are zero where nothing was written, whatever lay in their frames before. */
static void check_zero(const char *name, const char *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (memory[i] != 0) {
			complain(name, "a byte", (uint8_t)memory[i], 0);
			return;
		}
}

static void dirty(void *unused)
{
	char *memory = NULL;
	int ends[2];

	(void)unused;
	if (private_pages(2048, &memory) == LH_OK)
		memset(memory, 0xee, 2048 * PAGE);
	memset(answer, 0xee, sizeof answer);
	if (pipe(ends) == 0 && write(ends[1], answer, 65536) == 65536)
		_exit(0);
}

static void check_fresh(void)
{
	int file = open("/tmp/kept", O_CREAT | O_RDWR | O_TRUNC, 0600), status;
	char *private = NULL, *shared = NULL, *mapped, *heap;

	if (run_in_child(dirty, NULL, &status) != LH_OK || private_pages(512, &private) != LH_OK ||
	    map_pages(512, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &shared) != LH_OK)
		_exit(98);
	check_zero("private memory", private, 512 * PAGE);
	check_zero("shared memory", shared, 512 * PAGE);
	heap = sbrk(256 * (intptr_t)PAGE);
	check_zero("the heap", heap, 256 * PAGE);
	if (ftruncate(file, 100) != 0 || pwrite(file, "x", 1, 300000) != 1)
		_exit(97);
	mapped = mmap(NULL, 100 * PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	check_zero("a file's hole", mapped, 300000);
	check_zero("behind a file's end", mapped + 300001, (size_t)(300001 / 4096 + 1) * PAGE - 300001);
	if (pread(file, answer, 65536, 4096) != 65536)
		_exit(96);
	check_zero("a file's hole, read", answer, 65536);
	close(file);
	unlink("/tmp/kept");
}

int main(void)
{
	check_initial();
	if (act_stack() != LH_OK)
		return 99;
	own_pid = (uint64_t)getpid();
	act_catch(disturb, 0);
	struct sigaction action = { .sa_flags = SA_SIGINFO };
	action.sa_sigaction = disturb;
	sigaction(SIGUSR1, &action, NULL);
	keep_all();
	check_answers();
	check_proc_files();
	check_fresh();
	printf("%d are wrong\n", wrong);
	return wrong != 0;
}
