#!/bin/sh
# Whoever keeps the list of `gc.get_objects()` for a moment makes `tuple(...)` fail elsewhere in the program.
#
# Expected: looking at the objects of a program changes nothing for it. What happens: a tuple that is being made from a
# generator is in the list as well, half made; while anybody holds it, it cannot grow, and `tuple` raises `SystemError: bad
# argument to internal function`. A thread that goes through the list lets other threads run in between, so a profiler, a
# leak finder or an agent breaks a program now and then, far from itself.
# With CPython 3.11.7; the one that runs is told.
#
# So: go through the list without running Python code until it is gone (in one call of C). `id` is not for that: an audit
# hook of the program runs at each.

. "$(dirname "$0")/evidence.sh"

"$folder/venv/bin/python" --version
evidence <<'PYTHON'
import gc
import sys

from evidence import Evidence, outcome

held = []


def numbers(look):
    for number in range(100):
        if number == 5:
            look()
        yield number


def look_and_keep():
    held.append(gc.get_objects())


def look_and_forget():
    len(gc.get_objects())


evidence = Evidence()
evidence.see("a tuple, nobody looks", outcome(lambda: len(tuple(numbers(lambda: None)))), 100)
evidence.see("somebody looks, and has forgotten", outcome(lambda: len(tuple(numbers(look_and_forget)))), 100)
evidence.see("somebody looks, and still holds the list", outcome(lambda: len(tuple(numbers(look_and_keep)))), "SystemError")
held.clear()
evidence.see("a list, while somebody holds the list", outcome(lambda: len(list(numbers(look_and_keep)))), 100)
ran = []
sys.addaudithook(lambda event, arguments: ran.append(event) if event == "builtins.id" else None)
id(evidence)
evidence.see("code of the program that runs for id()", ran, ["builtins.id"])
evidence.close()
PYTHON
