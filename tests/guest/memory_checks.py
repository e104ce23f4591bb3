# SPDX-License-Identifier: BSD-2-Clause
"""Memory: what programs see of it, and that all of it comes back."""

import os
import re
import subprocess

from checks import Failure, check, contains, equal, that
from guests import BUSYBOX, KERNEL, PROJECT, command_line, expect, guest, host, host_shell, program, scratch, shell

COUNTERS = ("FreeFrames", "TablePages", "Regions", "Charges")
# Linux puts these into every process; this kernel has no vDSO.
ONLY_ON_LINUX = ("[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]")
MAP_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) (\S+) (\d+) *(.*)")


def comparable(text):
    """Output with each line of a maps file as "pages access offset name"; addresses,
    device and inode numbers, and what only Linux maps are left out."""
    lines = []
    for line in text.decode().splitlines():
        match = MAP_LINE.fullmatch(line)
        if not match:
            lines.append(line)
        elif match[7] not in ONLY_ON_LINUX:
            pages = (int(match[2], 16) - int(match[1], 16)) >> 12
            lines.append(f"{pages} {match[3]} {match[4]} {match[7]}")
    return lines


@check
def a_static_program_maps_and_forks_and_sees_what_it_sees_on_linux():
    name = program("memory")
    found, expected = comparable(expect(guest(name))), comparable(host(name))
    for number, (a, b) in enumerate(zip(found, expected), 1):
        equal(a, b, f"line {number} (the guest's output: {found})")
    equal(len(found), len(expected), "the number of lines")


@check
def bad_pointers_are_errors_and_signals_as_on_linux():
    name = program("pointers")
    found, expected = expect(guest(name)).decode().splitlines(), host(name).decode().splitlines()
    for number, (a, b) in enumerate(zip(found, expected)):
        if a != b:
            subject = next((l for l in reversed(expected[:number]) if not l.startswith(" ")), "")
            raise Failure(f"{subject}: {a!r}, not {b!r}")
    equal(len(found), len(expected), "the number of lines")


def counters(text):
    return {name: int(value) for name, value in re.findall(r"(\w+): *(\d+)", text.decode())}


# Counts of what has happened, not of what is held.
NOT_HELD = ("Faults", "Forks", "MemFree", "MemAvailable")
# Frames of allocators that hand out parts of them: how many depends on how the parts lie.
IN_PARTS = ("PoolFrames", "HeapFrames")
# At which addresses the stacks of those who live on lie, with several CPUs, and always the heap's
# runs, depends on turns and chance, and so whether a page of the kernel's tables or two are needed more.
TABLES = ("TablePages", "PageTables")
TABLES_MORE = 2


def check_tables(before, after):
    """The kernel's tables but for where stacks and the heap lie; their frames are looked at in the sum."""
    more = after["TablePages"] - before["TablePages"]
    that(abs(more) <= TABLES_MORE, f"{more} table pages more afterwards")
    for counts in before, after:
        counts["FreeFrames"] += counts.pop("TableFrames")
        for name in TABLES:
            del counts[name]


def check_nothing_lost(before, after):
    """Everything held is exactly as before: pages, tables, regions, charges, objects, spaces,
    stacks, the items of the pools and the bytes of the heap. A free frame that is missing is one
    of a pool or of the heap, which have no more in use than before, but it may lie otherwise."""
    for name in COUNTERS:
        that(name in before, f"{name} is missing in /proc/meminfo")
    for counts in before, after:
        counts["KernelFrames"] -= counts["HeapFrames"]
        counts["FreeFrames"] += sum(counts.pop(name) for name in IN_PARTS)
    check_tables(before, after)
    for name in before:
        if not name.startswith(NOT_HELD):
            equal(after[name], before[name], f"{name} afterwards ({before} before, {after} after)")


# 100 children, alive until they are killed; says how many live.
ONE_HUNDRED = ("pids=; i=0; while [ $i -lt 100 ]; do sleep 1000 & pids=\"$pids $!\"; i=$((i+1)); done; "
               "alive=0; for p in $pids; do kill -0 $p && alive=$((alive+1)); done; echo alive $alive; "
               "kill $pids; wait; ")
FIVE_HUNDRED = f"n=0; while [ $n -lt 5 ]; do {ONE_HUNDRED} n=$((n+1)); done; "


# What a process held may lie otherwise than it lay before, or be given back at the moment of the
# look by another CPU: so one difference is looked into by a run anew. What leaks leaks each time.
RUNS = 3


