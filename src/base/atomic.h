/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Atomic access to plain integers. Public structs hold no _Atomic (C++ includes
 * them), so every shared field goes through here. No stand-alone fences: acquire
 * loads, release stores, and sequentially consistent read-modify-write where both
 * sides store and then load.
 */
#ifndef LANDHOLD_BASE_ATOMIC_H
#define LANDHOLD_BASE_ATOMIC_H

#define lh_atomic_load_relaxed(pointer) __atomic_load_n(pointer, __ATOMIC_RELAXED)
#define lh_atomic_load(pointer) __atomic_load_n(pointer, __ATOMIC_ACQUIRE)
#define lh_atomic_store_relaxed(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELAXED)
#define lh_atomic_store(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELEASE)
#define lh_atomic_store_total(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_SEQ_CST)
#define lh_atomic_load_total(pointer) __atomic_load_n(pointer, __ATOMIC_SEQ_CST)
/* These return the value from before. */
#define lh_atomic_exchange(pointer, value) __atomic_exchange_n(pointer, value, __ATOMIC_SEQ_CST)
#define lh_atomic_add(pointer, value) __atomic_fetch_add(pointer, value, __ATOMIC_SEQ_CST)
#define lh_atomic_add_relaxed(pointer, value) __atomic_fetch_add(pointer, value, __ATOMIC_RELAXED)
#define lh_atomic_subtract(pointer, value) __atomic_fetch_sub(pointer, value, __ATOMIC_SEQ_CST)
#define lh_atomic_or(pointer, value) __atomic_fetch_or(pointer, value, __ATOMIC_SEQ_CST)
#define lh_atomic_and(pointer, value) __atomic_fetch_and(pointer, value, __ATOMIC_SEQ_CST)
/* True if *pointer was *expected and is now desired; else *expected is what it was. */
#define lh_atomic_compare_exchange(pointer, expected, desired)                            \
	__atomic_compare_exchange_n(pointer, expected, desired, false, __ATOMIC_SEQ_CST, \
				    __ATOMIC_SEQ_CST)

#endif
