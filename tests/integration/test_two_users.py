"""Two real users beside a real server: what her programs tell never reaches him, and what his programs say costs her
nothing that is kept of hers."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
import requests

from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoints import (
    COLUMNS,
    DUMPS,
    ENDPOINTS,
    EVENTS,
    EVENTS_STREAM,
    METRICS,
    REPORT,
    SNAPSHOT,
    SNAPSHOT_AT,
    SNAPSHOT_STREAM,
    STACKS,
)
from blackbox.model.series import METRIC_KEYS
from blackbox.wire.message import pack_goodbye, pack_hello, pack_oom, pack_report
from blackbox.wire.report import (
    AllocatorReport,
    BlockColumns,
    Cost,
    EngineReport,
    Goodbye,
    Hello,
    KernelReport,
    Oom,
    OwnerStack,
    OwnerThread,
    Report,
    TraceStep,
)
from tests.fake_nvml import GIB, FakeDriver, Gpu, Process, gpu_uuid
from tests.running_server import RunningServer, blackbox, environment
from tests.two_users import HERS, HIS, Asked, Teller, answers, needs_root, open_folder, teller
from tests.waiting import PATIENCE_SECONDS, until, until_value

pytestmark = needs_root

CANARY, SOURCE = "CANARY", "canary"
BLOCK, BLOCKS = 7_654_321, 8
HELD = BLOCK * BLOCKS
ADDRESS = 0x7A5A_1234_0000
REFUSED_BYTES = 3_333_222_111
ATOMICS, PAGES = 987_123_654, 876_123
SECRETS = [CANARY, SOURCE, *map(str, (BLOCK, HELD, GIB - HELD, REFUSED_BYTES, ATOMICS, PAGES)), str(ADDRESS)[:9]]
"""In no answer to another user: texts and figures that only her programs can have told, and what follows from them."""
FULL_READS = ("oom_trace", "block_origins")
MIB = 1 << 20
FLOOD_BYTES_MAX = 120 * MIB
"""At the peak, where each of his failures has 100,000 blocks. As rows and JSON it was 630 MiB."""
FORGED, HUGE, OUT_OF_RANGE = 30, 60, 24


def allocator_report(rows: int = BLOCKS, size: int = BLOCK, text: str = CANARY) -> AllocatorReport:
    columns = BlockColumns(
        address=range(ADDRESS, ADDRESS + rows * size, size),
        size=[size] * rows,
        state=[1] * rows,
        type=[1] * rows,
        thread=[7] * rows,
        label=[0] * rows,
        labels=((text, text),),
        stack=[0] * rows,
    )
    return AllocatorReport(
        gpu_uuid(0),
        rows * size,
        rows * size,
        blocks=columns,
        threads=(OwnerThread(7, rows * size, text),),
        stacks=(OwnerStack((f"{text}.py:1 step",), rows * size, rows, 1, text),),
        unknown={"requested_bytes": text},
    )


def report(**changes: Any) -> bytes:
    whole = Report(
        SOURCE,
        time.monotonic(),
        (allocator_report(),),
        kernels=(KernelReport("process", atomic_operations=ATOMICS, unknown={"occupancy": CANARY}),),
        engines=(EngineReport("vllm", f"{CANARY}-model", kv_pages_total=PAGES, kv_pages_used=1),),
    )
    return pack_report(whole._replace(**changes), Cost(0.0, 0, 0), FULL_READS)


def oom(requested: int = REFUSED_BYTES, **changes: Any) -> bytes:
    whole = Oom(
        SOURCE,
        time.monotonic(),
        time.time(),
        gpu_uuid(0),
        requested,
        7,
        allocator=allocator_report(),
        trace=(TraceStep("oom", 0, requested, stack=0),),
        stacks=((f"{CANARY}.py:1 step",),),
        message=CANARY,
    )
    return pack_oom(whole._replace(**changes), FULL_READS)


class Machine(NamedTuple):
    """A server, and programs of each user that hold memory of its GPU."""

    server: RunningServer
    socket: Path
    agents: Path
    hers: tuple[Teller, Teller, Teller]
    his: Teller

    def get(self, uid: int, path: str, **parameters: Any) -> Any:
        """What that user is answered."""
        (answer,) = answers(uid, self.socket, [Asked(f"{path}?{urlencode(parameters)}")])
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0], answer[:2000]
        return json.loads(body)


@pytest.fixture
def machine(tmp_path: Path, fake_driver: FakeDriver) -> Iterator[Machine]:
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0))])
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "token").chmod(0o600)
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder())
        socket, agents = folder / "socket", folder / "agent.sock"
        flags = ["--interval", "200ms", "--process-metrics", "--token-file", str(tmp_path / "token")]
        flags += ["--unix-socket", str(socket), "--agent-socket", str(agents)]
        server = stack.enter_context(RunningServer(tmp_path, *flags, token="s3cret"))
        socket.chmod(0o666)
        *hers, his = (stack.enter_context(teller(uid, agents)) for uid in (HERS, HERS, HERS, HIS))
        rows = [Process(pid=one.pid, used_bytes=GIB) for one in (*hers, his)]
        fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=rows)])
        for one in (*hers, his):
            assert one.say(pack_hello(Hello(one.pid, 0, 0)))
        yield Machine(server, socket, agents, (hers[0], hers[1], hers[2]), his)


# What one tells


def told_everything(machine: Machine) -> tuple[int, str]:
    """Her programs tell all there is to tell; the id of her failure's event, and the name of its dump."""
    hers, ending, _ = machine.hers
    assert machine.his.say(
        pack_report(Report("his", time.monotonic(), (AllocatorReport(gpu_uuid(0), 512, 512),)), COST)
    )

    def is_in() -> bool:
        hers.say(report())
        return CANARY in json.dumps(machine.get(HERS, SNAPSHOT.path)["blocks"])

    until(is_in)
    assert hers.say(report(allocators=(allocator_report()._replace(reserved_bytes=-5, unknown={CANARY: CANARY}),)))
    assert hers.say(report())
    assert hers.say(oom())
    assert ending.say(report())
    assert ending.say(pack_goodbye(Goodbye(f"{CANARY}.Error")))
    ending.end()
    happened = until_value(
        lambda: machine.get(HERS, EVENTS.path)["events"],
        lambda found: {"oom", "crash"} <= {event["kind"] for event in found},
    )
    dumps = until_value(lambda: machine.get(HERS, DUMPS.path)["dumps"], bool)
    return next(event["id"] for event in happened if event["kind"] == "oom"), dumps[0]["name"]


