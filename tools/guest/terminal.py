# SPDX-License-Identifier: BSD-2-Clause
"""The caller's terminal in raw mode: the guest's terminal does echo, lines and signals."""

import os
import signal
import struct
import termios
import tty

from .errors import ToolError

END_KEY = b"\x1d"                   # Ctrl-]


class Terminal:
    """A context manager: whatever happens, the terminal is as before at the end."""

    def __init__(self):
        if not os.isatty(0) or not os.isatty(1):
            raise ToolError("--tty needs a terminal as standard input and output")
        self.saved = None
        self.changed = False

    def __enter__(self):
        self.saved = termios.tcgetattr(0)
        signal.signal(signal.SIGWINCH, self.note_change)
        tty.setraw(0)
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        termios.tcsetattr(0, termios.TCSADRAIN, self.saved)

    def note_change(self, *_):
        self.changed = True

    def size_changed(self):
        """True once after each change."""
        changed, self.changed = self.changed, False
        return changed

    @staticmethod
    def size():
        """(rows, columns); 24 by 80 where the terminal does not say."""
        columns, rows = os.get_terminal_size(1)
        return rows or 24, columns or 80

    def size_payload(self):
        return struct.pack("<HH", *self.size())

    @staticmethod
    def ends_at(data):
        return END_KEY in data
