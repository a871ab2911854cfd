"""The tables of a fleet in ClickHouse, as data: what they are made, upgraded, filled, asked and explained from.

Rules that hold everywhere:

- What nobody measured is NULL, never 0 or empty. The only exceptions are keys, which cannot be NULL: `start_ms` is -1
  where the start of a process is not known, and the `pid` of an engine -1 where it is not.
- A row that comes twice is one row (`FINAL`, or the aggregates of its key), so that a batch may be sent again. Roll-ups
  have aggregates alone that do not mind: the least, the largest, the union. A sum would count a late repeat twice.
- All rows of a machine are on one shard. On a cluster `NAME` is `Distributed` over `NAME_local`; on one node `NAME` is
  the table itself. Questions always read `NAME`.
- A column that is added later has a default, so that older servers go on shipping into newer tables.
"""

from collections.abc import Iterator

from blackbox.fleet.table import Table, TableColumn

VERSION = 3
"""Of the tables. It grows with every column and table that is added."""
COMMENT = "Blackbox fleet, version"
"""The comment of every table begins so, the version follows."""
LOCAL_SUFFIX = "_local"
DEDUPLICATION_WINDOW = 10_000
"""Inserts whose tokens a shard remembers: of 1,000 machines that send four tables every five minutes, 12 minutes.
Without it a table that is not replicated remembers none. Later repeats are caught by the key."""
MINUTES_DAYS, LIVES_DAYS = 30, 365
"""Rows of minutes are kept as long as the recording keeps its own; lives, events and hours longer."""

TIME = "DateTime('UTC')"
EXACT_TIME = "DateTime64(3, 'UTC')"
NAME = "LowCardinality(String)"
MAYBE_NAME = "LowCardinality(Nullable(String))"
TIME_CODEC = "DoubleDelta, ZSTD(1)"
NUMBER_CODEC = "Delta, ZSTD(1)"
START_TIME = TableColumn(
    "start_time",
    f"Nullable({EXACT_TIME})",
    "Start of the process; NULL where it is not known.",
    default="ALIAS if(start_ms < 0, NULL, fromUnixTimestamp64Milli(start_ms, 'UTC'))",
)

WHERE = (
    TableColumn("tenant", NAME, "Whose machine it is, as its server was told (`--fleet-tenant`); empty without one."),
    TableColumn("machine", NAME, "The machine: a hash of its machine-id and its recording, 16 hex digits."),
    TableColumn("host", NAME, "The machine's name. It may change, and two machines may have the same."),
)
MINUTE = (
    TableColumn("ts", TIME, "Start of the minute, UTC.", TIME_CODEC),
    TableColumn(
        "moment",
        f"Nullable({EXACT_TIME})",
        "When the last moment of the minute was taken, whose values stand in the columns without suffix; NULL where no "
        "moment is kept.",
        "Delta, ZSTD(1)",
    ),
)
DELIVERY = (
    TableColumn("batch", "UInt64", "Hash of the bytes that brought the row: a delivery is verified by it.", "ZSTD(1)"),
    TableColumn("received", TIME, "When the engine took it.", "Delta, ZSTD(1)", "DEFAULT now()"),
)
PROCESS_KEY = (
    TableColumn("gpu_uuid", NAME, "UUID of the GPU, or of the MIG instance."),
    TableColumn("pid", "Int32", "Process id, in the pid namespace of the server.", "ZSTD(1)"),
    TableColumn("start_ms", "Int64", "Start of the process in Unix milliseconds, -1 where it is not known.", "ZSTD(1)"),
    START_TIME,
)
OWNER = (
    TableColumn("user", MAYBE_NAME, "Its owner: a hash unless the server was told otherwise (`--fleet-users`)."),
    TableColumn("container", MAYBE_NAME, "Container id."),
    TableColumn("runtime", MAYBE_NAME, "Who runs the container: `docker`, `containerd`, `cri-o`, `podman`, ..."),
    TableColumn("namespace", MAYBE_NAME, "Kubernetes namespace of its pod."),
    TableColumn("pod", MAYBE_NAME, "Name of its pod."),
    TableColumn("pod_uid", MAYBE_NAME, "Uid of its pod."),
    TableColumn("slurm_job", MAYBE_NAME, "Number of its Slurm job."),
    TableColumn("slurm_step", MAYBE_NAME, "Step of that job."),
)
"""Whose a process is. NULL where nobody told, or where there is no such thing."""
OWNER_KEYS = tuple(column.name for column in OWNER)


