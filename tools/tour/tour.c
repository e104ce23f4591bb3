/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A short tour of the kernel by numbers: a process's maps, what a fork costs and what the
 * first write after it costs, a pipeline of unmodified programs, and memory before and
 * after. The first process on the kernel, started by `make run` without a terminal.
 */
#include "guest.h"

#define PAGES 4096

struct counters {
	long free_frames, table_pages, regions, charges;
};

static lh_error read_counters(struct counters *counters)
{
	FILE *file;
	char line[128];

	/* The stacks of threads that ended are given back a moment later. */
	usleep(300000);
	file = fopen("/proc/meminfo", "r");
	if (!file)
		return last_error();
	*counters = (struct counters){ -1, -1, -1, -1 };
	while (fgets(line, sizeof line, file)) {
		sscanf(line, "FreeFrames: %ld", &counters->free_frames);
		sscanf(line, "TablePages: %ld", &counters->table_pages);
		sscanf(line, "Regions: %ld", &counters->regions);
		sscanf(line, "Charges: %ld", &counters->charges);
	}
	fclose(file);
	return counters->free_frames < 0 ? LH_UNSUPPORTED : LH_OK;
}

static void print_heading(const char *text)
{
	printf("\n-- %s\n", text);
	fflush(stdout);
}

static lh_error print_file(const char *name)
{
	FILE *file = fopen(name, "r");
	char line[256];

	if (!file)
		return last_error();
	while (fgets(line, sizeof line, file))
		fputs(line, stdout);
	fclose(file);
	return LH_OK;
}

static lh_error say_frames(const char *what)
{
	static long last = -1;
	struct counters now;

	LH_TRY(read_counters(&now));
	if (last < 0)
		last = now.free_frames;
	printf("%-44s %6ld frames taken, %3ld table pages in use\n", what, last - now.free_frames,
	       now.table_pages);
	fflush(stdout);
	last = now.free_frames;
	return LH_OK;
}

/* Writes to each of count pages. */
static void touch(char *memory, size_t count)
{
	for (size_t page = 0; page < count; page++)
		*(volatile char *)(memory + page * PAGE) = (char)(page + 1);
}

static lh_error child_writes(char *memory)
{
	LH_TRY(say_frames("fork: the child shares all pages"));
	touch(memory, 100);
	LH_TRY(say_frames("the child writes to 100 of them"));
	return LH_OK;
}

static lh_error show_fork(void)
{
	char *memory = NULL;
	pid_t child = -1;
	int status;

	LH_TRY(say_frames("before"));
	LH_TRY(private_pages(PAGES, &memory));
	LH_TRY(say_frames("mmap of 4096 pages, untouched"));
	touch(memory, PAGES);
	LH_TRY(say_frames("written to, each page"));
	LH_TRY(fork_process(&child));
	if (child == 0)
		_exit(report("tour", child_writes(memory)));
	LH_TRY(wait_for(child, &status));
	if (status != 0)
		return LH_IO;
	LH_TRY(say_frames("the child has ended"));
	LH_TRY(check_call(munmap(memory, PAGES * PAGE)));
	return say_frames("munmap");
}

static lh_error run_shell(const char *script)
{
	pid_t child = -1;
	int status;

	printf("$ %s\n", script);
	LH_TRY(fork_process(&child));
	if (child == 0) {
		execl("/bin/busybox", "sh", "-c", script, (char *)NULL);
		_exit(127);
	}
	LH_TRY(wait_for(child, &status));
	return status == 0 ? LH_OK : LH_IO;
}

static void print_counters(const char *when, const struct counters *counters)
{
	printf("%-8s %8ld free frames %5ld table pages %5ld regions %8ld charges\n", when,
	       counters->free_frames, counters->table_pages, counters->regions, counters->charges);
}

/* Table pages, regions and charges are back to the last one. A few frames the kernel keeps for
 * the next time: the heap a slab of each size, a pool its partly used pages. */
static lh_error show_nothing_is_lost(void)
{
	static const char hundred[] =
		"i=0; while [ $i -lt 100 ]; do sleep 1 & i=$((i+1)); done; wait; echo 100 children";
	struct counters before, after;

	LH_TRY(run_shell(hundred));
	LH_TRY(read_counters(&before));
	LH_TRY(run_shell(hundred));
	LH_TRY(read_counters(&after));
	print_counters("before", &before);
	print_counters("after", &after);
	return after.table_pages == before.table_pages && after.regions == before.regions &&
			       after.charges == before.charges ?
		       LH_OK :
		       LH_LIMIT;
}

static lh_error tour(void)
{
	print_heading("the machine");
	LH_TRY(run_shell("grep -E 'vendor_id|cpu family|model|stepping' /proc/cpuinfo; grep Mem /proc/meminfo"));
	print_heading("this process's regions (/proc/self/maps)");
	LH_TRY(print_file("/proc/self/maps"));
	print_heading("fork and copy on write");
	LH_TRY(show_fork());
	print_heading("a pipeline of Debian's busybox, unmodified");
	LH_TRY(run_shell("seq 1 200000 | sort -rn | md5sum"));
	print_heading("memory before and after 100 children");
	return show_nothing_is_lost();
}

int main(void)
{
	return report("tour", tour());
}
