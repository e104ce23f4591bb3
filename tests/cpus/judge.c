/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trial: cpu.h says what of. A line for each finding (the first few), one for each format.
 *
 * Every probe takes the library's own answer for a page and tries it: reads, writes and fetches in
 * user mode and in the kernel's. An access that is allowed must reach the very frame; one that is not
 * must fault; accessed and dirty must be set by what sets them and by nothing else.
 *
 * Then the judge is judged: of each format he is given copies with a mistake, and must find it.
 */
#include "cpu.h"

#define RANDOM_STEPS 3000
#define RANDOM_PAGES 12
#define USER_CODE UINT64_C(0x10000)

extern char image_end[];

static lh_frames *frames;
static lh_directory kernel, user;
static const lh_paging_format *format;
static unsigned looks, findings, passed, failed;
static bool is_damaged; /* the format under trial: findings are expected */

#define FINDINGS_SHOWN 10

/* --- what the library and the compiler want --- */

void *memset(void *to, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile uint8_t *)to)[i] = (uint8_t)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	for (size_t i = size; (uintptr_t)to > (uintptr_t)from && i-- > 0;)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return (uintptr_t)to > (uintptr_t)from ? to : memcpy(to, from, size);
}

int memcmp(const void *a, const void *b, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i])
			return ((const uint8_t *)a)[i] - ((const uint8_t *)b)[i];
	return 0;
}

static void put(const char *text)
{
	while (*text)
		cpu_put(*text++);
}

static void put_number(uint64_t number, unsigned base)
{
	char digits[24];
	unsigned i = sizeof(digits);

	digits[--i] = '\0';
	do
		digits[--i] = "0123456789abcdef"[number % base];
	while ((number /= base) != 0);
	put(base == 16 ? "0x" : "");
	put(&digits[i]);
}

static void *seen(uint64_t physical)
{
	return (void *)(uintptr_t)(physical + CPU_WINDOW);
}

void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame)
{
	(void)port;
	return seen(lh_frame_address(frame).value);
}

void lh_port_panic(lh_port *port, const char *message)
{
	(void)port;
	put("panic: ");
	put(message);
	put("\n");
	cpu_end(false);
}

void lh_port_log(lh_port *port, const char *message)
{
	(void)port;
	put(message);
	put("\n");
}

uint64_t lh_port_random(lh_port *port)
{
	static uint64_t state = 1;

	(void)port;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return state >> 33;
}

unsigned lh_port_cpu(lh_port *port) { (void)port; return 0; }
uintptr_t lh_port_interrupts_off(lh_port *port) { (void)port; return 0; }
void lh_port_interrupts_restore(lh_port *port, uintptr_t state) { (void)port; (void)state; }
bool lh_port_interrupts_are_on(lh_port *port) { (void)port; return true; }
void lh_port_pause(lh_port *port) { (void)port; }
void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected) { (void)port; (void)word; (void)expected; }
void lh_port_unpark(lh_port *port, const uint32_t *word) { (void)port; (void)word; }

void lh_port_call_cpus(lh_port *port, const lh_cpu_set *cpus, void (*function)(void *), void *argument)
{
	(void)port;
	(void)cpus;
	function(argument);
}

static void must(lh_error error)
{
	if (error != LH_OK)
		lh_port_panic(NULL, lh_error_string(error));
}

/* --- findings --- */

static void count(bool good, const char *what, uint64_t address)
{
	looks++;
	if (good)
		return;
	if (findings++ >= FINDINGS_SHOWN || is_damaged)
		return;
	put(format->name);
	put(": ");
	put(what);
	put(" at ");
	put_number(address, 16);
	put(", cause ");
	put_number(cpu_last.cause, 16);
	put("\n");
}

/* The end of a trial, which is one test. */
static void conclude(bool good, const char *what)
{
	if (good)
		passed++;
	else
		failed++;
	put(good ? "ok      " : "FAILED  ");
	put(format->name);
	put(what);
	put(": ");
	put_number(looks, 10);
	put(" looks, ");
	put_number(findings, 10);
	put(" findings\n");
	looks = findings = 0;
}

/* --- pages --- */

static lh_directory *directory_of(uint64_t address)
{
	return address >> 63 ? &kernel : &user;
}

static lh_leaf query(uint64_t address)
{
	return lh_directory_read(directory_of(address), lh_virtual(address));
}

