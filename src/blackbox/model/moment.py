"""A moment: the samples of all sources at one tick, not merged. It is what is published and recorded."""

from msgspec import Struct

from blackbox.model.sample import Sample
from blackbox.model.snapshot import Xid
from blackbox.model.status import SourceStatus


class Moment(Struct, frozen=True, kw_only=True):
    """All samples of one tick, unmerged: what the sampler publishes and every view is merged from."""

    seq: int
    timestamp: float
    """Unix seconds."""
    taken_at: float
    """The same instant on the monotonic clock, to which the samples' own times compare."""
    host: str
    samples: tuple[Sample, ...]
    sources: tuple[SourceStatus, ...]
    xids: dict[str, Xid] = {}
    """GPU UUID -> the last Xid seen on it since the server started."""
    stale_after_seconds: float = 1.5
    """Age from which figures no longer pass as fresh."""

    @property
    def simulated(self) -> bool:
        """Whether it is of the simulated machine."""
        return any(sample.simulated for sample in self.samples)
