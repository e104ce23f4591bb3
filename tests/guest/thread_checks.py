# SPDX-License-Identifier: BSD-2-Clause
"""Threads: glibc's, on one CPU and on several, with what the same programs print on Linux."""

from checks import add_check, check, equal
from guests import expect, guest, host, program
from memory_checks import check_counters

EXPECTED = {}


def on_cpus(cpus, name, *arguments):
    """The same lines as on the host."""
    command = (program(name), *arguments)
    if command not in EXPECTED:
        EXPECTED[command] = host(*command).decode().splitlines()
    found = expect(guest(*command, options=["--cpus", str(cpus)])).decode().splitlines()
    for number, (a, b) in enumerate(zip(found, EXPECTED[command]), 1):
        equal(a, b, f"line {number} of {name}")
    equal(len(found), len(EXPECTED[command]), "the number of lines")


SUBJECTS = {
    "threads": "threads_share_wait_cancel_and_die",
    "thread_ends": "threads_are_signalled_and_end_with_their_process",
    "thread_cpus": "threads_stay_on_the_cpus_that_they_may_have",
    "futexes": "futexes_and_clone_answer_as_on_linux",
}

for subject, sentence in SUBJECTS.items():
    for number in (1, 2, 4, 8):
        add_check(f"{sentence}_on_{number}_cpus",
                  lambda subject=subject, number=number: on_cpus(number, subject))

# Each thread that ends is a call to all CPUs: slow where QEMU gives them turns.
for number, batches in ((1, 250), (2, 60), (4, 20)):
    add_check(f"{batches * 16}_threads_leave_nothing_in_a_process_that_lives_on_{number}_cpus",
              lambda number=number, batches=batches: on_cpus(number, "thread_many", str(batches)))

for number in (1, 2, 4, 8):
    add_check(f"threads_of_one_space_fault_map_unmap_and_protect_at_once_on_{number}_cpus",
              lambda number=number: on_cpus(number, "thread_pages", "4", "4000", str(number)))


@check
def four_threads_that_change_one_space_leave_nothing_on_4_cpus():
    name = program("thread_pages")
    script = "set -e; " + "".join(f"{name} 4 2000 {seed}; " for seed in (5, 6, 7))
    check_counters(script, prepare=f"{name} 4 200 8; ", options=["--cpus", "4", "--add", name])


def killed_at_any_moment(cpus, rounds):
    """Exits, signals, stops, execs, while the threads make threads, processes and mappings, and sleep."""
    name = program("thread_kills")
    middle = check_counters(f"set -e; {name} {rounds} 1; {name} {rounds} 2; ", prepare=f"{name} {rounds} 3; ",
                            options=["--cpus", str(cpus), "--add", name])
    equal(middle, b"%d processes ended\n" % rounds * 2)


for number, kills in ((1, 100), (2, 60), (4, 40), (8, 20)):
    add_check(f"processes_of_threads_that_end_at_any_moment_leave_nothing_on_{number}_cpus",
              lambda number=number, kills=kills: killed_at_any_moment(number, kills))


def run_out_of_memory(what, cpus):
    name = program("thread_limits")
    return check_counters(f"{name} {what}; ",
                          options=["--memory", "128M", "--cpus", str(cpus), "--add", name])


@check
def as_many_threads_as_memory_has_room_for_leave_nothing():
    equal(run_out_of_memory("bomb", 1), b"bomb: exit 3\n")


@check
def threads_that_take_all_memory_end_with_their_process_and_leave_nothing():
    for cpus in (1, 4):
        equal(run_out_of_memory("hog", cpus), b"hog: signal 9\n")


@check
def programs_of_threads_leave_nothing_on_4_cpus():
    names = [program(name) for name in ("threads", "thread_ends", "futexes")]
    script = "set -e; " + "".join(f"{name} >/dev/null; " for name in names)
    check_counters(script, options=["--cpus", "4", *(f"--add={name}" for name in names)])
