/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line discipline: termios(3), as far as shells and editors of lines use it.
 *
 * Input comes from the link's thread, byte by byte. In canonical mode bytes gather in
 * the line, where they can be erased, until a line end moves them to the queue; else
 * they go to the queue at once. The queue's items are bytes, or END_OF_FILE, which ends
 * a line without being part of it. A full queue drops what comes.
 */
#include "fs/tty.h"

#include "device/link.h"
#include "arch/x86_64/clock.h"
#include "lib/string.h"
#include "process/process.h"

#define QUEUE_ITEMS 4096u
#define LINE_BYTES 4095u
#define END_OF_FILE 0x100u

/* c_iflag, c_oflag, c_lflag */
#define INPUT_STRIP_RETURN 0x80u    /* IGNCR */
#define INPUT_RETURN_TO_NEWLINE 0x100u /* ICRNL */
#define INPUT_NEWLINE_TO_RETURN 0x40u /* INLCR */
#define OUTPUT_PROCESS 0x1u	    /* OPOST */
#define OUTPUT_NEWLINE_TO_BOTH 0x4u /* ONLCR */
#define LOCAL_SIGNALS 0x1u	    /* ISIG */
#define LOCAL_CANONICAL 0x2u	    /* ICANON */
#define LOCAL_ECHO 0x8u
#define LOCAL_ECHO_ERASE 0x10u
#define LOCAL_ECHO_KILL 0x20u
#define LOCAL_ECHO_NEWLINE 0x40u
#define LOCAL_NO_FLUSH 0x80u
#define LOCAL_STOP_OUTPUT 0x100u /* TOSTOP */
#define LOCAL_ECHO_CONTROL 0x200u
#define LOCAL_EXTENDED 0x8000u

/* c_cc */
enum { KEY_INTERRUPT, KEY_QUIT, KEY_ERASE, KEY_KILL, KEY_END_OF_FILE, KEY_TIME, KEY_MINIMUM,
       KEY_SUSPEND = 10, KEY_END_OF_LINE = 11, KEY_WORD_ERASE = 14, KEY_END_OF_LINE_2 = 16,
       KEYS = 19 };

struct terminal_settings {
	uint32_t input, output, control, local;
	uint8_t discipline;
	uint8_t keys[KEYS];
};
_Static_assert(sizeof(struct terminal_settings) == 36, "the kernel's struct termios");

struct window_size {
	uint16_t rows, columns, width, height;
};

static struct {
	struct mutex lock;
	struct wait_queue queue_changed;
	bool is_present;		   /* constant after start */
	struct terminal_settings settings; /* [lock] */
	struct window_size window;	   /* [lock] */
	uint32_t session, foreground;	   /* [a] 0: none */
	uint16_t queue[QUEUE_ITEMS];	   /* [lock] */
	uint32_t added, taken;		   /* [lock], read by atomic access */
	uint32_t lines;			   /* [lock], read by atomic access: line ends in the queue */
	uint8_t line[LINE_BYTES];	   /* [lock] being edited */
	uint32_t line_length;		   /* [lock] */
} terminal;

static const struct terminal_settings initial_settings = {
	.input = INPUT_RETURN_TO_NEWLINE | 0x400, /* IXON */
	.output = OUTPUT_PROCESS | OUTPUT_NEWLINE_TO_BOTH,
	.control = 0xbf, /* B38400 CS8 CREAD */
	.local = LOCAL_SIGNALS | LOCAL_CANONICAL | LOCAL_ECHO | LOCAL_ECHO_ERASE | LOCAL_ECHO_KILL |
		 LOCAL_ECHO_CONTROL | 0x800 | LOCAL_EXTENDED,
	.keys = { 3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0 },
};

static bool is_local(uint32_t flag)
{
	return (terminal.settings.local & flag) != 0;
}

/* --- output --- */

/* Sends bytes, newlines changed if the settings say so. */
static void put(const uint8_t *bytes, size_t count)
{
	uint8_t buffer[256];
	size_t used = 0;
	bool both = (terminal.settings.output & OUTPUT_PROCESS) != 0 &&
		    (terminal.settings.output & OUTPUT_NEWLINE_TO_BOTH) != 0;

	for (size_t i = 0; i < count; i++) {
		if (used + 2 > sizeof buffer) {
			link_send('T', buffer, used);
			used = 0;
		}
		if (bytes[i] == '\n' && both)
			buffer[used++] = '\r';
		buffer[used++] = bytes[i];
	}
	if (used > 0)
		link_send('T', buffer, used);
}