static void map(uint64_t address, lh_leaf leaf)
{
	lh_directory *directory = directory_of(address);
	lh_spare_tables spares = { 0, 0 };

	leaf.flags |= LH_LEAF_UNCOUNTED;
	must(lh_spare_tables_take(frames, LH_PAGING_LEVELS_MAX, &spares));
	if (leaf.level > 0)
		must(lh_directory_write_large(directory, lh_virtual(address), leaf, &spares));
	else
		must(lh_directory_write(directory, lh_virtual(address), leaf, &spares));
	lh_spare_tables_give_back(frames, &spares);
	lh_directory_announce(directory, (lh_virtual_range){ lh_virtual(address), 1 });
}

static uint64_t level_bytes(unsigned level)
{
	return UINT64_C(1) << format->level_shift[level];
}

static void clear(uint64_t address)
{
	lh_virtual_range range = { lh_virtual(address), 1 };
	lh_gather gather;

	if (query(address).kind == LH_LEAF_EMPTY)
		return;
	range.pages = level_bytes(query(address).level) >> LH_PAGE_SHIFT;
	range.base.value &= ~(level_bytes(query(address).level) - 1);
	lh_gather_begin(&gather, directory_of(address));
	lh_directory_clear_range(directory_of(address), range, &gather);
	lh_gather_finish(&gather);
}

static void restrict_to(uint64_t address, lh_rights rights)
{
	lh_virtual_range range = { lh_virtual(address), 1 };
	lh_gather gather;

	lh_gather_begin(&gather, directory_of(address));
	lh_directory_restrict_range(directory_of(address), range, rights, &gather);
	lh_gather_finish(&gather);
}

/* --- probes --- */

typedef enum probe { PROBE_READ, PROBE_WRITE, PROBE_FETCH } probe;

/* Where a mode's own code of the snippets is. */
static uint64_t snippet(const uint8_t *code, bool in_user_mode)
{
	return in_user_mode ? USER_CODE + (uint64_t)(code - cpu_snippet_read) : (uint64_t)(uintptr_t)code;
}

static void run(probe kind, uint64_t address, uint64_t value, bool in_user_mode)
{
	if (kind == PROBE_FETCH)
		cpu_run(address, 0, 0, in_user_mode);
	else
		cpu_run(snippet(kind == PROBE_READ ? cpu_snippet_read : cpu_snippet_write, in_user_mode),
			address, value, in_user_mode);
}

/* What the library says: may this be done here? The kernel stays out of user mode's pages. */
static bool is_granted(const lh_leaf *leaf, probe kind, uint64_t address, bool in_user_mode)
{
	static const lh_rights rights[] = { LH_RIGHT_READ, LH_RIGHT_WRITE, LH_RIGHT_EXECUTE };

	return leaf->kind == LH_LEAF_PRESENT && (leaf->rights & rights[kind]) != 0 &&
	       (address >> 63 == 0) == in_user_mode;
}

/* The word that the address stands for: the second of a page, the first is the breakpoint. */
static volatile uint64_t *word_behind(const lh_leaf *leaf, uint64_t address)
{
	uint64_t offset = address & (level_bytes(leaf->level) - 1);

	return seen(lh_frame_address(leaf->frame).value + offset);
}

/* One access, held against what the leaf says of it. */
static void try_access(probe kind, uint64_t address, bool in_user_mode)
{
	lh_leaf leaf = query(address);
	bool granted = is_granted(&leaf, kind, address, in_user_mode);
	uint64_t at = kind == PROBE_FETCH ? address : address + 8;
	uint64_t before = granted ? *word_behind(&leaf, at) : 0;
	bool allowed;

	run(kind, at, before + 1, in_user_mode);
	allowed = cpu_stopped_at_breakpoint();
	count(allowed == granted, granted ? "refused" : "not refused", at);
	count(allowed || cpu_faulted(), "another trap", at);
	if (!allowed || !granted)
		return;
	if (kind == PROBE_FETCH)
		count(cpu_last.pc == address, "elsewhere", at);
	if (kind == PROBE_READ)
		count(cpu_last.value == before, "another frame read", at);
	if (kind == PROBE_WRITE)
		count(*word_behind(&leaf, at) == before + 1, "another frame written", at);
	leaf = query(address);
	count((leaf.flags & LH_LEAF_ACCESSED) != 0, "not noted as accessed", at);
	if (kind == PROBE_WRITE)
		count((leaf.flags & LH_LEAF_DIRTY) != 0 || !format->dirty.mask, "not noted as dirty", at);
}

