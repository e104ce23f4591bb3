/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jumps and writes where none may go, instructions that are not for programs, all interrupts by
 * number, selectors of every kind, flags. See acts.h.
 *
 * usage: attacks [linux | NAME-PART]
 */
#include <fcntl.h>
#include <setjmp.h>
#include <sys/syscall.h>

#include "acts.h"

#define DIRECT_MAP UINT64_C(0xffff800000100000)
#define KERNEL_IMAGE UINT64_C(0xffffffff80100000)
#define NOT_CANONICAL UINT64_C(0x800000000000)
#define LAST_CANONICAL UINT64_C(0x7fffffffffff)
#define BEYOND_USER UINT64_C(0x7ffffffff000)
#define VSYSCALL UINT64_C(0xffffffffff600000)

/* --- memory --- */

static char data[64] = { (char)0xc3 };
static const char constant[64] = { (char)0xc3 };

static void jump(uint64_t address)
{
	act_expect(address);
	((void (*)(void))(uintptr_t)address)();
}

static void jump_to_data(uint64_t unused)
{
	(void)unused;
	jump((uint64_t)(uintptr_t)data);
}

static void jump_to_constant(uint64_t unused)
{
	(void)unused;
	jump((uint64_t)(uintptr_t)constant);
}

static void jump_to_stack(uint64_t unused)
{
	volatile char here[16] = { (char)0xc3 };

	(void)unused;
	jump((uint64_t)(uintptr_t)here);
}

static void load(uint64_t address)
{
	act_expect(address);
	(void)*(volatile char *)(uintptr_t)address;
}

static void store(uint64_t address)
{
	act_expect(address);
	*(volatile char *)(uintptr_t)address = 1;
}

static void write_text(uint64_t unused)
{
	(void)unused;
	store((uint64_t)(uintptr_t)write_text);
}

/* On a page of its own kind: protection, and whether the act is a read or a write. */
static void touch_protected(uint64_t write_and_protection)
{
	char *memory = NULL;

	if (map_pages(1, (int)(write_and_protection & 7), MAP_PRIVATE | MAP_ANONYMOUS, &memory) != LH_OK)
		return;
	(write_and_protection & 8 ? store : load)((uint64_t)(uintptr_t)memory + 123);
}

static void touch_unmapped(uint64_t unused)
{
	char *memory = NULL;

	(void)unused;
	if (private_pages(1, &memory) == LH_OK && munmap(memory, PAGE) == 0)
		store((uint64_t)(uintptr_t)memory + 4095);
}

/* A word across the edge of a mapping: the address told is that of the first byte beyond. */
static void cross_edge(uint64_t unused)
{
	char *memory = NULL;

	(void)unused;
	if (private_pages(2, &memory) != LH_OK || munmap(memory + PAGE, PAGE) != 0)
		return;
	act_expect((uint64_t)(uintptr_t)memory + PAGE);
	*(volatile uint64_t *)(void *)(memory + PAGE - 4) = 1;
}

/* Past a file's end, and where the file was cut off after a page was there. */
static void past_end(uint64_t truncated)
{
	int file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	char *memory;

	if (file == -1)
		file = open("/tmp/acts-past-end", O_CREAT | O_RDWR | O_TRUNC, 0600);
	unlink("/tmp/acts-past-end");
	if (ftruncate(file, truncated ? 8192 : 100) != 0)
		return;
	memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		return;
	if (truncated) {
		memory[PAGE] = 1;
		if (ftruncate(file, 100) != 0)
			return;
	}
	store((uint64_t)(uintptr_t)memory + PAGE + 5);
}

__attribute__((noinline)) static int descend(int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	return depth < 0 ? 0 : descend(depth + 1) + room[0];
}

/* The stack's limit is 8 MiB; the fault lies where the stack pointer is. */
static char *stack_top;

static void on_overflow(int number, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;
	char *pointer = (char *)(uintptr_t)interrupted->uc_mcontext.gregs[REG_RSP];
	char *address = info->si_addr;
	size_t depth = (size_t)(stack_top - address);

	if (number == SIGSEGV && info->si_code == SEGV_MAPERR && address - pointer < 8192 &&
	    pointer - address < 8192 && depth > ((size_t)7 << 20) && depth < ((size_t)9 << 20))
		_exit(3);
}