def _statistics(key: str, kind: str, meaning: str) -> Iterator[TableColumn]:
    number = f"Nullable({kind})"
    yield TableColumn(key, number, f"{meaning} In the minute's last moment.", NUMBER_CODEC)
    yield TableColumn(f"{key}_min", number, "The least of the minute.", NUMBER_CODEC)
    mean = "The mean of the minute, in steps of 64 KiB." if key.endswith("_bytes") else "The mean of the minute."
    yield TableColumn(f"{key}_mean", number, mean, NUMBER_CODEC)
    yield TableColumn(f"{key}_max", number, "The most of the minute.", NUMBER_CODEC)


def hours(since: str, until: str) -> str:
    """A condition on rows between two expressions of times, beside the one on `ts`: without it an engine finds no hour
    in the sorting key of minutes, and reads the whole day."""
    return f"toStartOfHour(ts) >= toStartOfHour({since}) AND toStartOfHour(ts) <= toStartOfHour({until})"


STATISTICS = ("min", "mean", "max")
"""Of a minute, as suffixes behind the key of the metric."""
PROCESS_METRICS = {
    "used_bytes": ("UInt64", "What the driver gave the process."),
    "reserved_bytes": ("UInt64", "What its allocator holds from the driver; NULL where no allocator reports."),
    "allocated_bytes": ("UInt64", "Live inside its reserved memory; NULL where no allocator reports."),
}
GPU_METRICS = {
    "total_bytes": ("UInt64", "Memory of the GPU."),
    "used_bytes": ("UInt64", "Memory allocated by programs."),
    "free_bytes": ("UInt64", "Memory not allocated."),
    "driver_reserved_bytes": ("UInt64", "Memory kept by driver and firmware."),
    "reserved_bytes": ("UInt64", "Held by the allocators of its processes, used bytes where an allocator is silent."),
    "allocated_bytes": ("UInt64", "Live memory of its processes whose allocators tell it."),
    "unattributed_bytes": ("Int64", "Used memory minus what the listed processes use."),
    "utilization_percent": ("Float32", "Share of time in which a kernel ran."),
    "temperature_celsius": ("Float32", "Temperature."),
    "power_watts": ("Float32", "Power drawn."),
}
ENGINE_METRICS = {
    "kv_pages_total": ("UInt64", "Pages of its KV cache."),
    "kv_pages_used": ("UInt64", "Pages referenced by a request."),
    "kv_pages_cached": ("UInt64", "Pages that hold a prefix nobody references now."),
    "kv_usage_ratio": ("Float32", "Used pages / all pages, as the engine counts them."),
    "prefix_hit_ratio": ("Float32", "Prefix cache hits / queries since the engine started."),
    "requests_running": ("UInt64", "Requests being worked on."),
    "requests_waiting": ("UInt64", "Requests queued."),
    "preemptions_total": ("UInt64", "Requests thrown out of the cache since the engine started."),
}
"""Key of a recorded metric -> type and meaning of its columns."""
SUBJECT_METRICS = {"process": PROCESS_METRICS, "gpu": GPU_METRICS, "engine": ENGINE_METRICS}
"""The same by whom a number is about."""


def _metrics(metrics: dict[str, tuple[str, str]]) -> Iterator[TableColumn]:
    for key, (kind, meaning) in metrics.items():
        yield from _statistics(key, kind, meaning)


