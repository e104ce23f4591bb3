# SPDX-License-Identifier: BSD-2-Clause
"""Can the kernel run this file, and what does it need beside itself?"""

import struct

from .errors import ToolError

ET_EXEC, ET_DYN = 2, 3
EM_X86_64 = 62
PT_DYNAMIC, PT_INTERP = 2, 3
DT_NULL, DT_NEEDED = 0, 1
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
DYNAMIC = struct.Struct("<qQ")


def is_elf(content):
    return content.startswith(b"\x7fELF")


def check_program(name, content):
    """Raises a ToolError unless CONTENT is an x86-64 Linux program."""
    if not is_elf(content):
        raise ToolError(f"'{name}' is not a program: it is neither an ELF file nor a script")
    if len(content) < HEADER.size or content[4] != 2 or content[5] != 1:
        raise ToolError(f"'{name}' is not a 64-bit little-endian ELF file")
    _, kind, machine, *_ = HEADER.unpack_from(content)
    if machine != EM_X86_64:
        raise ToolError(f"'{name}' is a program for another machine than x86-64")
    if kind not in (ET_EXEC, ET_DYN):
        raise ToolError(f"'{name}' is an ELF file, but not a program")
    list(segments(name, content))


def segments(name, content):
    """(type, offset, bytes in the file) of each segment of an ELF file for x86-64."""
    (*_, segments_at, _, _, _, segment_size, segment_count, _, _, _) = HEADER.unpack_from(content)
    for index in range(segment_count):
        at = segments_at + index * segment_size
        if segment_size < SEGMENT.size or at + SEGMENT.size > len(content):
            raise ToolError(f"'{name}' is a damaged ELF file: its segments lie beyond its end")
        kind, _, offset, _, _, size, _, _ = SEGMENT.unpack_from(content, at)
        yield kind, offset, size


def loader(name, content):
    """The path of the loader that a program wants; "": it is static."""
    for kind, offset, size in segments(name, content):
        if kind == PT_INTERP:
            return content[offset:offset + size].rstrip(b"\0").decode("utf-8", "surrogateescape")
    return ""


def wants_libraries(name, content):
    for kind, offset, size in segments(name, content):
        if kind == PT_DYNAMIC:
            section = content[offset:offset + size - size % DYNAMIC.size]
            return any(tag == DT_NEEDED for tag, _ in DYNAMIC.iter_unpack(section))
    return False


def script_interpreter(content):
    """[interpreter, argument] of a '#!' script, [] if it is none."""
    if not content.startswith(b"#!"):
        return []
    line = content[2:256].split(b"\n")[0].decode("utf-8", "surrogateescape").strip()
    return line.split(None, 1)
