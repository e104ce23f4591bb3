# SPDX-License-Identifier: BSD-2-Clause
"""The command line of run-guest: each misuse has an error message of its own."""

import os
import re
from dataclasses import dataclass, field

from .errors import ToolError

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

USAGE = """\
usage: run-guest [OPTION...] [--] PROGRAM [ARGUMENT...]

Boots the Landhold kernel in QEMU and runs PROGRAM, a Linux program of this machine,
as the first process; the libraries that it is linked with come along. Standard input
and output are connected to it byte for byte, standard error goes to standard error.

  --cpus N            number of CPUs (default 1)
  --memory SIZE       memory, as 512M or 8G (default 512M)
  --nodes N           shares CPUs and memory out to so many NUMA nodes (default 1)
  --cpu MODEL         QEMU's CPU model (default max)
  --root DIR          files of the root file system (default: busybox and its applets),
                      which has to have the libraries, too
  --add PATH          puts another host file, with its libraries, or all that is under a
                      directory into the root, at its absolute path; may be repeated
  --env NAME=VALUE    adds to the program's environment; may be repeated
  --timeout SECONDS   gives up after so long (default: never)
  --icount            the time-stamp counter counts instructions
  --kernel-log FILE   writes the kernel's log to FILE
  --kernel FILE       the kernel (default build/kernel/landhold.elf)
  --image             boots from a GRUB image instead of directly
  --write-image FILE  writes that GRUB image to FILE and stops
  --tty               an interactive terminal; Ctrl-] ends the run
  --expect-empty-heap fails if the kernel does not say, at its end in good order, that
                      nothing is left in its heap
  --panic             lets the kernel panic on purpose once it has booted
  --help              prints this

Exit status: the program's; 128 + N if signal N ended it; 124 after --timeout;
125 for a failure of this tool; 126 for a kernel panic, with its text on standard
error. If nobody reads standard output any more: 141, as after SIGPIPE.
"""

MEMORY_UNITS = {"": 1 << 20, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MEMORY_LEAST = 32 << 20
CPUS_MOST = 255
NODES_MOST = 16


@dataclass
class Options:
    cpus: int = 1
    nodes: int = 1
    memory: int = 512 << 20
    cpu: str = "max"
    root: str = None
    add: list = field(default_factory=list)
    env: list = field(default_factory=list)
    timeout: float = None
    icount: bool = False
    kernel_log: str = None
    kernel: str = os.path.join(PROJECT, "build", "kernel", "landhold.elf")
    image: bool = False
    write_image: str = None
    tty: bool = False
    panic: bool = False
    expect_empty_heap: bool = False
    help: bool = False
    program: list = field(default_factory=list)


def parse_cpus(text):
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= CPUS_MOST:
        raise ToolError(f"--cpus: '{text}' is not a number from 1 to {CPUS_MOST}")
    return int(text)


def parse_memory(text):
    match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)B?", text, re.IGNORECASE)
    if not match:
        raise ToolError(f"--memory: '{text}' is not a size such as 512M or 8G")
    size = int(match[1]) * MEMORY_UNITS[match[2].upper()]
    if size < MEMORY_LEAST:
        raise ToolError(f"--memory: '{text}' is less than {MEMORY_LEAST >> 20}M, "
                        "the least that the kernel boots in")
    if size % (1 << 20):
        raise ToolError(f"--memory: '{text}' is not a whole number of megabytes")
    return size


def parse_timeout(text):
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?|\.[0-9]+", text) or float(text) <= 0:
        raise ToolError(f"--timeout: '{text}' is not a number of seconds above 0")
    return float(text)


def parse_cpu(text):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.,=+-]*", text):
        raise ToolError(f"--cpu: '{text}' is not a CPU model")
    return text


def parse_env(text):
    if not re.match(r"[^=]+=", text):
        raise ToolError(f"--env: '{text}' is not NAME=VALUE")
    return text


def parse_add(text):
    if not os.path.isfile(text) and not os.path.isdir(text):
        raise ToolError(f"--add: there is no file or directory '{text}'")
    return text


def parse_root(text):
    if not os.path.isdir(text):
        raise ToolError(f"--root: '{text}' is not a directory" if os.path.lexists(text)
                        else f"--root: there is no directory '{text}'")
    return text


def parse_nodes(text):
    if not re.fullmatch(r"[0-9]{1,2}", text) or not 1 <= int(text) <= NODES_MOST:
        raise ToolError(f"--nodes: '{text}' is not a number from 1 to {NODES_MOST}")
    return int(text)


def parse_file(text):
    if not text:
        raise ToolError("a file name is empty")
    return text


VALUES = {
    "--cpus": ("cpus", parse_cpus),
    "--memory": ("memory", parse_memory),
    "--nodes": ("nodes", parse_nodes),
    "--cpu": ("cpu", parse_cpu),
    "--root": ("root", parse_root),
    "--add": ("add", parse_add),
    "--env": ("env", parse_env),
    "--timeout": ("timeout", parse_timeout),
    "--kernel-log": ("kernel_log", parse_file),
    "--kernel": ("kernel", parse_file),
    "--write-image": ("write_image", parse_file),
}
REPEATED = ("--add", "--env")
FLAGS = {
    "--icount": "icount", "--image": "image", "--tty": "tty", "--panic": "panic",
    "--expect-empty-heap": "expect_empty_heap", "--help": "help", "-h": "help",
}


def parse(arguments):
    """Options of a command line without the tool's own name. Options end at the first
    word that does not begin with '-', or at '--'."""
    options, seen, words = Options(), set(), list(arguments)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        name, has_value, value = word.partition("=")
        if name in seen and name not in REPEATED:
            raise ToolError(f"{name} is given twice")
        seen.add(name)
        if name in FLAGS:
            if has_value:
                raise ToolError(f"{name} takes no value")
            setattr(options, FLAGS[name], True)
        elif name in VALUES:
            if not has_value:
                if not words:
                    raise ToolError(f"{name} needs a value")
                value = words.pop(0)
            set_value(options, *VALUES[name], value)
        else:
            raise ToolError(f"unknown option '{word}'")
    options.program = words
    check_together(options)
    return options


def set_value(options, attribute, parser, text):
    value = parser(text)
    if isinstance(getattr(options, attribute), list):
        getattr(options, attribute).append(value)
    else:
        setattr(options, attribute, value)


def check_together(options):
    if options.help:
        return
    if not options.program:
        raise ToolError("no PROGRAM is given")
    if not options.program[0]:
        raise ToolError("the name of PROGRAM is empty")
    if options.nodes > options.cpus or (options.memory >> 20) % options.nodes:
        raise ToolError(f"--nodes: {options.nodes} nodes cannot have a CPU each and the same memory")
    if options.tty and options.panic:
        raise ToolError("--tty and --panic exclude each other")