static void recurse(uint64_t unused)
{
	(void)unused;
	stack_top = __builtin_frame_address(0);
	act_catch(on_overflow, (int)SA_RESETHAND);
	data[1] = (char)descend(1);
}

static void recurse_without_handler_stack(uint64_t unused)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	(void)unused;
	sigaltstack(&none, NULL);
	data[1] = (char)descend(1);
}

/* --- instructions --- */

/* Up to seven bytes of code, the first lowest; the top byte says how many. */
#define CODE(count, bytes) (UINT64_C(count) << 56 | UINT64_C(bytes))

static void execute(uint64_t packed)
{
	act_code(&packed, packed >> 56)();
}

/* Each with registers that would do harm if it were let through. */
static void execute_armed(uint64_t packed)
{
	void (*code)(void) = act_code(&packed, packed >> 56);
	uint64_t zero = 0;

	__asm__ volatile("xorl %%eax, %%eax\n\txorl %%edx, %%edx\n\tmovl $0xc0000082, %%ecx\n\tcall *%1"
			 : "+r"(zero) : "r"(code) : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
			   "r11", "memory", "cc");
}

static sigjmp_buf back;
static volatile int caught, caught_code;
static void *volatile caught_address;

static void on_interrupt(int number, siginfo_t *info, void *context)
{
	(void)context;
	caught = number;
	caught_code = info->si_code;
	caught_address = info->si_addr;
	siglongjmp(back, 1);
}

/* 3 is the breakpoint, 4 the overflow; Linux may have 32-bit system calls at 0x80. */
static bool interrupt_is_right(int number)
{
	int wanted = number == 3 ? SIGTRAP : SIGSEGV;

	return number == 0x80 || (caught == wanted && caught_code == SI_KERNEL && caught_address == NULL);
}

static void all_interrupts(uint64_t unused)
{
	(void)unused;
	act_catch(on_interrupt, 0);
	for (volatile int number = 0; number < 256; number++) {
		unsigned char code[2] = { 0xcd, (unsigned char)number };
		void (*function)(void) = act_code(code, sizeof code);

		caught = 0;
		if (sigsetjmp(back, 1) == 0)
			function();
		if (!interrupt_is_right(number))
			_exit(number == 0 ? 97 : number);
		munmap((void *)(uintptr_t)function, PAGE);
	}
}

/* --- selectors --- */

static void load_ds(uint64_t selector) { __asm__ volatile("mov %0, %%ds" : : "r"((uint32_t)selector)); }
static void load_es(uint64_t selector) { __asm__ volatile("mov %0, %%es" : : "r"((uint32_t)selector)); }
static void load_gs(uint64_t selector) { __asm__ volatile("mov %0, %%gs" : : "r"((uint32_t)selector)); }
static void load_ss(uint64_t selector) { __asm__ volatile("mov %0, %%ss" : : "r"((uint32_t)selector)); }

/* The C library's thread storage hangs on fs: its base is put back after. */
static void load_fs(uint64_t selector)
{
	uint64_t base = 0;

	syscall(SYS_arch_prctl, 0x1003, &base);
	__asm__ volatile("mov %0, %%fs" : : "r"((uint32_t)selector));
	__asm__ volatile("syscall" : : "a"(SYS_arch_prctl), "D"(0x1002), "S"(base) : "rcx", "r11", "memory");
}

/* What was loaded is there again when others have run, and is nobody else's. */
static void selectors_stay(uint64_t unused)
{
	uint32_t ds = 0x2b, es = 0x33, gs = 0x2b, found_ds, found_es, found_gs, other = 0;
	int status;
	pid_t child;

	(void)unused;
	__asm__ volatile("mov %0, %%ds\n\tmov %1, %%es\n\tmov %2, %%gs" : : "r"(ds), "r"(es), "r"(gs));
	child = fork();
	if (child == 0) {
		__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%gs" : : "r"(other));
		for (int i = 0; i < 20; i++)
			syscall(SYS_sched_yield);
		_exit(0);
	}
	for (int i = 0; i < 20; i++)
		syscall(SYS_sched_yield);
	waitpid(child, &status, 0);
	usleep(30000);
	__asm__ volatile("mov %%ds, %0\n\tmov %%es, %1\n\tmov %%gs, %2"
			 : "=r"(found_ds), "=r"(found_es), "=r"(found_gs));
	if (found_ds != ds || found_es != es || found_gs != gs)
		_exit(96);
}

