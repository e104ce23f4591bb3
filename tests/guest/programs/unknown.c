/* SPDX-License-Identifier: BSD-2-Clause */
/* A system call that does not exist: refused each time, with ENOSYS. */
#include "guest.h"

int main(void)
{
	for (int i = 0; i < 3; i++)
		printf("%s\n", lh_error_name(check_call(syscall(999))));
	return 0;
}
