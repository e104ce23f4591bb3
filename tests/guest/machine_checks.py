# SPDX-License-Identifier: BSD-2-Clause
"""Boots on every supported machine; CPU identification; panics; instruction counting."""

import os
import re

from checks import add_check, check, contains, equal, that
from guests import BUSYBOX, KERNEL, PROJECT, command_line, expect, guest, host_shell, program, scratch, shell
from memory_checks import KEPT_IN_FRONTS, check_counters, pages_got

# name, options; each is booted directly (PVH) and from the GRUB image (multiboot2).
MACHINES = [
    (cpu, memory, boot)
    for cpu in ("qemu64", "max")
    for memory in ("128M", "8G")
    for boot in ("pvh", "image")
]
NAMED_FRAME = re.compile(r"[a-z_][a-z0-9_]*\+0x[0-9a-f]+")
DEFAULT_KERNEL = os.path.join(PROJECT, "build", "kernel", "landhold.elf")
MEBIBYTES = {"128M": 128, "8G": 8192}


def boots(cpu, memory, boot):
    """A pipeline runs, the work of four processes, and memory is as much as it should be."""
    options = ["--cpu", cpu, "--memory", memory] + (["--image"] if boot == "image" else [])
    text = shell("seq 1 20000 | sort -rn | md5sum; grep MemTotal /proc/meminfo; grep -c . /proc/cpuinfo",
                 options=options)
    equal(text.split(b"\n")[0], host_shell("seq 1 20000 | sort -rn | md5sum").strip())
    total = int(re.search(rb"MemTotal: *(\d+) kB", text)[1]) >> 10
    least = MEBIBYTES[memory] * 85 // 100
    that(least <= total <= MEBIBYTES[memory], f"MemTotal is {total} MiB of {memory}")


for machine in MACHINES:
    add_check("boots_with_cpu_{}_and_{}_by_{}".format(*machine), lambda machine=machine: boots(*machine))


@check
def a_kernel_of_each_compiler_boots():
    for kernel in os.environ.get("LANDHOLD_KERNELS", "").split() or [DEFAULT_KERNEL]:
        equal(shell("seq 1 3 | sort -n", options=["--kernel", kernel]), b"1\n2\n3\n", kernel)
        run = guest(BUSYBOX, "true", options=["--kernel", kernel, "--panic"])
        equal(run.returncode, 126, kernel)
        that(len(NAMED_FRAME.findall(run.stderr.decode())) >= 3, f"the backtrace of {kernel}: {run.stderr}")


@check
def a_debug_kernel_stops_where_locks_are_taken_in_the_wrong_order():
    """A seeded inversion, which other kernels know nothing of."""
    log = scratch("lock-order-log")
    with command_line("lock-order=inverted"):
        run = guest(BUSYBOX, "true", options=["--kernel-log", log])
    with open(log, encoding="ascii", errors="replace") as file:
        looks = "boot: the order of the locks is checked" in file.read()
    equal(run.returncode, 126 if looks else 0, "the status")
    if looks:
        contains(run.stderr, b"lock order: a map lock taken while held: a map lock")
    that(looks or "debug" not in KERNEL, f"{KERNEL} does not look")


@check
def more_cpus_than_are_used_do_no_harm():
    equal(shell("seq 1 20000 | sort -rn | md5sum", options=["--cpus", "4"]),
          host_shell("seq 1 20000 | sort -rn | md5sum"))


@check
def a_root_of_ones_own_is_what_the_guest_sees():
    root = scratch("root")
    os.makedirs(os.path.join(root, "data", "deep"))
    for name, content, mode in (("data/a", b"first\n", 0o640), ("data/deep/b", bytes(range(256)) * 1000, 0o444)):
        with open(os.path.join(root, name), "wb") as file:
            file.write(content)
        os.chmod(os.path.join(root, name), mode)
    os.symlink("deep/b", os.path.join(root, "data", "link"))
    script = "cd {}/data; find . | sort; md5sum a link; ls -l a deep/b | cut -c1-10; readlink link"
    equal(shell(script.format(""), options=["--root", root]), host_shell(script.format(root)))


@check
def other_cpu_models_boot():
    for model in ("Nehalem", "EPYC", "max,-smep,-smap,-umip", "Broadwell"):
        equal(shell("echo up", options=["--cpu", model]), b"up\n", model)


def cpu_information(model):
    text = shell("cat /proc/cpuinfo", options=["--cpu", model]).decode()
    return {name.strip(): value.strip() for name, _, value in
            (line.partition(":") for line in text.splitlines())}, text


