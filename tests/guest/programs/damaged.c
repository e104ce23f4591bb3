/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs whose headers are damaged: by a table, and at random from a seed. Each is written to a file
 * and executed in a child. How that ends is a line; the table says how it must end here, and where Linux
 * ends otherwise, how there. (Linux maps a program over the old one, and kills who asked for it if
 * that cannot be finished; this kernel builds the new memory first, and gives an error instead.)
 *
 * usage: damaged                 each damage of the table; those that end otherwise are named
 *        damaged linux           the same, as Linux must end them
 *        damaged SEED COUNT      so many damaged at random: a line for each
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "guest.h"

#define BASE UINT64_C(0x400000)
#define DATA_AT UINT64_C(0x601000)
#define CODE_AT 0x200
#define FILE_BYTES 8192
#define HEADERS 6
#define STATUS 42

static const char path[] = "/tmp/damaged-program";

enum header { HEADERS_OF, CODE, DATA, STACK, NOTE, SPARE };

/* The whole file. */
struct image {
	Elf64_Ehdr elf;
	Elf64_Phdr program[HEADERS];
	unsigned char rest[FILE_BYTES - sizeof(Elf64_Ehdr) - HEADERS * sizeof(Elf64_Phdr)];
};

struct file {
	struct image image;
	size_t bytes; /* of it that are written */
};

/* Ends with STATUS if its data is there, and the byte behind it zero. */
static const unsigned char code[] = {
	0x48, 0xc7, 0xc1, 0x00, 0x10, 0x60, 0x00, /* mov rcx, 0x601000 */
	0x8b, 0x39,				  /* mov edi, [rcx] */
	0x03, 0xb9, 0x00, 0x01, 0x00, 0x00,	  /* add edi, [rcx + 0x100] */
	0xb8, 0x3c, 0x00, 0x00, 0x00,		  /* mov eax, 60 */
	0x0f, 0x05,				  /* syscall */
};

static void make_sound(struct file *file)
{
	struct image *image = &file->image;
	unsigned char *bytes = (unsigned char *)image;

	memset(file, 0, sizeof *file);
	file->bytes = FILE_BYTES;
	memcpy(image->elf.e_ident, ELFMAG, SELFMAG);
	image->elf.e_ident[EI_CLASS] = ELFCLASS64;
	image->elf.e_ident[EI_DATA] = ELFDATA2LSB;
	image->elf.e_ident[EI_VERSION] = EV_CURRENT;
	image->elf.e_type = ET_EXEC;
	image->elf.e_machine = EM_X86_64;
	image->elf.e_version = EV_CURRENT;
	image->elf.e_entry = BASE + CODE_AT;
	image->elf.e_phoff = sizeof image->elf;
	image->elf.e_ehsize = sizeof image->elf;
	image->elf.e_phentsize = sizeof *image->program;
	image->elf.e_phnum = SPARE;
	image->program[HEADERS_OF] = (Elf64_Phdr){ PT_PHDR, PF_R, 64, BASE + 64, 0, 280, 280, 8 };
	image->program[CODE] = (Elf64_Phdr){ PT_LOAD, PF_R | PF_X, 0, BASE, BASE, 0x1000, 0x1000, 0x1000 };
	image->program[DATA] = (Elf64_Phdr){ PT_LOAD, PF_R | PF_W, 0x1000, DATA_AT, 0, 0x80, 0x3000, 0x1000 };
	image->program[STACK] = (Elf64_Phdr){ PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16 };
	image->program[NOTE] = (Elf64_Phdr){ PT_NOTE, PF_R, 0x1800, BASE + 0x800, 0, 16, 16, 4 };
	memcpy(bytes + CODE_AT, code, sizeof code);
	bytes[0x1000] = STATUS;
	memset(bytes + 0x1080, 0xee, FILE_BYTES - 0x1080); /* beyond the data: to be cleared in memory */
}

/* --- executing --- */