def check_counters(work, prepare=None, options=()):
    """Nothing that WORK took is still taken after it. PREPARE (else WORK itself) is done once
    before the first look. => what WORK printed."""
    for left in reversed(range(RUNS)):
        run = guest(program("observe"), prepare or work, work, options=options)
        _, middle, before, after = expect(run).split(b"---\n")
        try:
            check_nothing_lost(counters(before), counters(after))
            break
        except Failure as failure:
            if left == 0:
                raise
            print(f"        once more, since {failure}"[:200], flush=True)
    return middle


@check
def five_hundred_children_of_a_shell_leave_nothing():
    middle = check_counters(FIVE_HUNDRED, prepare=ONE_HUNDRED)
    equal(middle.count(b"alive 100\n"), 5, "the rounds with 100 alive at once")


@check
def five_hundred_children_of_a_program_leave_nothing():
    name = program("children")
    equal(check_counters(f"{name}; ", options=["--add", name]), host(name))


@check
def pipelines_leave_nothing():
    check_counters("i=0; while [ $i -lt 20 ]; do seq 1 3000 | sort -n | md5sum; i=$((i+1)); done >/dev/null; ",
                   prepare="seq 1 3000 | sort -n | md5sum >/dev/null; ")


@check
def killed_and_failing_programs_leave_nothing():
    name = program("memory")
    check_counters(f"i=0; while [ $i -lt 5 ]; do {name} >/dev/null; sh -c 'kill -9 $$'; /nonexistent; "
                   "yes | head -n 1000; i=$((i+1)); done >/dev/null 2>&1; ",
                   options=["--add", name])


@check
def files_that_were_removed_leave_nothing():
    check_counters("dd if=/dev/zero of=/tmp/f bs=1M count=20 2>/dev/null; cp /tmp/f /tmp/g; "
                   "mkdir -p /tmp/d/e; ln -s x /tmp/d/l; rm -r /tmp/f /tmp/g /tmp/d; ")


@check
def exhaustion_gets_the_same_number_of_pages_before_and_after():
    run = guest(program("exhaust"), BUSYBOX, "sh", "-c", FIVE_HUNDRED + "true", options=["--memory", "128M"])
    output = expect(run)
    contains(output, b"the same")
    equal(output.count(b"alive 100"), 5)
    pages = [int(n) for n in re.findall(rb"(\d+) pages", output)]
    that(pages[0] > 20000, f"of 128 MiB a program got {pages[0]} pages")


def pages_got(text, times, least=20000):
    """least: of them, in 128 MiB if not said."""
    pages = [int(n) for n in re.findall(rb"(\d+) pages", text)]
    equal(len(pages), times)
    that(pages[-1] > least, f"a program got {pages[-1]} pages")
    return pages


@check
def all_memory_eaten_and_given_back_ten_times_leaves_equal_counters():
    look = "grep -E '" + "|".join(COUNTERS) + "' /proc/meminfo"
    text = shell(f"{program('exhaust')} --times 1; {look}; {program('exhaust')} --times 10; {look}; true",
                 options=["--memory", "128M", "--cpus", "1", "--add", program("exhaust")])
    equal(len(set(pages_got(text, 11)[2:])), 1, "the different numbers of pages")
    found = re.findall(rb"(\w+): *(\d+)", text)
    equal(len(found), 2 * len(COUNTERS))
    equal(found[:len(COUNTERS)], found[len(COUNTERS):])


KEPT_IN_FRONTS = 16     # pages that pools and the heap hold ready on one CPU or the other


@check
def all_memory_eaten_and_given_back_ten_times_on_two_cpus_leaves_nothing():
    work = program("exhaust") + " --times {}; "
    text = check_counters(work.format(10), prepare=work.format(2),
                          options=["--memory", "128M", "--cpus", "2", "--add", program("exhaust")])
    pages = pages_got(text, 10)
    that(max(pages) - min(pages) <= KEPT_IN_FRONTS, f"the pages that were got: {pages}")


@check
def the_kernel_goes_on_after_exhaustion():
    run = guest(BUSYBOX, "sh", "-c", f"{program('exhaust')} >/dev/null; {program('exhaust')} > /dev/null; "
                "seq 1 100000 | sort -rn | md5sum", options=["--memory", "128M", "--add", program("exhaust")])
    equal(expect(run), host(BUSYBOX, "sh", "-c", "seq 1 100000 | sort -rn | md5sum"))


@check
def a_shell_that_eats_all_memory_is_killed_and_the_rest_goes_on():
    text = shell("sh -c 'x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done' 2>/dev/null; "
                 "[ $? != 0 ] && echo ended; echo still here", options=["--memory", "128M"])
    equal(text, b"ended\nstill here\n")


