# SPDX-License-Identifier: BSD-2-Clause
"""Unmodified programs of Debian's packages that are linked with shared libraries: they do what they do on the host."""

import os
import re
import subprocess

from checks import check, equal
from guests import PROJECT, SOURCES, expect, guest, host, scratch
from memory_checks import check_counters

BASH = "/bin/bash"
PERL = "/usr/bin/perl"
PYTHON = "/usr/bin/python3"


def both(*command, options=()):
    equal(expect(guest(*command, options=options)), host(*command))


@check
def bash_has_arrays_coprocesses_and_substitutions():
    both(BASH, "-c", r"""
declare -A of; for i in {1..500}; do of[$((i * 7919 % 503))]=$i; done
echo "${#of[@]} ${of[7]} ${of[99]}"
coproc { while read -r line; do echo "<$line>"; done; }
for word in one 'two  words' 3; do echo "$word" >&"${COPROC[1]}"; read -r answer <&"${COPROC[0]}"; echo "$answer"; done
cat <(echo first) <(echo second); wc -l < <(printf '%s\n' {1..1000})
trap 'echo caught' USR1; kill -USR1 $$; (exit 3); echo $?; [[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo "${BASH_REMATCH[2]}"
""")


@check
def perl_sorts_forks_and_reads_what_others_write():
    both(PERL, "-e", r"""
my %sums; $sums{$_ * 7919 % 1009} += $_ for 1 .. 100000;
print join(",", map { "$_=$sums{$_}" } (sort { $sums{$a} <=> $sums{$b} } keys %sums)[0 .. 9]), "\n";
for my $n (1 .. 20) { my $child = fork; if (!$child) { exit $n } waitpid $child, 0; print $? >> 8, " " }
print `echo from a shell`; my $text = "x" x 1000000; $text =~ s/x{7}/y/g; print length $text, "\n";
""")


PYTHONS_WORK = r"""
import hashlib, json, mmap, os, re, struct, subprocess, sys, threading, zlib
print(json.dumps({"a": [1, 2.5, {"b": None}]}), re.sub(r"(\w+) (\w+)", r"\2 \1", "one two"))
text = b"".join(struct.pack("<I", n * n % 65521) for n in range(100000))
print(hashlib.sha256(text).hexdigest(), len(zlib.compress(text)))
sums = [0] * 8
def add(part):
    sums[part] = sum(range(part * 20000, (part + 1) * 20000))
threads = [threading.Thread(target=add, args=(part,)) for part in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(sums, sum(sums))
shared = mmap.mmap(-1, 1 << 20)
for part in range(4):
    if os.fork() == 0:
        shared[part] = 100 + part; os._exit(part)
print(sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(4)), bytes(shared[:5]))
print(subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True).stdout)
"""


def pythons_library():
    """Where its modules lie that are no part of the program."""
    return host(PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'), end='')").decode()


@check
def python_has_threads_children_and_shared_memory_and_leaves_nothing():
    options = ["--cpus", "4", "--memory", "1G", "--add", pythons_library(), "--add", PYTHON]
    both(PYTHON, "-c", PYTHONS_WORK, options=options)
    work = f"cat >/tmp/work.py <<'END'\n{PYTHONS_WORK}\nEND\n{PYTHON} -B /tmp/work.py; rm /tmp/work.py; "
    equal(check_counters(work, options=options), host(PYTHON, "-c", PYTHONS_WORK))


# gcc, as it is on this machine.

FLAGS = ["-std=c17", "-O1", "-I" + os.path.join(PROJECT, "include"), "-I" + os.path.join(PROJECT, "src"),
         "-D_GNU_SOURCE", "-pthread"]
REGION_TREE = os.path.join(PROJECT, "src", "region", "place.c")
CHILDREN = [os.path.join(SOURCES, "children.c"), os.path.join(PROJECT, "src", "base", "error.c")]


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def compilers_files(sources):
    """Its programs, the sources, and what it says that it reads of headers and libraries to make a program of them."""
    programs = [said("gcc", f"-print-prog-name={name}").strip() for name in ("cc1", "collect2")]
    programs += ["/usr/bin/gcc", "/usr/bin/as", "/usr/bin/ld", said("gcc", "-print-file-name=liblto_plugin.so").strip()]
    headers = re.findall(r"[^\s\\:]+\.h\b", said("gcc", *FLAGS, "-M", *sources))
    linked = re.findall(r"^\(?(/usr/lib/[^\s()]+)",
                        said("gcc", *FLAGS, "-static", "-Wl,--trace", *CHILDREN, "-o", scratch("traced")), re.MULTILINE)
    return sorted({*programs, *sources, *headers, *linked})


@check
def gcc_makes_the_same_bytes_as_on_the_host_and_what_it_makes_runs():
    """An object of the region tree, compiled on top of it; and a static program."""
    options = ["--cpus", "2", "--memory", "1G"]
    for name in compilers_files([REGION_TREE, *CHILDREN]):
        options += ["--add", name]
    made = scratch("made")
    script = (f"gcc {' '.join(FLAGS)} -c {REGION_TREE} -o {{0}}.o && md5sum <{{0}}.o && "
              f"gcc {' '.join(FLAGS)} -static {' '.join(CHILDREN)} -o {{0}} && md5sum <{{0}} && {{0}}")
    equal(expect(guest(BASH, "-c", script.format("/tmp/made"), options=options)),
          host(BASH, "-c", script.format(made)))
