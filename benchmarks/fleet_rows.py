"""A day of a fleet, made by the engine itself: rows of `process`, `gpu`, `life` and `event` as servers would ship them.

No row is a copy of another machine's, which a codec would see: every number is of its machine, process and minute. How
restless memory is decides what a row costs, and no real fleet was measured; so there are two mixes.
"""

import time
from typing import NamedTuple

from benchmarks.harness import BrokenRunError
from tests.clickhouse_rig import ClickHouse

GPUS, PROCESSES = 8, 80
"""Of a machine: ten processes a GPU."""
MINUTES = 1440
START = int(time.time()) // 86_400 * 86_400 - 86_400
"""Yesterday, in UTC."""
MACHINES_AT_ONCE = 10
"""A piece that the engine sorts in a few hundred MiB."""
EVENTS_PER_HOUR = 10
"""Of a machine; one in ten is an out-of-memory."""
PAGE = 2 << 20
STATEMENT_SECONDS_MAX = 1800.0
"""To make or merge millions of rows on a machine that has other work, too."""


class Mix(NamedTuple):
    """What the processes of a fleet do with their memory."""

    name: str
    kind: str
    """Number of a process's kind out of `k`, which is 0 to 9 at random: 0 grows and shrinks page by page all the time,
    1 trains (a cached peak, live memory that swings), 2 serves (it stands still), 3 moves now and then."""


MIXED = Mix("a fifth never rests, three tenths train, three serve, a fifth moves now and then",
            "multiIf(k < 2, 0, k < 5, 1, k < 8, 2, 3)")  # fmt: skip
RESTLESS = Mix("no process ever rests", "0")

_METRICS = ("used_bytes", "reserved_bytes", "allocated_bytes")
_NUMBERS = ", ".join(f"{metric}{end}" for metric in _METRICS for end in ("", "_min", "_mean", "_max"))
_IDENTITY = """
    lower(hex(cityHash64(m, 'machine'))) AS machine, concat('gpu-node-', toString(m)) AS host,
    toDateTime({start}, 'UTC') + t * 60 AS ts,
    fromUnixTimestamp64Milli(toInt64({start} + t * 60 + 59) * 1000 + toInt64(cityHash64(m, t) % 1000), 'UTC') AS moment,
    cityHash64(m, intDiv(t, 5)) AS batch, toDateTime({start} + intDiv(t, 5) * 300 + 305, 'UTC') AS received"""
_PROCESS = """
    concat('GPU-', hex(sipHash128(m, p % 8))) AS gpu_uuid, 10000 + cityHash64(m, p, life) % 4000000 AS pid,
    toInt64({start} - 86400 + life * 1800) * 1000 + cityHash64(m, p, life, 11) % 60000 AS start_ms, p % 8 AS gpu,
    ['python', 'VLLM::Worker', 'pt_main_thread'][cityHash64(m, p) % 3 + 1] AS name,
    concat('u-', substring(lower(hex(cityHash64('u', cityHash64(m, p) % 200))), 1, 12)) AS user,
    lower(concat(hex(sipHash128(m, p, life, 'c')), hex(sipHash128(m, p, life, 'd')))) AS container,
    'containerd' AS runtime, concat('team-', toString(cityHash64(m, p) % 20)) AS namespace,
    concat('train-', toString(m), '-', toString(p), '-', toString(life)) AS pod,
    lower(hex(sipHash128(m, p, life, 'uid'))) AS pod_uid"""
_OWNER = "name, user, container, runtime, namespace, pod, pod_uid"
_WHOLE = f"""
    SELECT *, {{kind}} AS kind, cityHash64(m, p, t, 1) AS n, cityHash64(m, p, t, 2) AS n2,
        toUInt64(if(kind = 0, cityHash64(m, p, t, 3) % 9, 0) * {PAGE}) AS below,
        toUInt64(if(kind = 0, cityHash64(m, p, t, 4) % 9, 0) * {PAGE}) AS above,
        toUInt64({PAGE} * (1000 + cityHash64(m, p, 9) % 3000)) AS trough,
        toUInt64(trough + {PAGE} * (2000 + cityHash64(m, p, 10) % 3000)) AS peak,
        toUInt64(300000000 + cityHash64(m, p, 7) % 200 * {PAGE}) AS context,
        toUInt64(level) * {PAGE} AS reserved_bytes, toUInt64(reserved_bytes - below) AS reserved_bytes_min,
        toUInt64(reserved_bytes + above) AS reserved_bytes_max,
        toUInt64(intDiv(reserved_bytes * 4 - below + above, 4 * 65536) * 65536
            + if(kind = 0, n % 32 * 65536, 0)) AS reserved_bytes_mean,
        reserved_bytes + context AS used_bytes, reserved_bytes_min + context AS used_bytes_min,
        reserved_bytes_max + context AS used_bytes_max,
        if(kind = 0, intDiv(reserved_bytes_mean + context, 65536) * 65536, used_bytes) AS used_bytes_mean,
        reserved_bytes - 100 * {PAGE} AS still,
        toUInt64(multiIf(kind = 0, reserved_bytes - n % intDiv(reserved_bytes, 2048) * 512,
            kind = 1, trough + n % intDiv(peak - trough, 512) * 512, still)) AS allocated_bytes,
        toUInt64(multiIf(kind = 0, reserved_bytes_min - n2 % intDiv(reserved_bytes_min, 2048) * 512, kind = 1, trough,
            still)) AS allocated_bytes_min,
        toUInt64(multiIf(kind = 0, reserved_bytes_max, kind = 1, peak, still)) AS allocated_bytes_max,
        toUInt64(multiIf(kind = 0, intDiv(allocated_bytes + allocated_bytes_min, 131072) * 65536,
            kind = 1, intDiv(intDiv(peak + trough, 2) + n2 % 67108864, 65536) * 65536, still)) AS allocated_bytes_mean
    FROM (
        SELECT m, p, k, t, level, if(cityHash64(m, p, 12) % 10 = 0, intDiv(t, 30), 0) AS life
        FROM (
            SELECT number % {{machines}} + {{first}} AS m, intDiv(number, {{machines}}) AS p,
                cityHash64(m, p) % 10 AS k,
                arrayMap(t -> toInt64(multiIf({{kind}} = 0, toInt64(cityHash64(m, p, t, 5) % 17) - 8,
                    {{kind}} = 3 AND cityHash64(m, p, t, 6) % 50 = 0, toInt64(cityHash64(m, p, t, 5) % 401) - 200, 0)),
                    range({MINUTES})) AS steps,
                arrayMap(x -> 10000 + toInt64(cityHash64(m, p, 8) % 8000) + x, arrayCumSum(steps)) AS levels
            FROM numbers({{machines}} * {PROCESSES})
        ) ARRAY JOIN levels AS level, range({MINUTES}) AS t
    )"""
