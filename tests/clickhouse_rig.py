"""ClickHouse nodes of the tests' own on loopback: started, killed, started again with what they held."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests import clickhouse_environment
from tests.tools import missing
from tests.waiting import PATIENCE_SECONDS, until

LAUNCHER = Path(__file__).with_name("clickhouse_launcher.py")
ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"
CLUSTER = "fleet"
"""Name of the cluster that all nodes of a rig are shards of."""
WRITER, READER, PASSWORD = "writer", "reader", "geheim"
"""Users besides `default`, who may do all and has no password. What they may is told by `grants`."""
QUERY = "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT * FROM file('/dev/stdin', LineAsString)"
"""HTTP last: whoever waits until it answers finds the other nodes' way to it open, too."""


class Answer(NamedTuple):
    status: int
    code: int | None
    """ClickHouse's number of the error; None where there was none."""
    text: str
    summary: dict[str, int]
    """What the query cost, as the engine counts: `read_rows` and the like."""


class ClickHouse:
    """One node. Its ports stay the same when it is started again."""

    def __init__(self, folder: Path, library: Path, ports: tuple[int, int]) -> None:
        self.folder = folder
        self.port, self.tcp_port = ports
        self._library = library
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def configure(self, nodes: Sequence["ClickHouse"], grants: Mapping[str, Sequence[str]]) -> None:
        """Writes its files: `nodes` are the shards of the cluster; user -> what is granted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "users.xml").write_text(_users(grants))
        (self.folder / "config.xml").write_text(self._config(nodes))

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        arguments = ["--config-file", self.folder / "config.xml", "--path", self.folder / "data", "--query", QUERY]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, LAUNCHER, self._library, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        until(self._answers, self._log)

    def kill(self) -> None:
        """As a machine dies."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends it in any case."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Keeps its ports, and answers nothing, until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(
        self,
        query: str,
        *,
        body: bytes = b"",
        user: str = "",
        password: str = PASSWORD,
        patience: float = PATIENCE_SECONDS,
        **settings: Any,
    ) -> Answer:
        """What it says to a query; `body` is what an INSERT inserts. Nothing is raised over its errors."""
        named = {"user": user, "password": password} if user else {}
        target = "/?" + urlencode({"query": query, "wait_end_of_query": 1} | named | settings)
        connection = http.client.HTTPConnection(HOST, self.port, timeout=patience)
        try:
            connection.request("POST", target, body)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        code = response.headers.get("X-ClickHouse-Exception-Code")
        summary = {key: int(value) for key, value in json.loads(response.headers["X-ClickHouse-Summary"]).items()}
        return Answer(response.status, int(code) if code else None, text, summary)

    def rows(self, query: str, **settings: Any) -> list[dict[str, Any]]:
        """The rows of a query that must succeed; whole numbers as numbers."""
        answer = self.ask(f"{query} FORMAT JSONEachRow", output_format_json_quote_64bit_integers=0, **settings)
        assert answer.status == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def value(self, query: str, **settings: Any) -> Any:
        """The one value of a query that must succeed."""
        (row,) = self.rows(query, **settings)
        (value,) = row.values()
        return value

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        assert process is not None
        process.send_signal(number)
        process.wait(PATIENCE_SECONDS)
        assert process.stdin is not None
        process.stdin.close()
        self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log()
        try:
            return self.ask("SELECT 1").status == 200
        except OSError:
            return False

    def _log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def _config(self, nodes: Sequence["ClickHouse"]) -> str:
        shards = "".join(
            f"<shard><internal_replication>true</internal_replication><replica><host>{HOST}</host>"
            f"<port>{node.tcp_port}</port></replica></shard>"
            for node in nodes
        )
        return f"""<clickhouse>
            <logger><level>warning</level><console>1</console></logger>
            <listen_host>{HOST}</listen_host><http_port>{self.port}</http_port><tcp_port>{self.tcp_port}</tcp_port>
            <path>{self.folder}/data/</path>
            <user_directories><users_xml><path>{self.folder}/users.xml</path></users_xml></user_directories>
            <remote_servers><{CLUSTER}>{shards}</{CLUSTER}></remote_servers>
            <mark_cache_size>33554432</mark_cache_size>
        </clickhouse>"""


def _users(grants: Mapping[str, Sequence[str]]) -> str:
    common = "<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>"
    named = "".join(
        f"<{user}><password>{PASSWORD}</password>{common}<grants>"
        + "".join(f"<query>{statement}</query>" for statement in statements)
        + f"</grants></{user}>"
        for user, statements in grants.items()
    )
    return f"""<clickhouse><profiles><default/></profiles><quotas><default/></quotas>
        <users><default><password></password>{common}</default>{named}</users></clickhouse>"""


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _library() -> Path:
    """By a process of its own: this one writes nothing outside the tests' folders."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.clickhouse_environment"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * clickhouse_environment.FETCH_SECONDS_MAX,
    )
    if found.returncode != 0:
        missing(found.stderr.strip().splitlines()[-1] if found.stderr.strip() else "no ClickHouse could be had")
    return Path(found.stdout.strip())


@contextmanager
def running(
    folder: Path, count: int = 1, grants: Mapping[str, Sequence[str]] | None = None
) -> Iterator[list[ClickHouse]]:
    """That many nodes, each a shard of `CLUSTER`. The test is skipped where there is no ClickHouse, or fails in CI."""
    library = _library()
    ports = free_ports(2 * count)
    nodes = [
        ClickHouse(folder / f"node{place}", library, (ports[2 * place], ports[2 * place + 1])) for place in range(count)
    ]
    with ExitStack() as stack:
        for node in nodes:
            node.configure(nodes, grants or {})
        for node in nodes:
            stack.callback(node.stop)
            node.start()
        yield nodes
