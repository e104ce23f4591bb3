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

void interleave_count_lines(const interleave_case *of, unsigned rounds, interleave_lines *lines)
{
	static const struct schedule none = { 0 };
	struct run_options options = { .counting = true, .rounds = rounds };
	double operations = (double)rounds * of->fibres;

	memset(lines, 0, sizeof *lines);
	explore_open(of);
	run_schedule(&none, &options);
	if (run.outcome == OUTCOME_FAILED)
		snprintf(lines->places, sizeof lines->places, "failed: %.200s", run.message);
	for (unsigned i = 0; i < of->fibres; i++) {
		lines->read_modify_writes += (double)run.fibres[i].read_modify_writes / operations;
		lines->accesses += (double)run.fibres[i].accesses / operations;
	}
	for (uint64_t i = TOKENS; i < SHARED_SIZE >> GRANULE_SHIFT; i += LINE_GRANULES) {
		uint8_t mask = touched_line(i), writers = mask >> 4, users = mask | mask >> 4;

		if (writers == 0 || (users & (users - 1) & 0xf) == 0)
			continue;
		lines->shared++;
		if ((writers & (writers - 1)) == 0)
			continue;
		lines->written++;
		describe_line(i, lines);
	}
}
