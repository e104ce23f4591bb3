/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stack pointers that lead anywhere, at system calls, faults and signals; handlers that lie where none
 * can run; frames that a handler has changed before it returns. See acts.h.
 *
 * usage: frames [linux | NAME-PART]
 */
#include <setjmp.h>
#include <sys/syscall.h>

#include "acts.h"

#define DIRECT_MAP UINT64_C(0xffff800000100000)
#define NOT_CANONICAL UINT64_C(0x800000000000)
#define UNMAPPED UINT64_C(0x10000)

static char data[4096] __attribute__((aligned(4096))) = { (char)0xc3 };

/* --- stack pointers --- */

#define SPECIAL_TEXT 1u
#define SPECIAL_READ_ONLY 2u
#define SPECIAL_UNALIGNED 3u

static uint64_t stack_pointer_of(uint64_t which)
{
	char *memory = NULL;

	switch (which) {
	case SPECIAL_TEXT:
		return (uint64_t)(uintptr_t)stack_pointer_of;
	case SPECIAL_READ_ONLY:
		if (map_pages(1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, &memory) != LH_OK)
			_exit(99);
		return (uint64_t)(uintptr_t)memory + 2048;
	case SPECIAL_UNALIGNED:
		return (uint64_t)(uintptr_t)__builtin_frame_address(0) - 2003;
	default:
		return which;
	}
}

/* With another stack pointer from here to there. rbx holds the old one, r12 the other. */
#define WITH_STACK(pointer, code)                                                                   \
	__asm__ volatile("movq %%rsp, %%rbx\n\tmovq %0, %%rsp\n\t" code "\n\tmovq %%rbx, %%rsp"       \
			 : : "r"(pointer)                                                              \
			 : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r11", "memory")

static void call_on(uint64_t which)
{
	uint64_t pointer = stack_pointer_of(which);

	for (int i = 0; i < 50; i++) {
		WITH_STACK(pointer, "movl $39, %%eax\n\tsyscall"); /* getpid */
		WITH_STACK(pointer, "movl $24, %%eax\n\tsyscall"); /* sched_yield */
	}
}

/* Interrupts of the clock find it, too. */
static void spin_on(uint64_t which)
{
	uint64_t pointer = stack_pointer_of(which);

	WITH_STACK(pointer, "movl $30000000, %%ecx\n1:\tdecl %%ecx\n\tjnz 1b");
}

static void push_on(uint64_t which)
{
	uint64_t pointer = stack_pointer_of(which);

	act_expect(pointer - 8);
	WITH_STACK(pointer, "pushq $0");
}

static void fault_on(uint64_t which)
{
	uint64_t pointer = stack_pointer_of(which);

	act_expect(8);
	WITH_STACK(pointer, "movl $8, %%eax\n\tmovb (%%rax), %%al");
}

static void fault_on_without_handler_stack(uint64_t which)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	sigaltstack(&none, NULL);
	fault_on(which);
}

static void on_nothing(int number)
{
	(void)number;
}

static void handle_user_signal(void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_flags = flags };

	action.sa_handler = handler;
	sigaction(SIGUSR1, &action, NULL);
}

/* A signal whose handler has no stack: told of as a segment violation, whose handler has one. */
static void signal_on(uint64_t which)
{
	uint64_t pointer = stack_pointer_of(which), pid = (uint64_t)getpid();

	handle_user_signal(on_nothing, 0);
	__asm__ volatile("movq %%rsp, %%rbx\n\tmovq %0, %%rsp\n\tmovl $62, %%eax\n\tsyscall\n\tmovq %%rbx, %%rsp"
			 : : "r"(pointer), "D"(pid), "S"(SIGUSR1)
			 : "rax", "rbx", "rcx", "r11", "memory");
}

static void signal_on_without_other(uint64_t which)
{
	signal(SIGSEGV, SIG_DFL);
	signal_on(which);
}

static void alternate_stack_at(uint64_t address)
{
	stack_t stack = { .ss_sp = (void *)(uintptr_t)address, .ss_size = ACT_STACK_BYTES };

	if (sigaltstack(&stack, NULL) != 0)
		_exit(98);
	fault_on(SPECIAL_UNALIGNED);
}

static void alternate_stack_read_only(uint64_t unused)
{
	char *memory = NULL;

	(void)unused;
	if (map_pages(ACT_STACK_BYTES / PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, &memory) == LH_OK)
		alternate_stack_at((uint64_t)(uintptr_t)memory);
}

