"""A profile as the one moment it was taken at."""

from pathlib import Path

from blackbox.model.moment import Moment
from blackbox.model.status import SourceStatus
from blackbox.sources.jax_profile.contents import SOURCE, TAKEN_AT, ProfileContents


def moment_of(path: Path, contents: ProfileContents) -> Moment:
    """What the file holds, ready to be merged; of the time the file was written where it tells none."""
    status = SourceStatus(
        name=SOURCE,
        state="ok",
        reason=None,
        age_seconds=None,
        duration_seconds=None,
        samples_total=1,
        failures_total=0,
        restarts_total=0,
        cost={},
        facts={
            "file": path.name,
            "executable_bytes": str(contents.executable_bytes),
            "host_bytes": str(contents.host_bytes),
        }
        | ({"other_bytes": str(contents.other_bytes)} if contents.other_bytes else {}),
    )
    return Moment(
        seq=0,
        timestamp=path.stat().st_mtime if contents.timestamp is None else contents.timestamp,
        taken_at=TAKEN_AT,
        host="",
        samples=(contents.sample,),
        sources=(status,),
    )