/* Far return and interrupt return to a code selector. */
static void far_return(uint64_t selector)
{
	__asm__ volatile("pushq %0\n\tleaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tlretq\n1:" : : "r"(selector)
			 : "rax", "memory");
}

static void interrupt_return(uint64_t selectors)
{
	__asm__ volatile("movq %%rsp, %%rcx\n\tpushq %0\n\tpushq %%rcx\n\tpushfq\n\tpushq %1\n\t"
			 "leaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tiretq\n1:"
			 : : "r"(selectors >> 16), "r"(selectors & 0xffff) : "rax", "rcx", "memory");
}

/* --- flags --- */

#define FLAG_TRAP UINT64_C(0x100)
#define FLAG_DIRECTION UINT64_C(0x400)
#define FLAG_NESTED UINT64_C(0x4000)
#define FLAG_ALIGNMENT UINT64_C(0x40000)
#define FLAG_PRIVILEGE UINT64_C(0x3000)
#define FLAG_INTERRUPT UINT64_C(0x200)

static uint64_t read_flags(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
	return flags;
}

/* Sets flags, makes a system call, reads them, and puts things right. => the flags after the call. */
static uint64_t flags_across(uint64_t set, uint64_t clear, long call)
{
	uint64_t wanted = (read_flags() | set) & ~clear, found;

	__asm__ volatile("subq $128, %%rsp\n\tpushq %1\n\tpopfq\n\tsyscall\n\tpushfq\n\tpopq %0\n\tpushq $0x202\n\t"
			 "popfq\n\taddq $128, %%rsp"
			 : "=&r"(found) : "r"(wanted), "a"(call) : "rcx", "r11", "memory", "cc");
	return found;
}

static void keep_flag(uint64_t flag)
{
	for (int i = 0; i < 100; i++)
		if ((flags_across(flag, 0, i % 2 ? SYS_sched_yield : SYS_getppid) & flag) != flag)
			_exit(95);
}

/* What popf sets without a right to do so is as before. */
static void raise_privilege(uint64_t unused)
{
	uint64_t found = flags_across(FLAG_PRIVILEGE, FLAG_INTERRUPT, SYS_getppid);

	(void)unused;
	if ((found & FLAG_PRIVILEGE) != 0 || (found & FLAG_INTERRUPT) == 0)
		_exit(94);
}

static void nested_return(uint64_t unused)
{
	(void)unused;
	(void)flags_across(FLAG_NESTED, 0, SYS_sched_yield);
	__asm__ volatile("pushfq\n\torq $0x4000, (%%rsp)\n\tpopfq" : : : "memory", "cc");
	interrupt_return(UINT64_C(0x2b0033));
}

static volatile int steps;

static void on_step(int number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;

	(void)number;
	if (info->si_code != TRAP_TRACE ||
	    (uint64_t)(uintptr_t)info->si_addr != (uint64_t)interrupted->uc_mcontext.gregs[REG_RIP])
		_exit(93);
	if (++steps == 20)
		interrupted->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)FLAG_TRAP;
}

/* Steps over system calls and through a page fault; ends when the handler says so. */
static void step(uint64_t unused)
{
	volatile char *memory;
	char *pages = NULL;

	(void)unused;
	if (private_pages(1, &pages) != LH_OK)
		return;
	memory = pages;
	act_catch(on_step, 0);
	__asm__ volatile("subq $128, %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tnop\n\tmovb $1, (%0)\n\t"
			 "movl $39, %%eax\n\tsyscall\n\tmovl $24, %%eax\n\tsyscall\n\t"
			 "movl $30, %%ecx\n1:\tdecl %%ecx\n\tjnz 1b\n\taddq $128, %%rsp"
			 : : "r"(memory) : "rax", "rcx", "r11", "memory", "cc");
	if (steps != 20)
		_exit(92);
}

