/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exhaustion: every sequence of operations, up to a depth, over a world of four pages (two before
 * and two behind a border of leaf tables), two processes, two CPUs, one file.
 *
 * Breadth first, by states: two sequences that lead to the same state are followed once. A state is
 * what the oracle knows of the spaces and objects, with frames named by the order in which they are
 * met, and the leaf that the library has for each page, and what each CPU has loaded. What is left
 * out (where free frames lie, which translations were used) the operations do not depend on; or if
 * they do by mistake, tapes find it.
 *
 * After each short sequence come also all pairs: an access, and in the middle of its fault, at each
 * turn that it has, something else (steps.c does that for chosen states).
 *
 * There is no way back from an operation, so each sequence is played from the start; but only its
 * last operation is checked, for the others were when they were last.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz/drive.h"
#include "space/space.h"

#define DEPTH_MAX 8
#define WORLD_LIFE 2000 /* sequences that one world is used for */

const tape_scale tape_scale_tiny = { .pages = 4, .before = 2, .spaces = 2,
				     .policy = LH_CHARGE_STRICT };

/* what, who (space, CPU * 16), place, places - 1, rights, how, value, trouble */
static const uint8_t alphabet[][TAPE_RECORD] = {
	{ TAPE_MAP, 0, 1, 1, 3, 24, 0, 0 },	 /* anonymous over both sides of the border */
	{ TAPE_MAP, 0, 1, 0, 3, 24 + 5, 0, 0 },	 /* a private page of the file */
	{ TAPE_MAP, 0, 2, 0, 3, 24 + 2, 0, 0 },	 /* a shared one */
	{ TAPE_MAP, 0, 0, 3, 1, 24, 0, 0 },
	{ TAPE_MAP, 0, 3, 0, 3, 16 + 7, 0, 0 },	 /* a stack at the upper end */
	{ TAPE_MAP, 0, 0, 0, 3, 16 + 7, 0, 0 },	 /* and at the lower, where it cannot grow */
	{ TAPE_MAP, 0, 1, 1, 3, 24, 0, 65 },	 /* a step of it fails */
	{ TAPE_UNMAP, 0, 1, 0, 0, 0, 0, 0 },
	{ TAPE_UNMAP, 0, 2, 0, 0, 0, 0, 0 },
	{ TAPE_UNMAP, 0, 0, 3, 0, 0, 0, 0 },
	{ TAPE_PROTECT, 0, 1, 0, 1, 0, 0, 0 },
	{ TAPE_PROTECT, 0, 1, 0, 3, 0, 0, 0 },
	{ TAPE_PROTECT, 0, 1, 1, 0, 0, 0, 0 },
	{ TAPE_PROTECT, 0, 1, 1, 3, 0, 0, 0 },
	{ TAPE_DISCARD, 0, 1, 0, 0, 0, 0, 0 },
	{ TAPE_DISCARD, 0, 1, 1, 0, 0, 0, 0 },
	{ TAPE_READ, 0, 1, 0, 0, 0, 0, 0 },
	{ TAPE_READ, 0, 2, 0, 0, 0, 0, 0 },
	{ TAPE_READ, 16, 1, 0, 0, 0, 0, 0 },
	{ TAPE_READ, 17, 1, 0, 0, 0, 0, 0 },
	{ TAPE_READ, 17, 2, 0, 0, 0, 0, 0 },
	{ TAPE_WRITE, 0, 1, 0, 0, 0, 1, 0 },
	{ TAPE_WRITE, 0, 2, 0, 0, 0, 1, 0 },
	{ TAPE_WRITE, 16, 1, 0, 0, 0, 2, 0 },
	{ TAPE_WRITE, 17, 1, 0, 0, 0, 3, 0 },
	{ TAPE_WRITE, 17, 2, 0, 0, 0, 3, 0 },
	{ TAPE_WRITE, 1, 1, 0, 0, 0, 3, 0 },
	{ TAPE_WRITE, 0, 1, 0, 0, 0, 1, 64 },
	{ TAPE_WRITE, 0, 1, 0, 0, 0, 1, 65 },
	{ TAPE_READ, 0, 1, 0, 0, 0, 0, 128 },	 /* the pager fails */
	{ TAPE_READ, 0, 0, 0, 0, TAPE_HOW_BELOW, 0, 0 },
	{ TAPE_FORK, 0, 0, 0, 0, 0, 0, 0 },
	{ TAPE_FORK, 1, 0, 0, 0, 0, 0, 0 },
	{ TAPE_FORK, 0, 0, 0, 0, 0, 0, 65 },
	{ TAPE_DESTROY, 0, 0, 0, 0, 0, 0, 0 },
	{ TAPE_DESTROY, 1, 0, 0, 0, 0, 0, 0 },
	{ TAPE_LOAD, 16, 0, 0, 0, 0, 1, 0 },	 /* CPU 1 leaves for the kernel */
	{ TAPE_RESIZE, 16, 0, 0, 0, 0, 0, 0 },
	{ TAPE_RESIZE, 16, 0, 0, 0, 0, 3, 0 },
	{ TAPE_OBJECT_WRITE, 0, 0, 0, 0, 1, 5, 0 },
	{ TAPE_SYNC, 0, 0, 0, 0, 0, 0, 0 },
};
#define ALPHABET (sizeof alphabet / sizeof alphabet[0])