struct outcome {
	volatile int error; /* of execve; 0: it did not come back */
};
static struct outcome *outcome;

static lh_error write_file(const struct file *file)
{
	int out = open(path, O_CREAT | O_RDWR | O_TRUNC, 0700);
	ssize_t written;

	if (out == -1)
		return last_error();
	written = write(out, &file->image, file->bytes);
	close(out);
	return written == (ssize_t)file->bytes ? LH_OK : LH_IO;
}

static void execute(void *unused)
{
	char *arguments[] = { (char *)(uintptr_t)path, NULL };

	(void)unused;
	alarm(5);
	execve(path, arguments, arguments + 1);
	outcome->error = errno;
	_exit(1);
}

/* "exit 42", "signal 11", "LH_NOT_EXECUTABLE". */
LH_MUST_USE static lh_error try(const struct file *file, const char **end)
{
	int status;

	unlink(path);
	LH_TRY(write_file(file));
	outcome->error = 0;
	LH_TRY(run_in_child(execute, NULL, &status));
	*end = outcome->error != 0 ? lh_error_name(lh_error_from_errno(outcome->error)) : status_text(status & ~0x80);
	return LH_OK;
}

/* --- the table --- */

enum field {
	NOTHING, BYTES, MAGIC, CLASS, ORDER, IDENT_VERSION, ABI, TYPE, MACHINE, VERSION, ENTRY, TABLE, FLAGS_OF_FILE,
	HEADER_BYTES, ENTRY_BYTES, COUNT, SECTIONS,
	/* of one program header: */
	KIND, RIGHTS, OFFSET, ADDRESS, FILE_SIZE, SIZE, ALIGNMENT, BOTH_SIZES, PLACE,
};

struct damage {
	const char *name;
	enum field field;
	enum header header;
	uint64_t value;
	const char *here, *linux_end; /* the second NULL: as here */
	enum field also;
	uint64_t also_value;
};

static void set_program_header(struct image *image, Elf64_Phdr *header, enum field field, uint64_t value)
{
	(void)image;
	switch (field) {
	case KIND:
		header->p_type = (Elf64_Word)value;
		break;
	case RIGHTS:
		header->p_flags = (Elf64_Word)value;
		break;
	case OFFSET:
		header->p_offset = value;
		break;
	case ADDRESS:
		header->p_vaddr = value;
		break;
	case FILE_SIZE:
		header->p_filesz = value;
		break;
	case SIZE:
		header->p_memsz = value;
		break;
	case BOTH_SIZES:
		header->p_filesz = header->p_memsz = value;
		break;
	case PLACE: /* the address, and an offset that agrees */
		header->p_vaddr = value;
		header->p_offset = (header->p_offset & ~UINT64_C(0xfff)) | (value & 0xfff);
		break;
	default:
		header->p_align = value;
		break;
	}
}

static void set_field(struct file *file, enum field field, enum header header, uint64_t value)
{
	Elf64_Ehdr *elf = &file->image.elf;

	switch (field) {
	case NOTHING:
		break;
	case BYTES:
		file->bytes = value;
		break;
	case MAGIC:
		elf->e_ident[value % EI_NIDENT] ^= 1;
		break;
	case CLASS:
		elf->e_ident[EI_CLASS] = (unsigned char)value;
		break;
	case ORDER:
		elf->e_ident[EI_DATA] = (unsigned char)value;
		break;
	case IDENT_VERSION:
		elf->e_ident[EI_VERSION] = (unsigned char)value;
		break;
	case ABI:
		elf->e_ident[EI_OSABI] = (unsigned char)value;
		break;
	case TYPE:
		elf->e_type = (Elf64_Half)value;
		break;
	case MACHINE:
		elf->e_machine = (Elf64_Half)value;
		break;
	case VERSION:
		elf->e_version = (Elf64_Word)value;
		break;
	case ENTRY:
		elf->e_entry = value;
		break;
	case TABLE:
		elf->e_phoff = value;
		break;
	case FLAGS_OF_FILE:
		elf->e_flags = (Elf64_Word)value;
		break;
	case HEADER_BYTES:
		elf->e_ehsize = (Elf64_Half)value;
		break;
	case ENTRY_BYTES:
		elf->e_phentsize = (Elf64_Half)value;
		break;
	case COUNT:
		elf->e_phnum = (Elf64_Half)value;
		break;
	case SECTIONS:
		elf->e_shoff = value;
		elf->e_shnum = elf->e_shentsize = elf->e_shstrndx = (Elf64_Half)value;
		break;
	default:
		set_program_header(&file->image, &file->image.program[header], field, value);
		break;
	}
}