_PROCESS_ROWS = f"""
    INSERT INTO blackbox.process (machine, host, ts, moment, batch, received, gpu_uuid, pid, start_ms, gpu, {_OWNER},
        kind, present, {_NUMBERS})
    SELECT machine, host, ts, moment, batch, received, gpu_uuid, pid, start_ms, gpu, {_OWNER}, 'compute', 1, {_NUMBERS}
    FROM (SELECT {_IDENTITY}, {_PROCESS}, {_NUMBERS} FROM ({_WHOLE}))"""
_LIFE_ROWS = f"""
    INSERT INTO blackbox.life (machine, host, gpu_uuid, pid, start_ms, first_seen, last_seen, gpu, {_OWNER},
        peak_used_bytes)
    SELECT machine, any(host), gpu_uuid, pid, start_ms, min(ts), max(ts), any(gpu),
        {", ".join(f"any({name})" for name in _OWNER.split(", "))}, max(used_bytes_max)
    FROM blackbox.process WHERE host IN (SELECT concat('gpu-node-', toString(number + {{first}}))
        FROM numbers({{machines}})) GROUP BY machine, gpu_uuid, pid, start_ms"""
_GPU_NUMBERS = ("total_bytes", "used_bytes", "free_bytes", "driver_reserved_bytes")
_GPU_ROWS = f"""
    INSERT INTO blackbox.gpu (machine, host, ts, moment, batch, received, gpu_uuid, gpu, name, state, simulated,
        processes, omitted_processes, omitted_used_bytes, {", ".join(_GPU_NUMBERS)}, unattributed_bytes)
    SELECT machine, any(host), ts, any(moment), any(batch), any(received), gpu_uuid, any(gpu), 'NVIDIA H200', 'ok', 1,
        count(), 0, 0, 85899345920, sum(used_bytes) AS used, 85899345920 - used, 0, 0
    FROM blackbox.process WHERE host IN (SELECT concat('gpu-node-', toString(number + {{first}}))
        FROM numbers({{machines}})) GROUP BY machine, ts, gpu_uuid"""
_EVENT_ROWS = f"""
    INSERT INTO blackbox.event (machine, host, kind, ts, event_id, gpu_uuid, pid, name, requested_bytes, batch, detail)
    SELECT lower(hex(cityHash64(m, 'machine'))), concat('gpu-node-', toString(m)),
        if(number % 10 = 0, 'oom', ['process_exit', 'process_start', 'threshold'][n % 3 + 1]),
        fromUnixTimestamp64Milli(toInt64({{start}} - 6 * 86400) * 1000 + n % (7 * 86400000), 'UTC'), number + 1,
        concat('GPU-', hex(sipHash128(m, n % 8))), n % 4000000, 'python', n % 100000000000, n, ''
    FROM (SELECT number, cityHash64(number, {{first}}) AS n, number % {{machines}} + {{first}} AS m
        FROM numbers({{machines}} * {EVENTS_PER_HOUR * 24 * 7}))"""
_MACHINE_ROWS = """
    INSERT INTO blackbox.machine (machine, host, recording, version, simulated, shipped_until, recorded_until, gaps,
        updated)
    SELECT lower(hex(cityHash64(number, 'machine'))), concat('gpu-node-', toString(number)), generateUUIDv4(), '1', 1,
        toDateTime({start} + 86400, 'UTC'), now64(3), 0, now64(3) FROM numbers({machines})"""


def fill(node: ClickHouse, machines: int, mix: Mix) -> int:
    """Makes a day of so many machines; returns the rows of `process`."""
    for first in range(0, machines, MACHINES_AT_ONCE):
        several = {
            "first": first,
            "machines": min(MACHINES_AT_ONCE, machines - first),
            "kind": mix.kind,
            "start": START,
        }
        for statement in (_PROCESS_ROWS, _LIFE_ROWS, _GPU_ROWS, _EVENT_ROWS):
            _run(node, statement.format(**several))
    _run(node, _MACHINE_ROWS.format(machines=machines, start=START))
    for table in ("process", "gpu", "life", "event"):
        _run(node, f"OPTIMIZE TABLE blackbox.{table} FINAL")
    return node.value("SELECT count() FROM blackbox.process")


def empty(node: ClickHouse) -> None:
    """Takes all rows away."""
    for table in ("process", "gpu", "life", "event", "machine", "process_hour"):
        _run(node, f"TRUNCATE TABLE blackbox.{table}")


def _run(node: ClickHouse, statement: str) -> None:
    answer = node.ask(statement, patience=STATEMENT_SECONDS_MAX, max_threads=2, max_insert_threads=1)
    if answer.status != 200:
        raise BrokenRunError(answer.text[:500])
