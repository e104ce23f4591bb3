# SPDX-License-Identifier: BSD-2-Clause
"""
What the guest finds in its root file system, and what it is told to start.

/.landhold/program is the path of the first program. /.landhold/start holds strings,
each ended by a NUL: the mode ("stream", "tty ROWSxCOLUMNS" or "panic"), the number of
arguments, the arguments, the number of environment strings, those strings.
"""

import os
import subprocess

from . import elf, libraries
from .cpio import Tree
from .errors import ToolError

BUSYBOX = "/bin/busybox"
INSTALL_BUSYBOX = "apt-get install busybox-static"
PASSWD = b"root:x:0:0:root:/:/bin/sh\n"
GROUP = b"root:x:0:\n"


def default_root():
    """Debian's busybox-static, unmodified, with a link for each of its applets."""
    tree = Tree()
    if not os.path.exists(BUSYBOX):
        raise ToolError(f"there is no {BUSYBOX} for the default root: {INSTALL_BUSYBOX}")
    try:
        listing = subprocess.run([BUSYBOX, "--list-full"], stdin=subprocess.DEVNULL,
                                 capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolError(f"{BUSYBOX} does not run: {error}") from None
    tree.add_host_file(BUSYBOX, BUSYBOX)
    elf.check_program(BUSYBOX, tree.nodes[BUSYBOX].read())
    for applet in listing.split():
        if "/" + applet not in tree.nodes:
            tree.add_link("/" + applet, BUSYBOX)
    for directory, mode in (("/tmp", 0o1777), ("/dev", 0o755), ("/proc", 0o555), ("/root", 0o700)):
        tree.make_directory(directory, mode)
    tree.add_file("/etc/passwd", PASSWD)
    tree.add_file("/etc/group", GROUP)
    return tree


def host_root(directory):
    tree = Tree()
    tree.add_host_tree(directory)
    for name in ("/tmp", "/dev", "/proc"):
        tree.make_directory(name)
    return tree


def guest_path(program, root):
    """Where PROGRAM lies in the guest: inside DIR as there, elsewhere as on the host."""
    path = os.path.abspath(program)
    if root:
        inside = os.path.relpath(os.path.join(os.path.realpath(os.path.dirname(path)),
                                              os.path.basename(path)), os.path.realpath(root))
        if inside != ".." and not inside.startswith("../"):
            return "/" + inside
    return path


def put_program(tree, program, root):
    """Puts the host file PROGRAM into TREE; returns its guest path."""
    path = guest_path(program, root)
    if os.path.isdir(program):
        raise ToolError(f"'{program}' is a directory, not a program")
    if os.path.isfile(program):
        tree.add_host_file(path, os.path.realpath(program))
    elif os.path.exists(program):
        raise ToolError(f"'{program}' is not a file")
    elif not os.path.isabs(program) or not tree.find(path):
        hint = "" if "/" in program else \
            f" (PROGRAM is a file, not looked up in PATH; applets: /bin/busybox {program})"
        raise ToolError(f"there is no program '{program}'{hint}")
    return path


def put_other(tree, name, root):
    """Puts a host's file, or all that is under a directory, into TREE."""
    if os.path.isdir(name):
        tree.add_host_tree(name, guest_path(name, root))
    else:
        tree.add_host_file(guest_path(name, root), os.path.realpath(name))


def check_loader(tree, program):
    """What begins PROGRAM has to be in the root, too: who gave the root is told if it is not."""
    loader = elf.loader(program, tree.find(program).read())
    if loader and not tree.find(loader):
        raise ToolError(f"'{program}' wants the loader '{loader}', which is not in the guest's root")


def command_line(tree, path, arguments, depth=4):
    """(file to run, argv): a script is run by its interpreter, as execve(2) has it."""
    node = tree.find(path)
    content = node.read() if node else None
    if content is None:
        raise ToolError(f"there is no '{path}' in the guest's root")
    if not node.mode & 0o111:
        raise ToolError(f"'{path}' is not executable")
    interpreter = elf.script_interpreter(content)
    if not interpreter:
        elf.check_program(path, content)
        return path, arguments
    if depth == 0 or not tree.find(interpreter[0]):
        raise ToolError(f"'{path}' is a script for '{interpreter[0]}', "
                        "which is not in the guest's root")
    return command_line(tree, interpreter[0], interpreter + [path] + arguments[1:], depth - 1)


def environment(extra, terminal):
    strings = {"PATH": "/sbin:/usr/sbin:/bin:/usr/bin", "HOME": "/", "TERM": terminal,
               "USER": "root", "PWD": "/"}
    for text in extra:
        name, _, value = text.partition("=")
        strings[name] = value
    return [f"{name}={value}" for name, value in strings.items()]


def start_file(mode, arguments, strings):
    words = [mode, str(len(arguments)), *arguments, str(len(strings)), *strings]
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def build(options, mode):
    """The tree of a run."""
    tree = host_root(options.root) if options.root else default_root()
    for name in options.add:
        put_other(tree, name, options.root)
    path = put_program(tree, options.program[0], options.root)
    program, arguments = command_line(tree, path, list(options.program))
    if not options.root:
        libraries.add_all(tree)
    check_loader(tree, program)
    terminal = os.environ.get("TERM", "linux") if options.tty else "dumb"
    tree.make_directory("/.landhold")
    tree.add_file("/.landhold/program", os.fsencode(program) + b"\0")
    tree.add_file("/.landhold/start",
                  start_file(mode, arguments, environment(options.env, terminal)))
    return tree
