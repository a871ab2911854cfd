#!/bin/sh
# AIPerf takes the memory of one MIG instance for that of the GPU, and the code of an Xid for a number of errors.
#
# Expected: a GPU that is cut into instances has the memory of all of them, or one row for each; "XID Errors", in units of
# `count`, counts errors. What happens: of a page of DCGM's exporter the lines of a GPU overwrite each other, so the last
# instance on the page is the whole GPU: 3.2 GB where 72.4 are in use, and another figure where the order is another.
# `DCGM_FI_DEV_XID_ERRORS` is the code of the last error, as the model's own help says; its rise is reported: a first Xid 31
# is 31 errors, an Xid 31 after an Xid 79 is none, and so is the second Xid 31. With aiperf 0.13.0.
#
# So: memory of GPUs with MIG in such a report is not compared with the driver's, and Xids are read where they are events.

. "$(dirname "$0")/evidence.sh"

install numpy==2.4.6 prometheus_client==0.26.0 pydantic-settings==2.16.3 ruamel-yaml==0.19.1 orjson==3.13.0 cyclopts==5.5.2 msgspec==0.23.0 aiohttp==3.14.5 aiofiles==25.1.0 psutil==7.2.2 Jinja2==3.1.6 PyYAML==6.0.4 setuptools==84.2.1
install --no-deps aiperf==0.13.0
evidence <<'PYTHON'
from evidence import Evidence


from aiperf.common.models.telemetry_models import TelemetryHierarchy
from aiperf.gpu_telemetry.constants import GPU_TELEMETRY_COUNTER_METRICS, GPU_TELEMETRY_METRICS_CONFIG
from aiperf.gpu_telemetry.dcgm_collector import DCGMTelemetryCollector

PAGE = "http://localhost:9400/metrics"
MIB = 1 << 20
GPU = 'gpu="0",UUID="GPU-5f5ad4c0-0000-4000-8000-000000000001",modelName="NVIDIA A100-SXM4-80GB",device="nvidia0"'
collector = DCGMTelemetryCollector(PAGE)


def memory(*instances: tuple[str, int]) -> list[float | None]:
    """What is told to be in use on the GPU, in GB, where its instances stand on the page in this order."""
    lines = ["# TYPE DCGM_FI_DEV_FB_USED gauge"]
    for number, (profile, mib) in enumerate(instances, 1):
        lines.append(f'DCGM_FI_DEV_FB_USED{{{GPU},GPU_I_PROFILE="{profile}",GPU_I_ID="{number}"}} {mib}')
    records = collector._parse_metrics_to_records("\n".join(lines) + "\n")
    return [round(record.telemetry_data.nvidia_memory_used, 1) for record in records]


def xids(*codes: int) -> float:
    """What is told as the number of errors, where the exporter showed these codes one after the other."""
    hierarchy = TelemetryHierarchy()
    for second, code in enumerate(codes):
        text = f"# TYPE DCGM_FI_DEV_XID_ERRORS gauge\nDCGM_FI_DEV_XID_ERRORS{{{GPU}}} {code}\n"
        for record in collector._parse_metrics_to_records(text):
            hierarchy.add_record(record.model_copy(update={"timestamp_ns": second * 10**9}))
    ((gpu,),) = [gpus.values() for gpus in hierarchy.telemetry_source_endpoints.values()]
    name = "nvidia_xid_errors"
    return gpu.get_metric_result(name, name, name, "count", is_counter=name in GPU_TELEMETRY_COUNTER_METRICS).avg


evidence = Evidence()
large, small = ("4g.40gb", 36_000), ("3g.40gb", 30_000)
tiny = ("1g.10gb", 3_072)
evidence.see("three instances hold, GB", round((36_000 + 30_000 + 3_072) * MIB / 1e9, 1), 72.4)
evidence.see("the GPU's memory, the small one last", memory(large, small, tiny), [3.2])
evidence.see("the GPU's memory, the large one last", memory(tiny, small, large), [37.7])
units = {name: unit.value for _, name, unit in GPU_TELEMETRY_METRICS_CONFIG}
evidence.see("unit of XID errors", units["nvidia_xid_errors"], "count")
evidence.see("one Xid 31", xids(0, 0, 31, 31), 31.0)
evidence.see("a second Xid 31", xids(31, 31, 31), 0.0)
evidence.see("an Xid 31 after an Xid 79", xids(79, 79, 31), 0.0)
evidence.see("an Xid 79 after an Xid 31", xids(31, 31, 79), 48.0)
evidence.close()
PYTHON
