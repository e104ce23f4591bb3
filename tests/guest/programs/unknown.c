/* SPDX-License-Identifier: BSD-2-Clause */
/* System calls that do not exist: refused each time, with ENOSYS. */
#include "guest.h"

/* In a gap of Linux's numbers; beyond them; far beyond. */
static const long numbers[] = { 400, 999, -1 };

int main(void)
{
	for (int i = 0; i < 3; i++)
		for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
			printf("%ld: %s\n", numbers[n], lh_error_name(check_call(syscall(numbers[n]))));
	return 0;
}
