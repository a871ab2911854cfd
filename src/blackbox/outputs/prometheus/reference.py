"""The list of metrics as Markdown: `python -m blackbox.outputs.prometheus.reference > docs/metrics.md`."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from blackbox.model.series import METRICS, Metric
from blackbox.outputs.prometheus.exporter import ENGINE_FAMILIES, GPU_FAMILIES, PROCESS_FAMILIES, SERVER_FAMILIES
from blackbox.outputs.prometheus.family import Family

HEAD = """\
# Metrics

<!-- Made by `python -m blackbox.outputs.prometheus.reference > docs/metrics.md`; edit the families instead. -->

`GET /metrics` answers in Prometheus' text format. The rules behind it:

- Base units, said in the name: bytes, seconds, ratios 0 to 1, degrees Celsius, watts; counters end in `_total`.
- A GPU or MIG instance is known by its `uuid` alone; what never changes about it stands once, on an `_info` series, to
  join with: `blackbox_gpu_memory_used_bytes * on(uuid) group_left(index, name) blackbox_gpu_info`.
- MIG instances have names of their own, so that `sum(blackbox_gpu_memory_used_bytes)` counts no byte twice.
- What nobody measured has no series. It is never 0, and never the last value again: when a GPU is lost or its figures
  are stale, `blackbox_gpu_up` falls to 0 and its readings vanish.
- What programs told of themselves is in no number of who may not see inside them ([security](security.md#who-may-ask)).
- The readings are put into text once per sample, however many servers scrape; scraping does not touch the driver.
- Names and labels are kept: new ones may come, none is renamed.
"""

PROCESS_HEAD = (
    "Only with `--process-metrics`: each process is a set of series of its own. They go when the process goes."
)


ENGINE_HEAD = "Their KV caches and requests; an engine whose process on the GPU is not known has an empty `pid`."


RECORDED_HEAD = """\
`metric=` of `/vram/history` and `/vram/aggregated`, and the column `metric` of an export, name a key of the
snapshot. What `owner` may see, others do not get; who may see everything does.
"""
SUBJECT_NAMES = {"machine": "machine", "gpu": "GPU", "process": "process", "engine": "engine"}


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            HEAD,
            *_table("GPUs and MIG instances", None, GPU_FAMILIES),
            *_table("Processes", PROCESS_HEAD, PROCESS_FAMILIES),
            *_table("Inference engines", ENGINE_HEAD, ENGINE_FAMILIES),
            *_table("Blackbox itself", "Beside these, the usual `process_*` series of the server.", SERVER_FAMILIES),
            *_recorded(),
        ]
    )


def _table(title: str, text: str | None, families: Iterable[Family[Any]]) -> Iterator[str]:
    yield f"## {title}\n"
    if text is not None:
        yield text + "\n"
    yield "| Name | Type | Labels | Meaning |\n|---|---|---|---|"
    for family in families:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{family.name}` | {family.kind} | {labels} | {family.help} |"
    yield ""


def _recorded() -> Iterator[str]:
    yield f"## In the recording\n\n{RECORDED_HEAD}"
    yield "| Key | Of | Unit | Seen by | Meaning |\n|---|---|---|---|---|"
    for metric in METRICS:
        if metric.recorded:
            yield _recorded_row(metric)
    yield ""


def _recorded_row(metric: Metric) -> str:
    subjects = ", ".join(SUBJECT_NAMES[kind] for kind in metric.subjects)
    return f"| `{metric.key}` | {subjects} | {metric.unit} | {metric.visible_to} | {metric.help.format('subject')} |"


if __name__ == "__main__":
    sys.stdout.write(page())
