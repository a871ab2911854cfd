"""Evidence from a running server, through its public routes."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from blackbox.analysis.usage import SnapshotSummary, summary_of
from blackbox.cli.common import progress
from blackbox.cli.common.range_arguments import ChosenRange
from blackbox.client import StatusError
from blackbox.model.text import rfc3339_seconds
from blackbox.report import Evidence, from_summaries
from blackbox.report.evidence import FAILURES, FAILURES_MAX, newest_failure

if TYPE_CHECKING:
    from blackbox.client import Client
    from blackbox.model.query import NumberedEvent
    from blackbox.model.snapshot import Snapshot

INSTANTS = 40
"""Snapshots asked for, with summed blocks."""
NO_RECORDING = "the server keeps no recording: only the present instant is known"
HTTP_NOT_FOUND = 404


def of_server(client: "Client", url: str, chosen: ChosenRange) -> Evidence:
    """The range that was named; else the last failure that the server recorded and the time before it, or that before
    now. Raises `ClientError`."""
    newest = client.snapshot()
    now = rfc3339_seconds(newest.timestamp)
    origin = f"server {url.rpartition('@')[2]}"
    try:
        failures = () if chosen.is_told else client.events(kind=FAILURES, limit=FAILURES_MAX, detail="light")
        failure = newest_failure(failures)
        start, until = chosen.ends(now if failure is None else failure.timestamp)
        events = _with_whole_failure(client, client.events(since=start, until=until, detail="light"))
        last = _last(client, events, until) if until != now else newest
    except StatusError as error:
        if error.status != HTTP_NOT_FOUND:
            raise
        return from_summaries(origin, [], newest, [], [NO_RECORDING])
    since = _recorded_since(client, start, until)
    return from_summaries(origin, list(_summaries(client, since, until)), last, events)


def _last(client: "Client", events: Sequence["NumberedEvent"], until: float) -> "Snapshot":
    """The moment of the refusal itself, where there was one."""
    failure = newest_failure(events)
    refused = next((one.id for one in events if one is failure and one.oom is not None), None)
    return client.at(until) if refused is None else client.at(event=refused)


def _with_whole_failure(client: "Client", events: Sequence["NumberedEvent"]) -> "list[NumberedEvent]":
    """Events of a list; the one that the report is about as a whole, which may take megabytes."""
    failure = newest_failure(events)
    return [client.events(event=one.id)[0] if one is failure else one for one in events]


def _recorded_since(client: "Client", since: float, until: float) -> float:
    """Where in the range the recording begins."""
    series = client.history(since=since, until=until, points=INSTANTS).series
    starts = [start for one in series for start, *_ in one.points[:1]]
    return max(since, min(starts, default=since))


def _summaries(client: "Client", since: float, until: float) -> Iterator[SnapshotSummary]:
    """The instants that were recorded, each once."""
    before = 0.0
    for place in progress.through(range(INSTANTS), "asking the server", lambda place: place / INSTANTS):
        try:
            snapshot = client.at(since + (until - since) * place / INSTANTS, blocks="summary")
        except StatusError as error:
            if error.status != HTTP_NOT_FOUND:
                raise
            continue
        summary = summary_of(snapshot)
        if summary.time > before:
            before = summary.time
            yield summary
