/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's descriptions of the tables against the walker that knows only the manuals: the
 * library writes tables by a description, the CPU of a machine of that architecture uses them.
 * Then each bit of the description is cleared in a copy, one at a time, and each such
 * mistake must be caught by that same comparison.
 */
#include "harness.h"

#include <stdlib.h>

#include <landhold/directory.h>

#include "cpu.h"

/* Two places for RAM, whose frame numbers together have every bit of an address, of 52 or of 48. */
static const uint64_t places[] = { UINT64_C(0x5555555400), UINT64_C(0xaaaaaaa800) };
static const uint64_t lower_places[] = { UINT64_C(0x555555400), UINT64_C(0xaaaaaa800) };
#define RAM_FRAMES 2048

struct subject {
	const lh_paging_format *format;
	const mmu_architecture *architecture;
	bool hardware_flags; /* set in a copy of the format */
};

/* Within the format's half. */
#define USER_PAGE UINT64_C(0x0000155555400000)
#define USER_LARGE UINT64_C(0x0000200000000000)
#define LARGE_SIZE UINT64_C(0x200000)
#define KERNEL_PAGE UINT64_C(0x0000200000003000)

struct trial {
	const lh_paging_format *format;
	uint64_t place;
	lh_port *machine;
	void *memory; /* of the frame array */
	lh_frames *frames;
	lh_directory kernel, user;
	const char *finding;
};

#define EXPECT(trial, condition)                                                   \
	do {                                                                       \
		if (!(condition) && !(trial)->finding)                             \
			(trial)->finding = #condition;                             \
	} while (0)

static void make_frames(struct trial *trial)
{
	lh_memory_entry entries[2];
	lh_memory_map map;
	uint64_t size;

	lh_memory_map_init(&map, entries, 2);
	CHECK_OK(lh_memory_map_add(&map, trial->place << LH_PAGE_SHIFT,
				   RAM_FRAMES << LH_PAGE_SHIFT, LH_MEMORY_USABLE));
	CHECK_OK(lh_memory_map_normalise(&map));
	size = (lh_frames_size(&map) + LH_PAGE_SIZE - 1) / LH_PAGE_SIZE * LH_PAGE_SIZE;
	trial->memory = aligned_alloc(LH_PAGE_SIZE, size);
	CHECK_OK(lh_frames_create(trial->memory, size, &map, LH_CHARGE_STRICT, trial->machine,
				  &trial->frames));
}

static void make_directories(struct trial *trial)
{
	lh_directory_init(&trial->kernel, trial->frames, trial->format);
	CHECK_OK(lh_directory_add_root(&trial->kernel));
	CHECK_OK(lh_directory_add_kernel_half(&trial->kernel));
	lh_directory_init(&trial->user, trial->frames, trial->format);
	CHECK_OK(lh_directory_add_root(&trial->user));
	lh_directory_share_kernel_half(&trial->user, &trial->kernel);
}

/* Maps fresh frames, one page or 512 in one leaf. => the first frame. */
static lh_frame_number map(struct trial *trial, lh_directory *directory, uint64_t address,
			   lh_rights rights, uint8_t level)
{
	uint64_t count = level ? 512 : 1;
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = rights, .level = level,
			 .flags = LH_LEAF_UNCOUNTED };
	lh_spare_tables spares = { 0 };

	CHECK_OK(lh_frame_allocate_contiguous(trial->frames, count, count, 0, LH_FRAME_ANONYMOUS,
					      &leaf.frame));
	CHECK_OK(lh_spare_tables_take(trial->frames, 4, &spares));
	if (level)
		EXPECT(trial, lh_directory_write_large(directory, lh_virtual(address), leaf,
							      &spares) == LH_OK);
	else
		EXPECT(trial, lh_directory_write(directory, lh_virtual(address), leaf,
							&spares) == LH_OK);
	lh_spare_tables_give_back(trial->frames, &spares);
	return leaf.frame;
}

