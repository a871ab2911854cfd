"""A snapshot file as the one moment it was taken at."""

from collections.abc import Mapping
from pathlib import Path

from blackbox.model.moment import Moment
from blackbox.model.status import SourceStatus
from blackbox.sources.memory_snapshot.contents import Contents
from blackbox.sources.memory_snapshot.parts import SOURCE, TAKEN_AT

NO_FACTS: Mapping[str, str] = {}


def moment_of(path: Path, contents: Contents) -> Moment:
    """What the file holds, ready to be merged; of the time the file was written where it tells none."""
    return Moment(
        seq=0,
        timestamp=path.stat().st_mtime if contents.timestamp is None else contents.timestamp,
        taken_at=TAKEN_AT,
        host="",
        samples=(contents.sample,),
        sources=(status_of(path, _facts(contents)),),
    )


def _facts(contents: Contents) -> dict[str, str]:
    """What is pinned on the host, where the file tells, and which snapshot it is."""
    facts = {} if contents.host_bytes is None else {"host_pinned_bytes": str(contents.host_bytes)}
    return facts | which(contents.place, len(contents.beside) + 1)


def which(place: str, snapshots: int) -> dict[str, str]:
    """Which snapshot of a file it is; empty where the file holds no other."""
    return {"snapshot": place, "snapshots": str(snapshots)} if snapshots > 1 else {}


def status_of(path: Path, facts: Mapping[str, str] = NO_FACTS) -> SourceStatus:
    """Where its figures are from, and what else is known of them."""
    return SourceStatus(
        name=SOURCE,
        state="ok",
        reason=None,
        age_seconds=None,
        duration_seconds=None,
        samples_total=1,
        failures_total=0,
        restarts_total=0,
        cost={},
        facts={"file": path.name} | dict(facts),
    )
