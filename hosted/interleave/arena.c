/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arena: all memory of a case, at a fixed address, saved once and restored before each run.
 *
 *     tokens, aligned_alloc, mmap ...  |  stacks  |  header, malloc, calloc ...
 *     shared                           |          |  private
 *
 * The shared part is restored by the pages that instrumented code, or a memcpy or memset of
 * anyone, wrote to. The private part is small, written to by code that is not instrumented, and
 * restored whole. The allocators' own state lies in the private part's header, so it goes back too.
 *
 * The program is linked with --wrap for the functions below: calls from the C library itself are
 * not ours, and stay where they were.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLASSES 24
#define PARTS (INTERLEAVE_FIBRES + 1)
#define PART_SIZE (PRIVATE_SIZE / 8)
#define LARGE (UINT64_C(64) << 10)
#define SHARED_PAGES (SHARED_SIZE >> PAGE_SHIFT)

struct block {
	uint64_t class;	    /* log2 of the size, this header included */
	struct block *next; /* free */
};

/* A part of the private part for each fibre, and one for what none of them takes: so where a
 * block lies does not depend on what others took before. */
struct part {
	uint64_t used;
	struct block *free[CLASSES];
};

struct header {
	uint64_t shared_used;
	struct part parts[PARTS];
};

static struct header *const header = (struct header *)PRIVATE_BASE;
static bool is_open;
static uint8_t *saved_shared, *saved_private;
static uint64_t saved_shared_used, saved_used[PARTS];
static uint8_t is_dirty[SHARED_PAGES];
static uint32_t dirty_pages[SHARED_PAGES];
static unsigned dirty_count;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__real_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
int __real_munmap(void *address, size_t size);
int __real_mprotect(void *address, size_t size, int protection);
void *__real_memmove(void *to, const void *from, size_t size);
void *__real_memset(void *to, int byte, size_t size);

_Noreturn static void give_up(const char *why)
{
	fprintf(stderr, "interleave: %s\n", why);
	abort();
}

void arena_create(void)
{
	uint64_t size = PRIVATE_BASE + PRIVATE_SIZE - ARENA_BASE;

	if (__real_mmap((void *)ARENA_BASE, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
			0) != (void *)ARENA_BASE)
		give_up("the arena's addresses are taken");
	for (unsigned i = 0; i < STACKS; i++) /* the lowest page of each stack traps */
		__real_mprotect((void *)(STACKS_BASE + i * STACK_SIZE), UINT64_C(1) << PAGE_SHIFT,
				PROT_NONE);
	header->shared_used = UINT64_C(1) << PAGE_SHIFT; /* the tokens' page */
	header->parts[0].used = sizeof *header;
}

void arena_open(bool open)
{
	is_open = open;
}

const void *interleave_token(unsigned number)
{
	return (const void *)(ARENA_BASE + number % TOKENS * 8);
}

/* --- saving --- */

static void note_page(uint64_t page)
{
	if (is_dirty[page])
		return;
	is_dirty[page] = 1;
	dirty_pages[dirty_count++] = (uint32_t)page;
}

void arena_dirty(uint64_t offset, uint64_t size)
{
	uint64_t last = (offset + size - 1) >> PAGE_SHIFT;

	for (uint64_t page = offset >> PAGE_SHIFT; page <= last && page < SHARED_PAGES; page++)
		note_page(page);
}

static uint8_t *part_base(unsigned part)
{
	return (uint8_t *)PRIVATE_BASE + part * PART_SIZE;
}

/* Part 0 is all that was taken while the state was built. */
void arena_save(void)
{
	saved_shared_used = (header->shared_used + 0xfff) & ~UINT64_C(0xfff);
	saved_shared = __real_malloc(saved_shared_used);
	saved_private = __real_malloc(header->parts[0].used);
	if (!saved_shared || !saved_private)
		give_up("no memory to save the arena in");
	for (unsigned part = 0; part < PARTS; part++)
		saved_used[part] = header->parts[part].used;
	__real_memcpy(saved_shared, (void *)ARENA_BASE, saved_shared_used);
	__real_memcpy(saved_private, (void *)PRIVATE_BASE, saved_used[0]);
	__real_memset(is_dirty, 0, sizeof is_dirty);
	dirty_count = 0;
}

