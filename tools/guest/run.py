# SPDX-License-Identifier: BSD-2-Clause
"""One run: root file system, machine, conversation, exit status."""

import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile

from . import cpio, machine, options as command_line, root
from .errors import SIGNAL_BASE, STATUS_PANIC, STATUS_TOOL, Ended, ToolError
from .link import Conversation
from .terminal import Terminal

POWER_OFF_SECONDS = 20
LOG_TAIL = 12
HEAP_LEAK = re.compile(r"heap: .*(were never freed|are left at the end)$")
HEAP_LEFT = re.compile(r"heap: (\d+) blocks are left at the end")
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked the tool to stop."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def say(text):
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text if text.endswith("\n") else text + "\n")
        sys.stderr.flush()


class KernelLog:
    """Copies the kernel's log, as it grows, to the file that the caller named."""

    def __init__(self, path):
        self.source = None
        try:
            self.target = open(path, "wb", buffering=0)
        except OSError as error:
            raise ToolError(f"--kernel-log: cannot write '{path}': {error.strerror}") from None

    def copy(self, source_path):
        if self.source is None:
            if not os.path.exists(source_path):
                return
            self.source = open(source_path, "rb", buffering=0)
        while data := self.source.read(1 << 16):
            self.target.write(data)


def build_archive(options, mode, directory):
    """Checks all that can be checked before the machine starts; the archive's path."""
    machine.check_kernel(options.kernel)
    if not options.write_image:
        machine.find_qemu()
    tree = root.build(options, mode)
    machine.check_room(options.memory, tree.size())
    archive = os.path.join(directory, "root.cpio")
    with open(archive, "wb") as out:
        cpio.write_archive(tree, out)
    return archive


def boot_arguments(options, archive, directory):
    if not options.image:
        return ["-kernel", options.kernel, "-initrd", archive.replace(",", ",,")]
    image = os.path.join(directory, "landhold.iso")
    machine.make_image(options.kernel, archive, directory, image)
    return ["-cdrom", image]


def write_image(options, directory):
    archive = build_archive(options, "tty 24x80", directory)
    made = os.path.join(directory, "landhold.iso")
    machine.make_image(options.kernel, archive, directory, made)
    try:
        shutil.copyfile(made, options.write_image)
    except OSError as error:
        raise ToolError(f"--write-image: cannot write '{options.write_image}': "
                        f"{error.strerror}") from None
    return 0


def check_heap(log):
    """What is left when all has been taken down is lost memory, whatever the program did."""
    lines = [line for line in log.splitlines() if HEAP_LEAK.search(line)]
    match = HEAP_LEFT.search(log)
    if match is None:
        raise ToolError("the kernel does not say what is left in its heap")
    if int(match[1]) != 0:
        raise ToolError("the kernel has lost memory:\n" + "\n".join(lines))


def exit_status(vm, status, expect_empty_heap):
    """The tool's exit status, once the guest has said all that it will say."""
    qemu = vm.wait(POWER_OFF_SECONDS)
    if qemu == machine.QEMU_PANIC_STATUS or (status is None and vm.panic_text()):
        raise Ended(STATUS_PANIC, vm.panic_text() or "kernel panic without a text\n")
    if qemu is None:
        raise ToolError("the program has ended, but the kernel does not turn the machine off")
    if qemu != 0:
        raise ToolError(f"QEMU failed ({qemu}): {vm.errors().strip() or 'no message'}")
    if status is None:
        tail = "\n".join(vm.log().splitlines()[-LOG_TAIL:])
        raise ToolError("the machine stopped before the program had ended; "
                        f"end of the kernel's log:\n{tail or '(empty)'}")
    if expect_empty_heap:
        check_heap(vm.log())
    signal_number = status & 0x7f
    return SIGNAL_BASE + signal_number if signal_number else (status >> 8) & 0xff


def run_machine(options, terminal, log, directory):
    mode = "panic" if options.panic else "stream"
    if terminal:
        mode = "tty {}x{}".format(*terminal.size())
    archive = build_archive(options, mode, directory)
    boot = boot_arguments(options, archive, directory)
    with contextlib.ExitStack() as undo:
        vm = machine.Machine(options, boot, directory)
        undo.callback(vm.kill)
        copy_log = (lambda: log.copy(vm.log_path)) if log else None
        if copy_log:
            undo.callback(copy_log)
        if terminal:
            undo.enter_context(terminal)
        status = Conversation(vm, options.timeout, terminal, copy_log).run()
        return exit_status(vm, status, options.expect_empty_heap)


def stop(number, _):
    for other in STOPPING:
        signal.signal(other, signal.SIG_IGN)    # the tidying up is not to be stopped
    raise Stopped(number)


def run(arguments):
    options = command_line.parse(arguments)
    if options.help:
        sys.stdout.write(command_line.USAGE)
        return 0
    terminal = Terminal() if options.tty else None
    log = KernelLog(options.kernel_log) if options.kernel_log else None
    for number in STOPPING:
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="landhold-") as directory:
        if options.write_image:
            return write_image(options, directory)
        return run_machine(options, terminal, log, directory)


def die_of(number):
    """Ends this process by the signal, so that its caller sees what happened."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def open_closed_descriptors():
    """A file of ours must not land on the number of a standard one that the caller closed.
    Reading then gives the end of input; writing to standard output an error."""
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)


def main(arguments):
    """=> the exit status; every failure has been told on standard error."""
    open_closed_descriptors()
    try:
        return run(arguments)
    except Ended as end:
        if end.message:
            say(end.message if end.status == STATUS_PANIC else f"run-guest: {end.message}")
        return end.status
    except ToolError as error:
        say(f"run-guest: {error}")
    except OSError as error:
        say(f"run-guest: {error}")
    except Stopped as stopped:
        die_of(stopped.number)
    return STATUS_TOOL
