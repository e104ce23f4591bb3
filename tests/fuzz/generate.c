/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The seeded generator. Most records are what a program does often; each tape has a temper of its
 * own (how much trouble, how narrow the range that it works in), so that some go deep into one
 * thing while others go everywhere. Every other record is about the place of the one before; what
 * happens in the middle of a fault is so nearly always.
 */
#include "fuzz/tape.h"
#include "splitmix.h"

struct generator {
	uint64_t state;
	unsigned narrow;  /* places that most records are about; 0: all */
	unsigned around;  /* the first of them */
	unsigned trouble; /* of 256 */
	bool huge;	  /* it is about the first pages of a huge leaf, of which there is one every now and then */
};

static uint64_t next(struct generator *generator)
{
	return splitmix_next(&generator->state);
}

static unsigned below(struct generator *generator, unsigned limit)
{
	return (unsigned)((next(generator) >> 33) % limit);
}

static const uint8_t often[] = {
	TAPE_MAP,   TAPE_MAP,	TAPE_MAP,     TAPE_MAP,	   TAPE_UNMAP,	 TAPE_UNMAP,
	TAPE_PROTECT, TAPE_PROTECT, TAPE_PROTECT, TAPE_DISCARD, TAPE_READ,	 TAPE_READ,
	TAPE_READ,  TAPE_WRITE, TAPE_WRITE,   TAPE_WRITE,  TAPE_WRITE,	 TAPE_WRITE,
	TAPE_FETCH, TAPE_FORK,	TAPE_FORK,    TAPE_DESTROY, TAPE_LOAD,	 TAPE_SPECULATE,
	TAPE_OBJECT_READ, TAPE_OBJECT_WRITE, TAPE_OBJECT_WRITE, TAPE_RESIZE, TAPE_SYNC, TAPE_SYNC,
	TAPE_LIMIT, TAPE_WRITE, TAPE_PIN, TAPE_PIN, TAPE_PIN, TAPE_UNPIN, TAPE_DEVICE, TAPE_DEVICE,
	TAPE_ADVISE, TAPE_REMAP, TAPE_REMAP, TAPE_REMAP,
};

static const uint8_t rights[] = { 3, 3, 3, 3, 1, 1, 0, 5, 7, 2 };

static uint8_t some_place(struct generator *generator)
{
	unsigned places = (unsigned)TAPE_PLACES;

	if (generator->narrow == 0 || below(generator, 8) == 0)
		return (uint8_t)below(generator, places);
	return (uint8_t)((generator->around + below(generator, generator->narrow)) % places);
}

static uint8_t some_trouble(struct generator *generator)
{
	if (below(generator, 256) >= generator->trouble)
		return 0;
	switch (below(generator, 8)) {
	case 0: case 1: return (uint8_t)(64 + below(generator, below(generator, 2) ? 3 : 12));
	case 2: return (uint8_t)(128 + below(generator, 3));
	case 3: return 160;
	default: return (uint8_t)(192 + below(generator, 24));
	}
}

/* Limits would make most tapes poor, so they are seldom. */
static uint8_t some_what(struct generator *generator)
{
	uint8_t what = often[below(generator, sizeof often)];

	return what == TAPE_LIMIT && below(generator, 16) != 0 ? TAPE_WRITE : what;
}

/* At or over a place, as a rule, without guards. */
static uint8_t some_how(struct generator *generator)
{
	if (below(generator, 4) == 0)
		return (uint8_t)below(generator, 256);
	return (uint8_t)((below(generator, 3) ? 24 : 16) + below(generator, 8));
}

