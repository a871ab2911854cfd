"""What `blackbox run` says at a terminal before and after the program."""

import os

import pytest
from msgspec import structs

from blackbox.cli.commands.agents import lines
from blackbox.cli.commands.run_watched import NO_SERVER, Listening, first_line, last_line
from blackbox.launch import is_watched, plain_run
from blackbox.merge import merge, merged
from blackbox.merge.coverage import coverage
from blackbox.model.query import History, NumberedEvent, Series
from tests.moments import GIB, SILENT, TIMESTAMP, TRAINER, allocator, device, instance, moment, process, sample

MOMENT = moment(sample([device()], [process(SILENT), process(TRAINER)], allocators=(allocator(),)))
MADE = merged(MOMENT, None, None)
SNAPSHOT, ROWS = MADE.snapshot, MADE.rows


@pytest.mark.parametrize(
    ("found", "environ", "said"),
    [
        (Listening(None, None, False), {}, NO_SERVER),
        (Listening(None, None, True), {}, "does not answer questions here"),
        (Listening(None, SNAPSHOT, True), {}, "sees 1 GPU; what the program holds is recorded"),
        (Listening(None, SNAPSHOT, False), {}, "takes no reports"),
        (Listening(None, structs.replace(SNAPSHOT, gpus=()), True), {}, "sees no GPU; 'blackbox doctor'"),
        (Listening(None, structs.replace(SNAPSHOT, simulated=True), True), {}, "is a demo"),
        (Listening(None, SNAPSHOT, True), {"BLACKBOX_AGENT": "0"}, "keeps the agent out"),
    ],
)
def test_before_the_program(found: Listening, environ: dict[str, str], said: str) -> None:
    assert said in first_line(found, environ)


def history(high: float | None) -> History:
    rows = () if high is None else (series(high),)
    return History(from_=0.0, to=1.0, step_seconds=1.0, series=rows, series_omitted=0)


def series(high: float) -> Series:
    return Series(
        gpu=1, pid=7, metric="used_bytes", points=[(0.0, high, high, high)], gpu_uuid="GPU-1", name="python",
        start_time=None, engine=None,
    )  # fmt: skip


def test_after_the_program() -> None:
    oom = NumberedEvent(id=1, kind="oom", timestamp=TIMESTAMP + 5, message="out of memory", pid=7)
    of = (7, TIMESTAMP, TIMESTAMP + 60)
    assert "process 7 used no GPU" in last_line(history(None), [], *of, stacks=False), "its children may have"
    held = last_line(history(2 * GIB), [], *of, stacks=False)
    assert "recorded 1 min: process 7 held 2.0 GiB of GPU 1 at most. Next: blackbox history --from " in held
    assert held.endswith("--pid 7")
    slice_ = {"GPU-1": "GPU 1 / MIG 3"}
    assert "held 2.0 GiB of GPU 1 / MIG 3 at most" in last_line(history(2 * GIB), [], *of, stacks=False, labels=slice_)
    failed = last_line(history(2 * GIB), [oom], *of, stacks=False)
    assert "it ran out of memory at " in failed
    assert "--extras history" in failed
    assert failed.endswith("Next: blackbox report")
    assert "--extras" not in last_line(history(2 * GIB), [oom], *of, stacks=True)
    other = NumberedEvent(id=2, kind="oom", timestamp=TIMESTAMP + 6, message="out of memory", pid=8)
    assert "; process 8 of this user ran out of memory at " in last_line(
        history(2 * GIB), [oom, other], *of, stacks=True
    )


def test_quiet_is_understood_before_the_command_line_is() -> None:
    run = plain_run(["run", "-q", "--extras", "threads", "--", "true"])
    assert run is not None
    assert (run.is_quiet, run.program) == (True, ["true"])
    assert not is_watched(is_quiet=True)
    assert is_watched(is_quiet=False) == os.isatty(2)


def test_agents_are_told_with_what_they_leave_out_and_why() -> None:
    text = "\n".join(lines(SNAPSHOT, coverage(ROWS, SNAPSHOT.nsight_metrics), "empty"))
    assert "1 of 2 processes on GPUs report from inside" in text
    assert f"python {SILENT} on GPU 0 tells used" in text
    assert "stacks: n/a: no history of its allocator is recorded: `blackbox run --extras history -- PROGRAM`" in text


def test_agents_name_the_slice_that_a_program_is_on() -> None:
    machine = merge(moment(sample([device(0), instance(0, 1)])))
    first, *_ = coverage(ROWS, SNAPSHOT.nsight_metrics)
    on_slice = structs.replace(first, gpu_uuid="MIG-0-1")
    assert f" {first.pid} on GPU 0 / MIG 1 tells " in "\n".join(lines(machine, [on_slice], "empty"))
