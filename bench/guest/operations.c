/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the memory operations of a kernel cost, seen from a program that does them: the
 * first process of a machine whose time-stamp counter counts instructions
 * (qemu -icount shift=0). It runs on any Linux-compatible kernel; elsewhere the
 * numbers are cycles.
 *
 * A measurement is a sum of windows. A window is the time between two readings of the
 * counter; what prepares or undoes an operation lies outside. Each operation runs once in
 * full without being counted, so that what a kernel makes only once is there.
 *
 * An operation that gives back all that it took is measured to the end: its window closes
 * only when as much memory is free as before, so that a kernel which puts off the freeing
 * pays for it here. Linux keeps freed pages on lists of each CPU and does not call
 * them free; up to FREE_SLACK pages may therefore lack. What did lack is printed.
 *
 * Output, one line an operation:
 *
 *	operation|NAME|COUNT|INSTRUCTIONS|PAGES|SHORT
 *	failed|NAME|ERRNO|TEXT
 *
 * INSTRUCTIONS is the sum over COUNT operations; PAGES says how many pages each of them
 * clears or copies because its meaning asks for it (a page table is not among them); SHORT
 * how many pages less were free after the last window than before it, "-" if the
 * operation keeps what it takes. The last line is "end|NUMBER OF OPERATIONS".
 *
 * usage: operations [power-off]
 */
#include "counter.h"
#include "guest.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#define RANDOM_PAGES 65536u
#define REGIONS_MAX 60000u
#define REGION_BASE ((char *)0x200000000)
#define FREE_SLACK 1024
#define SETTLE_YIELDS 1000
#define READ_WRITE (PROT_READ | PROT_WRITE)

/* --- the window --- */

struct tally {
	uint64_t count, instructions;
	uint64_t opened;
	long free_before, lacking; /* pages; free_before is -1 if nothing is given back */
};

static long free_pages(void)
{
	struct sysinfo info;

	if (sysinfo(&info) != 0)
		return 0;
	return (long)(info.freeram * info.mem_unit / PAGE);
}

static void window_open(struct tally *tally)
{
	tally->free_before = -1;
	tally->opened = read_counter();
}

static void window_close(struct tally *tally, uint64_t count)
{
	tally->instructions += read_counter() - tally->opened;
	tally->count += count;
}

/* The same for operations that give everything back. */
static void cycle_open(struct tally *tally)
{
	tally->free_before = free_pages();
	tally->opened = read_counter();
}

static void cycle_close(struct tally *tally, uint64_t count)
{
	tally->lacking = tally->free_before - free_pages();
	for (int tries = 0; tally->lacking > FREE_SLACK && tries < SETTLE_YIELDS; tries++) {
		sched_yield();
		tally->lacking = tally->free_before - free_pages();
	}
	window_close(tally, count);
}

/* --- helpers --- */

static uint32_t order[RANDOM_PAGES];

static uint64_t random_number(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 11;
}

/* The numbers below count in random order, in order[]. */
static void shuffle(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	for (uint32_t i = count - 1; i > 0; i--) {
		uint32_t other = (uint32_t)(random_number() % (i + 1)), kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
}

static void write_pages(char *memory, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		*(volatile char *)(memory + i * PAGE) = 1;
}

static void read_pages(const char *memory, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		(void)*(const volatile char *)(memory + i * PAGE);
}

static lh_error unmap_pages(char *memory, size_t pages)
{
	return check_call(munmap(memory, pages * PAGE));
}

static lh_error map_touched(size_t pages, char **memory)
{
	LH_TRY(private_pages(pages, memory));
	write_pages(*memory, pages);
	return LH_OK;
}

/* --- one page and a few --- */

static lh_error run_getppid(struct tally *tally, size_t count)
{
	window_open(tally);
	for (size_t i = 0; i < count; i++)
		syscall(SYS_getppid);
	window_close(tally, count);
	return LH_OK;
}

static lh_error run_map_unmap(struct tally *tally, size_t count)
{
	cycle_open(tally);
	for (size_t i = 0; i < count; i++) {
		char *memory;

		LH_TRY(private_pages(1, &memory));
		LH_TRY(unmap_pages(memory, 1));
	}
	cycle_close(tally, count);
	return LH_OK;
}

static lh_error run_map_touch_unmap(struct tally *tally, size_t count)
{
	cycle_open(tally);
	for (size_t i = 0; i < count; i++) {
		char *memory;

		LH_TRY(map_touched(1, &memory));
		LH_TRY(unmap_pages(memory, 1));
	}
	cycle_close(tally, count);
	return LH_OK;
}

#define ROW 1024u

static lh_error run_write_fault(struct tally *tally, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		char *memory;

		LH_TRY(private_pages(ROW, &memory));
		window_open(tally);
		write_pages(memory, ROW);
		window_close(tally, ROW);
		LH_TRY(unmap_pages(memory, ROW));
	}
	return LH_OK;
}

