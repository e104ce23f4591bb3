# SPDX-License-Identifier: BSD-2-Clause
"""
What the host's files in a tree need beside themselves: their loader, and the libraries that it finds.

The loader itself is asked, by --list: it maps a program as it would to run it, and runs nothing of it. So
each library lies in the guest where it does on the host. What a program loads later by itself
(dlopen) nobody can tell beforehand: that has to be added.
"""

import os
import re
import subprocess

from . import elf
from .errors import ToolError

LOADER = "/lib64/ld-linux-x86-64.so.2"      # of libraries, which do not say
FOUND = re.compile(r"^\t(?:.* => )?(/.*) \(0x[0-9a-f]+\)$", re.MULTILINE)


def ask(loader, source):
    return subprocess.run([loader, "--list", source], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="surrogateescape", env={}, check=False)


def wanted_by_program(path, source, loader):
    if not os.path.isfile(loader):
        raise ToolError(f"'{path}' wants the loader '{loader}', which this machine does not have")
    said = ask(loader, source)
    if said.returncode != 0:
        raise ToolError(f"'{path}' does not find what it is linked with: {said.stderr.strip()}")
    return [loader, *FOUND.findall(said.stdout)]


def wanted_by(path, node):
    """What a host's file needs. Who loads a library may do without: there, only what there is."""
    with open(node.source, "rb") as file:
        if not elf.is_elf(file.read(4)):
            return []
    content = node.read()
    try:
        elf.check_program(path, content)
    except ToolError:
        return []           # it is there as data
    loader = elf.loader(path, content)
    if loader:
        return wanted_by_program(path, node.source, loader)
    if elf.wants_libraries(path, content) and os.path.isfile(LOADER):
        return FOUND.findall(ask(LOADER, node.source).stdout)
    return []


def add_all(tree):
    """Puts into TREE what the host's files in it need."""
    for path, node in list(tree.nodes.items()):
        if node.source is None:
            continue
        for library in wanted_by(path, node):
            if not tree.find(library):
                tree.add_host_file(library, os.path.realpath(library))
