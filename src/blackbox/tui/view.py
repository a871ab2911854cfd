"""What the reader looks at: page, time, GPU, filter, order, marks. Changed by keys and clicks alone."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

Page = Literal["overview", "map", "timeline", "processes", "moment", "compare", "incidents", "health"]
PAGES: tuple[Page, ...] = get_args(Page)
"""In the order of their keys, 1 to 8, as on the dashboard."""
TITLES: dict[Page, str] = {page: page.capitalize() for page in PAGES}
SPAN_SECONDS = 300.0
"""What the strip of time shows at first, as on the dashboard."""
SPAN_SECONDS_MIN, SPAN_SECONDS_MAX = 30.0, 7 * 86_400.0
GROUPINGS = ("stack", "icicle", "purpose", "thread")


class Order(NamedTuple):
    """An order that the reader asked for. It holds until the next: no tick moves a row."""

    column: str
    descending: bool
    keys: tuple[object, ...]
    """Rows in it, as of then; new ones stand behind them."""


@dataclass
class View:
    """The state of the screen."""

    page: Page = "overview"
    server: int = 0
    """Which of the servers; the overview shows them all."""
    time: float | None = None
    """The time looked at, in Unix seconds; None: now, and on."""
    event: int | None = None
    """The event whose own moment is looked at, where it is that of a refusal."""
    paused: bool = False
    """The time was stopped where it was, rather than chosen."""
    gpu: str | None = None
    """UUID of the one GPU that is looked at; None: all."""
    span_seconds: float = SPAN_SECONDS
    filter: str = ""
    typing: bool = False
    """The keyboard writes the filter."""
    order: Order | None = None
    a: float | None = None
    b: float | None = None
    part: int = 0
    """Which of the processes with a map."""
    grouping: int = 0
    """Of `GROUPINGS`."""
    inside: tuple[str, ...] = ()
    """The box of the icicle that is looked into; empty: all."""
    row: dict[Page, int] = field(default_factory=dict[Page, int])
    """The chosen row of a page."""
    scroll: dict[Page, int] = field(default_factory=dict[Page, int])
    """Lines above the first shown."""
    helps: bool = False
    """The keys are shown."""

    @property
    def chosen(self) -> int:
        """The chosen row of the page shown."""
        return self.row.get(self.page, 0)

    def go(self, page: Page) -> None:
        """Shows a page."""
        self.page, self.helps, self.typing = page, False, False

    def look_at(self, time: float | None, now: float, event: int | None = None) -> None:
        """Looks at a time; one that is not past is now."""
        self.time = None if time is None or time >= now else time
        self.event = event if self.time is not None else None
        self.paused = False

    def zoom(self, factor: float) -> None:
        """Shows more time, or less."""
        self.span_seconds = min(SPAN_SECONDS_MAX, max(SPAN_SECONDS_MIN, self.span_seconds * factor))
