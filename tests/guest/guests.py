# SPDX-License-Identifier: BSD-2-Clause
"""Programs run on the kernel, and the same programs run on this machine."""

import contextlib
import glob
import os
import random
import shutil
import signal
import subprocess
import tempfile

from checks import Failure, equal

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(PROJECT, "tools", "run-guest")
PROGRAMS = os.path.join(PROJECT, "build", "guest")
SOURCES = os.path.join(PROJECT, "tests", "guest", "programs")
BUSYBOX = "/bin/busybox"
TIMEOUT = os.environ.get("LANDHOLD_TIMEOUT", "240") # of a run in the guest: a hang, not slowness
ENVIRONMENT = {"PATH": "/sbin:/usr/sbin:/bin:/usr/bin", "HOME": "/", "TERM": "dumb",
               "USER": "root", "PWD": "/"}
CPUS = os.environ.get("LANDHOLD_CPUS", "")  # of every machine whose check does not say
HEAP_COMPLAINTS = (b"the kernel has lost memory", b"the kernel does not say what is left in its heap")
KERNEL = os.environ.get("LANDHOLD_KERNEL", "") # likewise
SCRATCH = tempfile.mkdtemp(prefix="landhold-tests-")


def tidy():
    shutil.rmtree(SCRATCH)


def scratch(name):
    """A path for the check that runs, or for another that runs in this process before or after it."""
    return os.path.join(SCRATCH, f"{os.getpid()}-{name}")


def newest_source(name):
    """When what a program is made of was changed last, as make looks at it."""
    sources = [f"{SOURCES}/{name.removesuffix('-pie')}.c", *glob.glob(f"{SOURCES}/*.h")]
    return max(os.path.getmtime(source) for source in sources)


def program(name):
    """The path of one of the tests' own programs, which make has made of its sources as they are now."""
    path = os.path.join(PROGRAMS, name)
    if not os.path.exists(path) or os.path.getmtime(path) < newest_source(name):
        raise Failure(f"build/guest/{name} is older than its source: run make guest-programs")
    return path


def machine_options(options=()):
    """The tool's options, with what the environment says of every machine, and that nothing may be left in its heap."""
    cpus = ["--cpus", CPUS] if CPUS and "--cpus" not in options and "--icount" not in options else []
    kernel = ["--kernel", KERNEL] if KERNEL and "--kernel" not in options else []
    return ["--expect-empty-heap", *cpus, *kernel, *options]


def guest(*command, options=(), stdin=b"", timeout=TIMEOUT):
    """Runs a command on the kernel; the completed process, with its bytes."""
    run = subprocess.run([TOOL, "--timeout", timeout, *machine_options(options), "--", *command],
                         input=stdin, capture_output=True, check=False)
    for complaint in HEAP_COMPLAINTS:   # also where the check does not look at the status
        if complaint in run.stderr:
            raise Failure(run.stderr.decode(errors="replace"))
    return run


@contextlib.contextmanager
def command_line(text):
    """The machines that are started meanwhile boot with this command line."""
    wrapper = scratch("qemu-with-command-line")
    with open(wrapper, "w", encoding="ascii") as file:
        file.write(f"#!/bin/sh\nexec qemu-system-x86_64 \"$@\" -append {text}\n")
    os.chmod(wrapper, 0o755)
    os.environ["LANDHOLD_QEMU"] = wrapper
    try:
        yield
    finally:
        del os.environ["LANDHOLD_QEMU"]


def expect(run, status=0):
    """The run's standard output, if it ended with STATUS."""
    if run.returncode != status:
        raise Failure(f"the status is {run.returncode}, not {status}; standard error: "
                      f"{run.stderr[-3000:].decode(errors='replace')}; standard output: "
                      f"{run.stdout[-1000:]!r}")
    return run.stdout


def shell(script, options=(), stdin=b"", status=0, timeout=TIMEOUT):
    """The standard output of a script for busybox's shell on the kernel."""
    return expect(guest(BUSYBOX, "sh", "-c", script, options=options, stdin=stdin, timeout=timeout), status)


def heed_signals():
    """Who was started in the background ignores these, and hands that on."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def host(*command, stdin=b"", status=0, directory="/"):
    """The standard output of a command on this machine, started as in the guest."""
    run = subprocess.run(command, input=stdin, capture_output=True, check=False,
                         env=ENVIRONMENT, cwd=directory, preexec_fn=heed_signals)
    return expect(run, status)


def host_shell(script, stdin=b"", directory="/"):
    """Applets and no other programs, as in the guest's root."""
    return host(BUSYBOX, "sh", "-c", script, stdin=stdin, directory=directory)


def same_as_host(script, stdin=b""):
    """A shell script that must write the same bytes here and there."""
    equal(shell(script, stdin=stdin), host_shell(script, stdin=stdin), f"the output of {script!r}")


def some_bytes(count, seed=1):
    """Bytes of every kind, half of them compressible, the same in each run."""
    generator = random.Random(seed)
    words = [generator.randbytes(generator.randrange(3, 12)) for _ in range(500)]
    parts, length = [], 0
    while length < count:
        part = generator.randbytes(4096) if generator.random() < 0.5 else \
            b"".join(generator.choice(words) for _ in range(500))
        parts.append(part)
        length += len(part)
    return b"".join(parts)[:count]


def some_text(lines, seed=2):
    generator = random.Random(seed)
    words = ["page", "frame", "table", "region", "space", "object", "fault", "hole", "guard"]
    return "".join(f"{generator.randrange(10 ** 6)} {generator.choice(words)} "
                   f"{generator.choice(words)} {generator.random():.6f}\n"
                   for _ in range(lines)).encode()