void arena_restore(void)
{
	for (unsigned i = 0; i < dirty_count; i++) {
		uint64_t offset = (uint64_t)dirty_pages[i] << PAGE_SHIFT;

		if (offset < saved_shared_used)
			__real_memcpy((void *)(ARENA_BASE + offset), saved_shared + offset,
				      UINT64_C(1) << PAGE_SHIFT);
		else
			__real_memset((void *)(ARENA_BASE + offset), 0, UINT64_C(1) << PAGE_SHIFT);
		is_dirty[dirty_pages[i]] = 0;
	}
	dirty_count = 0;
	__real_memcpy((void *)PRIVATE_BASE, saved_private, saved_used[0]);
}

/* Four lanes, so that the multiplications overlap. */
static uint64_t hash_words(uint64_t hash, const uint64_t *words, uint64_t count)
{
	uint64_t lanes[4] = { hash, 1, 2, 3 };

	for (uint64_t i = 0; i + 4 <= count; i += 4)
		for (unsigned lane = 0; lane < 4; lane++) {
			lanes[lane] = (lanes[lane] ^ words[i + lane]) *
				      UINT64_C(0x9e3779b97f4a7c15);
			lanes[lane] ^= lanes[lane] >> 29;
		}
	return ((lanes[0] * 31 + lanes[1]) * 31 + lanes[2]) * 31 + lanes[3];
}

uint64_t arena_hash(void)
{
	uint64_t hash = 0, sum = 0;

	for (unsigned part = 0; part < PARTS; part++)
		hash = hash_words(hash, (const uint64_t *)(void *)part_base(part),
				  header->parts[part].used / 8);

	/* In whatever order the pages were written: a page that is as it was saved counts as one
	 * that was not written. */
	for (unsigned i = 0; i < dirty_count; i++) {
		uint64_t offset = (uint64_t)dirty_pages[i] << PAGE_SHIFT;
		const uint64_t *now = (const uint64_t *)(ARENA_BASE + offset);

		if (offset < saved_shared_used &&
		    __real_memcmp(now, saved_shared + offset, UINT64_C(1) << PAGE_SHIFT) == 0)
			continue;
		sum += hash_words(offset, now, 512);
	}
	return hash + sum * UINT64_C(0x9e3779b97f4a7c15);
}

uintptr_t arena_compare(void)
{
	const uint8_t *now = (const uint8_t *)ARENA_BASE;

	if (__real_memcmp(now, saved_shared, saved_shared_used) == 0)
		return 0;
	for (uint64_t i = 0; i < saved_shared_used; i++)
		if (now[i] != saved_shared[i])
			return ARENA_BASE + i;
	return 0;
}

/* --- allocating --- */

static bool is_private(const void *memory)
{
	return (uintptr_t)memory - PRIVATE_BASE < PRIVATE_SIZE;
}

static bool is_ours(const void *memory)
{
	return (uintptr_t)memory - ARENA_BASE < PRIVATE_BASE + PRIVATE_SIZE - ARENA_BASE;
}

static void *take_shared(size_t alignment, size_t size)
{
	uint64_t at = (header->shared_used + alignment - 1) & ~(alignment - 1);

	if (at + size > SHARED_SIZE)
		give_up("the shared part of the arena is full");
	header->shared_used = at + size;
	return (void *)(ARENA_BASE + at);
}

static struct block *cut(struct part *part, unsigned number, uint64_t class)
{
	struct block *block = (struct block *)(void *)(part_base(number) + part->used);
	uint64_t size = UINT64_C(1) << class;

	if (class >= CLASSES || part->used + size > PART_SIZE)
		give_up("the private part of the arena is full");
	part->used += size;
	__real_memset(block, 0, size);
	block->class = class;
	return block;
}

static void *take_private(size_t size)
{
	unsigned number = (unsigned)(interleave_current() + 1);
	struct part *part = &header->parts[number];
	struct block *block;
	uint64_t class = 5;

	while ((UINT64_C(1) << class) < size + 16)
		class++;
	block = class < CLASSES ? part->free[class] : NULL;
	if (block)
		part->free[class] = block->next;
	else
		block = cut(part, number, class);
	block->next = NULL;
	return (uint8_t *)block + 16;
}

