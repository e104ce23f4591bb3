# SPDX-License-Identifier: BSD-2-Clause
"""Signals and files as on Linux; random system calls; running files are not written."""

from checks import check, equal
from guests import PROGRAMS, expect, guest, host, program, shell
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


# A random name may lie anywhere: what was not there before goes. The program runs from a copy, which it may spoil,
# and so does who tidies up behind it; where they came from may be gone.
NONSENSE_FILES = ["--add", program("nonsense"), "--add", program("tidy")]


def nonsense(seed, children):
    return ("for p in nonsense tidy; do [ -e /bin/sound-$p ] || cp " + PROGRAMS + "/$p /bin/sound-$p; "
            "cp /bin/sound-$p /bin/$p; chmod 755 /bin/$p; done; "
            f"/bin/tidy /bin/nonsense {seed} {children} 250 >/dev/null 2>&1 </dev/null && echo ended; sleep 1; ")


@check
def random_system_calls_do_the_kernel_no_harm_and_leave_nothing():
    middle = check_counters("".join(nonsense(seed, 100) for seed in range(1, 4)), prepare=nonsense(9, 5),
                            options=["--memory", "128M", "--cpus", "2", *NONSENSE_FILES])
    equal(middle, b"ended\n" * 3, "what was said of the runs")


@check
def a_file_that_runs_is_not_written():
    equal(shell("cp /bin/busybox /bin/copy-sleep; ln -s copy-sleep /bin/sleep-link; "
                "(exec -a sleep /bin/copy-sleep 1) & sleep 0.3; "
                "{ echo x > /bin/copy-sleep; } 2>/dev/null && echo written; wait; "
                "echo x > /bin/copy-sleep && echo then"), b"then\n")
