/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many processes at once that fork, fault, map, unmap, protect and exit, each checking that its memory is
 * its own: every word that it writes says who wrote it and where.
 *
 * usage: storm SEED PROCESSES STEPS    so many processes, so many steps each
 *        storm SEED tree DEPTH TREES   random trees of forks, so deep; one after the other
 */
#include <sched.h>
#include <signal.h>

#include "guest.h"

#define SLOTS 8
#define PAGES_MAX 64

static uint64_t state;

static uint64_t random_bits(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void seed_with(uint64_t seed)
{
	state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	for (int i = 0; i < 8; i++)
		random_bits();
}

/* Something mapped: pages with a word each, of which bit i says that page i was written. */
struct slot {
	char *memory;
	size_t pages;
	uint64_t written, key;
	bool is_shared;
};
static struct slot slots[SLOTS];

static uint64_t word_of(const struct slot *slot, size_t page)
{
	return slot->key ^ (page * UINT64_C(0x100000001b3));
}

static volatile uint64_t *place(const struct slot *slot, size_t page)
{
	return (volatile uint64_t *)(void *)(slot->memory + page * PAGE + page * 8 % PAGE);
}

/* Another's word, or a lost one, is the end. */
static void check_page(const struct slot *slot, size_t page)
{
	uint64_t wanted = slot->written >> page & 1 ? word_of(slot, page) : 0, found = *place(slot, page);

	if (found != wanted) {
		fprintf(stderr, "storm: page %zu of %p has %#llx, not %#llx\n", page, (void *)slot->memory,
			(unsigned long long)found, (unsigned long long)wanted);
		_exit(99);
	}
}

static void write_page(struct slot *slot, size_t page)
{
	*place(slot, page) = word_of(slot, page);
	slot->written |= UINT64_C(1) << page;
}

static void map_slot(struct slot *slot)
{
	slot->pages = 1 + random_bits() % PAGES_MAX;
	slot->is_shared = random_bits() % 4 == 0;
	slot->written = 0;
	slot->key = random_bits();
	if (map_pages(slot->pages, PROT_READ | PROT_WRITE,
		      MAP_ANONYMOUS | (slot->is_shared ? MAP_SHARED : MAP_PRIVATE), &slot->memory) != LH_OK)
		slot->memory = NULL;
}

static void unmap_slot(struct slot *slot)
{
	for (size_t page = 0; page < slot->pages; page++)
		check_page(slot, page);
	munmap(slot->memory, slot->pages * PAGE);
	slot->memory = NULL;
}

/* A part becomes unreadable, and comes back as it was. */
static void protect_part(struct slot *slot)
{
	size_t from = random_bits() % slot->pages, pages = 1 + random_bits() % (slot->pages - from);

	if (mprotect(slot->memory + from * PAGE, pages * PAGE, PROT_NONE) != 0)
		return;
	sched_yield();
	while (mprotect(slot->memory + from * PAGE, pages * PAGE, PROT_READ | PROT_WRITE) != 0)
		continue; /* out of regions or memory: the others end */
	check_page(slot, from);
}

static void discard_part(struct slot *slot)
{
	size_t page = random_bits() % slot->pages;

	if (!slot->is_shared && madvise(slot->memory + page * PAGE, PAGE, MADV_DONTNEED) == 0)
		slot->written &= ~(UINT64_C(1) << page);
}

/* A child sees what the parent wrote, changes its own copy, and the parent's stays. */
static void fork_and_look(void)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		for (size_t i = 0; i < SLOTS; i++)
			for (size_t page = 0; slots[i].memory && page < slots[i].pages; page++) {
				check_page(&slots[i], page);
				if (!slots[i].is_shared && random_bits() % 2)
					*place(&slots[i], page) = ~word_of(&slots[i], page);
			}
		_exit(0);
	}
	if (child > 0 && (waitpid(child, &status, 0) != child || (status != 0 && status != SIGKILL)))
		_exit(98);
}

static void step(void)
{
	struct slot *slot = &slots[random_bits() % SLOTS];

	if (!slot->memory) {
		map_slot(slot);
		return;
	}
	switch (random_bits() % 12) {
	case 0:
		unmap_slot(slot);
		return;
	case 1:
		fork_and_look();
		return;
	case 2:
		protect_part(slot);
		return;
	case 3:
		discard_part(slot);
		return;
	default:
		write_page(slot, random_bits() % slot->pages);
		check_page(slot, random_bits() % slot->pages);
	}
}

static _Noreturn void take_steps(uint64_t steps)
{
	while (steps-- > 0)
		step();
	for (size_t i = 0; i < SLOTS; i++)
		if (slots[i].memory)
			unmap_slot(&slots[i]);
	_exit(0);
}

static lh_error collect(uint64_t count)
{
	int status;

	while (count-- > 0) {
		if (wait(&status) == -1)
			return last_error();
		if (status != 0) {
			printf("a process ended with %s\n", status_text(status));
			return LH_IO;
		}
	}
	return LH_OK;
}

static lh_error storm(uint64_t seed, uint64_t processes, uint64_t steps)
{
	for (uint64_t number = 0; number < processes; number++) {
		pid_t child = -1;

		LH_TRY(fork_process(&child));
		if (child == 0) {
			seed_with(seed * 1000003 + number);
			take_steps(steps);
		}
	}
	return collect(processes);
}

/* --- trees --- */

#define BRANCHES_MAX 2 /* of a tree; each goes down to its depth as well */

static uint32_t *branches; /* shared: of this tree */
static char *inherited;

static bool may_branch(void)
{
	return random_bits() % 4 == 0 && __atomic_add_fetch(branches, 1, __ATOMIC_SEQ_CST) <= BRANCHES_MAX;
}

static void grow(unsigned depth);

static void grow_child(unsigned depth)
{
	pid_t child = fork();

	if (child == 0) {
		grow(depth - 1);
		_exit(0);
	}
	if (child == -1)
		_exit(97);
}

/* Each node writes to the page that it has from its parent, makes a child or two, waits for them, and
 * finds its page unchanged. */
static void grow(unsigned depth)
{
	uint64_t mark = random_bits();
	int status;

	memcpy(inherited, &mark, sizeof mark);
	if (depth > 0)
		grow_child(depth);
	if (depth > 0 && may_branch()) /* what is drawn makes the second child another one */
		grow_child(depth);
	while (wait(&status) > 0)
		if (status != 0)
			_exit(96);
	if (memcmp(inherited, &mark, sizeof mark) != 0)
		_exit(95);
}

static lh_error grow_trees(uint64_t seed, uint64_t depth, uint64_t trees)
{
	char *shared = NULL;

	LH_TRY(private_pages(1, &inherited));
	LH_TRY(map_pages(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &shared));
	branches = (uint32_t *)(void *)shared;
	for (uint64_t tree = 0; tree < trees; tree++) {
		seed_with(seed * 1000003 + tree);
		*branches = 0;
		grow((unsigned)depth);
	}
	return LH_OK;
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[2], "tree") == 0)
		return report("storm", grow_trees(number(argv[1]), number(argv[3]), number(argv[4])));
	if (argc == 4)
		return report("storm", storm(number(argv[1]), number(argv[2]), number(argv[3])));
	return report("storm", LH_INVALID);
}
