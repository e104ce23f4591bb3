/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that is advised to be huge: written, cut, protected, forked, dropped. What it prints is the same on
 * Linux. With an argument it also tells how much of the memory huge pages have, by /proc/self/smaps.
 */
#include "huge_pages.h"

#define PIECES 3

static bool counts;

static void tell(const char *what, const char *from)
{
	printf("%s\n", what);
	if (counts)
		printf("  huge: %ld kB\n", huge_kilobytes(from));
}

static char pattern_of(size_t page)
{
	return (char)(page * 7 + 3);
}

static void fill(char *memory, size_t pages)
{
	for (size_t page = 0; page < pages; page++)
		memset(memory + page * PAGE, pattern_of(page), PAGE);
}

/* Pages whose first or last byte is another than was written; but for those from one on. */
static size_t wrong_pages(const char *memory, size_t pages, size_t without, size_t count)
{
	size_t wrong = 0;

	for (size_t page = 0; page < pages; page++)
		if (page - without >= count)
			wrong += memory[page * PAGE] != pattern_of(page) ||
				 memory[page * PAGE + PAGE - 1] != pattern_of(page);
	return wrong;
}

static void touch(void *address)
{
	*(volatile char *)address = 1;
}

/* A piece of its own with nothing advised around it. */
static lh_error piece(char **aligned)
{
	char *memory = NULL;

	LH_TRY(private_pages((PIECES + 1) * 512, &memory));
	*aligned = (char *)(((uintptr_t)memory + HUGE_BYTES - 1) & ~(uintptr_t)(HUGE_BYTES - 1));
	return check_call(madvise(*aligned, PIECES * HUGE_BYTES, MADV_HUGEPAGE));
}

static lh_error cut(char *memory)
{
	int status;

	fill(memory, PIECES * 512);
	tell("filled", memory);
	printf("  wrong: %zu\n", wrong_pages(memory, PIECES * 512, 0, 0));
	LH_TRY(check_call(munmap(memory + HUGE_BYTES + 5 * PAGE, 2 * PAGE)));
	tell("cut", memory);
	printf("  wrong: %zu\n", wrong_pages(memory, PIECES * 512, 517, 2));
	LH_TRY(run_in_child(touch, memory + HUGE_BYTES + 5 * PAGE, &status));
	printf("  in the hole: %s\n", status_text(status));
	return LH_OK;
}

static lh_error protect(char *memory)
{
	int status;

	LH_TRY(check_call(mprotect(memory + 100 * PAGE, 10 * PAGE, PROT_READ)));
	tell("protected", memory);
	LH_TRY(run_in_child(touch, memory + 105 * PAGE, &status));
	printf("  inside: %s\n", status_text(status));
	LH_TRY(run_in_child(touch, memory + 110 * PAGE, &status));
	printf("  behind: %s\n", status_text(status));
	LH_TRY(check_call(mprotect(memory + 100 * PAGE, 10 * PAGE, PROT_READ | PROT_WRITE)));
	fill(memory, 512);
	printf("  wrong: %zu\n", wrong_pages(memory, 512, 0, 0));
	return LH_OK;
}

/* The child reads what the parent wrote, writes to each third page, and sees the rest as it was. */
static void write_in_child(void *context)
{
	char *memory = context;
	size_t wrong = wrong_pages(memory, 512, 0, 0);

	for (size_t page = 0; page < 512; page += 3)
		memory[page * PAGE + 8] = 99;
	wrong += wrong_pages(memory, 512, 0, 0);
	for (size_t page = 0; page < 512; page++)
		wrong += (memory[page * PAGE + 8] == 99) != (page % 3 == 0 || pattern_of(page) == 99);
	printf("  the child finds wrong: %zu\n", wrong);
}

static lh_error share(char *memory)
{
	int status;

	LH_TRY(run_in_child(write_in_child, memory, &status));
	tell("forked", memory);
	printf("  the child: %s\n  wrong: %zu\n", status_text(status), wrong_pages(memory, 512, 0, 0));
	fill(memory, 512);
	printf("  wrong: %zu\n", wrong_pages(memory, 512, 0, 0));
	return LH_OK;
}

static lh_error drop(char *memory)
{
	size_t zero = 0;

	LH_TRY(check_call(madvise(memory + 7 * PAGE, 9 * PAGE, MADV_DONTNEED)));
	tell("dropped in part", memory);
	for (size_t page = 7; page < 16; page++)
		zero += memory[page * PAGE] == 0 && memory[page * PAGE + PAGE - 1] == 0;
	printf("  zero: %zu, wrong: %zu\n", zero, wrong_pages(memory, 512, 7, 9));
	LH_TRY(check_call(madvise(memory, HUGE_BYTES, MADV_DONTNEED)));
	memory[HUGE_BYTES / 2] = 1;
	tell("dropped, and touched again", memory);
	printf("  zero: %d\n", memory[0] == 0 && memory[HUGE_BYTES - 1] == 0);
	return LH_OK;
}

static lh_error advise(char *memory)
{
	LH_TRY(check_call(madvise(memory, HUGE_BYTES, MADV_DONTNEED)));
	LH_TRY(check_call(madvise(memory, HUGE_BYTES, MADV_NOHUGEPAGE)));
	memory[0] = 1;
	tell("forbidden", memory);
	LH_TRY(check_call(munmap(memory + HUGE_BYTES, PAGE)));
	printf("over a hole: %d\n", madvise(memory, 2 * HUGE_BYTES, MADV_HUGEPAGE) == -1 && errno == ENOMEM);
	return LH_OK;
}

static lh_error run(void)
{
	char *memory = NULL, *other = NULL;

	LH_TRY(piece(&memory));
	LH_TRY(cut(memory));
	LH_TRY(piece(&other));
	fill(other, 512);
	LH_TRY(protect(other));
	LH_TRY(piece(&memory));
	fill(memory, 512);
	LH_TRY(share(memory));
	LH_TRY(piece(&other));
	fill(other, 512);
	LH_TRY(drop(other));
	return advise(other);
}

int main(int argc, char **argv)
{
	(void)argv;
	counts = argc > 1;
	return report("huge", run());
}
