/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tag of a region says: the number of the inode mapped, or one of these. */
#ifndef KERNEL_PROCESS_MAP_TAG_H
#define KERNEL_PROCESS_MAP_TAG_H

#include <stdint.h>

#define MAP_TAG_NONE UINT64_C(0)
#define MAP_TAG_SHARED_ANONYMOUS (UINT64_C(1) << 63)

#endif
