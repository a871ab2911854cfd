"""Replicas and ZooKeeper, tried by hand: the ClickHouse of the tests has neither, and Debian's, which has, is of 2018.

    mkdir packages && cd packages
    apt-get install --download-only --yes -o Dir::Cache::archives=$PWD clickhouse-server zookeeper
    for package in *.deb; do dpkg -x $package root; done
    python -m tests.replication_trial packages/root

Two shards of two replicas, made `ON CLUSTER`. That engine knows neither codecs, TTL nor tokens of inserts: the table
`process` is reduced to what it takes, with its keys, its sharding and its `ReplacingMergeTree` as they are.
"""

import re
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from blackbox.fleet.schema import PROCESS
from tests.clickhouse_rig import HOST, free_ports
from tests.waiting import PATIENCE_SECONDS, until

CLUSTER = "fleet"
SHARDS, REPLICAS = 2, 2
MACHINES, MINUTES, PROCESSES = 40, 30, 8
START = 1_700_000_000 // 60 * 60
NAMES = ("tenant", "machine", "ts", "gpu_uuid", "pid", "start_ms", "used_bytes", "allocated_bytes", "received")
PLAIN = ((r"LowCardinality\((.*)\)", r"\1"), (r"DateTime\('UTC'\)", "DateTime('UTC')"), ("Bool", "UInt8"))


class Node:
    """One replica of one shard."""

    def __init__(self, root: Path, folder: Path, shard: int, replica: int) -> None:
        self.root, self.folder, self.shard, self.replica = root, folder, shard, replica
        self.http, self.tcp, self.between = free_ports(3)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, nodes: list["Node"], keeper: int) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "config.xml").write_text(self._config(nodes, keeper))
        (self.folder / "users.xml").write_text(
            "<yandex><profiles><default/></profiles><quotas><default/></quotas><users><default><password></password>"
            "<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>"
            "</yandex>"
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.root / "usr/sbin/clickhouse-server", f"--config-file={self.folder}/config.xml"],
                stdout=log, stderr=log, env=environment(self.root), cwd=self.folder,
            )  # fmt: skip
        until(self._answers, lambda: (self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_SECONDS)

    def ask(self, query: str, body: bytes = b"", **settings: object) -> str:
        target = urllib.parse.urlencode({"query": query} | settings)
        request = urllib.request.Request(f"http://{HOST}:{self.http}/?{target}", body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:1000]) from None

    def number(self, query: str) -> int:
        return int(self.ask(query))

    def _answers(self) -> bool:
        try:
            return self.ask("SELECT 1") == "1\n"
        except OSError:
            return False

    def _config(self, nodes: list["Node"], keeper: int) -> str:
        shards = "".join(
            "<shard><internal_replication>true</internal_replication>"
            + "".join(
                f"<replica><host>{HOST}</host><port>{one.tcp}</port></replica>" for one in nodes if one.shard == shard
            )
            + "</shard>"
            for shard in range(SHARDS)
        )
        return f"""<yandex><logger><level>warning</level><console>1</console></logger>
            <listen_host>{HOST}</listen_host><http_port>{self.http}</http_port><tcp_port>{self.tcp}</tcp_port>
            <interserver_http_port>{self.between}</interserver_http_port>
            <interserver_http_host>{HOST}</interserver_http_host>
            <path>{self.folder}/data/</path><tmp_path>{self.folder}/tmp/</tmp_path>
            <users_config>{self.folder}/users.xml</users_config><default_profile>default</default_profile>
            <default_database>default</default_database><mark_cache_size>33554432</mark_cache_size>
            <zookeeper><node><host>{HOST}</host><port>{keeper}</port></node></zookeeper>
            <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>
            <macros><shard>{self.shard}</shard><replica>{self.replica}</replica></macros>
            <remote_servers><{CLUSTER}>{shards}</{CLUSTER}></remote_servers></yandex>"""


def environment(root: Path) -> dict[str, str]:
    """With the libraries of the packages."""
    return {"LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu", "PATH": "/usr/bin:/bin"}


@contextmanager
def zookeeper(root: Path, folder: Path) -> Iterator[int]:
    """Its port."""
    (port,) = free_ports(1)
    folder.mkdir()
    (folder / "zoo.cfg").write_text(
        f"tickTime=500\ndataDir={folder}/data\nclientPort={port}\nclientPortAddress={HOST}\nadmin.enableServer=false\n"
    )
    main = "org.apache.zookeeper.server.ZooKeeperServerMain"
    with (folder / "log").open("wb") as log:
        command = ["java", "-Xmx128m", "-cp", f"{root}/usr/share/java/*", main, folder / "zoo.cfg"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: _listens(port), lambda: (folder / "log").read_text()[-2000:])
        yield port
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port)).close()
    except OSError:
        return False
    return True


