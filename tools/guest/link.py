# SPDX-License-Identifier: BSD-2-Clause
"""
The conversation with the guest, and with whoever called the tool.

Frames: one byte of type, four bytes of length (little-endian), at most 64 KiB of
payload. To the guest: I standard input, E its end, W window size (rows, columns: 16
bits each). From the guest: O standard output, R standard error, T terminal output,
X exit status (32 bits, as of wait(2)), C credit (32 bits).

Flow control: input goes out only against credit, so the guest never has to drop any.
Output that the caller does not take is kept up to OUTPUT_MOST; beyond that nothing more
is read from the link, which holds the guest up. The caller's descriptors are never made
non-blocking (they are shared with other processes): they are used only when poll(2) says
that they are ready, and written in pieces of PIPE_BUF, which then cannot block.
"""

import errno
import os
import select
import stat
import struct
import time

from .errors import STATUS_TIMEOUT, SIGNAL_BASE, Ended, ToolError

FRAME_MOST = 65536
OUTPUT_MOST = 1 << 20
PIECE = select.PIPE_BUF
TICK = 0.05
START_TICK = 0.005
SIGPIPE_STATUS = SIGNAL_BASE + 13
HEADER = struct.Struct("<BI")


def frame(kind, payload=b""):
    return HEADER.pack(ord(kind), len(payload)) + payload


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        """Yields (type, payload) of each frame that DATA completes."""
        self.buffer += data
        at = 0
        while len(self.buffer) - at >= HEADER.size:
            kind, length = HEADER.unpack_from(self.buffer, at)
            if length > FRAME_MOST:
                raise ToolError(f"the guest sent a frame of type {kind:#x} and {length} bytes: "
                                "not the protocol of this tool")
            if len(self.buffer) - at < HEADER.size + length:
                break
            start = at + HEADER.size
            at = start + length
            yield chr(kind), bytes(self.buffer[start:at])
        del self.buffer[:at]


class Output:
    """One of the caller's output descriptors, with what it has not taken yet."""

    def __init__(self, descriptor, name):
        self.descriptor = descriptor
        self.name = name
        self.pending = bytearray()
        self.is_open = True
        # A regular file takes all at once; anything else could block on more than a piece.
        self.piece = 1 << 16 if stat.S_ISREG(os.fstat(descriptor).st_mode) else PIECE

    def write_some(self):
        """Writes one piece. A reader that has gone away is a BrokenPipeError."""
        try:
            written = os.write(self.descriptor, self.pending[:self.piece])
        except BlockingIOError:
            return
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ToolError(f"cannot write to {self.name}: {error.strerror}") from None
        del self.pending[:written]


class Conversation:
    """Runs until the guest has said its exit status; `run` returns it as a wait status."""

    def __init__(self, machine, timeout=None, terminal=None, every_tick=None):
        self.machine = machine
        self.deadline = time.monotonic() + timeout if timeout else None
        self.timeout = timeout
        self.terminal = terminal
        self.every_tick = every_tick
        self.frames = FrameReader()
        self.to_guest = bytearray()
        self.credit = 0
        self.input_open = True
        self.link_open = True
        self.status = None
        self.stdout = Output(1, "standard output")
        self.stderr = Output(2, "standard error")

    # What is ready, and what is done with it.

    def run(self):
        """=> the wait status, None if QEMU ended without one. Raises Ended on a timeout
        or when nobody reads standard output, ToolError if the caller's files fail."""
        while self.link_open or self.stdout.pending or self.stderr.pending:
            if self.terminal and self.terminal.size_changed():
                self.to_guest += frame("W", self.terminal.size_payload())
            for descriptor, events in self.wait():
                self.dispatch(descriptor, events)
        return self.status

    def wait(self):
        tick = TICK if self.machine.keep_lossless() else START_TICK
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise Ended(STATUS_TIMEOUT, f"timed out after {self.timeout:g} seconds")
            tick = min(tick, left)
        if self.every_tick:
            self.every_tick()
        if self.link_open and self.machine.other_end and self.machine.has_ended():
            self.link_open = False
        return self.poll_set().poll(tick * 1000)

    def poll_set(self):
        poll = select.poll()
        crowded = len(self.stdout.pending) + len(self.stderr.pending) > OUTPUT_MOST
        if self.link_open:
            events = 0 if crowded else select.POLLIN
            poll.register(self.machine.link, events | (select.POLLOUT if self.to_guest else 0))
        if self.input_open and self.credit and len(self.to_guest) < FRAME_MOST:
            poll.register(0, select.POLLIN)
        for output in (self.stdout, self.stderr):
            if output.pending:
                poll.register(output.descriptor, select.POLLOUT)
        return poll

    def dispatch(self, descriptor, events):
        if descriptor == self.machine.link.fileno():
            if events & select.POLLOUT:
                self.send()
            if events & ~select.POLLOUT:
                self.receive()
        elif descriptor == 0:
            self.read_input()
        elif descriptor == 1:
            self.write_output()
        elif descriptor == 2:
            self.write_errors()

    # The caller's side.

    def read_input(self):
        try:
            data = os.read(0, min(self.credit, FRAME_MOST))
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.EIO:   # hung up
                data = b""
            else:
                raise ToolError(f"cannot read standard input: {error.strerror}") from None
        if not data:
            self.input_open = False
            self.to_guest += frame("E")
            return
        if self.terminal and self.terminal.ends_at(data):
            raise Ended(SIGNAL_BASE + 15, "ended by Ctrl-]")
        self.credit -= len(data)
        self.to_guest += frame("I", data)

    def write_output(self):
        try:
            self.stdout.write_some()
        except BrokenPipeError:
            raise Ended(SIGPIPE_STATUS) from None

    def write_errors(self):
        try:
            self.stderr.write_some()
        except BrokenPipeError:
            self.stderr.is_open = False
            self.stderr.pending.clear()

    # The guest's side.

    def send(self):
        try:
            del self.to_guest[:self.machine.link.send(self.to_guest)]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.to_guest.clear()
            self.input_open = False

    def receive(self):
        try:
            data = self.machine.link.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.link_open = False
        for kind, payload in self.frames.feed(data):
            self.take(kind, payload)

    def take(self, kind, payload):
        if self.status is not None:
            raise ToolError(f"the guest sent '{kind}' after its exit status")
        if kind in "OT":
            self.append(self.stdout, payload)
        elif kind == "R":
            self.append(self.stderr, payload)
        elif kind == "C" and len(payload) == 4:
            self.credit += int.from_bytes(payload, "little")
        elif kind == "X" and len(payload) == 4:
            self.status = int.from_bytes(payload, "little")
            self.input_open = False
        else:
            raise ToolError(f"the guest sent a frame of type {ord(kind):#x} and {len(payload)} "
                            "bytes: not the protocol of this tool")

    def append(self, output, payload):
        if output.is_open:
            output.pending += payload
