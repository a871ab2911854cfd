"""The processes on a GPU, as one thread of the server tells another."""

from collections.abc import Callable, Sequence
from operator import is_

from blackbox.model.parts import DeviceProcess
from blackbox.model.sample import Sample


class GpuPids:
    """Pids of the processes on a GPU, of those that have them in our namespace: only they are found in /proc. The same
    object while the samples' lists of processes, which are immutable, are. For any thread."""

    def __init__(self, samples: Callable[[], Sequence[Sample]]) -> None:
        self._samples = samples
        self._known: tuple[tuple[tuple[DeviceProcess, ...], ...], frozenset[int]] = (), frozenset()
        """The lists, and the pids in them: replaced as one, so that no thread sees halves."""

    def __call__(self) -> frozenset[int]:
        lists = tuple(sample.processes for sample in self._samples() if sample.processes)
        before, pids = self._known
        if len(lists) != len(before) or not all(map(is_, lists, before)):
            pids = frozenset(row.pid for rows in lists for row in rows if row.start_time is not None)
            self._known = lists, pids
        return pids
