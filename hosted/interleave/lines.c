/* SPDX-License-Identifier: BSD-2-Clause */
/* Counting the cache lines that more than one fibre writes, and atomic operations. */
#include "internal.h"

#include <string.h>

#define LINE_GRANULES 8

/* Readers and writers of the line whose first granule it is. */
static uint8_t touched_line(uint64_t granule)
{
	uint8_t mask = 0;

	for (unsigned i = 0; i < LINE_GRANULES; i++)
		mask |= touched[granule + i];
	return mask;
}

static void describe_line(uint64_t granule, interleave_lines *lines)
{
	const interleave_host *host = run.of->host;
	size_t used = strlen(lines->places);
	char text[120] = "";

	for (unsigned i = 0; i < LINE_GRANULES; i++) {
		uint8_t writers = touched[granule + i] >> 4;

		if (writers == 0)
			continue;
		if (host && host->describe)
			host->describe(run.state, ARENA_BASE + ((granule + i) << GRANULE_SHIFT), text,
				       sizeof text);
		break;
	}
	snprintf(lines->places + used, sizeof lines->places - used, "%s%s", used ? "; " : "", text);
}

static bool is_more_than_one(uint8_t fibres)
{
	return (fibres & (fibres - 1)) != 0;
}

static bool is_written_by_both(uint64_t granule)
{
	return is_more_than_one(touched_line(granule) >> 4);
}

static void count_line(uint64_t granule, interleave_lines *lines)
{
	uint8_t mask = touched_line(granule);

	if (mask >> 4 == 0 || !is_more_than_one((mask | mask >> 4) & 0xf))
		return;
	lines->shared++;
	if (!is_written_by_both(granule))
		return;
	lines->written++;
	describe_line(granule, lines);
}

/* A frame that one CPU filled and gave back, and the other got: its lines are not counted. */
static void count_page(uint64_t first, interleave_lines *lines)
{
	uint64_t end = first + (UINT64_C(1) << (PAGE_SHIFT - GRANULE_SHIFT)), i = first;

	while (i < end && is_written_by_both(i))
		i += LINE_GRANULES;
	if (i == end) {
		lines->pages++;
		return;
	}
	for (i = first; i < end; i += LINE_GRANULES)
		count_line(i, lines);
}

void interleave_count_lines(const interleave_case *of, unsigned rounds, interleave_lines *lines)
{
	static const struct schedule none = { 0 };
	struct run_options options = { .counting = true, .rounds = rounds };
	double operations = (double)rounds * of->fibres;

	memset(lines, 0, sizeof *lines);
	explore_open(of);
	run_schedule(&none, &options);
	lines->failed = run.outcome != OUTCOME_PASSED;
	if (lines->failed)
		snprintf(lines->places, sizeof lines->places, "failed: %.200s", run.message);
	for (unsigned i = 0; i < of->fibres; i++) {
		lines->read_modify_writes += (double)run.fibres[i].read_modify_writes / operations;
		lines->accesses += (double)run.fibres[i].accesses / operations;
	}
	for (uint64_t page = 1; page < SHARED_SIZE >> PAGE_SHIFT; page++)
		count_page(page << (PAGE_SHIFT - GRANULE_SHIFT), lines);
}
