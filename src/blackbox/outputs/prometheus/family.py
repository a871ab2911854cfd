"""A metric family: its name, type and help, and the function that reads its series."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from prometheus_client.core import Metric

from blackbox.model.metric_names import MetricType

Seen = TypeVar("Seen")
LabelledValue = tuple[tuple[str, ...], float | None]
"""Label values and the value; None where nobody measured it, which leaves the series out."""


class Family(NamedTuple, Generic[Seen]):
    """One name of the exposition. Names, labels and units are a promise to dashboards: add, never rename."""

    name: str
    kind: MetricType
    help: str
    labels: tuple[str, ...]
    read: Callable[[Seen], Iterable[LabelledValue]]

    def metric(self, seen: Seen) -> Metric:
        """The family with the series that have a value."""
        metric = Metric(self.name.removesuffix("_total") if self.kind == "counter" else self.name, self.help, self.kind)
        for values, value in self.read(seen):
            if value is not None:
                metric.add_sample(self.name, dict(zip(self.labels, values, strict=True)), value)
        return metric


def metrics(families: Iterable[Family[Seen]], seen: Seen) -> Iterator[Metric]:
    """The families that have a series now."""
    for family in families:
        metric = family.metric(seen)
        if metric.samples:
            yield metric
