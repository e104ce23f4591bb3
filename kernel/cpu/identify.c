/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/identify.h"

#include "lib/log.h"
#include "lib/string.h"

static struct cpu_identification identification;

struct leaf {
	uint32_t eax, ebx, ecx, edx;
};

static struct leaf cpuid(uint32_t number, uint32_t index)
{
	struct leaf leaf;

	__asm__ volatile("cpuid"
			 : "=a"(leaf.eax), "=b"(leaf.ebx), "=c"(leaf.ecx), "=d"(leaf.edx)
			 : "a"(number), "c"(index));
	return leaf;
}

/* Names are Linux' own (its cpufeatures.h), since programs look for them in /proc/cpuinfo. */
struct feature_names {
	uint32_t leaf;
	char output; /* 'b' 'c' 'd' or 'a': which register */
	const char *names[32];
};

static const struct feature_names feature_table[] = {
	{ 1, 'd',
	  { "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", NULL, "sep", "mtrr",
	    "pge", "mca", "cmov", "pat", "pse36", "pn", "clflush", NULL, "dts", "acpi", "mmx", "fxsr",
	    "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe" } },
	{ 0x80000001, 'd',
	  { [11] = "syscall", [19] = "mp", [20] = "nx", [22] = "mmxext", [25] = "fxsr_opt",
	    [26] = "pdpe1gb", [27] = "rdtscp", [29] = "lm", [30] = "3dnowext", [31] = "3dnow" } },
	{ 1, 'c',
	  { "pni", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est", "tm2", "ssse3",
	    "cid", "sdbg", "fma", "cx16", "xtpr", "pdcm", NULL, "pcid", "dca", "sse4_1", "sse4_2",
	    "x2apic", "movbe", "popcnt", "tsc_deadline_timer", "aes", "xsave", "osxsave", "avx",
	    "f16c", "rdrand", "hypervisor" } },
	{ 0x80000001, 'c',
	  { "lahf_lm", "cmp_legacy", "svm", "extapic", "cr8_legacy", "abm", "sse4a", "misalignsse",
	    "3dnowprefetch", "osvw", "ibs", "xop", "skinit", "wdt", NULL, "lwp", "fma4", "tce", NULL,
	    "nodeid_msr", NULL, "tbm", "topoext" } },
	{ 7, 'b',
	  { "fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle", "avx2", NULL, "smep", "bmi2", "erms",
	    "invpcid", "rtm", "cqm", NULL, "mpx", "rdt_a", "avx512f", "avx512dq", "rdseed", "adx",
	    "smap", "avx512ifma", NULL, "clflushopt", "clwb", "intel_pt", "avx512pf", "avx512er",
	    "avx512cd", "sha_ni", "avx512bw", "avx512vl" } },
	{ 7, 'c',
	  { NULL, "avx512vbmi", "umip", "pku", "ospke", "waitpkg", "avx512_vbmi2", NULL, "gfni", "vaes",
	    "vpclmulqdq", "avx512_vnni", "avx512_bitalg", "tme", "avx512_vpopcntdq", NULL, "la57",
	    [22] = "rdpid", [25] = "cldemote", [27] = "movdiri", [28] = "movdir64b" } },
};

static uint32_t highest_leaf(uint32_t base)
{
	uint32_t highest = cpuid(base, 0).eax;

	return highest >= base && highest < base + 0x10000 ? highest : 0;
}

static bool leaf_exists(uint32_t number)
{
	return number <= highest_leaf(number & 0xffff0000);
}

static struct leaf leaf_or_zero(uint32_t number)
{
	struct leaf none = { 0, 0, 0, 0 };

	return leaf_exists(number) ? cpuid(number, 0) : none;
}

static uint32_t output_of(const struct leaf *leaf, char output)
{
	return output == 'a' ? leaf->eax : output == 'b' ? leaf->ebx : output == 'c' ? leaf->ecx : leaf->edx;
}

static void append(char *text, size_t capacity, const char *more)
{
	size_t length = strlen(text);

	if (length != 0 && length + 1 < capacity) {
		text[length++] = ' ';
		text[length] = 0;
	}
	if (!string_copy(text + length, more, capacity - length))
		log_line("cpu: the features string is cut short at %s", more);
}

static void read_features(struct cpu_identification *id)
{
	for (size_t row = 0; row < sizeof(feature_table) / sizeof(feature_table[0]); row++) {
		const struct feature_names *names = &feature_table[row];
		struct leaf leaf = leaf_or_zero(names->leaf);
		uint32_t bits = output_of(&leaf, names->output);

		for (unsigned bit = 0; bit < 32; bit++)
			if ((bits >> bit & 1) != 0 && names->names[bit] != NULL)
				append(id->features_string, sizeof(id->features_string), names->names[bit]);
	}
}

