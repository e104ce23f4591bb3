/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Build-time settings. Each may be given on the compiler's command line; each
 * is checked here. The defaults suit a 64-bit machine with 4 KiB pages.
 */
#ifndef LANDHOLD_CONFIG_H
#define LANDHOLD_CONFIG_H

/* log2 of the page size in bytes: 12, 14 or 16. One page size a build. */
#ifndef LH_PAGE_SHIFT
#define LH_PAGE_SHIFT 12
#endif

/* Most CPUs that one machine may have. Sets the size of every CPU set. */
#ifndef LH_MAX_CPUS
#define LH_MAX_CPUS 64
#endif

/*
 * How much the library checks itself.
 *   0  only what guards outside input
 *   1  cheap asserts as well (default: a few per cent)
 *   2  internal asserts too, and poison in freed memory
 * The walkers (functions named _check) are always compiled; who calls them pays.
 */
#ifndef LH_DEBUG
#define LH_DEBUG 1
#endif

/*
 * Bits of the counters by which readers without a lock notice changes: regions' versions and
 * trees' sequences. 64, but in test builds, so that they wrap there.
 */
#ifndef LH_COUNTER_BITS
#define LH_COUNTER_BITS 64
#endif
#define LH_COUNTER_MASK (UINT64_MAX >> (64 - LH_COUNTER_BITS))

#define LH_PAGE_SIZE (UINT64_C(1) << LH_PAGE_SHIFT)

#if LH_PAGE_SHIFT != 12 && LH_PAGE_SHIFT != 14 && LH_PAGE_SHIFT != 16
#error "LH_PAGE_SHIFT must be 12, 14 or 16"
#endif
#if LH_MAX_CPUS < 1 || LH_MAX_CPUS > 4096
#error "LH_MAX_CPUS must be 1 to 4096"
#endif
#if LH_COUNTER_BITS < 2 || LH_COUNTER_BITS > 64
#error "LH_COUNTER_BITS must be 2 to 64"
#endif
#if LH_DEBUG < 0 || LH_DEBUG > 2
#error "LH_DEBUG must be 0, 1 or 2"
#endif

#endif
