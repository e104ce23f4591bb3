/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bad pointers: given to system calls they are EFAULT, touched they are a signal, and the
 * kernel goes on. Its output on the kernel must be that on Linux.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "guest.h"

static char *unreadable, *read_only, *edge;

static const struct {
	const char *name;
	uintptr_t address;
} fixed[] = {
	{ "null", 0 },
	{ "the first page", 8 },
	{ "the last user page", 0x7ffffffff000 - 8 },
	{ "the end of user memory", 0x7ffffffffff8 },
	{ "not canonical", 0x800000000000 },
	{ "the kernel's direct map", 0xffff800000100000 },
	{ "the kernel's image", 0xffffffff80100000 },
	{ "the last byte", UINTPTR_MAX },
};

static void say(const char *call, long result)
{
	if (result == -1)
		printf("  %s: %s\n", call, lh_error_name(last_error()));
	else
		printf("  %s: %ld\n", call, result);
}

static lh_error try_calls(const char *name, void *address)
{
	int ends[2];
	struct iovec vector = { address, 16 };

	printf("%s\n", name);
	LH_TRY(check_call(pipe(ends)));
	say("write", write(ends[1], address, 16));
	say("writev", writev(ends[1], &vector, 1));
	LH_TRY(check_call(write(ends[1], "0123456789abcdef", 16)));
	say("read", read(ends[0], address, 16));
	say("open", open(address, O_RDONLY));
	say("stat", stat("/", address));
	say("pipe", pipe(address));
	say("clock_gettime", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, address));
	say("getcwd", syscall(SYS_getcwd, address, 100));
	say("uname", syscall(SYS_uname, address));
	say("execve", syscall(SYS_execve, address, NULL, NULL));
	close(ends[0]);
	close(ends[1]);
	return LH_OK;
}

static void read_there(void *address)
{
	printf("  read %d\n", *(volatile char *)address);
}

static void write_there(void *address)
{
	*(volatile char *)address = 1;
	printf("  written\n");
}

static void jump_there(void *address)
{
	((void (*)(void))(uintptr_t)address)();
}

static lh_error touch(const char *name, void *address)
{
	int status;

	printf("%s\n", name);
	LH_TRY(run_in_child(read_there, address, &status));
	printf("  reader: %s\n", status_text(status));
	LH_TRY(run_in_child(write_there, address, &status));
	printf("  writer: %s\n", status_text(status));
	LH_TRY(run_in_child(jump_there, address, &status));
	printf("  jump: %s\n", status_text(status));
	return LH_OK;
}

/* A string or buffer that begins well and runs into an unmapped page. */
static lh_error cross_the_edge(void)
{
	int ends[2];

	memset(edge, 'x', PAGE);
	LH_TRY(check_call(munmap(edge + PAGE, PAGE)));
	printf("across the edge of a mapping\n");
	LH_TRY(check_call(pipe(ends)));
	say("write, first byte bad", write(ends[1], edge + PAGE, 16));
	say("open, no end", open(edge + PAGE - 8, O_RDONLY));
	say("stat", stat("/", (void *)(edge + PAGE - 8)));
	say("clock_gettime", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (void *)(edge + PAGE - 8)));
	say("uname", syscall(SYS_uname, edge + PAGE - 8));
	close(ends[0]);
	close(ends[1]);
	return LH_OK;
}

static lh_error run(void)
{
	LH_TRY(map_pages(1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, &unreadable));
	LH_TRY(map_pages(1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, &read_only));
	LH_TRY(private_pages(2, &edge));
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
		LH_TRY(try_calls(fixed[i].name, (void *)fixed[i].address));
		LH_TRY(touch(fixed[i].name, (void *)fixed[i].address));
	}
	LH_TRY(try_calls("a page without access", unreadable));
	LH_TRY(touch("a page without access", unreadable));
	LH_TRY(touch("a page to read only", read_only));
	return cross_the_edge();
}

int main(void)
{
	return report("pointers", run());
}
