/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handler frames, as the Linux x86-64 ABI has them. On the user stack, upwards from the
 * handler's first stack pointer:
 *
 *     return address   the action's restorer, which calls rt_sigreturn
 *     ucontext_t       flags, link, alternate stack, registers, mask
 *     siginfo_t        128 bytes
 *     (up to 63 bytes)
 *     FPU state        fxsave image, 64-byte aligned
 *     red zone         128 bytes below the interrupted stack pointer
 *
 * At the handler's entry the stack pointer is 8 below a multiple of 16, as after a call.
 */
#include "lib/string.h"
#include "memory/memory.h"
#include "memory/user.h"
#include "process/process.h"

struct user_context {
	uint64_t flags;
	uint64_t link;
	struct signal_stack stack;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t error_code, trap_number, old_mask, fault_address;
	uint64_t fpu_state; /* its address; 0: none */
	uint64_t reserved[8];
	uint64_t mask;
};

struct user_signal_info {
	int32_t number;
	int32_t error;
	int32_t code;
	int32_t padding;
	union {
		struct { uint32_t pid, user; } sender;
		struct { uint32_t pid, user, status; } child;
		uint64_t address;
		uint8_t bytes[112];
	} more;
};
_Static_assert(sizeof(struct user_signal_info) == 128, "siginfo_t has 128 bytes");

struct user_frame {
	uint64_t restorer;
	struct user_context context;
	struct user_signal_info info;
};

/* AC, OF, DF, TF, SF, ZF, AF, PF, CF, RF: what a handler's return brings back. */
#define FLAGS_RESTORED UINT64_C(0x50dd5)

/* In flags: the stack's selector is there, and is to be brought back. */
#define CONTEXT_HAS_STACK_SELECTOR 2u
#define CONTEXT_STRICT_STACK 4u

#define RED_ZONE 128u
#define FPU_BYTES 512u

/* The fxsave image needs 16-byte alignment in the kernel too. */
struct fpu_image {
	uint8_t bytes[FPU_BYTES] __attribute__((aligned(16)));
};

static bool is_fault(uint32_t number)
{
	return number == SIGNAL_SEGMENT || number == SIGNAL_BUS || number == SIGNAL_ILLEGAL ||
	       number == SIGNAL_FLOATING_POINT || number == SIGNAL_TRAP;
}

static void fill_info(struct user_signal_info *out, uint32_t number, const struct signal_info *info)
{
	out->number = (int32_t)number;
	out->code = info->code;
	if (number == SIGNAL_CHILD) {
		out->more.child.pid = info->pid;
		out->more.child.status = info->status;
	} else if (is_fault(number) && info->code > 0) {
		out->more.address = info->address;
	} else {
		out->more.sender.pid = info->pid;
	}
}

lh_error signal_info_copy_out(uint64_t address, uint32_t number, const struct signal_info *info)
{
	struct user_signal_info out;

	memset(&out, 0, sizeof out);
	fill_info(&out, number, info);
	return user_copy_out(address, &out, sizeof out);
}

static void fill_context(struct user_context *context, const struct trap_frame *frame)
{
	context->r8 = frame->r8;
	context->r9 = frame->r9;
	context->r10 = frame->r10;
	context->r11 = frame->r11;
	context->r12 = frame->r12;
	context->r13 = frame->r13;
	context->r14 = frame->r14;
	context->r15 = frame->r15;
	context->rdi = frame->rdi;
	context->rsi = frame->rsi;
	context->rbp = frame->rbp;
	context->rbx = frame->rbx;
	context->rdx = frame->rdx;
	context->rax = frame->rax;
	context->rcx = frame->rcx;
	context->rsp = frame->rsp;
	context->rip = frame->rip;
	context->rflags = frame->rflags;
	context->cs = (uint16_t)frame->cs;
	context->ss = (uint16_t)frame->ss;
	context->error_code = frame->vector < 32 ? frame->error_code : 0;
	context->trap_number = frame->vector < 32 ? frame->vector : 0;
}

static void load_context(struct trap_frame *frame, const struct user_context *context)
{
	frame->r8 = context->r8;
	frame->r9 = context->r9;
	frame->r10 = context->r10;
	frame->r11 = context->r11;
	frame->r12 = context->r12;
	frame->r13 = context->r13;
	frame->r14 = context->r14;
	frame->r15 = context->r15;
	frame->rdi = context->rdi;
	frame->rsi = context->rsi;
	frame->rbp = context->rbp;
	frame->rbx = context->rbx;
	frame->rdx = context->rdx;
	frame->rax = context->rax;
	frame->rcx = context->rcx;
	frame->rsp = context->rsp;
	frame->rip = context->rip;
	frame->rflags = trap_sanitise_rflags((frame->rflags & ~FLAGS_RESTORED) |
					     (context->rflags & FLAGS_RESTORED));
}