static lh_error run_unmap_touched(struct tally *tally, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		char *memory;

		LH_TRY(map_touched(ROW, &memory));
		window_open(tally);
		LH_TRY(unmap_pages(memory, ROW));
		window_close(tally, ROW);
	}
	return LH_OK;
}

static lh_error run_read_fault(struct tally *tally, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		char *memory;

		LH_TRY(private_pages(ROW, &memory));
		window_open(tally);
		read_pages(memory, ROW);
		window_close(tally, ROW);
		LH_TRY(unmap_pages(memory, ROW));
	}
	return LH_OK;
}

static lh_error run_write_after_read(struct tally *tally, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		char *memory;

		LH_TRY(private_pages(ROW, &memory));
		read_pages(memory, ROW);
		window_open(tally);
		write_pages(memory, ROW);
		window_close(tally, ROW);
		LH_TRY(unmap_pages(memory, ROW));
	}
	return LH_OK;
}

/* --- splitting, growing --- */

static lh_error run_protect(struct tally *tally, size_t count)
{
	char *memory;

	LH_TRY(map_touched(16, &memory));
	cycle_open(tally);
	for (size_t i = 0; i < count; i++) {
		LH_TRY(check_call(mprotect(memory + 8 * PAGE, PAGE, PROT_READ)));
		LH_TRY(check_call(mprotect(memory + 8 * PAGE, PAGE, READ_WRITE)));
	}
	cycle_close(tally, count);
	return unmap_pages(memory, 16);
}

static lh_error run_unmap_middle(struct tally *tally, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *memory;

		LH_TRY(map_touched(3, &memory));
		window_open(tally);
		LH_TRY(unmap_pages(memory + PAGE, 1));
		window_close(tally, 1);
		LH_TRY(unmap_pages(memory, 3));
	}
	return LH_OK;
}

static lh_error run_brk(struct tally *tally, size_t count)
{
	char *end = sbrk(0);
	char *start = end + (-(uintptr_t)end & (PAGE - 1));

	LH_TRY(check_call(brk(start)));
	cycle_open(tally);
	for (size_t i = 0; i < count; i++) {
		LH_TRY(check_call(brk(start + PAGE)));
		write_pages(start, 1);
		LH_TRY(check_call(brk(start)));
	}
	cycle_close(tally, count);
	return check_call(brk(end));
}

/* Grows where it is: the pages behind it are free. */
static lh_error run_remap(struct tally *tally, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *memory, *grown;

		LH_TRY(private_pages(32, &memory));
		LH_TRY(unmap_pages(memory + 16 * PAGE, 16));
		window_open(tally);
		grown = mremap(memory, 16 * PAGE, 32 * PAGE, MREMAP_MAYMOVE);
		window_close(tally, 1);
		if (grown == MAP_FAILED)
			return last_error();
		LH_TRY(unmap_pages(grown, 32));
	}
	return LH_OK;
}

/* --- a file's pages --- */

#define FILE_NAME "/operations.data"

static lh_error write_file(int file, size_t pages)
{
	static const char page[PAGE] = "cached";

	for (size_t i = 0; i < pages; i++)
		if (write(file, page, PAGE) != (ssize_t)PAGE)
			return last_error();
	return LH_OK;
}

