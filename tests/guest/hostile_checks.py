# SPDX-License-Identifier: BSD-2-Clause
"""Hostile programs: each act ends as on Linux, and nothing is left, or seen, that is not its own."""

import os
import re

from checks import Failure, check, contains, equal, that
from guests import PROJECT, expect, guest, host, program
from memory_checks import check_counters


def all_as_they_must(output):
    contains(output, b"acts, 0 end otherwise than they must")


@check
def the_tables_of_hostile_acts_are_what_this_linux_does():
    for name in ("attacks", "frames"):
        all_as_they_must(host(program(name), "linux"))
    contains(host(program("kept")), b"0 are wrong")


@check
def jumps_instructions_interrupts_selectors_and_flags_end_as_on_linux():
    # QEMU's default has SMAP, under which its far returns are not a CPU's: once with, once without.
    all_as_they_must(expect(guest(program("attacks"), "smap")))
    all_as_they_must(expect(guest(program("attacks"), options=["--cpu", "max,-smap,-smep"])))


@check
def stacks_handlers_and_frames_that_lead_anywhere_end_as_on_linux():
    all_as_they_must(expect(guest(program("frames"))))


@check
def registers_are_kept_and_hold_nothing_that_nobody_put_there():
    for cpus in ("1", "2"):
        equal(expect(guest(program("kept"), options=["--cpus", cpus])), b"0 are wrong\n")


@check
def hostile_acts_and_damaged_programs_leave_nothing():
    attacks, frames, damaged = (program(name) for name in ("attacks", "frames", "damaged"))
    check_counters(f"{attacks} smap >/dev/null; {frames} >/dev/null 2>&1; {damaged} >/dev/null; {damaged} 2 100 >/dev/null; ",
                   options=["--add", attacks, "--add", frames, "--add", damaged])


def numbers_of_calls():
    """Of the kernel's table."""
    with open(os.path.join(PROJECT, "kernel", "syscall", "table.h"), encoding="utf-8") as file:
        numbers = re.findall(r"\bX\(\w+, (\d+)\)", file.read())
    that(len(numbers) > 150, f"{len(numbers)} calls were found in the kernel's table")
    return numbers


@check
def bad_addresses_and_lengths_in_each_argument_of_each_call_give_what_linux_gives():
    here, linux = expect(guest(program("calls"))).decode(), host(program("calls")).decode()
    that(linux.count("\n") > 2000, f"Linux gives {linux.count(chr(10))} lines")
    for found, wanted in zip(here.splitlines(), linux.splitlines()):
        if found != wanted:
            raise Failure(f"{found!r}, not {wanted!r}")
    equal(here.count("\n"), linux.count("\n"), "the number of lines")


@check
def bad_arguments_of_all_calls_do_no_harm_and_leave_nothing():
    name = program("calls")
    run = f"{name} here {' '.join(numbers_of_calls())} >/tmp/calls-said 2>&1 </dev/null; wc -l </tmp/calls-said; rm -rf /tmp/calls*; "
    lines = int(check_counters(run, options=["--cpus", "2", "--add", name]))
    that(lines > 2700, f"{lines} lines were written")


@check
def damaged_programs_are_refused_or_end_as_on_linux():
    """Each of a table; and at random: what Linux refuses is refused, what runs ends as there."""
    name = program("damaged")
    all_as_they_must(host(name, "linux"))
    all_as_they_must(expect(guest(name)))
    check_damaged(1, 500)


def check_damaged(seed, count):
    arguments = program("damaged"), str(seed), str(count)
    here, linux = expect(guest(*arguments)).decode().splitlines(), host(*arguments).decode().splitlines()
    equal(len(here), count, "the number of damaged programs")
    for found, wanted in zip(here, linux):
        refused = found.split(": ")[1].startswith("LH_")
        that(refused or found == wanted, f"{found!r}, not {wanted!r}, nor an error")


LIMITS = {
    "regions": b"regions: 65530, then LH_NO_MEMORY\n",
    "parts": b"a hole at the limit: made\na part at the limit: undone\nparts: 1, then LH_NO_MEMORY\n",
    "descriptors": b"descriptors to the limit: 1, LH_TOO_MANY_OPEN\nopen: 1, pipe: 1\n",
    "pipes": b"pipes: 1, then LH_TOO_MANY_OPEN\n",
    "file": b"a file of more than 32 MiB: 1, then LH_NO_ROOM\n",
    "names": b"names: 10000, then LH_OK\n",
    "forks": b"children to the limit, or to the end of memory: 1, LH_AGAIN\n"
             b"children that did not come back: 0\n",
    "bomb": b"",
}
# Until nobody is left of those whose parents were killed.
ALONE = "while [ $(ls /proc | grep -c '^[0-9]') -gt 5 ]; do sleep 0.2; done; "


@check
def what_there_is_of_each_kind_can_be_taken_and_comes_back():
    """In 128 MiB; a fork bomb among them, which ends as soon as its own time is over."""
    name = program("limits")
    middle = check_counters(f"{name} {' '.join(LIMITS)}; {ALONE}", prepare=f"{name} bomb forks names; {ALONE}",
                            options=["--memory", "128M", "--cpus", "2", "--add", name])
    equal(middle, b"".join(LIMITS.values()))


@check
def a_hundred_trees_of_forks_ten_deep_leave_nothing():
    name = program("storm")
    check_counters(f"{name} 1 tree 10 100; ", prepare=f"{name} 2 tree 10 5; ",
                   options=["--cpus", "2", "--add", name])


@check
def thirty_two_processes_that_map_fault_protect_and_fork_leave_nothing():
    """On 4 CPUs, for about a minute: counters as before, and as many pages for a program that takes them all."""
    name = program("storm")
    check_counters(f"{name} 1 32 1000; ", prepare=f"{name} 2 32 10; ", options=["--cpus", "4", "--add", name])
    output = expect(guest(program("exhaust"), name, "3", "32", "40",
                          options=["--memory", "128M", "--cpus", "4", "--add", name]))
    contains(output, b"the same")
