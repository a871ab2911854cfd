"""Gives one pid to many processes in turn, looks at each with the NVML source, and prints what was wrong as JSON.

Runs as root in a pid namespace of its own: `python -m tests.integration.reuse_pids STATE_DIRECTORY COUNT`. The driver
must list process `PID`.
"""

import json
import subprocess
import sys
from pathlib import Path

from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock

PID = 300
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def main() -> None:
    directory, count = Path(sys.argv[1]), int(sys.argv[2])
    clock = ManualClock()
    source = NvmlSource(clock=clock)
    wrong: list[tuple[str | None, str | None]] = []
    reused = 0
    for number in range(count):
        program = directory / f"reuse-{number}"
        program.symlink_to("/bin/sleep")
        LAST_PID.write_text(str(PID - 1))
        with subprocess.Popen([program, "60"]) as process:
            reused += process.pid == PID
            clock.advance(1)
            (living,) = source.sample().processes
            process.kill()
        if process.pid == PID and living.name != program.name:
            wrong.append((program.name, living.name))
        if number % 7 == 0:
            clock.advance(1)
            (dead,) = source.sample().processes
            if dead.name is not None:
                wrong.append((None, dead.name))
    source.close()
    print(json.dumps({"reused": reused, "wrong": wrong}))


if __name__ == "__main__":
    main()