static lh_error file_faults(struct tally *tally, size_t rounds, int file, int flags)
{
	LH_TRY(write_file(file, ROW));
	for (size_t i = 0; i < rounds; i++) {
		char *memory = mmap(NULL, ROW * PAGE, READ_WRITE, flags, file, 0);

		if (memory == MAP_FAILED)
			return last_error();
		window_open(tally);
		write_pages(memory, ROW);
		window_close(tally, ROW);
		LH_TRY(unmap_pages(memory, ROW));
	}
	return LH_OK;
}

static lh_error with_file(struct tally *tally, size_t rounds, int flags)
{
	int file = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);
	lh_error error;

	if (file < 0)
		return last_error();
	error = file_faults(tally, rounds, file, flags);
	close(file);
	unlink(FILE_NAME);
	return error;
}

static lh_error run_file_shared(struct tally *tally, size_t rounds)
{
	return with_file(tally, rounds, MAP_SHARED);
}

static lh_error run_file_private(struct tally *tally, size_t rounds)
{
	return with_file(tally, rounds, MAP_PRIVATE);
}

/* --- fork --- */

static lh_error fork_raw(pid_t *child)
{
	*child = (pid_t)syscall(SYS_fork);
	return check_call(*child);
}

static lh_error fork_exit_wait(void)
{
	pid_t child;
	int status;

	LH_TRY(fork_raw(&child));
	if (child == 0)
		_exit(0);
	LH_TRY(wait_for(child, &status));
	return status == 0 ? LH_OK : LH_IO;
}

static lh_error run_fork(struct tally *tally, size_t count, size_t pages)
{
	char *memory = NULL;

	if (pages > 0)
		LH_TRY(map_touched(pages, &memory));
	LH_TRY(fork_exit_wait());
	cycle_open(tally);
	for (size_t i = 0; i < count; i++)
		LH_TRY(fork_exit_wait());
	cycle_close(tally, count);
	return pages > 0 ? unmap_pages(memory, pages) : LH_OK;
}

static lh_error run_fork_bare(struct tally *tally, size_t count)
{
	return run_fork(tally, count, 0);
}

static lh_error run_fork_256(struct tally *tally, size_t count)
{
	return run_fork(tally, count, 256);
}

static lh_error run_fork_4096(struct tally *tally, size_t count)
{
	return run_fork(tally, count, 4096);
}

static lh_error run_fork_65536(struct tally *tally, size_t count)
{
	return run_fork(tally, count, 65536);
}

/*
 * A child writes the first `written` of its parent's `pages` touched pages, and measures
 * that itself; its tally lies in shared memory.
 */
static lh_error write_in_child(struct tally *shared, char *memory, size_t written)
{
	pid_t child;
	int status;

	LH_TRY(fork_raw(&child));
	if (child == 0) {
		shared->opened = read_counter(); /* its page is there before the window */
		window_open(shared);
		write_pages(memory, written);
		window_close(shared, written);
		_exit(0);
	}
	LH_TRY(wait_for(child, &status));
	return status == 0 ? LH_OK : LH_IO;
}

static lh_error run_written_in_child(struct tally *tally, size_t rounds, size_t pages,
				     size_t written)
{
	struct tally *shared;
	char *memory, *page;

	LH_TRY(map_pages(1, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, &page));
	shared = (struct tally *)(void *)page;
	LH_TRY(map_touched(pages, &memory));
	for (size_t i = 0; i < rounds; i++)
		LH_TRY(write_in_child(shared, memory, written));
	tally->count += shared->count;
	tally->instructions += shared->instructions;
	LH_TRY(unmap_pages(memory, pages));
	return unmap_pages(page, 1);
}

static lh_error run_copy_fault(struct tally *tally, size_t rounds)
{
	return run_written_in_child(tally, rounds, ROW, ROW);
}

static lh_error run_first_write(struct tally *tally, size_t rounds)
{
	return run_written_in_child(tally, rounds, 4096, 1);
}

/* --- many regions --- */

static char *region_at(size_t index)
{
	return REGION_BASE + index * PAGE;
}

