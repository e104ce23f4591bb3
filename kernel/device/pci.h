/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration by the ports 0xcf8 and 0xcfc (PCI Local Bus 3.0, section 3.2.2.3). Boot only: no lock. */
#ifndef KERNEL_DEVICE_PCI_H
#define KERNEL_DEVICE_PCI_H

#include <stdbool.h>
#include <stdint.h>

struct pci_function {
	uint8_t bus, device, function;
};

#define PCI_COMMAND 0x04
#define PCI_COMMAND_IO 0x0001
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_MASTER 0x0004
#define PCI_COMMAND_NO_INTX 0x0400
#define PCI_BAR_0 0x10

/* The first function with this vendor and device; buses that the firmware numbered. */
bool pci_find(uint16_t vendor, uint16_t device, struct pci_function *found);

/* offset: of 4 bytes, aligned. */
uint32_t pci_read(struct pci_function function, uint8_t offset);
void pci_write(struct pci_function function, uint8_t offset, uint32_t value);

/* The offset of a capability; 0: it has none such. */
uint8_t pci_capability(struct pci_function function, uint8_t identifier);

/*
 * Has all interrupts of the function sent to this CPU as this vector, by entry 0 of its MSI-X
 * table. => false: it has no MSI-X, or its table cannot be mapped.
 */
bool pci_start_msix(struct pci_function function, uint8_t vector);

#endif