static void copy_register(char *to, uint32_t value)
{
	memcpy(to, &value, sizeof(value));
}

static void read_names(struct cpu_identification *id)
{
	struct leaf leaf = cpuid(0, 0);
	char *brand = id->brand_string;

	copy_register(id->vendor_id_string, leaf.ebx);
	copy_register(id->vendor_id_string + 4, leaf.edx);
	copy_register(id->vendor_id_string + 8, leaf.ecx);
	for (uint32_t number = 0x80000002; number <= 0x80000004 && leaf_exists(number); number++) {
		leaf = cpuid(number, 0);
		copy_register(brand, leaf.eax);
		copy_register(brand + 4, leaf.ebx);
		copy_register(brand + 8, leaf.ecx);
		copy_register(brand + 12, leaf.edx);
		brand += 16;
	}
	if ((cpuid(1, 0).ecx >> 31 & 1) == 0)
		return;
	leaf = cpuid(0x40000000, 0);
	copy_register(id->hypervisor_vendor_id_string, leaf.ebx);
	copy_register(id->hypervisor_vendor_id_string + 4, leaf.ecx);
	copy_register(id->hypervisor_vendor_id_string + 8, leaf.edx);
}

/* Intel volume 2A, CPUID, figure 3-6 and the formulas below it. */
static void read_signature(struct cpu_identification *id)
{
	struct leaf leaf = cpuid(1, 0);
	uint32_t family = leaf.eax >> 8 & 0xf, model = leaf.eax >> 4 & 0xf;

	id->stepping = leaf.eax & 0xf;
	id->type = leaf.eax >> 12 & 3;
	id->display_family = family == 0xf ? family + (leaf.eax >> 20 & 0xff) : family;
	id->display_model = family == 6 || family == 0xf ? model | (leaf.eax >> 16 & 0xf) << 4 : model;
	id->clflush_size = (leaf.ebx >> 8 & 0xff) * 8;
}

static void read_sizes(struct cpu_identification *id)
{
	struct leaf leaf = leaf_or_zero(0x80000008);

	id->physical_address_bits = leaf.eax != 0 ? leaf.eax & 0xff : 36;
	id->virtual_address_bits = leaf.eax != 0 ? leaf.eax >> 8 & 0xff : 48;
	for (uint32_t index = 0; leaf_exists(4) && index < 16; index++) {
		leaf = cpuid(4, index);
		if ((leaf.eax & 0x1f) == 0)
			break;
		/* ways x partitions x line size x sets */
		id->cache_size = (uint32_t)((uint64_t)((leaf.ebx >> 22) + 1) *
					    ((leaf.ebx >> 12 & 0x3ff) + 1) * ((leaf.ebx & 0xfff) + 1) *
					    (leaf.ecx + 1) / 1024);
	}
	leaf = leaf_or_zero(0x80000006);
	if (id->cache_size == 0)
		id->cache_size = leaf.ecx >> 16;
}

static void read_flags(struct cpu_identification *id)
{
	struct leaf one = cpuid(1, 0), seven = leaf_or_zero(7), extended = leaf_or_zero(0x80000001);

	id->has_pge = (one.edx >> 13 & 1) != 0;
	id->has_fxsr = (one.edx >> 24 & 1) != 0;
	id->has_sse2 = (one.edx >> 26 & 1) != 0;
	id->has_rdrand = (one.ecx >> 30 & 1) != 0;
	id->has_smep = (seven.ebx >> 7 & 1) != 0;
	id->has_smap = (seven.ebx >> 20 & 1) != 0;
	id->has_umip = (seven.ecx >> 2 & 1) != 0;
	id->has_syscall = (extended.edx >> 11 & 1) != 0;
	id->has_nx = (extended.edx >> 20 & 1) != 0;
	id->has_gigabyte_pages = (extended.edx >> 26 & 1) != 0;
}

void cpu_identify(void)
{
	struct cpu_identification *id = &identification;

	read_names(id);
	read_signature(id);
	read_sizes(id);
	read_flags(id);
	read_features(id);
	log_line("cpu: %s family %u model %u stepping %u \"%s\"%s%s", id->vendor_id_string,
		 id->display_family, id->display_model, id->stepping, id->brand_string,
		 id->hypervisor_vendor_id_string[0] != 0 ? " under " : "",
		 id->hypervisor_vendor_id_string);
	log_line("cpu: %s", id->features_string);
	if (!id->has_nx || !id->has_syscall || !id->has_fxsr || !id->has_sse2)
		panic("this CPU lacks nx, syscall, fxsr or sse2, which every x86-64 CPU of today has");
}

const struct cpu_identification *cpu_identification(void)
{
	return &identification;
}