#define RUNS "exit 42"
#define REFUSED "LH_NOT_EXECUTABLE"
#define KILLED "signal 11"
#define KERNEL UINT64_C(0xffff800000000000)
#define NO_ADDRESS UINT64_C(0x800000000000)
#define USER_END UINT64_C(0x7ffffffff000)

static const struct damage damages[] = {
	{ "none", NOTHING, 0, 0, RUNS, NULL, NOTHING, 0 },
	{ "an empty file", BYTES, 0, 0, REFUSED, NULL, NOTHING, 0 },
	{ "one byte", BYTES, 0, 1, REFUSED, NULL, NOTHING, 0 },
	{ "the identification alone", BYTES, 0, 16, REFUSED, NULL, NOTHING, 0 },
	{ "a header that lacks a byte", BYTES, 0, 63, REFUSED, NULL, NOTHING, 0 },
	{ "a header alone", BYTES, 0, 64, REFUSED, NULL, NOTHING, 0 },
	{ "half a program header", BYTES, 0, 64 + 28, REFUSED, NULL, NOTHING, 0 },
	{ "program headers that lack a byte", BYTES, 0, 64 + 5 * 56 - 1, REFUSED, NULL, NOTHING, 0 },
	{ "program headers alone", BYTES, 0, 64 + 5 * 56, REFUSED, KILLED, NOTHING, 0 },
	{ "text cut off", BYTES, 0, 0x180, REFUSED, KILLED, NOTHING, 0 },
	{ "data cut off", BYTES, 0, 0x1000, REFUSED, KILLED, NOTHING, 0 },
	{ "data half there", BYTES, 0, 0x1040, REFUSED, RUNS, NOTHING, 0 },
	{ "all but what no segment holds", BYTES, 0, 0x1080, RUNS, NULL, NOTHING, 0 },
	{ "the first byte", MAGIC, 0, 0, REFUSED, NULL, NOTHING, 0 },
	{ "the fourth byte", MAGIC, 0, 3, REFUSED, NULL, NOTHING, 0 },
	{ "a class of none", CLASS, 0, 0, REFUSED, RUNS, NOTHING, 0 },
	{ "a 32-bit class", CLASS, 0, 1, REFUSED, RUNS, NOTHING, 0 },
	{ "a big-endian file", ORDER, 0, 2, REFUSED, RUNS, NOTHING, 0 },
	{ "version 0 in the identification", IDENT_VERSION, 0, 0, REFUSED, RUNS, NOTHING, 0 },
	{ "another system's", ABI, 0, 97, RUNS, NULL, NOTHING, 0 },
	{ "type none", TYPE, 0, ET_NONE, REFUSED, NULL, NOTHING, 0 },
	{ "type relocatable", TYPE, 0, ET_REL, REFUSED, NULL, NOTHING, 0 },
	{ "type core", TYPE, 0, ET_CORE, REFUSED, NULL, NOTHING, 0 },
	{ "type movable", TYPE, 0, ET_DYN, KILLED, NULL, NOTHING, 0 }, /* its data is elsewhere */
	{ "another type", TYPE, 0, 0xffff, REFUSED, NULL, NOTHING, 0 },
	{ "no machine", MACHINE, 0, EM_NONE, REFUSED, NULL, NOTHING, 0 },
	{ "a machine of 32 bits", MACHINE, 0, EM_386, REFUSED, NULL, NOTHING, 0 },
	{ "version 0", VERSION, 0, 0, RUNS, NULL, NOTHING, 0 },
	{ "an entry at 0", ENTRY, 0, 0, KILLED, NULL, NOTHING, 0 },
	{ "an entry in the kernel", ENTRY, 0, KERNEL, REFUSED, KILLED, NOTHING, 0 },
	{ "an entry at no address", ENTRY, 0, NO_ADDRESS, REFUSED, KILLED, NOTHING, 0 },
	{ "an entry at the end of user memory", ENTRY, 0, USER_END, REFUSED, KILLED, NOTHING, 0 },
	{ "an entry in data", ENTRY, 0, DATA_AT, KILLED, NULL, NOTHING, 0 },
	{ "an entry in no segment", ENTRY, 0, BASE + 0x5000, KILLED, NULL, NOTHING, 0 },
	{ "no program headers", TABLE, 0, 0, REFUSED, KILLED, NOTHING, 0 },
	{ "program headers at the file's end", TABLE, 0, FILE_BYTES, REFUSED, NULL, NOTHING, 0 },
	{ "program headers across the file's end", TABLE, 0, FILE_BYTES - 56, REFUSED, NULL, NOTHING, 0 },
	{ "program headers beyond all files", TABLE, 0, INT64_MAX, REFUSED, NULL, NOTHING, 0 },
	{ "program headers at -1", TABLE, 0, UINT64_MAX, REFUSED, NULL, NOTHING, 0 },
	{ "program headers at an odd place", TABLE, 0, 65, REFUSED, KILLED, NOTHING, 0 },
	{ "flags of the file", FLAGS_OF_FILE, 0, UINT32_MAX, RUNS, NULL, NOTHING, 0 },
	{ "header size 0", HEADER_BYTES, 0, 0, RUNS, NULL, NOTHING, 0 },
	{ "program header size 0", ENTRY_BYTES, 0, 0, REFUSED, NULL, NOTHING, 0 },
	{ "program header size 55", ENTRY_BYTES, 0, 55, REFUSED, NULL, NOTHING, 0 },
	{ "program header size 65535", ENTRY_BYTES, 0, 65535, REFUSED, NULL, NOTHING, 0 },
	{ "no program header at all", COUNT, 0, 0, REFUSED, NULL, NOTHING, 0 },
	{ "a program header that loads nothing", COUNT, 0, 1, REFUSED, KILLED, NOTHING, 0 },
	{ "one segment too few", COUNT, 0, 2, KILLED, NULL, NOTHING, 0 },
	{ "a thousand program headers", COUNT, 0, 1000, REFUSED, NULL, NOTHING, 0 },
	{ "65535 program headers", COUNT, 0, 65535, REFUSED, NULL, NOTHING, 0 },
	{ "sections nowhere", SECTIONS, 0, UINT64_MAX, RUNS, NULL, NOTHING, 0 },
	{ "text that is not loaded", KIND, CODE, PT_NULL, KILLED, NULL, NOTHING, 0 },
	{ "nothing that is loaded", KIND, CODE, PT_NULL, REFUSED, KILLED, KIND, PT_NULL },
	{ "text without rights", RIGHTS, CODE, 0, KILLED, NULL, NOTHING, 0 },
	{ "text to write", RIGHTS, CODE, PF_W, KILLED, NULL, NOTHING, 0 },
	{ "text with all rights", RIGHTS, CODE, PF_R | PF_W | PF_X, RUNS, NULL, NOTHING, 0 },
	{ "text to read", RIGHTS, CODE, PF_R, KILLED, NULL, NOTHING, 0 },
	{ "data to read", RIGHTS, DATA, PF_R, "exit 24", NULL, NOTHING, 0 },
	{ "text at another place of the page", ADDRESS, CODE, BASE + 8, REFUSED, KILLED, NOTHING, 0 },
	{ "data at another place of the page", ADDRESS, DATA, DATA_AT + 8, REFUSED, KILLED, NOTHING, 0 },
	{ "an offset past the end", OFFSET, DATA, 0x10000, REFUSED, KILLED, NOTHING, 0 },
	{ "an offset beyond all files", OFFSET, DATA, UINT64_C(0x7ffffffffffff000), REFUSED, KILLED, NOTHING, 0 },
	{ "an offset at -1 page", OFFSET, DATA, UINT64_C(0xfffffffffffff000), REFUSED, KILLED, NOTHING, 0 },
	{ "more in the file than in memory", SIZE, DATA, 0x10, REFUSED, KILLED, NOTHING, 0 },
	{ "more than the file has", BOTH_SIZES, DATA, 0x100000, REFUSED, "exit 24", NOTHING, 0 },
	{ "a file size that wraps", BOTH_SIZES, DATA, UINT64_MAX, REFUSED, KILLED, NOTHING, 0 },
	{ "a size that wraps", SIZE, DATA, UINT64_MAX, REFUSED, KILLED, NOTHING, 0 },
	{ "a size that wraps by its page", SIZE, DATA, UINT64_MAX - 0xfff, REFUSED, KILLED, NOTHING, 0 },
	{ "a size beyond user memory", SIZE, DATA, USER_END, REFUSED, KILLED, NOTHING, 0 },
	{ "a size to the end of user memory", SIZE, DATA, USER_END - DATA_AT, REFUSED, KILLED, NOTHING, 0 },
	{ "a size of 64 TiB", SIZE, DATA, UINT64_C(1) << 46, "LH_NO_MEMORY", KILLED, NOTHING, 0 },
	{ "no bytes in the file", FILE_SIZE, DATA, 0, "exit 0", NULL, NOTHING, 0 },
	{ "no bytes in memory", SIZE, DATA, 0, REFUSED, KILLED, NOTHING, 0 },
	{ "no bytes at all", BOTH_SIZES, DATA, 0, KILLED, NULL, NOTHING, 0 },
	{ "text of no bytes", BOTH_SIZES, CODE, 0, KILLED, NULL, NOTHING, 0 },
	{ "data at 0", PLACE, DATA, 0, REFUSED, KILLED, NOTHING, 0 },
	{ "data in the first pages", PLACE, DATA, 0x1000, REFUSED, KILLED, NOTHING, 0 },
	{ "text at 0", PLACE, CODE, 0, REFUSED, KILLED, NOTHING, 0 },
	{ "data in the kernel", PLACE, DATA, KERNEL, REFUSED, KILLED, NOTHING, 0 },
	{ "data in the kernel's image", PLACE, DATA, UINT64_C(0xffffffff80100000), REFUSED, KILLED, NOTHING, 0 },
	{ "data at no address", PLACE, DATA, NO_ADDRESS, REFUSED, KILLED, NOTHING, 0 },
	{ "data at the last page of user memory", PLACE, DATA, USER_END - 0x1000, REFUSED, KILLED, NOTHING, 0 },
	{ "data that ends with user memory", PLACE, DATA, USER_END - 0x3000, REFUSED, KILLED, NOTHING, 0 },
	{ "data where the stack goes", PLACE, DATA, USER_END - 0x10000000, REFUSED, KILLED, NOTHING, 0 },
	{ "data up to the stack", SIZE, DATA, UINT64_C(0x7ffff0000000) - DATA_AT, REFUSED, KILLED, NOTHING, 0 },
	{ "data at the last page", PLACE, DATA, UINT64_C(0xfffffffffffff000), REFUSED, KILLED, NOTHING, 0 },
	{ "data over text", PLACE, DATA, BASE, REFUSED, KILLED, NOTHING, 0 },
	{ "data below text", PLACE, DATA, BASE - 0x10000, REFUSED, KILLED, NOTHING, 0 },
	{ "data in text's last page", PLACE, DATA, BASE + 0xff0, REFUSED, KILLED, NOTHING, 0 },
	{ "alignment 0", ALIGNMENT, DATA, 0, RUNS, NULL, NOTHING, 0 },
	{ "alignment 3", ALIGNMENT, DATA, 3, RUNS, NULL, NOTHING, 0 },
	{ "alignment 2^63", ALIGNMENT, DATA, UINT64_C(1) << 63, RUNS, NULL, NOTHING, 0 },
	{ "headers that are elsewhere", ADDRESS, HEADERS_OF, KERNEL, RUNS, NULL, NOTHING, 0 },
	{ "a note beyond the file", OFFSET, NOTE, UINT64_MAX, RUNS, NULL, NOTHING, 0 },
	{ "an executable stack", RIGHTS, STACK, PF_R | PF_W | PF_X, RUNS, NULL, NOTHING, 0 },
	{ "a stack without rights", RIGHTS, STACK, 0, RUNS, NULL, NOTHING, 0 },
	{ "thread storage of a wrapping size", KIND, NOTE, PT_TLS, RUNS, NULL, SIZE, UINT64_MAX },
	{ "a note that is a segment", KIND, NOTE, PT_LOAD, REFUSED, KILLED, NOTHING, 0 },
	{ "an interpreter that is a note", KIND, NOTE, PT_INTERP, REFUSED, NULL, NOTHING, 0 },
	{ "an interpreter of no bytes", KIND, NOTE, PT_INTERP, REFUSED, NULL, FILE_SIZE, 0 },
	{ "an interpreter of one byte", KIND, NOTE, PT_INTERP, REFUSED, NULL, FILE_SIZE, 1 },
	{ "an interpreter's name of 5000 bytes", KIND, NOTE, PT_INTERP, REFUSED, NULL, FILE_SIZE, 5000 },
	{ "an interpreter's name of all bytes", KIND, NOTE, PT_INTERP, REFUSED, NULL, FILE_SIZE, UINT64_MAX },
	{ "an interpreter's name beyond the file", KIND, NOTE, PT_INTERP, REFUSED, "LH_IO", OFFSET, 0x20000 },
	{ "an interpreter's name at -1", KIND, NOTE, PT_INTERP, REFUSED, "LH_INVALID", OFFSET, UINT64_MAX },
};

