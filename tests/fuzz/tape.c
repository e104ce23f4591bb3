/* SPDX-License-Identifier: BSD-2-Clause */
/* Playing a tape: tape.h. */
#include "fuzz/tape.h"

#include <string.h>

#include "adversary.h"

#define FRAMES 1500 /* two rows that are fit for a huge leaf */
#define STACK_PAGES 12
#define OBJECT_PAGES 28

/* A leaf table's 512 pages, with 24 in the table before, which hangs from another entry of the
 * root, and 24 in the one behind. More is promised than there is; little is touched. */
const tape_scale tape_scale_default = { .pages = 24 + 512 + 24, .before = 24, .spaces = 3,
					.policy = LH_CHARGE_HEURISTIC };

uint64_t tape_places(const tape_scale *scale)
{
	return scale->pages < TAPE_PLACES ? scale->pages : TAPE_PLACES;
}

uint64_t tape_page(const tape_scale *scale, uint64_t place)
{
	return place < TAPE_PLACES / 2 ? place : place + scale->pages - tape_places(scale);
}

/* A record, made to fit. */
struct record {
	tape_what what;
	unsigned space, cpu;
	uint64_t page, pages;
	lh_rights rights;
	uint8_t how;
	unsigned value;
	uint8_t trouble;
};

/* Where a tape is being played. */
struct player {
	space_oracle *oracle;
	const tape_scale *scale;
	const uint8_t *next;
	size_t left;	   /* bytes */
	unsigned busy_cpu; /* in the middle of an access: CPU and space are taken */
	int busy_space;
	tape_check check;
};

static struct record read_record(const struct player *player, const uint8_t *bytes)
{
	uint64_t places = tape_places(player->scale), first = bytes[TAPE_BYTE_PLACE] % places;
	uint64_t last = first + bytes[TAPE_BYTE_PLACES] % places;
	struct record record = {
		.what = (tape_what)(bytes[TAPE_BYTE_WHAT] % TAPE_WHAT_COUNT),
		.space = (bytes[TAPE_BYTE_WHO] & 15u) % player->scale->spaces,
		.cpu = bytes[TAPE_BYTE_WHO] >> 4 & 1,
		.rights = (lh_rights)(bytes[TAPE_BYTE_RIGHTS] & 7),
		.how = bytes[TAPE_BYTE_HOW],
		.value = bytes[TAPE_BYTE_VALUE],
		.trouble = bytes[TAPE_BYTE_TROUBLE],
	};

	record.page = tape_page(player->scale, first);
	record.pages = tape_page(player->scale, last < places ? last : places - 1) - record.page + 1;
	return record;
}

/* --- operations --- */

static void map(space_oracle *oracle, const struct record *record)
{
	static const lh_rights most[] = { 0, 0, 0, 0, 0, 0, LH_RIGHT_READ, 0 };
	unsigned kind = record->how & 7;
	lh_map_request request = {
		.where = (lh_where)(record->how >> 3 & 3),
		.direction = (lh_direction)(record->how >> 5 & 1),
		.address = lh_virtual(world_page(&oracle->world, record->page)),
		.pages = record->pages,
		.rights = record->rights,
		.rights_max = most[record->value >> 5],
		.guard_before = record->how & 64 ? 2 : 0,
		.guard_after = record->how & 128 ? 1 : 0,
	};
	int object = -1;

	request.rights &= request.rights_max ? request.rights_max : LH_RIGHTS_ALL;
	if (kind >= 1 && kind <= 5) {
		object = (int)(kind - 1) % ORACLE_OBJECTS;
		request.object = oracle->objects[object].object;
		request.object_page = record->value % 24;
		request.flags |= kind <= 3 ? LH_REGION_SHARED : 0;
	}
	if (kind == 6 && record->value & 1)
		request.reservation = true;
	else if (kind == 6)
		request.flags |= record->value & 2 ? LH_REGION_EMPTY_ON_FORK : LH_REGION_NOT_INHERITED;
	if (kind == 7)
		request.flags |= LH_REGION_GROWS_DOWN;
	(void)oracle_map(oracle, record->space, &request, object);
}

