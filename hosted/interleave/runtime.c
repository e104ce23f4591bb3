/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What -fsanitize=thread calls, of gcc and clang: before each plain access its address and
 * size, in place of each atomic operation the operation itself. The operations are plain here:
 * there is one thread.
 */
#include "internal.h"

#define HERE __builtin_return_address(0)

void __tsan_init(void);
void __tsan_init(void) {}
void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void);
void __tsan_func_exit(void) {}
void __tsan_ignore_thread_begin(void);
void __tsan_ignore_thread_begin(void) {}
void __tsan_ignore_thread_end(void);
void __tsan_ignore_thread_end(void) {}

static inline void access(const volatile void *place, uint32_t size, enum kind kind,
			  const void *code)
{
	if ((uintptr_t)place - ARENA_BASE < WATCHED_SIZE)
		run_access((uintptr_t)place, size, kind, code);
}

#define PLAIN(name, size, kind)                                  \
	void __tsan_##name(void *place);                         \
	void __tsan_##name(void *place) { access(place, size, kind, HERE); }
#define PLAIN_OF(size)                                           \
	PLAIN(read##size, size, KIND_READ)                       \
	PLAIN(write##size, size, KIND_WRITE)                     \
	PLAIN(unaligned_read##size, size, KIND_READ)             \
	PLAIN(unaligned_write##size, size, KIND_WRITE)           \
	PLAIN(volatile_read##size, size, KIND_READ)              \
	PLAIN(volatile_write##size, size, KIND_WRITE)            \
	PLAIN(unaligned_volatile_read##size, size, KIND_READ)    \
	PLAIN(unaligned_volatile_write##size, size, KIND_WRITE)
PLAIN_OF(1)
PLAIN_OF(2)
PLAIN_OF(4)
PLAIN_OF(8)
PLAIN_OF(16)

/* A plain read and write of one place, as clang says it: two steps. */
#define COMPOUND(name, size)                                     \
	void __tsan_##name(void *place);                         \
	void __tsan_##name(void *place)                          \
	{                                                        \
		access(place, size, KIND_READ, HERE);            \
		access(place, size, KIND_WRITE, HERE);           \
	}
#define COMPOUND_OF(size)                                        \
	COMPOUND(read_write##size, size)                         \
	COMPOUND(unaligned_read_write##size, size)
COMPOUND_OF(1)
COMPOUND_OF(2)
COMPOUND_OF(4)
COMPOUND_OF(8)
COMPOUND_OF(16)

void __tsan_read_range(void *place, size_t size);
void __tsan_read_range(void *place, size_t size)
{
	if (size != 0)
		access(place, (uint32_t)size, KIND_READ, HERE);
}

void __tsan_write_range(void *place, size_t size);
void __tsan_write_range(void *place, size_t size)
{
	if (size != 0)
		access(place, (uint32_t)size, KIND_COPY, HERE);
}

void __tsan_vptr_update(void **place, void *value);
void __tsan_vptr_update(void **place, void *value)
{
	(void)value;
	access(place, 8, KIND_WRITE, HERE);
}

void __tsan_vptr_read(void **place);
void __tsan_vptr_read(void **place)
{
	access(place, 8, KIND_READ, HERE);
}

/* --- atomic operations --- */

/*
 * Stores that are not sequentially consistent may be kept in a buffer, so they are announced as
 * plain stores are; the others, and all changes, find the buffer empty and leave it so.
 */
#define ATOMIC(bits, type)                                                                      \
	type __tsan_atomic##bits##_load(const volatile type *place, int order);                 \
	type __tsan_atomic##bits##_load(const volatile type *place, int order)                  \
	{                                                                                       \
		(void)order;                                                                    \
		access(place, sizeof(type), KIND_ATOMIC_READ, HERE);                            \
		return *place;                                                                  \
	}                                                                                       \
	void __tsan_atomic##bits##_store(volatile type *place, type value, int order);          \
	void __tsan_atomic##bits##_store(volatile type *place, type value, int order)           \
	{                                                                                       \
		access(place, sizeof(type),                                                     \
		       order == __ATOMIC_SEQ_CST ? KIND_CHANGE : KIND_ATOMIC_WRITE, HERE);      \
		*place = value;                                                                 \
	}                                                                                       \
	type __tsan_atomic##bits##_exchange(volatile type *place, type value, int order);       \
	type __tsan_atomic##bits##_exchange(volatile type *place, type value, int order)        \
	{                                                                                       \
		type before;                                                                    \
		(void)order;                                                                    \
		access(place, sizeof(type), KIND_CHANGE, HERE);                                 \
		before = *place;                                                                \
		*place = value;                                                                 \
		return before;                                                                  \
	}                                                                                       \
	FETCH(bits, type, add, before + value)                                                  \
	FETCH(bits, type, sub, before - value)                                                  \
	FETCH(bits, type, and, before & value)                                                  \
	FETCH(bits, type, or, before | value)                                                   \
	FETCH(bits, type, xor, before ^ value)                                                  \
	FETCH(bits, type, nand, ~(before & value))                                              \
	COMPARE(bits, type, strong)                                                             \
	COMPARE(bits, type, weak)                                                               \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *place, type expected,    \
							type desired, int order, int failure);  \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *place, type expected,    \
							type desired, int order, int failure)   \
	{                                                                                       \
		type before;                                                                    \
		(void)order, (void)failure;                                                     \
		access(place, sizeof(type), KIND_CHANGE, HERE);                                 \
		before = *place;                                                                \
		if (before == expected)                                                         \
			*place = desired;                                                       \
		return before;                                                                  \
	}

#define FETCH(bits, type, name, result)                                                         \
	type __tsan_atomic##bits##_fetch_##name(volatile type *place, type value, int order);   \
	type __tsan_atomic##bits##_fetch_##name(volatile type *place, type value, int order)    \
	{                                                                                       \
		type before;                                                                    \
		(void)order;                                                                    \
		access(place, sizeof(type), KIND_CHANGE, HERE);                                 \
		before = *place;                                                                \
		*place = (type)(result);                                                        \
		return before;                                                                  \
	}

#define COMPARE(bits, type, strength)                                                           \
	int __tsan_atomic##bits##_compare_exchange_##strength(                                  \
		volatile type *place, type *expected, type desired, int order, int failure);    \
	int __tsan_atomic##bits##_compare_exchange_##strength(                                  \
		volatile type *place, type *expected, type desired, int order, int failure)     \
	{                                                                                       \
		(void)order, (void)failure;                                                     \
		access(place, sizeof(type), KIND_CHANGE, HERE);                                 \
		if (*place == *expected) {                                                      \
			*place = desired;                                                       \
			return 1;                                                               \
		}                                                                               \
		*expected = *place;                                                             \
		return 0;                                                                       \
	}

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
	if (order == __ATOMIC_SEQ_CST && run.current)
		buffer_drain(run.current);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order) { (void)order; }

/* --- the memory functions, where the compiler calls them by these names --- */

void *__wrap_memcpy(void *to, const void *from, size_t size);
void *__wrap_memmove(void *to, const void *from, size_t size);
void *__wrap_memset(void *to, int byte, size_t size);

void *__tsan_memcpy(void *to, const void *from, size_t size);
void *__tsan_memcpy(void *to, const void *from, size_t size)
{
	return __wrap_memcpy(to, from, size);
}

void *__tsan_memmove(void *to, const void *from, size_t size);
void *__tsan_memmove(void *to, const void *from, size_t size)
{
	return __wrap_memmove(to, from, size);
}

void *__tsan_memset(void *to, int byte, size_t size);
void *__tsan_memset(void *to, int byte, size_t size)
{
	return __wrap_memset(to, byte, size);
}
