/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mremap(2), as its manual page has it: each line says what was asked and what came of it, the same on Linux.
 * With "threads" the same pages move to and fro while other threads read them where they are, and where they are not.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include "guest.h"

#define UNMAPPED 8 /* pages on either side of what is tried */

static sigjmp_buf back;

static void on_fault(int number)
{
	siglongjmp(back, number);
}

/* => 0, or the signal. */
static int read_byte(const char *address, char *value)
{
	int number = sigsetjmp(back, 1);

	if (number == 0)
		*value = *(const volatile char *)address;
	return number;
}

static void fill(char *memory, size_t pages)
{
	for (size_t page = 0; page < pages; page++)
		memory[page * PAGE] = (char)('a' + page % 26);
}

/* One letter a page: what was filled in, 0 for zero, - for nothing there, ! for what shows nothing. */
static void show(const char *memory, size_t pages)
{
	for (size_t page = 0; page < pages; page++) {
		char value = 0;
		int number = read_byte(memory + page * PAGE, &value);

		putchar(number == SIGSEGV ? '-' : number == SIGBUS ? '!' : value == 0 ? '0' : value);
	}
}

/* Pages with room on both sides, where nothing else is mapped. */
static lh_error open_room(size_t pages, char **memory)
{
	char *room = NULL;

	LH_TRY(private_pages(pages + 2 * UNMAPPED, &room));
	LH_TRY(check_call(munmap(room, (pages + 2 * UNMAPPED) * PAGE)));
	*memory = mmap(room + UNMAPPED * PAGE, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (*memory == MAP_FAILED)
		return last_error();
	fill(*memory, pages);
	return LH_OK;
}

/* A file that gives zeroes to whoever may be written to. */
static int open_zero(void)
{
	return open("/dev/zero", O_RDONLY);
}

static char *say(const char *what, char *old, size_t old_bytes, size_t bytes, int flags, char *to)
{
	char *result = mremap(old, old_bytes, bytes, flags, to);

	printf("%s: ", what);
	if (result == MAP_FAILED)
		printf("%s\n", strerror(errno));
	else
		printf("%s\n", result == old ? "stays" : result == to ? "is there" : "moves");
	return result;
}

static void tell(const char *what, const char *memory, size_t pages)
{
	printf("  %s: ", what);
	show(memory, pages);
	putchar('\n');
}

static lh_error refused(void)
{
	char *memory = NULL;

	LH_TRY(open_room(6, &memory));
	say("an odd address", memory + 1, PAGE, PAGE, 0, NULL);
	say("an unknown flag", memory, PAGE, PAGE, 64, NULL);
	say("fixed, and may not move", memory, PAGE, PAGE, MREMAP_FIXED, memory + 20 * PAGE);
	say("a new length of nothing", memory, PAGE, 0, MREMAP_MAYMOVE, NULL);
	say("an old length of nothing", memory, 0, PAGE, MREMAP_MAYMOVE, NULL);
	say("nothing mapped there", memory - 2 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL);
	say("longer than the mapping", memory, 7 * PAGE, 9 * PAGE, MREMAP_MAYMOVE, NULL);
	say("to an odd address", memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + 7 * PAGE + 1);
	say("to where it overlaps", memory, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + PAGE);
	say("beyond user space", memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)0x7ffffffff000);
	say("kept, and may not move", memory, PAGE, PAGE, MREMAP_DONTUNMAP, NULL);
	say("kept, at another length", memory, PAGE, 2 * PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, NULL);
	say("in the middle of a mapping", memory, 2 * PAGE, 3 * PAGE, 0, NULL);
	say("more than there is room for", memory, 6 * PAGE, (size_t)1 << 46, MREMAP_MAYMOVE, NULL);
	tell("pages", memory - PAGE, 8);
	LH_TRY(check_call(mprotect(memory + 3 * PAGE, PAGE, PROT_READ)));
	say("grown across mappings", memory, 5 * PAGE, 7 * PAGE, MREMAP_MAYMOVE, NULL);
	return check_call(munmap(memory, 6 * PAGE));
}