/* A range that has the only piece that can be huge: it begins at place 24, and ends in the upper half. */
static void widen(struct generator *generator, uint8_t *bytes)
{
	if (bytes[TAPE_BYTE_WHAT] != TAPE_ADVISE || below(generator, 4) == 0)
		return;
	bytes[TAPE_BYTE_PLACE] = (uint8_t)(24 - below(generator, 3));
	bytes[TAPE_BYTE_PLACES] = (uint8_t)(20 + below(generator, 30));
	bytes[TAPE_BYTE_HOW] = (uint8_t)(below(generator, 3) == 0   ? 8
					 : below(generator, 8) != 0 ? 4 + below(generator, 2)
								    : below(generator, 8));
}

/* One in a while: fresh memory that may be huge, a write to it, and a fork of what it is by then. Or memory that may
 * not, so that a page comes, which is put together with others later. */
static void begin_huge(struct generator *generator, size_t n, uint8_t *bytes)
{
	static const uint8_t whats[] = { TAPE_ADVISE, TAPE_WRITE, TAPE_FORK };
	bool single = n % 32 >= 16;

	if (!generator->huge || n % 16 >= 3)
		return;
	bytes[TAPE_BYTE_WHAT] = n % 32 == 18 ? TAPE_ADVISE : whats[n % 16];
	bytes[TAPE_BYTE_WHO] &= 16;
	bytes[TAPE_BYTE_PLACE] = 24;
	bytes[TAPE_BYTE_PLACES] = (uint8_t)(20 + below(generator, 24));
	bytes[TAPE_BYTE_HOW] = (uint8_t)(n % 16 == 0   ? single ? 7 : 4
					 : n % 32 == 18 ? 8
							: below(generator, ORACLE_WORDS));
	if (n % 16 == 0)
		bytes[TAPE_BYTE_TROUBLE] = 0;
}

static uint8_t some_space(struct generator *generator)
{
	return (uint8_t)(below(generator, 2) ? 0 : below(generator, 3));
}

/* The place of the record before. */
static void stay(struct generator *generator, const uint8_t *before, uint8_t *bytes)
{
	bool is_meanwhile = before[TAPE_BYTE_TROUBLE] >= 192;

	if (below(generator, is_meanwhile ? 8 : 2) == 0)
		return;
	bytes[TAPE_BYTE_PLACE] = before[TAPE_BYTE_PLACE];
	if (is_meanwhile || below(generator, 2))
		bytes[TAPE_BYTE_WHO] = (uint8_t)((before[TAPE_BYTE_WHO] & 15) |
						 (bytes[TAPE_BYTE_WHO] & 16));
}

void tape_generate(uint64_t seed, uint8_t *bytes, size_t records)
{
	struct generator generator = { .state = seed };

	generator.narrow = below(&generator, 6) ? 1 + below(&generator, 8) : 0;
	generator.around = below(&generator, (unsigned)TAPE_PLACES);
	generator.trouble = below(&generator, 3) * 60;
	generator.huge = below(&generator, 6) == 0;
	if (generator.huge) {
		generator.narrow = 1 + below(&generator, 4);
		generator.around = 24;
	}
	for (size_t n = 0; n < records; n++, bytes += TAPE_RECORD) {
		bytes[TAPE_BYTE_WHAT] = some_what(&generator);
		bytes[TAPE_BYTE_WHO] = (uint8_t)(some_space(&generator) | below(&generator, 2) << 4);
		bytes[TAPE_BYTE_PLACE] = some_place(&generator);
		bytes[TAPE_BYTE_PLACES] = (uint8_t)(below(&generator, 4) ? below(&generator, 6)
								       : below(&generator, 68));
		bytes[TAPE_BYTE_RIGHTS] = rights[below(&generator, sizeof rights)];
		bytes[TAPE_BYTE_HOW] = some_how(&generator);
		bytes[TAPE_BYTE_VALUE] = (uint8_t)below(&generator, 256);
		bytes[TAPE_BYTE_TROUBLE] = some_trouble(&generator);
		if (n > 0)
			stay(&generator, bytes - TAPE_RECORD, bytes);
		widen(&generator, bytes);
		begin_huge(&generator, n, bytes);
	}
}
