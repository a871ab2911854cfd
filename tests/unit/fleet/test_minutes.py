"""Minutes as they are shipped: each subject once, whatever it was called meanwhile."""

from pathlib import Path

from blackbox.fleet.batch import make_batch
from blackbox.fleet.minutes import ClosedMinutes
from blackbox.fleet.rows import ROWS_AT_ONCE, Origin, distinct, minute_rows
from blackbox.fleet.schema import PROCESS
from blackbox.model.moment import Moment
from tests import moments
from tests.fleet_proof import together
from tests.moments import GIB
from tests.recordings import recorded

START = 1_800_000_000.0
SECONDS = 10
RENAMED = 100
ORIGIN = Origin("m", "h")


def seen(number: int) -> Moment:
    """One of the processes is called otherwise, and by another user's number, after 40 s of a minute; it grows then."""
    late = number >= 4
    processes = [moments.process(pid, used_bytes=GIB) for pid in range(RENAMED + 1, RENAMED + ROWS_AT_ONCE + 6)]
    name, uid = ("VLLM::EngineCor", 1001) if late else ("python", 1000)
    renamed = moments.process(RENAMED, name=name, uid=uid, used_bytes=(4 if late else 1) * GIB)
    told = moments.sample((moments.device(),), (renamed, *processes))
    return moments.moment(told, seq=number + 1, timestamp=START + SECONDS * number)


def test_a_process_that_is_renamed_within_a_minute_is_one(tmp_path: Path) -> None:
    with recorded(tmp_path, map(seen, range(8))):
        pass
    rows = together(minute_rows(ClosedMinutes(tmp_path).read(START, START + 60), ORIGIN))["process"]
    (row,) = [one for one in rows if one["pid"] == RENAMED]
    assert (row["present"], row["name"]) == (True, "VLLM::EngineCor")
    figures = [row[f"used_bytes{suffix}"] for suffix in ("", "_min", "_mean", "_max")]
    assert figures == [4 * GIB, GIB, 2 * GIB, 4 * GIB], "of the whole minute: 1 GiB for 40 s, then 4 GiB"


def test_as_many_rows_are_looked_for_as_there_are_keys(tmp_path: Path) -> None:
    """Or the batch would be sent for ever."""
    with recorded(tmp_path, map(seen, range(8))):
        pass
    minutes = list(ClosedMinutes(tmp_path).read(START, START + 60))
    batch = make_batch("b", minute_rows(minutes, ORIGIN))
    (part,) = [one for one in batch.parts if one.table is PROCESS]
    rows = together(minute_rows(minutes, ORIGIN))["process"]
    assert part.expected == distinct(PROCESS, rows) == ROWS_AT_ONCE + 6
