"""Two real users beside a server that asks others: what an engine of hers and a fleet answer never reaches him."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from blackbox.fleet.ddl import TableLayout
from blackbox.fleet.send import Access
from blackbox.fleet.setup import make_tables
from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoints import ENDPOINTS, EVENTS_STREAM, METRICS, SNAPSHOT, SNAPSHOT_AT, SNAPSHOT_STREAM
from blackbox.model.fleet_endpoints import FLEET_ENDPOINTS
from blackbox.model.series import METRIC_KEYS
from blackbox.settings import Settings
from tests.clickhouse_rig import PASSWORD, READER, running
from tests.fake_nvml import GIB, FakeDriver, Gpu, Process, gpu_uuid
from tests.fleet_rows import MINUTE, START, made_fleet, store
from tests.recorded_engines import recorded
from tests.running_server import RunningServer
from tests.serving import Serving
from tests.two_users import BECOME, HERS, HIS, Asked, answers, needs_root, open_folder
from tests.waiting import PATIENCE_SECONDS, until

pytestmark = needs_root

MODEL, PAGES = "CANARY-model", "7654321"
SECRETS = (MODEL.encode(), PAGES.encode())
"""In no answer to another user: only her engine can have told them."""
ENGINE = (
    """
import ctypes, http.server, socketserver, subprocess
sys.argv.remove("serve")
PR_SET_DUMPABLE, prctl = 4, ctypes.CDLL(None).prctl
page = open(sys.argv[2], "rb").read()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/metrics"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(page if found else b"")
    def log_message(self, *_):
        pass
"""
    + "{become}"
    + """
prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
    core = subprocess.Popen(["bash", "-c", "exec -a VLLM::EngineCore cat"], stdin=subprocess.PIPE, cwd="/")
    print(server.server_address[1], core.pid, flush=True)
    server.serve_forever()
"""
)
"""Passes for vLLM, with a worker that passes for being on the GPU, as if started by its user."""
EVENTS_WAITED = {SNAPSHOT_STREAM.path: 2, EVENTS_STREAM.path: 1}
TELLING = (SNAPSHOT, SNAPSHOT_STREAM, SNAPSHOT_AT, METRICS)


@contextmanager
def engine(uid: int, folder: Path) -> Iterator[tuple[int, int]]:
    """Some user's engine: the port at which it tells `SECRETS`, and the pid of its worker."""
    page = recorded("vllm-v0.10.prom").replace(b"qwen", MODEL.encode()).replace(b'"1001"', f'"{PAGES}"'.encode())
    (folder / "page").write_bytes(page)
    (folder / "vllm").write_text("import os, sys\n" + ENGINE.replace("{become}", BECOME))
    command = [sys.executable, str(folder / "vllm"), "serve", str(uid), str(folder / "page")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port, worker = map(int, process.stdout.readline().split())
            yield port, worker
        finally:
            process.kill()  # the worker ends with the pipe that it reads


def questions(endpoint: Endpoint, pid: int) -> list[Asked]:
    """The route with what it requires, and with each value of each of its parameters beside that."""
    now = time.time()
    known: dict[str, list[Any]] = {
        "gpu": [0, gpu_uuid(0)],
        "t": [now, "-2s"],
        "a": [now - 2],
        "b": [now],
        "event": [1],
        "dump": ["none"],
        "since": [now - 600],
        "from": [now - 600],
        "until": [now],
        "to": [now],
        "window": ["10m"],
        "pid": [pid],
        "metric": [*METRIC_KEYS],
        "points": [3],
        "kind": ["process_start"],
        "limit": [10],
        "name": [str(HERS)],
        "by": [],
        "tenant": ["main"],
        "machine": ["main"],
    }
    queries = [one for one in endpoint.parameters if one.location == "query"]
    always = {one.name: known[one.name][0] for one in queries if one.required}
    asked = [always]
    for one in queries:
        asked += [always | {one.name: text} for text in one.values.schema.get("enum") or known[one.name]]
    waited = EVENTS_WAITED.get(endpoint.path, 0)
    if endpoint is EVENTS_STREAM:
        return [Asked(endpoint.path, waited, "Last-Event-ID: 0\r\n")]
    return [Asked(f"{endpoint.path}?{urlencode(one)}", waited) for one in asked]


@pytest.mark.slow
@pytest.mark.fault(53)
@pytest.mark.parametrize("named", [False, True], ids=["found on the GPU", "named by --engine"])
def test_row_53_what_her_engine_answers_reaches_him_on_no_route(
    tmp_path: Path, fake_driver: FakeDriver, named: bool
) -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder())
        port, worker = stack.enter_context(engine(HERS, folder))
        fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[] if named else [Process(pid=worker, used_bytes=GIB)])])
        socket = folder / "socket"
        flags = ["--interval", "200ms", "--process-metrics", "--unix-socket", str(socket)]
        flags += ["--engine", f"http://127.0.0.1:{port}"] if named else []
        server = stack.enter_context(RunningServer(tmp_path, *flags))
        socket.chmod(0o666)

        def ask(uid: int, asked: list[Asked]) -> list[bytes]:
            return answers(uid, socket, asked)

        until(lambda: all(one in ask(HERS, [Asked(SNAPSHOT.path)])[0] for one in SECRETS), lambda: server.log)
        earlier = Asked(f"{SNAPSHOT_AT.path}?t=-1s")
        until(lambda: SECRETS[0] in ask(HERS, [earlier])[0])
        for endpoint in ENDPOINTS:
            asked = questions(endpoint, worker)
            for question, answer in zip(asked, ask(HIS, asked), strict=True):
                assert not any(secret in answer for secret in SECRETS), (question, answer[:3000])
                assert b" 500 " not in answer.split(b"\r\n")[0], question
            for uid in (HERS, 0) if endpoint in TELLING else ():
                assert SECRETS[0] in b"".join(ask(uid, asked)), (endpoint.path, uid)
        on_tcp = requests.get(f"{server.url}{SNAPSHOT.path}", timeout=PATIENCE_SECONDS).content
        assert not any(secret in on_tcp for secret in SECRETS), "the server's user has told root's programs alone"


