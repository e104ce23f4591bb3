/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps, unmaps a middle page, protects, forks, writes on both sides, maps a file, and
 * prints /proc/self/maps. Its output on the kernel must be that on Linux, addresses aside.
 */
#include <fcntl.h>
#include <signal.h>

#include "guest.h"

#define FILE_NAME "/tmp/landhold-memory-test"
#define FILE_PAGES 3

static __thread int of_thread = 7;
static int of_data = 11;
static char *touched;

static void read_byte(void *address)
{
	printf("read %d\n", *(volatile char *)address);
}

static void write_byte(void *address)
{
	*(volatile char *)address = 1;
	printf("written %d\n", *(volatile char *)address);
}

/* What becomes of a child that reads and of one that writes there. */
static lh_error try_page(const char *name, char *address)
{
	int status;

	printf("%s:\n", name);
	LH_TRY(run_in_child(read_byte, address, &status));
	printf("  reader: %s\n", status_text(status));
	LH_TRY(run_in_child(write_byte, address, &status));
	printf("  writer: %s\n", status_text(status));
	return LH_OK;
}

static lh_error unmap_and_protect(char **memory)
{
	LH_TRY(private_pages(7, memory));
	for (size_t page = 0; page < 7; page++)
		memset(*memory + page * PAGE, (int)page + 10, PAGE);
	LH_TRY(check_call(munmap(*memory + 3 * PAGE, PAGE)));
	LH_TRY(check_call(mprotect(*memory + 1 * PAGE, PAGE, PROT_READ)));
	LH_TRY(check_call(mprotect(*memory + 5 * PAGE, PAGE, PROT_NONE)));
	for (size_t page = 0; page < 7; page++) {
		char name[16];
		snprintf(name, sizeof name, "page %zu", page);
		LH_TRY(try_page(name, *memory + page * PAGE));
	}
	return LH_OK;
}

static lh_error refused_calls(char *memory)
{
	static const struct { size_t offset, pages; } ranges[] = { { 1, 1 }, { 0, 0 } };

	for (size_t i = 0; i < 2; i++)
		printf("munmap +%zu, %zu pages: %s\n", ranges[i].offset, ranges[i].pages,
		       lh_error_string(check_call(munmap(memory + ranges[i].offset,
							 ranges[i].pages * PAGE))));
	printf("mprotect over the hole: %s\n",
	       lh_error_string(check_call(mprotect(memory + 2 * PAGE, 3 * PAGE, PROT_READ))));
	LH_TRY(try_page("page 2, before the hole", memory + 2 * PAGE));
	LH_TRY(try_page("page 4, after the hole", memory + 4 * PAGE));
	printf("mmap of 0 pages: %s\n",
	       mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ?
		       lh_error_string(last_error()) : "mapped");
	printf("fixed, no replace, over page 0: %s\n",
	       mmap(memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
			       MAP_FAILED ? lh_error_string(last_error()) : "mapped");
	return LH_OK;
}

/* Both sides of a fork write; neither sees the other's private page; both the shared one. */
static lh_error write_on_both_sides(void)
{
	char *alone = NULL, *together = NULL;
	int to_child[2], to_parent[2], status;
	pid_t child = -1;
	char byte = 0;

	LH_TRY(private_pages(2, &alone));
	LH_TRY(map_pages(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &together));
	LH_TRY(check_call(pipe(to_child)));
	LH_TRY(check_call(pipe(to_parent)));
	strcpy(alone, "before");
	LH_TRY(fork_process(&child));
	if (child == 0) {
		strcpy(alone, "child");
		strcpy(alone + PAGE, "new in the child");
		strcpy(together, "shared by the child");
		of_thread++, of_data++;
		if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1)
			_exit(1);
		printf("child: '%s' '%s' '%s' %d %d\n", alone, alone + PAGE, together, of_thread, of_data);
		fflush(stdout);
		_exit(0);
	}
	LH_TRY(check_call(read(to_parent[0], &byte, 1)));
	printf("parent: '%s' '%s' '%s' %d %d\n", alone, alone + PAGE, together, of_thread, of_data);
	strcpy(alone, "parent");
	strcpy(together, "shared by the parent");
	fflush(stdout);
	LH_TRY(check_call(write(to_child[1], &byte, 1)));
	LH_TRY(wait_for(child, &status));
	printf("parent: '%s' '%s' '%s' %s\n", alone, alone + PAGE, together, status_text(status));
	LH_TRY(check_call(munmap(alone, 2 * PAGE)));
	return check_call(munmap(together, PAGE));
}

