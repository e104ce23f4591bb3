/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The numbers of memory management, each kind a type of its own: the compiler
 * refuses to mix a virtual address with a physical one, or an address with a
 * frame number. A one-member struct costs nothing in a register.
 */
#ifndef LANDHOLD_TYPES_H
#define LANDHOLD_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <landhold/config.h>
#include <landhold/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_virtual_address { uint64_t value; } lh_virtual_address;
typedef struct lh_physical_address { uint64_t value; } lh_physical_address;
typedef struct lh_frame_number { uint64_t value; } lh_frame_number;

/* No frame: never the number of a real one. */
#define LH_NO_FRAME UINT64_MAX

static inline lh_virtual_address lh_virtual(uint64_t value)
{
	lh_virtual_address address;
	address.value = value;
	return address;
}

static inline lh_physical_address lh_physical(uint64_t value)
{
	lh_physical_address address;
	address.value = value;
	return address;
}

static inline lh_frame_number lh_frame(uint64_t value)
{
	lh_frame_number frame;
	frame.value = value;
	return frame;
}

static inline bool lh_frame_is_none(lh_frame_number frame)
{
	return frame.value == LH_NO_FRAME;
}

/* The first byte of a frame. */
static inline lh_physical_address lh_frame_address(lh_frame_number frame)
{
	return lh_physical(frame.value << LH_PAGE_SHIFT);
}

/* The frame that a physical address lies in. */
static inline lh_frame_number lh_physical_frame(lh_physical_address address)
{
	return lh_frame(address.value >> LH_PAGE_SHIFT);
}

static inline bool lh_virtual_is_aligned(lh_virtual_address address)
{
	return (address.value & (LH_PAGE_SIZE - 1)) == 0;
}

/* Access rights: a set of these. Reading is implied by the other two on x86-64. */
typedef uint8_t lh_rights;
#define LH_RIGHT_NONE ((lh_rights)0)
#define LH_RIGHT_READ ((lh_rights)1)
#define LH_RIGHT_WRITE ((lh_rights)2)
#define LH_RIGHT_EXECUTE ((lh_rights)4)
#define LH_RIGHTS_ALL ((lh_rights)7)

/* How the CPU may cache a mapping. */
typedef enum lh_memory_type {
	LH_MEMORY_WRITE_BACK,	   /* ordinary memory */
	LH_MEMORY_WRITE_THROUGH,
	LH_MEMORY_WRITE_COMBINING, /* frame buffers */
	LH_MEMORY_UNCACHED,	   /* device registers */
	LH_MEMORY_TYPE_COUNT
} lh_memory_type;

/* A set of CPUs, by the numbers that lh_port_cpu gives. */
typedef struct lh_cpu_set {
	uint64_t bits[(LH_MAX_CPUS + 63) / 64];
} lh_cpu_set;

#ifdef __cplusplus
}
#endif
#endif