/* About fresh memory, as a rule: of what is there, most is in pieces. Or what is there is put together. */
static void advise(space_oracle *oracle, const struct record *record)
{
	static const lh_advice advice[] = { LH_ADVICE_HUGE, LH_ADVICE_HUGE, LH_ADVICE_NO_HUGE, LH_ADVICE_NORMAL };
	lh_map_request request = { .where = LH_OVER, .pages = record->pages, .rights = READ_WRITE,
				   .address = lh_virtual(world_page(&oracle->world, record->page)) };

	if ((record->how & 8) != 0) {
		(void)oracle_collapse(oracle, record->space, record->page, record->pages);
		return;
	}
	if ((record->how & 4) == 0 || oracle_map(oracle, record->space, &request, -1) == LH_OK)
		(void)oracle_advise(oracle, record->space, record->page, record->pages,
				    advice[record->how & 3]);
}

static void remap(space_oracle *oracle, const struct tape_scale *scale, const struct record *record)
{
	static const uint32_t flags[] = { LH_REMAP_STAY | LH_REMAP_MOVE, LH_REMAP_MOVE, LH_REMAP_STAY,
					  LH_REMAP_MOVE | LH_REMAP_KEEP };
	uint64_t pages = record->how & 64 && record->how & 128 ? 0 : record->pages;
	uint64_t more = (uint64_t)record->rights, wanted = record->pages + more;
	lh_remap_request request = {
		.flags = flags[record->how & 3],
		.to = { .where = (lh_where)(record->how >> 2 & 3),
			.direction = (lh_direction)(record->how >> 4 & 1) },
	};

	/* As long, longer by a few, or shorter by a few. */
	if (record->how & 32)
		wanted = record->pages > more ? record->pages - more : record->pages;
	request.to.pages = (request.flags & LH_REMAP_KEEP) != 0 ? record->pages : wanted;
	(void)oracle_remap(oracle, record->space, record->page, pages, &request,
			   tape_page(scale, record->value % tape_places(scale)));
}

static bool is_in_use(const struct player *player, unsigned space)
{
	return player->busy_space == (int)space;
}

static const lh_space_limits limits = { .stack_pages = STACK_PAGES };

/* Space 0's, and below it that of the others and of objects. Without a limit until a record sets one. */
static lh_account accounts[2];

static void fork_space(struct player *player, const struct record *record)
{
	unsigned child = (record->space + 1 + (record->value & 1)) % player->scale->spaces;

	if (child == record->space || is_in_use(player, child))
		return;
	if (player->oracle->space[child])
		oracle_destroy(player->oracle, child);
	oracle_make(player->oracle, child, &limits);
	(void)oracle_fork(player->oracle, record->space, child);
}

static void destroy(struct player *player, const struct record *record)
{
	unsigned others = 0;

	for (unsigned n = 0; n < player->scale->spaces; n++)
		others += n != record->space && player->oracle->space[n] != NULL;
	if (others > 0 && !is_in_use(player, record->space))
		oracle_destroy(player->oracle, record->space);
}

/* Nothing is ever mapped below the range, nor does a stack grow there. */
static void access_below(struct player *player, const struct record *record, mmu_access kind)
{
	space_oracle *oracle = player->oracle;
	uint64_t word;

	CHECK_EQUAL(world_access(&oracle->world, record->cpu, record->space,
				 oracle->world.user.base.value - (record->page % 4 + 1) * PAGE, kind,
				 &word, 8), LH_FAULT_NOT_MAPPED);
}

static void access(struct player *player, const struct record *record, mmu_access kind)
{
	if (record->how >= TAPE_HOW_BELOW) {
		access_below(player, record, kind);
		return;
	}
	(void)oracle_access(player->oracle, record->cpu, record->space, record->page, kind,
			    record->how % ORACLE_WORDS, record->value);
}

static void resize(space_oracle *oracle, const struct record *record)
{
	/* Often at a page's end, sometimes in the middle of a word. */
	uint64_t beyond = record->how & 1 ? record->how * UINT64_C(16) + 4 : 0;

	oracle_resize(oracle, record->cpu + (record->how >> 7),
		      record->value % OBJECT_PAGES * PAGE + beyond);
}

