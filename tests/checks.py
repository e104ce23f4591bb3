# SPDX-License-Identifier: BSD-2-Clause
"""
The harness of the checks that are not C: a check is a function that registers itself
with @check; it fails by an exception, and the run goes on.

Program: run [-l] [-jN] [NAME-PART...]; one line a check, then "N passed, N failed". With -jN so many
checks run at a time, each in one of N processes.
"""

import multiprocessing
import sys
import time
import traceback

CHECKS = []


class Failure(Exception):
    """What a check found wrong."""


def check(function):
    CHECKS.append((function.__name__, function))
    return function


def add_check(name, function):
    """A check made in a loop."""
    CHECKS.append((name, function))


def shorten(value, most=400):
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(value)} long)"


def equal(found, expected, what="the result"):
    if found == expected:
        return
    at = ""
    if isinstance(found, (bytes, str)) and isinstance(expected, (bytes, str)) and len(expected) > 80:
        place = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b),
                     min(len(found), len(expected)))
        at = (f" (lengths {len(found)} and {len(expected)}, first difference at {place}: "
              f"{found[place:place + 40]!r}, not {expected[place:place + 40]!r})")
    raise Failure(f"{what} is {shorten(found)}, not {shorten(expected)}{at}")


def contains(text, part, what="the text"):
    if part not in text:
        raise Failure(f"{what} does not contain {part!r}: {shorten(text, 2000)}")


def that(condition, what):
    if not condition:
        raise Failure(what)


def run_check(name, function):
    """=> whether it passed, and the line that says so."""
    start = time.monotonic()
    try:
        function()
        return True, f"ok      {name} ({time.monotonic() - start:.1f} s)"
    except Failure as failure:
        return False, f"FAILED  {name}: {failure}"
    except Exception:               # pylint: disable=broad-except
        return False, f"FAILED  {name}: {traceback.format_exc()}"


def run_number(number):
    return run_check(*CHECKS[number])


def results(numbers, jobs):
    """Of each check, as they end."""
    if jobs == 1:
        yield from map(run_number, numbers)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(run_number, numbers)


def main(arguments, jobs=1):
    parts = [a for a in arguments if not a.startswith("-")]
    numbers = [n for n, (name, _) in enumerate(CHECKS) if not parts or any(p in name for p in parts)]
    if "-l" in arguments:
        print("\n".join(CHECKS[n][0] for n in numbers))
        return 0
    jobs = next((int(a[2:]) for a in arguments if a.startswith("-j")), jobs)
    passed = 0
    for good, line in results(numbers, jobs):
        passed += good
        print(line, flush=True)
    print(f"{passed} passed, {len(numbers) - passed} failed")
    return 0 if numbers and passed == len(numbers) else 1


def end(arguments=None):
    sys.exit(main(sys.argv[1:] if arguments is None else arguments))