/* --- handlers --- */

static void handler_at(uint64_t address)
{
	act_expect(address);
	handle_user_signal((void (*)(int))(uintptr_t)address, 0);
	raise(SIGUSR1);
}

static void handler_in_data(uint64_t unused)
{
	(void)unused;
	handler_at((uint64_t)(uintptr_t)data);
}

static void violation_handler_at(uint64_t address)
{
	signal(SIGSEGV, (void (*)(int))(uintptr_t)address);
	fault_on(SPECIAL_UNALIGNED);
}

/* The system call itself: no restorer, so that no handler could return. */
static void handler_without_restorer(uint64_t unused)
{
	struct { void (*handler)(int); uint64_t flags; void (*restorer)(void); uint64_t mask; } action = {
		.handler = on_nothing
	};

	(void)unused;
	syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8);
	raise(SIGUSR1);
}

static volatile int depth;

static void fault_again(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	depth++;
	__asm__ volatile("movl $8, %%eax\n\tmovb (%%rax), %%al" : : : "rax");
}

static void fault_in_handler(uint64_t flags)
{
	act_catch(fault_again, (int)flags);
	fault_on(SPECIAL_UNALIGNED);
}

/* A handler that is told on the same stack that was interrupted, on another, and once more. */
static void tell_twice(int number, siginfo_t *info, void *context)
{
	if (++depth == 3)
		act_tell(number, info, context);
	fault_on(SPECIAL_UNALIGNED);
}

static void fault_three_deep(uint64_t unused)
{
	(void)unused;
	act_catch(tell_twice, SA_NODEFER);
	fault_on(SPECIAL_UNALIGNED);
}

static sigjmp_buf back;

static void jump_back(int number, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	siglongjmp(back, number);
}

static void jump_out_often(uint64_t unused)
{
	(void)unused;
	act_catch(jump_back, 0);
	for (volatile int i = 0; i < 2000; i++)
		if (sigsetjmp(back, 1) == 0) {
			fault_on(i % 2 ? SPECIAL_TEXT : SPECIAL_UNALIGNED);
			_exit(97);
		}
}

static void fault_while_blocked(uint64_t unused)
{
	sigset_t set;

	(void)unused;
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	fault_on(SPECIAL_UNALIGNED);
}

static void fault_while_ignored(uint64_t unused)
{
	(void)unused;
	signal(SIGSEGV, SIG_IGN);
	fault_on(SPECIAL_UNALIGNED);
}

static void handle_what_cannot_be(uint64_t number)
{
	struct sigaction action = { .sa_flags = 0 };

	action.sa_handler = on_nothing;
	if (sigaction((int)number, &action, NULL) == 0)
		_exit(96);
	kill(getpid(), (int)number);
}

/* --- frames that were changed --- */

static uint64_t change, change_to;

enum field { RIP, RSP, FLAGS, CS, SS, FS_GS, FPU, MXCSR, FPU_REST, MASK, ALTERNATE, REST };

static void change_selector(mcontext_t *registers, unsigned shift)
{
	uint64_t *selectors = (uint64_t *)&registers->gregs[REG_CSGSFS];

	*selectors = (*selectors & ~(UINT64_C(0xffff) << shift)) | change_to << shift;
}

static void change_frame(int number, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	mcontext_t *registers = &frame->uc_mcontext;

	(void)number;
	(void)info;
	switch ((enum field)change) {
	case RIP:
		registers->gregs[REG_RIP] = (greg_t)change_to;
		break;
	case RSP:
		registers->gregs[REG_RSP] = (greg_t)change_to;
		break;
	case FLAGS:
		registers->gregs[REG_EFL] = (greg_t)change_to;
		break;
	case CS:
		change_selector(registers, 0);
		break;
	case SS:
		change_selector(registers, 48);
		break;
	case FS_GS:
		change_selector(registers, 16);
		change_selector(registers, 32);
		break;
	case FPU:
		registers->fpregs = (void *)(uintptr_t)change_to;
		break;
	case MXCSR:
		registers->fpregs->mxcsr = (uint32_t)change_to;
		break;
	case FPU_REST:
		memset(registers->fpregs->_xmm, 0xa5, sizeof registers->fpregs->_xmm);
		registers->fpregs->cwd = registers->fpregs->swd = registers->fpregs->ftw = UINT16_MAX;
		break;
	case MASK:
		memset(&frame->uc_sigmask, 0xff, 8);
		break;
	case ALTERNATE:
		frame->uc_stack = (stack_t){ (void *)(uintptr_t)change_to, (int)change_to, SIZE_MAX };
		break;
	case REST:
		frame->uc_link = (void *)(uintptr_t)change_to;
		registers->gregs[REG_ERR] = registers->gregs[REG_TRAPNO] = (greg_t)change_to;
		registers->gregs[REG_CR2] = registers->gregs[REG_OLDMASK] = (greg_t)change_to;
		break;
	}
}