static void try_all(uint64_t address)
{
	for (unsigned kind = PROBE_READ; kind <= PROBE_FETCH; kind++) {
		try_access((probe)kind, address, true);
		try_access((probe)kind, address, false);
	}
}

/* --- the cases --- */

/* A page of each half, far from the window, the snippets and the halves' ends. */
static uint64_t place(bool in_user_half, unsigned n)
{
	uint64_t top = lh_paging_entries(format, format->levels - 1u) > 4 ? 3 : 1;
	uint64_t far = level_bytes(format->levels - 1u) * top + level_bytes(1) * 5 + n * LH_PAGE_SIZE;

	return in_user_half ? far : (0 - (UINT64_C(1) << (format->address_bits - !format->root_each))) + far;
}

static lh_frame_number page_frame(uint64_t mark)
{
	lh_frame_number frame;
	uint64_t *words;

	must(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	words = lh_frame_pointer(frames, frame);
	words[0] = cpu_breakpoint;
	words[1] = mark;
	return frame;
}

/* Every set of rights, in both halves; then each made less, down to none. */
static void judge_rights(lh_frame_number frame)
{
	for (unsigned trial = 0; trial < 16; trial++) {
		uint64_t address = place(trial & 8, trial & 7);
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = (lh_rights)(trial & 7), .frame = frame };

		if (leaf.rights == LH_RIGHT_NONE)
			leaf.kind = LH_LEAF_NO_ACCESS;
		try_all(address);
		map(address, leaf);
		try_all(address);
		for (unsigned taken = 0; taken < 3; taken++) {
			restrict_to(address, (lh_rights)(LH_RIGHTS_ALL & ~((2u << taken) - 1)));
			try_all(address);
		}
		clear(address);
		try_all(address);
	}
}

static void judge_types(lh_frame_number frame)
{
	for (unsigned type = 0; type < LH_MEMORY_TYPE_COUNT; type++) {
		uint64_t address = place(type & 1, type);
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE,
				 .type = (lh_memory_type)type, .frame = frame };

		map(address, leaf);
		try_all(address);
		clear(address);
	}
}

/* A leaf of each level that has them; the frame is somewhere in it. */
static void judge_levels(lh_frame_number frame)
{
	for (unsigned trial = 0; trial < 2u * format->levels; trial++) {
		unsigned level = trial / 2;
		uint64_t physical = lh_frame_address(frame).value;
		uint64_t offset = physical & (level_bytes(level) - 1);
		uint64_t address = place(trial & 1, 0) & ~(level_bytes(level) - 1);
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHTS_ALL, .level = (uint8_t)level,
				 .frame = lh_physical_frame(lh_physical(physical - offset)) };

		/* The kernel's top entries are tables for ever, where every root has them. */
		if (!format->leaf_at[level] ||
		    (trial % 2 == 0 && level == format->levels - 1u && !format->root_each))
			continue;
		map(address, leaf);
		try_all(address + offset);
		clear(address);
		try_all(address + offset);
	}
}

/* What the CPU notes by itself, a flag for a reason each. */
static void judge_flags(lh_frame_number frame)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE, .frame = frame };
	uint64_t address = place(true, 1);

	if (format->software_accessed)
		return;
	map(address, leaf);
	count((query(address).flags & (LH_LEAF_ACCESSED | LH_LEAF_DIRTY)) == 0, "noted too early", address);
	run(PROBE_READ, address + 8, 0, true);
	count((query(address).flags & LH_LEAF_ACCESSED) != 0, "accessed not noted", address);
	count((query(address).flags & LH_LEAF_DIRTY) == 0, "dirty noted for a read", address);
	run(PROBE_WRITE, address + 8, 77, true);
	count((query(address).flags & LH_LEAF_DIRTY) != 0, "dirty not noted", address);
	restrict_to(address, LH_RIGHT_READ);
	count((query(address).flags & LH_LEAF_DIRTY) != 0, "dirty lost with the right", address);
	try_all(address);
	clear(address);
}

/* Two runs and pages at either end, in memory of their own; each page tried, and what is noted of one read of another. */
#define RUN_EDGE 3