/* What faults, and what happens in the middle. */
static const uint8_t faulting[][TAPE_RECORD] = {
	{ TAPE_READ, 0, 1, 0, 0, 0, 0, 192 },
	{ TAPE_WRITE, 0, 1, 0, 0, 0, 1, 192 },
	{ TAPE_WRITE, 1, 1, 0, 0, 0, 3, 192 },
};
static const uint8_t events[][TAPE_RECORD] = {
	{ TAPE_MAP, 0, 1, 0, 1, 24, 0, 0 },
	{ TAPE_UNMAP, 0, 1, 0, 0, 0, 0, 0 },
	{ TAPE_UNMAP, 0, 0, 3, 0, 0, 0, 0 },
	{ TAPE_PROTECT, 0, 1, 0, 1, 0, 0, 0 },
	{ TAPE_PROTECT, 0, 1, 1, 0, 0, 0, 0 },
	{ TAPE_DISCARD, 0, 1, 0, 0, 0, 0, 0 },
	{ TAPE_READ, 0, 1, 0, 0, 0, 0, 0 },
	{ TAPE_WRITE, 0, 1, 0, 0, 0, 2, 0 },
	{ TAPE_FORK, 0, 0, 0, 0, 0, 0, 0 },
	{ TAPE_DESTROY, 1, 0, 0, 0, 0, 0, 0 },
	{ TAPE_RESIZE, 16, 0, 0, 0, 0, 0, 0 },
	{ TAPE_OBJECT_WRITE, 0, 0, 0, 0, 1, 5, 0 },
	{ TAPE_SYNC, 0, 0, 0, 0, 0, 0, 0 },
};
#define FAULTING (sizeof faulting / sizeof faulting[0])
#define EVENTS (sizeof events / sizeof events[0])
#define PAIRS_DEPTH 2 /* sequences up to this long are followed by pairs */
#define TURNS_MAX 60  /* that a trouble byte can name */

/* --- states --- */

struct hashing {
	uint64_t hash;
	const oracle_frame *frames[64];
	unsigned frame_count;
};

static void add(struct hashing *hashing, uint64_t value)
{
	hashing->hash = (hashing->hash ^ value) * 0x9e3779b97f4a7c15u;
	hashing->hash ^= hashing->hash >> 29;
}

/* By the order in which they are met. */
static void add_frame(struct hashing *hashing, const oracle_frame *frame)
{
	unsigned n = 0;

	if (!frame)
		return;
	while (n < hashing->frame_count && hashing->frames[n] != frame)
		n++;
	if (n == hashing->frame_count && n < 64)
		hashing->frames[hashing->frame_count++] = frame;
	add(hashing, n);
	for (unsigned word = 0; word < ORACLE_WORDS; word++)
		add(hashing, frame->words[word]);
}