static lh_error resized(void)
{
	char *memory = NULL, *there;

	LH_TRY(open_room(6, &memory));
	say("grown where it is", memory, 6 * PAGE, 8 * PAGE, 0, NULL);
	tell("pages", memory - PAGE, 10);
	say("as long", memory, 8 * PAGE, 8 * PAGE - 5, 0, NULL);
	say("shrunk", memory, 8 * PAGE, 3 * PAGE, 0, NULL);
	tell("pages", memory - PAGE, 10);
	LH_TRY(check_call(mprotect(memory + PAGE, PAGE, PROT_READ)));
	say("shrunk across mappings", memory, 3 * PAGE, PAGE, MREMAP_MAYMOVE, NULL);
	tell("pages", memory - PAGE, 5);
	there = mmap(memory + PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (there == MAP_FAILED)
		return last_error();
	say("no room behind", memory, PAGE, 2 * PAGE, 0, NULL);
	there = say("no room behind, may move", memory, PAGE, 4 * PAGE, MREMAP_MAYMOVE, NULL);
	tell("pages", there, 4);
	tell("old ones", memory, 1);
	return check_call(munmap(there, 4 * PAGE));
}

static lh_error moved(void)
{
	char *memory = NULL, *other = NULL;

	LH_TRY(open_room(6, &memory));
	LH_TRY(open_room(6, &other));
	memset(other, 'z', 6 * PAGE);
	say("over another", memory + PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other + 2 * PAGE);
	tell("old", memory - PAGE, 8);
	tell("new", other - PAGE, 8);
	say("over another, longer", memory, PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
	tell("new", other - PAGE, 8);
	say("to a hole, shorter", other + 3 * PAGE, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory);
	tell("old", other - PAGE, 8);
	tell("new", memory - PAGE, 8);
	say("kept", memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, memory + PAGE);
	tell("both", memory - PAGE, 4);
	LH_TRY(check_call(mprotect(other, PAGE, PROT_READ)));
	say("what may be read only", other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + 3 * PAGE);
	printf("  written: %s\n", read(open_zero(), memory + 3 * PAGE, 1) == 1 ? "yes" : strerror(errno));
	return LH_OK;
}

static lh_error shared(void)
{
	char *memory = NULL, *again, *further;

	LH_TRY(map_pages(6, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &memory));
	fill(memory, 6);
	again = say("shown once more", memory + PAGE, 0, 4 * PAGE, MREMAP_MAYMOVE, NULL);
	if (again == MAP_FAILED)
		return last_error();
	again[PAGE] = 'Z';
	tell("one", memory, 6);
	tell("other", again, 4);
	further = say("beyond what it shows", again, 4 * PAGE, 7 * PAGE, MREMAP_MAYMOVE, NULL);
	tell("pages", further, 7);
	return LH_OK;
}

/* What realloc does with large blocks. */
static lh_error reallocated(void)
{
	size_t wrong = 0, bytes = 1 << 20;
	unsigned char *block = malloc(bytes);

	for (size_t i = 0; block != NULL && i < bytes; i++)
		block[i] = (unsigned char)(i >> 7);
	for (unsigned round = 0; block != NULL && round < 24; round++) {
		block = realloc(block, bytes + (round % 8) * 700000);
		for (size_t i = 0; block != NULL && i < bytes; i += 97)
			wrong += block[i] != (unsigned char)(i >> 7);
	}
	printf("reallocated: %s, %zu wrong\n", block != NULL ? "yes" : "no", wrong);
	free(block);
	return LH_OK;
}

/* After a fork each has its own, and moves it. */
static lh_error forked(void)
{
	char *memory = NULL, *moved_to;
	pid_t child = -1;

	LH_TRY(open_room(6, &memory));
	LH_TRY(fork_process(&child));
	moved_to = mremap(memory, 6 * PAGE, 600 * PAGE, MREMAP_MAYMOVE);
	if (moved_to == MAP_FAILED)
		return last_error();
	if (child == 0) {
		fill(moved_to + 3 * PAGE, 3);
		tell("child", moved_to, 7);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	tell("parent", moved_to, 7);
	return LH_OK;
}

/* --- threads --- */

#define ROUNDS 400
#define MOVED 40 /* pages */

static struct {
	char *at[2];
	uint64_t begun, done; /* moves; the pages are at at[done % 2] when the two are equal */
	bool ends;
} ring;
static _Thread_local sigjmp_buf thread_back;

static void on_thread_fault(int number)
{
	siglongjmp(thread_back, number);
}

/* Reads and adds to the pages, each of which has a count of its own: a page that can be reached at both places at
 * once, or comes back with another's bytes, shows. => places where something was wrong. */
static void *look(void *argument)
{
	volatile uintptr_t wrong = 0;
	volatile unsigned page = (unsigned)(uintptr_t)argument;

	while (!__atomic_load_n(&ring.ends, __ATOMIC_SEQ_CST)) {
		uint64_t before = __atomic_load_n(&ring.begun, __ATOMIC_SEQ_CST);
		bool settled = before == __atomic_load_n(&ring.done, __ATOMIC_SEQ_CST);
		const char *here = ring.at[before % 2] + page % MOVED * PAGE;
		volatile char value = 0;

		if (sigsetjmp(thread_back, 1) == 0) {
			value = *(const volatile char *)here;
			if (value != (char)('a' + page % MOVED % 26))
				wrong++;
		} else if (settled && before == __atomic_load_n(&ring.begun, __ATOMIC_SEQ_CST)) {
			wrong++;
		}
		page++;
	}
	return (void *)wrong;
}

static lh_error move_to_and_fro(void)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		char *from = ring.at[round % 2], *to = ring.at[(round + 1) % 2];

		__atomic_store_n(&ring.begun, round + 1, __ATOMIC_SEQ_CST);
		if (mremap(from, MOVED * PAGE, MOVED * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
			return last_error();
		__atomic_store_n(&ring.done, round + 1, __ATOMIC_SEQ_CST);
	}
	return LH_OK;
}

static lh_error threads(void)
{
	pthread_t thread[3];
	uintptr_t wrong = 0;
	lh_error error;

	signal(SIGSEGV, on_thread_fault);
	LH_TRY(open_room(MOVED, &ring.at[0]));
	LH_TRY(open_room(MOVED, &ring.at[1]));
	/* Not a hole: a thread's stack would be put there, and could be read. */
	LH_TRY(check_call(mprotect(ring.at[1], MOVED * PAGE, PROT_NONE)));
	for (uintptr_t i = 0; i < 3; i++)
		if (pthread_create(&thread[i], NULL, look, (void *)(i * 13)) != 0)
			return LH_NO_MEMORY;
	error = move_to_and_fro();
	__atomic_store_n(&ring.ends, true, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 3; i++) {
		void *found = NULL;

		pthread_join(thread[i], &found);
		wrong += (uintptr_t)found;
	}
	printf("moved to and fro: %s, %zu wrong\n", lh_error_string(error), (size_t)wrong);
	return error;
}

static lh_error all(void)
{
	LH_TRY(refused());
	LH_TRY(resized());
	LH_TRY(moved());
	LH_TRY(shared());
	LH_TRY(reallocated());
	return forked();
}

int main(int count, char **arguments)
{
	lh_error error;

	(void)arguments;
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	error = count > 1 ? threads() : all();
	if (error != LH_OK)
		printf("failed: %s\n", lh_error_string(error));
	return error != LH_OK;
}
