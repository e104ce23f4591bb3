/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trial: cpu.h says what of. A line for each finding (the first few), one for each format.
 *
 * Of each format every case is tried (cases.c), by probes (probe.c). Then the judge is judged: of each format he
 * is given copies with a mistake, and must find it.
 */
#include "judge.h"

extern char image_end[];

static unsigned looks, findings, passed, failed;
static bool is_damaged; /* the format under trial: findings are expected */

#define FINDINGS_SHOWN 10

/* --- findings --- */

void judge_count(bool good, const char *what, uint64_t address)
{
	looks++;
	if (good)
		return;
	if (findings++ >= FINDINGS_SHOWN || is_damaged)
		return;
	judge_put(judge_format->name);
	judge_put(": ");
	judge_put(what);
	judge_put(" at ");
	judge_put_number(address, 16);
	judge_put(", cause ");
	judge_put_number(cpu_last.cause, 16);
	judge_put("\n");
}

/* The end of a trial, which is one test. */
static void conclude(bool good, const char *what)
{
	if (good)
		passed++;
	else
		failed++;
	judge_put(good ? "ok      " : "FAILED  ");
	judge_put(judge_format->name);
	judge_put(what);
	judge_put(": ");
	judge_put_number(looks, 10);
	judge_put(" looks, ");
	judge_put_number(findings, 10);
	judge_put(" findings\n");
	looks = findings = 0;
}

/* --- a trial for a format --- */

static uint64_t snippets_physical(void)
{
	return (uint64_t)(uintptr_t)cpu_snippet_read - CPU_WINDOW;
}

/* The window, for the judge himself; his user-mode code, which lies in one page. */
static void build(void)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHTS_ALL, .level = 1 };

	lh_directory_init(&judge_kernel, judge_frames, judge_format);
	judge_must(lh_directory_add_root(&judge_kernel));
	judge_must(lh_directory_add_kernel_half(&judge_kernel));
	lh_directory_init(&judge_user, judge_frames, judge_format);
	judge_must(lh_directory_add_root(&judge_user));
	lh_directory_share_kernel_half(&judge_user, &judge_kernel);
	for (uint64_t at = cpu_ram; at < cpu_ram + cpu_ram_bytes; at += judge_level_bytes(1)) {
		leaf.frame = lh_physical_frame(lh_physical(at));
		judge_map(at + CPU_WINDOW, leaf);
	}
	leaf.level = 0;
	leaf.type = LH_MEMORY_UNCACHED;
	leaf.rights = LH_RIGHT_READ | LH_RIGHT_WRITE;
	leaf.frame = lh_physical_frame(lh_physical(cpu_device));
	if (cpu_device != 0)
		judge_map(cpu_device + CPU_WINDOW, leaf);
	leaf.type = LH_MEMORY_WRITE_BACK;
	leaf.rights = LH_RIGHT_READ | LH_RIGHT_EXECUTE;
	leaf.frame = lh_physical_frame(lh_physical(snippets_physical()));
	judge_map(JUDGE_USER_CODE, leaf);
}

static void judge(const lh_frame_number *frame)
{
	lh_frame_counters before, after;

	lh_frames_read_counters(judge_frames, &before);
	build();
	cpu_load(judge_format, judge_user.root, judge_kernel.root);
	lh_directory_activate(&judge_kernel); /* first, and for ever: its flushes reach this CPU */
	lh_directory_activate(&judge_user);
	judge_rights(frame[0]);
	judge_types(frame[0]);
	judge_levels(frame[1]);
	judge_marks(frame[0]);
	judge_split();
	judge_flags(frame[0]);
	judge_keys(frame[0]);
	judge_runs();
	judge_random(frame);
	cpu_load_first();
	lh_directory_destroy(&judge_user);
	lh_directory_destroy(&judge_kernel);
	lh_frames_read_counters(judge_frames, &after);
	judge_count(before.free == after.free, "tables not given back", 0);
}

/* Mistakes that leave the judge his own code. => what is wrong with the format; NULL: no such. */
static const char *damage(lh_paging_format *copy, unsigned n)
{
	lh_entry_rights *rights = n == 0 ? &copy->user.leaf_rights : &copy->kernel.leaf_rights;
	lh_entry_test write = rights->write;

	if (n == 2) {
		copy->user.leaf = copy->kernel.leaf;
		return ", where user mode has the kernel's leaves";
	}
	if (n > 2)
		return NULL;
	rights->write = rights->execute;
	rights->execute = write;
	return n == 0 ? ", where user mode's write is execute" : ", where the kernel's write is execute";
}

static void judge_damaged(const lh_frame_number *frame)
{
	const lh_paging_format *whole = judge_format;
	lh_paging_format copy = *whole;
	const char *what;

	is_damaged = true;
	for (unsigned n = 0; copy = *whole, (what = damage(&copy, n)) != NULL; n++) {
		judge_format = &copy;
		judge(frame);
		conclude(findings > 0, what);
	}
	is_damaged = false;
	judge_format = whole;
}

static lh_frame_number page_frame(uint64_t mark)
{
	lh_frame_number frame;
	uint64_t *words;

	judge_must(lh_frame_allocate(judge_frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	words = lh_frame_pointer(judge_frames, frame);
	words[0] = cpu_breakpoint;
	words[1] = mark;
	return frame;
}

static void make_frames(void)
{
	static lh_memory_entry entries[8];
	uint64_t used = (uint64_t)(uintptr_t)image_end - CPU_WINDOW;
	lh_physical_address memory;
	lh_memory_map map;
	uint64_t size;

	lh_memory_map_init(&map, entries, 8);
	judge_must(lh_memory_map_add(&map, used, cpu_ram + cpu_ram_bytes - used, LH_MEMORY_USABLE));
	judge_must(lh_memory_map_normalise(&map));
	size = lh_frames_size(&map);
	judge_must(lh_memory_map_carve(&map, size, LH_PAGE_SIZE, 0, &memory));
	judge_must(lh_frames_create(judge_seen(memory.value), size, &map, LH_CHARGE_STRICT, NULL, &judge_frames));
}

void judge_main(void)
{
	lh_frame_number frame[2];

	make_frames();
	frame[0] = page_frame(UINT64_C(0x0123456789abcdef));
	frame[1] = page_frame(UINT64_C(0xfedcba9876543210));
	for (unsigned n = 0; (judge_format = cpu_format(n)) != NULL; n++) {
		judge_must(lh_paging_format_check(judge_format) ? LH_INVALID : LH_OK);
		judge(frame);
		conclude(findings == 0, "");
		judge_damaged(frame);
	}
	judge_put_number(passed, 10);
	judge_put(" passed, ");
	judge_put_number(failed, 10);
	judge_put(" failed\n");
	cpu_end(failed == 0);
}
