/* SPDX-License-Identifier: BSD-2-Clause */
#include "device/pci.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/port_io.h"
#include "lib/log.h"
#include "memory/memory.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define STATUS_HAS_CAPABILITIES (UINT32_C(1) << 20)
#define CAPABILITIES_POINTER 0x34
#define CAPABILITY_MSIX 0x11
#define CAPABILITIES_MAX 48
#define MSIX_ENABLE (UINT32_C(1) << 31)
#define MESSAGE_ADDRESS UINT32_C(0xfee00000)
#define BAR_IS_64_BITS 0x4u

static lh_region msix_region; /* one device uses it */

static void select(struct pci_function function, uint8_t offset)
{
	port_write_32(CONFIG_ADDRESS, UINT32_C(0x80000000) | (uint32_t)function.bus << 16 |
					      (uint32_t)function.device << 11 |
					      (uint32_t)function.function << 8 | (offset & 0xfcu));
}

uint32_t pci_read(struct pci_function function, uint8_t offset)
{
	select(function, offset);
	return port_read_32(CONFIG_DATA);
}

void pci_write(struct pci_function function, uint8_t offset, uint32_t value)
{
	select(function, offset);
	port_write_32(CONFIG_DATA, value);
}

bool pci_find(uint16_t vendor, uint16_t device, struct pci_function *found)
{
	uint32_t wanted = (uint32_t)device << 16 | vendor;

	for (unsigned number = 0; number < 256 * 32; number++) {
		struct pci_function function = { (uint8_t)(number / 32), (uint8_t)(number % 32), 0 };

		/* The machine's own devices are on bus 0; an absent bus reads as all ones. */
		if (pci_read(function, 0) == wanted) {
			*found = function;
			return true;
		}
	}
	return false;
}

uint8_t pci_capability(struct pci_function function, uint8_t identifier)
{
	uint8_t offset;

	if ((pci_read(function, PCI_COMMAND) & STATUS_HAS_CAPABILITIES) == 0)
		return 0;
	offset = (uint8_t)(pci_read(function, CAPABILITIES_POINTER) & 0xfc);
	for (unsigned i = 0; offset != 0 && i < CAPABILITIES_MAX; i++) {
		uint32_t head = pci_read(function, offset);

		if ((head & 0xff) == identifier)
			return offset;
		offset = (uint8_t)(head >> 8 & 0xfc);
	}
	return 0;
}

static uint64_t memory_bar(struct pci_function function, uint32_t number)
{
	uint8_t offset = (uint8_t)(PCI_BAR_0 + number * 4);
	uint32_t low = pci_read(function, offset);
	uint64_t high = (low & BAR_IS_64_BITS) != 0 ? pci_read(function, (uint8_t)(offset + 4)) : 0;

	return high << 32 | (low & UINT32_C(0xfffffff0));
}

bool pci_start_msix(struct pci_function function, uint8_t vector)
{
	uint8_t capability = pci_capability(function, CAPABILITY_MSIX);
	uint32_t table;
	void *pointer;
	volatile uint32_t *entry;

	if (capability == 0)
		return false;
	table = pci_read(function, (uint8_t)(capability + 4));
	if (lh_manager_map_bytes(memory_manager(), &msix_region,
				 lh_physical(memory_bar(function, table & 7) + (table & ~7u)), 16,
				 LH_RIGHT_READ | LH_RIGHT_WRITE, LH_MEMORY_UNCACHED, &pointer) != LH_OK)
		return false;
	pci_write(function, capability, pci_read(function, capability) | MSIX_ENABLE);
	entry = pointer;
	entry[0] = MESSAGE_ADDRESS | apic_identifier() << 12;
	entry[1] = 0;
	entry[2] = vector;
	entry[3] = 0; /* not masked */
	return true;
}
