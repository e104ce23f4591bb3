/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How little it takes: a kernel that stands on Landhold, to be read from top to bottom beside
 * docs/PORTING.md. The steps have the numbers of that page; step 1 is make/examples.mk, step 4 is
 * in start.S. Most print a line, and what it says is checked: what is wrong ends the machine.
 *
 * One CPU, PVH boot, all in ring 0: what a program would do to its memory is done by user_read and
 * user_write; a page fault of theirs differs from a program's in the U bit of the error code only.
 */
#include <stdarg.h>
#include <landhold/landhold.h>

#define DIRECT_MAP_BASE UINT64_C(0xffff800000000000)
#define DIRECT_MAP_LIMIT (UINT64_C(1) << 30) /* bytes that start.S has mapped */
#define IMAGE_BASE UINT64_C(0xffffffff80000000)
#define DIRECT_POINTER(physical) ((void *)(uintptr_t)(DIRECT_MAP_BASE + (physical)))
#define HALF (UINT64_C(1) << 35) /* pages in half of the address space */
#define READ_WRITE (LH_RIGHT_READ | LH_RIGHT_WRITE)
#define READ_EXECUTE (LH_RIGHT_READ | LH_RIGHT_EXECUTE)
#define ENTRIES 64

/* What cannot be otherwise here. The message is the source's own text. */
#define EXPECT(condition) ((condition) ? (void)0 : machine_end(#condition, "is not so"))
#define MUST(call) \
	((last_error = (call)) == LH_OK ? (void)0 : machine_end(#call, lh_error_string(last_error)))

/* start.S. Both reach for 8 bytes of user memory. => false: the fault was refused. */
bool user_read(uint64_t address, uint64_t *value);
bool user_write(uint64_t address, uint64_t value);
extern const uint8_t page_fault_entry[], user_access_end[]; /* who goes on there returns false */
struct fault_frame { /* as page_fault_entry and the CPU leave it; where rip says, it goes on */
	uint64_t registers[10], error_code, rip, cs, flags, rsp, ss;
};

extern const uint8_t text_start[], text_end[], rodata_end[], data_end[]; /* kernel.ld */
static lh_memory_entry entries[ENTRIES];
static lh_memory_map map = { entries, ENTRIES, 0, false };
static lh_physical_address frame_array; /* carved out of the map */
static uint64_t frame_array_bytes;
static lh_region regions[4 + ENTRIES]; /* of the image's three parts, and the direct map's */
static lh_paging_format format;
static lh_manager *manager;
static lh_space *current; /* the one that is loaded; NULL: none */
static lh_error last_error;
static lh_fault last_fault;
static lh_statistics now; /* read at the end of touch */

/* --- A console, an end, and the four functions that compilers expect --- */

static void out(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print_number(uint64_t number, unsigned base)
{
	if (number >= base)
		print_number(number / base, base); /* 20 deep at most */
	out(0xe9, (uint8_t)"0123456789abcdef"[number % base]);
}

/* On QEMU's debug console. %s: a text without any %; %u and %x: a uint64_t. */
static void print(const char *text, ...)
{
	va_list arguments;

	va_start(arguments, text);
	for (; *text != 0; text++)
		if (*text != '%')
			out(0xe9, (uint8_t)*text);
		else if (*++text == 's')
			print(va_arg(arguments, const char *));
		else
			print_number(va_arg(arguments, uint64_t), *text == 'x' ? 16 : 10);
	va_end(arguments);
}

/* => what: NULL if all is well; else what is not, and why. */
LH_NO_RETURN static void machine_end(const char *what, const char *why)
{
	if (what)
		print("FAILED: %s: %s\n", what, why);
	out(0xf4, what ? 1 : 16); /* isa-debug-exit: QEMU ends with status 3 or 33 */
	for (;;)
		__asm__ volatile("cli; hlt");
}

void *memset(void *to, int byte, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	if ((uintptr_t)to - (uintptr_t)from >= bytes)
		return memcpy(to, from, bytes);
	while (bytes-- > 0)
		((volatile uint8_t *)to)[bytes] = ((const uint8_t *)from)[bytes];
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const uint8_t *left = a, *right = b;

	while (bytes > 0 && *left == *right)
		bytes--, left++, right++;
	return bytes > 0 ? *left - *right : 0;
}

/* --- Step 2, the port. There is one machine: every port pointer is NULL. Map tier --- */

void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame)
{
	return DIRECT_POINTER(lh_frame_address(frame).value);
}

void lh_port_panic(lh_port *port, const char *message)
{
	machine_end("the library", message);
}

void lh_port_log(lh_port *port, const char *message)
{
	print("landhold: %s\n", message);
}

/* SplitMix64 over the clock: it spreads, but can be guessed. A kernel with secrets adds one. */
uint64_t lh_port_random(lh_port *port)
{
	static uint64_t state;
	uint64_t value = state += UINT64_C(0x9e3779b97f4a7c15) + __builtin_ia32_rdtsc();

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* --- SMP tier: one CPU has nobody to talk to --- */

unsigned lh_port_cpu(lh_port *port)
{
	return 0;
}

uintptr_t lh_port_interrupts_off(lh_port *port)
{
	uintptr_t flags;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
	return flags;
}

void lh_port_interrupts_restore(lh_port *port, uintptr_t flags)
{
	if ((flags & 0x200) != 0)
		__asm__ volatile("sti" : : : "memory");
}

bool lh_port_interrupts_are_on(lh_port *port)
{
	return true; /* whether other CPUs can be waited for: there are none to wait for */
}

void lh_port_call_cpus(lh_port *port, const lh_cpu_set *cpus, void (*function)(void *), void *argument)
{
	uintptr_t flags = lh_port_interrupts_off(port);

	if ((cpus->bits[0] & 1) != 0)
		function(argument);
	lh_port_interrupts_restore(port, flags);
}

void lh_port_pause(lh_port *port)
{
	__asm__ volatile("pause");
}

void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected)
{
	lh_port_panic(port, "the only thread waits"); /* nobody else could change the word */
}

void lh_port_unpark(lh_port *port, const uint32_t *word)
{
}

/* --- Fault tier --- */

bool lh_port_memory_pressure(lh_port *port, uint64_t pages)
{
	return false; /* nothing here could give memory back */
}

/* --- Step 3: the boot map, by Xen's docs/misc/pvh --- */

struct pvh_memory { uint64_t base, length; uint32_t type, reserved; };
struct pvh_information {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, command_line, rsdp, memory;
	uint32_t memory_count, reserved;
};

static void read_memory_map(const struct pvh_information *information)
{
	const struct pvh_memory *given = DIRECT_POINTER(information->memory);

	EXPECT(information->magic == 0x336ec578 && information->version > 0);
	for (uint32_t i = 0; i < information->memory_count; i++)
		MUST(lh_memory_map_add(&map, given[i].base, given[i].length,
				       given[i].type == 1 ? LH_MEMORY_USABLE : LH_MEMORY_RESERVED));
	/* The first MiB is left to the firmware; the image follows it. */
	MUST(lh_memory_map_add(&map, 0, (uint64_t)(uintptr_t)data_end - IMAGE_BASE, LH_MEMORY_RESERVED));
	MUST(lh_memory_map_add(&map, DIRECT_MAP_LIMIT, 0 - DIRECT_MAP_LIMIT, LH_MEMORY_RESERVED));
	MUST(lh_memory_map_normalise(&map));
	print("3. boot map: %u usable pages\n", lh_memory_map_frames(&map));
}

static void make_manager(void)
{
	static _Alignas(16) uint8_t memory[12 * LH_PAGE_SIZE];
	lh_manager_setup setup = { .format = &format, .enforce_write_xor_execute = true,
				   .user = { lh_virtual(LH_PAGE_SIZE), HALF - 2 },
				   .kernel = { lh_virtual(DIRECT_MAP_BASE), HALF } };

	frame_array_bytes = lh_frames_size(&map); /* step 5 */
	MUST(lh_memory_map_carve(&map, frame_array_bytes, LH_PAGE_SIZE, 0, &frame_array));
	MUST(lh_frames_create(DIRECT_POINTER(frame_array.value), frame_array_bytes, &map,
			      LH_CHARGE_STRICT, NULL, &setup.frames));
	print("5. frames: %u, an array of %u bytes\n", lh_memory_map_frames(&map), frame_array_bytes);

	format = lh_format_x86_64_4_level; /* step 6 */
	format.leaf_at[2] = false;	   /* not every CPU has pages of 1 GiB */
	EXPECT(lh_manager_size() <= sizeof(memory));
	MUST(lh_manager_create(memory, &setup, &manager));
	print("6. manager: %u bytes\n", (uint64_t)lh_manager_size());
}

/* Step 7. A part of the kernel stays where it is seen now: offset above its physical address. */
static void map_part(const void *start, uint64_t bytes, uint64_t offset, lh_rights rights)
{
	static size_t count;
	lh_virtual_address address = lh_virtual((uint64_t)(uintptr_t)start);
	lh_kernel_request request = { .rights = rights };

	MUST(lh_virtual_range_cover(address, bytes, &request.specifically));
	MUST(lh_manager_map_physical(manager, &regions[count++], &request,
				     lh_physical(address.value - offset), LH_MEMORY_WRITE_BACK));
}

/* With it, the early tables' low half and writable text are gone. */
static void load_own_directory(void)
{
	map_part(text_start, (uint64_t)(text_end - text_start), IMAGE_BASE, READ_EXECUTE);
	map_part(text_end, (uint64_t)(rodata_end - text_end), IMAGE_BASE, LH_RIGHT_READ);
	map_part(rodata_end, (uint64_t)(data_end - rodata_end), IMAGE_BASE, READ_WRITE);
	map_part(DIRECT_POINTER(frame_array.value), frame_array_bytes, DIRECT_MAP_BASE, READ_WRITE);
	for (size_t i = 0; i < map.count; i++)
		map_part(DIRECT_POINTER(entries[i].base), entries[i].length, DIRECT_MAP_BASE, READ_WRITE);
	lh_manager_activate(manager);
	EXPECT(lh_manager_audit(manager, NULL, NULL) == 0);
	print("7. own directory: loaded; audit: nothing is writable and executable\n");
}

/* Step 8, called by start.S. */
void page_fault(struct fault_frame *frame)
{
	uint64_t address, end = (uint64_t)(uintptr_t)user_access_end;
	lh_rights access = (frame->error_code & 16) != 0  ? LH_RIGHT_EXECUTE
			   : (frame->error_code & 2) != 0 ? LH_RIGHT_WRITE
							  : LH_RIGHT_READ;

	__asm__ volatile("movq %%cr2, %0; sti" : "=r"(address) : : "memory");
	EXPECT(current && frame->rip >= (uint64_t)(uintptr_t)user_read && frame->rip < end);
	last_fault = lh_space_fault(current, lh_virtual(address), access);
	if (last_fault != LH_FAULT_OK)
		frame->rip = end; /* a program would get a signal */
}

static void take_page_faults(void)
{
	static uint64_t gates[15][2]; /* any other exception ends QEMU */
	struct __attribute__((packed)) { uint16_t limit; void *base; } table = { sizeof(gates) - 1, gates };
	uint64_t entry = (uint64_t)(uintptr_t)page_fault_entry;

	/* Present, interrupts off on entry, segment 8; the address in three parts. */
	gates[14][0] = (entry & 0xffff) | 8 << 16 | UINT64_C(0x8e00) << 32 | (entry & 0xffff0000) << 32;
	gates[14][1] = entry >> 32;
	__asm__ volatile("lidt %0" : : "m"(table));
	out(0x21, 0xff); /* both interrupt controllers: every line masked */
	out(0xa1, 0xff);
	__asm__ volatile("sti");
}

/* What a scheduler does when it switches. */
static void load(lh_space *space)
{
	uintptr_t flags = lh_port_interrupts_off(NULL);

	if (current)
		lh_space_deactivate(current);
	if (space)
		lh_space_activate(space);
	current = space;
	lh_port_interrupts_restore(NULL, flags);
}

/* Writes a word in each page, or reads one and expects the value there. => ticks for a page. */
static uint64_t touch(lh_virtual_range range, uint64_t pages, bool write, uint64_t value)
{
	uint64_t found, ticks = __builtin_ia32_rdtsc();

	for (uint64_t page = 0; page < pages; page++) {
		uint64_t address = lh_virtual_range_page(range, page).value;

		EXPECT(write ? user_write(address, value) : user_read(address, &found) && found == value);
	}
	ticks = __builtin_ia32_rdtsc() - ticks;
	lh_manager_read_statistics(manager, &now);
	return ticks / pages;
}

/* Steps 9 and 10. */
static void show_faults_and_fork(lh_space *parent, lh_space *child)
{
	lh_map_request request = { .pages = 16, .rights = READ_WRITE };
	lh_virtual_range data;
	uint64_t first, second;

	MUST(lh_space_map(parent, &request, &data));
	load(parent);
	first = touch(data, 16, false, 0);
	EXPECT(now.faults_zero == 16 && now.frames.used[LH_FRAME_ANONYMOUS] == 0);
	second = touch(data, 8, true, 1);
	EXPECT(now.faults_fresh == 8 && now.frames.used[LH_FRAME_ANONYMOUS] == 8);
	print("9. faults: 16 read: zero page, %u ticks each; 8 written: fresh, %u\n", first, second);

	first = __builtin_ia32_rdtsc();
	MUST(lh_space_fork(parent, child));
	first = __builtin_ia32_rdtsc() - first;
	(void)touch(data, 8, false, 1);
	EXPECT(now.faults_copied == 0 && now.frames.used[LH_FRAME_ANONYMOUS] == 8);
	second = touch(data, 8, true, 2);
	EXPECT(now.faults_copied == 8 && now.frames.used[LH_FRAME_ANONYMOUS] == 16);
	load(child);
	(void)touch(data, 8, false, 1); /* as it was at the fork */
	(void)touch(data, 3, true, 3);
	EXPECT(now.faults_copied == 8 && now.faults_reused == 3);
	print("10. fork: %u ticks; parent writes 8: copied, %u each; child 3: reused\n", first, second);
}

/* Step 11. */
static void show_refusals(lh_space *space)
{
	lh_map_request request = { .pages = 4, .guard_before = 1, .direction = LH_HIGHEST_FIRST };
	lh_virtual_range stack, text;

	request.rights = READ_WRITE;
	MUST(lh_space_map(space, &request, &stack));
	request.rights = READ_EXECUTE;
	MUST(lh_space_map(space, &request, &text));
	EXPECT(text.base.value + 5 * LH_PAGE_SIZE == stack.base.value); /* four and the guard */
	EXPECT(!user_write(stack.base.value - 8, 0) && last_fault == LH_FAULT_NOT_MAPPED);
	EXPECT(!user_write(text.base.value, 0) && last_fault == LH_FAULT_NO_ACCESS);
	print("11. refused: the guard below the stack at %x; a write of text\n", stack.base.value);
}

void kernel_main(uint64_t pvh_information)
{
	static _Alignas(16) uint8_t memory[2][LH_PAGE_SIZE];
	lh_statistics before;
	lh_space *spaces[2];

	read_memory_map(DIRECT_POINTER(pvh_information));
	make_manager();
	load_own_directory();
	take_page_faults();
	lh_manager_read_statistics(manager, &before);
	EXPECT(lh_space_size() <= sizeof(memory[0]));
	for (int i = 0; i < 2; i++)
		MUST(lh_space_create(manager, NULL, memory[i], &spaces[i]));
	show_faults_and_fork(spaces[0], spaces[1]);
	show_refusals(spaces[1]);
	load(NULL); /* step 12 */
	for (int i = 0; i < 2; i++) {
		EXPECT(lh_space_check(spaces[i]) == NULL);
		lh_space_destroy(spaces[i]);
	}
	lh_manager_read_statistics(manager, &now);
	EXPECT(!memcmp(&now.frames, &before.frames, sizeof(now.frames)) && now.user_regions == 0);
	EXPECT(lh_manager_check(manager) == NULL);
	print("12. ended: %u frames free, %u tables, as before\n", now.frames.free, now.table_pages);
	machine_end(NULL, NULL);
}
