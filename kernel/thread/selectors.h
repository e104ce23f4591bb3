/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data selectors that a program may load by itself: ds, es, fs and gs, from the low 16 bits
 * up. They mean nothing in 64-bit code, but fs and gs their bases: a selector that is not 0 brings
 * the base that its descriptor has, which is 0. They are kept for their thread like other registers.
 *
 * Context: interrupts off, or nobody else runs on this CPU.
 */
#ifndef KERNEL_THREAD_SELECTORS_H
#define KERNEL_THREAD_SELECTORS_H

#include <stdint.h>

#define SELECTORS_FS (UINT64_C(0xffff) << 32)
#define SELECTORS_GS (UINT64_C(0xffff) << 48)
#define SELECTOR_FS(selectors) ((selectors) >> 32 & 0xffff)
#define SELECTOR_GS(selectors) ((selectors) >> 48)

static inline uint64_t selectors_read(void)
{
	uint32_t ds, es, fs, gs;

	__asm__ volatile("movl %%ds, %0\n\tmovl %%es, %1\n\tmovl %%fs, %2\n\tmovl %%gs, %3"
			 : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
	return ds | (uint64_t)es << 16 | (uint64_t)fs << 32 | (uint64_t)gs << 48;
}

/* => selectors: read before, or 0. The bases are the caller's to write afterwards. */
static inline void selectors_load(uint64_t selectors)
{
	if (selectors == selectors_read())
		return;
	/* The program's GS is the other one while the kernel runs. */
	__asm__ volatile("movl %k0, %%ds\n\tmovl %k1, %%es\n\tmovl %k2, %%fs\n\t"
			 "swapgs\n\tmovl %k3, %%gs\n\tswapgs"
			 :
			 : "r"(selectors & 0xffff), "r"(selectors >> 16 & 0xffff),
			   "r"(SELECTOR_FS(selectors)), "r"(SELECTOR_GS(selectors))
			 : "memory");
}

#endif
