#!/bin/sh
# The switch that keeps others out of CPython 3.14 (PEP 768) does nothing as Python's page writes it, and "no" means yes.
#
# Expected: `-X disable_remote_debug`, as the page on the attachment protocol says (docs.python.org, "Disabling remote
# debugging", until it was corrected), switches remote debugging off, as other switches of Python with underscores do; with
# the value 0, and with a variable that is 0 or empty, it stays on. What happens: the switch is `-X disable-remote-debug`;
# with underscores it is taken without a word, and everybody with the right may still have the program run a script. With
# a value of 0 it is off, and so it is with `PYTHON_DISABLE_REMOTE_DEBUG=0`, even with an empty one. With CPython 3.14.10.
#
# So: whoever wants to keep others out should ask `sys.is_remote_debug_enabled()`. A tool that attaches has to take both
# spellings for a no, and look for the variable, not at its value.
#
# Wants a Python 3.14 (PYTHON314 names it).

. "$(dirname "$0")/evidence.sh"

python314=${PYTHON314:-python3.14}
"$python314" --version
PYTHONPATH=$findings PYTHONDONTWRITEBYTECODE=1 "$python314" - <<'PYTHON'
import os
import subprocess
import sys

from evidence import Evidence


def is_on(*switches: str, **variables: str) -> bool:
    """What a Python that was started so says of itself."""
    command = [sys.executable, *switches, "-c", "import sys; print(sys.is_remote_debug_enabled())"]
    said = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
    return said.stdout.strip() == "True"


evidence = Evidence()
evidence.see("remote debugging is on", is_on(), True)
evidence.see("-X disable-remote-debug", is_on("-X", "disable-remote-debug"), False)
evidence.see("-X disable_remote_debug", is_on("-X", "disable_remote_debug"), True)
evidence.see("-X disable-remote-debug=0", is_on("-X", "disable-remote-debug=0"), False)
evidence.see("PYTHON_DISABLE_REMOTE_DEBUG=1", is_on(PYTHON_DISABLE_REMOTE_DEBUG="1"), False)
evidence.see("PYTHON_DISABLE_REMOTE_DEBUG=0", is_on(PYTHON_DISABLE_REMOTE_DEBUG="0"), False)
evidence.see("PYTHON_DISABLE_REMOTE_DEBUG=", is_on(PYTHON_DISABLE_REMOTE_DEBUG=""), False)
evidence.close()
PYTHON