def columns() -> str:
    """Of the reduced table."""
    found: list[str] = []
    for column in PROCESS.columns:
        if column.name in NAMES:
            kind = column.type
            for pattern, plain in PLAIN:
                kind = re.sub(pattern, plain, kind)
            found.append(f"{column.name} {kind}" + (" DEFAULT now()" if column.name == "received" else ""))
    return ", ".join(found)


def rows(minute: int) -> bytes:
    """All machines' rows of a minute, as a shipper writes them."""
    made = [
        {
            "tenant": "", "machine": f"{machine:016x}", "ts": START + 60 * minute, "gpu_uuid": f"GPU-{pid % 8}",
            "pid": pid, "start_ms": 1000 * machine, "used_bytes": 1000 * minute + pid, "received": START,
            "allocated_bytes": None if pid % 3 == 0 else 500 * minute + pid,
        }
        for machine in range(MACHINES)
        for pid in range(PROCESSES)
    ]  # fmt: skip
    return b"\n".join(map(msgspec.json.encode, made))


def insert(node: Node, minutes: range) -> None:
    for minute in minutes:
        node.ask("INSERT INTO process FORMAT JSONEachRow", rows(minute), insert_distributed_sync=1)


def say(text: str, **numbers: Any) -> None:
    print(text, ", ".join(f"{name} {value}" for name, value in numbers.items()), flush=True)


def main(root: Path) -> None:
    """Makes, kills, repeats and counts. Raises `AssertionError` where a row is missing or there twice."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        keeper = stack.enter_context(zookeeper(root, folder / "zookeeper"))
        places = [(shard, replica) for shard in range(SHARDS) for replica in range(REPLICAS)]
        nodes = [Node(root, folder / f"node{shard}{replica}", shard, replica) for shard, replica in places]
        for node in nodes:
            stack.callback(node.kill)
            node.start(nodes, keeper)
        first = nodes[0]
        made = (
            f"CREATE TABLE process_local ON CLUSTER {CLUSTER} ({columns()}) ENGINE = ReplicatedReplacingMergeTree("
            f"'/clickhouse/tables/{{shard}}/process', '{{replica}}', received) PARTITION BY toDate(ts) "
            f"ORDER BY ({PROCESS.order})"
        )
        first.ask(made)
        spread = f"Distributed({CLUSTER}, default, process_local, cityHash64(machine))"
        first.ask(f"CREATE TABLE process ON CLUSTER {CLUSTER} AS process_local ENGINE = {spread}")
        say("made ON CLUSTER on", nodes=sum("process_local" in node.ask("SHOW TABLES") for node in nodes))
        third = MINUTES // 3
        insert(first, range(third))
        judge(nodes, third)
        nodes[3].kill()
        insert(first, range(third, 2 * third))
        say("a replica killed, and", rows=first.number("SELECT count() FROM process"))
        nodes[3].start(nodes, keeper)
        judge(nodes, 2 * third)
        insert(nodes[3], range(third, 2 * third))  # the same bytes again, by another node: a retry
        judge(nodes, 2 * third)
        nodes[2].kill()  # the other replica of that shard: what it held alone would now be gone
        insert(nodes[3], range(2 * third, MINUTES))
        nodes[2].start(nodes, keeper)
        judge(nodes, MINUTES)


def judge(nodes: list[Node], minutes: int) -> None:
    """Every row is there once, on both replicas of its shard, and every node sees all."""
    expected = minutes * MACHINES * PROCESSES
    local = "SELECT count() FROM process_local"
    counts = until(lambda: _settled([node.number(local) for node in nodes], expected), lambda: "replicas differ")
    whole = "SELECT count(), sum(used_bytes), countIf(allocated_bytes IS NULL) FROM process"
    sums = {node.ask(whole) for node in nodes}
    assert len(sums) == 1, sums
    assert sums.pop().split()[0] == str(expected)
    machines = [node.number("SELECT uniqExact(machine) FROM process_local") for node in nodes]
    assert machines[0] + machines[2] == MACHINES
    say("every row once, on both replicas:", minutes=minutes, replicas=counts, machines=machines)


def _settled(counts: list[int], expected: int) -> list[int]:
    pairs = [counts[place : place + REPLICAS] for place in range(0, len(counts), REPLICAS)]
    return counts if all(len(set(pair)) == 1 for pair in pairs) and sum(p[0] for p in pairs) == expected else []


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