/* Interpreters by name. */
static const struct {
	const char *name, *here, *linux_end;
} interpreters[] = {
	{ "/nowhere/at/all", "LH_NO_ENTRY", NULL },
	{ "/tmp", "LH_NO_ACCESS", NULL },
	{ "/proc/self/stat", "LH_NO_ACCESS", NULL },
	{ "/tmp/damaged-program", REFUSED, RUNS },
	{ "/tmp/damaged-program/x", "LH_NOT_DIRECTORY", NULL },
	{ "/dev/null", "LH_NO_ACCESS", NULL },
	{ "", REFUSED, NULL },
};

static int wrong, tried;

LH_MUST_USE static lh_error judge(const struct file *file, const char *name, const char *expected)
{
	const char *end = NULL;

	LH_TRY(try(file, &end));
	tried++;
	if (strcmp(end, expected) != 0) {
		wrong++;
		printf("%s: %s, not %s\n", name, end, expected);
	}
	return LH_OK;
}

LH_MUST_USE static lh_error try_table(bool is_linux)
{
	static struct file file;

	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		const struct damage *damage = &damages[i];
		enum header also = damage->also == KIND ? DATA : damage->header;

		make_sound(&file);
		set_field(&file, damage->field, damage->header, damage->value);
		set_field(&file, damage->also, also, damage->also_value);
		LH_TRY(judge(&file, damage->name, is_linux && damage->linux_end ? damage->linux_end : damage->here));
	}
	return LH_OK;
}

