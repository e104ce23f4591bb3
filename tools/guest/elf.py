# SPDX-License-Identifier: BSD-2-Clause
"""Can the kernel run this file? Only what has to be known to say why not."""

import struct

from .errors import ToolError

ET_EXEC, ET_DYN = 2, 3
EM_X86_64 = 62
PT_INTERP = 3
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")


def check_static(name, content):
    """Raises a ToolError unless CONTENT is a static x86-64 Linux program."""
    if not content.startswith(b"\x7fELF"):
        raise ToolError(f"'{name}' is not a program: it is neither an ELF file nor a script")
    if len(content) < HEADER.size or content[4] != 2 or content[5] != 1:
        raise ToolError(f"'{name}' is not a 64-bit little-endian ELF file")
    (_, kind, machine, _, _, segments_at, _, _, _,
     segment_size, segment_count, _, _, _) = HEADER.unpack_from(content)
    if machine != EM_X86_64:
        raise ToolError(f"'{name}' is a program for another machine than x86-64")
    if kind not in (ET_EXEC, ET_DYN):
        raise ToolError(f"'{name}' is an ELF file, but not a program")
    for index in range(segment_count):
        at = segments_at + index * segment_size
        if segment_size < SEGMENT.size or at + SEGMENT.size > len(content):
            raise ToolError(f"'{name}' is a damaged ELF file: its segments lie beyond its end")
        if SEGMENT.unpack_from(content, at)[0] == PT_INTERP:
            raise ToolError(f"'{name}' is dynamically linked; only static programs run "
                            "(compile it with -static)")


def script_interpreter(content):
    """[interpreter, argument] of a '#!' script, [] if it is none."""
    if not content.startswith(b"#!"):
        return []
    line = content[2:256].split(b"\n")[0].decode("utf-8", "surrogateescape").strip()
    return line.split(None, 1)
