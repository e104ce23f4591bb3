# SPDX-License-Identifier: BSD-2-Clause
"""Threads: glibc's, on one CPU and on several, with what the same programs print on Linux."""

from checks import add_check, check, equal
from guests import expect, guest, host, program
from memory_checks import check_counters

EXPECTED = {}


def on_cpus(name, cpus):
    """The same lines as on the host."""
    if name not in EXPECTED:
        EXPECTED[name] = host(program(name)).decode().splitlines()
    found = expect(guest(program(name), options=["--cpus", str(cpus)])).decode().splitlines()
    for number, (a, b) in enumerate(zip(found, EXPECTED[name]), 1):
        equal(a, b, f"line {number} of {name}")
    equal(len(found), len(EXPECTED[name]), "the number of lines")


SUBJECTS = {
    "threads": "threads_share_wait_cancel_and_die",
    "thread_ends": "threads_are_signalled_and_end_with_their_process",
}

for subject, sentence in SUBJECTS.items():
    for number in (1, 2, 4, 8):
        add_check(f"{sentence}_on_{number}_cpus",
                  lambda subject=subject, number=number: on_cpus(subject, number))

for number in (1, 4):
    add_check(f"four_thousand_threads_leave_nothing_in_a_process_that_lives_on_{number}_cpus",
              lambda number=number: on_cpus("thread_many", number))


@check
def programs_of_threads_leave_nothing_on_4_cpus():
    names = [program(name) for name in ("threads", "thread_ends")]
    script = "".join(f"{name} >/dev/null; " for name in names)
    check_counters(script, options=["--cpus", "4", *(f"--add={name}" for name in names)])