static lh_leaf leaf_at(lh_directory *directory, uint64_t address)
{
	lh_leaf leaf = lh_directory_read(directory, lh_virtual(address));

	return leaf;
}

static bool can(struct trial *trial, uint64_t address, mmu_access access, machine_mode mode)
{
	machine_fault fault;

	return machine_try(trial->machine, 0, lh_virtual(address), access, mode, &fault);
}

static const mmu_translation *cached(struct trial *trial, uint64_t address)
{
	static const mmu_translation none;
	const machine_cpu *cpu = &trial->machine->cpus[0];
	const mmu_tlb_entry *entry =
		mmu_tlb_find(&cpu->tlb, &cpu->control, cpu->root << LH_PAGE_SHIFT, address);

	return entry ? &entry->translation : &none;
}

/* A user page with these rights: every access is as they say, and leaves its traces. */
static void try_user_page(struct trial *trial, uint64_t address, lh_rights rights, uint8_t level)
{
	lh_frame_number frame = map(trial, &trial->user, address, rights, level);
	bool writes = (rights & LH_RIGHT_WRITE) != 0;
	bool executes = (rights & LH_RIGHT_EXECUTE) != 0;

	EXPECT(trial, !(leaf_at(&trial->user, address).flags & LH_LEAF_ACCESSED) !=
			      trial->format->software_accessed);
	EXPECT(trial, can(trial, address, MMU_READ, MACHINE_USER));
	EXPECT(trial, leaf_at(&trial->user, address).flags & LH_LEAF_ACCESSED);
	EXPECT(trial, !(leaf_at(&trial->user, address).flags & LH_LEAF_DIRTY) !=
			      (trial->format->software_dirty && writes));
	EXPECT(trial, cached(trial, address)->physical >> LH_PAGE_SHIFT == frame.value);
	EXPECT(trial, cached(trial, address)->level == level);
	EXPECT(trial, !cached(trial, address)->global);
	EXPECT(trial, can(trial, address, MMU_FETCH, MACHINE_USER) == executes);
	EXPECT(trial, !can(trial, address, MMU_FETCH, MACHINE_KERNEL));
	EXPECT(trial, can(trial, address, MMU_WRITE, MACHINE_USER) == writes);
	EXPECT(trial, !!(leaf_at(&trial->user, address).flags & LH_LEAF_DIRTY) == writes);
}

static void try_kernel_page(struct trial *trial, uint64_t address)
{
	lh_rights rights = LH_RIGHT_READ | LH_RIGHT_WRITE;
	lh_frame_number frame = map(trial, &trial->kernel, address, rights, 0);

	EXPECT(trial, !can(trial, address, MMU_READ, MACHINE_USER));
	EXPECT(trial, !can(trial, address, MMU_FETCH, MACHINE_USER));
	EXPECT(trial, can(trial, address, MMU_READ, MACHINE_KERNEL));
	EXPECT(trial, can(trial, address, MMU_WRITE, MACHINE_KERNEL));
	EXPECT(trial, !can(trial, address, MMU_FETCH, MACHINE_KERNEL));
	EXPECT(trial, can(trial, address, MMU_READ, MACHINE_KERNEL));
	EXPECT(trial, cached(trial, address)->physical >> LH_PAGE_SHIFT == frame.value);
	EXPECT(trial, cached(trial, address)->global);
}

/* Executable, and readable only where the format has nothing else: a leaf all the same. */
static void try_large_code(struct trial *trial, uint64_t address)
{
	lh_frame_number frame = map(trial, &trial->user, address, LH_RIGHT_EXECUTE, 1);
	lh_leaf leaf = leaf_at(&trial->user, address);

	EXPECT(trial, leaf.kind == LH_LEAF_PRESENT && leaf.level == 1);
	EXPECT(trial, leaf.frame.value == frame.value);
	EXPECT(trial, can(trial, address, MMU_FETCH, MACHINE_USER));
}