@check
def the_cpu_is_identified_in_the_manuals_terms():
    # What QEMU's models say by CPUID, from QEMU's own list of them.
    for model, expected in (
            ("qemu64", {"vendor_id": "AuthenticAMD", "cpu family": "15", "model": "107", "stepping": "1"}),
            ("Nehalem", {"vendor_id": "GenuineIntel", "cpu family": "6", "model": "26", "stepping": "3",
                         "model name": "Intel Core i7 9xx (Nehalem Class Core i7)"}),
            ("EPYC", {"vendor_id": "AuthenticAMD", "cpu family": "23", "model": "1", "stepping": "2",
                      "model name": "AMD EPYC Processor"})):
        found, text = cpu_information(model)
        for name, value in expected.items():
            equal(found.get(name), value, f"{name} of {model} in {text!r}")
        flags = found.get("flags", "").split()
        for flag in ("fpu", "tsc", "msr", "pae", "sse2", "nx", "lm"):
            that(flag in flags, f"{flag} is missing in the flags of {model}: {flags}")


@check
def a_panic_gives_126_and_says_what_is_needed():
    run = guest(BUSYBOX, "true", options=["--panic"])
    equal(run.returncode, 126, f"the status (standard error: {run.stderr[-2000:]!r})")
    text = run.stderr.decode()
    contains(text, "KERNEL PANIC")
    that(re.search(r"CPU:? *0", text, re.IGNORECASE), f"the CPU is missing in {text!r}")
    for register in ("rip", "rsp", "rax", "cr2", "cr3"):
        that(re.search(rf"\b{register}\b", text, re.IGNORECASE), f"{register} is missing in {text!r}")
    frames = NAMED_FRAME.findall(text)
    that(len(frames) >= 3, f"the backtrace has {len(frames)} named frames in {text!r}")
    contains(text.lower(), "region")


@check
def the_memory_of_two_nodes_is_eaten_and_given_back_ten_times():
    log = scratch("nodes-log")
    work = program("exhaust") + " --times {}; "
    text = check_counters(work.format(10), prepare=work.format(2),
                          options=["--cpus", "2", "--nodes", "2", "--memory", "32M", "--kernel-log", log,
                                   "--add", program("exhaust")])
    pages = pages_got(text, 10, least=4000)
    with open(log, encoding="ascii", errors="replace") as file:
        frames = [int(n) for n in re.findall(r"memory: node [01] has (\d+) frames", file.read())]
    equal(len(frames), 2)
    that(all(n > 3000 for n in frames), f"the nodes have {frames} frames")
    that(max(pages) - min(pages) <= KEPT_IN_FRONTS, f"the pages that were got: {pages}")


# Base and bytes: a byte, bytes over the border of two pages, pages, pieces of 2 MiB, some that overlap or touch.
HOLES = [(0x1400123, 1), (0x1402fff, 2), (0x1405000, 0x1000), (0x1407000, 0x3000), (0x1409800, 0x5000), (0x1600000, 0x200000),
         (0x1800000, 0x1000), (0x1a00001, 0x1ffffe), (0x1d00000, 0x10)] + [(0x1e00000 + n * 0x2000, 0x800) for n in range(24)]


def frames_of(log):
    """Of memory and of the frame array together, as the kernel's log has them."""
    with open(log, encoding="ascii", errors="replace") as file:
        found = re.search(r"memory: (\d+) frames, frame array of (\d+) KiB", file.read())
    return int(found[1]) + int(found[2]) // 4


@check
def memory_with_holes_is_eaten_and_given_back_ten_times():
    """Of each page that a hole touches nothing is used, of the others all; and the counters are equal afterwards."""
    log = scratch("holes-log")
    options = ["--memory", "48M", "--cpus", "1", "--kernel-log", log, "--add", program("exhaust")]
    expect(guest(program("observe"), "true; ", "true; ", options=options))
    frames = frames_of(log)
    lost = {page for base, size in HOLES for page in range(base >> 12, ((base + size - 1) >> 12) + 1)}
    work = program("exhaust") + " --times {}; "
    with command_line("memory.holes=" + ",".join(f"{base:x}+{size:x}" for base, size in HOLES)):
        text = check_counters(work.format(10), prepare=work.format(2), options=options)
    equal(frames - frames_of(log), len(lost), "frames lost to the holes")
    pages = pages_got(text, 10, least=6000)
    equal(len(set(pages[1:])), 1, f"the different numbers of pages in {pages}")


@check
def a_panic_text_is_in_the_kernel_log_as_well():
    log = scratch("panic-log")
    guest(BUSYBOX, "true", options=["--panic", "--kernel-log", log])
    with open(log, encoding="utf-8", errors="replace") as file:
        contains(file.read(), "KERNEL PANIC")


@check
def the_log_goes_nowhere_unless_asked_for():
    run = guest(BUSYBOX, "echo", "only this")
    equal((run.returncode, run.stdout, run.stderr), (0, b"only this\n", b""))


@check
def instructions_are_counted_with_icount():
    counts = [int(expect(guest(program("counting"), options=["--icount"]))) for _ in range(2)]
    that(2_000_000 <= counts[0] <= 2_000_200, f"2,000,000 instructions were counted as {counts[0]}")
    equal(counts[1], counts[0], "the count of the second run")


@check
def a_program_that_never_ends_is_timed_out():
    run = guest(BUSYBOX, "sleep", "1000", timeout="5")
    equal((run.returncode, run.stderr), (124, b"run-guest: timed out after 5 seconds\n"))