static void catch_user_signal(void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_flags = SA_SIGINFO };

	action.sa_sigaction = handler;
	sigaction(SIGUSR1, &action, NULL);
}

/* The signal comes with the system call; the stack pointer is put right after it. */
static void return_with_changes(void)
{
	uint64_t pid = (uint64_t)getpid();

	catch_user_signal(change_frame);
	__asm__ volatile("subq $128, %%rsp\n\tmovq %%rsp, %%rbx\n\tmovl $62, %%eax\n\tsyscall\n\tmovq %%rbx, %%rsp\n\t"
			 "pushq $0x202\n\tpopfq\n\taddq $128, %%rsp"
			 : : "D"(pid), "S"(SIGUSR1)
			 : "rax", "rbx", "rcx", "r11", "memory", "cc");
}

#define CHANGE(name, field)                                                                       \
	static void change_##name(uint64_t to)                                                        \
	{                                                                                             \
		change = field;                                                                           \
		change_to = to;                                                                           \
		act_expect(to);                                                                           \
		return_with_changes();                                                                    \
	}
CHANGE(rip, RIP)
CHANGE(rsp, RSP)
CHANGE(flags, FLAGS)
CHANGE(cs, CS)
CHANGE(ss, SS)
CHANGE(fs_gs, FS_GS)
CHANGE(fpu, FPU)
CHANGE(mxcsr, MXCSR)
CHANGE(fpu_rest, FPU_REST)
CHANGE(alternate, ALTERNATE)
CHANGE(rest, REST)

static void change_rip_to_data(uint64_t unused)
{
	(void)unused;
	change_rip((uint64_t)(uintptr_t)data);
}

static void change_mask(uint64_t number)
{
	change = MASK;
	return_with_changes();
	kill(getpid(), (int)number);
}

/* A return that no handler was called for. */
static void return_from_nothing(uint64_t which)
{
	uint64_t pointer = stack_pointer_of(which);

	WITH_STACK(pointer, "movl $15, %%eax\n\tsyscall");
}

/* The kernel's own eyes on what it may not touch: registers of all kinds, bytes at random. */
static uint64_t seed;

static uint64_t random_bits(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void scatter(int number, siginfo_t *info, void *context)
{
	unsigned char *bytes = context;

	(void)number;
	(void)info;
	for (uint64_t left = 1 + random_bits() % 8; left > 0; left--)
		bytes[random_bits() % sizeof(mcontext_t)] = (unsigned char)random_bits();
}

static void return_at_random(uint64_t rounds)
{
	for (uint64_t round = 1; round <= rounds; round++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			seed = round * UINT64_C(0x9e3779b97f4a7c15);
			alarm(1);
			catch_user_signal(scatter);
			raise(SIGUSR1);
			_exit(0);
		}
		if (child == -1 || waitpid(child, &status, 0) != child)
			_exit(95);
	}
}

#define GENERAL "signal 11 code 128 at 0"
#define STACK "signal 7 code 128 at 0"
#define MAPPED "signal 11 code 1 at the address"
#define ACCESS "signal 11 code 2 at the address"
#define KILLED "killed by signal 11"

