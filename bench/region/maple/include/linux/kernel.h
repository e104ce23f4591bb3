/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lib/maple_tree.c of Linux expects of the kernel around it, for one thread in user space:
 * no locks, no RCU (a tree that nobody else reads frees at once, as Linux does for a process of
 * one thread), nodes from a list of free ones, warnings that end the program. Written for this
 * benchmark; nothing of Linux is in it. The other headers here all lead to this one.
 */
#ifndef BENCH_MAPLE_KERNEL_H
#define BENCH_MAPLE_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define __rcu
#define __init
#define __must_check
#define __must_hold(lock)
#define __always_inline inline __attribute__((always_inline))
#define noinline_for_kasan __attribute__((noinline))
#define fallthrough __attribute__((fallthrough))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define EXPORT_SYMBOL(name)
#define EXPORT_SYMBOL_GPL(name)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof(*(array)))
#define BUILD_BUG_ON(condition) _Static_assert(!(condition), "condition")
#define DIV_ROUND_UP(a, b) (((a) + (b) - 1) / (b))
#define container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define smp_rmb() __asm__ volatile("" ::: "memory")
#define smp_wmb() __asm__ volatile("" ::: "memory")

#define bench_maple_broken(condition) \
	(unlikely(condition) ? (fprintf(stderr, "maple: line %d\n", __LINE__), abort(), true) : false)
#define BUG_ON(condition) ((void)bench_maple_broken(condition))
#define WARN_ON(condition) bench_maple_broken(condition)
#define WARN_ON_ONCE(condition) bench_maple_broken(condition)
#define pr_err(...) fprintf(stderr, __VA_ARGS__)
#define pr_info(...) fprintf(stderr, __VA_ARGS__)
#define pr_cont(...) fprintf(stderr, __VA_ARGS__)

typedef struct { int unused; } spinlock_t;
#define spin_lock(lock) ((void)(lock))
#define spin_unlock(lock) ((void)(lock))
#define spin_lock_init(lock) ((void)(lock))
#define __SPIN_LOCK_UNLOCKED(name) { 0 }

struct rcu_head {
	struct rcu_head *next;
	void (*function)(struct rcu_head *head);
};
#define rcu_callback_map 0
#define lock_is_held(lock) 1
#define lockdep_is_held(lock) 1
#define rcu_read_lock() do { } while (0)
#define rcu_read_unlock() do { } while (0)
#define rcu_dereference_check(pointer, condition) READ_ONCE(pointer)
#define rcu_dereference_protected(pointer, condition) (pointer)
#define rcu_assign_pointer(pointer, value) WRITE_ONCE(pointer, value)
#define call_rcu(head, function) function(head)

typedef unsigned int gfp_t;
#define GFP_KERNEL 1u
#define GFP_NOWAIT 2u
#define __GFP_NOWARN 4u
#define gfpflags_allow_blocking(flags) ((flags) & GFP_KERNEL)

#define SLAB_PANIC 1

struct kmem_cache {
	size_t size;
	void *free;	   /* chained through their first word */
	size_t out;	   /* items in use */
};

struct kmem_cache *bench_maple_cache(size_t size);
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t flags);
void kmem_cache_free(struct kmem_cache *cache, void *item);
int kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t flags, size_t count, void **items);
void kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **items);
#define kmem_cache_create(name, size, align, flags, constructor) bench_maple_cache(size)

/* Entries that are no pointers: what the code asks of the xarray's header. */
static inline bool xa_is_internal(const void *entry)
{
	return ((uintptr_t)entry & 3) == 2;
}
static inline void *xa_mk_internal(unsigned long value)
{
	return (void *)((value << 2) | 2);
}
static inline unsigned long xa_to_internal(const void *entry)
{
	return (uintptr_t)entry >> 2;
}
static inline bool xa_is_value(const void *entry)
{
	return ((uintptr_t)entry & 1) != 0;
}
static inline unsigned long xa_to_value(const void *entry)
{
	return (uintptr_t)entry >> 1;
}
static inline bool xa_is_node(const void *entry)
{
	return xa_is_internal(entry) && (uintptr_t)entry > 4096;
}
static inline bool xa_is_zero(const void *entry)
{
	return entry == xa_mk_internal(257);
}
static inline bool xa_is_advanced(const void *entry)
{
	return xa_is_internal(entry) && entry <= xa_mk_internal(256);
}
static inline bool xa_is_err(const void *entry)
{
	return xa_is_internal(entry) && entry >= xa_mk_internal((unsigned long)-4095);
}
static inline int xa_err(const void *entry)
{
	return xa_is_err(entry) ? (int)((long)entry >> 2) : 0;
}

#endif
