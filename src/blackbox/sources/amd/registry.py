"""The GPUs this machine has, or had: each with its last figures, and whether these can still be trusted."""

from collections.abc import Callable, Iterable

from blackbox.model.event import Event
from blackbox.model.parts import Device, GpuState, Memory
from blackbox.sources.amd.cards import Card
from blackbox.sources.amd.files import FileFailure, FileFault, Files
from blackbox.sources.amd.gauges import GAUGES, GaugeReader, Gauges, read_memory

FAILURES_MAX = 4
"""Passing failures in a row that make a GPU lost: two seconds at the default interval."""
UNLISTED = FileFailure(FileFault.GONE, "the driver lists this GPU no more")
_STATES: dict[FileFault, GpuState] = {
    FileFault.DENIED: "no_access",
    FileFault.GONE: "lost",
    FileFault.QUARANTINED: "failed",
}


class TrackedGpu:
    """A GPU under its UUID, through loss and return."""

    def __init__(self, card: Card, now: float) -> None:
        self.card = card
        self.state: GpuState = "ok"
        self.reason: str | None = None
        self._taken_at = now
        self._memory: Memory | None = None
        self._memory_unknown = {"memory": "not read yet"}
        self._gauges: Gauges | None = None
        self._gauge_reader = GaugeReader(card)
        self._failures = 0

    @property
    def total_bytes(self) -> int | None:
        """The most that a process can hold on it, where that is known."""
        return self._memory.total_bytes if self._memory and "total_bytes" not in self._memory_unknown else None

    def move(self, card: Card) -> None:
        """It stands elsewhere now, or its index is another."""
        if card != self.card:
            self.card, self._gauge_reader = card, GaugeReader(card)

    def read(self, files: Files, now: float) -> None:
        """Reads memory and gauges."""
        reading = read_memory(files, self.card)
        if isinstance(reading, FileFailure):
            self.fail(reading, now)
            return
        self.state, self.reason, self._failures = "ok", None, 0
        (self._memory, self._memory_unknown), self._taken_at = reading, now
        self._gauges = self._gauge_reader.read(files, now)

    def fail(self, failure: FileFailure, now: float) -> None:
        """Takes note that the GPU did not answer."""
        if failure.fault is FileFault.ABSENT:  # nothing is wrong with it: it does not tell
            self.state, self.reason, self._taken_at = "ok", None, now
            self._forget(failure.reason)
            return
        self._failures += failure.fault is FileFault.PASSING
        self.reason = failure.reason
        if failure.fault is FileFault.PASSING and self._failures < FAILURES_MAX:
            self.state = "lost" if self.state == "lost" else "stale"
            return
        self.state = _STATES.get(failure.fault, "lost")
        self._forget(failure.reason)

    def describe(self, processes_unknown: str | None, is_partly_listed: bool = False) -> Device:
        """What is known, with the age and the reasons of what is not."""
        gauges = self._gauges or Gauges(None, None, None, dict.fromkeys(GAUGES, self.reason or "not read yet"))
        unknown = gauges.unknown | self._memory_unknown
        if processes_unknown:
            unknown["processes"] = processes_unknown
        return Device(
            uuid=self.card.uuid,
            index=self.card.index,
            name=self.card.name,
            state=self.state,
            reason=self.reason,
            taken_at=self._taken_at,
            memory=self._memory,
            utilization_percent=gauges.utilization_percent,
            temperature_celsius=gauges.temperature_celsius,
            power_watts=gauges.power_watts,
            is_partly_listed=is_partly_listed,
            unknown=unknown,
        )

    def _forget(self, reason: str) -> None:
        self._memory, self._memory_unknown, self._gauges = None, {"memory": reason}, None


class DeviceRegistry:
    """GPUs by UUID. One that goes stays, as lost."""

    def __init__(self, files: Files, wall_clock: Callable[[], float]) -> None:
        self._files = files
        self._wall_clock = wall_clock
        self._gpus: dict[str, TrackedGpu] = {}
        self._listed: frozenset[str] = frozenset()
        self._events: list[Event] = []

    @property
    def gpus(self) -> list[TrackedGpu]:
        """In the order of their indices."""
        return sorted(self._gpus.values(), key=lambda gpu: gpu.card.index)

    @property
    def totals(self) -> dict[str, int]:
        """UUID of a GPU -> bytes it has, where that is known."""
        return {uuid: gpu.total_bytes for uuid, gpu in self._gpus.items() if gpu.total_bytes is not None}

    def apply(self, cards: Iterable[Card], now: float) -> None:
        """Takes over an enumeration."""
        for card in cards:
            if card.uuid in self._gpus:
                self._gpus[card.uuid].move(card)
            else:
                self._gpus[card.uuid] = TrackedGpu(card, now)
        self._listed = frozenset(card.uuid for card in cards)

    def read(self, now: float) -> None:
        """Reads every GPU."""
        for uuid, gpu in self._gpus.items():
            was_lost = gpu.state == "lost"
            if uuid in self._listed:
                gpu.read(self._files, now)
            else:
                gpu.fail(UNLISTED, now)
            if (gpu.state == "lost") != was_lost:
                self._note(gpu)

    def drain_events(self) -> tuple[Event, ...]:
        """Losses and returns since the last call."""
        events, self._events = tuple(self._events), []
        return events

    def _note(self, gpu: TrackedGpu) -> None:
        index = gpu.card.index
        self._events.append(
            Event(
                kind="gpu_lost" if gpu.state == "lost" else "gpu_back",
                timestamp=self._wall_clock(),
                message=f"GPU {index} lost: {gpu.reason}" if gpu.state == "lost" else f"GPU {index} is back",
                gpu_uuid=gpu.card.uuid,
            )
        )