static void echo(uint8_t byte)
{
	uint8_t caret[2] = { '^', byte ^ 0x40 };

	if (!is_local(LOCAL_ECHO) && !(byte == '\n' && is_local(LOCAL_ECHO_NEWLINE)))
		return;
	if ((byte < 32 && byte != '\n' && byte != '\t') || byte == 127) {
		if (is_local(LOCAL_ECHO_CONTROL))
			put(caret, 2);
		return;
	}
	put(&byte, 1);
}

/* --- input, under the lock --- */

static uint32_t queued(void)
{
	return __atomic_load_n(&terminal.added, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(&terminal.taken, __ATOMIC_ACQUIRE);
}

static void enqueue(uint16_t item, bool ends_line)
{
	if (queued() == QUEUE_ITEMS)
		return;
	terminal.queue[terminal.added % QUEUE_ITEMS] = item;
	__atomic_store_n(&terminal.added, terminal.added + 1, __ATOMIC_RELEASE);
	if (ends_line)
		__atomic_store_n(&terminal.lines, terminal.lines + 1, __ATOMIC_RELEASE);
}

static void finish_line(uint16_t end)
{
	for (uint32_t i = 0; i < terminal.line_length; i++)
		enqueue(terminal.line[i], false);
	terminal.line_length = 0;
	enqueue(end, true);
}

static void flush_input(void)
{
	__atomic_store_n(&terminal.taken, terminal.added, __ATOMIC_RELEASE);
	__atomic_store_n(&terminal.lines, 0, __ATOMIC_RELEASE);
	terminal.line_length = 0;
}

static void erase_one(void)
{
	static const uint8_t wipe[3] = { '\b', ' ', '\b' };
	uint8_t byte = terminal.line[--terminal.line_length];

	if (!is_local(LOCAL_ECHO) || (byte & 0xc0) == 0x80)
		return;
	put(wipe, 3);
	if (byte < 32 && is_local(LOCAL_ECHO_CONTROL))
		put(wipe, 3);
}

static void erase_word(void)
{
	while (terminal.line_length > 0 && terminal.line[terminal.line_length - 1] == ' ')
		erase_one();
	while (terminal.line_length > 0 && terminal.line[terminal.line_length - 1] != ' ')
		erase_one();
}

static bool is_key(uint8_t byte, unsigned key)
{
	return byte != 0 && terminal.settings.keys[key] == byte;
}

/* => the signal that the byte means, or 0. */
static uint32_t signal_of_key(uint8_t byte)
{
	if (!is_local(LOCAL_SIGNALS))
		return 0;
	if (is_key(byte, KEY_INTERRUPT))
		return SIGNAL_INTERRUPT;
	if (is_key(byte, KEY_QUIT))
		return SIGNAL_QUIT;
	return is_key(byte, KEY_SUSPEND) ? SIGNAL_TERMINAL_STOP : 0;
}

static void edit_line(uint8_t byte)
{
	if (is_key(byte, KEY_ERASE) || byte == '\b') {
		if (terminal.line_length > 0)
			erase_one();
	} else if (is_key(byte, KEY_WORD_ERASE)) {
		erase_word();
	} else if (is_key(byte, KEY_KILL)) {
		while (terminal.line_length > 0)
			erase_one();
	} else if (is_key(byte, KEY_END_OF_FILE)) {
		finish_line(END_OF_FILE);
	} else if (byte == '\n' || is_key(byte, KEY_END_OF_LINE) || is_key(byte, KEY_END_OF_LINE_2)) {
		echo(byte);
		finish_line(byte);
	} else if (terminal.line_length < LINE_BYTES) {
		echo(byte);
		terminal.line[terminal.line_length++] = byte;
	}
}

/* => a signal to send to the foreground group after the lock. */
static uint32_t take_byte(uint8_t byte)
{
	uint32_t signal = signal_of_key(byte);

	if (signal != 0) {
		echo(byte);
		if (!is_local(LOCAL_NO_FLUSH))
			flush_input();
		return signal;
	}
	if (byte == '\r') {
		if ((terminal.settings.input & INPUT_STRIP_RETURN) != 0)
			return 0;
		if ((terminal.settings.input & INPUT_RETURN_TO_NEWLINE) != 0)
			byte = '\n';
	} else if (byte == '\n' && (terminal.settings.input & INPUT_NEWLINE_TO_RETURN) != 0) {
		byte = '\r';
	}
	if (is_local(LOCAL_CANONICAL)) {
		edit_line(byte);
	} else {
		echo(byte);
		enqueue(byte, false);
	}
	return 0;
}

static void signal_foreground(uint32_t number)
{
	struct signal_info info = { .code = SIGNAL_CODE_KERNEL };
	uint32_t group = __atomic_load_n(&terminal.foreground, __ATOMIC_ACQUIRE);

	if (group != 0)
		(void)signal_send_group(group, number, &info);
}

static void take_bytes(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t signal;

		mutex_lock(&terminal.lock);
		signal = take_byte(bytes[i]);
		mutex_unlock(&terminal.lock);
		if (signal != 0)
			signal_foreground(signal);
	}
}

