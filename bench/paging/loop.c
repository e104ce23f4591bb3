/* SPDX-License-Identifier: BSD-2-Clause */
/* Nothing: what the benchmark itself takes around its calls, to be subtracted from the others. */
#include "subject.h"

static void nothing(void)
{
}

static void map(uint64_t address, unsigned level, uint64_t leaves, uint64_t frame)
{
	(void)address, (void)level, (void)leaves, (void)frame;
}

static void change(uint64_t address, unsigned level, uint64_t leaves)
{
	(void)address, (void)level, (void)leaves;
}

static uint64_t query(uint64_t address, unsigned level, uint64_t leaves)
{
	(void)address, (void)level, (void)leaves;
	return 0;
}

const struct subject loop_subject = { "loop", nothing, nothing, map, change, query, change };
