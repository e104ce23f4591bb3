/* SPDX-License-Identifier: BSD-2-Clause */
/* A text that grows as it is written: what files of proc are made of. */
#ifndef KERNEL_FS_TEXT_H
#define KERNEL_FS_TEXT_H

#include <landhold/error.h>
#include <stdbool.h>

#include "lib/log.h"

struct text {
	char *bytes;
	size_t length, capacity;
	bool has_failed; /* no memory: what was written since is missing */
};

void text_add(struct text *text, const char *format, ...) LOG_FORMAT(2, 3);
void text_add_bytes(struct text *text, const char *bytes, size_t count);
void text_free(struct text *text);

#endif
