"""What Blackbox tells of itself."""

import subprocess
import sys

from tests.waiting import PATIENCE_SECONDS

SPENT_SECONDS = 1.0
BURN = f"import time\nwhile time.process_time() < {SPENT_SECONDS}: pass"
TELL = "from blackbox.server.api.about import own_cpu_seconds; print(own_cpu_seconds())"


def test_what_a_shell_took_before_it_became_the_server_is_not_the_servers() -> None:
    script = '"$0" -c "$1"; exec "$0" -c "$2"'
    told = subprocess.run(
        ["sh", "-c", script, sys.executable, BURN, TELL],
        capture_output=True,
        check=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert 0 <= float(told.stdout) < SPENT_SECONDS / 2
