"""Why a process has no kernel counters, told for each by itself."""

from typing import Literal

from msgspec import structs

from blackbox.merge import merge
from blackbox.merge.selection import KERNEL_COUNTERS
from blackbox.model.parts import KernelCounters
from blackbox.model.snapshot import KernelMetrics
from tests import moments
from tests.moments import SERVER, SILENT, TRAINER


def entries(**facts: str) -> dict[str, KernelMetrics]:
    return merge(moments.moment(sources=(moments.status(facts=facts),))).nsight_metrics


def alone(**facts: str) -> KernelMetrics:
    """The entry of the only process on the only GPU."""
    sample = moments.sample((moments.device(0),), (moments.process(SILENT),))
    moment = moments.moment(sample, sources=(moments.status(facts=facts),))
    return merge(moment).nsight_metrics[str(SILENT)]


def reason(entry: KernelMetrics) -> str:
    assert not entry.available
    assert not any(getattr(entry, name) for name in KERNEL_COUNTERS)
    assert entry.reason is not None
    return entry.reason


def test_a_crowded_gpu_is_the_reason() -> None:
    told = reason(entries()[str(SERVER)])
    assert "GPU 0 runs 3 processes, and live counters are of the whole GPU" in told
    assert "--gpm" not in told


def test_alone_on_its_gpu_live_counters_need_only_be_switched_on() -> None:
    assert "live counters are off (blackbox serve --gpm or --pm-sampling)" in reason(alone())
    assert "--gpm" not in reason(alone(gpm="on"))
    assert "no window of PM sampling" in reason(alone(pm_sampling="on"))


def test_of_amds_gpus_nobody_counts_kernels() -> None:
    assert reason(alone(profiling="none")) == "no profiler measures this process: kernels on AMD's GPUs are not counted"


def test_the_source_that_counts_most_of_a_gpu_is_believed_but_after_the_processs_own() -> None:
    def row(scope: Literal["process", "device"], source: str, **counted: int) -> KernelCounters:
        return KernelCounters(pid=SILENT, scope=scope, source=source, **{**dict.fromkeys(KERNEL_COUNTERS), **counted})

    gpm = row("device", "gpm", occupancy=1, memory_throughput=2)
    windows = row("device", "pm_sampling", occupancy=1, memory_throughput=2, dram_read_bytes=3)
    inside = row("process", "cupti", threads_per_block=64)
    silent = row("process", "cupti")
    for rows, expected in (
        ((gpm, windows), "pm_sampling"),
        ((windows, gpm), "pm_sampling"),
        ((inside, windows), "cupti"),
        ((windows, silent), "pm_sampling"),
    ):
        sample = moments.sample((moments.device(0),), (moments.process(SILENT),), kernels=rows)
        assert merge(moments.moment(sample)).nsight_metrics[str(SILENT)].source == expected


def test_where_counters_are_for_administrators_the_way_to_them_says_so() -> None:
    assert "blackbox run --ncu as root" in reason(alone(profiling="administrators"))
    assert reason(alone(profiling="everyone")).endswith("blackbox run --ncu")


def test_a_source_tells_its_own_reason() -> None:
    silent = KernelCounters(
        pid=SILENT,
        scope="device",
        source="gpm",
        unknown=dict.fromkeys(KERNEL_COUNTERS, "busy"),
        **dict.fromkeys(KERNEL_COUNTERS),
    )
    sample = moments.sample((moments.device(0),), (moments.process(SILENT),), kernels=(silent,))
    entry = merge(moments.moment(sample)).nsight_metrics[str(SILENT)]
    assert reason(entry) == "busy"
    mixed = structs.replace(silent, unknown={**silent.unknown, "occupancy": "other"})
    entry = merge(moments.moment(structs.replace(sample, kernels=(mixed,)))).nsight_metrics[str(SILENT)]
    assert reason(entry) == "its source measured nothing"


def test_what_was_measured_has_no_reason() -> None:
    entry = entries()[str(TRAINER)]
    assert (entry.available, entry.reason, entry.unknown) == (True, None, {})


def counted(scope: str, **counters: int) -> KernelCounters:
    return KernelCounters(pid=SILENT, scope=scope, source=scope, **{**dict.fromkeys(KERNEL_COUNTERS), **counters})


def test_what_is_known_of_the_process_itself_comes_before_what_is_known_of_its_gpu() -> None:
    inside, outside = counted("process", threads_per_block=256), counted("device", memory_throughput=9)
    silent = counted("process")
    for told, source in (
        ((outside, inside), "process"),
        ((inside, outside), "process"),
        ((silent, outside), "device"),
        ((outside, silent), "device"),
    ):
        sample = moments.sample((moments.device(0),), (moments.process(SILENT),), kernels=told)
        assert merge(moments.moment(sample)).nsight_metrics[str(SILENT)].source == source


def test_what_an_agent_says_of_kernels_is_not_for_other_users() -> None:
    sample = moments.sample(
        (moments.device(0),),
        (moments.process(SILENT, uid=1000),),
        kernels=(counted("process", threads_per_block=256), counted("device", memory_throughput=9)),
    )
    for viewer, source in ((None, "process"), (1000, "process"), (1001, "device")):
        entry = merge(moments.moment(sample), viewer_uid=viewer).nsight_metrics[str(SILENT)]
        assert entry.source == source
