/* SPDX-License-Identifier: BSD-2-Clause */
/* Directories for a while: the kernel half and a few identity-mapped pages. */
#include "object/machine.h"
#include "world/injection.h"

#define TRAMPOLINE UINT64_C(0x8000)
#define LIMIT (UINT64_C(1) << 32)

static const lh_virtual_range page_8000 = { { TRAMPOLINE }, 1 };

struct seen {
	unsigned low, kernel;
	lh_leaf leaf;
};

static void look(void *context, lh_virtual_address address, const lh_leaf *leaf, bool user)
{
	struct seen *seen = context;

	(void)user;
	if (address.value >> 47 != 0) {
		seen->kernel++;
		return;
	}
	CHECK_EQUAL(address.value, TRAMPOLINE);
	seen->low++;
	seen->leaf = *leaf;
}

static struct seen look_at(lh_directory *directory)
{
	struct seen seen = { 0 };

	lh_directory_audit(directory, look, &seen);
	return seen;
}

/* A31, the library's part: scoped, never writable and executable, gone without a trace. */
TEST(a31_the_identity_page_is_scoped_and_leaves_no_trace)
{
	test_world world;
	lh_kernel_request request = { .placement = { .pages = 3 }, .rights = READ_WRITE };
	lh_region region = { 0 };
	lh_directory directory;
	struct seen seen;
	uint64_t free_frames;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(lh_manager_map(world.manager, &region, &request));
	free_frames = world_frame_counters(&world).free;
	CHECK_OK(lh_manager_create_scoped(world.manager, &directory, page_8000, READ | EXECUTE, LIMIT));
	CHECK(directory.root.value < LIMIT >> LH_PAGE_SHIFT);
	CHECK_SOUND(lh_directory_check(&directory));
	seen = look_at(&directory);
	CHECK_EQUAL(seen.low, 1);
	CHECK_EQUAL(seen.kernel, world.format.root_each ? 0 : 3);
	CHECK_EQUAL(seen.leaf.rights, READ | EXECUTE);
	CHECK_EQUAL(seen.leaf.frame.value, TRAMPOLINE >> LH_PAGE_SHIFT);

	/* The kernel's own directory shows nothing of it. */
	CHECK_EQUAL(look_at(&world.manager->kernel_directory).low, 0);

	lh_directory_destroy(&directory);
	lh_directory_destroy(&directory);
	CHECK_EQUAL(world_frame_counters(&world).free, free_frames);
	lh_manager_unmap(world.manager, &region);
	world_close(&world);
}

TEST(a_scoped_directory_of_bad_pages_is_refused)
{
	static const lh_virtual_range unaligned = { { TRAMPOLINE + 1 }, 1 };
	static const lh_virtual_range high = { { UINT64_C(0xffff800000000000) }, 1 };
	lh_virtual_range across = { .pages = 2 };
	test_world world;
	lh_directory directory;

	world_open(&world, &(world_setup){ 0 });
	across.base.value = world_half(&world) - PAGE;
#define REFUSED(range, rights, limit)                                                       \
	CHECK_ERROR(lh_manager_create_scoped(world.manager, &directory, range, rights, limit), \
		    LH_INVALID)
	REFUSED(unaligned, READ, LIMIT);
	REFUSED(high, READ, LIMIT);
	REFUSED(across, READ, LIMIT);
	REFUSED(page_8000, READ | WRITE | EXECUTE, LIMIT);
	REFUSED(page_8000, LH_RIGHT_NONE, LIMIT);
	REFUSED(page_8000, READ, LH_PAGE_SIZE - 1);
#undef REFUSED
	world_close(&world);
}

static lh_directory scoped;

static lh_error create(test_world *world)
{
	return lh_manager_create_scoped(world->manager, &scoped, page_8000, READ | EXECUTE, LIMIT);
}

TEST(each_step_of_a_scoped_directory_fails_once)
{
	test_world world;
	world_operation operation = { .name = "scoped directory", .run = create };

	world_open(&world, &(world_setup){ 0 });
	world_inject(&world, &operation);
	lh_directory_destroy(&scoped);
	world_close(&world);
}
