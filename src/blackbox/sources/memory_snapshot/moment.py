"""A snapshot file as the one moment it was taken at."""

from pathlib import Path

from blackbox.model.moment import Moment
from blackbox.model.status import SourceStatus
from blackbox.sources.memory_snapshot.contents import TAKEN_AT, Contents


def moment_of(path: Path, contents: Contents) -> Moment:
    """What the file holds, ready to be merged; of the time the file was written where it tells none."""
    status = SourceStatus(
        name=contents.sample.source,
        state="ok",
        reason=None,
        age_seconds=None,
        duration_seconds=None,
        samples_total=1,
        failures_total=0,
        restarts_total=0,
        cost={},
        facts={"file": path.name}
        | ({} if contents.host_bytes is None else {"host_pinned_bytes": str(contents.host_bytes)}),
    )
    return Moment(
        seq=0,
        timestamp=path.stat().st_mtime if contents.timestamp is None else contents.timestamp,
        taken_at=TAKEN_AT,
        host="",
        samples=(contents.sample,),
        sources=(status,),
    )