/* The address in the user half, as far as that reaches. */
static uint64_t in_half(const struct trial *trial, uint64_t address)
{
	uint64_t half = lh_directory_own_range(&trial->user).pages << LH_PAGE_SHIFT;

	return address & (half - 1) & ~(trial->format->levels == 3 ? UINT64_C(0x4000000000) : 0);
}

/* One that only the kernel executes, and nobody writes. */
static void try_kernel_code(struct trial *trial, uint64_t address)
{
	(void)map(trial, &trial->kernel, address, LH_RIGHT_READ | LH_RIGHT_EXECUTE, 0);
	EXPECT(trial, !can(trial, address, MMU_FETCH, MACHINE_USER));
	EXPECT(trial, can(trial, address, MMU_FETCH, MACHINE_KERNEL));
	EXPECT(trial, !can(trial, address, MMU_WRITE, MACHINE_KERNEL));
}

static void run_trial(void *context)
{
	uintptr_t interrupts;
	struct trial *trial = context;
	uint64_t kernel;

	make_frames(trial);
	make_directories(trial);
	if (trial->format->root_each)
		machine_set_upper_root(trial->machine, trial->kernel.root);
	kernel = lh_directory_own_range(&trial->kernel).base.value + in_half(trial, KERNEL_PAGE);
	interrupts = lh_port_interrupts_off(trial->machine);
	lh_directory_activate(&trial->user);
	lh_port_interrupts_restore(trial->machine, interrupts);
	try_user_page(trial, in_half(trial, USER_LARGE), LH_RIGHT_READ | LH_RIGHT_WRITE, 1);
	try_user_page(trial, in_half(trial, USER_LARGE) + LARGE_SIZE, LH_RIGHT_READ, 1);
	try_large_code(trial, in_half(trial, USER_LARGE) + 2 * LARGE_SIZE);
	for (unsigned rights = 0; rights < 4; rights++)
		try_user_page(trial, in_half(trial, USER_PAGE) + rights * LH_PAGE_SIZE,
			      (lh_rights)(LH_RIGHT_READ | rights << 1), 0);
	try_kernel_page(trial, kernel);
	try_kernel_code(trial, kernel + LH_PAGE_SIZE);
	EXPECT(trial, lh_directory_check(&trial->user) == NULL);
}

/* What is wrong with a format, on a CPU of an architecture; NULL: nothing. */
static const char *judge_on(const lh_paging_format *format, const mmu_architecture *architecture)
{
	const char *finding = lh_paging_format_check(format);

	for (unsigned i = 0; i < 2 && !finding; i++) {
		uint64_t place = architecture->root_each ? lower_places[i] : places[i];
		machine_setup setup = { .spans = { { place, RAM_FRAMES } }, .levels = format->levels,
					.architecture = architecture };
		struct trial trial = { .format = format, .place = place };

		trial.machine = machine_create(&setup);
		finding = machine_expect_panic(trial.machine, run_trial, &trial);
		if (!finding)
			finding = trial.finding;
		free(trial.memory);
		machine_destroy(trial.machine);
	}
	return finding;
}

static const char *judge(const lh_paging_format *format)
{
	return judge_on(format, &mmu_x86_64);
}

static const struct subject subjects[] = {
	{ &lh_format_x86_64_4_level, &mmu_x86_64, false },
	{ &lh_format_x86_64_5_level, &mmu_x86_64, false },
	{ &lh_format_aarch64_4k, &mmu_aarch64, false },
	{ &lh_format_aarch64_4k_flags, &mmu_aarch64_flags, false },
	{ &lh_format_riscv64_sv39, &mmu_riscv64, false },
	{ &lh_format_riscv64_sv48, &mmu_riscv64, false },
	{ &lh_format_riscv64_sv57, &mmu_riscv64_flags, true },
};

static lh_paging_format format_of(const struct subject *subject)
{
	lh_paging_format format = *subject->format;

	if (subject->hardware_flags)
		format.software_accessed = format.software_dirty = false;
	return format;
}

TEST(tables_written_by_the_format_are_what_the_manual_means)
{
	for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
		lh_paging_format format = format_of(&subjects[i]);

		CHECK_SOUND(judge_on(&format, subjects[i].architecture));
	}
}

