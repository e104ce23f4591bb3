/* SPDX-License-Identifier: BSD-2-Clause */
/* What the library wants of its port, and gcc of its library, on a CPU alone with interrupts off; and words for judge.h. */
#include "judge.h"

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

void judge_put(const char *text)
{
	while (*text)
		cpu_put(*text++);
}

void judge_put_number(uint64_t number, unsigned base)
{
	char digits[24];
	unsigned i = sizeof(digits);

	digits[--i] = '\0';
	do
		digits[--i] = "0123456789abcdef"[number % base];
	while ((number /= base) != 0);
	judge_put(base == 16 ? "0x" : "");
	judge_put(&digits[i]);
}

void *judge_seen(uint64_t physical)
{
	return (void *)(uintptr_t)(physical + CPU_WINDOW);
}

void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame)
{
	(void)port;
	return judge_seen(lh_frame_address(frame).value);
}

void lh_port_panic(lh_port *port, const char *message)
{
	(void)port;
	judge_put("panic: ");
	judge_put(message);
	judge_put("\n");
	cpu_end(false);
}

void lh_port_log(lh_port *port, const char *message)
{
	(void)port;
	judge_put(message);
	judge_put("\n");
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

void judge_must(lh_error error)
{
	if (error != LH_OK)
		lh_port_panic(NULL, lh_error_string(error));
}