@check
def fresh_counters_add_up():
    found = {k: int(v) for k, v in re.findall(r"(\w+): *(\d+)", shell("cat /proc/meminfo").decode())}
    for name in COUNTERS + ("MemTotal", "MemFree"):
        that(name in found, f"{name} is missing in /proc/meminfo")
    that(400_000 < found["MemTotal"] <= 512 * 1024, f"MemTotal is {found['MemTotal']} kB of 512 MiB")
    that(0 < found["FreeFrames"] * 4 <= found["MemTotal"], f"FreeFrames is {found['FreeFrames']}")


# --- the kernel's own heap ---

# That nothing is left in it after the machine's end in good order is looked at after every run: guests.machine_options.

@check
def a_checked_heap_finds_no_mistake_and_no_leak():
    work = ("i=0; while [ $i -lt 20 ]; do seq 1 200 | sort -rn | md5sum >/dev/null; (true; (true)); "
            "dd if=/dev/zero of=/tmp/f bs=4k count=8 2>/dev/null; mkdir /tmp/d; mv /tmp/f /tmp/d/g; rm -r /tmp/d; "
            "sleep 100 & kill -9 $!; wait $! 2>/dev/null; i=$((i+1)); done; true")
    with command_line("heap=checked"):
        for options in ((), ("--cpus", "4")):
            shell(work, options=options)


# What is there by design when the first process ends: processes that run, wait, are stopped, have stopped others,
# are zombies; threads; files of all kinds, open and mapped, nested, full and empty, some without a name.
LEFT_STANDING = ("mkdir -p /tmp/a/b/c/d; seq 1 5000 >/tmp/a/f; ln -s f /tmp/a/l; ln /tmp/a/f /tmp/a/b/g; mkfifo /tmp/p; "
                 "echo x >/tmp/a/b/c/d/e; sleep 1000 & sleep 1000 <>/tmp/p & cat /tmp/p & (while :; do :; done) & "
                 "sh -c 'kill -STOP $$' & sh -c 'exec sleep 1000' </tmp/a/f & rm /tmp/a/f; (sleep 1000 & sleep 1000) & "
                 "yes | cat >/dev/null & cd /tmp/a; ls -l /proc/self/fd/ >/dev/null; ")


@check
def what_is_left_standing_is_taken_down_at_the_end_and_leaves_nothing_in_the_heap():
    script = LEFT_STANDING + "sleep 0.2; echo end; exit 3"
    equal(shell(script, options=["--cpus", "4", "--memory", "64M"], status=3), b"end\n", "the output")


@check
def a_process_that_forks_for_ever_is_taken_down_at_the_end():
    shell("(while :; do (true & ) & done) & (f() { f & f & }; f) & sleep 0.3; exit 0",
          options=["--cpus", "2", "--memory", "128M"])


@check
def a_block_that_the_kernel_loses_fails_the_run_and_is_named():
    for line, who in (("heap.leak", None), ("'heap=checked heap.leak'", "77 bytes, allocated by heap_start+")):
        with command_line(line):
            try:
                guest(BUSYBOX, "true")
                raise AssertionError("nothing was said")
            except Failure as failure:
                contains(str(failure), "heap: 1 blocks are left at the end")
                contains(str(failure), who or "the kernel has lost memory")


# --- allocations that are refused (kernel/memory/refusal.h) ---

# What boot alone asks for, before there is a process; and what is not tried: heap_start's is lost on purpose, for
# a test, and without the link's buffer nobody could be told: a panic, which says so.
OF_BOOT = ("stream_start", "cpio_unpack", "process_start_first", "read_file", "descriptor_table_create",
           "user_thread_adopt", "proc_mount")
NOT_TRIED = ("heap_start", "take_buffers")
REFUSED_AT = re.compile(r"heap: refused at 0x([0-9a-f]+), to ")
REFUSED = re.compile(r"(.*): refused (\d+), no memory (\d+), other (\d+) \((\d+)\), went on (\d+), changed (\d+)(.*)")
KERNEL_TRIED = KERNEL or os.path.join(PROJECT, "build", "kernel", "landhold.elf")


def output(*command, stdin=""):
    return subprocess.run(command, input=stdin.encode(), capture_output=True, check=True).stdout.decode()


def allocating_calls():
    """{where a call of kernel_allocate returns to: the function it lies in}, of the kernel that is tried."""
    calls, function, was_call = {}, "", False
    for line in output("objdump", "-d", "--no-show-raw-insn", KERNEL_TRIED).splitlines():
        if head := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            function = head[1].split(".")[0]
        elif instruction := re.match(r" *([0-9a-f]+):\t(.*)", line):
            if was_call:
                calls[instruction[1]] = function
            was_call = re.search(r"^call.*<kernel_allocate>$", instruction[2]) is not None
            that(not re.match(r"j.*<kernel_allocate>$", instruction[2]), f"{function} jumps to kernel_allocate")
    return calls


