# SPDX-License-Identifier: BSD-2-Clause
"""Several CPUs: they come up, share the work, are idle when there is none, and lose nothing."""

import re

from checks import add_check, check, contains, equal, that
from guests import BUSYBOX, command_line, expect, guest, host_shell, program, scratch, shell
from memory_checks import check_counters

FOUR = ["--cpus", "4"]


def boots_on(cpus):
    """All are seen; eight pipelines at once, each with the host's result."""
    text = shell("nproc; grep '^processor' /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat; echo ---; "
                 "for i in 1 2 3 4 5 6 7 8; do seq $i 3000 | sort -rn | md5sum >/tmp/$i & done; wait; "
                 "cat /tmp/1 /tmp/2 /tmp/3 /tmp/4 /tmp/5 /tmp/6 /tmp/7 /tmp/8",
                 options=["--cpus", str(cpus)]).decode()
    seen, sums = text.split("---\n")
    numbers = re.findall(r"processor\s*: (\d+)", seen)
    equal((seen.split()[0], numbers, seen.split()[-1]),
          (str(cpus), [str(n) for n in range(cpus)], str(cpus)), "nproc, cpuinfo and stat")
    equal(sums, host_shell("for i in 1 2 3 4 5 6 7 8; do seq $i 3000 | sort -rn | md5sum; done").decode())


for number in (1, 2, 4, 8):
    add_check(f"boots_on_{number}_cpus", lambda number=number: boots_on(number))


@check
def the_image_boots_on_4_cpus():
    equal(shell("nproc", options=[*FOUR, "--image"]), b"4\n")


def kernel_log(name, *command, options=(), status=0):
    log = scratch(name)
    expect(guest(*command, options=["--kernel-log", log, *options]), status)
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read()


@check
def a31_the_page_that_other_cpus_start_from_is_gone():
    """The kernel itself looks, and panics if not: the frame can be had again and is free, its own
    directory has no low half, nothing of its half is writable and executable."""
    for cpus in ("1", "4"):
        log = kernel_log("a31", BUSYBOX, "true", options=["--cpus", cpus])
        contains(log, f"cpu: {cpus} of {cpus} run; the page they started from is gone")
        that(log.index("page they started from is gone") < log.index("audit: nothing of the kernel is writable"),
             f"the audit comes first in {log!r}")


@check
def a_cpu_that_does_not_come_up_is_reported_and_left_out():
    log = scratch("absent-log")
    with command_line("absent-cpu=77"):
        equal(shell("nproc", options=["--cpus", "2", "--kernel-log", log]), b"2\n")
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    contains(text, "the one with APIC identifier 77 does not come up; it is left out")
    contains(text, "cpu: 2 of 3 run;")


def ticks(text):
    """Of each CPU: those in work, and idle ones."""
    return [(int(busy), int(idle)) for busy, idle in
            re.findall(r"^cpu\d+ 0 0 (\d+) (\d+) ", text, re.MULTILINE)]


@check
def work_is_spread_and_idle_cpus_halt():
    text = shell("cat /proc/stat; echo ---; sleep 3; cat /proc/stat; echo ---; "
                 "for i in 1 2 3 4; do (i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done) & done; wait; "
                 "cat /proc/stat", options=FOUR).decode()
    first, slept, worked = (ticks(part) for part in text.split("---\n"))
    for cpu in range(4):
        busy, idle = (slept[cpu][i] - first[cpu][i] for i in range(2))
        that(idle > busy, f"CPU {cpu} was busy for {busy} ticks and idle for {idle} while all slept")
        that(worked[cpu][0] > slept[cpu][0], f"CPU {cpu} did nothing of the work")


@check
def a_panic_stops_the_other_cpus():
    run = guest(BUSYBOX, "true", options=[*FOUR, "--panic"])
    equal(run.returncode, 126, "the status")
    contains(run.stderr, b"KERNEL PANIC end")
    that(b"have stopped" not in run.stderr, "not all CPUs have stopped")


@check
def five_hundred_children_of_a_program_leave_nothing_on_8_cpus():
    name = program("children")
    check_counters(f"{name}; ", options=["--cpus", "8", "--add", name])


# Trees of processes, each forks two until it is six deep; all at once, from four shells.
TREES = ("tree() { [ $1 -eq 0 ] || { tree $(($1 - 1)) & tree $(($1 - 1)) & wait; }; }; "
         "for i in 1 2 3 4; do tree 5 & done; wait; ")


@check
def trees_of_forks_leave_nothing_on_4_cpus():
    check_counters(f"{TREES} {TREES} {TREES}", prepare=TREES, options=FOUR)


WORK = ("work() { n=0; while [ $n -lt $1 ]; do seq 1 300 | sort -rn | md5sum >/dev/null; (true; (true); true); "
        "x=$(echo $$ | wc -c); dd if=/dev/zero of=/tmp/s$2 bs=4k count=8 2>/dev/null; cat /tmp/s$2 >/dev/null; "
        "rm /tmp/s$2; sleep 1000 & kill -9 $!; wait $! 2>/dev/null; n=$((n+1)); done; echo done; }; ")


@check
def thirty_two_shells_at_once_on_4_cpus_leave_nothing():
    """Forks, pipes, files, programs, kills."""
    rounds = "i=0; while [ $i -lt 32 ]; do work {} $i & i=$((i+1)); done; wait; "
    middle = check_counters(WORK + rounds.format(4), prepare=WORK + rounds.format(1), options=FOUR)
    equal(middle.count(b"done\n"), 32, "the shells that came to their end")
