"""What is run for hours before a release: recorders killed thousands of times, decoders given millions of mutants."""

import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.plan import Benchmark, Plan, Row
from tests import kill_loop
from tests.fuzz.__main__ import INPUTS_WANTED, SECONDS
from tests.fuzz.child import Outcome as Fuzzed
from tests.fuzz.engine import fuzz
from tests.fuzz.target import names

KILLS_OF_ONE_RECORDING = 100
RECORDINGS, RECORDINGS_LONG = 2, 100


def run_kills(plan: Plan) -> list[Row]:
    """`--long`: 10,000 kills."""
    found: list[kill_loop.Outcome] = []
    for seed in range(1, (RECORDINGS_LONG if plan.long else RECORDINGS) + 1):
        directory = Path(tempfile.mkdtemp(prefix="blackbox-kills-"))
        try:
            found.append(kill_loop.run(KILLS_OF_ONE_RECORDING, directory, seed))
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return [kills_row(kill_loop.Outcome(*map(sum, zip(*found, strict=True))))]


def kills_row(total: kill_loop.Outcome) -> Row:
    """All recordings together, as a line of the table."""
    return Row(
        figure=f"{total.kills:,} kills: records lost that had been acknowledged",
        unit="",
        ours=total.lost,
        target="0",
        met=not (total.lost or total.damaged or total.unopened),
        note=f"{total.acknowledged:,} records acknowledged; {total.damaged} damaged,"
        f" {total.unopened} times the recording could not be opened",
    )


def run_fuzz(plan: Plan) -> list[Row]:
    """`--long`: as long as `./run fuzz` before a release."""
    seed, seconds = int(time.time()), SECONDS if plan.long else plan.seconds
    folder = Path(tempfile.mkdtemp(prefix="blackbox-fuzz-"))
    found = [(name, fuzz(name, INPUTS_WANTED, seconds, seed, folder / name)) for name in names()]
    return fuzz_rows(found, seconds)


def fuzz_rows(found: Iterable[tuple[str, Fuzzed]], seconds: float) -> list[Row]:
    """A line for all, and one for each target."""
    found = list(found)
    rows = [
        Row(
            figure=f"{name}, {seconds:g} s of CPU",
            unit="inputs",
            ours=one.inputs,
            target="0 findings",
            met=not one.findings,
            note=f"{one.refused:,} refused, all others taken; slowest {one.cpu_seconds_max * 1e3:.0f} ms, grew by"
            f" {one.memory_bytes >> 20} MiB; {len(one.findings)} findings",
        )
        for name, one in found
    ]
    total = sum(one.inputs for _, one in found)
    whole = Row(
        figure=f"{len(rows)} targets, {seconds:g} s of CPU each",
        unit="inputs",
        ours=total,
        target=f">= {INPUTS_WANTED:,}",
        met=total >= INPUTS_WANTED,
    )
    return [whole, *rows]


KILL_LOOP = Benchmark(
    "kill_loop",
    "A process that records is killed (SIGKILL) at chance moments, again and again in one recording, and in the next"
    " one; every record that it had acknowledged is looked for.",
    run_kills,
)
FUZZ = Benchmark(
    "fuzz",
    "`./run fuzz`: mutants of good input to everything that reads bytes from elsewhere, within limits of memory and"
    " time; a finding is input that is neither taken nor refused within them.",
    run_fuzz,
)
