# SPDX-License-Identifier: BSD-2-Clause
"""
The guest's root file system: a tree of files, written as a newc cpio archive.

The tree is a dictionary from absolute guest path to Node. A path is looked up as the
guest would: symbolic links on the way are followed inside the tree. Everything belongs
to root (0:0), for the guest has no other user; modes and times are the host's. Hard
links become separate files.
"""

import os
import stat

from .errors import ToolError

LINKS_MOST = 40
FILE_LARGEST = 0xffffffff


class Node:
    def __init__(self, mode, content=b"", source=None, size=None, device=0, time=0):
        self.mode = mode
        self.content = content          # of a file or link, unless
        self.source = source            # it is read from this host file
        self.size = len(content) if size is None else size
        self.device = device
        self.time = time

    def read(self):
        if self.source is None:
            return self.content
        try:
            with open(self.source, "rb") as file:
                content = file.read()
        except OSError as error:
            raise ToolError(f"cannot read '{self.source}': {error.strerror}") from None
        if len(content) != self.size:
            raise ToolError(f"'{self.source}' changed while it was read")
        return content


class Tree:
    def __init__(self):
        self.nodes = {"/": Node(stat.S_IFDIR | 0o755)}

    def resolve(self, path, last=True):
        """PATH without symbolic links; the last part is followed only if LAST."""
        done, rest, links = "/", [p for p in path.split("/") if p], 0
        while rest:
            part = rest.pop(0)
            if part == ".":
                continue
            if part == "..":
                done = os.path.dirname(done)
                continue
            here = os.path.join(done, part)
            node = self.nodes.get(here)
            if node is None or not stat.S_ISLNK(node.mode) or not (rest or last):
                done = here
                continue
            links += 1
            if links > LINKS_MOST:
                raise ToolError(f"too many symbolic links on the way to '{path}' in the guest")
            target = os.fsdecode(node.content)
            rest = [p for p in target.split("/") if p] + rest
            done = "/" if target.startswith("/") else done
        return done

    def find(self, path):
        return self.nodes.get(self.resolve(path))

    def add(self, path, node):
        """Puts a node at PATH, making the directories above it."""
        path = self.resolve(path, last=False)
        self.make_directory(os.path.dirname(path))
        self.nodes[path] = node

    def make_directory(self, path, mode=0o755):
        path = self.resolve(path)
        if path != "/" and path not in self.nodes:
            self.make_directory(os.path.dirname(path))
            self.nodes[path] = Node(stat.S_IFDIR | mode)
        if not stat.S_ISDIR(self.nodes[path].mode):
            raise ToolError(f"'{path}' in the guest's root is not a directory")

    def add_file(self, path, content, mode=0o644):
        self.add(path, Node(stat.S_IFREG | mode, content))

    def add_link(self, path, target):
        self.add(path, Node(stat.S_IFLNK | 0o777, os.fsencode(target)))

    def add_host_file(self, path, source):
        self.add(path, node_of(source, os.stat(source)))

    def add_host_tree(self, directory, at="/"):
        """The files under a host directory, at the root of the guest or in another place."""
        def failed(error):
            raise ToolError(f"cannot read '{error.filename}': {error.strerror}")

        self.make_directory(at)
        at = self.resolve(at)
        for here, directories, files in os.walk(directory, onerror=failed):
            directories.sort()
            for name in directories + sorted(files):
                source = os.path.join(here, name)
                node = node_of(source, os.lstat(source))
                if node:
                    self.nodes[os.path.join(at, os.path.relpath(source, directory))] = node

    def size(self):
        return sum(node.size for node in self.nodes.values())


def node_of(source, status):
    """The node of a host file; None for what a file system image cannot hold."""
    kind = stat.S_IFMT(status.st_mode)
    node = Node(status.st_mode, time=int(status.st_mtime) & 0xffffffff)
    if kind == stat.S_IFREG:
        if status.st_size > FILE_LARGEST:
            raise ToolError(f"'{source}' is larger than 4 GiB: too large for the root")
        node.source, node.size = source, status.st_size
    elif kind == stat.S_IFLNK:
        node.content = os.fsencode(os.readlink(source))
        node.size = len(node.content)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        node.device = status.st_rdev
    elif kind == stat.S_IFSOCK:
        return None
    return node


def pad(length):
    return b"\0" * (-length % 4)


def write_entry(out, number, name, node):
    content = node.read()
    encoded = os.fsencode(name) + b"\0"
    fields = (number, node.mode, 0, 0, 1, node.time, len(content), 0, 0,
              os.major(node.device), os.minor(node.device), len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % value for value in fields)
    out.write(header + encoded + pad(len(header) + len(encoded)))
    out.write(content)
    out.write(pad(len(content)))


def write_archive(tree, out):
    """Writes TREE, parents before children, to the binary file OUT."""
    for number, path in enumerate(sorted(tree.nodes), 1):
        write_entry(out, number, path.lstrip("/") or ".", tree.nodes[path])
    write_entry(out, 0, "TRAILER!!!", Node(0))