/* A few pages more than are charged, or none. */
static void set_account_limit(lh_account *account, const struct record *record)
{
	lh_account_set_limit(account, record->value & 4 ? account->charged + record->how % 4
							 : LH_NO_ACCOUNT_LIMIT);
}

static void set_limits(struct player *player, const struct record *record)
{
	lh_space_limits set = { .regions = record->value & 1 ? 3 + record->how % 8 : 0,
				.pages = record->value & 2 ? 1 + record->page : 0,
				.stack_pages = STACK_PAGES };

	/* What an access is promised in the middle of it must not depend on whom it met first. */
	if (player->busy_space < 0)
		set_account_limit(&accounts[record->value >> 3 & 1], record);
	if (is_in_use(player, record->space))
		return;
	player->oracle->space[record->space]->limits = set;
	lh_space_set_limits(player->oracle->world.space[record->space], &set);
}

static void pin(space_oracle *oracle, const struct record *record)
{
	unsigned number = record->value % ORACLE_PINS;
	uint64_t pages = record->pages < ORACLE_PIN_PAGES ? record->pages : ORACLE_PIN_PAGES;

	oracle_unpin(oracle, number);
	(void)oracle_pin(oracle, number, record->space, record->page, pages,
			 record->how & 1 ? WRITE : READ);
}

/* A record that is about a space that is not there makes it. */
static void make_if_absent(struct player *player, const struct record *record)
{
	if (!player->oracle->space[record->space])
		oracle_make(player->oracle, record->space, &limits);
}

static void perform(struct player *player, const struct record *record)
{
	space_oracle *oracle = player->oracle;
	unsigned object = record->how % ORACLE_OBJECTS;

	make_if_absent(player, record);
	switch (record->what) {
	case TAPE_MAP: map(oracle, record); break;
	case TAPE_UNMAP:
		(void)oracle_unmap(oracle, record->space, record->page, record->pages);
		break;
	case TAPE_PROTECT:
		(void)oracle_protect(oracle, record->space, record->page, record->pages,
				     record->rights);
		break;
	case TAPE_DISCARD:
		(void)oracle_discard(oracle, record->space, record->page, record->pages);
		break;
	case TAPE_READ: access(player, record, MMU_READ); break;
	case TAPE_WRITE: access(player, record, MMU_WRITE); break;
	case TAPE_FETCH: access(player, record, MMU_FETCH); break;
	case TAPE_FORK: fork_space(player, record); break;
	case TAPE_DESTROY: destroy(player, record); break;
	case TAPE_LOAD:
		world_load(&oracle->world, record->cpu,
			   record->value & 1 ? -1 : (int)record->space);
		break;
	case TAPE_SPECULATE:
		machine_speculate(oracle->world.machine, record->cpu,
				  oracle->world.user.base, oracle->count);
		break;
	case TAPE_OBJECT_READ:
		oracle_object_access(oracle, object, record->page % OBJECT_PAGES, READ,
				     record->rights % ORACLE_WORDS, 0);
		break;
	case TAPE_OBJECT_WRITE:
		oracle_object_access(oracle, object, record->page % OBJECT_PAGES, WRITE,
				     record->rights % ORACLE_WORDS, record->value);
		break;
	case TAPE_RESIZE: resize(oracle, record); break;
	case TAPE_SYNC: oracle_sync(oracle, 1); break;
	case TAPE_LIMIT: set_limits(player, record); break;
	case TAPE_PIN: pin(oracle, record); break;
	case TAPE_UNPIN: oracle_unpin(oracle, record->value % ORACLE_PINS); break;
	case TAPE_DEVICE:
		oracle_device(oracle, record->value % ORACLE_PINS, record->page % 4,
			      record->rights % ORACLE_WORDS, record->how);
		break;
	case TAPE_ADVISE: advise(oracle, record); break;
	case TAPE_REMAP: remap(oracle, player->scale, record); break;
	case TAPE_WHAT_COUNT: break;
	}
}

/* --- records one after the other, and in each other --- */