static void set_window(const struct window_size *window)
{
	bool changed;

	mutex_lock(&terminal.lock);
	changed = memcmp(&terminal.window, window, sizeof *window) != 0;
	terminal.window = *window;
	mutex_unlock(&terminal.lock);
	if (changed)
		signal_foreground(SIGNAL_WINDOW);
}

static void receive(char type, const uint8_t *bytes, size_t count)
{
	static const uint8_t end[1] = { 4 };
	struct window_size window = { 0 };

	if (type == 'I') {
		take_bytes(bytes, count);
		link_credit((uint32_t)count);
	} else if (type == 'E') {
		take_bytes(end, 1);
	} else if (type == 'W' && count >= 4) {
		memcpy(&window.rows, bytes, 2);
		memcpy(&window.columns, bytes + 2, 2);
		set_window(&window);
	}
	wake_all(&terminal.queue_changed);
	file_event();
}

/* --- reading and writing --- */

/* A background process may not read: its group is stopped. */
static lh_error check_foreground(void)
{
	struct process *process = process_current();
	uint32_t foreground = __atomic_load_n(&terminal.foreground, __ATOMIC_ACQUIRE);
	struct signal_info info = { .code = SIGNAL_CODE_KERNEL };

	if (process->session != __atomic_load_n(&terminal.session, __ATOMIC_ACQUIRE) ||
	    process->group == foreground)
		return LH_OK;
	if (signal_is_unwanted(SIGNAL_TERMINAL_INPUT))
		return LH_IO;
	(void)signal_send_group(process->group, SIGNAL_TERMINAL_INPUT, &info);
	return LH_INTERRUPTED;
}

/* One line, or part of it, or what is there; under the lock. */
static lh_error drain(struct transfer *transfer)
{
	while (transfer->left > 0 && queued() > 0) {
		uint16_t item = terminal.queue[terminal.taken % QUEUE_ITEMS];
		uint8_t byte = (uint8_t)item;
		bool ends = is_local(LOCAL_CANONICAL) &&
			    (item == END_OF_FILE || item == '\n' || is_key(byte, KEY_END_OF_LINE) ||
			     is_key(byte, KEY_END_OF_LINE_2));

		if (item != END_OF_FILE)
			LH_TRY(transfer_give(transfer, &byte, 1));
		__atomic_store_n(&terminal.taken, terminal.taken + 1, __ATOMIC_RELEASE);
		if ((ends || item == END_OF_FILE) && terminal.lines > 0)
			__atomic_store_n(&terminal.lines, terminal.lines - 1, __ATOMIC_RELEASE);
		if (ends)
			break;
	}
	return LH_OK;
}

/* Whether a read need not wait. */
static bool is_ready(void)
{
	if (is_local(LOCAL_CANONICAL))
		return __atomic_load_n(&terminal.lines, __ATOMIC_ACQUIRE) > 0;
	return queued() > 0;
}