COST = Cost(0.0, 0, 0)


def values(machine: Machine, event: int, dump: str, version: str) -> dict[str, list[Any]]:
    """Name of a parameter that an endpoint takes -> what it is asked with."""
    now = time.time()
    return {
        "gpu": [0, gpu_uuid(0)],
        "t": [now, "-2s"],
        "a": [now - 2, "-1s"],
        "b": [now],
        "event": [event],
        "dump": [dump],
        "since": [version, now - 600],
        "from": [now - 600],
        "until": [now],
        "to": [now],
        "window": ["10m"],
        "pid": [one.pid for one in machine.hers],
        "metric": [*METRIC_KEYS, ",".join(METRIC_KEYS)],
        "points": [3],
        "kind": ["oom", "crash,oom,process_exit"],
        "limit": [1, 10_000],
        "name": ["root", str(HERS)],
        "by": [],
        "tenant": ["main"],
        "machine": ["main"],
    }


TELLING = (SNAPSHOT, SNAPSHOT_STREAM, SNAPSHOT_AT, COLUMNS, EVENTS, EVENTS_STREAM, STACKS, METRICS)
"""Routes that tell her what is withheld from him."""
EVENTS_WAITED = {SNAPSHOT_STREAM.path: 2, EVENTS_STREAM.path: 3}
"""Of a stream; then the client leaves."""