static void map_runs(uint64_t address, uint64_t pages, lh_frame_number first)
{
	lh_virtual_range range = { lh_virtual(address), pages };
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHTS_ALL,
			 .flags = LH_LEAF_UNCOUNTED | LH_LEAF_RUNS, .frame = first };
	lh_spare_tables spares = { 0, 0 };

	for (uint64_t page = 0; page < pages; page++) {
		uint64_t *words = lh_frame_pointer(frames, lh_frame(first.value + page));

		words[0] = cpu_breakpoint;
		words[1] = page;
	}
	must(lh_directory_prepare_map(directory_of(address), range, leaf, &spares));
	must(lh_directory_map(directory_of(address), range, leaf, NULL, &spares));
	lh_spare_tables_give_back(frames, &spares);
	lh_directory_announce(directory_of(address), range);
}

static void unmap_runs(uint64_t address, uint64_t pages)
{
	lh_virtual_range range = { lh_virtual(address), pages };
	lh_gather gather;

	lh_gather_begin(&gather, directory_of(address));
	lh_directory_clear_range(directory_of(address), range, &gather);
	lh_gather_finish(&gather);
}

static void judge_runs(void)
{
	uint64_t slots = UINT64_C(1) << format->run_shift[0], pages = 2 * slots + 2 * RUN_EDGE;
	lh_frame_number first;

	if (slots == 1)
		return;
	must(lh_frame_allocate_contiguous(frames, 3 * slots + RUN_EDGE, slots, UINT64_MAX, LH_FRAME_KERNEL, &first));
	for (unsigned in_user_half = 0; in_user_half < 2; in_user_half++) {
		uint64_t address = place(in_user_half != 0, 0) + (slots - RUN_EDGE) * LH_PAGE_SIZE;
		uint64_t in_run = address + (RUN_EDGE + 1) * LH_PAGE_SIZE;

		map_runs(address, pages, lh_frame(first.value + slots - RUN_EDGE));
		run(PROBE_WRITE, in_run + 8, 99, in_user_half != 0);
		count((query(in_run + LH_PAGE_SIZE).flags & LH_LEAF_ACCESSED) != 0, "accessed not noted of a run",
		      in_run);
		count((query(in_run + LH_PAGE_SIZE).flags & LH_LEAF_DIRTY) != 0, "dirty not noted of a run", in_run);
		for (uint64_t page = 0; page < pages; page++)
			try_all(address + page * LH_PAGE_SIZE);
		restrict_to(in_run, LH_RIGHT_READ);
		for (uint64_t page = 0; page < pages; page++)
			try_all(address + page * LH_PAGE_SIZE);
		unmap_runs(address, pages);
		try_all(in_run);
	}
	lh_frame_drop_contiguous(frames, first, 3 * slots + RUN_EDGE);
}

/* A protection key of a page is what the CPU finds there, and no other. */
static void judge_keys(lh_frame_number frame)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE, .frame = frame };
	uint64_t address = place(true, 1);

	for (unsigned key = 1; key < 16 && format->key != 0 && cpu_refuse_key(key); key++) {
		leaf.key = (uint8_t)key;
		map(address, leaf);
		run(PROBE_READ, address + 8, 0, true);
		count(cpu_faulted(), "its key not refused", address);
		cpu_refuse_key(key ^ 1);
		run(PROBE_READ, address + 8, 0, true);
		count(cpu_stopped_at_breakpoint(), "refused by another key", address);
		clear(address);
	}
	if (format->key != 0)
		cpu_refuse_key(0);
}

/* Maps, takes rights away and clears at random, around the borders of tables; each page is
 * tried after each step. */
