/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program finds when it starts: arguments, environment, auxiliary vector, stack
 * alignment, thread-local storage, and registers and pages without anybody's leavings.
 */
#include <elf.h>
#include <sys/auxv.h>

#include "guest.h"

static __thread int initial = 0x1234;
static __thread char zeroed[64];

static const struct {
	const char *name;
	unsigned long type;
} present[] = {
	{ "AT_PHDR", AT_PHDR }, { "AT_ENTRY", AT_ENTRY }, { "AT_RANDOM", AT_RANDOM },
	{ "AT_EXECFN", AT_EXECFN },
};

static void print_vector(void)
{
	printf("AT_PAGESZ %lu\n", getauxval(AT_PAGESZ));
	printf("AT_PHENT %lu\n", getauxval(AT_PHENT));
	printf("AT_UID %lu AT_SECURE %lu\n", getauxval(AT_UID), getauxval(AT_SECURE));
	for (size_t i = 0; i < sizeof present / sizeof *present; i++)
		printf("%s %s\n", present[i].name, getauxval(present[i].type) ? "given" : "MISSING");
	printf("AT_EXECFN '%s'\n", (const char *)getauxval(AT_EXECFN));
}

static bool is_zero(const volatile char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Fresh pages are zero also after another process has left its data in the same frames. */
static void leave_data(void *unused)
{
	char *memory = NULL;

	(void)unused;
	if (private_pages(4096, &memory) == LH_OK)
		memset(memory, 0xa5, 4096 * PAGE);
}

static lh_error fresh_pages_are_zero(void)
{
	char *memory = NULL;
	int status;

	LH_TRY(run_in_child(leave_data, NULL, &status));
	LH_TRY(private_pages(4096, &memory));
	printf("fresh pages: %s\n", is_zero(memory, 4096 * PAGE) ? "zero" : "NOT ZERO");
	return LH_OK;
}

int main(int argc, char **argv, char **environment)
{
	for (int i = 0; i < argc; i++)
		printf("argument '%s'\n", argv[i]);
	for (char **entry = environment; *entry; entry++)
		printf("environment '%s'\n", *entry);
	print_vector();
	printf("stack alignment %zu\n", (size_t)((uintptr_t)__builtin_frame_address(0) % 16));
	printf("thread storage %x %s\n", (unsigned)initial, is_zero(zeroed, sizeof zeroed) ? "zero" : "NOT ZERO");
	return report("start", fresh_pages_are_zero());
}