/* Side by side; every other one may be executed too, so that none is merged with the next. */
static lh_error map_region(size_t index)
{
	int access = index % 2 == 0 ? READ_WRITE : READ_WRITE | PROT_EXEC;
	void *mapped = mmap(region_at(index), PAGE, access,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return mapped == MAP_FAILED ? last_error() : LH_OK;
}

static lh_error map_regions(size_t regions)
{
	for (size_t i = 0; i < regions; i++)
		LH_TRY(map_region(i));
	return LH_OK;
}

static lh_error unmap_regions(size_t regions)
{
	return check_call(munmap(REGION_BASE, regions * PAGE));
}

static lh_error run_map_regions(struct tally *tally, size_t regions)
{
	window_open(tally);
	LH_TRY(map_regions(regions));
	window_close(tally, regions);
	return unmap_regions(regions);
}

static lh_error map_unmap_among(struct tally *tally, size_t regions, size_t count)
{
	LH_TRY(map_regions(regions));
	cycle_open(tally);
	for (size_t i = 0; i < count; i++) {
		char *memory;

		LH_TRY(private_pages(2, &memory));
		LH_TRY(unmap_pages(memory, 2));
	}
	cycle_close(tally, count);
	return unmap_regions(regions);
}

static lh_error run_among_1000(struct tally *tally, size_t count)
{
	return map_unmap_among(tally, 1000, count);
}

static lh_error run_among_10000(struct tally *tally, size_t count)
{
	return map_unmap_among(tally, 10000, count);
}

static lh_error run_among_60000(struct tally *tally, size_t count)
{
	return map_unmap_among(tally, REGIONS_MAX, count);
}

static lh_error fault_among(struct tally *tally, size_t regions, uint32_t writes)
{
	LH_TRY(map_regions(regions));
	shuffle((uint32_t)regions);
	window_open(tally);
	for (uint32_t i = 0; i < writes; i++)
		write_pages(region_at(order[i]), 1);
	window_close(tally, writes);
	return unmap_regions(regions);
}

static lh_error run_fault_1000(struct tally *tally, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++)
		LH_TRY(fault_among(tally, 1000, 1000));
	return LH_OK;
}

static lh_error run_fault_10000(struct tally *tally, size_t writes)
{
	return fault_among(tally, 10000, (uint32_t)writes);
}

static lh_error run_fault_60000(struct tally *tally, size_t writes)
{
	return fault_among(tally, REGIONS_MAX, (uint32_t)writes);
}

static lh_error run_unmap_regions(struct tally *tally, size_t regions)
{
	LH_TRY(map_regions(regions));
	for (size_t i = 0; i < regions; i++)
		write_pages(region_at(i), 1);
	window_open(tally);
	LH_TRY(unmap_regions(regions));
	window_close(tally, regions);
	return LH_OK;
}

/* --- mixtures --- */

#define LIVE 1000u

struct piece {
	char *memory;
	size_t pages;
};

static lh_error new_piece(struct piece *piece)
{
	piece->pages = 1 + random_number() % 64;
	LH_TRY(private_pages(piece->pages, &piece->memory));
	write_pages(piece->memory, 1);
	return LH_OK;
}

static lh_error replace_pieces(struct piece *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct piece *piece = &pieces[random_number() % LIVE];

		LH_TRY(unmap_pages(piece->memory, piece->pages));
		LH_TRY(new_piece(piece));
	}
	return LH_OK;
}

static lh_error run_replace(struct tally *tally, size_t count)
{
	static struct piece pieces[LIVE];

	for (size_t i = 0; i < LIVE; i++)
		LH_TRY(new_piece(&pieces[i]));
	window_open(tally);
	LH_TRY(replace_pieces(pieces, count));
	window_close(tally, count);
	for (size_t i = 0; i < LIVE; i++)
		LH_TRY(unmap_pages(pieces[i].memory, pieces[i].pages));
	return LH_OK;
}

static lh_error run_random_fault(struct tally *tally, size_t pages)
{
	char *memory;

	LH_TRY(private_pages(pages, &memory));
	shuffle((uint32_t)pages);
	window_open(tally);
	for (size_t i = 0; i < pages; i++)
		write_pages(memory + order[i] * PAGE, 1);
	window_close(tally, pages);
	return unmap_pages(memory, pages);
}

