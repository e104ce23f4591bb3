/* SPDX-License-Identifier: BSD-2-Clause */
/* Turns on what the kernel uses of a CPU. */
#ifndef KERNEL_CPU_FEATURES_H
#define KERNEL_CPU_FEATURES_H

/*
 * Puts clac and stac where entry.S and user_copy.S have left room, if the CPU has SMAP. Once, on the
 * first CPU, while the image can still be written.
 */
void cpu_patch_sites(void);

/* On each CPU, before it runs user code: NX, WP, SMEP, SMAP, UMIP, global pages, the FPU, system calls. */
void cpu_start_features(void);
void cpu_log_features(void);

/* Panics if one of them is not on, on this CPU: before it loads the kernel's directory. */
void cpu_check_features(void);

#endif
