"""Kills a recording process again and again, and looks for records that it had acknowledged and that are gone.

python -m tests.kill_loop 10000
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.store import Store
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import FULL
from tests.recorded_moments import INTERVAL, moment_at

START = 1_799_996_400.0
LIFE_RECORDS_MAX = 24
"""Acknowledged before the kill: a few lives meet the seal of a minute, a hundred the end of a chunk."""
AFTER_SECONDS_MAX = 0.004
"""From the last of them to the kill, which so strikes anywhere in the work that follows."""
LOOK_BACK = 1200
"""Records before those of this life that are looked for, too: ten minutes, never older than the full-rate hour."""


class Outcome(NamedTuple):
    kills: int
    acknowledged: int
    lost: int
    damaged: int
    """Records that were there and could not be read."""
    unopened: int
    """Lives that ended by themselves: the data could not be opened."""


def run(kills: int, directory: Path, seed: int = 1) -> Outcome:
    """Kills `kills` writers of one directory, one after the other."""
    chance = random.Random(seed)
    acknowledged: set[int] = set()
    total = lost = damaged = unopened = 0
    next_seq = 1
    for _ in range(kills):
        told, ended_by_itself = live_and_die(
            directory, next_seq, chance.randrange(LIFE_RECORDS_MAX + 1), chance.random() * AFTER_SECONDS_MAX
        )
        unopened += ended_by_itself
        total += len(told)
        acknowledged |= set(told)
        next_seq = max(told, default=next_seq) + 2  # the one after the last may be there without acknowledgement
        recording = Recording(directory)
        since = next_seq - LOOK_BACK
        found = {one.seq for one in recording.moments(time_of(since), time_of(next_seq))}
        rows = TierReader(directory, FULL)
        times = {time for run in rows.runs(time_of(since), time_of(next_seq)) for time in run.times}
        acknowledged = {seq for seq in acknowledged if seq >= since}
        lost += sum(seq not in found or time_of(seq) not in times for seq in acknowledged)
        damaged += recording.damaged + rows.damaged
    return Outcome(kills, total, lost, damaged, unopened)


def live_and_die(directory: Path, seq: int, records: int, seconds: float) -> tuple[list[int], bool]:
    """One life: what it acknowledged, and whether it ended before it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        record_for_ever(directory, seq, writing)
    os.close(writing)
    with os.fdopen(reading) as lines:
        told = [int(line) for line in islice(lines, records)]
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        told += map(int, lines)
    return told, not os.WIFSIGNALED(status)


def record_for_ever(directory: Path, seq: int, acknowledge: int) -> None:
    """Says each number once it is committed."""
    try:
        store = Store(directory)
        while True:
            store.append(moment_at(time_of(seq), seq))
            os.write(acknowledge, b"%d\n" % seq)
            seq += 1
    finally:
        os._exit(1)


def time_of(seq: int) -> float:
    """When the moment of that number was."""
    return START + seq * INTERVAL


def main(kills: int) -> int:
    """1 when anything was lost."""
    directory = Path(tempfile.mkdtemp())
    try:
        outcome = run(kills, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(outcome)
    return 1 if outcome.lost or outcome.damaged or outcome.unopened else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
