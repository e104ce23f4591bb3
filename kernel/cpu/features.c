/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/features.h"

#include "arch/x86_64/page_attributes.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/trap_frame.h"
#include "cpu/identify.h"
#include "cpu/percpu.h"
#include "lib/log.h"
#include "lib/string.h"

#define SITE_LENGTH 3

struct smap_site {
	uint64_t address;
	uint64_t is_stac;
};
extern const struct smap_site smap_sites_start[], smap_sites_end[];
void system_call_entry(void);
void system_call_entry_32(void);

void cpu_patch_sites(void)
{
	static const uint8_t clac[SITE_LENGTH] = { 0x0f, 0x01, 0xca };
	static const uint8_t stac[SITE_LENGTH] = { 0x0f, 0x01, 0xcb };

	if (!cpu_identification()->has_smap)
		return;
	for (const struct smap_site *site = smap_sites_start; site < smap_sites_end; site++)
		memcpy((void *)(uintptr_t)site->address, site->is_stac != 0 ? stac : clac, SITE_LENGTH);
}

/* OSXSAVE stays clear: fxsave keeps all that a program can then have. */
static uint64_t control_4(const struct cpu_identification *id)
{
	uint64_t bits = CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (id->has_pge)
		bits |= CR4_PGE;
	if (id->has_smep)
		bits |= CR4_SMEP;
	if (id->has_smap)
		bits |= CR4_SMAP;
	if (id->has_umip)
		bits |= CR4_UMIP;
	return bits;
}

static void start_system_calls(void)
{
	/* syscall loads CS and SS from the lower half; sysret counts from the upper: +16 CS, +8 SS. */
	write_msr(MSR_STAR, (uint64_t)(USER_CODE_SELECTOR - 16) << 48 | (uint64_t)KERNEL_CODE_SELECTOR << 32);
	write_msr(MSR_LSTAR, (uint64_t)(uintptr_t)system_call_entry);
	write_msr(MSR_CSTAR, (uint64_t)(uintptr_t)system_call_entry_32);
	write_msr(MSR_SFMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC);
	write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SCE);
}

void cpu_start_features(void)
{
	const struct cpu_identification *id = cpu_identification();

	write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE | CR0_WP | CR0_AM);
	write_cr4(read_cr4() | control_4(id));
	write_msr(LH_X86_64_IA32_PAT, LH_X86_64_PAGE_ATTRIBUTES);
	start_system_calls();
}

void cpu_log_features(void)
{
	const struct cpu_identification *id = cpu_identification();

	log_line("cpu: nx wp%s%s%s%s are on", id->has_pge ? " pge" : "", id->has_smep ? " smep" : "",
		 id->has_smap ? " smap" : "", id->has_umip ? " umip" : "");
}

static void must_have(const char *name, uint64_t found, uint64_t wanted)
{
	if ((found & wanted) != wanted)
		panic("CPU %u has %s %#lx, which lacks %#lx", cpu_this()->number, name, found,
		      wanted & ~found);
}

void cpu_check_features(void)
{
	uint64_t attributes = read_msr(LH_X86_64_IA32_PAT);

	must_have("cr0", read_cr0(), CR0_MP | CR0_NE | CR0_WP | CR0_AM);
	must_have("cr4", read_cr4(), control_4(cpu_identification()));
	must_have("efer", read_msr(MSR_EFER), EFER_NXE | EFER_SCE);
	if (attributes != LH_X86_64_PAGE_ATTRIBUTES)
		panic("CPU %u has page attributes %#lx", cpu_this()->number, attributes);
}
