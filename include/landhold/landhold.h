/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything. Each header below also compiles alone. */
#ifndef LANDHOLD_LANDHOLD_H
#define LANDHOLD_LANDHOLD_H

#include <landhold/account.h>
#include <landhold/config.h>
#include <landhold/directory.h>
#include <landhold/error.h>
#include <landhold/frames.h>
#include <landhold/heap.h>
#include <landhold/manager.h>
#include <landhold/memory_map.h>
#include <landhold/object.h>
#include <landhold/paging_format.h>
#include <landhold/pool.h>
#include <landhold/port.h>
#include <landhold/reclaim.h>
#include <landhold/region.h>
#include <landhold/region_tree.h>
#include <landhold/space.h>
#include <landhold/types.h>
#include <landhold/virtual_range.h>

#endif
