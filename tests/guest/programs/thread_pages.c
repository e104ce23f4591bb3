/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads of one address space that map, unmap, protect, discard and touch pages at once.
 *
 * First each changes pages of its own, which lie between those of the others, so that regions and
 * page tables are everybody's; it knows what each of its pages must answer, and looks. Then all
 * touch the same pages: while they are fresh; while one thread takes them away, or takes a right
 * away, after which nobody may get through any more; while one thread forks, whose child must see
 * pages that stand still. It prints the same on Linux.
 *
 * usage: thread_pages THREADS STEPS SEED
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include "guest.h"

#define THREADS_MAX 8
#define SLOTS 48	/* of each thread */
#define SLOT_PAGES 3	/* a slot, then the next thread's */
#define SHARED_PAGES 40
#define CHILDS UINT64_C(0xeeeeeeeeeeeeeeee) /* what a child writes */

/* --- accesses that may fault --- */

static _Thread_local sigjmp_buf back;
static _Thread_local volatile bool may_fault;

static void on_fault(int number)
{
	if (!may_fault)
		_exit(100 + number);
	siglongjmp(back, 1);
}

/* => false: it may not be read. */
static bool read_word(const char *page, uint64_t *value)
{
	bool done = false;

	may_fault = true;
	if (sigsetjmp(back, 0) == 0) {
		*value = *(const volatile uint64_t *)(const void *)page;
		done = true;
	}
	may_fault = false;
	return done;
}

static bool write_word(char *page, uint64_t value)
{
	volatile bool done = false;

	may_fault = true;
	if (sigsetjmp(back, 0) == 0) {
		*(volatile uint64_t *)(void *)page = value;
		done = true;
	}
	may_fault = false;
	return done;
}

/* --- what a thread knows --- */

struct model_page {
	bool is_mapped;
	int access;
	uint64_t value;
};

struct worker {
	pthread_t thread;
	uint64_t random; /* state of the generator: never 0 */
	unsigned number, count;
	long steps, written;
	char *memory;
	struct model_page pages[SLOTS * SLOT_PAGES];
	const char *wrong;
};

/* Marsaglia, "Xorshift RNGs", 2003. */
static uint64_t next_random(struct worker *worker)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return worker->random;
}

static unsigned below(struct worker *worker, unsigned limit)
{
	return (unsigned)(next_random(worker) % limit);
}

/* Slots of one thread lie as far apart as there are threads. */
static char *page_at(const struct worker *worker, unsigned page)
{
	unsigned slot = page / SLOT_PAGES * worker->count + worker->number;

	return worker->memory + (slot * SLOT_PAGES + page % SLOT_PAGES) * PAGE;
}

static void look(struct worker *worker, unsigned page)
{
	const struct model_page *model = &worker->pages[page];
	bool is_readable = model->is_mapped && model->access != PROT_NONE;
	uint64_t value = 0;

	if (read_word(page_at(worker, page), &value) != is_readable)
		worker->wrong = is_readable ? "a page cannot be read" : "a page can be read";
	else if (is_readable && value != model->value)
		worker->wrong = "a page has changed";
}

static void put(struct worker *worker, unsigned page)
{
	struct model_page *model = &worker->pages[page];
	bool is_writable = model->is_mapped && (model->access & PROT_WRITE) != 0;
	uint64_t value = (uint64_t)(worker->number + 1) << 32 | (uint64_t)worker->written++;

	if (write_word(page_at(worker, page), value) != is_writable)
		worker->wrong = is_writable ? "a page cannot be written" : "a page can be written";
	else if (is_writable)
		model->value = value;
}

/* --- what a thread does to its own pages --- */

static const int accesses[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE };

