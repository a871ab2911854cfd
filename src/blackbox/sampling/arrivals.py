"""Which sources run here: at the start, and of those that found nothing to ask then, once there is something."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from blackbox.sources.base import OptionValues, SourceSpec

LOOK_SECONDS = 60.0
"""Between two looks for what was not there: a look at a path or two, and who waits for a kubelet waits for minutes."""

R = TypeVar("R")

log = logging.getLogger(__name__)


class SourceArrivals(Generic[R]):
    """Makes a runner of each source as soon as it can run. For one thread."""

    def __init__(
        self,
        specs: Iterable[SourceSpec],
        options: OptionValues,
        make: Callable[[SourceSpec], R],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`specs` are those that are to run, where they can."""
        self._absent = list(specs)
        """What they would ask is not there; empty once nothing more can come."""
        self._options = options
        self._make = make
        self._clock = clock
        self._look_at = float("-inf")

    def __call__(self) -> list[R]:
        """Runners of the sources that can run since the last look; looks once a minute. One that can never run here is
        told once, in the log."""
        if not self._absent or self._clock() < self._look_at:
            return []
        self._look_at = self._clock() + LOOK_SECONDS
        looked_at, self._absent = self._absent, []
        return [runner for spec in looked_at for runner in self._made(spec)]

    def _made(self, spec: SourceSpec) -> list[R]:
        hindrance = spec.hindrance(self._options)
        if hindrance is None:
            return [self._make(spec)]
        if hindrance:
            log.warning("%s: %s", spec.name, hindrance)
        else:
            self._absent.append(spec)
        return []
