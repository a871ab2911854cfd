"""All that a page is made of, at one instant."""

from collections.abc import Sequence
from typing import NamedTuple

from blackbox.model.query import NumberedEvent
from blackbox.model.snapshot import Gpu, Process, Snapshot
from blackbox.model.text import rfc3339_seconds
from blackbox.terminal import figures
from blackbox.terminal.colour_depth import Depth
from blackbox.terminal.layout import Fragment, Look, TextLine
from blackbox.terminal.ledger import GpuLedger, gpu_label, leaves, ledgers
from blackbox.terminal.looks import Palette, palette
from blackbox.tui.answers import Answers
from blackbox.tui.feed import ServerState
from blackbox.tui.view import View


class PageLines(NamedTuple):
    """What a page shows."""

    lines: list[TextLine]
    rows: int = 0
    """Rows that can be chosen."""
    chosen_line: int | None = None
    """Where the chosen one stands; it is kept on the screen."""


class Scene(NamedTuple):
    """Of this size, in these colours."""

    width: int
    height: int
    """Of what a page has for itself."""
    depth: Depth
    servers: Sequence[ServerState]
    view: View
    answers: Answers
    wall: float
    """Unix seconds by this machine's clock."""

    @property
    def server(self) -> ServerState:
        """The chosen one."""
        return self.servers[self.view.server]

    @property
    def palette(self) -> Palette:
        """Looks of words."""
        return palette(self.depth)

    @property
    def is_live(self) -> bool:
        """Now is looked at, not a time in the past."""
        return self.view.time is None

    @property
    def past_key(self) -> tuple[object, ...]:
        """Names the question for the time looked at."""
        return self.view.server, self.view.time, self.view.event

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest, or that of the time looked at."""
        return self.server.snapshot if self.is_live else self.answers.past.of(self.past_key)

    @property
    def ledgers(self) -> tuple[GpuLedger, ...]:
        """Of that snapshot."""
        if self.is_live:
            return self.server.ledgers
        snapshot = self.snapshot
        return () if snapshot is None else ledgers(snapshot)

    @property
    def leaves(self) -> tuple[GpuLedger, ...]:
        """GPUs that hold memory, of the chosen GPU alone where one is chosen."""
        found = tuple(leaves(self.ledgers))
        return tuple(one for one in found if self.view.gpu in (None, one.gpu.uuid, one.gpu.parent_uuid)) or found

    @property
    def now(self) -> float:
        """Time of the newest snapshot."""
        return self.server.now or self.wall

    @property
    def cursor(self) -> float:
        """The time looked at, or now."""
        return self.view.time if self.view.time is not None else self.now

    def clock(self, seconds: float, *, tenths: bool = False) -> str:
        """A time of day."""
        text = figures.clock(seconds, self.now)
        return f"{text}.{int(seconds * 10) % 10}" if tenths else text


def seconds_of(snapshot: Snapshot) -> float:
    """Its time, in Unix seconds."""
    return rfc3339_seconds(snapshot.timestamp)


def text(words: str, look: Look | None = None, target: str | None = None) -> Fragment:
    """A fragment."""
    return Fragment(words, look or Look(), target)


def line(words: str, look: Look | None = None, target: str | None = None) -> TextLine:
    """A line of one look."""
    return (text(words, look, target),)


def short_label(gpu: Gpu) -> str:
    """`GPU 0`, or `MIG 1` for a slice that stands below its GPU."""
    return f"GPU {gpu.index}" if gpu.mig is None else f"MIG {gpu.mig.gpu_instance_id}"


def place_of(scene: Scene, uuid: str | None) -> str:
    """`2 / MIG 1`: where, in a column."""
    found = next((one for one in leaves(scene.ledgers or scene.server.ledgers) if one.gpu.uuid == uuid), None)
    if found is not None:
        return gpu_label(found.gpu).removeprefix("GPU ")
    return figures.ABSENT if uuid is None else uuid


def why_absent(unknown: dict[str, str], key: str, otherwise: str) -> str:
    """Why a value was not measured."""
    return unknown.get(key, otherwise)


NO_ALLOCATOR = "no allocator reports from this process: start it with `blackbox run`"


def reports(process: Process) -> bool:
    """An allocator tells what is inside."""
    return "reserved_bytes" not in process.unknown


def names_of(events: Sequence[NumberedEvent]) -> dict[int, str]:
    """Names of processes, also of ended ones, from the events of their life."""
    return {
        event.pid: event.process.name
        for event in events
        if event.pid is not None and event.process is not None and event.process.name
    }
