# SPDX-License-Identifier: BSD-2-Clause
"""The interactive terminal: a shell in the guest, driven through a pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

from checks import Failure, check, equal
from guests import BUSYBOX, TOOL, machine_options

SECONDS = 60


class Session:
    """The tool with --tty; text is sent when what it waits for has been seen."""

    def __init__(self, *command):
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
            os.environ["TERM"] = "vt100"
            os.execv(TOOL, [TOOL, "--timeout", "120", "--tty", *machine_options(), "--env", "PS1=ready> ", "--", *command])
        self.text = ""

    def read(self, seconds):
        if not select.select([self.descriptor], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:
            return None
        self.text += data.decode(errors="replace")
        return bool(data) or None

    def wait_for(self, pattern):
        """What came up to and with the pattern, which is taken away."""
        end = time.monotonic() + SECONDS
        while not (match := re.search(pattern, self.text)):
            if time.monotonic() > end or self.read(1) is None:
                raise Failure(f"no {pattern!r} in {self.text[-1000:]!r}")
        seen, self.text = self.text[:match.end()], self.text[match.end():]
        return seen

    def send(self, text):
        os.write(self.descriptor, text.encode())

    def end(self):
        """The tool's exit status."""
        while self.read(SECONDS):
            pass
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


@check
def a_shell_on_the_terminal_edits_and_runs_and_ends():
    session = Session(BUSYBOX, "sh")
    session.wait_for("ready> ")
    session.send("echo $((6*7))x\r")
    session.wait_for("42x\r\n")
    session.send("echo wrong\x7f\x7f\x7f\x7f\x7fright\r")
    session.wait_for("\r\nright\r\n")
    session.send("exit 7\r")
    equal(session.end(), 7)


@check
def interrupts_from_the_keyboard_reach_the_program():
    session = Session(BUSYBOX, "sh")
    session.wait_for("ready> ")
    session.send("sleep 1000\r")
    time.sleep(1)
    session.send("\x03")
    session.wait_for("ready> ")
    session.send("cat\r")
    session.wait_for("cat\r\n")
    time.sleep(1)               # until the shell has given the terminal to cat
    session.send("a line\r")
    session.wait_for("a line\r\na line\r\n")
    session.send("\x04")
    session.wait_for("ready> ")
    session.send("echo end; exit\r")
    session.wait_for("end")
    equal(session.end(), 0)


@check
def the_terminal_has_the_callers_size():
    session = Session(BUSYBOX, "sh")
    session.wait_for("ready> ")
    session.send("stty size\r")
    session.wait_for("31 97")
    fcntl.ioctl(session.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    time.sleep(1)
    session.send("stty size\r")
    session.wait_for("40 120")
    session.send("exit\r")
    equal(session.end(), 0)