static void step_unhandled(uint64_t unused)
{
	(void)unused;
	signal(SIGTRAP, SIG_DFL);
	__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tnop\n\tnop" : : : "memory", "cc");
}

/* --- numbers --- */

static void divide_by_zero(uint64_t unused)
{
	(void)unused;
	__asm__ volatile("xorl %%edx, %%edx\n\tmovl $1, %%eax\n\txorl %%ecx, %%ecx\n\tdivl %%ecx" : : : "eax", "ecx", "edx");
}

/* MXCSR or the x87 control word with one exception unmasked, then that exception. */
static void divide_vector(uint64_t unused)
{
	uint32_t control = 0x1f80 & ~0x200u;

	(void)unused;
	__asm__ volatile("ldmxcsr %0\n\tmovl $1, %%eax\n\tcvtsi2sd %%eax, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\tdivsd %%xmm1, %%xmm0"
			 : : "m"(control) : "eax", "xmm0", "xmm1");
}

static void divide_x87(uint64_t unused)
{
	uint16_t control = 0x037f & (uint16_t)~4u;

	(void)unused;
	__asm__ volatile("fldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait" : : "m"(control));
}

static void reserved_mxcsr(uint64_t unused)
{
	uint32_t control = UINT32_MAX;

	(void)unused;
	__asm__ volatile("ldmxcsr %0" : : "m"(control));
}

static void unaligned_vector(uint64_t unused)
{
	(void)unused;
	__asm__ volatile("movaps 1(%%rsp), %%xmm0" : : : "xmm0");
}

/* --- calls --- */

static void set_base(uint64_t base)
{
	if (syscall(SYS_arch_prctl, 0x1002, base) != -1 || errno != EPERM ||
	    syscall(SYS_arch_prctl, 0x1001, base) != -1 || errno != EPERM)
		_exit(91);
}

static void call_is_missing(uint64_t number)
{
	if (syscall((long)number, 0, 0, 0, 0, 0, 0) != -1 || errno != ENOSYS)
		_exit(90);
}

/* The file of a program that runs is cut off by nobody, also not by who opens it only to read. */
static void cut_own_program(uint64_t unused)
{
	(void)unused;
	if (open("/proc/self/exe", O_RDONLY | O_TRUNC) != -1 || errno != ETXTBSY ||
	    truncate("/proc/self/exe", 0) == 0 || errno != ETXTBSY)
		_exit(89);
}

#define SEGV_MAPPED "signal 11 code 1 at the address"
#define SEGV_ACCESS "signal 11 code 2 at the address"
#define GENERAL "signal 11 code 128 at 0"
#define UNDEFINED "signal 4 code 2 at the instruction"