LH_MUST_USE static lh_error try_interpreters(bool is_linux)
{
	static struct file file;

	for (size_t i = 0; i < sizeof interpreters / sizeof *interpreters; i++) {
		char name[64];
		size_t bytes = strlen(interpreters[i].name) + 1;

		make_sound(&file);
		memcpy((unsigned char *)&file.image + 0x1800, interpreters[i].name, bytes);
		set_field(&file, KIND, NOTE, PT_INTERP);
		set_field(&file, FILE_SIZE, NOTE, bytes);
		snprintf(name, sizeof name, "interpreter '%s'", interpreters[i].name);
		LH_TRY(judge(&file, name, is_linux && interpreters[i].linux_end ? interpreters[i].linux_end
									      : interpreters[i].here));
	}
	return LH_OK;
}

/* --- at random --- */

static uint64_t state;

static uint64_t random_bits(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Values that are wrong in a way of their own, more often than not. */
static uint64_t random_value(void)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 55, 64, 4095, 4096, 0x1080, FILE_BYTES, BASE, DATA_AT, INT64_MAX, UINT64_MAX, KERNEL,
		NO_ADDRESS, USER_END, USER_END - 4096, UINT64_C(1) << 40, UINT64_C(0xfffffffffffff000),
	};

	switch (random_bits() % 3) {
	case 0:
		return random_bits() >> (random_bits() % 64);
	case 1:
		return (random_bits() >> (random_bits() % 64)) & ~UINT64_C(0xfff);
	default:
		return values[random_bits() % (sizeof values / sizeof *values)];
	}
}

