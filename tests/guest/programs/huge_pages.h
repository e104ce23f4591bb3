/* SPDX-License-Identifier: BSD-2-Clause */
/* What programs about huge pages share. */
#ifndef TESTS_GUEST_HUGE_PAGES_H
#define TESTS_GUEST_HUGE_PAGES_H

#include "guest.h"

#define HUGE_BYTES (512 * PAGE)

/* AnonHugePages of the mapping that begins there, in kB; -1: no such line. */
static inline long huge_kilobytes(const char *from)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[512];
	bool inside = false;
	long number = -1;

	while (number < 0 && file != NULL && fgets(line, sizeof line, file) != NULL) {
		char *end;
		unsigned long long begin = strtoull(line, &end, 16);

		if (*end == '-')
			inside = begin == (uintptr_t)from;
		else if (inside && strncmp(line, "AnonHugePages:", 14) == 0)
			number = atol(line + 14);
	}
	if (file != NULL)
		fclose(file);
	return number;
}

#endif
