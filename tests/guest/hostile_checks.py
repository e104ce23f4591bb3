# SPDX-License-Identifier: BSD-2-Clause
"""Hostile programs: each act ends as on Linux, and nothing is left, or seen, that is not its own."""

from checks import check, contains, equal
from guests import expect, guest, host, program
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
def hostile_acts_leave_nothing():
    both = [program(name) for name in ("attacks", "frames")]
    check_counters(f"{both[0]} smap >/dev/null; {both[1]} >/dev/null 2>&1; ",
                   options=["--add", both[0], "--add", both[1]])