/* --- the table --- */

struct operation {
	const char *name;
	lh_error (*run)(struct tally *tally, size_t amount);
	size_t amount;
	unsigned pages; /* cleared or copied by each, as its meaning asks */
};

static const struct operation operations[] = {
	{ "getppid", run_getppid, 20000, 0 },
	{ "mmap + munmap, 1 page, untouched", run_map_unmap, 4000, 0 },
	{ "mmap + touch + munmap, 1 page", run_map_touch_unmap, 4000, 1 },
	{ "write fault, a page (1,024 in a row)", run_write_fault, 8, 1 },
	{ "munmap of touched pages, a page", run_unmap_touched, 8, 0 },
	{ "read fault (zero page)", run_read_fault, 8, 0 },
	{ "write after that read", run_write_after_read, 8, 1 },
	{ "mprotect of a middle page there and back", run_protect, 2000, 0 },
	{ "munmap of a middle page (split)", run_unmap_middle, 2000, 0 },
	{ "brk grow + touch + shrink", run_brk, 4000, 1 },
	{ "mremap 16 to 32 pages", run_remap, 2000, 0 },
	{ "shared file page, cached, write fault", run_file_shared, 4, 0 },
	{ "private file page, cached, write fault", run_file_private, 4, 1 },
	{ "fork + exit + wait", run_fork_bare, 200, 0 },
	{ "fork + exit + wait, 256 touched pages", run_fork_256, 100, 0 },
	{ "fork + exit + wait, 4,096 touched pages", run_fork_4096, 20, 0 },
	{ "fork + exit + wait, 65,536 touched pages", run_fork_65536, 3, 0 },
	{ "COW fault after fork, a page", run_copy_fault, 4, 1 },
	{ "first write after fork (4,096 pages)", run_first_write, 20, 1 },
	{ "map 60,000 separate regions, each", run_map_regions, REGIONS_MAX, 0 },
	{ "mmap + munmap of 2 pages among 1,000 regions", run_among_1000, 4000, 0 },
	{ "mmap + munmap of 2 pages among 10,000 regions", run_among_10000, 4000, 0 },
	{ "mmap + munmap of 2 pages among 60,000 regions", run_among_60000, 4000, 0 },
	{ "random write fault among 1,000 regions", run_fault_1000, 4, 1 },
	{ "random write fault among 10,000 regions", run_fault_10000, 4000, 1 },
	{ "random write fault among 60,000 regions", run_fault_60000, 4000, 1 },
	{ "munmap of 60,000 regions in one call, each", run_unmap_regions, REGIONS_MAX, 0 },
	{ "random-size unmap + map + touch, 1,000 live", run_replace, 4000, 1 },
	{ "random write fault in 256 MiB", run_random_fault, RANDOM_PAGES, 1 },
};

#define OPERATIONS (sizeof operations / sizeof operations[0])

static void print_result(const struct operation *operation, const struct tally *tally)
{
	printf("operation|%s|%llu|%llu|%u|", operation->name, (unsigned long long)tally->count,
	       (unsigned long long)tally->instructions, operation->pages);
	if (tally->free_before < 0)
		printf("-\n");
	else
		printf("%ld\n", tally->lacking);
}

static void measure(const struct operation *operation)
{
	struct tally warm = { .free_before = -1 }, tally = { .free_before = -1 };
	lh_error error = operation->run(&warm, operation->amount);

	if (error == LH_OK)
		error = operation->run(&tally, operation->amount);
	if (error == LH_OK)
		print_result(operation, &tally);
	else
		printf("failed|%s|%d|%s\n", operation->name, lh_error_to_errno(error),
		       lh_error_string(error));
	fflush(stdout);
}

int main(int count, char **words)
{
	sleep(BOOT_SECONDS); /* a kernel may still be busy with what it put off at boot */
	for (size_t i = 0; i < OPERATIONS; i++)
		measure(&operations[i]);
	printf("end|%zu\n", OPERATIONS);
	fflush(stdout);
	if (count > 1 && strcmp(words[1], "power-off") == 0) {
		sync();
		reboot(RB_POWER_OFF);
	}
	return 0;
}