static lh_error wait_ready(bool canonical)
{
	uint64_t deadline = WAIT_FOREVER;
	uint8_t tenths = terminal.settings.keys[KEY_TIME];
	lh_error error;

	if (!canonical && terminal.settings.keys[KEY_MINIMUM] == 0)
		deadline = clock_nanoseconds() + tenths * UINT64_C(100000000);
	error = WAIT_UNTIL_OR(&terminal.queue_changed, is_ready(), deadline);
	return error;
}

/* => LH_AGAIN: another reader was quicker. */
static lh_error drain_if_ready(struct transfer *transfer)
{
	lh_error error = LH_AGAIN;

	mutex_lock(&terminal.lock);
	if (is_ready())
		error = drain(transfer);
	mutex_unlock(&terminal.lock);
	return error;
}

static lh_error terminal_read(struct file *file, struct transfer *transfer, uint64_t *position)
{
	lh_error error = LH_AGAIN;

	(void)position;
	if (transfer->left == 0)
		return LH_OK;
	while (error == LH_AGAIN) {
		LH_TRY(check_foreground());
		if (!is_ready() && (file_flags(file) & OPEN_NON_BLOCKING) != 0)
			return LH_AGAIN;
		error = wait_ready(is_local(LOCAL_CANONICAL));
		if (error == LH_TIMED_OUT)
			return LH_OK;
		LH_TRY(error);
		error = drain_if_ready(transfer);
	}
	return error;
}

static lh_error terminal_write(struct file *file, struct transfer *transfer, uint64_t *position)
{
	uint8_t buffer[256];

	(void)file;
	(void)position;
	while (transfer->left > 0) {
		size_t step = transfer->left < sizeof buffer ? (size_t)transfer->left : sizeof buffer;

		LH_TRY(transfer_take(transfer, buffer, step));
		put(buffer, step);
	}
	return LH_OK;
}

static uint32_t terminal_poll(struct file *file)
{
	(void)file;
	return POLL_OUT | (is_ready() ? POLL_IN : 0);
}

/* --- control --- */

#define GET_SETTINGS 0x5401
#define SET_SETTINGS 0x5402
#define SET_SETTINGS_WAIT 0x5403
#define SET_SETTINGS_FLUSH 0x5404
#define FLUSH_QUEUES 0x540b
#define SEND_BREAK 0x5409
#define FLOW_CONTROL 0x540a
#define TAKE_TERMINAL 0x540e
#define GET_FOREGROUND 0x540f
#define SET_FOREGROUND 0x5410
#define GET_WINDOW 0x5413
#define SET_WINDOW 0x5414
#define BYTES_READABLE 0x541b
#define GIVE_UP_TERMINAL 0x5422
#define GET_SESSION 0x5429

static lh_error give(uint64_t argument, const void *from, size_t bytes)
{
	struct transfer transfer = transfer_user(argument, bytes);

	return transfer_give(&transfer, from, bytes);
}

static lh_error take(uint64_t argument, void *to, size_t bytes)
{
	struct transfer transfer = transfer_user(argument, bytes);

	return transfer_take(&transfer, to, bytes);
}

static lh_error set_settings(uint64_t argument, bool flush)
{
	struct terminal_settings settings;

	LH_TRY(take(argument, &settings, sizeof settings));
	mutex_lock(&terminal.lock);
	if (flush)
		flush_input();
	terminal.settings = settings;
	mutex_unlock(&terminal.lock);
	return LH_OK;
}

