"""The answer of `GET /vram/forecast`: predictions, whose rises they rest on, and advice."""

from typing import Any

from msgspec import Struct, field

from blackbox.model.event import RISE_SHARE
from blackbox.model.quantity import Count


class Evidence(Struct, frozen=True, kw_only=True):
    """The measured rise that a prediction rests on."""

    from_: float = field(name="from")
    """First point."""
    to: float
    """Last point."""
    points: int
    """Least values of equal stretches of time."""
    rise_bytes: int
    """Between the medians of the first and the last sixth."""
    rate_bytes_per_second: float
    """Median of the slopes between all pairs of points (Theil-Sen)."""
    rate_low_bytes_per_second: float
    """Lower end of the 95 % interval of the rate."""
    rate_high_bytes_per_second: float
    """Upper end."""

    @property
    def rise_seconds(self) -> float:
        """Time in which it rose by `rise_bytes`."""
        return (self.to - self.from_) * RISE_SHARE


class EarlierFailures(Struct, frozen=True, kw_only=True):
    """Refusals that are kept in the recording, of memory that the same stack had filled or asked for."""

    count: Count
    """How many."""
    first_at: float
    """Unix seconds."""
    last_at: float
    """Unix seconds."""
    last_pid: int | None
    """Process that the last one happened to."""


class GrowthOrigin(Struct, frozen=True, kw_only=True):
    """What a rise is for and who allocates it, as measured between its beginning and now."""

    purpose: str | None
    """What most of it is for, as in `purposes` of a process; null where its allocator tells no blocks."""
    purpose_rise_bytes: int | None
    """So much more of it."""
    frames: tuple[str, ...] | None
    """The stack whose live memory grew most, innermost first; null where none are recorded."""
    stack_rise_bytes: int | None
    """So much more of it."""
    earlier_failures: EarlierFailures | None
    """Of the same stack on the same GPU; null without any."""


class Grower(Struct, frozen=True, kw_only=True):
    """The process whose rise fills the memory."""

    pid: int
    """Process, in the server's pid namespace."""
    name: str
    """The kernel's name of the process."""
    start_time: float | None
    """Unix seconds; with the pid, its identity."""
    user: str | None
    """Its owner."""
    since: float
    """Unix seconds: when its rise began, as far as it was recorded."""
    origin: GrowthOrigin | None
    """null where it tells nothing from inside, or not to this viewer."""


class Outlook(Struct, frozen=True, kw_only=True):
    """What becomes of a GPU, or of a process on it, if the rise goes on. A prediction."""

    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    gpu_uuid: str
    """UUID of the device: the MIG instance where there is one."""
    pid: int | None
    """null: all of the GPU's memory."""
    name: str | None
    """Of the process or the GPU."""
    start_time: float | None
    """Of the process."""
    used_bytes: int
    """Measured: held by the newest sample."""
    headroom_bytes: int
    """Measured: free on the GPU, which is what a process may still get while all others stand still."""
    full_in_seconds_min: float | None
    """Predicted: the GPU is full no sooner, at the upper end of the rate; null without a trend."""
    full_in_seconds: float | None
    """Predicted: at the median rate."""
    full_in_seconds_max: float | None
    """Predicted: no later, at the lower end of the rate."""
    since: float | None = None
    """Unix seconds: when the rise began, as far as it was recorded; null without one."""
    grower: Grower | None = None
    """Who makes it rise: the process itself, or on a GPU the one that grows fastest; null without a prediction, or
    where no process has a trend."""
    evidence: Evidence | None
    """null where there is no trend, and so no prediction."""
    unknown: dict[str, str] = {}
    """`full_in_seconds`: why nobody can tell whether it fills, such as of a GPU that does not answer. Where it can be
    told and nothing rises, this is empty."""
    predictable_from: float | None = None
    """Unix seconds: about when enough is recorded to tell whether it fills; null where it is, or where that is not what
    is missing."""
    message: str
    """The same in words."""


class Advice(Struct, frozen=True, kw_only=True):
    """An inference engine that reserves far more KV cache than it uses. A conclusion, with its evidence."""

    engine: str
    """Kind of the engine."""
    pid: int | None
    """Its process on the GPU."""
    model: str | None
    """What it serves."""
    used_ratio_max: float
    """Measured: the largest share of the pool in use."""
    seen_seconds: float
    """Measured over this long."""
    pool_bytes: int | None
    """Measured: size of the pool's blocks in the newest snapshot; null where nobody told them."""
    spare_bytes: int | None
    """What the pool could give back and still hold one and a half times the most it ever held."""
    setting: str
    """The engine's setting to change."""
    message: str
    """The same in words."""


class Forecast(Struct, frozen=True, kw_only=True):
    """Answer of `GET /vram/forecast`: predictions and advice, from what was recorded. Nothing here was measured
    unless it says so."""

    timestamp: float
    """When it was made."""
    gpus: tuple[Outlook, ...]
    """Every GPU and MIG instance, with or without a trend."""
    processes: tuple[Outlook, ...]
    """Processes with a trend, the soonest first."""
    advice: tuple[Advice, ...]
    """Settings worth changing."""
    simulated: bool = False
    """Of the simulated machine: no figure here is real."""

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a line per GPU, then per process with a trend. Raises `ImportError` where there is
        no pandas."""
        from blackbox.model.notebook import forecast_frame

        return forecast_frame(self)

    def _repr_html_(self) -> str:
        """GPUs and processes as a table, then the advice."""
        from blackbox.model.notebook import forecast_html

        return forecast_html(self)
