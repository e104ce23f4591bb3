# SPDX-License-Identifier: BSD-2-Clause
"""
The virtual machine: QEMU's command line, its process, and how it ended.

The link is one end of a socket pair that QEMU inherits. QEMU makes that end
non-blocking, and then its virtconsole drops what the socket cannot take at once.
The flag belongs to the open file, which is also ours: `keep_lossless` takes it back
before the guest can have sent much, and a full socket then holds the guest up.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess

from .errors import ToolError

QEMU = "qemu-system-x86_64"
QEMU_PANIC_STATUS = 85              # isa-debug-exit with 0x2a: 0x2a * 2 + 1
PANIC_HEAD = "KERNEL PANIC"
PR_SET_PDEATHSIG = 1
GRUB_CONFIG = """\
set timeout=0
multiboot2 /boot/landhold.elf
module2 /boot/root.cpio root.cpio
boot
"""


def find_qemu():
    name = os.environ.get("LANDHOLD_QEMU") or QEMU
    path = shutil.which(name)
    if not path:
        raise ToolError(f"there is no '{name}': apt-get install qemu-system-x86")
    return path


def check_kernel(path):
    if not os.path.isfile(path):
        raise ToolError(f"there is no kernel '{path}': make kernel builds it")
    with open(path, "rb") as file:
        if file.read(4) != b"\x7fELF":
            raise ToolError(f"the kernel '{path}' is not an ELF file")


def check_room(memory, size):
    """The archive stays in memory beside the tree that the guest makes of it."""
    if 2 * size + (24 << 20) > memory:
        raise ToolError(f"a root of {(size >> 20) + 1} MiB does not fit into "
                        f"{memory >> 20} MiB of memory: give more with --memory")


def make_image(kernel, archive, directory, image):
    """A GRUB image (BIOS, multiboot2) with the kernel and its root."""
    if not shutil.which("grub-mkrescue"):
        raise ToolError("there is no grub-mkrescue: "
                        "apt-get install grub-common grub-pc-bin xorriso mtools")
    tree = os.path.join(directory, "image")
    os.makedirs(os.path.join(tree, "boot", "grub"))
    shutil.copyfile(kernel, os.path.join(tree, "boot", "landhold.elf"))
    os.rename(archive, os.path.join(tree, "boot", "root.cpio"))
    with open(os.path.join(tree, "boot", "grub", "grub.cfg"), "w", encoding="ascii") as file:
        file.write(GRUB_CONFIG)
    made = subprocess.run(["grub-mkrescue", "-o", image, tree], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if made.returncode or not os.path.exists(image):
        raise ToolError("grub-mkrescue failed:\n" + made.stdout.decode(errors="replace"))


def qemu_value(text):
    """A value inside a QEMU option, where a comma is written twice."""
    return text.replace(",", ",,")


def node_options(options):
    """Each node has the same memory, and the CPUs in turn."""
    if options.nodes == 1:
        return []
    made = ["-smp", f"{options.cpus},sockets={options.cpus}"]
    for node in range(options.nodes):
        made += ["-object", f"memory-backend-ram,id=node{node},size={options.memory // options.nodes}",
                 "-numa", f"node,nodeid={node},memdev=node{node}"]
    for cpu in range(options.cpus):
        made += ["-numa", f"cpu,node-id={cpu % options.nodes},socket-id={cpu}"]
    return made


def qemu_command(options, boot, log, link):
    command = [
        find_qemu(), "-machine", "q35",
        "-accel", "tcg" if options.cpus == 1 or options.icount else "tcg,thread=multi",
        "-cpu", options.cpu, "-smp", str(options.cpus), "-m", f"{options.memory >> 20}M",
        "-nodefaults", "-display", "none", "-serial", "none", "-monitor", "none", "-no-reboot",
        "-chardev", f"file,id=log,path={qemu_value(log)}",
        "-device", "isa-debugcon,iobase=0xe9,chardev=log",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
        "-chardev", f"socket,id=link,fd={link}",
        "-device", "virtio-serial-pci,disable-modern=on,max_ports=1",
        "-device", "virtconsole,chardev=link",
    ]
    return command + node_options(options) + boot + (["-icount", "shift=0"] if options.icount else [])


def die_with(parent):
    """Run in the child before QEMU: it ends when the tool does, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class Machine:
    """A running QEMU. Owns its process, both ends of the link, and its two log files."""

    def __init__(self, options, boot, directory):
        self.log_path = os.path.join(directory, "kernel.log")
        self.errors_path = os.path.join(directory, "qemu.errors")
        self.link, self.other_end = socket.socketpair()
        self.link.setblocking(False)
        command = qemu_command(options, boot, self.log_path, self.other_end.fileno())
        parent = os.getpid()
        with open(self.errors_path, "wb") as errors:
            try:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                    pass_fds=[self.other_end.fileno()], start_new_session=True,
                    preexec_fn=lambda: die_with(parent))
            except (OSError, subprocess.SubprocessError) as error:
                raise ToolError(f"cannot start {command[0]}: {error}") from None

    def keep_lossless(self):
        """To be called often until it returns True, when QEMU has taken the link."""
        if self.other_end is None:
            return True
        flags = fcntl.fcntl(self.other_end, fcntl.F_GETFL)
        if flags & os.O_NONBLOCK == 0:
            return False
        fcntl.fcntl(self.other_end, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
        self.other_end.close()
        self.other_end = None
        return True

    def has_ended(self):
        return self.process.poll() is not None

    def wait(self, seconds):
        """QEMU's exit status; None if it still runs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.link.close()
        if self.other_end:
            self.other_end.close()

    def log(self):
        return read_text(self.log_path)

    def errors(self):
        return read_text(self.errors_path)

    def panic_text(self):
        """What the kernel said from its first panic line on; '' if it did not panic."""
        log = self.log()
        at = log.find(PANIC_HEAD)
        return log[log.rfind("\n", 0, at) + 1:] if at >= 0 else ""


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
