/* SPDX-License-Identifier: BSD-2-Clause */
#include "process/elf.h"

#include "lib/string.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/user.h"

/* As the ELF-64 object file format lays them out. */
struct elf_header {
	uint8_t identification[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, program_headers, section_headers;
	uint32_t flags;
	uint16_t header_bytes, program_header_bytes, program_header_count;
	uint16_t section_header_bytes, section_header_count, section_names;
};
struct elf_program_header {
	uint32_t type, flags;
	uint64_t offset, address, physical_address, file_bytes, bytes, alignment;
};
_Static_assert(sizeof(struct elf_header) == 64, "ELF-64 header");
_Static_assert(sizeof(struct elf_program_header) == 56, "ELF-64 program header");

#define ELF_TYPE_FIXED 2
#define ELF_TYPE_MOVABLE 3
#define ELF_MACHINE_X86_64 62
#define SEGMENT_LOAD 1u
#define SEGMENT_INTERPRETER 3u
#define SEGMENT_HEADERS 6u
#define SEGMENT_EXECUTE 1u
#define SEGMENT_WRITE 2u
#define SEGMENT_READ 4u
#define HEADERS_MAX 64u
#define ALIGNMENT_MAX (UINT64_C(1) << 30)

static uint64_t page_floor(uint64_t address)
{
	return address & ~(LH_PAGE_SIZE - 1);
}

/* => address: so low that this cannot wrap. */
static uint64_t page_ceiling(uint64_t address)
{
	return page_floor(address + LH_PAGE_SIZE - 1);
}

/* Reads exactly so many bytes. */
static lh_error read_exactly(struct file *file, uint64_t offset, void *to, size_t bytes)
{
	struct transfer transfer = transfer_kernel(to, bytes);
	lh_error error = file_read_at(file, &transfer, offset);

	if (error != LH_OK)
		return error;
	return transfer.left == 0 ? LH_OK : LH_NOT_EXECUTABLE;
}

static lh_error check_header(const struct elf_header *header)
{
	static const uint8_t magic[7] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };

	if (memcmp(header->identification, magic, sizeof magic) != 0 ||
	    header->machine != ELF_MACHINE_X86_64 ||
	    (header->type != ELF_TYPE_FIXED && header->type != ELF_TYPE_MOVABLE))
		return LH_NOT_EXECUTABLE;
	if (header->program_header_bytes != sizeof(struct elf_program_header) ||
	    header->program_header_count == 0 || header->program_header_count > HEADERS_MAX ||
	    header->program_headers > INT64_MAX)
		return LH_NOT_EXECUTABLE;
	return LH_OK;
}

static lh_rights rights_of(uint32_t flags)
{
	lh_rights rights = LH_RIGHT_NONE;

	if ((flags & SEGMENT_READ) != 0)
		rights |= LH_RIGHT_READ;
	if ((flags & SEGMENT_WRITE) != 0)
		rights |= LH_RIGHT_WRITE;
	if ((flags & SEGMENT_EXECUTE) != 0)
		rights |= LH_RIGHT_EXECUTE;
	return rights;
}

/* A segment to load: in user space, above those before, its bytes in the file. */
static lh_error add_segment(struct elf_plan *plan, const struct elf_program_header *header,
			    uint64_t file_size)
{
	const struct elf_segment *before;

	if (header->file_bytes > header->bytes)
		return LH_NOT_EXECUTABLE;
	if (header->bytes == 0)
		return LH_OK;
	if (plan->segment_count == ELF_SEGMENTS_MAX ||
	    header->address >= USER_LIMIT || header->bytes > USER_LIMIT - header->address ||
	    header->offset > file_size || header->file_bytes > file_size - header->offset ||
	    (header->address - header->offset) % LH_PAGE_SIZE != 0)
		return LH_NOT_EXECUTABLE;
	if (plan->segment_count > 0) {
		before = &plan->segments[plan->segment_count - 1];
		if (header->address < before->address + before->bytes)
			return LH_NOT_EXECUTABLE;
	}
	plan->segments[plan->segment_count++] = (struct elf_segment){
		.address = header->address,
		.offset = header->offset,
		.file_bytes = header->file_bytes,
		.bytes = header->bytes,
		.rights = rights_of(header->flags),
	};
	if (header->alignment > plan->alignment && header->alignment <= ALIGNMENT_MAX &&
	    (header->alignment & (header->alignment - 1)) == 0)
		plan->alignment = header->alignment;
	return LH_OK;
}

/* The first one counts. A name has a byte at least, and its end. */
static lh_error add_interpreter(struct elf_plan *plan, const struct elf_program_header *header)
{
	if (header->file_bytes < 2)
		return LH_NOT_EXECUTABLE;
	if (plan->interpreter_bytes != 0)
		return LH_OK;
	plan->interpreter_offset = header->offset;
	plan->interpreter_bytes = header->file_bytes;
	return LH_OK;
}

