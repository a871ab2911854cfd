"""What an adapter makes of an engine's answers."""

from collections.abc import Callable, Mapping
from re import Pattern
from typing import NamedTuple, Protocol, TypeVar

from msgspec import structs

from blackbox.model.parts import InferenceEngine
from blackbox.model.text import printable as text_of_others
from blackbox.sources.engines.metrics import Metrics
from blackbox.sources.engines.versions import CheckedVersions

T = TypeVar("T")
TEXT_CHARS_MAX = 200
"""Of a model's name."""
FIGURES = (
    "kv_pages_total",
    "kv_pages_used",
    "kv_pages_cached",
    "kv_usage_ratio",
    "prefix_hit_ratio",
    "requests_running",
    "requests_waiting",
    "preemptions_total",
)


class ScrapedEngine(NamedTuple):
    """An engine behind one address; its `pid` is yet to be found."""

    engine: InferenceEngine
    rank: str | None = None
    """Which of several engines that share the address, in the engine's own words."""
    left_out: str | None = None
    """What else was told beside it, and could not be read."""


class Scrape(Protocol):
    """Asks one address. Each page is fetched once per visit. Raises `NoAnswerError`."""

    @property
    def is_working(self) -> bool | None:
        """Whether the process behind the address works on something now, as seen without asking it; None where that
        cannot be seen."""
        ...

    def metrics(self, path: str = "/metrics") -> Metrics:
        """The known lines of a page of metrics; none where there is no such page."""
        ...

    def json(self, path: str, shape: type[T]) -> T | None:
        """A page of JSON; None where there is no such page, or it has another shape."""
        ...

    def lasting(self, path: str, shape: type[T]) -> T | None:
        """A page of JSON that does not change while the engine lives."""
        ...

    def remembers(self, what: str) -> bool:
        """Whether an earlier visit noted this of the address."""
        ...

    def remember(self, what: str) -> None:
        """Notes it for later visits."""
        ...


class Adapter(NamedTuple):
    """One kind of engine."""

    kind: str
    programs: Pattern[str]
    """Found in the command lines of its processes."""
    read: Callable[[Scrape], tuple[ScrapedEngine, ...] | None]
    """The engines behind the address; None when it is none of this kind. Raises `NoAnswerError`."""
    names: frozenset[str] = frozenset()
    """The lines of `/metrics` that it reads."""
    namespace: str | None = None
    """What all its names begin with: by that it is recognised, whatever its version."""
    checked: CheckedVersions | None = None
    """None where no version is told that it could be compared with."""
    version: Callable[[Scrape], str | None] = lambda _: None
    """What the engine tells of its own; asked once while it lives. Raises `NoAnswerError`."""


def explained(
    engine: InferenceEngine, reasons: Mapping[str, str], otherwise: str, notes: Mapping[str, str] | None = None
) -> InferenceEngine:
    """The engine with a reason for each figure that it lacks, and with `notes` on those that are not what they seem."""
    lacking = [field for field in FIGURES if getattr(engine, field) is None]
    noted = {field: note for field, note in (notes or {}).items() if field not in lacking}
    missing = {field: reasons.get(field, otherwise) for field in lacking}
    return structs.replace(engine, unknown=engine.unknown | noted | missing)


def unsupported(kind: str, why: str) -> InferenceEngine:
    """An engine of a known kind whose figures nobody can read."""
    return explained(InferenceEngine(kind=kind, pid=None, model=None), {}, f"unsupported version of {kind}: {why}")


def silent(engine: InferenceEngine, reason: str) -> InferenceEngine:
    """The engine without its figures, which are no longer those of now."""
    known = InferenceEngine(kind=engine.kind, pid=engine.pid, model=engine.model)
    return explained(known, {}, reason)


def printable(text: str | None) -> str | None:
    """A name that an engine gives, fit for a log and a screen."""
    return None if text is None else text_of_others(text[:TEXT_CHARS_MAX])