static void give_private(void *memory)
{
	struct block *block = (struct block *)(void *)((uint8_t *)memory - 16);
	struct part *part = &header->parts[((uintptr_t)block - PRIVATE_BASE) / PART_SIZE];

	/* What was in it shall not make two states of one. */
	__real_memset(memory, 0, (UINT64_C(1) << block->class) - 16);
	block->next = part->free[block->class];
	part->free[block->class] = block;
}

/* What is large is written by memcpy, and better restored by the page. */
static void *take(size_t size)
{
	return size >= LARGE ? take_shared(64, size) : take_private(size);
}

void *__wrap_malloc(size_t size)
{
	return is_open ? take(size) : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	void *memory;

	if (!is_open)
		return __real_calloc(count, size);
	memory = take(count * size);
	if (count * size >= LARGE)
		arena_dirty((uintptr_t)memory - ARENA_BASE, count * size);
	return __real_memset(memory, 0, count * size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return is_open ? take_shared(alignment < 64 ? 64 : alignment, size)
		       : __real_aligned_alloc(alignment, size);
}

void __wrap_free(void *memory)
{
	if (!is_ours(memory))
		__real_free(memory);
	else if (is_private(memory))
		give_private(memory);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
	if (!is_open || (flags & MAP_ANONYMOUS) == 0)
		return __real_mmap(address, size, protection, flags, file, offset);
	return take_shared(UINT64_C(1) << PAGE_SHIFT, size);
}

int __wrap_munmap(void *address, size_t size)
{
	return is_ours(address) ? 0 : __real_munmap(address, size);
}

int __wrap_mprotect(void *address, size_t size, int protection)
{
	return is_ours(address) ? 0 : __real_mprotect(address, size, protection);
}

/* --- what compilers leave to these functions --- */

/*
 * A copy is two steps, a read and a write. Each takes effect where it is made: what was read is
 * kept aside, since at the write another fibre may come first. A long one is several of each.
 */
#define PIECE 4096
static uint8_t asides[INTERLEAVE_FIBRES][PIECE];

static bool is_watched(const void *memory)
{
	return (uintptr_t)memory - ARENA_BASE < WATCHED_SIZE;
}

static void note(const void *memory, size_t size, enum kind kind, const void *code)
{
	if (is_watched(memory) && size != 0)
		run_access((uintptr_t)memory, (uint32_t)size, kind, code);
}

static void copy(uint8_t *to, const uint8_t *from, size_t size, const void *code)
{
	uint8_t *aside;

	note(from, size, KIND_READ, code);
	if (run.current && is_watched(to) && is_watched(from)) {
		aside = asides[interleave_current()];
		__real_memcpy(aside, from, size);
		from = aside;
	}
	note(to, size, KIND_WRITE, code);
	__real_memmove(to, from, size);
}

void *__wrap_memcpy(void *to, const void *from, size_t size)
{
	for (size_t at = 0; at < size; at += PIECE)
		copy((uint8_t *)to + at, (const uint8_t *)from + at,
		     size - at < PIECE ? size - at : PIECE, __builtin_return_address(0));
	return to;
}

void *__wrap_memmove(void *to, const void *from, size_t size)
{
	if (size > PIECE) {
		note(from, size, KIND_READ, __builtin_return_address(0));
		note(to, size, KIND_WRITE, __builtin_return_address(0));
		return __real_memmove(to, from, size);
	}
	copy(to, from, size, __builtin_return_address(0));
	return to;
}

void *__wrap_memset(void *to, int byte, size_t size)
{
	note(to, size, KIND_WRITE, __builtin_return_address(0));
	return __real_memset(to, byte, size);
}

int __wrap_memcmp(const void *a, const void *b, size_t size)
{
	note(a, size, KIND_READ, __builtin_return_address(0));
	note(b, size, KIND_READ, __builtin_return_address(0));
	return __real_memcmp(a, b, size);
}