static lh_error take_terminal(void)
{
	const struct process *process = process_current();
	uint32_t nobody = 0;

	if (__atomic_load_n(&terminal.session, __ATOMIC_ACQUIRE) == process->session)
		return LH_OK;
	if (process->session != process->pid)
		return LH_NOT_PERMITTED;
	if (!__atomic_compare_exchange_n(&terminal.session, &nobody, process->session, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return LH_NOT_PERMITTED;
	__atomic_store_n(&terminal.foreground, process->group, __ATOMIC_RELEASE);
	return LH_OK;
}

static bool is_own_terminal(void)
{
	return process_current()->session == __atomic_load_n(&terminal.session, __ATOMIC_ACQUIRE);
}

/* True if the group has a process, all in the session. */
static bool group_is_in_session(uint32_t group, uint32_t session)
{
	uintptr_t interrupts = process_lock();
	bool found = false;

	LIST_FOR_EACH(node, process_list_locked()) {
		const struct process *process = container_of(node, struct process, all);

		found = found || (process->group == group && process->session == session);
	}
	process_unlock(interrupts);
	return found;
}

static lh_error set_foreground(uint64_t argument)
{
	const struct process *process = process_current();
	struct signal_info info = { .code = SIGNAL_CODE_KERNEL };
	uint32_t group;

	LH_TRY(take(argument, &group, sizeof group));
	if (!is_own_terminal())
		return LH_NOT_TERMINAL;
	if (!group_is_in_session(group, process->session))
		return LH_NOT_PERMITTED;
	if (process->group != terminal_foreground() && !signal_is_unwanted(SIGNAL_TERMINAL_OUTPUT)) {
		(void)signal_send_group(process->group, SIGNAL_TERMINAL_OUTPUT, &info);
		return LH_INTERRUPTED;
	}
	__atomic_store_n(&terminal.foreground, group, __ATOMIC_RELEASE);
	return LH_OK;
}

static lh_error get_number(uint64_t argument, uint32_t number)
{
	if (!is_own_terminal())
		return LH_NOT_TERMINAL;
	return give(argument, &number, sizeof number);
}

static lh_error give_up(void)
{
	const struct process *process = process_current();

	if (!is_own_terminal())
		return LH_NOT_TERMINAL;
	if (process->session == process->pid)
		terminal_session_ends(process->session);
	return LH_OK;
}

static lh_error terminal_control(struct file *file, uint64_t request, uint64_t argument)
{
	struct window_size window;
	uint32_t bytes;

	(void)file;
	switch (request) {
	case GET_SETTINGS:
		return give(argument, &terminal.settings, sizeof terminal.settings);
	case SET_SETTINGS:
	case SET_SETTINGS_WAIT:
	case SET_SETTINGS_FLUSH:
		return set_settings(argument, request == SET_SETTINGS_FLUSH);
	case FLUSH_QUEUES:
		mutex_lock(&terminal.lock);
		if (argument != 1)
			flush_input();
		mutex_unlock(&terminal.lock);
		return LH_OK;
	case SEND_BREAK:
	case FLOW_CONTROL:
		return LH_OK;
	case TAKE_TERMINAL:
		return take_terminal();
	case GIVE_UP_TERMINAL:
		return give_up();
	case GET_FOREGROUND:
		return get_number(argument, terminal_foreground());
	case GET_SESSION:
		return get_number(argument, __atomic_load_n(&terminal.session, __ATOMIC_ACQUIRE));
	case SET_FOREGROUND:
		return set_foreground(argument);
	case GET_WINDOW:
		return give(argument, &terminal.window, sizeof terminal.window);
	case SET_WINDOW:
		LH_TRY(take(argument, &window, sizeof window));
		set_window(&window);
		return LH_OK;
	case BYTES_READABLE:
		bytes = queued();
		return give(argument, &bytes, sizeof bytes);
	default:
		return LH_NOT_TERMINAL;
	}
}

static const struct file_operations terminal_operations = {
	.read = terminal_read,
	.write = terminal_write,
	.poll = terminal_poll,
	.control = terminal_control,
};

/* --- life --- */

void terminal_start(uint16_t rows, uint16_t columns, uint32_t session)
{
	mutex_init(&terminal.lock);
	wait_queue_init(&terminal.queue_changed);
	terminal.settings = initial_settings;
	terminal.window = (struct window_size){ .rows = rows, .columns = columns };
	terminal.session = session;
	terminal.foreground = session;
	terminal.is_present = true;
	link_set_receiver(receive);
	link_credit(QUEUE_ITEMS);
}

bool terminal_is_present(void)
{
	return terminal.is_present;
}

uint32_t terminal_foreground(void)
{
	return __atomic_load_n(&terminal.foreground, __ATOMIC_ACQUIRE);
}

lh_error terminal_open(struct file *file)
{
	file->operations = &terminal_operations;
	return LH_OK;
}

void terminal_session_ends(uint32_t session)
{
	uint32_t expected = session;

	if (!__atomic_compare_exchange_n(&terminal.session, &expected, 0, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return;
	signal_foreground(SIGNAL_HANG_UP);
	signal_foreground(SIGNAL_CONTINUE);
	__atomic_store_n(&terminal.foreground, 0, __ATOMIC_RELEASE);
}
