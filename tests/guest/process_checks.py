# SPDX-License-Identifier: BSD-2-Clause
"""Exit statuses, signals, children, pipes, pre-emption, system calls."""

import os
import re
import time

from checks import check, contains, equal, that
from guests import BUSYBOX, ENVIRONMENT, expect, guest, host, program, same_as_host, scratch, shell


@check
def the_programs_status_is_the_tools():
    for status in (0, 1, 2, 42, 124, 125, 126, 127, 255):
        equal(guest(BUSYBOX, "sh", "-c", f"exit {status}").returncode, status)


@check
def each_exit_status_from_0_to_255_reaches_the_parent():
    equal(shell("i=0; while [ $i -lt 256 ]; do (exit $i); [ $? = $i ] || echo wrong $i; "
                "sh -c \"exit $i\"; [ $? = $i ] || echo wrong $i; i=$((i+1)); done; echo done"),
          b"done\n")


@check
def a_signal_that_kills_the_program_gives_128_and_its_number():
    for number in (1, 2, 6, 8, 9, 11, 13, 15):
        equal(guest(BUSYBOX, "sh", "-c", f"kill -{number} $$").returncode, 128 + number, f"signal {number}")


@check
def signals_are_caught_and_ignored_as_on_the_host():
    same_as_host("sleep 100 & kill $!; wait $!; echo $?; yes | head -n 1; echo $?; "
                 "trap 'echo caught' USR1; kill -USR1 $$; trap '' TERM; kill $$; echo alive; "
                 "(kill -9 $(sh -c 'echo $PPID')); echo $?; "
                 "sh -c 'trap \"exit 9\" INT; kill -INT $$'; echo $?")


@check
def a_loop_that_never_sleeps_does_not_stop_the_others():
    equal(shell("while :; do :; done & loop=$!; while :; do :; done & other=$!; "
                "sleep 1; seq 1 1000 | wc -l; kill -9 $loop $other; wait $loop; echo $?"),
          b"1000\n137\n")


@check
def children_that_are_all_alive_at_once_keep_their_own_memory():
    expected = host(program("children"))
    equal(expect(guest(program("children"))), expected)


@check
def orphans_and_zombies_end():
    equal(shell("(sh -c 'sleep 1; echo late' &); echo first; sleep 2; "
                "i=0; while [ $i -lt 200 ]; do : & i=$((i+1)); done; wait; echo last"),
          b"first\nlate\nlast\n")


@check
def pipelines_and_redirections_are_the_hosts():
    same_as_host("seq 1 100000 | cat | cat | cat | (head -n 3; cat >/dev/null) ; "
                 "echo one > /tmp/landhold-r; echo two >> /tmp/landhold-r; cat < /tmp/landhold-r; "
                 "{ echo out; echo err >&2; } 2>&1 | sort; cat <<END\nhere $((6*7))\nEND\n"
                 "x=$(seq 1 20000 | wc -c); echo $x; rm /tmp/landhold-r; "
                 "[ -e /tmp/landhold-r ] || echo gone; "
                 "cd /tmp; pwd; cd ..; pwd; echo $0 $#; set -- a b; echo $2; type cd")


@check
def what_a_program_finds_at_its_start_is_what_linux_gives():
    arguments = ("one", "", "two words", "ü")
    equal(expect(guest(program("start"), *arguments)), host(program("start"), *arguments))


@check
def arguments_and_environment_may_be_long():
    long = "x" * 60000
    equal(expect(guest(BUSYBOX, "sh", "-c", "echo ${#A} ${#1}", "sh", long,
                       options=["--env", "A=" + long])), b"60000 60000\n")
    same_as_host("x=$(seq 1 12000); /bin/busybox echo $x | wc -c")


@check
def a_position_independent_program_runs():
    name = program("memory-pie")
    expect(guest(name))


@check
def a_script_runs_by_its_interpreter():
    path = scratch("script")
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh -e\necho \"script $1\"\nfalse\necho never\n")
    os.chmod(path, 0o755)
    run = guest(path, "argument")
    equal((run.returncode, run.stdout), (1, b"script argument\n"))
    equal(shell(f"{path} again; echo $?", options=["--add", path]), b"script again\n1\n")


@check
def an_unknown_system_call_is_refused_and_logged_once():
    log = scratch("log")
    equal(expect(guest(program("unknown"), options=["--kernel-log", log])), host(program("unknown")))
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = [line for line in file if re.search(r"system call 400\b", line)]
    equal(len(lines), 1, f"the number of lines that name the call: {lines}")


@check
def a_program_that_is_none_is_refused():
    equal(shell("echo text > /tmp/x; chmod +x /tmp/x; /tmp/x 2>/dev/null; echo $?; "
                "head -c 64 /bin/busybox > /tmp/y; chmod +x /tmp/y; /tmp/y 2>/dev/null; "
                "[ $? != 0 ] && echo refused; /nonexistent 2>/dev/null; echo $?; "
                "/tmp 2>/dev/null; echo $?"), b"127\nrefused\n127\n126\n")


@check
def time_goes_on_as_on_the_wall():
    found = shell("date +%s; a=$(date +%s); sleep 2; b=$(date +%s); echo $((b-a))").split()
    that(abs(int(found[0]) - time.time()) < 300, f"the date is {found[0]}")
    that(2 <= int(found[1]) <= 8, f"two seconds took {found[1]}")


@check
def the_environment_is_the_documented_one():
    lines = sorted(expect(guest(BUSYBOX, "env", options=["--env", "MORE=1"])).decode().split("\n")[:-1])
    equal(lines, sorted([f"{k}={v}" for k, v in ENVIRONMENT.items()] + ["MORE=1"]))


@check
def busybox_reads_proc():
    contains(shell("cat /proc/self/maps"), b"/bin/busybox", "the maps")
    contains(shell("cat /proc/meminfo"), b"MemTotal:", "meminfo")
