"""Runs a command, or waits, on a machine of fake GPUs."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fake_nvml.driver import FakeDriver
from tests.fake_nvml.idlers import idle_processes
from tests.fake_nvml.library import build
from tests.fake_nvml.machine import populated


def main() -> int:
    """Returns the command's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_nvml", description=__doc__)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--processes", type=int, default=32, help="idle processes started for each GPU (default 32)")
    parser.add_argument("command", nargs="*", help="run with the fake driver; without one, wait for Ctrl-C")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="fake-nvml-") as directory,
        FakeDriver(Path(directory)) as driver,
        idle_processes(arguments.gpus * arguments.processes) as pids,
    ):
        environment = driver.environment(build(Path(directory)))
        driver.set_gpus(populated(arguments.gpus, pids))
        print(f"The machine, to be edited live: {driver.state_path}", file=sys.stderr)
        if arguments.command:
            return subprocess.run(arguments.command, env=os.environ | environment, check=False).returncode
        print(*(f"export {name}={value}" for name, value in environment.items()), sep="\n", flush=True)
        signal.pause()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