static void add_page(struct hashing *hashing, space_oracle *oracle, unsigned n, uint64_t at)
{
	const oracle_page *page = &oracle->space[n]->pages[at];
	lh_leaf leaf = world_leaf(&oracle->world, n, at);

	add(hashing, (uint64_t)page->mapped << 32 | page->backing);
	add(hashing, (uint64_t)page->rights << 32 | (uint64_t)page->history << 16 | page->rights_max);
	add(hashing, (uint64_t)page->flags << 32 | page->leaf);
	add(hashing, (uint64_t)page->object_page << 8 | (uint64_t)(page->object + 1));
	add(hashing, (uint64_t)leaf.kind << 8 | leaf.rights);
	add_frame(hashing, page->own);
}

static void add_object(struct hashing *hashing, const oracle_object *object)
{
	add(hashing, object->size);
	for (uint64_t page = 0; page < oracle_object_pages(object); page++) {
		add(hashing, object->present[page]);
		for (unsigned word = 0; word < ORACLE_WORDS; word++)
			add(hashing, object->words[page][word] + 3 * object->disk[page][word]);
		/* Which pages are dirty, and so on; not which frames. */
		add(hashing, lh_page_index_get(&object->object->index, page) & 255);
	}
}

static uint64_t state_of(space_oracle *oracle)
{
	struct hashing hashing = { .hash = 1 };

	for (unsigned n = 0; n < tape_scale_tiny.spaces; n++) {
		add(&hashing, oracle->space[n] != NULL);
		for (uint64_t page = 0; oracle->space[n] && page < oracle->count; page++)
			add_page(&hashing, oracle, n, page);
	}
	for (unsigned n = 0; n < ORACLE_OBJECTS; n++)
		add_object(&hashing, &oracle->objects[n]);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		add(&hashing, (uint64_t)(oracle->world.loaded[cpu] + 1));
	return hashing.hash;
}

/* --- a set of states --- */

struct states {
	uint64_t *slots;
	size_t room, count;
};

static bool is_new(struct states *states, uint64_t state)
{
	size_t at;

	if (states->count * 2 >= states->room) {
		struct states larger = { calloc(states->room * 2 + 1024, sizeof(uint64_t)),
					 states->room * 2 + 1024, 0 };

		if (!larger.slots)
			abort();
		for (size_t i = 0; i < states->room; i++)
			if (states->slots[i])
				(void)is_new(&larger, states->slots[i]);
		free(states->slots);
		*states = larger;
	}
	for (at = state % states->room; states->slots[at]; at = (at + 1) % states->room)
		if (states->slots[at] == state)
			return false;
	states->slots[at] = state;
	states->count++;
	return true;
}

/* --- sequences --- */

struct sequence {
	uint8_t length;
	uint8_t operations[DEPTH_MAX];
	/* Then, if turn is not 0, a pair. */
	uint8_t turn, faulting, event;
};

struct search {
	unsigned depth;
	double end;
	bool print;
	space_oracle oracle;
	unsigned uses; /* of the world */
	struct states states;
	struct sequence *list; /* states found, by the sequence that leads there */
	size_t count, room;
	uint64_t played, pairs;
};

/* For the parent, which reports it if the process ends. */
static struct sequence *current;

static void begin_world(struct search *search)
{
	space_oracle *oracle = &search->oracle;

	if (search->uses++ % WORLD_LIFE == 0) {
		if (search->uses > 1)
			oracle_close(oracle);
		tape_open(oracle, &tape_scale_tiny);
	}
	for (unsigned cpu = 0; cpu < 2; cpu++)
		world_load(&oracle->world, cpu, -1);
	for (unsigned n = 0; n < tape_scale_tiny.spaces; n++)
		if (oracle->space[n])
			oracle_destroy(oracle, n);
	for (unsigned n = 0; n < ORACLE_OBJECTS; n++) {
		oracle_resize(oracle, n, 0);
		oracle_resize(oracle, n, 2 * PAGE);
	}
	oracle_make(oracle, 0, &(lh_space_limits){ .stack_pages = 3 });
}

/* The pair of a sequence, as records. */
static void write_pair(const struct sequence *sequence, uint8_t bytes[2 * TAPE_RECORD])
{
	memcpy(bytes, faulting[sequence->faulting], TAPE_RECORD);
	bytes[TAPE_BYTE_TROUBLE] = (uint8_t)(191 + sequence->turn);
	memcpy(bytes + TAPE_RECORD, events[sequence->event], TAPE_RECORD);
}

