/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a directory: made step by step, loaded and left, torn down from any step.
 */
#include "paging/near.h"
#include "paging/plain.h"

#include "base/memory.h"

static void begin_parts(lh_directory *directory)
{
	for (unsigned i = 0; i < LH_DIRECTORY_PARTS; i++)
		directory->parts[i] = (lh_directory_part){ .owner = LH_PART_NOBODY, .read_bits = UINT64_MAX };
}

void lh_directory_init(lh_directory *directory, lh_frames *frames, const lh_paging_format *format)
{
	lh_port *port = lh_frames_port(frames);

	*directory = (lh_directory){ .frames = frames, .format = format, .port = port, .root = { LH_NO_FRAME } };
	begin_parts(directory);
	lh_plain_begin(directory);
}

lh_error lh_directory_add_root(lh_directory *directory)
{
	LH_ASSERT(directory->port, lh_frame_is_none(directory->root));
	LH_TRY(lh_table_allocate(directory->frames, lh_format_top(directory->format),
				 &directory->root));
	directory->parts[0].tables = 1;
	return LH_OK;
}

lh_error lh_directory_add_root_below(lh_directory *directory, uint64_t limit)
{
	LH_ASSERT(directory->port, lh_frame_is_none(directory->root));
	LH_TRY(lh_table_allocate_below(directory->frames, lh_format_top(directory->format), limit,
				       &directory->root));
	directory->parts[0].tables = 1;
	return LH_OK;
}

static uint64_t *root_entries(const lh_directory *directory)
{
	return lh_frame_pointer(directory->frames, directory->root);
}

static void count_root_entries(lh_directory *directory, uint64_t added)
{
	lh_table_entry(directory->frames, directory->root)->word += added;
}

lh_error lh_directory_add_kernel_half(lh_directory *directory)
{
	const lh_paging_format *format = directory->format;
	unsigned top = lh_format_top(format);
	uint64_t *entries = root_entries(directory);
	lh_frame_number table;

	LH_ASSERT(directory->port, !directory->is_kernel && !directory->shares_kernel_half);
	directory->is_kernel = true;
	lh_plain_begin(directory);
	for (uint64_t i = lh_format_shared_index(format); i < lh_paging_entries(format, top); i++) {
		LH_TRY(lh_table_allocate(directory->frames, top - 1, &table));
		lh_atomic_store_total(&entries[i], lh_entry_make_table(format, table, false));
		count_root_entries(directory, 1);
		directory->parts[0].tables++;
	}
	return LH_OK;
}

void lh_directory_share_kernel_half(lh_directory *directory, const lh_directory *kernel)
{
	const lh_paging_format *format = directory->format;
	uint64_t count = lh_paging_entries(format, lh_format_top(format));
	const uint64_t *from = root_entries(kernel);
	uint64_t *to = root_entries(directory);

	LH_ASSERT(directory->port, kernel->is_kernel && kernel->format == format);
	LH_ASSERT(directory->port, !directory->is_kernel && !directory->shares_kernel_half);
	for (uint64_t i = lh_format_shared_index(format); i < count; i++)
		lh_atomic_store_relaxed(&to[i], lh_atomic_load(&from[i])); /* nobody runs it yet */
	count_root_entries(directory, count - lh_format_shared_index(format));
	directory->shares_kernel_half = true;
}

/* The shared entries hold nothing: they must not be opened with the rest. */
static void forget_kernel_half(lh_directory *directory)
{
	const lh_paging_format *format = directory->format;
	uint64_t count = lh_paging_entries(format, lh_format_top(format));
	uint64_t *entries = root_entries(directory);

	for (uint64_t i = lh_format_shared_index(format); i < count; i++)
		lh_atomic_store(&entries[i], UINT64_C(0));
	count_root_entries(directory, 0 - (count - lh_format_shared_index(format)));
	directory->shares_kernel_half = false;
}

void lh_directory_destroy(lh_directory *directory)
{
	uint64_t chain = 0;
	lh_dropped dropped;

	if (lh_frame_is_none(directory->root))
		return;
	if (directory->shares_kernel_half)
		forget_kernel_half(directory);
	lh_chain_push(directory->frames, &chain, directory->root);
	directory->root = lh_frame(LH_NO_FRAME);
	dropped = lh_chain_drop(directory->frames, directory->format, chain);
	LH_ASSERT(directory->port, dropped.tables == lh_directory_tables(directory));
	LH_ASSERT(directory->port, dropped.leaf_pages == lh_directory_leaves(directory));
	begin_parts(directory);
	directory->is_kernel = false;
	lh_plain_begin(directory);
}

void lh_directory_activate(lh_directory *directory)
{
	unsigned cpu = lh_port_cpu(directory->port);

	/* Before the load: from here on a flush reaches this CPU (gather.c). */
	lh_atomic_or(&directory->active.bits[lh_cpu_word(cpu)], lh_cpu_bit(cpu));
	lh_architecture_load(directory->port, directory->root);
}

void lh_directory_deactivate(lh_directory *directory)
{
	unsigned cpu = lh_port_cpu(directory->port);

	if (directory->is_kernel)
		return;
	lh_near_forget(directory, cpu);
	lh_atomic_and(&directory->active.bits[lh_cpu_word(cpu)], ~lh_cpu_bit(cpu));
}

uint64_t lh_directory_tables(const lh_directory *directory)
{
	uint64_t tables = 0;

	for (unsigned i = 0; i < LH_DIRECTORY_PARTS; i++)
		tables += lh_atomic_load_relaxed(&directory->parts[i].tables);
	return tables;
}

uint64_t lh_directory_leaves(const lh_directory *directory)
{
	uint64_t leaves = 0;

	for (unsigned i = 0; i < LH_DIRECTORY_PARTS; i++)
		leaves += lh_atomic_load_relaxed(&directory->parts[i].leaves) +
			  lh_atomic_load_relaxed(&directory->parts[i].counted);
	return leaves;
}

lh_virtual_range lh_directory_own_range(const lh_directory *directory)
{
	const lh_paging_format *format = directory->format;
	uint64_t half = UINT64_C(1) << lh_format_half_bits(format);
	lh_virtual_range range = { lh_virtual(directory->is_kernel ? 0 - half : 0),
				   half >> LH_PAGE_SHIFT };

	return range;
}
