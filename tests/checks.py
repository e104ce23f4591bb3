# SPDX-License-Identifier: BSD-2-Clause
"""
The harness of the checks that are not C: a check is a function that registers itself
with @check; it fails by an exception, and the run goes on.

Program: run [-l] [NAME-PART...]; one line a check, then "N passed, N failed".
"""

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


def main(arguments):
    listing = "-l" in arguments
    parts = [a for a in arguments if not a.startswith("-")]
    wanted = [c for c in CHECKS if not parts or any(p in c[0] for p in parts)]
    passed = failed = 0
    for name, function in wanted:
        if listing:
            print(name)
            continue
        start = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok      {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except Failure as failure:
            failed += 1
            print(f"FAILED  {name}: {failure}", flush=True)
        except Exception:               # pylint: disable=broad-except
            failed += 1
            print(f"FAILED  {name}: {traceback.format_exc()}", flush=True)
    if not listing:
        print(f"{passed} passed, {failed} failed")
    return 1 if failed or not (passed or listing) else 0


def end(arguments=None):
    sys.exit(main(sys.argv[1:] if arguments is None else arguments))
