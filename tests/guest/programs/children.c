/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 500 children, 100 of them alive at once: each writes to its copy of the parent's pages,
 * says over a pipe that it lives, waits until it may go, and checks that what it wrote is
 * still what it reads. The parent's pages stay as they were.
 */
#include "guest.h"

#define ROUNDS 5
#define ALIVE 100
#define PAGES 16

static void fill(char *memory, int value)
{
	for (size_t page = 0; page < PAGES; page++)
		memset(memory + page * PAGE, value, PAGE);
}

static bool is_filled(const char *memory, int value)
{
	for (size_t i = 0; i < PAGES * PAGE; i++)
		if (memory[i] != (char)value)
			return false;
	return true;
}

static _Noreturn void live(char *memory, int number, int alive, int leave)
{
	char byte = 1;

	if (!is_filled(memory, 1))
		_exit(255);
	fill(memory, number + 2);
	if (write(alive, &byte, 1) != 1 || read(leave, &byte, 1) != 0)
		_exit(254);
	_exit(is_filled(memory, number + 2) ? number : 253);
}

static lh_error collect(const pid_t *children)
{
	for (int number = 0; number < ALIVE; number++) {
		int status;
		LH_TRY(wait_for(children[number], &status));
		if (!WIFEXITED(status) || WEXITSTATUS(status) != number) {
			printf("child %d: %s\n", number, status_text(status));
			return LH_IO;
		}
	}
	return LH_OK;
}

static lh_error round_of_children(char *memory)
{
	pid_t children[ALIVE];
	int alive[2], leave[2];
	char byte;

	LH_TRY(check_call(pipe(alive)));
	LH_TRY(check_call(pipe(leave)));
	for (int number = 0; number < ALIVE; number++) {
		LH_TRY(fork_process(&children[number]));
		if (children[number] == 0) {
			close(leave[1]);
			live(memory, number, alive[1], leave[0]);
		}
	}
	for (int number = 0; number < ALIVE; number++)
		LH_TRY(check_call(read(alive[0], &byte, 1)));
	printf("%d alive at once\n", ALIVE);
	close(leave[1]);
	LH_TRY(collect(children));
	close(leave[0]);
	close(alive[0]);
	close(alive[1]);
	return LH_OK;
}

static lh_error run(void)
{
	char *memory = NULL;

	LH_TRY(private_pages(PAGES, &memory));
	fill(memory, 1);
	for (int number = 0; number < ROUNDS; number++)
		LH_TRY(round_of_children(memory));
	printf("the parent's pages are %s\n", is_filled(memory, 1) ? "as before" : "CHANGED");
	return LH_OK;
}

int main(void)
{
	return report("children", run());
}
