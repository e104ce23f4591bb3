/* SPDX-License-Identifier: BSD-2-Clause */
/* AFL++ gives each tape to a process of its own, forked, on its standard input. */
#include <unistd.h>

#include "fuzz/tape.h"

int main(void)
{
	static uint8_t bytes[TAPE_RECORDS_MAX * TAPE_RECORD];
	size_t count = 0;
	ssize_t got;

	while ((got = read(0, bytes + count, sizeof bytes - count)) > 0)
		count += (size_t)got;
	tape_run(&tape_scale_default, bytes, count, NULL);
	return 0;
}
