"""The fake driver of the tests, holding real processes, for us and for the peers alike."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import PeerMissingError
from tests.fake_nvml import FakeDriver, Gpu, Process, build, compiler, gpu_uuid


class FakeMachine(NamedTuple):
    """A machine, and what a program needs in its environment to see it."""

    environment: dict[str, str]
    driver: FakeDriver


@contextlib.contextmanager
def fake_machine(gpus: int, processes: int) -> Iterator[FakeMachine]:
    """`gpus` GPUs with `processes` sleeping processes each. Raises `PeerMissingError` without a C compiler."""
    if compiler() is None:
        raise PeerMissingError("C compiler")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="blackbox-bench-")))
        sleepers = [_sleeper(stack) for _ in range(gpus * processes)]
        driver = stack.enter_context(FakeDriver(folder))
        driver.machine.gpus = [
            Gpu(
                uuid=gpu_uuid(number),
                processes=[Process(pid=pid) for pid in sleepers[number * processes : (number + 1) * processes]],
            )
            for number in range(gpus)
        ]
        driver.write()
        yield FakeMachine(driver.environment(build(folder)), driver)


def _sleeper(stack: contextlib.ExitStack) -> int:
    started = stack.enter_context(subprocess.Popen(["sleep", "infinity"]))
    stack.callback(started.kill)
    return started.pid
