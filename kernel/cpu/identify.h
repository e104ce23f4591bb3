/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CPU is, in the terms of the Intel manual (volume 2A, CPUID; AMD's volume 3
 * agrees): vendor identification string, display family and model, stepping, processor type,
 * brand string, feature flags.
 */
#ifndef KERNEL_CPU_IDENTIFY_H
#define KERNEL_CPU_IDENTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct cpu_identification {
	char vendor_id_string[13];	      /* leaf 0: "GenuineIntel" */
	uint32_t display_family;	      /* leaf 1: family, with the extended part where due */
	uint32_t display_model;
	uint32_t stepping;
	uint32_t type;			      /* processor type, bits 13:12; 0 is the original one */
	char brand_string[49];		      /* leaves 0x80000002 to 4; "" if absent */
	char hypervisor_vendor_id_string[13]; /* leaf 0x40000000; "" if absent */
	char features_string[768];	      /* Linux's names, a blank between: "fpu de pse ..." */
	uint32_t physical_address_bits, virtual_address_bits;
	uint32_t clflush_size;		      /* bytes */
	uint32_t cache_size;		      /* KiB of the largest cache; 0 if not told */

	/* What the kernel itself asks for. */
	bool has_nx, has_smep, has_smap, has_umip, has_pge, has_gigabyte_pages, has_syscall;
	bool has_rdrand, has_fxsr, has_sse2;
};

/* Asks the CPU; boot calls it once. Panics on a CPU without what the kernel cannot do without. */
void cpu_identify(void);

/* Of the CPU this runs on, found out at boot. */
const struct cpu_identification *cpu_identification(void);

#endif
