# SPDX-License-Identifier: BSD-2-Clause
"""Signals and files as on Linux; random system calls; running files are not written."""

from checks import check, equal
from guests import expect, guest, host, program, shell
from memory_checks import check_counters


def the_same_lines(name):
    found, expected = expect(guest(name)).decode().splitlines(), host(name).decode().splitlines()
    for number, (a, b) in enumerate(zip(found, expected), 1):
        equal(a, b, f"line {number}")
    equal(len(found), len(expected), "the number of lines")


@check
def handlers_are_told_what_linux_tells_and_calls_start_again():
    the_same_lines(program("signals"))


@check
def files_and_their_mappings_are_one_as_on_linux():
    the_same_lines(program("files"))


# The program, a seed, how many children. A random name may lie anywhere: what is newer than the start goes,
# and all of /tmp, where the program itself may lie; it runs from a copy, which it may spoil.
NONSENSE = ("[ -e /bin/sound ] || cp {} /bin/sound; cp /bin/sound /bin/nonsense; chmod 755 /bin/nonsense; touch /begun; sleep 0.1; /bin/nonsense {} {} 250 >/dev/null 2>&1 </dev/null && echo ended; rm -rf /tmp/* /tmp/.[!.]*; "
            "find / -xdev -mindepth 1 -depth -newer /begun ! -path /begun ! -path /tmp ! -path '/proc*' "
            "! -path '/dev*' ! -path '/bin*' -exec rm -rf {{}} + ; rm /begun; sleep 1; ")


@check
def random_system_calls_do_the_kernel_no_harm_and_leave_nothing():
    name = program("nonsense")
    middle = check_counters("".join(NONSENSE.format(name, seed, 100) for seed in range(1, 6)),
                            prepare=NONSENSE.format(name, 9, 5),
                            options=["--memory", "128M", "--cpus", "2", "--add", name])
    equal(middle, b"ended\n" * 5, "what was said of the runs")


@check
def a_file_that_runs_is_not_written():
    equal(shell("cp /bin/busybox /bin/copy-sleep; ln -s copy-sleep /bin/sleep-link; "
                "(exec -a sleep /bin/copy-sleep 1) & sleep 0.3; "
                "{ echo x > /bin/copy-sleep; } 2>/dev/null && echo written; wait; "
                "echo x > /bin/copy-sleep && echo then"), b"then\n")