static void judge_random(const lh_frame_number *frame)
{
	for (unsigned step = 0; step < RANDOM_STEPS; step++) {
		uint64_t n = lh_port_random(NULL) % RANDOM_PAGES;
		uint64_t border = level_bytes(1 + (unsigned)(n % (format->levels - 1u)));
		uint64_t address = place(n & 1, 0) / border * border + (n / 2) * LH_PAGE_SIZE -
				   2 * LH_PAGE_SIZE;
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .frame = frame[lh_port_random(NULL) % 2],
				 .rights = (lh_rights)(1 + lh_port_random(NULL) % 7) };
		lh_leaf now = query(address);

		if (now.kind == LH_LEAF_EMPTY)
			map(address, leaf);
		else if (lh_port_random(NULL) % 2)
			restrict_to(address, (lh_rights)(lh_port_random(NULL) % 8));
		else
			clear(address);
		try_access((probe)(lh_port_random(NULL) % 3), address, lh_port_random(NULL) % 2);
		try_access((probe)(lh_port_random(NULL) % 3), address, n & 1);
	}
	count(lh_directory_check(&user) == NULL, "the walker's finding in user mode's half", 0);
	count(lh_directory_check(&kernel) == NULL, "the walker's finding in the kernel's half", 0);
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

	lh_directory_init(&kernel, frames, format);
	must(lh_directory_add_root(&kernel));
	must(lh_directory_add_kernel_half(&kernel));
	lh_directory_init(&user, frames, format);
	must(lh_directory_add_root(&user));
	lh_directory_share_kernel_half(&user, &kernel);
	for (uint64_t at = cpu_ram; at < cpu_ram + cpu_ram_bytes; at += level_bytes(1)) {
		leaf.frame = lh_physical_frame(lh_physical(at));
		map(at + CPU_WINDOW, leaf);
	}
	leaf.level = 0;
	leaf.type = LH_MEMORY_UNCACHED;
	leaf.rights = LH_RIGHT_READ | LH_RIGHT_WRITE;
	leaf.frame = lh_physical_frame(lh_physical(cpu_device));
	if (cpu_device != 0)
		map(cpu_device + CPU_WINDOW, leaf);
	leaf.type = LH_MEMORY_WRITE_BACK;
	leaf.rights = LH_RIGHT_READ | LH_RIGHT_EXECUTE;
	leaf.frame = lh_physical_frame(lh_physical(snippets_physical()));
	map(USER_CODE, leaf);
}

static void judge(const lh_frame_number *frame)
{
	lh_frame_counters before, after;

	lh_frames_read_counters(frames, &before);
	build();
	cpu_load(format, user.root, kernel.root);
	lh_directory_activate(&kernel); /* first, and for ever: its flushes reach this CPU */
	lh_directory_activate(&user);
	judge_rights(frame[0]);
	judge_types(frame[0]);
	judge_levels(frame[1]);
	judge_flags(frame[0]);
	judge_keys(frame[0]);
	judge_runs();
	judge_random(frame);
	cpu_load_first();
	lh_directory_destroy(&user);
	lh_directory_destroy(&kernel);
	lh_frames_read_counters(frames, &after);
	count(before.free == after.free, "tables not given back", 0);
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
	const lh_paging_format *whole = format;
	lh_paging_format copy = *whole;
	const char *what;

	is_damaged = true;
	for (unsigned n = 0; copy = *whole, (what = damage(&copy, n)) != NULL; n++) {
		format = &copy;
		judge(frame);
		conclude(findings > 0, what);
	}
	is_damaged = false;
	format = whole;
}

static void make_frames(void)
{
	static lh_memory_entry entries[8];
	uint64_t used = (uint64_t)(uintptr_t)image_end - CPU_WINDOW;
	lh_physical_address memory;
	lh_memory_map map;
	uint64_t size;

	lh_memory_map_init(&map, entries, 8);
	must(lh_memory_map_add(&map, used, cpu_ram + cpu_ram_bytes - used, LH_MEMORY_USABLE));
	must(lh_memory_map_normalise(&map));
	size = lh_frames_size(&map);
	must(lh_memory_map_carve(&map, size, LH_PAGE_SIZE, 0, &memory));
	must(lh_frames_create(seen(memory.value), size, &map, LH_CHARGE_STRICT, NULL, &frames));
}

void judge_main(void)
{
	lh_frame_number frame[2];

	make_frames();
	frame[0] = page_frame(UINT64_C(0x0123456789abcdef));
	frame[1] = page_frame(UINT64_C(0xfedcba9876543210));
	for (unsigned n = 0; (format = cpu_format(n)) != NULL; n++) {
		must(lh_paging_format_check(format) ? LH_INVALID : LH_OK);
		judge(frame);
		conclude(findings == 0, "");
		judge_damaged(frame);
	}
	put_number(passed, 10);
	put(" passed, ");
	put_number(failed, 10);
	put(" failed\n");
	cpu_end(failed == 0);
}