def places(calls):
    """{return address: (function, file and line)} as they are written: a compiler makes several calls of one."""
    text = output("addr2line", "-f", "-e", KERNEL_TRIED, stdin="".join(f"{int(at, 16) - 1:#x}\n" for at in calls))
    lines = text.splitlines()
    return {at: (lines[2 * n], lines[2 * n + 1].split(" ")[0]) for n, at in enumerate(calls)}


def refused_in(log):
    with open(log, encoding="utf-8", errors="replace") as file:
        return {match[1] for match in REFUSED_AT.finditer(file.read())}


@check
def each_allocation_that_is_refused_is_an_error_and_nothing_is_lost():
    log, name = scratch("refused-log"), program("refused")
    with command_line("heap.refuse"):
        text = check_counters(f"{name}; ", options=["--add", name, "--kernel-log", log]).decode()
    lines = text.splitlines()
    that(len(lines) > 35, f"of all acts only these were tried: {text}")
    for line in lines:
        found = REFUSED.fullmatch(line)
        that(found and found[2] == found[3] and (found[4], found[6], found[7], found[8]) == ("0", "0", "0", ""), line)
    written, seen = places(allocating_calls()), refused_in(log)
    shown = {place for at, (_, place) in written.items() if at in seen}
    left = {place for function, place in written.values() if place not in shown and function not in OF_BOOT + NOT_TRIED}
    equal(left, set(), "the calls of kernel_allocate that nothing was refused to")
    that(len(shown) > 35, f"the calls that something was refused to: {shown}")


@check
def an_allocation_of_boot_that_is_refused_ends_the_machine_in_good_order_or_is_done_without():
    calls = allocating_calls()
    written = places(calls)
    of_boot = [at for at, function in calls.items() if function in OF_BOOT or written[at][0] in OF_BOOT]
    that(len(of_boot) >= 7, f"the calls of boot: {of_boot}")
    for at in of_boot:
        log = scratch(f"refused-{at}")
        with command_line(f"heap.refuse={at}"):
            run = guest(BUSYBOX, "true", options=["--kernel-log", log])
        equal(refused_in(log), {at}, f"the refusals at {written[at]}")
        that(run.returncode in (0, 127), f"without what {written[at]} asks for: {run.returncode}, {run.stderr[-500:]!r}")


@check
def mremap_resizes_moves_and_refuses_as_on_linux():
    name = program("remap")
    found, expected = expect(guest(name)).splitlines(), host(name).splitlines()
    for a, b in zip(found, expected):
        equal(a, b, f"a line of {found}")
    equal(len(found), len(expected), "the number of lines")


@check
def a_list_of_lines_that_grows_by_realloc_is_sorted():
    script = "seq 1 120000 | sort -r | md5sum; seq 1 120000 | sort -n | tail -1"
    equal(shell(script), host_shell(script), "the output")


@check
def pages_that_move_to_and_fro_are_never_at_both_places():
    equal(expect(guest(program("remap"), "threads", options=("--cpus", "4"))),
          b"moved to and fro: success, 0 wrong\n", "the output")


@check
def advised_memory_holds_what_it_holds_on_linux_and_huge_pages_where_it_may():
    name = program("huge")
    equal(expect(guest(name)), host(name), "the output")
    counted = re.findall(rb"^(\S[^\n]*)\n  huge: (-?\d+) kB", expect(guest(name, "counts")), re.M)
    # The first time three pieces are written, and a hole is cut into the second; then one.
    equal(counted, [(b"filled", b"6144"), (b"cut", b"2048"), (b"protected", b"0"), (b"forked", b"2048"),
                    (b"dropped in part", b"0"), (b"dropped, and touched again", b"2048"),
                    (b"forbidden", b"0")], "kB in huge pages")


@check
def pages_that_are_put_together_hold_what_they_held_whoever_writes():
    name = program("collapse")
    equal(expect(guest(name)), host(name), "the output")
    told = re.findall(rb"^([^\n:]*): error (\d+), huge (-?\d+) kB", expect(guest(name, "tells", options=("--cpus", "4"))), re.M)
    equal(told, [(b"nothing there", b"22", b"0"), (b"the first", b"0", b"2048"), (b"both", b"0", b"4096"),
                 (b"again", b"0", b"4096"), (b"over a hole", b"12", b"2048"), (b"behind it", b"0", b"2048"), (b"less than a piece", b"0", b"0"),
                 (b"forbidden", b"22", b"0"), (b"three mappings", b"22", b"0"), (b"at the end", b"0", b"2048")],
          "how the calls ended")


@check
def a_kernel_with_time_puts_together_what_was_to_be_huge():
    with command_line("huge=scan"):
        equal(expect(guest(program("collapse"), "wait")), b"huge 4096 kB\nwrong: 0\n", "the output")