#define FIELD(field) { #field, offsetof(lh_paging_format, field) }

/* Bits of riscv64's addresses above those that RAM can be given. */
#define BEYOND_RAM (UINT64_C(0xf) << 50)

/* aarch64's shareability, which is nothing to one CPU's walk. */
#define SHAREABILITY (UINT64_C(3) << 8)

/* No access can tell; or it is no bit of entries. */
static bool is_unseen(const lh_paging_format *format, const uint64_t *field, unsigned bit)
{
	if (field == &format->dirty.value && format->dirty.mask == 0)
		return true;
	/* Who may write may read: the other bit says enough. */
	if (field == &format->table.mask && format->write_needs_read)
		return (format->user.leaf_rights.write.mask >> bit & 1) != 0;
	if (field == &format->address[0].mask && format->address[0].shift != 0)
		return (BEYOND_RAM >> bit & 1) != 0;
	return field == &format->leaf_fixed[1] && format->root_each &&
	       (SHAREABILITY >> bit & 1) != 0;
}

/* => how many bits there were, but for those. */
static unsigned flip_each(const struct subject *subject, const char *name, size_t offset)
{
	unsigned flips = 0;

	for (unsigned bit = 0; bit < 64; bit++) {
		lh_paging_format format = format_of(subject);
		uint64_t *field = (uint64_t *)(void *)((char *)&format + offset);

		if (!(*field >> bit & 1) || is_unseen(&format, field, bit))
			continue;
		*field ^= UINT64_C(1) << bit;
		flips++;
		if (!judge_on(&format, subject->architecture))
			test_fail(__FILE__, __LINE__, "%s: bit %u missing from %s is not seen",
				  format.name, bit, name);
	}
	return flips;
}

TEST(each_bit_missing_from_the_format_is_caught)
{
	static const struct {
		const char *name;
		size_t offset;
	} fields[] = {
		FIELD(address[0].mask),
		FIELD(present.mask),
		FIELD(present.value),
		FIELD(table.mask),
		FIELD(leaf_fixed[1]),
		FIELD(user.leaf.value),
		FIELD(kernel.leaf.value),
		FIELD(user.table.value),
		FIELD(user.leaf_rights.write.mask),
		FIELD(user.leaf_rights.write.value),
		FIELD(user.leaf_rights.execute.mask),
		FIELD(kernel.leaf_rights.write.mask),
		FIELD(kernel.leaf_rights.execute.mask),
		FIELD(user.table_rights.write.value),
		FIELD(accessed),
		FIELD(dirty.mask),
		FIELD(dirty.value),
	};
	static const unsigned wanted[] = { 56, 56, 48, 50, 54, 54, 54 };

	for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
		unsigned flips = 0;

		for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
			flips += flip_each(&subjects[i], fields[f].name, fields[f].offset);
		CHECK_EQUAL(flips, wanted[i]);
	}
}

/* A mistake that is sound in itself: only a reader who knows the manual can see it. */
TEST(bits_in_the_wrong_place_are_caught)
{
	const lh_entry_test bit_52 = { UINT64_C(1) << 52, UINT64_C(1) << 52 };
	lh_paging_format format = lh_format_x86_64_4_level;

	format.user.leaf_rights.write = bit_52;
	CHECK(judge(&format));
	format = lh_format_x86_64_4_level;
	format.accessed = UINT64_C(1) << 53;
	CHECK(judge(&format));
	format = lh_format_x86_64_4_level;
	format.dirty = bit_52;
	CHECK(judge(&format));
	format = lh_format_x86_64_4_level;
	format.kernel.leaf = bit_52;
	CHECK(judge(&format));
	format = lh_format_x86_64_4_level;
	format.user.leaf = format.user_leaf = bit_52;
	CHECK(judge(&format));
	format = lh_format_x86_64_4_level;
	format.user.leaf_rights.execute.mask = UINT64_C(1) << 62;
	CHECK(judge(&format));
}