def asked(endpoint: Endpoint, known: dict[str, list[Any]]) -> list[Asked]:
    """The route as it is, and with each value of each parameter by itself beside those that are required; streams as by
    clients that come back."""
    queries = [one for one in endpoint.parameters if one.location == "query"]
    always = {one.name: known[one.name][0] for one in queries if one.required}
    found = [always]
    for one in queries:
        texts = one.values.schema.get("enum") or known[one.name]
        found += [always | {one.name: text} for text in texts]
    again, waited = "Last-Event-ID: 0\r\n", EVENTS_WAITED.get(endpoint.path, 0)
    plain = again if endpoint is EVENTS_STREAM else ""  # what has happened, not what will
    resumed = [Asked(endpoint.path, waited, again)] if endpoint is SNAPSHOT_STREAM else []
    return [*(Asked(f"{endpoint.path}?{urlencode(one)}", waited, plain) for one in found), *resumed]


@pytest.mark.slow
@pytest.mark.fault(53)
def test_row_53_nothing_that_her_programs_tell_reaches_him_on_any_route(machine: Machine) -> None:
    event, dump = told_everything(machine)
    (all_columns,) = answers(0, machine.socket, [Asked(COLUMNS.path)])
    version = all_columns.split(b'"version":"')[1].split(b'"')[0].decode()
    known = values(machine, event, dump, version)
    for endpoint in ENDPOINTS:
        questions = asked(endpoint, known)
        assert machine.hers[0].say(report()), "who is silent for long is not shown to anybody"
        for question, answer in zip(questions, answers(HIS, machine.socket, questions), strict=True):
            seen = [secret for secret in SECRETS if secret.encode() in answer]
            assert not seen, (question, seen, answer[:3000])
            assert b" 500 " not in answer.split(b"\r\n")[0], question
        for uid in (HERS, 0) if endpoint in TELLING else ():
            whole = b"".join(answers(uid, machine.socket, questions))
            assert any(secret.encode() in whole for secret in SECRETS), (endpoint.path, uid)
    for token, code in (("s3cret", 200), ("s4cret", 401), ("", 401)):
        fields = {"Authorization": f"Bearer {token}"} if token else {}
        answer = requests.get(f"{machine.server.url}{SNAPSHOT.path}", headers=fields, timeout=PATIENCE_SECONDS)
        assert (answer.status_code, CANARY in answer.text) == (code, code == 200)


# What one says


def hostile(text: str) -> bytes:
    """A failure of as many blocks as may be told, in whose columns nothing repeats itself."""
    rows, random = 100_000, Random(7)
    plain = allocator_report(rows, 512, text)
    assert plain.blocks
    columns = plain.blocks._replace(
        requested=[random.randrange(512) for _ in range(rows)],
        stream=[random.getrandbits(63) for _ in range(rows)],
        thread=[random.getrandbits(31) for _ in range(rows)],
        starts=[1] * rows,
        pool=[random.randrange(256) for _ in range(rows)],
        allocated_ms=[random.randrange(1_700_000_000_000, 1_800_000_000_000) for _ in range(rows)],
    )
    return oom(allocator=plain._replace(blocks=columns))


