/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asserts, in tiers by cost (LH_DEBUG in config.h). They are for broken invariants
 * only: what comes from outside is checked and answered with an error.
 *
 *   LH_ASSERT           cheap: a compare on data at hand
 *   LH_ASSERT_INTERNAL  may touch memory that the function would not touch
 */
#ifndef LANDHOLD_BASE_ASSERT_H
#define LANDHOLD_BASE_ASSERT_H

#include <landhold/port.h>

#define LH_STRING_(x) #x
#define LH_STRING(x) LH_STRING_(x)

/* Stops the machine whatever LH_DEBUG says. */
#define LH_BROKEN(port, message)                                                   \
	lh_port_panic(port, __FILE__ ":" LH_STRING(__LINE__) ": " message)

#define LH_REQUIRE(port, condition)                                                \
	do {                                                                       \
		if (__builtin_expect(!(condition), 0))                             \
			LH_BROKEN(port, "broken invariant: " #condition);          \
	} while (0)

#define LH_NOTHING(port, condition) ((void)sizeof(port), (void)sizeof(condition))

#if LH_DEBUG >= 1
#define LH_ASSERT(port, condition) LH_REQUIRE(port, condition)
#else
#define LH_ASSERT(port, condition) LH_NOTHING(port, condition)
#endif

#if LH_DEBUG >= 2
#define LH_ASSERT_INTERNAL(port, condition) LH_REQUIRE(port, condition)
#else
#define LH_ASSERT_INTERNAL(port, condition) LH_NOTHING(port, condition)
#endif

#endif