static lh_error make_file(int *file)
{
	char page[PAGE];

	*file = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);
	LH_TRY(check_call(*file));
	for (int i = 0; i < FILE_PAGES; i++) {
		memset(page, 'a' + i, sizeof page);
		LH_TRY(check_call(write(*file, page, i == FILE_PAGES - 1 ? 100 : sizeof page)));
	}
	return LH_OK;
}

static lh_error map_file(int file, int flags, char **memory)
{
	void *mapped = mmap(NULL, (FILE_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE, flags, file, 0);

	if (mapped == MAP_FAILED)
		return last_error();
	*memory = mapped;
	return LH_OK;
}

static lh_error use_file(char **private_map, char **shared_map)
{
	char first = 0;
	int file;

	LH_TRY(make_file(&file));
	LH_TRY(map_file(file, MAP_PRIVATE, private_map));
	LH_TRY(map_file(file, MAP_SHARED, shared_map));
	printf("file: %c%c%c %d\n", (*private_map)[0], (*private_map)[PAGE],
	       (*shared_map)[2 * PAGE + 99], (*shared_map)[2 * PAGE + 100]);
	(*private_map)[0] = 'P';
	(*shared_map)[1] = 'S';
	LH_TRY(check_call(pread(file, &first, 1, 0)));
	printf("private write in the file: %c\n", first);
	LH_TRY(check_call(pread(file, &first, 1, 1)));
	printf("shared write in the file: %c\n", first);
	LH_TRY(check_call(pwrite(file, "W", 1, PAGE + 2)));
	printf("write seen in both: %c%c\n", (*private_map)[PAGE + 2], (*shared_map)[PAGE + 2]);
	LH_TRY(try_page("private, beyond the end", *private_map + FILE_PAGES * PAGE));
	LH_TRY(try_page("shared, beyond the end", *shared_map + FILE_PAGES * PAGE));
	LH_TRY(check_call(msync(*shared_map, PAGE, MS_SYNC)));
	return check_call(close(file));
}

static lh_error grow_heap(void)
{
	char *before = sbrk(0);

	if (sbrk(5 * (intptr_t)PAGE) == (void *)-1)
		return last_error();
	memset(before, 1, 5 * PAGE);
	LH_TRY(check_call(brk(before + PAGE)));
	printf("heap grew and shrank: %d\n", (char *)sbrk(0) == before + PAGE);
	return LH_OK;
}

static void catch_fault(int number, siginfo_t *information, void *context)
{
	(void)context;
	printf("signal %d, code %d, at the address: %d\n", number, information->si_code,
	       information->si_addr == touched);
	if (mprotect(touched, PAGE, PROT_READ | PROT_WRITE) != 0)
		_exit(1);
}

/* A handler that mends the fault, on which the write goes on. */
static lh_error mend_a_fault(void)
{
	struct sigaction action = { .sa_sigaction = catch_fault, .sa_flags = SA_SIGINFO };

	LH_TRY(map_pages(1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, &touched));
	LH_TRY(check_call(sigaction(SIGSEGV, &action, NULL)));
	*(volatile char *)touched = 5;
	printf("mended: %d\n", *(volatile char *)touched);
	signal(SIGSEGV, SIG_DFL);
	return check_call(munmap(touched, PAGE));
}

static lh_error print_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];

	if (!maps)
		return last_error();
	while (fgets(line, sizeof line, maps))
		fputs(line, stdout);
	fclose(maps);
	return LH_OK;
}

static lh_error run(void)
{
	char *memory = NULL, *private_map = NULL, *shared_map = NULL;

	LH_TRY(unmap_and_protect(&memory));
	LH_TRY(refused_calls(memory));
	LH_TRY(write_on_both_sides());
	LH_TRY(mend_a_fault());
	LH_TRY(use_file(&private_map, &shared_map));
	LH_TRY(grow_heap());
	LH_TRY(print_maps());
	return check_call(unlink(FILE_NAME));
}

int main(void)
{
	return report("memory", run());
}