static bool take(struct player *player, struct record *record)
{
	uint8_t bytes[TAPE_RECORD] = { 0 };
	size_t count = player->left < TAPE_RECORD ? player->left : TAPE_RECORD;

	if (count == 0)
		return false;
	memcpy(bytes, player->next, count);
	player->next += count;
	player->left -= count;
	*record = read_record(player, bytes);
	return true;
}

/* The next record, in the middle of an access: on the other CPU. Its own trouble is only that the
 * one after it happens there as well. */
static void play_meanwhile(void *context)
{
	struct player *player = context;
	struct record record;
	bool more = true;

	while (more && take(player, &record)) {
		record.cpu = 1 - player->busy_cpu;
		more = record.trouble >= 192;
		perform(player, &record);
		world_settle(&player->oracle->world);
	}
}

static bool is_access(tape_what what)
{
	return what == TAPE_READ || what == TAPE_WRITE || what == TAPE_FETCH;
}

static void make_trouble(struct player *player, const struct record *record)
{
	space_oracle *oracle = player->oracle;
	unsigned n = record->trouble;

	oracle->slow = n >= 160;
	if (n >= 64 && n < 128)
		oracle->fail_frames = n - 63;
	else if (n >= 128 && n < 160)
		oracle->fail_pager = 1 + (n - 128) % 4;
	else if (n >= 192 && is_access(record->what)) {
		oracle->meanwhile = play_meanwhile;
		oracle->meanwhile_at = n - 191;
		oracle->context = player;
	}
}

static void end_trouble(space_oracle *oracle)
{
	oracle->slow = false;
	oracle_flush_meanwhile(oracle);
	oracle->fail_frames = oracle->fail_pager = 0;
}

static void play_record(struct player *player, const struct record *record)
{
	player->busy_cpu = record->cpu;
	player->busy_space = is_access(record->what) ? (int)record->space : -1;
	make_trouble(player, record);
	perform(player, record);
	player->busy_space = -1;
	end_trouble(player->oracle);
	if (player->check == TAPE_UNCHECKED)
		return;
	oracle_compare(player->oracle);
	world_check_quickly(&player->oracle->world);
}

void tape_open(space_oracle *oracle, const tape_scale *scale)
{
	uint64_t base = UINT64_C(0x8000000000) - scale->before * PAGE;

	oracle_open(oracle, &(world_setup){ .frames = FRAMES, .policy = scale->policy,
					    .user = { lh_virtual(base), scale->pages } });
	CHECK_OK(lh_account_open(&accounts[0], oracle->world.frames, NULL, LH_NO_ACCOUNT_LIMIT));
	CHECK_OK(lh_account_open(&accounts[1], oracle->world.frames, &accounts[0], LH_NO_ACCOUNT_LIMIT));
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		oracle->world.account[n] = &accounts[n != 0];
	for (unsigned n = 0; n < ORACLE_OBJECTS; n += 2) /* the other is a file */
		oracle_renew_object(oracle, n, &accounts[1]);
	oracle_make(oracle, 0, &limits);
}

void tape_play(space_oracle *oracle, const tape_scale *scale, const uint8_t *bytes, size_t count,
	       tape_check check)
{
	struct player player = { .oracle = oracle, .scale = scale, .next = bytes, .left = count,
				 .busy_space = -1, .check = check };
	struct record record;

	while (take(&player, &record))
		play_record(&player, &record);
}

void tape_run(const tape_scale *scale, const uint8_t *bytes, size_t count, tape_counts *counts)
{
	static space_oracle oracle;

	tape_open(&oracle, scale);
	tape_play(&oracle, scale, bytes, count, TAPE_CHECKED);
	CHECK_SOUND(lh_frames_check(oracle.world.frames));
	if (counts) {
		counts->records += (count + TAPE_RECORD - 1) / TAPE_RECORD;
		counts->refused += oracle.refused;
		counts->huge += oracle.huge;
		counts->collapsed += oracle.collapsed;
		counts->overwritten += machine_overwritten(oracle.world.machine);
	}
	oracle_close(&oracle);
	CHECK(accounts[0].charged == 0 && accounts[1].charged == 0);
}
