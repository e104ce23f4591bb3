/* SPDX-License-Identifier: BSD-2-Clause */
#include "formats.h"

#include <stddef.h>

#define AARCH64(name)                                                                       \
	{ &lh_format_aarch64_##name, READER_AARCH64, false, false },                        \
	{ &lh_format_aarch64_##name##_flags, READER_AARCH64, true, false }
#define RISCV64(name)                                                                       \
	{ &lh_format_riscv64_##name, READER_RISCV64, false, false },                        \
	{ &lh_format_riscv64_##name, READER_RISCV64, true, false },                         \
	{ &lh_format_riscv64_##name, READER_RISCV64, false, true }

static const test_format all[] = {
	{ &lh_format_x86_64_4_level, READER_X86_64, true, false },
	{ &lh_format_x86_64_5_level, READER_X86_64, true, false },
	AARCH64(4k), AARCH64(4k_52), AARCH64(16k), AARCH64(16k_52), AARCH64(64k), AARCH64(64k_52),
	RISCV64(sv39), RISCV64(sv48), RISCV64(sv57),
};

const test_format *test_format_at(unsigned n)
{
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].format->page_shift == LH_PAGE_SHIFT && n-- == 0)
			return &all[i];
	return NULL;
}
