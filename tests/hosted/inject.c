/* SPDX-License-Identifier: BSD-2-Clause */
/* The injection driver, on operations whose faults are known. */
#include "harness.h"

#include <string.h>

#include "inject.h"

/* A toy: three steps, then a change. The mistakes that it can make are switches. */
struct toy {
	uint64_t fail_at, steps;
	int value;
	bool leaks;	  /* changes something before its last step */
	bool panics_late; /* fails with nothing injected */
	bool falls_back;  /* does without its second step */
	bool corrupts;	  /* a walker would see it */
	unsigned undone;
};

static void toy_fail_at(void *context, uint64_t n)
{
	struct toy *toy = context;

	toy->fail_at = n;
	toy->steps = 0;
}

static uint64_t toy_steps(void *context)
{
	return ((struct toy *)context)->steps;
}

static bool step(struct toy *toy)
{
	return ++toy->steps != toy->fail_at;
}

static lh_error toy_run(void *context)
{
	struct toy *toy = context;

	if (!step(toy))
		return LH_NO_MEMORY;
	if (toy->leaks)
		toy->value++;
	if (!step(toy) && !toy->falls_back)
		return LH_NO_MEMORY;
	if (!step(toy))
		return LH_NO_MEMORY;
	if (toy->panics_late)
		return LH_IO;
	toy->value = 100;
	return LH_OK;
}

static void toy_undo(void *context)
{
	struct toy *toy = context;

	toy->value = 1;
	toy->undone++;
}

static void toy_serialise(void *context, inject_buffer *buffer)
{
	struct toy *toy = context;

	inject_put(buffer, &toy->undone, 0, "nothing");
	inject_put(buffer, &toy->value, sizeof toy->value, "value %d", 1);
}

static const char *toy_check(void *context)
{
	struct toy *toy = context;

	return toy->corrupts && toy->fail_at == 0 ? "corrupt" : NULL;
}

static void toy_count(void *context, uint64_t kinds[INJECT_KIND_COUNT])
{
	kinds[INJECT_FRAME] += toy_steps(context);
}

static inject_operation operation_on(struct toy *toy)
{
	toy->value = 1;
	return (inject_operation){
		.name = "toy",
		.context = toy,
		.sources = { { "steps", toy, toy_fail_at, toy_steps } },
		.run = toy_run,
		.serialise = toy_serialise,
		.check = toy_check,
		.count = toy_count,
	};
}

TEST(each_step_fails_once_and_the_operation_ends_done)
{
	struct toy toy = { 0 };
	inject_operation operation = operation_on(&toy);
	inject_counts counts;

	CHECK_SOUND(inject_every(&operation, &counts));
	CHECK_EQUAL(counts.runs, 4);
	CHECK_EQUAL(counts.refused, 3);
	CHECK_EQUAL(counts.survived, 0);
	CHECK_EQUAL(counts.steps, 3);
	CHECK_EQUAL(counts.kinds[INJECT_FRAME], 3);
	CHECK_EQUAL(toy.value, 100);
}

static bool finds(const inject_operation *operation, const char *text)
{
	inject_counts counts;
	const char *finding = inject_every(operation, &counts);

	return finding && strstr(finding, text);
}

static bool differ_by(const inject_buffer *one, const inject_buffer *two, const char *text)
{
	const char *difference = inject_difference(one, two);

	return difference && strstr(difference, text);
}

TEST(a_run_that_does_without_a_step_is_undone_and_gone_on_from)
{
	struct toy toy = { .falls_back = true };
	inject_operation operation = operation_on(&toy);
	inject_counts counts;

	CHECK(finds(&operation, "step 2 of steps failing: it succeeds"));
	toy.value = 1;
	operation.undo = toy_undo;
	CHECK_SOUND(inject_every(&operation, &counts));
	CHECK_EQUAL(counts.survived, 1);
	CHECK_EQUAL(counts.refused, 2);
	CHECK_EQUAL(toy.undone, 1);
}

TEST(a_second_source_is_gone_through_by_itself)
{
	struct toy toy = { 0 };
	inject_operation operation = operation_on(&toy);
	inject_counts counts;

	operation.sources[1] = operation.sources[0];
	CHECK(finds(&operation, "two sources and no undo"));
	toy.value = 1;
	operation.undo = toy_undo;
	CHECK_SOUND(inject_every(&operation, &counts));
	CHECK_EQUAL(counts.runs, 8);
	CHECK_EQUAL(toy.value, 100);
}

TEST(each_mistake_of_an_operation_is_found)
{
	static const struct {
		struct toy toy;
		const char *finding;
	} rows[] = {
		{ { .leaks = true },
		  "toy, step 2 of steps failing: value 1 changed: byte 0 of 4 was 0x1, is 0x2" },
		{ { .panics_late = true }, "fails with nothing injected" },
		{ { .corrupts = true }, "toy, step 1 of steps failing: corrupt" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct toy toy = rows[i].toy;
		inject_operation operation = operation_on(&toy);

		CHECK(finds(&operation, rows[i].finding));
	}
}

TEST(states_differ_by_length_label_and_number_too)
{
	inject_buffer one = { 0 }, two = { 0 };

	inject_put(&one, "abc", 3, "first");
	CHECK(differ_by(&one, &two, "first is gone"));
	CHECK(differ_by(&two, &one, "first is new"));
	inject_put(&two, "ab", 2, "first");
	CHECK(differ_by(&one, &two, "first had 3 bytes, has 2"));
	inject_buffer_free(&two);
	inject_put(&two, "abc", 3, "other");
	CHECK(differ_by(&one, &two, "where first was is other"));
	inject_buffer_free(&two);
	inject_put(&two, "abc", 3, "first");
	CHECK(inject_difference(&one, &two) == NULL);
	inject_buffer_free(&one);
	inject_buffer_free(&two);
}

TEST(the_table_has_a_column_for_each_kind)
{
	static const char expected[] =
		"operation                      runs  frame  table   pool charge   node  pager\n"
		"toy                               4      3      0      0      0      0      0\n";
	struct toy toy = { 0 };
	inject_operation operation = operation_on(&toy);
	inject_counts counts;
	char text[512] = "";
	FILE *out = fmemopen(text, sizeof text, "w");

	CHECK(out);
	CHECK_SOUND(inject_every(&operation, &counts));
	inject_print(out, NULL, NULL);
	inject_print(out, &operation, &counts);
	fclose(out);
	CHECK(strcmp(text, expected) == 0);
}