static lh_error add_headers(struct elf_plan *plan, const struct elf_program_header *headers,
			    uint32_t count, uint64_t file_size)
{
	for (uint32_t i = 0; i < count; i++) {
		if (headers[i].type == SEGMENT_LOAD)
			LH_TRY(add_segment(plan, &headers[i], file_size));
		if (headers[i].type == SEGMENT_HEADERS)
			plan->headers = headers[i].address;
		if (headers[i].type == SEGMENT_INTERPRETER)
			LH_TRY(add_interpreter(plan, &headers[i]));
	}
	return plan->segment_count > 0 ? LH_OK : LH_NOT_EXECUTABLE;
}

/* Where the program headers lie, if no header says so: in the segment that holds them. */
static void find_headers(struct elf_plan *plan, uint64_t offset)
{
	for (uint32_t i = 0; plan->headers == 0 && i < plan->segment_count; i++) {
		const struct elf_segment *segment = &plan->segments[i];

		if (offset - segment->offset < segment->file_bytes)
			plan->headers = segment->address + (offset - segment->offset);
	}
}

static lh_error finish_plan(struct elf_plan *plan, const struct elf_header *header)
{
	const struct elf_segment *last = &plan->segments[plan->segment_count - 1];

	plan->is_movable = header->type == ELF_TYPE_MOVABLE;
	plan->header_count = header->program_header_count;
	plan->entry = header->entry;
	plan->lowest = page_floor(plan->segments[0].address);
	plan->highest = page_ceiling(last->address + last->bytes);
	find_headers(plan, header->program_headers);
	if (!plan->is_movable && plan->lowest < USER_ADDRESS_MIN)
		return LH_NOT_EXECUTABLE;
	if (plan->highest > USER_LIMIT || plan->entry >= USER_LIMIT)
		return LH_NOT_EXECUTABLE;
	return LH_OK;
}

lh_error elf_read(struct file *file, struct elf_plan *plan)
{
	struct elf_program_header *headers;
	struct elf_header header;
	size_t bytes;
	lh_error error;

	*plan = (struct elf_plan){ .alignment = LH_PAGE_SIZE };
	LH_TRY(read_exactly(file, 0, &header, sizeof header));
	LH_TRY(check_header(&header));
	bytes = header.program_header_count * sizeof *headers;
	headers = kernel_allocate(bytes);
	if (headers == NULL)
		return LH_NO_MEMORY;
	error = read_exactly(file, header.program_headers, headers, bytes);
	if (error == LH_OK)
		error = add_headers(plan, headers, header.program_header_count,
				    inode_size(file->inode));
	kernel_free(headers, bytes);
	LH_TRY(error);
	return finish_plan(plan, &header);
}

/* Maps [from, to), page-aligned, over what is there. */
static lh_error map_pages(struct user_memory *memory, uint64_t from, uint64_t to, lh_rights rights,
			  lh_object *object, uint64_t offset, uint64_t tag)
{
	lh_map_request request = {
		.where = LH_OVER,
		.address = lh_virtual(from),
		.pages = (to - from) / LH_PAGE_SIZE,
		.rights = rights,
		.object = object,
		.object_page = offset / LH_PAGE_SIZE,
		.tag = tag,
	};
	lh_virtual_range placed;

	return from < to ? lh_space_map(memory->space, &request, &placed) : LH_OK;
}

/* Pages behind those of the file can be written, and so are promised, whatever the segment says: as on Linux. */
static lh_rights fresh_rights(const struct elf_segment *segment)
{
	return (lh_rights)(LH_RIGHT_READ | LH_RIGHT_WRITE | (segment->rights & LH_RIGHT_EXECUTE));
}

static lh_error map_segment(struct user_memory *memory, const struct elf_segment *segment,
			    uint64_t bias, lh_object *object, uint64_t tag)
{
	uint64_t start = segment->address + bias;
	uint64_t file_end = segment->file_bytes == 0 ? page_floor(start)
						     : page_ceiling(start + segment->file_bytes);

	LH_TRY(map_pages(memory, page_floor(start), file_end, segment->rights, object,
			 page_floor(segment->offset), tag));
	return map_pages(memory, file_end, page_ceiling(start + segment->bytes), fresh_rights(segment),
			 NULL, 0, 0);
}

lh_error elf_map(struct user_memory *memory, struct file *file, const struct elf_plan *plan,
		 uint64_t bias)
{
	lh_object *object = NULL;
	lh_error error = LH_OK;

	if (file->operations->map == NULL)
		return LH_NOT_EXECUTABLE;
	LH_TRY(file->operations->map(file, 0, &object));
	for (uint32_t i = 0; error == LH_OK && i < plan->segment_count; i++)
		error = map_segment(memory, &plan->segments[i], bias, object,
				    file->inode->number);
	lh_object_drop(object);
	return error;
}

lh_error elf_clear_tails(const struct elf_plan *plan, uint64_t bias)
{
	for (uint32_t i = 0; i < plan->segment_count; i++) {
		const struct elf_segment *segment = &plan->segments[i];
		uint64_t end = segment->address + bias + segment->file_bytes;
		uint64_t tail = page_ceiling(end) - end;

		if (segment->bytes == segment->file_bytes || segment->file_bytes == 0 ||
		    (segment->rights & LH_RIGHT_WRITE) == 0)
			continue;
		if (tail > 0)
			LH_TRY(user_clear(end, tail));
	}
	return LH_OK;
}