@pytest.mark.fault(53)
def test_row_53_the_fleet_answers_those_alone_who_see_all(tmp_path: Path) -> None:
    """Every route over a real database: root and the token are answered, the two users alike are told nothing."""
    made = made_fleet(("CANARY1", "CANARY2"), 3, random.Random(5))
    grants = {READER: ["GRANT SELECT ON `blackbox`.*"]}
    with ExitStack() as stack:
        (node,) = stack.enter_context(running(tmp_path / "clickhouse", 1, grants))
        make_tables([Access(node.url)], TableLayout(), lambda _: None)
        asked_at = START + 3 * MINUTE
        store(node, made, asked_at)
        folder = stack.enter_context(open_folder())
        for name, secret in (("token", "s3cret"), ("password", PASSWORD)):
            (tmp_path / name).write_text(secret)
            (tmp_path / name).chmod(0o600)
        settings = Settings(
            port=0,
            unix_socket=folder / "socket",
            token_file=tmp_path / "token",
            fleet_read=node.url,
            fleet_read_user=READER,
            fleet_read_password_file=tmp_path / "password",
        )
        stack.enter_context(Serving(settings))
        (folder / "socket").chmod(0o666)
        told = b""
        for endpoint in FLEET_ENDPOINTS:
            names = {one.name for one in endpoint.parameters}
            given = {"t": asked_at, "from": START, "to": asked_at, "name": "7"}
            asked = [Asked(f"{endpoint.path}?{urlencode({key: given[key] for key in given.keys() & names})}")]
            for uid in (HERS, HIS):
                (refused,) = answers(uid, folder / "socket", asked)
                assert b" 403 " in refused.split(b"\r\n")[0], refused[:300]
                assert b"CANARY" not in refused
            (answered,) = answers(0, folder / "socket", asked)
            assert b" 200 " in answered.split(b"\r\n")[0], answered[:300]
            told += answered
        assert b"CANARY" in told
