/* SPDX-License-Identifier: BSD-2-Clause */
/* What the boot loader handed over. Constant once boot is done. */
#ifndef KERNEL_BOOT_INFO_H
#define KERNEL_BOOT_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct boot_info {
	const uint8_t *initramfs;  /* through the direct map; NULL: none. Stays reserved */
	size_t initramfs_size;	   /* bytes */
	char command_line[1024];   /* cut if longer */
	const char *loader;	   /* "PVH" or "multiboot2" */
	uint64_t acpi_table;	   /* physical address of ACPI's RSDT or XSDT; 0: none was found */
	bool acpi_is_extended;	   /* it is the XSDT: its entries have 64 bits */
};

const struct boot_info *boot_info(void);

#endif
