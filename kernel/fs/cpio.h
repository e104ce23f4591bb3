/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef KERNEL_FS_CPIO_H
#define KERNEL_FS_CPIO_H

#include "fs/inode.h"

/*
 * Unpacks an archive in the "newc" form under the root. An archive that is cut or
 * malformed is unpacked as far as it goes. => LH_INVALID: malformed; LH_NO_MEMORY and what
 * making files can give.
 */
LH_MUST_USE lh_error cpio_unpack(const uint8_t *archive, size_t size);

#endif