static void play_sequence(struct search *search, const struct sequence *sequence)
{
	unsigned last = sequence->length - (sequence->turn ? 0u : 1u);
	uint8_t pair[2 * TAPE_RECORD];

	*current = *sequence;
	begin_world(search);
	for (unsigned i = 0; i < sequence->length; i++)
		tape_play(&search->oracle, &tape_scale_tiny, alphabet[sequence->operations[i]],
			  TAPE_RECORD, i < last ? TAPE_UNCHECKED : TAPE_CHECKED);
	search->played++;
	if (sequence->turn == 0)
		return;
	write_pair(sequence, pair);
	tape_play(&search->oracle, &tape_scale_tiny, pair, sizeof pair, TAPE_CHECKED);
}

/* Each event at each turn of each fault, after one sequence. */
static bool follow_by_pairs(struct search *search, struct sequence sequence)
{
	for (unsigned pair = 0; pair < FAULTING * EVENTS; pair++) {
		uint64_t before;

		sequence.faulting = (uint8_t)(pair / EVENTS);
		sequence.event = (uint8_t)(pair % EVENTS);
		sequence.turn = 0;
		do {
			if (drive_now() > search->end)
				return false;
			sequence.turn++;
			before = search->oracle.happened;
			play_sequence(search, &sequence);
			search->pairs++;
		} while (search->oracle.happened != before && sequence.turn < TURNS_MAX);
	}
	return true;
}

static void keep(struct search *search, const struct sequence *sequence)
{
	if (search->count == search->room) {
		search->room = search->room * 2 + 1024;
		search->list = realloc(search->list, search->room * sizeof *search->list);
		if (!search->list)
			abort();
	}
	search->list[search->count++] = *sequence;
}

/* Each operation after one sequence. => false: no more time. */
static bool extend(struct search *search, size_t index)
{
	for (uint8_t n = 0; n < ALPHABET; n++) {
		struct sequence sequence = search->list[index];

		if (drive_now() > search->end)
			return false;
		sequence.operations[sequence.length++] = n;
		play_sequence(search, &sequence);
		if (is_new(&search->states, state_of(&search->oracle)))
			keep(search, &sequence);
	}
	return search->list[index].length >= PAIRS_DEPTH + 1 ||
	       follow_by_pairs(search, search->list[index]);
}

static void search_all(void *context)
{
	struct search *search = context;
	size_t first = 0;

	play_sequence(search, &(struct sequence){ 0 });
	(void)is_new(&search->states, state_of(&search->oracle));
	keep(search, &(struct sequence){ 0 });
	for (unsigned depth = 1; depth <= search->depth && depth <= DEPTH_MAX; depth++) {
		size_t last = search->count, at = first;

		while (at < last && extend(search, at))
			at++;
		if (search->print)
			printf("exhaustion: depth %u%s: %" PRIu64 " sequences played (%" PRIu64
			       " with a pair), %zu states\n", depth, at < last ? " (time is up)" : "",
			       search->played, search->pairs, search->states.count);
		if (at < last)
			break;
		first = last;
	}
	fflush(stdout);
	oracle_close(&search->oracle);
}

/* As a tape. */
static size_t bytes_of(const struct sequence *sequence, uint8_t *bytes)
{
	for (unsigned i = 0; i < sequence->length; i++)
		memcpy(bytes + i * TAPE_RECORD, alphabet[sequence->operations[i]], TAPE_RECORD);
	if (sequence->turn)
		write_pair(sequence, bytes + sequence->length * TAPE_RECORD);
	return (sequence->length + (sequence->turn ? 2u : 0u)) * (size_t)TAPE_RECORD;
}

drive_result drive_exhaust(unsigned depth, double seconds, bool print, uint8_t *bytes, size_t *count)
{
	static struct search search;
	drive_result result;

	current = mmap(NULL, sizeof *current, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (current == MAP_FAILED)
		abort();
	search = (struct search){ .depth = depth, .end = drive_now() + seconds, .print = print };
	result = drive_apart(search_all, &search, (unsigned)seconds + 60);
	*count = bytes_of(current, bytes);
	munmap(current, sizeof *current);
	return result;
}