/* Whether what can only be executed can be read depends on the CPU under Linux: one with protection keys
 * forbids it (pkeys(7)). */
static void let_code_be_read(struct image *image)
{
	for (int i = 0; i < HEADERS; i++)
		if ((image->program[i].p_flags & (PF_R | PF_W | PF_X)) == PF_X)
			image->program[i].p_flags |= PF_R;
}

static void damage_at_random(struct file *file)
{
	for (uint64_t left = 1 + random_bits() % 3; left > 0; left--)
		if (random_bits() % 3 == 0)
			((unsigned char *)&file->image)[random_bits() % 400] ^= (unsigned char)(1u << random_bits() % 8);
		else
			set_field(file, BYTES + (enum field)(random_bits() % (PLACE - BYTES + 1)),
				  (enum header)(random_bits() % HEADERS), random_value());
	if (file->bytes > FILE_BYTES)
		file->bytes = FILE_BYTES;
	let_code_be_read(&file->image);
}

LH_MUST_USE static lh_error try_at_random(uint64_t seed, uint64_t count)
{
	static struct file file;
	const char *end = NULL;

	for (uint64_t number = 0; number < count; number++) {
		state = (seed << 20 | number) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		make_sound(&file);
		for (int i = 0; i < 8; i++)
			random_bits();
		damage_at_random(&file);
		LH_TRY(try(&file, &end));
		printf("seed %llu, number %llu: %s\n", (unsigned long long)seed, (unsigned long long)number, end);
	}
	return LH_OK;
}

static lh_error run(int argc, char **argv)
{
	bool is_linux = argc == 2 && strcmp(argv[1], "linux") == 0;
	char *shared = NULL;

	LH_TRY(map_pages(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &shared));
	outcome = (struct outcome *)(void *)shared;
	if (argc == 3)
		return try_at_random(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
	LH_TRY(try_table(is_linux));
	LH_TRY(try_interpreters(is_linux));
	printf("%d acts, %d end otherwise than they must\n", tried, wrong);
	return wrong == 0 ? LH_OK : LH_INVALID;
}

int main(int argc, char **argv)
{
	lh_error error = run(argc, argv);

	unlink(path);
	return report("damaged", error);
}