PROCESS = Table(
    "process",
    "A process on a GPU in a minute. One that ended within the minute has no values of its last moment (`present`).",
    (
        *WHERE,
        *MINUTE,
        *PROCESS_KEY,
        TableColumn("present", "Bool", "It was listed in the minute's last moment: it counts at that time."),
        TableColumn("gpu", "Nullable(UInt16)", "The driver's index of the GPU.", "ZSTD(1)"),
        TableColumn("name", MAYBE_NAME, "The kernel's name of the process, never its arguments."),
        TableColumn("kind", MAYBE_NAME, "Which of the driver's lists names it: `compute`, `graphics`, `mps`."),
        *OWNER,
        *_metrics(PROCESS_METRICS),
        *DELIVERY,
    ),
    "tenant, toStartOfHour(ts), machine, gpu_uuid, pid, start_ms, ts",
    partition="toDate(ts)",
    ttl=f"ts + INTERVAL {MINUTES_DAYS} DAY",
)
GPU = Table(
    "gpu",
    "A GPU, or a MIG instance (`parent_uuid`), in a minute: its ledger. Sums over a machine leave MIG instances out.",
    (
        *WHERE,
        *MINUTE,
        TableColumn("gpu_uuid", NAME, "UUID of the GPU, or of the MIG instance."),
        TableColumn("gpu", "Nullable(UInt16)", "The driver's index (of the parent, for a MIG instance)."),
        TableColumn("name", MAYBE_NAME, "Product name."),
        TableColumn("parent_uuid", MAYBE_NAME, "UUID of the GPU it is a slice of; NULL for a whole GPU."),
        TableColumn("state", MAYBE_NAME, "`ok`, `asleep`, `stale`, `lost`, ... in the minute's last moment."),
        TableColumn("simulated", "Bool", "The machine is a simulation."),
        *_metrics(GPU_METRICS),
        TableColumn("processes", "Nullable(UInt32)", "Processes listed on it in the minute's last moment."),
        TableColumn(
            "given_to",
            MAYBE_NAME,
            "Containers that the kubelet gave it to in the minute's last moment, `namespace/pod/container` with commas "
            "between; empty: none; NULL: nobody asked, or the kubelet did not tell.",
        ),
        TableColumn(
            "omitted_processes", "UInt32", "Processes of the minute that are in no row of `process`: too many."
        ),
        TableColumn("omitted_used_bytes", "UInt64", "What these used in the minute's last moment."),
        *DELIVERY,
    ),
    "tenant, toStartOfHour(ts), machine, gpu_uuid, ts",
    partition="toDate(ts)",
    ttl=f"ts + INTERVAL {MINUTES_DAYS} DAY",
)
ENGINE = Table(
    "engine",
    "An inference engine in a minute.",
    (
        *WHERE,
        *MINUTE,
        TableColumn("kind", NAME, "`vllm`, `sglang`, `llama.cpp`, ..."),
        TableColumn("pid", "Int32", "Its process on the GPU, -1 where that is not known.", "ZSTD(1)"),
        TableColumn("model", MAYBE_NAME, "Name of the model it serves."),
        *_metrics(ENGINE_METRICS),
        *DELIVERY,
    ),
    "tenant, toStartOfHour(ts), machine, kind, pid, ts",
    partition="toDate(ts)",
    ttl=f"ts + INTERVAL {MINUTES_DAYS} DAY",
)


def _known(kind: str) -> str:
    """The type of an attribute that stays once it is known: of several values the greatest."""
    return f"SimpleAggregateFunction(max, Nullable({kind}))"


