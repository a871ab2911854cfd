"""Can I trust this? Every source, its age, and why it is not well."""

from blackbox.model.status import SourceStatus
from blackbox.terminal import figures
from blackbox.terminal.layout import TextLine, fit, wrapped
from blackbox.tui.pages.overview import waiting
from blackbox.tui.scene import PageLines, Scene, line, text

STATE_CELLS, NAME_CELLS = 14, 16
ABSENT_STATES = ("no_driver",)
"""What a machine never offers is no fault."""


def lines(scene: Scene) -> PageLines:
    """The page."""
    snapshot = scene.snapshot
    if snapshot is None:
        return PageLines(waiting(scene))
    look = scene.palette
    found: list[TextLine] = [line(" Sources of numbers", look.strong)]
    for source in snapshot.sources:
        found += _source(scene, source)
    unknown = [f"{key}: {reason}" for key, reason in snapshot.unknown.items()]
    if unknown:
        found += [(), line(f" {figures.ABSENT} for the whole machine", look.strong)]
        found += [line(f"  {part}") for words in unknown for part in wrapped(words, scene.width - 2, 2)]
    connection = scene.server.connection
    found += [(), line(" This connection", look.strong)]
    found.append(
        line(f"  {scene.server.label}, {connection.state} since {figures.clock(connection.since, scene.wall)}")
    )
    age = figures.span(snapshot.age_seconds)
    found.append(line(f"  sample {snapshot.seq} of {scene.clock(scene.cursor)}; then its oldest part was {age} old"))
    recorded = scene.server.no_recording or "kept; 'blackbox events' and the dashboard have all of it"
    found += [line(f"  {part}") for part in wrapped(f"recording: {recorded}", scene.width - 2, 2)]
    return PageLines(found)


def _source(scene: Scene, source: SourceStatus) -> list[TextLine]:
    look = scene.palette
    state, tone = source.state, look.warn
    if state == "ok":
        word, tone = "ok", look.good
    elif state in ABSENT_STATES:
        word, tone = figures.ABSENT, look.soft
    elif state == "stale":
        word = f"stale {figures.brief(source.age_seconds or 0.0)}"
    elif state == "failed":
        word, tone = "FAILED", look.alarm
    else:
        word = state
    age = "no sample yet" if source.age_seconds is None else f"{figures.span(source.age_seconds)} old"
    took = "" if source.duration_seconds is None else f", took {source.duration_seconds * 1000:.0f} ms"
    counts = f"{source.samples_total:,} samples, {source.failures_total:,} failed"
    first = (
        text(f"  {fit(word, STATE_CELLS)}", tone),
        text(fit(source.name, NAME_CELLS), look.strong),
        text(f"{age}{took}; {counts}", look.soft),
    )
    reason = [line(f"      {part}") for part in wrapped(source.reason, scene.width - 8)] if source.reason else []
    return [first, *reason]