/* Selectors that a program may return with: there are no others for code, and Linux looks at that
 * for the stack only if the frame says so, as those that it makes do. */
static bool selectors_are_valid(const struct user_context *context)
{
	return (context->cs | 3) == USER_CODE_SELECTOR &&
	       ((context->flags & CONTEXT_STRICT_STACK) == 0 || (context->ss | 3) == USER_DATA_SELECTOR);
}

/* Where the frame's things go. */
struct frame_place {
	uint64_t fpu, frame;
};

/* => LH_BAD_ADDRESS: on the alternate stack there is no room. Else handlers that fault would follow
 * one another for ever: below its end, the stack pointer is in it no more. */
static lh_error place_frame(const struct signal_stack *stack, uint64_t stack_pointer,
			    bool wants_alternate, struct frame_place *place)
{
	bool is_on = signal_stack_contains(stack, stack_pointer);
	uint64_t top = stack_pointer - RED_ZONE;

	if (wants_alternate && (stack->flags & SIGNAL_STACK_DISABLED) == 0 && !is_on) {
		top = stack->address + stack->bytes;
		is_on = true;
	}
	place->fpu = (top - FPU_BYTES) & ~UINT64_C(63);
	place->frame = ((place->fpu - sizeof(struct user_frame)) & ~UINT64_C(15)) - 8;
	return is_on && !signal_stack_contains(stack, place->frame) ? LH_BAD_ADDRESS : LH_OK;
}

static lh_error copy_frame_out(const struct frame_place *place, const struct user_frame *frame)
{
	struct fpu_image image;

	thread_save_fpu(&image);
	LH_TRY(user_copy_out(place->fpu, &image, sizeof image));
	return user_copy_out(place->frame, frame, sizeof *frame);
}

static struct signal_stack take_stack(bool disarm)
{
	struct user_thread *user = user_thread_current();
	uintptr_t interrupts = process_lock();
	struct signal_stack stack = user->signals.stack;

	if (disarm && (stack.flags & SIGNAL_STACK_AUTO_DISARM) != 0)
		user->signals.stack = (struct signal_stack){ .flags = SIGNAL_STACK_DISABLED };
	process_unlock(interrupts);
	return stack;
}

lh_error signal_frame_push(struct trap_frame *frame, uint32_t number,
			   const struct signal_info *info, const struct signal_action *action,
			   uint64_t mask_after)
{
	struct signal_stack stack = take_stack(true);
	struct frame_place place;
	struct user_frame out;

	LH_TRY(place_frame(&stack, frame->rsp, (action->flags & ACTION_ON_STACK) != 0, &place));
	if ((action->flags & ACTION_RESTORER) == 0)
		return LH_BAD_ADDRESS;
	memset(&out, 0, sizeof out);
	out.restorer = action->restorer;
	out.context.flags = CONTEXT_HAS_STACK_SELECTOR | CONTEXT_STRICT_STACK;
	out.context.stack = stack;
	out.context.mask = mask_after;
	out.context.old_mask = mask_after;
	out.context.fpu_state = place.fpu;
	fill_context(&out.context, frame);
	if (is_fault(number) && info->code > 0)
		out.context.fault_address = info->address;
	fill_info(&out.info, number, info);
	LH_TRY(copy_frame_out(&place, &out));
	frame->rsp = place.frame;
	frame->rip = action->handler;
	frame->rdi = number;
	frame->rsi = place.frame + offsetof(struct user_frame, info);
	frame->rdx = place.frame + offsetof(struct user_frame, context);
	frame->rax = 0;
	frame->rflags = trap_sanitise_rflags(frame->rflags & ~UINT64_C(0x500)); /* DF, TF off */
	return LH_OK;
}

lh_error signal_frame_pop(struct trap_frame *frame)
{
	struct user_context context;
	struct fpu_image image;

	/* The handler's ret has taken the restorer's address off the stack. */
	LH_TRY(user_copy_in(&context, frame->rsp, sizeof context));
	if (!selectors_are_valid(&context))
		return LH_INVALID;
	if (context.fpu_state != 0)
		LH_TRY(user_copy_in(&image, context.fpu_state, sizeof image));
	if (context.fpu_state != 0)
		LH_TRY(thread_load_fpu(&image));
	load_context(frame, &context);
	signal_set_mask(context.mask);
	(void)!signal_set_stack(&context.stack, frame->rsp); /* Linux, too, lets a bad one be */
	user_thread_current()->call.number = THREAD_NO_CALL;
	return LH_OK;
}
