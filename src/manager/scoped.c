/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scoped directories: the kernel half and a few identity-mapped pages, for a while. Built by the
 * steps that every directory is built by; whichever of them fails, the one destructor gives back
 * what there is.
 */
#include "object/machine.h"
#include "paging/entry.h"

#include "base/assert.h"

static lh_error validate(const lh_manager *manager, lh_virtual_range identity, lh_rights rights,
			 uint64_t limit)
{
	lh_rights both = LH_RIGHT_WRITE | LH_RIGHT_EXECUTE;

	if (!lh_virtual_range_is_valid(identity) || rights == LH_RIGHT_NONE ||
	    (rights & ~LH_RIGHTS_ALL) != 0 || (rights & both) == both)
		return LH_INVALID;
	if ((limit != 0 && limit < LH_PAGE_SIZE) ||
	    lh_virtual_range_last(identity).value >> lh_format_half_bits(manager->format) != 0)
		return LH_INVALID;
	return LH_OK;
}

/* => tables: all that the range needs. */
static void map_identity(lh_directory *directory, lh_virtual_range identity, lh_rights rights,
			 lh_spare_tables *tables)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = rights, .flags = LH_LEAF_UNCOUNTED };

	for (uint64_t page = 0; page < identity.pages; page++) {
		lh_virtual_address address = lh_virtual_range_page(identity, page);
		lh_error error;

		leaf.frame = lh_physical_frame(lh_physical(address.value));
		error = lh_directory_write(directory, address, leaf, tables);
		LH_REQUIRE(directory->port, error == LH_OK);
	}
}

static lh_error build(lh_manager *manager, lh_directory *directory, lh_virtual_range identity,
		      lh_rights rights, uint64_t limit)
{
	lh_spare_tables tables = { 0, 0 };

	if (limit == 0)
		LH_TRY(lh_directory_add_root(directory));
	else
		LH_TRY(lh_directory_add_root_below(directory, limit >> LH_PAGE_SHIFT));
	lh_directory_share_kernel_half(directory, &manager->kernel_directory);
	LH_TRY(lh_directory_prepare(directory, identity, &tables));
	map_identity(directory, identity, rights, &tables);
	lh_spare_tables_give_back(manager->frames, &tables);
	return LH_OK;
}

lh_error lh_manager_create_scoped(lh_manager *manager, lh_directory *directory,
				  lh_virtual_range identity, lh_rights rights, uint64_t limit)
{
	lh_error error;

	LH_TRY(validate(manager, identity, rights, limit));
	lh_directory_init(directory, manager->frames, manager->format);
	error = build(manager, directory, identity, rights, limit);
	if (error != LH_OK)
		lh_directory_destroy(directory);
	return error;
}