static void map(struct worker *worker, unsigned first, unsigned count)
{
	int access = accesses[below(worker, 4)];
	int kind = below(worker, 4) == 0 ? MAP_SHARED : MAP_PRIVATE;

	if (mmap(page_at(worker, first), count * PAGE, access, kind | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		worker->wrong = "mmap fails";
	for (unsigned i = first; i < first + count; i++)
		worker->pages[i] = (struct model_page){ .is_mapped = true, .access = access };
}

static void unmap(struct worker *worker, unsigned first, unsigned count)
{
	if (munmap(page_at(worker, first), count * PAGE) != 0)
		worker->wrong = "munmap fails";
	for (unsigned i = first; i < first + count; i++)
		worker->pages[i].is_mapped = false;
}

/* Linux' mprotect goes as far as the first hole. */
static void protect(struct worker *worker, unsigned first, unsigned count)
{
	int access = accesses[below(worker, 4)];
	bool is_whole = true;

	for (unsigned i = first; i < first + count && is_whole; i++) {
		is_whole = worker->pages[i].is_mapped;
		if (is_whole)
			worker->pages[i].access = access;
	}
	if ((mprotect(page_at(worker, first), count * PAGE, access) == 0) != is_whole)
		worker->wrong = "mprotect gives another result";
}

/* Private pages only: of shared ones the contents stay. */
static void discard(struct worker *worker, unsigned first, unsigned count)
{
	unmap(worker, first, count);
	if (mmap(page_at(worker, first), count * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		worker->wrong = "mmap fails";
	for (unsigned i = first; i < first + count; i++) {
		worker->pages[i] = (struct model_page){ true, PROT_READ | PROT_WRITE, 0 };
		put(worker, i);
	}
	if (madvise(page_at(worker, first), count * PAGE, MADV_DONTNEED) != 0)
		worker->wrong = "madvise fails";
	for (unsigned i = first; i < first + count; i++)
		worker->pages[i].value = 0;
}

static void step(struct worker *worker)
{
	unsigned slot = below(worker, SLOTS) * SLOT_PAGES, from = below(worker, SLOT_PAGES);
	unsigned first = slot + from, count = 1 + below(worker, SLOT_PAGES - from);

	switch (below(worker, 12)) {
	case 0:
	case 1:
		map(worker, first, count);
		break;
	case 2:
		unmap(worker, first, count);
		break;
	case 3:
	case 4:
		protect(worker, first, count);
		break;
	case 5:
		discard(worker, first, count);
		break;
	case 6:
	case 7:
	case 8:
		put(worker, first);
		break;
	default:
		look(worker, first);
	}
}

static void *work_alone(void *argument)
{
	struct worker *worker = argument;

	for (long i = 0; i < worker->steps && worker->wrong == NULL; i++)
		step(worker);
	for (unsigned page = 0; page < SLOTS * SLOT_PAGES && worker->wrong == NULL; page++)
		look(worker, page);
	return NULL;
}

/* --- the same pages --- */

enum { UNMAP, PROTECT, DISCARD, FORK, KINDS };
static const char *const kinds[KINDS] = { "unmapped", "protected", "discarded", "forked" };

static struct {
	pthread_barrier_t barrier;
	char *pages;
	uint64_t taken; /* what was to be taken away is away */
	bool is_over;
	int kind;
} shared;

static char *shared_word(unsigned page, unsigned number)
{
	return shared.pages + page * PAGE + number * sizeof(uint64_t);
}

/* All fault the same fresh pages in, each from another one on, and write their own words. */
static void fill(struct worker *worker)
{
	for (unsigned i = 0; i < SHARED_PAGES; i++) {
		unsigned page = (i + worker->number * 7) % SHARED_PAGES;

		if (!write_word(shared_word(page, worker->number), page * 100 + worker->number + 1))
			worker->wrong = "a fresh page cannot be written";
	}
	pthread_barrier_wait(&shared.barrier);
	for (unsigned page = 0; page < SHARED_PAGES; page++)
		for (unsigned number = 0; number < worker->count; number++) {
			uint64_t value = 0;

			if (!read_word(shared_word(page, number), &value) ||
			    value != page * 100 + number + 1)
				worker->wrong = "a word in a page that all fault in is lost";
		}
	pthread_barrier_wait(&shared.barrier);
}

/* Touches one word of its own. taken: whether it had been taken away before. */
static void touch(struct worker *worker, unsigned page, bool taken)
{
	char *word = shared_word(page, worker->number);
	uint64_t value = 0, expected = page * 100 + worker->number + 1;
	bool done;

	switch (shared.kind) {
	case UNMAP:
		done = read_word(word, &value);
		if (done && (taken || value != expected))
			worker->wrong = "an unmapped page is read";
		break;
	case PROTECT:
		if (write_word(word, expected) && taken)
			worker->wrong = "a protected page is written";
		break;
	case DISCARD:
		done = read_word(word, &value);
		if (!done || (value != 0 && (taken || value != expected)))
			worker->wrong = "a discarded page is as before";
		break;
	default:
		if (!write_word(word, next_random(worker)))
			worker->wrong = "a page cannot be written";
	}
}

/* In the child of a fork under writes: its pages stand still. */
static void see_stillness(void *unused)
{
	static char copy[SHARED_PAGES * PAGE];

	(void)unused;
	memcpy(copy, shared.pages, sizeof copy);
	usleep(3000);
	if (memcmp(copy, shared.pages, sizeof copy) != 0)
		_exit(1);
	for (unsigned page = 0; page < SHARED_PAGES; page++) /* which the parent must not see */
		for (unsigned number = 0; number < THREADS_MAX; number++)
			*(uint64_t *)(void *)shared_word(page, number) = CHILDS;
}

static void take_away(struct worker *worker)
{
	int status = 0;

	switch (shared.kind) {
	case UNMAP:
		status = munmap(shared.pages, SHARED_PAGES * PAGE);
		break;
	case PROTECT:
		status = mprotect(shared.pages, SHARED_PAGES * PAGE, PROT_READ);
		break;
	case DISCARD:
		status = madvise(shared.pages, SHARED_PAGES * PAGE, MADV_DONTNEED);
		break;
	default:
		if (run_in_child(see_stillness, NULL, &status) != LH_OK)
			status = 1;
	}
	if (status != 0)
		worker->wrong = "what takes pages away fails";
	__atomic_store_n(&shared.taken, 1, __ATOMIC_SEQ_CST);
}

static void touch_until_over(struct worker *worker)
{
	unsigned after = 0;

	for (unsigned i = worker->number; after < SHARED_PAGES && worker->wrong == NULL; i++) {
		bool taken = __atomic_load_n(&shared.taken, __ATOMIC_SEQ_CST) != 0;

		touch(worker, i % SHARED_PAGES, taken);
		after += taken;
	}
}

static void round_together(struct worker *worker, int round)
{
	if (worker->number == 0) {
		shared.kind = round % KINDS;
		shared.taken = 0;
		if (mmap(shared.pages, SHARED_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			worker->wrong = "mmap fails";
	}
	pthread_barrier_wait(&shared.barrier);
	fill(worker);
	if (worker->number == 0)
		take_away(worker);
	else
		touch_until_over(worker);
	pthread_barrier_wait(&shared.barrier);
	for (unsigned page = 0; page < SHARED_PAGES && shared.kind == FORK; page++) {
		uint64_t value = 0;

		if (!read_word(shared_word(page, worker->number), &value) || value == CHILDS)
			worker->wrong = "what a child wrote is in its parent";
	}
	pthread_barrier_wait(&shared.barrier);
}

static void *work_together(void *argument)
{
	struct worker *worker = argument;

	for (int round = 0; round < worker->steps; round++)
		round_together(worker, round);
	return NULL;
}

/* --- all of it --- */

static struct worker workers[THREADS_MAX];

static lh_error run_workers(unsigned count, long steps, void *(*function)(void *), const char *what)
{
	lh_error error = LH_OK;

	for (unsigned i = 0; i < count; i++) {
		workers[i].steps = steps;
		LH_TRY(lh_error_from_errno(pthread_create(&workers[i].thread, NULL, function, &workers[i])));
	}
	for (unsigned i = 0; i < count; i++) {
		LH_TRY(lh_error_from_errno(pthread_join(workers[i].thread, NULL)));
		if (workers[i].wrong != NULL) {
			printf("thread %u: %s\n", i, workers[i].wrong);
			error = LH_IO;
		}
	}
	printf("%u threads, %s\n", count, what);
	return error;
}

static lh_error run(unsigned count, long steps, uint64_t seed)
{
	struct sigaction action = { .sa_flags = SA_NODEFER };
	char *memory = NULL;

	if (count == 0 || count > THREADS_MAX)
		return LH_INVALID;
	action.sa_handler = on_fault;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	LH_TRY(map_pages(SLOTS * SLOT_PAGES * count, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, &memory));
	LH_TRY(map_pages(SHARED_PAGES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, &shared.pages));
	for (unsigned i = 0; i < count; i++) {
		workers[i] = (struct worker){ .random = seed * 1000 + i + 1, .number = i, .count = count,
					      .memory = memory };
		for (unsigned page = 0; page < SLOTS * SLOT_PAGES; page++)
			workers[i].pages[page].is_mapped = true;
	}
	LH_TRY(run_workers(count, steps, work_alone, "each with pages of its own"));
	pthread_barrier_init(&shared.barrier, NULL, count);
	for (int kind = 0; kind < KINDS; kind++)
		printf("pages that are %s\n", kinds[kind]);
	return run_workers(count, steps / 100, work_together, "all with the same pages");
}

int main(int argc, char **argv)
{
	lh_error error = LH_INVALID;

	if (argc == 4)
		error = run((unsigned)atoi(argv[1]), atol(argv[2]), (uint64_t)atol(argv[3]));
	return report("thread_pages", error);
}
