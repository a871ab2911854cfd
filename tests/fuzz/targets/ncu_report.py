"""What NVIDIA's reader tells of a `.ncu-rep` file: msgpack of a list of figures per kernel."""

from collections.abc import Sequence

import msgspec

from blackbox.merge.kernels import kernel_entry
from blackbox.sources.nsight_compute.counters import counters
from blackbox.sources.nsight_compute.kernel import kernel
from tests.ncu import recorded

ALLOWED = (msgspec.DecodeError, UnicodeDecodeError)


def seeds() -> Sequence[bytes]:
    reports = [recorded(name)[:2] for name in ("a40-full", "gtx1660ti-basic")]
    return [
        msgspec.msgpack.encode([[(name, value, unit) for name, (value, unit) in one.items()] for one in report])
        for report in reports
    ]


def run(data: bytes) -> None:
    kernels = msgspec.msgpack.decode(data, type=list[list[tuple[str, float, str]]])
    for one in counters([kernel(0, figures) for figures in kernels], "ncu_report"):
        msgspec.json.encode(kernel_entry(one))