LIFE = Table(
    "life",
    "A process on a GPU from its start to its end. Ask with `GROUP BY` its key, and max() and min() of the rest.",
    (
        *WHERE[:2],
        TableColumn("host", _known("String"), "The machine's name."),
        *PROCESS_KEY,
        TableColumn("first_seen", f"SimpleAggregateFunction(min, {TIME})", "Start of the first minute that lists it."),
        TableColumn("last_seen", f"SimpleAggregateFunction(max, {TIME})", "Start of the last minute that lists it."),
        TableColumn("gpu", _known("UInt16"), "The driver's index of the GPU."),
        TableColumn("name", _known("String"), "The kernel's name of the process."),
        *(TableColumn(column.name, _known("String"), column.doc) for column in OWNER),
        TableColumn("peak_used_bytes", _known("UInt64"), "The most it used."),
        TableColumn("peak_reserved_bytes", _known("UInt64"), "The most its allocator held."),
        TableColumn("peak_allocated_bytes", _known("UInt64"), "The most that was live in it."),
        TableColumn(
            "ended_at", _known(EXACT_TIME), "When its end was noticed; NULL while it lives, or nobody saw it end."
        ),
        TableColumn("ended", _known("String"), "How: `orderly`, `exception`, `killed`, `abrupt`, `unknown`."),
        TableColumn("signal", _known("Int32"), "Number of the signal that killed it."),
        TableColumn("exit_code", _known("Int32"), "Its exit code."),
    ),
    "tenant, machine, gpu_uuid, pid, start_ms",
    time="last_seen",
    merging="aggregating",
    ttl=f"last_seen + INTERVAL {LIVES_DAYS} DAY",
    indices=("pod", "pod_uid", "slurm_job", "container", "user"),
)
EVENT = Table(
    "event",
    "Something that happened on a machine, by its recording's own kinds (docs/flight-recorder.md), and `gap`: minutes "
    "that never were shipped, with `detail` = {since, until, reason}.",
    (
        *WHERE,
        TableColumn("kind", NAME, "`oom`, `crash`, `process_exit`, `xid`, `threshold`, ..., `gap`."),
        TableColumn("ts", EXACT_TIME, "When it was noticed.", TIME_CODEC),
        TableColumn("event_id", "UInt64", "Its id in the recording; of a `gap` a hash.", "Delta, ZSTD(1)"),
        TableColumn("gpu_uuid", MAYBE_NAME, "Device it happened on."),
        TableColumn("pid", "Nullable(Int32)", "Process it happened to."),
        TableColumn("start_ms", "Nullable(Int64)", "Start of that process in Unix milliseconds, where it is known."),
        TableColumn("name", MAYBE_NAME, "The kernel's name of that process."),
        *OWNER,
        TableColumn("code", "Nullable(Int64)", "The driver's number, such as the Xid."),
        TableColumn("used_bytes", "Nullable(UInt64)", "Held by the process when it was noticed."),
        TableColumn("peak_used_bytes", "Nullable(UInt64)", "The most that it held."),
        TableColumn("requested_bytes", "Nullable(UInt64)", "Of an `oom`: what was asked for."),
        TableColumn("device_total_bytes", "Nullable(UInt64)", "Of an `oom`: memory of the GPU."),
        TableColumn("device_free_bytes", "Nullable(UInt64)", "Of an `oom`: free on the GPU."),
        TableColumn("reserved_bytes", "Nullable(UInt64)", "Of an `oom`: held by the allocator."),
        TableColumn("allocated_bytes", "Nullable(UInt64)", "Of an `oom`: live in the allocator."),
        TableColumn("ended", MAYBE_NAME, "How the process ended."),
        TableColumn(
            "detail", "String", "The rest as JSON: numbers of `growth`, `threshold`, `gap`. No message.", "ZSTD(3)"
        ),
        *DELIVERY,
    ),
    "tenant, kind, ts, machine, event_id",
    partition="toYYYYMM(ts)",
    ttl=f"toDateTime(ts) + INTERVAL {LIVES_DAYS} DAY",
    indices=("pod", "pod_uid", "slurm_job", "user"),
)
MACHINE = Table(
    "machine",
    "The newest word of each machine's server about itself; one row a machine.",
    (
        *WHERE,
        TableColumn("recording", "UUID", "Identity of its recording."),
        TableColumn("version", NAME, "Version of its Blackbox."),
        TableColumn("simulated", "Bool", "Its numbers are a simulation's (`--demo`)."),
        TableColumn("shipped_until", f"Nullable({TIME})", "All minutes before were shipped, or are told as a `gap`."),
        TableColumn("ahead_since", f"Nullable({TIME})", "While older minutes wait: from here on ..."),
        TableColumn("ahead_until", f"Nullable({TIME})", "... up to here minutes were shipped ahead of them."),
        TableColumn("recorded_until", f"Nullable({EXACT_TIME})", "The newest moment in its recording: what is behind."),
        TableColumn("gaps", "UInt64", "Stretches that were lost before they were shipped, ever."),
        TableColumn("updated", EXACT_TIME, "When the server said so, by its own clock."),
    ),
    "tenant, machine",
    time="updated",
    version="updated",
)
ALLOCATION = Table(
    "allocation",
    "What a scheduler gave to a job, GPU by GPU. Not shipped by servers: written by Slurm's prolog and epilog, or "
    "whoever else knows; by host, since a prolog knows no more. `until` is NULL while it lasts. What a kubelet gave to "
    "pods is in `allocation_hour`.",
    (
        WHERE[0],
        WHERE[2],
        TableColumn("gpu_uuid", NAME, "UUID of the GPU."),
        TableColumn("scheduler", NAME, "`slurm`, or another that tells."),
        TableColumn("job", "String", "Number of the job."),
        TableColumn("since", TIME, "When it was given."),
        TableColumn("until", f"Nullable({TIME})", "When it was given back."),
        TableColumn("user", MAYBE_NAME, "Owner of the job, in the same words as elsewhere (`--fleet-users`)."),
        TableColumn("received", EXACT_TIME, "When the engine took it.", None, "DEFAULT now64(3)"),
    ),
    "tenant, host, gpu_uuid, scheduler, job, since",
    time="since",
    ttl=f"since + INTERVAL {LIVES_DAYS} DAY",
    shard="cityHash64(host)",
)
MINUTE_BITS = "SimpleAggregateFunction(groupBitOr, UInt64)"
HOUR_METRICS = tuple(f"{key}_{end}" for key in PROCESS_METRICS for end in ("min", "max"))
PROCESS_HOUR = Table(
    "process_hour",
    "A process on a GPU in an hour. Ask with `GROUP BY` its key; `bitCount(groupBitOr(minutes))` is in how many.",
    (
        *WHERE[:2],
        TableColumn("hour", TIME, "Start of the hour, UTC.", TIME_CODEC),
        *PROCESS_KEY,
        TableColumn("minutes", MINUTE_BITS, "Bit n: minute n of the hour lists it."),
        TableColumn("name", _known("String"), "The kernel's name of the process."),
        *(TableColumn(column.name, _known("String"), column.doc) for column in OWNER),
        *(
            TableColumn(
                key,
                f"SimpleAggregateFunction({key[-3:]}, Nullable(UInt64))",
                f"The {'least' if key.endswith('min') else 'most'} of the hour.",
                NUMBER_CODEC,
            )
            for key in HOUR_METRICS
        ),
    ),
    "tenant, hour, machine, gpu_uuid, pid, start_ms",
    merging="aggregating",
    partition="toYYYYMM(hour)",
    ttl=f"hour + INTERVAL {LIVES_DAYS} DAY",
    fed_by=(
        "SELECT tenant, machine, toStartOfHour(ts) AS hour, gpu_uuid, pid, start_ms, "
        "bitShiftLeft(toUInt64(1), toMinute(ts)) AS minutes, "
        + ", ".join(f"CAST({key} AS Nullable(String)) AS {key}" for key in ("name", *OWNER_KEYS))
        + f", {', '.join(HOUR_METRICS)}"
    ),
    source="process",
)
ALLOCATION_HOUR = Table(
    "allocation_hour",
    "A GPU that a container of a pod was given, in an hour, as the kubelet told the machine's server. Ask with `GROUP "
    "BY` its key and groupBitOr(): bit n is minute n of the hour. In `seen` and not in `busy`: given, and empty.",
    (
        *WHERE,
        TableColumn("hour", TIME, "Start of the hour, UTC.", TIME_CODEC),
        TableColumn("gpu_uuid", NAME, "UUID of the GPU, or of the MIG instance."),
        TableColumn("namespace", NAME, "Kubernetes namespace of the pod."),
        TableColumn("pod", NAME, "Name of the pod."),
        TableColumn("container", NAME, "Name of the container."),
        TableColumn("minutes", MINUTE_BITS, "Minutes in which it had the GPU."),
        TableColumn("seen", MINUTE_BITS, "Of these, the ones whose processes on the GPU are known."),
        TableColumn("busy", MINUTE_BITS, "Of these, the ones with a process on the GPU, whosever it was."),
    ),
    "tenant, hour, machine, host, gpu_uuid, namespace, pod, container",
    merging="aggregating",
    time="hour",
    partition="toYYYYMM(hour)",
    ttl=f"hour + INTERVAL {LIVES_DAYS} DAY",
    fed_by=(
        "WITH splitByChar(',', ifNull(CAST(given_to AS Nullable(String)), '')) AS given, "
        "arrayJoin(arrayFilter(one -> one != '', given)) AS one, "
        "splitByChar('/', one) AS names, bitShiftLeft(toUInt64(1), toMinute(ts)) AS minute "
        "SELECT tenant, machine, host, toStartOfHour(ts) AS hour, gpu_uuid, names[1] AS namespace, names[2] AS pod, "
        "names[3] AS container, minute AS minutes, if(processes IS NULL, 0, minute) AS seen, "
        "if(ifNull(processes, 0) > 0, minute, 0) AS busy"
    ),
    source="gpu",
)
TABLES = (PROCESS, GPU, ENGINE, LIFE, EVENT, MACHINE, ALLOCATION, PROCESS_HOUR, ALLOCATION_HOUR)
SHIPPED = (PROCESS, GPU, ENGINE, LIFE, EVENT, MACHINE)
"""Those that servers fill."""