@contextmanager
def attacker(machine: Machine) -> Iterator[None]:
    """His programs send what the gate must stop; whoever is cut off comes again."""
    huge = [hostile("x"), oom(allocator=allocator_report(100_000, 512, "x" * 200)), hostile("x" * 20)]
    stranger = oom(gpu_uuid="GPU-of-nobody")
    beyond = [oom(timestamp=1e308), oom(trace=(TraceStep("alloc", 0, 512, stream=1 << 64),)), report(taken_at=-1e300)]
    frames = [stranger] * FORGED + huge * (HUGE // len(huge)) + beyond * (OUT_OF_RANGE // len(beyond))
    program = Teller(HIS, machine.agents)
    try:
        forged_hello = pack_hello(Hello(machine.hers[0].pid, 0, 0))
        program.say(forged_hello)
        for frame in frames:
            if not program.say(frame):
                program.end()
                program = Teller(HIS, machine.agents)
                program.say(forged_hello)
        yield
    finally:
        program.end()


def dump_of(machine: Machine, program: Teller, requested: int) -> str:
    """A program of hers is refused so much; the name of the dump that is kept of it."""
    before = {one["name"] for one in machine.get(HERS, DUMPS.path)["dumps"]}

    def is_told() -> bool:
        return any(
            str(requested) in json.dumps(event) for event in machine.get(HERS, EVENTS.path, kind="oom")["events"]
        )

    assert program.say(report())
    assert program.say(oom(requested))
    until(is_told)
    found = until_value(
        lambda: {one["name"] for one in machine.get(HERS, DUMPS.path)["dumps"]} - before, lambda new: len(new) > 0
    )
    (name,) = found
    return name


def peak_bytes(pid: int) -> int:
    """The most memory that it ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def refused(machine: Machine) -> dict[str, int]:
    """Reason -> how many reports were refused for it."""
    (answer,) = answers(0, machine.socket, [Asked(METRICS.path)])
    found = re.findall(r'blackbox_agent_refusals_total{reason="(\w+)"} (\S+)', answer.decode())
    return {reason: int(float(count)) for reason, count in found}


@pytest.mark.slow
@pytest.mark.fault(46)
@pytest.mark.fault(47)
def test_row_46_and_47_what_he_sends_costs_her_nothing(machine: Machine, tmp_path: Path) -> None:
    until(lambda: machine.hers[0].say(report()) and CANARY in json.dumps(machine.get(HERS, SNAPSHOT.path)["blocks"]))
    first = dump_of(machine, machine.hers[0], 1_111_111_111)
    before, recorded = peak_bytes(machine.server.pid), machine.get(0, "/healthz")["recorder"]["moments_total"]
    with attacker(machine):
        until(lambda: refused(machine)["unknown_gpu"] >= FORGED, lambda: refused(machine))
        until(lambda: refused(machine)["malformed"] >= OUT_OF_RANGE, lambda: refused(machine))
        until(lambda: machine.get(0, "/healthz")["recorder"]["moments_total"] > recorded)
        recorder = machine.get(0, "/healthz")["recorder"]
        assert (recorder["state"], recorder["failures_total"]) == ("recording", 0)
        second = dump_of(machine, machine.hers[1], 2_222_222_222)
    third = dump_of(machine, machine.hers[2], 1_333_333_333)
    told = [
        event["oom"]["allocator"] for event in machine.get(HIS, EVENTS.path, kind="oom")["events"] if "oom" in event
    ]
    assert any(len(one["blocks"] or ()) == 100_000 for one in told if one), "as much of his as his budget goes"
    grown = peak_bytes(machine.server.pid) - before
    assert grown < FLOOD_BYTES_MAX, f"{grown / MIB:.0f} MiB"
    kept = {one["name"] for one in machine.get(HERS, DUMPS.path, limit=1000)["dumps"]}
    assert {first, second, third} <= kept
    for name in (first, second, third):
        assert CANARY in json.dumps(machine.get(HERS, REPORT.path, dump=name, format="json"))
    words = ["--kind", "oom", "--limit", "1000", "--url", machine.server.url, "--token-file", str(tmp_path / "token")]
    listed = blackbox("events", *words, env=environment(tmp_path))
    assert listed.returncode == 0, listed.stderr
    assert all(str(one.pid) in listed.stdout for one in machine.hers)
    recorder = machine.get(0, "/healthz")["recorder"]
    assert (recorder["state"], recorder["failures_total"]) == ("recording", 0)
    counts, began = refused(machine), time.monotonic()
    assert machine.server.stop() == 0
    print(f"{counts}, grew by {grown / MIB:.0f} MiB, ended in {time.monotonic() - began:.1f} s")