static const struct act acts[] = {
	{ "a jump to data", jump_to_data, 0, SEGV_ACCESS, ANYWHERE },
	{ "a jump to constants", jump_to_constant, 0, SEGV_ACCESS, ANYWHERE },
	{ "a jump to the stack", jump_to_stack, 0, SEGV_ACCESS, ANYWHERE },
	{ "a jump to null", jump, 0, "signal 11 code 1 at 0", ANYWHERE },
	{ "a jump to the direct map", jump, DIRECT_MAP, SEGV_MAPPED, ANYWHERE },
	{ "a jump to the kernel's image", jump, KERNEL_IMAGE, SEGV_MAPPED, ANYWHERE },
	{ "a jump to the last byte", jump, UINT64_MAX, SEGV_MAPPED, ANYWHERE },
	{ "a jump to no address", jump, NOT_CANONICAL, GENERAL, ANYWHERE },
	{ "a jump to the lowest of the upper half", jump, UINT64_C(0xffff800000000000), SEGV_MAPPED, ANYWHERE },
	{ "a jump beyond user memory", jump, BEYOND_USER, SEGV_MAPPED, ANYWHERE },
	{ "a jump to the last canonical byte", jump, LAST_CANONICAL, SEGV_MAPPED, ANYWHERE },
	{ "a vsyscall", jump, VSYSCALL, SEGV_MAPPED, ONLY_HERE }, /* as with vsyscall=none */
	{ "a second vsyscall", jump, VSYSCALL + 0x400, SEGV_MAPPED, ONLY_HERE },
	{ "a read of a vsyscall", load, VSYSCALL, SEGV_MAPPED, ANYWHERE },
	{ "a read near 0", load, 8, SEGV_MAPPED, ANYWHERE },
	{ "a read of the direct map", load, DIRECT_MAP, SEGV_MAPPED, ANYWHERE },
	{ "a write to the direct map", store, DIRECT_MAP, SEGV_MAPPED, ANYWHERE },
	{ "a read of the kernel's image", load, KERNEL_IMAGE, SEGV_MAPPED, ANYWHERE },
	{ "a write to the kernel's image", store, KERNEL_IMAGE, SEGV_MAPPED, ANYWHERE },
	{ "a read of no address", load, NOT_CANONICAL, GENERAL, ANYWHERE },
	{ "a write to no address", store, UINT64_C(1) << 63, GENERAL, ANYWHERE },
	{ "a write to text", write_text, 0, SEGV_ACCESS, ANYWHERE },
	{ "a read without access", touch_protected, PROT_NONE, SEGV_ACCESS, ANYWHERE },
	{ "a write without access", touch_protected, 8 | PROT_NONE, SEGV_ACCESS, ANYWHERE },
	{ "a write to read-only memory", touch_protected, 8 | PROT_READ, SEGV_ACCESS, ANYWHERE },
	{ "a write to executable memory", touch_protected, 8 | PROT_READ | PROT_EXEC, SEGV_ACCESS, ANYWHERE },
	{ "a read of write-only memory", touch_protected, PROT_WRITE, "goes on", ANYWHERE },
	{ "a write to what was unmapped", touch_unmapped, 0, SEGV_MAPPED, ANYWHERE },
	{ "a word across an edge", cross_edge, 0, SEGV_MAPPED, ANYWHERE },
	{ "past the end of a file", past_end, 0, "signal 7 code 2 at the address", ANYWHERE },
	{ "past the new end of a file", past_end, 1, "signal 7 code 2 at the address", ANYWHERE },
	{ "recursion without end", recurse, 0, "exit 3", ANYWHERE },
	{ "recursion without end, and nowhere to tell it", recurse_without_handler_stack, 0, "killed by signal 11", ANYWHERE },
	{ "hlt", execute, CODE(1, 0xf4), GENERAL, ANYWHERE },
	{ "cli", execute, CODE(1, 0xfa), GENERAL, ANYWHERE },
	{ "sti", execute, CODE(1, 0xfb), GENERAL, ANYWHERE },
	{ "clts", execute, CODE(2, 0x060f), GENERAL, ANYWHERE },
	{ "invd", execute, CODE(2, 0x080f), GENERAL, ANYWHERE },
	{ "wbinvd", execute, CODE(2, 0x090f), GENERAL, ANYWHERE },
	{ "rdmsr", execute_armed, CODE(2, 0x320f), GENERAL, ANYWHERE },
	{ "wrmsr", execute_armed, CODE(2, 0x300f), GENERAL, ANYWHERE },
	{ "rdpmc", execute_armed, CODE(2, 0x330f), GENERAL, ONLY_HERE },
	{ "sysret", execute_armed, CODE(3, 0x070f48), GENERAL, ANYWHERE },
	{ "sysexit", execute_armed, CODE(3, 0x350f48), UNDEFINED, ONLY_HERE }, /* as on AMD's in long mode */
	{ "sysenter", execute_armed, CODE(2, 0x340f), UNDEFINED, ONLY_HERE }, /* likewise */
	{ "swapgs", execute, CODE(3, 0xf8010f), GENERAL, ANYWHERE },
	{ "a read of cr0", execute, CODE(3, 0xc0200f), GENERAL, ANYWHERE },
	{ "a read of cr3", execute, CODE(3, 0xd8200f), GENERAL, ANYWHERE },
	{ "a write of cr3", execute, CODE(3, 0xd8220f), GENERAL, ANYWHERE },
	{ "a write of cr4", execute, CODE(3, 0xe0220f), GENERAL, ANYWHERE },
	{ "a read of dr7", execute, CODE(3, 0xf8210f), GENERAL, ANYWHERE },
	{ "a write of dr7", execute, CODE(3, 0xf8230f), GENERAL, ANYWHERE },
	{ "lgdt", execute, CODE(4, 0x2414010f), GENERAL, ANYWHERE },
	{ "lidt", execute, CODE(4, 0x241c010f), GENERAL, ANYWHERE },
	{ "lldt", execute_armed, CODE(3, 0xd0000f), GENERAL, ANYWHERE },
	{ "ltr", execute_armed, CODE(3, 0xd8000f), GENERAL, ANYWHERE },
	{ "lmsw", execute_armed, CODE(3, 0xf0010f), GENERAL, ANYWHERE },
	{ "invlpg", execute, CODE(3, 0x38010f), GENERAL, ANYWHERE },
	{ "monitor", execute_armed, CODE(3, 0xc8010f), UNDEFINED, ONLY_HERE },
	{ "stac", execute, CODE(3, 0xcb010f), UNDEFINED, ONLY_HERE },
	{ "clac", execute, CODE(3, 0xca010f), UNDEFINED, ONLY_HERE },
	{ "vmcall", execute_armed, CODE(3, 0xc1010f), UNDEFINED, ONLY_HERE },
	{ "vmlaunch", execute_armed, CODE(3, 0xc2010f), UNDEFINED, ONLY_HERE },
	{ "rsm", execute, CODE(2, 0xaa0f), UNDEFINED, ANYWHERE },
	{ "wrfsbase", execute_armed, CODE(5, 0xd0ae0f48f3), UNDEFINED, ONLY_HERE }, /* no FSGSBASE here */
	{ "ud2", execute, CODE(2, 0x0b0f), UNDEFINED, ANYWHERE },
	{ "what is 32-bit code", execute, CODE(1, 0x06), UNDEFINED, ANYWHERE },
	{ "in al, dx", execute_armed, CODE(1, 0xec), GENERAL, ANYWHERE },
	{ "in eax, 0x80", execute, CODE(2, 0x80e5), GENERAL, ANYWHERE },
	{ "out 0x64, al", execute, CODE(2, 0x64e6), GENERAL, ANYWHERE },
	{ "out dx, eax", execute_armed, CODE(1, 0xef), GENERAL, ANYWHERE },
	{ "rep insb", execute_armed, CODE(2, 0x6cf3), GENERAL, ANYWHERE },
	{ "all interrupts by number", all_interrupts, 0, "goes on", ANYWHERE },
	{ "ds of none", load_ds, 0, "goes on", ANYWHERE },
	{ "ds of user data", load_ds, 0x2b, "goes on", ANYWHERE },
	{ "ds of user code", load_ds, 0x33, "goes on", ANYWHERE },
	{ "ds of the kernel", load_ds, 0x18, GENERAL, ANYWHERE },
	{ "ds of the kernel's code", load_ds, 0x10, GENERAL, ANYWHERE },
	{ "ds of the task state", load_ds, 0x40, GENERAL, ANYWHERE },
	{ "ds beyond the table", load_ds, 0xfff8, GENERAL, ANYWHERE },
	{ "ds of a local table", load_ds, 7, GENERAL, ANYWHERE },
	{ "es of the kernel", load_es, 0x18, GENERAL, ANYWHERE },
	{ "es of user data", load_es, 0x2b, "goes on", ANYWHERE },
	{ "fs of user data", load_fs, 0x2b, "goes on", ANYWHERE },
	{ "fs of the kernel", load_fs, 0x18, GENERAL, ANYWHERE },
	{ "gs of none", load_gs, 3, "goes on", ANYWHERE },
	{ "gs of user data", load_gs, 0x2b, "goes on", ANYWHERE },
	{ "gs of a local table", load_gs, 0xfffc, GENERAL, ANYWHERE },
	{ "ss of user data", load_ss, 0x2b, "goes on", ANYWHERE },
	{ "ss of none", load_ss, 0, GENERAL, ANYWHERE },
	{ "ss of the kernel", load_ss, 0x18, GENERAL, ANYWHERE },
	{ "ss of user code", load_ss, 0x33, GENERAL, ANYWHERE },
	{ "selectors across other processes", selectors_stay, 0, "goes on", ANYWHERE },
	{ "a far return to user code", far_return, 0x33, "goes on", WITHOUT_SMAP },
	{ "a far return to the kernel", far_return, 0x10, GENERAL, ANYWHERE },
	{ "a far return to the task state", far_return, 0x40, GENERAL, ANYWHERE },
	{ "a far return to nothing", far_return, 0, GENERAL, ANYWHERE },
	{ "a far return to 32-bit code", far_return, 0x23, GENERAL, ONLY_HERE }, /* there is none here */
	{ "an interrupt return to user code", interrupt_return, 0x2b0033, "goes on", WITHOUT_SMAP },
	{ "an interrupt return to the kernel", interrupt_return, 0x180010, GENERAL, ANYWHERE },
	{ "an interrupt return to the kernel's stack", interrupt_return, 0x180033, GENERAL, ANYWHERE },
	{ "the direction flag across calls", keep_flag, FLAG_DIRECTION, "goes on", ANYWHERE },
	{ "the nested-task flag across calls", keep_flag, FLAG_NESTED, "goes on", ANYWHERE },
	{ "the alignment flag across calls", keep_flag, FLAG_ALIGNMENT, "goes on", ANYWHERE },
	{ "all of them", keep_flag, FLAG_DIRECTION | FLAG_NESTED | FLAG_ALIGNMENT | 0x8d5, "goes on", ANYWHERE },
	{ "I/O privilege by popf", raise_privilege, 0, "goes on", ANYWHERE },
	{ "a return from a nested task", nested_return, 0, GENERAL, ANYWHERE },
	{ "single steps", step, 0, "goes on", ANYWHERE },
	{ "a single step that nobody handles", step_unhandled, 0, "killed by signal 5", ANYWHERE },
	{ "a division by zero", divide_by_zero, 0, "signal 8 code 1 at the instruction", ANYWHERE },
	{ "a vector division by zero", divide_vector, 0, "signal 8 code 3 at the instruction", NOT_EMULATED },
	{ "an x87 division by zero", divide_x87, 0, "signal 8 code 3 at the instruction", ANYWHERE },
	{ "reserved bits of MXCSR", reserved_mxcsr, 0, GENERAL, NOT_EMULATED },
	{ "a vector that is not aligned", unaligned_vector, 0, GENERAL, ANYWHERE },
	{ "a base that is no address", set_base, NOT_CANONICAL, "goes on", ANYWHERE },
	{ "a base in the kernel", set_base, DIRECT_MAP, "goes on", ANYWHERE },
	{ "a base beyond user memory", set_base, BEYOND_USER, "goes on", ANYWHERE },
	{ "cutting off one's own program", cut_own_program, 0, "goes on", ANYWHERE },
	{ "ptrace", call_is_missing, SYS_ptrace, "goes on", ONLY_HERE },
	{ "modify_ldt", call_is_missing, SYS_modify_ldt, "goes on", ONLY_HERE },
	{ "iopl", call_is_missing, SYS_iopl, "goes on", ONLY_HERE },
	{ "ioperm", call_is_missing, SYS_ioperm, "goes on", ONLY_HERE },
	{ "a call of no number", call_is_missing, UINT64_MAX, "goes on", ANYWHERE },
	{ "a call of a huge number", call_is_missing, UINT64_MAX >> 1, "goes on", ANYWHERE },
	{ "a call of a 32-bit kind", call_is_missing, 0x40000000 + 512 + 100, "goes on", ANYWHERE },
};

int main(int argc, char **argv)
{
	return act_main(argc, argv, acts, sizeof acts / sizeof *acts);
}