static const struct act acts[] = {
	{ "calls with a stack at 0", call_on, 0, "goes on", ANYWHERE },
	{ "calls with a stack at no address", call_on, NOT_CANONICAL, "goes on", ANYWHERE },
	{ "calls with a stack in the kernel", call_on, DIRECT_MAP, "goes on", ANYWHERE },
	{ "calls with a stack at the top", call_on, UINT64_MAX, "goes on", ANYWHERE },
	{ "calls with a stack unmapped", call_on, UNMAPPED, "goes on", ANYWHERE },
	{ "calls with a stack in text", call_on, SPECIAL_TEXT, "goes on", ANYWHERE },
	{ "calls with a stack unaligned", call_on, SPECIAL_UNALIGNED, "goes on", ANYWHERE },
	{ "interrupts with a stack at no address", spin_on, NOT_CANONICAL, "goes on", ANYWHERE },
	{ "interrupts with a stack in the kernel", spin_on, DIRECT_MAP, "goes on", ANYWHERE },
	{ "a push at 16", push_on, 16, MAPPED, ANYWHERE },
	{ "a push at no address", push_on, NOT_CANONICAL + 64, STACK, NOT_EMULATED },
	{ "a push into the kernel", push_on, DIRECT_MAP, MAPPED, ANYWHERE },
	{ "a push into text", push_on, SPECIAL_TEXT, ACCESS, ANYWHERE },
	{ "a push where only reads are", push_on, SPECIAL_READ_ONLY, ACCESS, ANYWHERE },
	{ "a fault with a stack at 0", fault_on, 0, MAPPED, ANYWHERE },
	{ "a fault with a stack at no address", fault_on, NOT_CANONICAL, MAPPED, ANYWHERE },
	{ "a fault with a stack in the kernel", fault_on, DIRECT_MAP, MAPPED, ANYWHERE },
	{ "a fault with a stack in text", fault_on, SPECIAL_TEXT, MAPPED, ANYWHERE },
	{ "a fault with a stack unaligned", fault_on, SPECIAL_UNALIGNED, MAPPED, ANYWHERE },
	{ "a fault with no stack at all", fault_on_without_handler_stack, 0, KILLED, ANYWHERE },
	{ "a fault with none but the kernel's", fault_on_without_handler_stack, DIRECT_MAP, KILLED, ANYWHERE },
	{ "a fault with none but text", fault_on_without_handler_stack, SPECIAL_TEXT, KILLED, ANYWHERE },
	{ "a signal with a stack at 0", signal_on, 0, GENERAL, ANYWHERE },
	{ "a signal with a stack at no address", signal_on, NOT_CANONICAL, GENERAL, ANYWHERE },
	{ "a signal with a stack in the kernel", signal_on, DIRECT_MAP, GENERAL, ANYWHERE },
	{ "a signal with a stack in text", signal_on, SPECIAL_TEXT, GENERAL, ANYWHERE },
	{ "a signal with a stack to read only", signal_on, SPECIAL_READ_ONLY, GENERAL, ANYWHERE },
	{ "a signal with a stack unaligned", signal_on, SPECIAL_UNALIGNED, "goes on", ANYWHERE },
	{ "a signal with no stack and no handler for that", signal_on_without_other, DIRECT_MAP, KILLED, ANYWHERE },
	{ "an alternate stack unmapped", alternate_stack_at, UNMAPPED, KILLED, ANYWHERE },
	{ "an alternate stack in the kernel", alternate_stack_at, DIRECT_MAP, KILLED, ANYWHERE },
	{ "an alternate stack at no address", alternate_stack_at, NOT_CANONICAL, KILLED, ANYWHERE },
	{ "an alternate stack that wraps", alternate_stack_at, UINT64_MAX - 4096, KILLED, ANYWHERE },
	{ "an alternate stack to read only", alternate_stack_read_only, 0, KILLED, ANYWHERE },
	{ "a handler unmapped", handler_at, 8, MAPPED, ANYWHERE },
	{ "a handler in the kernel", handler_at, DIRECT_MAP, MAPPED, ANYWHERE },
	{ "a handler at no address", handler_at, NOT_CANONICAL, GENERAL, ANYWHERE },
	{ "a handler in data", handler_in_data, 0, ACCESS, ANYWHERE },
	{ "a violation's handler unmapped", violation_handler_at, 8, KILLED, ANYWHERE },
	{ "a violation's handler in the kernel", violation_handler_at, DIRECT_MAP, KILLED, ANYWHERE },
	{ "a violation's handler at no address", violation_handler_at, NOT_CANONICAL, KILLED, ANYWHERE },
	{ "a handler without a restorer", handler_without_restorer, 0, GENERAL, ANYWHERE },
	{ "a fault in the handler", fault_in_handler, 0, KILLED, ANYWHERE },
	{ "faults in handlers without end", fault_in_handler, SA_NODEFER, KILLED, ANYWHERE },
	{ "a fault in a handler in a handler", fault_three_deep, 0, MAPPED, ANYWHERE },
	{ "jumps out of handlers", jump_out_often, 0, "goes on", ANYWHERE },
	{ "a fault while all is blocked", fault_while_blocked, 0, KILLED, ANYWHERE },
	{ "a fault while it is ignored", fault_while_ignored, 0, KILLED, ANYWHERE },
	{ "a handler for the kill", handle_what_cannot_be, SIGKILL, "killed by signal 9", ANYWHERE },
	{ "a return to 8", change_rip, 8, MAPPED, ANYWHERE },
	{ "a return into the kernel", change_rip, DIRECT_MAP, MAPPED, ANYWHERE },
	{ "a return to the last byte", change_rip, UINT64_MAX, MAPPED, ANYWHERE },
	{ "a return to no address", change_rip, NOT_CANONICAL, GENERAL, ANYWHERE },
	{ "a return to the other end of none", change_rip, UINT64_C(0xffff7fffffffffff), GENERAL, ANYWHERE },
	{ "a return to data", change_rip_to_data, 0, ACCESS, ANYWHERE },
	{ "a return with a stack at 0", change_rsp, 0, "goes on", ANYWHERE },
	{ "a return with a stack in the kernel", change_rsp, DIRECT_MAP, "goes on", ANYWHERE },
	{ "a return with a stack at no address", change_rsp, NOT_CANONICAL, "goes on", ANYWHERE },
	{ "a return with all flags but the trap", change_flags, ~UINT64_C(0x100), "goes on", ANYWHERE },
	{ "a return with no flags", change_flags, 0, "goes on", ANYWHERE },
	{ "a return with the kernel's code", change_cs, 0x10, GENERAL, ANYWHERE },
	{ "a return with no code", change_cs, 0, GENERAL, ANYWHERE },
	{ "a return with the task state for code", change_cs, 0x40, GENERAL, ANYWHERE },
	{ "a return to 32-bit code", change_cs, 0x23, GENERAL, ONLY_HERE }, /* there is none here */
	{ "a return with the kernel's stack selector", change_ss, 0x18, GENERAL, ANYWHERE },
	{ "a return with code for a stack selector", change_ss, 0x33, GENERAL, ANYWHERE },
	{ "a return with other selectors", change_fs_gs, 0x1234, "goes on", ANYWHERE },
	{ "a return without an FPU", change_fpu, 0, "goes on", ANYWHERE },
	{ "a return with an FPU unmapped", change_fpu, 64, GENERAL, ANYWHERE },
	{ "a return with an FPU in the kernel", change_fpu, DIRECT_MAP, GENERAL, ANYWHERE },
	{ "a return with an FPU at no address", change_fpu, NOT_CANONICAL, GENERAL, ANYWHERE },
	{ "a return with reserved bits of MXCSR", change_mxcsr, UINT32_MAX, GENERAL, ANYWHERE },
	{ "a return with exceptions unmasked", change_mxcsr, 0, "goes on", ANYWHERE },
	{ "a return with other vectors", change_fpu_rest, 0, "goes on", ANYWHERE },
	{ "a return with all blocked, then a kill", change_mask, SIGKILL, "killed by signal 9", ANYWHERE },
	{ "a return with all blocked, then a signal", change_mask, SIGUSR2, "goes on", ANYWHERE },
	{ "a return with an alternate stack in the kernel", change_alternate, DIRECT_MAP, "goes on", ANYWHERE },
	{ "a return with an alternate stack of all flags", change_alternate, UINT64_MAX, "goes on", ANYWHERE },
	{ "a return with the rest changed", change_rest, DIRECT_MAP, "goes on", ANYWHERE },
	{ "a return from nothing", return_from_nothing, 0, GENERAL, ANYWHERE },
	{ "a return from the kernel's memory", return_from_nothing, DIRECT_MAP, GENERAL, ANYWHERE },
	{ "a return from text", return_from_nothing, SPECIAL_TEXT, GENERAL, ONLY_HERE }, /* what bytes lie there */
	{ "two hundred frames with random bytes", return_at_random, 200, "goes on", ANYWHERE },
};

int main(int argc, char **argv)
{
	return act_main(argc, argv, acts, sizeof acts / sizeof *acts);
}
