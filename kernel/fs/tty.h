/* SPDX-License-Identifier: BSD-2-Clause */
/* The one terminal: its line discipline, window size, session and foreground group. */
#ifndef KERNEL_FS_TTY_H
#define KERNEL_FS_TTY_H

#include "fs/file.h"

/* Takes over the link as a terminal of this size, for the session. */
void terminal_start(uint16_t rows, uint16_t columns, uint32_t session);
bool terminal_is_present(void);
LH_MUST_USE lh_error terminal_open(struct file *file);
/* The session's leader ends: the terminal is nobody's, the foreground group hangs up. */
void terminal_session_ends(uint32_t session);
uint32_t terminal_foreground(void);

#endif
